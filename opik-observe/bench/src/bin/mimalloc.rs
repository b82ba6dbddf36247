//! The measurements with mimalloc, which makes the peers' allocations cheap.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    opik_observe_bench::run("mimalloc", 0.50);
}
