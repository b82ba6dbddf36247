//! Placeholder until the measured comparison lands.

fn main() {}
