use opik_observe_macros::observe;

const NAME: &str = "search";

#[observe(name = NAME)]
fn search() {}

fn main() {}
