//! Datasets, metrics and experiments over recorded traces.
