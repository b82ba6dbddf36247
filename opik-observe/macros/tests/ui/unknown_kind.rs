use opik_observe_macros::observe;

#[observe(kind = model)]
fn search() {}

fn main() {}
