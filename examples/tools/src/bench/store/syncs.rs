//! Whether both make durable what they acknowledge: syncs are counted by the kernel.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::compare::{Better, Workload};
use super::programs::{Program, Server};
use super::txns::Clients;
use crate::Failure;

const TXNS: usize = 15_000;
/// How long `perf` takes to look at a process.
const ATTACHED: Duration = Duration::from_millis(700);
/// What syncs a file: the file system says so too where a write asks for it, as with `O_DSYNC`.
const EVENTS: &str = "syscalls:sys_enter_fdatasync,syscalls:sys_enter_fsync,ext4:ext4_sync_file_enter";
/// Syncs for a thousand acknowledged transactions.
pub(super) struct Syncs;

impl Workload for Syncs {
    type Ready = Clients;

    fn figures(&self) -> Vec<(String, Better)> {
        vec![("syncs-per-1000-acks".into(), Better::Less)]
    }

    fn pairs(&self, asked: usize) -> usize {
        asked.min(3)
    }

    async fn prepare(&self, program: &Program) -> Result<Clients, Failure> {
        Clients::start(program, 1).await
    }

    async fn sample(&self, ready: &mut Clients) -> Result<Vec<f64>, Failure> {
        let counting = count(&ready.server)?;
        tokio::time::sleep(ATTACHED).await;
        ready.txns(TXNS).await?;
        Ok(vec![counted(counting)?.map_or(f64::NAN, |count| count * 1e3 / TXNS as f64)])
    }
}

/// Counts the syncs of a process from now on; nothing if this machine has no `perf`.
fn count(server: &Server) -> Result<Option<Child>, Failure> {
    let pid = server.pids().first().ok_or("no member")?.to_string();
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", EVENTS, "-p", &pid]);
    match perf.stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(child) => Ok(Some(child)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What was counted: by the file system if it counts, else the calls.
fn counted(counting: Option<Child>) -> Result<Option<f64>, Failure> {
    let Some(perf) = counting else { return Ok(None) };
    let pid = rustix::process::Pid::from_child(&perf);
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let output = String::from_utf8(perf.wait_with_output()?.stderr)?;
    let counts = output.lines().filter_map(|line| {
        let mut fields = line.split(',');
        Some((fields.next()?.parse::<f64>().ok()?, fields.nth(1)?.starts_with("ext4:")))
    });
    let (files, calls): (Vec<_>, Vec<_>) = counts.partition(|(_, is_file)| *is_file);
    let sum = |counts: Vec<(f64, bool)>| counts.iter().map(|(count, _)| count).sum::<f64>();
    let (files, calls) = (sum(files), sum(calls));
    Ok(Some(if files > 0.0 { files } else { calls }))
}
