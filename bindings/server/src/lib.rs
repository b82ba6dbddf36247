//! The HTTP server: Opik's REST API over the embedded store, and the trace assistant.
