//! Opik's query language.
