//! The `opik-rs` command.
fn main() {}
