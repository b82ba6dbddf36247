use opik_observe_macros::observe;

trait Answers {
    #[observe]
    fn answer(&self) -> String;
}

fn main() {}
