//! A container's configuration as an OCI runtime specification, which its supervisor reads.

mod devices;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::capability;
use super::identity::Identity;
use crate::image::ImageConfig;
use crate::seam::{ContainerConfig, Mount, MountPropagation, NamespaceMode, Resources, SecurityProfile};
use crate::shim::oci::{
    self, Capabilities, Cpu, HugepageLimit, Linux, Memory, Namespace, NamespaceKind, Pids, Process,
    Propagation, Root, Spec, User,
};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a specification is made of besides the container's own configuration.
#[derive(Clone, Debug)]
pub(super) struct Inputs<'a> {
    pub(super) config: &'a ContainerConfig,
    pub(super) image: &'a ImageConfig,
    pub(super) identity: &'a Identity,
    pub(super) hostname: &'a str,
    pub(super) cgroup: &'a str,
    /// The sandbox's folder, with `resolv.conf` and `hostname`.
    pub(super) sandbox: &'a Path,
    /// The process namespace to join, for shared ones and targets.
    pub(super) pid_namespace: Option<String>,
    /// Capabilities this process has.
    pub(super) own_capabilities: u64,
    /// Whether cgroups are version 2's.
    pub(super) unified: bool,
}

/// The specification; an error is for the user: the configuration asks for something impossible.
pub(super) fn build(inputs: &Inputs<'_>) -> Result<Spec, String> {
    let security = &inputs.config.linux.security;
    if let SecurityProfile::Localhost(profile) = &security.seccomp
        && !security.privileged
    {
        return Err(format!("seccomp profile {profile:?}: this runtime has no localhost profiles"));
    }
    if let SecurityProfile::Localhost(profile) = &security.apparmor {
        return Err(format!("AppArmor profile {profile:?}: this runtime has no localhost profiles"));
    }
    Ok(Spec {
        oci_version: "1.0.2".to_owned(),
        process: process(inputs)?,
        root: Root { path: "rootfs".into(), readonly: security.readonly_rootfs },
        mounts: mounts(inputs),
        linux: linux(inputs)?,
    })
}

fn process(inputs: &Inputs<'_>) -> Result<Process, String> {
    let (config, image) = (inputs.config, inputs.image);
    let security = &config.linux.security;
    let args = arguments(config, image);
    if args.is_empty() {
        return Err("no command specified".to_owned());
    }
    let names = capability::resolve(&security.capabilities, security.privileged, inputs.own_capabilities)?;
    let directory =
        [&config.working_dir, &image.working_dir].into_iter().find(|directory| !directory.is_empty());
    let Identity { uid, gid, groups, .. } = inputs.identity;
    Ok(Process {
        terminal: config.tty,
        user: User { uid: *uid, gid: *gid, additional_gids: groups.clone() },
        args,
        env: environment(inputs),
        cwd: directory.map_or("/", String::as_str).into(),
        capabilities: Capabilities {
            bounding: names.clone(),
            effective: names.clone(),
            permitted: names,
            ..Capabilities::default()
        },
        no_new_privileges: security.no_new_privs,
        oom_score_adj: config.linux.resources.oom_score_adj.unwrap_or(0),
    })
}

/// Command and arguments, as the pod and the image give them together.
fn arguments(config: &ContainerConfig, image: &ImageConfig) -> Vec<String> {
    if !config.command.is_empty() {
        return [&config.command[..], &config.args].concat();
    }
    let args = if config.args.is_empty() { &image.cmd } else { &config.args };
    [&image.entrypoint[..], args].concat()
}

fn environment(inputs: &Inputs<'_>) -> Vec<String> {
    let mut env: Vec<(String, String)> =
        vec![("PATH".into(), DEFAULT_PATH.into()), ("HOSTNAME".into(), inputs.hostname.into())];
    if inputs.config.tty {
        env.push(("TERM".into(), "xterm".into()));
    }
    let image = inputs
        .image
        .env
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name.into(), value.into()));
    for (name, value) in image.chain(inputs.config.envs.iter().cloned()) {
        match env.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => env.push((name, value)),
        }
    }
    if !inputs.identity.home.is_empty() && !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".into(), inputs.identity.home.clone()));
    }
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn special(destination: &str, kind: &str, source: &str, options: &[&str]) -> oci::Mount {
    oci::Mount {
        destination: destination.into(),
        kind: kind.to_owned(),
        source: source.into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    }
}

