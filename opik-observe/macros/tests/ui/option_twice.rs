use opik_observe_macros::observe;

#[observe(kind = tool, name = "one", kind = llm)]
fn search() {}

#[observe(output, output)]
fn search_all() -> u32 {
    1
}

fn main() {}
