//! The store as an etcd-compatible server.

use std::process::ExitCode;

use clap::Parser;
use examples::roles;
use examples::store_server::{self, Arguments};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    roles::main(|shutdown| store_server::run(arguments, shutdown))
}
