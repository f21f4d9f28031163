//! A whole cluster in one process: `cargo run --release --bin cluster`.

use std::process::ExitCode;

use clap::Parser;
use examples::{Allocator, cluster, demo, roles};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    // This executable is also the supervisor of each pod and the program in the demo image.
    kube_node::shim::maybe_run();
    demo::maybe_run();
    let flags = cluster::Flags::parse();
    roles::main(|shutdown| cluster::run(flags, shutdown))
}
