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
    let image = ImageConfig { entrypoint: vec!["e".into()], cmd: vec!["c".into()], ..ImageConfig::default() };
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
    let shm: Vec<&oci::Mount> =
        mounts.iter().filter(|mount| mount.destination == Path::new("/dev/shm")).collect();
    assert_eq!(shm, [&special("/dev/shm", "bind", "/x", &["rbind", "rprivate", "ro"])]);
}

#[test]
fn a_folder_is_mounted_before_what_is_in_it() {
    let mount = |path: &str| Mount { container_path: path.into(), ..Mount::default() };
    let config = ContainerConfig {
        mounts: vec![mount("/data/x"), mount("/data"), mount("/dev")],
        ..ContainerConfig::default()
    };
    let (image, identity) = (ImageConfig::default(), Identity::default());
    let mounts = mounts(&inputs(&config, &image, &identity));
    let at = |path: &str| mounts.iter().position(|mount| mount.destination == Path::new(path)).unwrap();
    assert!(at("/data") < at("/data/x") && at("/dev") < at("/dev/pts"));
}

#[test]
fn the_specification_is_one_of_oci() {
    let config = ContainerConfig { command: vec!["x".into()], ..ContainerConfig::default() };
    let (image, identity) = (ImageConfig::default(), Identity::default());
    let spec = build(&inputs(&config, &image, &identity)).unwrap();
    let json = serde_json::to_value(&spec).unwrap();
    for (pointer, expected) in [
        ("/ociVersion", "1.0.2".into()),
        ("/process/user/additionalGids", serde_json::json!([])),
        ("/process/noNewPrivileges", false.into()),
        ("/root/path", "rootfs".into()),
        ("/mounts/0/type", "proc".into()),
        ("/linux/namespaces/1", serde_json::json!({"type": "pid"})),
        ("/linux/resources/devices/0", serde_json::json!({"allow": false, "access": "rwm"})),
        ("/linux/resources/devices/1/type", "c".into()),
    ] {
        assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(serde_json::from_value::<Spec>(json).unwrap(), spec);
}

#[test]
fn a_localhost_seccomp_profile_is_refused_and_not_skipped() {
    let mut config = ContainerConfig { command: vec!["x".into()], ..ContainerConfig::default() };
    let (image, identity) = (ImageConfig::default(), Identity::default());
    assert!(build(&inputs(&config, &image, &identity)).is_ok());
    config.linux.security.seccomp = SecurityProfile::Localhost("/p.json".into());
    assert!(build(&inputs(&config, &image, &identity)).unwrap_err().contains("seccomp"));
}
