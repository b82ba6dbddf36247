//! Observe-only flight recorder for LLM applications: never changes, blocks or fails its host.
