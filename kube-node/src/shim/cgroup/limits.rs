//! Limits and device rules.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::{Hierarchies, below, device_program};
use crate::shim::oci::{DeviceKind, DeviceRule, Resources};
use crate::shim::sys;

/// A value for one file of a group.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    controller: &'static str,
    file: String,
    value: String,
}

fn set(controller: &'static str, file: impl Into<String>, value: impl ToString) -> Setting {
    Setting { controller, file: file.into(), value: value.to_string() }
}

impl Hierarchies {
    /// Applies limits; what is unset stays as it is.
    pub(crate) fn limit(&self, group: &str, resources: &Resources) -> io::Result<()> {
        for Setting { controller, file, value } in self.settings(resources) {
            let Some(path) = self.file(controller, group, &file) else { continue };
            // Limits of huge pages come for every size, also where the kernel has none of them.
            if controller == "hugetlb" && !path.exists() {
                continue;
            }
            fs::write(&path, &value).map_err(|error| {
                io::Error::new(error.kind(), format!("write {value:?} to {}: {error}", path.display()))
            })?;
        }
        Ok(())
    }

    fn settings(&self, resources: &Resources) -> Vec<Setting> {
        let mut settings = if self.is_unified() { unified(resources) } else { version1(resources) };
        for (file, value) in [("cpuset.cpus", &resources.cpu.cpus), ("cpuset.mems", &resources.cpu.mems)] {
            settings.extend((!value.is_empty()).then(|| set("cpuset", file, value)));
        }
        settings.extend(resources.pids.as_ref().map(|pids| match pids.limit {
            ..=0 => set("pids", "pids.max", "max"),
            limit => set("pids", "pids.max", limit),
        }));
        settings
    }

    /// Applies device rules to a group that has just been made.
    pub(crate) fn restrict_devices(&self, group: &str, rules: &[DeviceRule]) -> io::Result<()> {
        // A new group may what its parent may, and nothing could allow it more.
        if rules.iter().all(|rule| rule.allow) {
            return Ok(());
        }
        match (self.v1.get("devices"), &self.v2) {
            (Some(root), _) => write_rules(&below(root, group), rules),
            (None, Some(root)) => attach_rules(&below(root, group), rules),
            (None, None) => Err(io::Error::other("there is no device controller")),
        }
    }
}

/// Version 1 has files for rules.
fn write_rules(folder: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    for rule in rules {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        fs::write(folder.join(file), device_line(rule))?;
    }
    Ok(())
}

/// Version 2 has programs.
fn attach_rules(folder: &Path, rules: &[DeviceRule]) -> io::Result<()> {
    let program = sys::load_device_program(&device_program::compile(rules))?;
    sys::attach_device_program(fs::File::open(folder)?.as_fd(), program.as_fd())
}

fn version1(resources: &Resources) -> Vec<Setting> {
    let cpu = &resources.cpu;
    let mut settings = Vec::new();
    settings.extend(resources.memory.limit.map(|limit| set("memory", "memory.limit_in_bytes", limit)));
    settings.extend(cpu.shares.map(|shares| set("cpu", "cpu.shares", shares)));
    if let Some(quota) = cpu.quota {
        settings.push(set("cpu", "cpu.cfs_period_us", cpu.period.unwrap_or(DEFAULT_PERIOD)));
        settings.push(set("cpu", "cpu.cfs_quota_us", quota));
    }
    for huge in &resources.hugepage_limits {
        let file = format!("hugetlb.{}.limit_in_bytes", huge.page_size);
        settings.push(set("hugetlb", file, huge.limit));
    }
    settings
}

fn unified(resources: &Resources) -> Vec<Setting> {
    let or_max = |value: i64| if value < 0 { "max".to_owned() } else { value.to_string() };
    let cpu = &resources.cpu;
    let mut settings = Vec::new();
    settings.extend(resources.memory.limit.map(|limit| set("memory", "memory.max", or_max(limit))));
    settings.extend(cpu.shares.map(|shares| set("cpu", "cpu.weight", weight(shares))));
    let period = cpu.period.unwrap_or(DEFAULT_PERIOD);
    settings.extend(cpu.quota.map(|quota| set("cpu", "cpu.max", format!("{} {period}", or_max(quota)))));
    for huge in &resources.hugepage_limits {
        settings.push(set("hugetlb", format!("hugetlb.{}.max", huge.page_size), huge.limit));
    }
    let named = resources.unified.iter().filter(|(file, _)| !file.contains('/'));
    settings.extend(named.map(|(file, value)| set("unified", file.as_str(), value)));
    settings
}

