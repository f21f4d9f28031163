//! Devices: a container's nodes, and the rules about them.

use std::path::PathBuf;

use super::Inputs;
use crate::seam::Device;
use crate::shim::oci::{self, DeviceKind, DeviceRule};

/// The nodes a container gets besides those that every one has.
pub(super) fn nodes(inputs: &Inputs<'_>) -> Result<Vec<oci::Device>, String> {
    let mut devices = inputs.config.devices.iter().map(node).collect::<Result<Vec<_>, _>>()?;
    if inputs.config.linux.security.privileged {
        devices.extend(host_devices());
    }
    Ok(devices)
}

fn node(device: &Device) -> Result<oci::Device, String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = std::fs::metadata(&device.host_path)
        .map_err(|error| format!("device {}: {error}", device.host_path.display()))?;
    let kind = match meta.file_type() {
        kind if kind.is_block_device() => DeviceKind::Block,
        kind if kind.is_char_device() => DeviceKind::Character,
        _ => return Err(format!("{} is not a device", device.host_path.display())),
    };
    Ok(oci::Device {
        path: device.container_path.clone(),
        kind,
        major: rustix::fs::major(meta.rdev()),
        minor: rustix::fs::minor(meta.rdev()),
        file_mode: meta.mode() & 0o777,
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

/// The devices directly in the host's `/dev`, for privileged containers; those every container has are not repeated.
fn host_devices() -> Vec<oci::Device> {
    const STANDARD: [&str; 8] = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let others = entries.filter(|entry| !STANDARD.contains(&&*entry.file_name().to_string_lossy()));
    let device = |path: PathBuf| Device {
        container_path: path.clone(),
        host_path: path,
        permissions: "rwm".to_owned(),
    };
    others
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .filter_map(|entry| node(&device(entry.path())).ok())
        .collect()
}

/// What a container may do with which devices: everything if it is privileged, otherwise make any node, and use the standard ones and
/// those it was given.
pub(super) fn rules(inputs: &Inputs<'_>, devices: &[oci::Device]) -> Vec<DeviceRule> {
    /// null, zero, full, random, urandom, tty, console, ptmx, tun; any pseudo-terminal.
    const USABLE: [(u32, Option<u32>); 10] = [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (10, Some(200)),
        (136, None),
    ];
    let rule = |kind: Option<DeviceKind>, major: Option<u32>, minor: Option<u32>, access: &str| DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    let everything = rule(None, None, None, "rwm");
    if inputs.config.linux.security.privileged {
        return vec![everything];
    }
    let mut rules = vec![DeviceRule { allow: false, ..everything }];
    rules.extend([DeviceKind::Character, DeviceKind::Block].map(|kind| rule(Some(kind), None, None, "m")));
    rules.extend(USABLE.map(|(major, minor)| rule(Some(DeviceKind::Character), Some(major), minor, "rwm")));
    rules.extend(inputs.config.devices.iter().zip(devices).map(|(wanted, device)| {
        let access = if wanted.permissions.is_empty() { "rwm" } else { &wanted.permissions };
        rule(Some(device.kind), Some(device.major), Some(device.minor), access)
    }));
    rules
}
