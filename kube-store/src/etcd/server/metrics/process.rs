//! What the kernel says of this process.

use rustix::process::{Resource, getrlimit};

use super::page::Page;

/// Fields of `/proc/self/stat`, counted from behind the name in brackets: ticks of user and system time, and the tick of the start.
const FIELDS: [usize; 3] = [11, 12, 19];

/// Ticks of a second as the kernel shows them, whatever it counts in.
const TICKS: f64 = 100.0;

/// Adds what can be found out; nothing where there is no `/proc`.
pub(super) fn put(page: &mut Page) {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return };
    let Some([user, system, start]) = ticks(&stat) else { return };
    page.one("process_cpu_seconds_total", "counter", (user + system) / TICKS);
    if let Some(booted) = number("/proc/stat", "btime") {
        page.one("process_start_time_seconds", "gauge", booted + start / TICKS);
    }
    for (name, field) in
        [("process_resident_memory_bytes", "VmRSS:"), ("process_virtual_memory_bytes", "VmSize:")]
    {
        page.one(name, "gauge", number("/proc/self/status", field).unwrap_or(0.0) * 1024.0);
    }
    // No limit is the largest number.
    let limit = |resource| getrlimit(resource).current.unwrap_or(u64::MAX);
    page.one("process_virtual_memory_max_bytes", "gauge", limit(Resource::As));
    page.one("process_max_fds", "gauge", limit(Resource::Nofile));
    page.one("os_fd_limit", "gauge", limit(Resource::Nofile));
    // The one that lists them is not there any more when it is counted.
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count().saturating_sub(1));
    page.one("process_open_fds", "gauge", open);
    page.one("os_fd_used", "gauge", open);
}

fn ticks(stat: &str) -> Option<[f64; 3]> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let [user, system, start] = FIELDS.map(|at| fields.get(at).and_then(|field| field.parse().ok()));
    Some([user?, system?, start?])
}

/// The number behind a word that begins a line of a file.
fn number(file: &str, word: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}
