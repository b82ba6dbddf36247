use opik_observe_macros::observe;

#[observe(input(question))]
fn search(query: &str) {
    let _ = query;
}

#[observe(input(one))]
fn patterns((one, _): (u32, u32)) {
    let _ = one;
}

fn main() {}
