use opik_observe_macros::observe;

#[observe]
const fn seven() -> u32 {
    7
}

fn main() {}
