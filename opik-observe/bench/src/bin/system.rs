//! The measurements with the system's allocator.

fn main() {
    opik_observe_bench::run("system allocator", 0.30);
}
