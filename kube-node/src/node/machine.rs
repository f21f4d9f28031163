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
                disk_bytes: i64::try_from(disk_left(root)[0].all).unwrap_or(i64::MAX),
            },
        }
    }
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(name: &str) -> Option<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib =
        text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse::<i64>().ok()?;
    Some(kib * 1024)
}

/// How much of a resource there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) free: u64,
    pub(crate) all: u64,
}

/// Memory that new processes can have, in bytes.
pub(crate) fn memory_left() -> Left {
    let bytes = |name| meminfo(name).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
    Left { free: bytes("MemAvailable:"), all: bytes("MemTotal:") }
}

/// Bytes and inodes of the file system of the nearest directory that exists.
pub(crate) fn disk_left(path: &Path) -> [Left; 2] {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(existing).map_or([Left::default(); 2], |s| {
        let bytes = Left { free: s.f_bavail * s.f_frsize, all: s.f_blocks * s.f_frsize };
        [bytes, Left { free: s.f_favail, all: s.f_files }]
    })
}

/// Processes that the kernel would still make.
pub(crate) fn pids_left() -> Left {
    let running =
        line("/proc/loadavg").split_whitespace().nth(3).and_then(|s| s.split_once('/')?.1.parse().ok());
    let all = line("/proc/sys/kernel/pid_max").parse().unwrap_or_default();
    Left { free: u64::saturating_sub(all, running.unwrap_or_default()), all }
}
