//! Everything in one process.
fn main() {
    examples::demo::maybe_run();
}
