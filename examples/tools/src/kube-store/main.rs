//! The store as an etcd-compatible server.

mod flags;
mod group;
mod listen;
mod server;
mod snapshot;
mod tls;

use std::process::ExitCode;

use clap::Parser;
use examples::{Allocator, Failure, roles};

use flags::{Command, Read, Refused};
use kube_store::EtcdServer;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// What Go's flags end with when the command line is none.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = || std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    if args().next().is_some_and(|first| first == "snapshot") {
        let command = snapshot::Arguments::parse();
        return roles::main(|_| snapshot::run(command));
    }
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    match flags::read(args(), env) {
        Ok(Command::Serve(read)) => serve(*read),
        Ok(Command::Help) => say(&flags::usage()),
        Ok(Command::Version) => say(&format!(
            "kube-store Version: {}\netcd Version: {}\n",
            env!("CARGO_PKG_VERSION"),
            EtcdServer::RELEASE
        )),
        Err(refused) => refuse(&refused),
    }
}

fn serve(read: Read) -> ExitCode {
    let Read { settings, notes } = read;
    if let Err(error) = settings.redirect_log() {
        return refuse(&Refused::Value(error.to_string()));
    }
    roles::main_logging(settings.log_level, |shutdown| {
        notes.iter().for_each(|note| tracing::warn!("{note}"));
        server::serve(settings, shutdown)
    })
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn say(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "a binary says why it ends")]
fn refuse(refused: &Refused) -> ExitCode {
    match refused {
        Refused::Usage(why) => {
            eprintln!("{why}\n{}", flags::usage());
            ExitCode::from(USAGE)
        }
        Refused::Value(why) => {
            eprintln!("error: failed to verify flags: {why}");
            ExitCode::FAILURE
        }
    }
}
