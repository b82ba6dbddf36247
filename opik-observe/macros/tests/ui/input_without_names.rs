use opik_observe_macros::observe;

#[observe(input)]
fn search(query: &str) {
    let _ = query;
}

fn main() {}
