//! What the kernel tells of processes and of the machine.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

use super::compare::{Better, Compared};
use super::programs::Program;
use crate::Failure;

/// The processor of the servers.
pub(super) const SERVERS: usize = 0;
/// Parts of a second in which Linux tells processor time.
const TICKS: f64 = 100.0;

/// The processor of the load.
pub(super) const LOAD: usize = 1;

/// Keeps this thread, and what it starts, on one processor; on a machine that has only one there is nothing to keep apart.
pub(super) fn pin(processor: usize) -> Result<(), Failure> {
    if std::thread::available_parallelism()?.get() == 1 && sched_getaffinity(None)?.is_set(0) && !exists(1) {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

fn exists(processor: usize) -> bool {
    std::path::Path::new(&format!("/sys/devices/system/cpu/cpu{processor}")).exists()
}

/// Processor time of a process with all threads it had and has.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').ok_or("a process without a name")?.1.split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// Resident memory of a process in MiB: now (`VmRSS`), or at most since [`forget_peak`] (`VmHWM`).
pub(super) fn memory(pid: u32, which: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
    let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no such memory")?.parse()?;
    Ok(kib / 1024.0)
}

/// Lets the peak of a process's memory begin again.
pub(super) fn forget_peak(pid: u32) -> Result<(), Failure> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// How the machine was when the load began.
#[derive(Debug)]
pub(super) struct Conditions {
    load: String,
    stolen: u64,
}

impl Conditions {
    pub(super) fn now() -> Result<Self, Failure> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let stolen = stat.lines().next().and_then(|all| all.split_whitespace().nth(8)).unwrap_or("0");
        let load = std::fs::read_to_string("/proc/loadavg")?.trim().to_owned();
        Ok(Self { load, stolen: stolen.parse()? })
    }
}

/// Everything that was measured, and on what.
pub(super) fn report(before: &Conditions, programs: &[Program], all: &[Compared]) -> Result<Value, Failure> {
    let versions = programs.iter().map(Program::version).collect::<Result<Vec<_>, _>>()?;
    let figures = all.iter().map(|figure| {
        let ratio = figure.ratio();
        json!({
            "name": figure.name,
            "better": if figure.better == Better::More { "more" } else { "less" },
            "ours": figure.samples.ours,
            "peer": figure.samples.peer,
            "ratio": ratio.map(|(ratio, _)| ratio),
            "interval": ratio.map(|(_, interval)| interval),
        })
    });
    let figures: Vec<_> = figures.collect();
    Ok(json!({
        "versions": versions,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        "processors": {"servers": SERVERS, "load": LOAD},
        "load": [before.load, Conditions::now()?.load],
        "stolen_ticks": Conditions::now()?.stolen - before.stolen,
        "figures": figures,
    }))
}
