//! What the machine is, out of `/proc`, `/sys` and `/etc`.

use std::path::Path;

use crate::config::Capacity;

/// Facts that do not change while the agent runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) machine_id: String,
    pub(crate) system_uuid: String,
    pub(crate) boot_id: String,
    pub(crate) kernel: String,
    pub(crate) os_image: String,
    pub(crate) capacity: Capacity,
}

fn line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

impl Machine {
    /// Reads the machine; what cannot be read stays empty. `root` is on the disk whose size counts.
    pub(crate) fn read(root: &Path) -> Self {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let pretty = release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
        let machine_id = line("/etc/machine-id");
        let uuid = line("/sys/class/dmi/id/product_uuid");
        Self {
            system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
            machine_id,
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            kernel: line("/proc/sys/kernel/osrelease"),
            os_image: pretty.trim_matches('"').to_owned(),
            capacity: Capacity {
                cpu_millis: std::thread::available_parallelism().map_or(1, |n| n.get() as i64) * 1000,
                memory_bytes: meminfo("MemTotal:").unwrap_or_default(),
                disk_bytes: disk(root),
            },
        }
    }
}

/// A line of `/proc/meminfo`, in bytes.
pub(crate) fn meminfo(name: &str) -> Option<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib =
        text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse::<i64>().ok()?;
    Some(kib * 1024)
}

/// Size of the file system of the nearest directory that exists.
fn disk(path: &Path) -> i64 {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(existing).map_or(0, |s| (s.f_blocks * s.f_frsize) as i64)
}

/// How much is left, as a share of all: disk and inodes.
pub(crate) fn disk_left(path: &Path) -> Option<(f64, f64)> {
    let existing = path.ancestors().find(|p| p.exists())?;
    let s = rustix::fs::statvfs(existing).ok()?;
    let share = |left: u64, all: u64| if all == 0 { 1.0 } else { left as f64 / all as f64 };
    Some((share(s.f_bavail, s.f_blocks), share(s.f_favail, s.f_files)))
}

/// How many processes there are, as a share of what the kernel allows.
pub(crate) fn pids_used() -> Option<f64> {
    let running = line("/proc/loadavg").split_whitespace().nth(3)?.split_once('/')?.1.parse::<f64>().ok()?;
    let limit = line("/proc/sys/kernel/pid_max").parse::<f64>().ok()?;
    Some(running / limit)
}