fn mounts(inputs: &Inputs<'_>) -> Vec<oci::Mount> {
    let mut mounts = standard_mounts(inputs);
    let own: Vec<&Path> = inputs.config.mounts.iter().map(|mount| mount.container_path.as_path()).collect();
    mounts.retain(|mount| !own.contains(&mount.destination.as_path()));
    mounts.extend(inputs.config.mounts.iter().map(bind));
    // A folder comes before what is mounted in it, and so does not hide it.
    mounts.sort_by_key(|mount| mount.destination.components().count());
    mounts
}

/// What every container has.
fn standard_mounts(inputs: &Inputs<'_>) -> Vec<oci::Mount> {
    let security = &inputs.config.linux.security;
    let access = if security.privileged { "rw" } else { "ro" };
    let plain = |destination, kind, options: &[&str]| special(destination, kind, kind, options);
    let mut mounts = vec![
        plain("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        plain("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        plain(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        plain("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        plain("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        plain("/sys", "sysfs", &["nosuid", "noexec", "nodev", access]),
        plain("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
    ];
    let access = if security.readonly_rootfs { "ro" } else { "rw" };
    mounts.extend(["resolv.conf", "hostname"].map(|file| oci::Mount {
        source: inputs.sandbox.join(file),
        ..special(&format!("/etc/{file}"), "bind", "", &["rbind", "rprivate", access])
    }));
    mounts
}

fn bind(mount: &Mount) -> oci::Mount {
    let propagation = match mount.propagation {
        MountPropagation::Private => "rprivate",
        MountPropagation::HostToContainer => "rslave",
        MountPropagation::Bidirectional => "rshared",
    };
    let access = match (mount.read_only, mount.recursive_read_only) {
        (true, true) => "rro",
        (true, false) => "ro",
        (false, _) => "rw",
    };
    oci::Mount {
        destination: mount.container_path.clone(),
        kind: "bind".to_owned(),
        source: mount.host_path.clone(),
        options: ["rbind", propagation, access].map(str::to_owned).to_vec(),
    }
}

fn linux(inputs: &Inputs<'_>) -> Result<Linux, String> {
    let security = &inputs.config.linux.security;
    let paths = |paths: &[String]| -> Vec<PathBuf> {
        if security.privileged { Vec::new() } else { paths.iter().map(PathBuf::from).collect() }
    };
    let devices = devices::nodes(inputs)?;
    let mut mounts = inputs.config.mounts.iter();
    let shared = mounts.any(|mount| mount.propagation == MountPropagation::Bidirectional);
    Ok(Linux {
        cgroups_path: inputs.cgroup.to_owned(),
        namespaces: namespaces(inputs),
        masked_paths: paths(&security.masked_paths),
        readonly_paths: paths(&security.readonly_paths),
        resources: oci::Resources {
            devices: devices::rules(inputs, &devices),
            ..limits(&inputs.config.linux.resources)
        },
        devices,
        rootfs_propagation: shared.then_some(Propagation::Shared),
    })
}

/// Network, IPC and host name are those of the supervisor, which the container inherits.
fn namespaces(inputs: &Inputs<'_>) -> Vec<Namespace> {
    let new = |kind| Namespace { kind, path: None };
    let mut namespaces = vec![new(NamespaceKind::Mount)];
    if inputs.config.linux.security.namespaces.pid != NamespaceMode::Node {
        let path = inputs.pid_namespace.as_ref().map(PathBuf::from);
        namespaces.push(Namespace { kind: NamespaceKind::Pid, path });
    }
    if inputs.unified {
        namespaces.push(new(NamespaceKind::Cgroup));
    }
    namespaces
}

/// cgroup limits in OCI's form; what is not set is not mentioned.
pub(super) fn limits(resources: &Resources) -> oci::Resources {
    let huge = resources.hugepage_limits.iter();
    oci::Resources {
        devices: Vec::new(),
        memory: Memory { limit: resources.memory_limit.filter(|limit| *limit != 0) },
        cpu: Cpu {
            shares: resources.cpu_shares,
            quota: resources.cpu_quota,
            period: resources.cpu_period,
            cpus: resources.cpuset_cpus.clone(),
            mems: resources.cpuset_mems.clone(),
        },
        pids: resources.pids_limit.map(|limit| Pids { limit }),
        // The kernel writes `2MB` for what Kubernetes writes `2Mi`.
        hugepage_limits: huge
            .map(|(size, limit)| HugepageLimit { page_size: size.replace('i', "B"), limit: *limit })
            .collect(),
        unified: resources.unified.clone(),
    }
}