/// The kernel's own period in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// Version 2's weight (1 to 10000) for version 1's shares (2 to 262144), as in the kernel's and runc's conversion.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// A rule as version 1's files take it.
fn device_line(rule: &DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let kind = match rule.kind {
        None => 'a',
        Some(DeviceKind::Block) => 'b',
        Some(DeviceKind::Character) => 'c',
    };
    format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shim::oci::{Cpu, HugepageLimit, Memory, Pids};

    const HYBRID: &str = "\
31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    const UNIFIED: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    fn check(mountinfo: &str, expected: &[&str]) {
        let resources = Resources {
            memory: Memory { limit: Some(1024) },
            cpu: Cpu {
                shares: Some(1024),
                quota: Some(50_000),
                period: None,
                cpus: "0-1".into(),
                mems: String::new(),
            },
            pids: Some(Pids { limit: 7 }),
            hugepage_limits: vec![HugepageLimit { page_size: "2MB".into(), limit: 0 }],
            unified: [("memory.high".to_owned(), "9".to_owned()), ("../x".to_owned(), "9".to_owned())].into(),
            devices: Vec::new(),
        };
        let settings = Hierarchies::parse(mountinfo).settings(&resources);
        let settings: Vec<String> =
            settings.into_iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect();
        assert_eq!(settings, expected);
    }

    #[test]
    fn limits_go_to_version_1_files_on_a_hybrid_machine() {
        check(
            HYBRID,
            &[
                "memory.limit_in_bytes=1024",
                "cpu.shares=1024",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=50000",
                "hugetlb.2MB.limit_in_bytes=0",
                "cpuset.cpus=0-1",
                "pids.max=7",
            ],
        );
    }

    #[test]
    fn limits_go_to_version_2_files_on_a_unified_machine() {
        check(
            UNIFIED,
            &[
                "memory.max=1024",
                "cpu.weight=39",
                "cpu.max=50000 100000",
                "hugetlb.2MB.max=0",
                "memory.high=9",
                "cpuset.cpus=0-1",
                "pids.max=7",
            ],
        );
    }

    #[test]
    fn device_rules_are_lines() {
        let all = DeviceRule { allow: false, kind: None, major: None, minor: None, access: "rwm".into() };
        assert_eq!(device_line(&all), "a *:* rwm");
        let terminals = DeviceRule { kind: Some(DeviceKind::Character), major: Some(136), ..all };
        assert_eq!(device_line(&terminals), "c 136:* rwm");
    }

    #[test]
    fn root_version_2_denies_devices_too() {
        let all = Hierarchies::detect().unwrap();
        let Some(v2) = all.v2.filter(|_| rustix::process::geteuid().is_root()) else {
            let text = b"SKIPPED: cgroup version 2 needs root and its hierarchy mounted\n";
            let _unheard = std::io::Write::write_all(&mut std::io::stderr(), text);
            return;
        };
        let group = format!("/kube-node-devices-{}", std::process::id());
        let folder = below(&v2, &group);
        let only_v2 = Hierarchies { v1: [].into(), v2: Some(v2) };
        fs::create_dir(&folder).unwrap();
        let deny = DeviceRule { allow: false, kind: None, major: None, minor: None, access: "rwm".into() };
        let kind = Some(DeviceKind::Character);
        let null = DeviceRule { allow: true, kind, major: Some(1), minor: Some(3), ..deny.clone() };
        only_v2.restrict_devices(&group, &[deny, null]).unwrap();
        let script =
            "echo $$ > $0/cgroup.procs; echo x > /dev/null && echo null; echo < /dev/zero && echo zero";
        let output = std::process::Command::new("sh").args(["-c", script]).arg(&folder).output().unwrap();
        fs::remove_dir(&folder).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "null\n", "{output:?}");
    }
}
