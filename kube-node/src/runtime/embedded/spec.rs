//! A container's configuration as an OCI runtime specification (version 1.0.2), as JSON: what libcontainer reads.

use std::path::Path;

use serde_json::{Value, json};

use super::capability;
use super::identity::Identity;
use crate::image::ImageConfig;
use crate::seam::{
    ContainerConfig, Device, Mount, MountPropagation, NamespaceMode, Resources, SecurityProfile,
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
pub(super) fn build(inputs: &Inputs<'_>) -> Result<Value, String> {
    let security = &inputs.config.linux.security;
    if let SecurityProfile::Localhost(profile) = &security.seccomp
        && !security.privileged
    {
        return Err(format!("seccomp profile {profile:?}: this runtime has no localhost profiles"));
    }
    if let SecurityProfile::Localhost(profile) = &security.apparmor {
        return Err(format!("AppArmor profile {profile:?}: this runtime has no localhost profiles"));
    }
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": process(inputs)?,
        "root": {"path": "rootfs", "readonly": security.readonly_rootfs},
        "mounts": mounts(inputs),
        "linux": linux(inputs)?,
    }))
}

fn process(inputs: &Inputs<'_>) -> Result<Value, String> {
    let (config, image) = (inputs.config, inputs.image);
    let security = &config.linux.security;
    let args = arguments(config, image);
    if args.is_empty() {
        return Err("no command specified".to_owned());
    }
    let capabilities =
        capability::resolve(&security.capabilities, security.privileged, inputs.own_capabilities)?;
    let directory =
        [&config.working_dir, &image.working_dir].into_iter().find(|directory| !directory.is_empty());
    Ok(json!({
        "terminal": config.tty,
        "user": {"uid": inputs.identity.uid, "gid": inputs.identity.gid, "additionalGids": inputs.identity.groups},
        "args": args,
        "env": environment(inputs),
        "cwd": directory.map_or("/", String::as_str),
        "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        "noNewPrivileges": security.no_new_privs,
    }))
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

fn mounts(inputs: &Inputs<'_>) -> Vec<Value> {
    let privileged = inputs.config.linux.security.privileged;
    let access = if privileged { "rw" } else { "ro" };
    let special = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    let mut mounts = vec![
        special("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        special("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        special(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        special("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        special("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        special("/sys", "sysfs", &["nosuid", "noexec", "nodev", access]),
        special("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
    ];
    for file in ["resolv.conf", "hostname"] {
        let source = inputs.sandbox.join(file);
        let options = if inputs.config.linux.security.readonly_rootfs {
            ["rbind", "rprivate", "ro"]
        } else {
            ["rbind", "rprivate", "rw"]
        };
        mounts.push(json!({"destination": format!("/etc/{file}"), "type": "bind", "source": source, "options": options}));
    }
    let own: Vec<&Path> = inputs.config.mounts.iter().map(|mount| mount.container_path.as_path()).collect();
    mounts.retain(|mount| {
        !own.iter().any(|path| mount["destination"].as_str().is_some_and(|known| Path::new(known) == *path))
    });
    mounts.extend(inputs.config.mounts.iter().map(bind));
    mounts
}

fn bind(mount: &Mount) -> Value {
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
    json!({"destination": mount.container_path, "type": "bind", "source": mount.host_path, "options": ["rbind", propagation, access]})
}

fn linux(inputs: &Inputs<'_>) -> Result<Value, String> {
    let security = &inputs.config.linux.security;
    let (masked, readonly) = if security.privileged {
        (&[][..], &[][..])
    } else {
        (&security.masked_paths[..], &security.readonly_paths[..])
    };
    let devices = devices(inputs)?;
    let shared =
        |wanted: MountPropagation| inputs.config.mounts.iter().any(|mount| mount.propagation == wanted);
    let mut linux = json!({
        "cgroupsPath": inputs.cgroup,
        "namespaces": namespaces(inputs),
        "maskedPaths": masked,
        "readonlyPaths": readonly,
        "resources": resources(inputs, &devices),
        "devices": devices,
    });
    if shared(MountPropagation::Bidirectional) {
        linux["rootfsPropagation"] = "shared".into();
    }
    Ok(linux)
}

/// Network, IPC and host name are those of the supervisor, which the container inherits.
fn namespaces(inputs: &Inputs<'_>) -> Vec<Value> {
    let mut namespaces = vec![json!({"type": "mount"})];
    match (&inputs.config.linux.security.namespaces.pid, &inputs.pid_namespace) {
        (NamespaceMode::Node, _) => {}
        (_, Some(path)) => namespaces.push(json!({"type": "pid", "path": path})),
        (_, None) => namespaces.push(json!({"type": "pid"})),
    }
    if inputs.unified {
        namespaces.push(json!({"type": "cgroup"}));
    }
    namespaces
}

fn devices(inputs: &Inputs<'_>) -> Result<Vec<Value>, String> {
    let mut devices = Vec::new();
    for device in &inputs.config.devices {
        devices.push(node(device)?);
    }
    if inputs.config.linux.security.privileged {
        devices.extend(host_devices());
    }
    Ok(devices)
}

fn node(device: &Device) -> Result<Value, String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = std::fs::metadata(&device.host_path)
        .map_err(|error| format!("device {}: {error}", device.host_path.display()))?;
    let kind = if meta.file_type().is_block_device() { "b" } else { "c" };
    if !meta.file_type().is_block_device() && !meta.file_type().is_char_device() {
        return Err(format!("{} is not a device", device.host_path.display()));
    }
    let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    Ok(json!({
        "path": device.container_path, "type": kind, "major": major, "minor": minor,
        "fileMode": meta.mode() & 0o777, "uid": meta.uid(), "gid": meta.gid(),
    }))
}

/// The devices directly in the host's `/dev`, for privileged containers; those every container has are not repeated.
fn host_devices() -> Vec<Value> {
    const STANDARD: [&str; 8] = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let others = entries.filter(|entry| !STANDARD.contains(&&*entry.file_name().to_string_lossy()));
    let device = |path: std::path::PathBuf| Device {
        container_path: path.clone(),
        host_path: path,
        permissions: "rwm".to_owned(),
    };
    others
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .filter_map(|entry| node(&device(entry.path())).ok())
        .collect()
}

fn resources(inputs: &Inputs<'_>, devices: &[Value]) -> Value {
    let mut value = limits(&inputs.config.linux.resources);
    let mut rules = vec![json!({"allow": inputs.config.linux.security.privileged, "access": "rwm"})];
    for (device, value) in inputs.config.devices.iter().zip(devices) {
        let access = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
        rules.push(json!({"allow": true, "type": value["type"], "major": value["major"], "minor": value["minor"], "access": access}));
    }
    value["devices"] = rules.into();
    value
}

/// cgroup limits in OCI's form; what is not set is not mentioned.
pub(super) fn limits(resources: &Resources) -> Value {
    let mut value = json!({});
    let mut set = |group: &str, name: &str, number: Option<Value>| {
        if let Some(number) = number {
            value[group][name] = number;
        }
    };
    set("cpu", "shares", resources.cpu_shares.map(Value::from));
    set("cpu", "quota", resources.cpu_quota.map(Value::from));
    set("cpu", "period", resources.cpu_period.map(Value::from));
    let text = |text: &String| (!text.is_empty()).then(|| Value::from(text.clone()));
    set("cpu", "cpus", text(&resources.cpuset_cpus));
    set("cpu", "mems", text(&resources.cpuset_mems));
    set("memory", "limit", resources.memory_limit.filter(|limit| *limit != 0).map(Value::from));
    set("pids", "limit", resources.pids_limit.map(Value::from));
    if !resources.hugepage_limits.is_empty() {
        let limits =
            resources.hugepage_limits.iter().map(|(size, limit)| json!({"pageSize": size, "limit": limit}));
        value["hugepageLimits"] = limits.collect();
    }
    if !resources.unified.is_empty() {
        value["unified"] = json!(resources.unified);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs<'a>(config: &'a ContainerConfig, image: &'a ImageConfig, identity: &'a Identity) -> Inputs<'a> {
        Inputs {
            config,
            image,
            identity,
            hostname: "web-1",
            cgroup: "/kubepods/pod1/c",
            sandbox: Path::new("/data/sandboxes/s"),
            pid_namespace: None,
            own_capabilities: u64::MAX,
            unified: false,
        }
    }

    #[test]
    fn the_pods_command_replaces_the_images() {
        let image =
            ImageConfig { entrypoint: vec!["e".into()], cmd: vec!["c".into()], ..ImageConfig::default() };
        for (command, args, expected) in [
            (vec![], vec![], vec!["e", "c"]),
            (vec![], vec!["a"], vec!["e", "a"]),
            (vec!["x"], vec![], vec!["x"]),
            (vec!["x"], vec!["a"], vec!["x", "a"]),
        ] {
            let list = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
            let config =
                ContainerConfig { command: list(command), args: list(args), ..ContainerConfig::default() };
            assert_eq!(arguments(&config, &image), expected);
        }
    }

    #[test]
    fn the_environment_is_the_images_and_then_the_pods() {
        let image = ImageConfig { env: vec!["A=1".into(), "B=2".into()], ..ImageConfig::default() };
        let config = ContainerConfig { envs: vec![("B".into(), "3=4".into())], ..ContainerConfig::default() };
        let identity = Identity { home: "/srv".into(), ..Identity::default() };
        let env = environment(&inputs(&config, &image, &identity));
        assert_eq!(env, [&format!("PATH={DEFAULT_PATH}"), "HOSTNAME=web-1", "A=1", "B=3=4", "HOME=/srv"]);
    }

    #[test]
    fn a_mount_of_the_pod_replaces_a_standard_one() {
        let mount = Mount {
            host_path: "/x".into(),
            container_path: "/dev/shm".into(),
            read_only: true,
            ..Mount::default()
        };
        let config = ContainerConfig { mounts: vec![mount], ..ContainerConfig::default() };
        let (image, identity) = (ImageConfig::default(), Identity::default());
        let mounts = mounts(&inputs(&config, &image, &identity));
        let shm: Vec<&Value> = mounts.iter().filter(|mount| mount["destination"] == "/dev/shm").collect();
        assert_eq!(
            shm,
            [
                &json!({"destination": "/dev/shm", "type": "bind", "source": "/x", "options": ["rbind", "rprivate", "ro"]})
            ]
        );
    }

    #[test]
    fn a_localhost_seccomp_profile_is_refused_and_not_skipped() {
        let mut config = ContainerConfig { command: vec!["x".into()], ..ContainerConfig::default() };
        let (image, identity) = (ImageConfig::default(), Identity::default());
        assert!(build(&inputs(&config, &image, &identity)).is_ok());
        config.linux.security.seccomp = SecurityProfile::Localhost("/p.json".into());
        assert!(build(&inputs(&config, &image, &identity)).unwrap_err().contains("seccomp"));
    }
}
