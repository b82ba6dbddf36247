use opik_observe_macros::observe;

#[observe(nam = "search")]
fn search() {}

#[observe(name = "search", skip_all)]
fn search_all() {}

fn main() {}
