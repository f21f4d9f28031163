//! Control groups, version 1, 2 and the hybrid of both: groups and their limits, moving processes into them, counting kills for want of
//! memory, statistics, killing what is left, removing.
//!
//! A group is named by its path below each hierarchy's root, as in `/kubepods/burstable/pod<uid>`.

mod device_program;
mod limits;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

pub(super) use device_program::Instruction;

/// The mounted hierarchies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    /// Version 1, by controller (`memory`, `cpu`, ..., `name=systemd`).
    v1: BTreeMap<String, PathBuf>,
    v2: Option<PathBuf>,
}

/// What a group uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time in nanoseconds.
    pub(crate) cpu_nanos: u64,
    /// Memory without inactive page cache, in bytes.
    pub(crate) working_set: u64,
    /// Anonymous memory in bytes.
    pub(crate) rss: u64,
    /// Processes and threads.
    pub(crate) pids: u64,
}

impl Hierarchies {
    /// Looks at this process's mounts.
    pub(crate) fn detect() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/self/mountinfo")?))
    }

    fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let (Some(path), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else {
                continue;
            };
            match kind {
                "cgroup2" => {
                    found.v2.get_or_insert_with(|| PathBuf::from(path));
                }
                "cgroup" => {
                    let options = right.split(' ').nth(2).unwrap_or_default();
                    for option in
                        options.split(',').filter(|option| !matches!(*option, "rw" | "ro" | "xattr"))
                    {
                        found.v1.entry(option.to_owned()).or_insert_with(|| PathBuf::from(path));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether limits and statistics are version 2's.
    pub(crate) fn is_unified(&self) -> bool {
        !self.v1.contains_key("memory") && self.v2.is_some()
    }

    /// The roots of all hierarchies, each once.
    fn roots(&self) -> Vec<&Path> {
        let mut roots: Vec<&Path> = self.v1.values().chain(&self.v2).map(PathBuf::as_path).collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    /// Each hierarchy's root and the group's folder in it.
    pub(super) fn views(&self, group: &str) -> Vec<(&Path, PathBuf)> {
        self.roots().into_iter().map(|root| (root, below(root, group))).collect()
    }

    /// Version 1's controllers that share a hierarchy or have one under another name, with the name of its folder.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        let named = self.v1.iter().filter(|(controller, _)| !controller.contains('='));
        named.filter_map(|(controller, root)| Some((controller.as_str(), root.file_name()?)))
    }

    fn file(&self, controller: &str, group: &str, file: &str) -> Option<PathBuf> {
        let root = if self.is_unified() { self.v2.as_ref()? } else { self.v1.get(controller)? };
        Some(below(root, group).join(file))
    }

    /// Makes the group and its parents, with every controller switched on for what is below the parents.
    pub(crate) fn create(&self, group: &str) -> io::Result<()> {
        for root in self.roots() {
            let mut path = root.to_owned();
            for part in parts(group) {
                if self.is_unified() {
                    enable_controllers(&path);
                }
                path.push(part);
                make_group(root, &path)?;
            }
        }
        Ok(())
    }

    /// Moves a process into the group, in every hierarchy.
    pub(crate) fn join(&self, group: &str, pid: Pid) -> io::Result<()> {
        for root in self.roots() {
            let file = below(root, group).join("cgroup.procs");
            let moved = fs::write(&file, pid.as_raw_pid().to_string());
            if self.is_needed(root) {
                moved?;
            }
        }
        Ok(())
    }

    /// Whether limits or device rules depend on a hierarchy. A controller of no account (one this process cannot use) must not stop a pod.
    fn is_needed(&self, root: &Path) -> bool {
        let holds = |controller: &str| self.v1.get(controller).is_some_and(|known| known == root);
        let rules = !self.v1.contains_key("devices") && self.v2.as_deref() == Some(root);
        self.is_unified() || rules || ["memory", "pids", "devices"].into_iter().any(holds)
    }

    /// The processes in the group and below it.
    pub(crate) fn procs(&self, group: &str) -> Vec<Pid> {
        let root = if self.is_unified() {
            self.v2.as_ref()
        } else {
            self.v1.get("memory").or_else(|| self.v1.values().next())
        };
        let mut pids = Vec::new();
        if let Some(root) = root {
            collect_procs(&below(root, group), &mut pids);
        }
        pids
    }

    /// Kills everything in the group.
    pub(crate) fn kill(&self, group: &str) {
        for pid in self.procs(group) {
            // Gone in the meantime is as good as killed.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }

    /// Removes the group and what is below it; `ResourceBusy` while a process is left.
    pub(crate) fn remove(&self, group: &str) -> io::Result<()> {
        if parts(group).next().is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut result = Ok(());
        for root in self.roots() {
            result = result.and(remove_tree(&below(root, group)));
        }
        result
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub(crate) fn oom_kills(&self, group: &str) -> u64 {
        let file = if self.is_unified() { "memory.events" } else { "memory.oom_control" };
        self.keyed("memory", group, file, "oom_kill")
    }

    fn keyed(&self, controller: &str, group: &str, file: &str, key: &str) -> u64 {
        let text = self
            .file(controller, group, file)
            .and_then(|path| fs::read_to_string(path).ok())
            .unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
            .unwrap_or(0)
    }

    fn number(&self, controller: &str, group: &str, file: &str) -> u64 {
        let text = self.file(controller, group, file).and_then(|path| fs::read_to_string(path).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// What the group uses now; zeros for what cannot be read.
    pub(crate) fn usage(&self, group: &str) -> Usage {
        let pids = self.number("pids", group, "pids.current");
        if self.is_unified() {
            let inactive = self.keyed("memory", group, "memory.stat", "inactive_file");
            return Usage {
                cpu_nanos: self.keyed("cpu", group, "cpu.stat", "usage_usec").saturating_mul(1000),
                working_set: self.number("memory", group, "memory.current").saturating_sub(inactive),
                rss: self.keyed("memory", group, "memory.stat", "anon"),
                pids,
            };
        }
        let inactive = self.keyed("memory", group, "memory.stat", "total_inactive_file");
        Usage {
            cpu_nanos: self.number("cpuacct", group, "cpuacct.usage"),
            working_set: self.number("memory", group, "memory.usage_in_bytes").saturating_sub(inactive),
            rss: self.keyed("memory", group, "memory.stat", "total_rss"),
            pids,
        }
    }
}

fn parts(group: &str) -> impl Iterator<Item = &str> {
    group.split('/').filter(|part| !part.is_empty() && *part != "." && *part != "..")
}

fn below(root: &Path, group: &str) -> PathBuf {
    parts(group).fold(root.to_owned(), |path, part| path.join(part))
}

fn make_group(root: &Path, path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => copy_cpuset(root, path),
    }
}

/// A version 1 cpuset group is born empty and takes no process until it has CPUs and memory nodes.
fn copy_cpuset(root: &Path, path: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let target = path.join(file);
        if !root.join(file).exists() || !root.join("cgroup.clone_children").exists() {
            continue;
        }
        if fs::read_to_string(&target)?.trim().is_empty()
            && let Some(parent) = path.parent()
        {
            fs::write(&target, fs::read_to_string(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

/// Switches every available controller on for the groups below `path`; one that cannot be is left off.
fn enable_controllers(path: &Path) {
    let available = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        let _refused = fs::write(path.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn collect_procs(path: &Path, pids: &mut Vec<Pid>) {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
    for folder in subfolders(path) {
        collect_procs(&folder, pids);
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
    for folder in subfolders(path) {
        remove_tree(&folder)?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn subfolders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn every_hierarchy_is_shown_and_shared_ones_under_each_name() {
        let hybrid = Hierarchies::parse(HYBRID);
        let shown: Vec<PathBuf> = hybrid.views("/a").into_iter().map(|(_, path)| path).collect();
        let expected = ["cpu", "memory", "systemd", "unified"].map(|name| format!("/sys/fs/cgroup/{name}/a"));
        assert_eq!(shown, expected.map(PathBuf::from));
        let shared = Hierarchies::parse("30 25 0:26 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct");
        let names: Vec<_> = shared.aliases().map(|(name, folder)| (name, folder.to_str().unwrap())).collect();
        assert_eq!(names, [("cpu", "cpu,cpuacct"), ("cpuacct", "cpu,cpuacct")]);
    }

    #[test]
    fn a_group_is_below_each_hierarchy_and_never_above() {
        let hybrid = Hierarchies::parse(HYBRID);
        assert_eq!(hybrid.roots().len(), 4);
        assert_eq!(hybrid.file("cpu", "/a/../../b", "x"), Some(PathBuf::from("/sys/fs/cgroup/cpu/a/b/x")));
        assert!(hybrid.remove("/").is_err());
    }
}
