//! A container's mounts out of its pod's mounted volumes.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};

use super::{Mounted, PodDirs, manager::HostVolume, subpath};
use crate::{
    Error, Result, dns,
    pod::{
        config::TERMINATION_LOG,
        expand::expand,
        spec::{host_network, spec_of},
    },
    seam::{Mount, MountPropagation},
};

/// All mounts of an instance of a container, with `/etc/hosts` and the file for its last words; makes those files. Blocking.
///
/// `net` is the pod's addresses and the cluster's domain.
pub(crate) fn container_mounts(
    pod: &Pod,
    container: &Container,
    attempt: u32,
    mounted: &Mounted,
    dirs: &PodDirs,
    net: (&[IpAddr], &str),
    envs: &[(String, String)],
) -> Result<Vec<Mount>> {
    let (ips, cluster_domain) = net;
    let mut mounts = Vec::new();
    for wanted in container.volume_mounts.iter().flatten() {
        let volume = mounted.volumes.get(&wanted.name);
        let volume = volume.ok_or_else(|| {
            Error::Invalid(format!(
                "cannot find volume {:?} to mount into container {:?}",
                wanted.name, container.name
            ))
        })?;
        mounts.push(volume_mount(wanted, volume, envs)?);
    }
    let taken = |path: &str, mounts: &[Mount]| mounts.iter().any(|m| m.container_path == Path::new(path));
    if !taken("/etc/hosts", &mounts) && (!host_network(pod) || spec_of(pod).host_aliases.is_some()) {
        mounts.push(hosts_mount(pod, dirs, ips, cluster_domain)?);
    }
    let log = container.termination_message_path.clone().unwrap_or_else(|| TERMINATION_LOG.to_owned());
    if !log.is_empty() && !taken(&log, &mounts) {
        let host_path = dirs.termination_log(&container.name, attempt);
        make_file(&host_path, b"", 0o666)?;
        mounts.push(Mount { host_path, container_path: PathBuf::from(log), ..Mount::default() });
    }
    Ok(mounts)
}

fn volume_mount(wanted: &VolumeMount, volume: &HostVolume, envs: &[(String, String)]) -> Result<Mount> {
    let lookup = |name: &str| envs.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.clone());
    let sub = match (&wanted.sub_path, &wanted.sub_path_expr) {
        (Some(sub), _) if !sub.is_empty() => Some(sub.clone()),
        (_, Some(expr)) if !expr.is_empty() => Some(expand(expr, lookup)),
        _ => None,
    };
    let host_path = match sub {
        Some(sub) => subpath::resolve(&volume.path, &sub)?,
        None => volume.path.clone(),
    };
    Ok(Mount {
        host_path,
        container_path: Path::new("/").join(&wanted.mount_path),
        read_only: volume.read_only || wanted.read_only.unwrap_or_default(),
        recursive_read_only: wanted.recursive_read_only.as_deref() == Some("Enabled"),
        propagation: match wanted.mount_propagation.as_deref() {
            Some("HostToContainer") => MountPropagation::HostToContainer,
            Some("Bidirectional") => MountPropagation::Bidirectional,
            _ => MountPropagation::Private,
        },
        selinux_relabel: false,
    })
}

fn hosts_mount(pod: &Pod, dirs: &PodDirs, ips: &[IpAddr], cluster_domain: &str) -> Result<Mount> {
    let spec = spec_of(pod);
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    let text = match host_network(pod) {
        true => std::fs::read_to_string("/etc/hosts").unwrap_or_default() + &dns::aliases(aliases),
        false => dns::hosts_file(pod, ips, cluster_domain),
    };
    let host_path = dirs.hosts();
    make_file(&host_path, text.as_bytes(), 0o644)?;
    Ok(Mount { host_path, container_path: PathBuf::from("/etc/hosts"), ..Mount::default() })
}

fn make_file(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let doing = || format!("write {}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::io(doing()))?;
    }
    std::fs::write(path, content).map_err(Error::io(doing()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(Error::io(doing()))
}
