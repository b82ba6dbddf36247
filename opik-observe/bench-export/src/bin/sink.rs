fn main() -> std::io::Result<()> {
    let hang = std::env::args().nth(1).is_some_and(|word| word == "hang");
    opik_observe_bench_export::server::serve(hang)
}
