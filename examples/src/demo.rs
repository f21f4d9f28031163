//! The program inside the demo image: this very executable under other names.
//!
//! `demo` (the image's entry point) answers HTTP on port 8080 with the pod's name; `sh` runs command lines; a handful of small
//! tools makes `kubectl exec` and `kubectl run` worth trying on a machine that has no other image.

mod serve;
mod shell;
mod tools;

use std::ffi::OsString;
use std::path::Path;

/// A program of the image: takes its arguments, returns its exit code.
type Program = fn(&[String]) -> i32;

/// The programs of the image by name, each installed as `/bin/NAME`.
const PROGRAMS: [(&str, Program); 13] = [
    ("demo", serve::main),
    ("sh", shell::main),
    ("cat", shell::builtin),
    ("echo", shell::builtin),
    ("head", shell::builtin),
    ("rm", shell::builtin),
    ("sleep", shell::builtin),
    ("test", shell::builtin),
    ("date", tools::date),
    ("env", tools::env),
    ("get", tools::get),
    ("ls", tools::ls),
    ("tick", tools::tick),
];

/// The names under which the demo image installs this executable.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name)
}

/// Runs the program this process was started as, and ends the process, if it is one of the demo image's. Binaries that serve as the
/// demo image call it first.
pub fn maybe_run() {
    let arguments: Vec<String> = std::env::args_os().map(lossy).collect();
    let started_as = arguments.first().map(Path::new).and_then(Path::file_name).and_then(|n| n.to_str());
    if let Some((_, program)) = PROGRAMS.iter().find(|(name, _)| Some(*name) == started_as) {
        std::process::exit(program(&arguments));
    }
}

fn lossy(argument: OsString) -> String {
    argument.to_string_lossy().into_owned()
}

/// A single-threaded runtime: a demo container should weigh little.
fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, future))
}
