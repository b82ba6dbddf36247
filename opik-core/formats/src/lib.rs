//! Readers and writers of trace files: Opik JSONL, OTLP JSON, Jaeger JSON, Vyasa telemetry.
