//! Getting spans of about 1 KB from their creation to a server: the ways that are compared.
//!
//! The server is a process of its own (`sink`), so that the processor time that is measured is that of
//! the client alone.

pub mod bare;
pub mod measure;
pub mod opik;
pub mod otlp;
pub mod server;
pub mod ways;
pub mod workload;
