//! Examples of Opik for Rust: run one with `cargo run -p opik-examples --example NAME`.
