//! The store as an etcd-compatible server.

mod flags;
mod group;
mod server;
mod tls;

use std::process::ExitCode;

use clap::Parser;
use examples::{Failure, roles};

use flags::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    roles::main(|shutdown| server::run(arguments, shutdown))
}
