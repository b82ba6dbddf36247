//! What the spool's disk work costs beside a raw file; figures come with the next change.
fn main() {}
