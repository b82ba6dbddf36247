use opik_observe_macros::observe;

#[observe]
struct Basket {
    items: Vec<String>,
}

#[observe]
impl Basket {
    fn new() -> Self {
        Self { items: vec![] }
    }
}

fn main() {}
