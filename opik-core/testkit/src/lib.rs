//! Conformance suites, doubles and fixtures for the provider traits of opik-core.
