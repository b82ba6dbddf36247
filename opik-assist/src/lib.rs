//! Computed evidence about traces: critical path, error origin, loops, hot spots, differences.
