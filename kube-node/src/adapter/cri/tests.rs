mod events;

use std::time::Duration;

use cri_client::{Error as CriError, v1};

use super::{container, error, linux, look, sandbox, session, stats};
use crate::Error;
use crate::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerReason, ContainerSecurity, ExecOutput,
    ExecRequest, Mount, MountPropagation, NamespaceMode, PodRef, PortMapping, Protocol, Resources,
    SandboxConfig, SandboxId, SandboxState, SecurityProfile,
};

fn rpc(make: fn(&'static str, String) -> CriError) -> CriError {
    make("call", "why".to_owned())
}

#[test]
fn errors_say_what_the_caller_can_do() {
    type Expected = fn(&Error) -> bool;
    let cases: [(CriError, Expected); 8] = [
        (rpc(|rpc, message| CriError::NotFound { rpc, message }), Error::is_not_found),
        (rpc(|rpc, message| CriError::AlreadyExists { rpc, message }), |e| matches!(e, Error::Conflict(_))),
        (rpc(|rpc, message| CriError::Invalid { rpc, message }), |e| matches!(e, Error::Invalid(_))),
        (
            rpc(|rpc, message| CriError::Failed { rpc, message }),
            |e| matches!(e, Error::Failed(m) if m == "why"),
        ),
        (rpc(|rpc, message| CriError::Unavailable { rpc, message }), |e| {
            matches!(e, Error::Unavailable { .. })
        }),
        (CriError::Unsupported { rpc: "call" }, |e| matches!(e, Error::Unsupported("call"))),
        (CriError::Deadline { rpc: "call", after: Duration::ZERO }, |e| matches!(e, Error::Deadline(_))),
        (CriError::Stream { context: "open".into(), source: Some("reset".into()) }, |e| {
            e.to_string() == "container runtime is unavailable: streaming session: open: reset"
        }),
    ];
    for (from, expected) in cases {
        let text = format!("{from:?}");
        let error = error::about("container", "c1")(from);
        assert!(expected(&error), "{text} became {error:?}");
    }
}

#[test]
fn what_is_gone_is_stopped_and_removed() {
    let gone = || rpc(|rpc, message| CriError::NotFound { rpc, message });
    let failed = || rpc(|rpc, message| CriError::Failed { rpc, message });
    assert!(error::gone_is_done(Ok(()), "container", "c1").is_ok());
    assert!(error::gone_is_done::<()>(Err(gone()), "container", "c1").is_ok());
    assert!(error::gone_is_done::<()>(Err(failed()), "container", "c1").is_err());
}

#[test]
fn a_sandbox_config_is_carried_over() {
    let mut config = SandboxConfig {
        pod: PodRef { namespace: "ns".into(), name: "web".into(), uid: "u1".into() },
        attempt: 2,
        hostname: "web".into(),
        log_dir: "/var/log/pods/x".into(),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ..SandboxConfig::default()
    };
    config.dns.servers = vec!["10.0.0.10".into()];
    config.port_mappings = vec![PortMapping {
        protocol: Protocol::Udp,
        container_port: 53,
        host_port: 5353,
        host_ip: Some("127.0.0.1".parse().unwrap()),
    }];
    config.linux.cgroup_parent = "/kubepods/podu1".into();
    config.linux.sysctls = [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into();
    config.linux.namespaces.network = NamespaceMode::Node;
    let made = sandbox::config(&config);
    let metadata = made.metadata.unwrap();
    assert_eq!(
        (metadata.namespace.as_str(), metadata.name.as_str(), metadata.uid.as_str(), metadata.attempt),
        ("ns", "web", "u1", 2)
    );
    assert_eq!((made.log_directory.as_str(), made.hostname.as_str()), ("/var/log/pods/x", "web"));
    assert_eq!(made.labels["a"], "b");
    assert_eq!(made.dns_config.unwrap().servers, ["10.0.0.10"]);
    let port = &made.port_mappings[0];
    assert_eq!((port.protocol(), port.container_port, port.host_port), (v1::Protocol::Udp, 53, 5353));
    assert_eq!(port.host_ip, "127.0.0.1");
    let linux = made.linux.unwrap();
    assert_eq!((linux.cgroup_parent.as_str(), linux.sysctls.len()), ("/kubepods/podu1", 1));
    let namespaces = linux.security_context.unwrap().namespace_options.unwrap();
    assert_eq!(namespaces.network(), v1::NamespaceMode::Node);
    assert_eq!(sandbox::config(&SandboxConfig::default()).dns_config, None, "the host's resolver");
}

#[test]
fn a_container_config_is_carried_over() {
    let mut config = ContainerConfig {
        name: "c".into(),
        attempt: 3,
        image: "sha256:1".into(),
        user_image: "busybox".into(),
        command: vec!["sh".into()],
        args: vec!["-c".into()],
        envs: vec![("A".into(), "1".into()), ("A".into(), "2".into())],
        log_path: "c/3.log".into(),
        ..ContainerConfig::default()
    };
    config.mounts = vec![Mount {
        host_path: "/h".into(),
        container_path: "/c".into(),
        read_only: true,
        propagation: MountPropagation::Bidirectional,
        ..Mount::default()
    }];
    let made = container::config(&config);
    let image = made.image.unwrap();
    assert_eq!((image.image.as_str(), image.user_specified_image.as_str()), ("sha256:1", "busybox"));
    assert_eq!((made.command, made.args, made.log_path.as_str()), (config.command, config.args, "c/3.log"));
    let envs: Vec<_> = made.envs.iter().map(|env| env.value.as_str()).collect();
    assert_eq!(envs, ["1", "2"], "in order, the later one wins");
    let mount = &made.mounts[0];
    assert_eq!((mount.host_path.as_str(), mount.container_path.as_str(), mount.readonly), ("/h", "/c", true));
    assert_eq!(mount.propagation(), v1::MountPropagation::PropagationBidirectional);
}

#[test]
fn limits_and_identities_are_carried_over() {
    let limits = Resources {
        cpu_shares: Some(512),
        cpu_quota: Some(-1),
        memory_limit: Some(1 << 20),
        oom_score_adj: Some(-997),
        pids_limit: Some(-1),
        ..Resources::default()
    };
    let made = linux::resources(&limits);
    assert_eq!((made.cpu_shares, made.cpu_quota, made.cpu_period), (512, -1, 0));
    assert_eq!((made.memory_limit_in_bytes, made.oom_score_adj), (1 << 20, -997));
    assert_eq!(made.unified["pids.max"], "max");
    let security = ContainerSecurity {
        run_as_user: Some(0),
        run_as_username: Some("web".into()),
        seccomp: SecurityProfile::Localhost("/p.json".into()),
        apparmor: SecurityProfile::RuntimeDefault,
        ..ContainerSecurity::default()
    };
    let made = linux::container_security(&security);
    assert_eq!((made.run_as_user.map(|id| id.value), made.run_as_username.as_str()), (Some(0), ""));
    assert_eq!((made.seccomp.unwrap().localhost_ref.as_str(), made.apparmor), ("/p.json", None));
    let target = linux::namespaces(&crate::seam::Namespaces {
        pid: NamespaceMode::Target("c1".into()),
        ..Default::default()
    });
    assert_eq!((target.pid(), target.target_id.as_str()), (v1::NamespaceMode::Target, "c1"));
}

#[test]
fn a_container_ends_for_a_reason() {
    let check = |state: v1::ContainerState, word: &str, exit_code: i32, expected: ContainerReason| {
        let status =
            v1::ContainerStatus { state: state.into(), reason: word.into(), exit_code, ..Default::default() };
        let status = container::status(SandboxId("s".into()), status);
        assert_eq!(status.reason, expected, "{word:?} {exit_code}");
    };
    use v1::ContainerState::{ContainerExited, ContainerRunning, ContainerUnknown};
    check(ContainerRunning, "", 0, ContainerReason::None);
    check(ContainerExited, "Completed", 0, ContainerReason::Completed);
    check(ContainerExited, "", 0, ContainerReason::Completed);
    check(ContainerExited, "Error", 3, ContainerReason::Error);
    check(ContainerExited, "OOMKilled", 137, ContainerReason::OomKilled);
    check(ContainerExited, "StartError", 128, ContainerReason::StartError);
    check(ContainerUnknown, "Unknown", 255, ContainerReason::Error);
}

#[test]
fn no_container_ends_before_it_starts() {
    let check = |started_at, finished_at, expected: (Option<i64>, Option<i64>)| {
        let from = v1::ContainerStatus { started_at, finished_at, ..Default::default() };
        let status = container::status(SandboxId("s".into()), from);
        assert_eq!(
            (status.started_at, status.finished_at),
            (expected.0.and_then(look::time), expected.1.and_then(look::time))
        );
    };
    check(0, 0, (None, None));
    check(5, 0, (Some(5), None));
    check(5, 7, (Some(5), Some(7)));
    check(7, 5, (Some(5), Some(5)));
    check(0, 5, (None, Some(5)));
}

#[test]
fn statuses_come_back() {
    let network = v1::PodSandboxNetworkStatus {
        ip: "10.0.0.2".into(),
        additional_ips: vec![v1::PodIp { ip: "fd00::2".into() }],
    };
    let from = v1::PodSandboxStatus {
        id: "s".into(),
        state: v1::PodSandboxState::SandboxReady.into(),
        created_at: 1_000_000_001,
        network: Some(network),
        ..Default::default()
    };
    let status = sandbox::status(from);
    assert_eq!((status.state, status.ips.len()), (SandboxState::Ready, 2));
    assert_eq!(status.created_at.as_nanosecond(), 1_000_000_001);
    let on_host = sandbox::status(v1::PodSandboxStatus::default());
    assert!(on_host.ips.is_empty(), "the host's network has no address");
    assert_eq!(look::time(0), None, "not started");
    let user = |uid, username: &str| v1::Image { uid, username: username.into(), ..Default::default() };
    assert_eq!(stats::image(user(Some(v1::Int64Value { value: 33 }), "")).uid(), Some(33));
    assert_eq!(stats::image(user(None, "web")).uid(), None);
    let exec = ExecRequest { tty: true, stdout: true, stderr: true, ..ExecRequest::default() };
    assert!(!session::exec(&ContainerId("c".into()), &exec).stderr, "a terminal has one output");
    let long = v1::ExecSyncResponse { stdout: vec![0; 20 << 10], ..Default::default() };
    assert_eq!(session::output(long).stdout.len(), ExecOutput::LIMIT);
}

#[test]
fn seconds_are_rounded_up() {
    for (millis, expected) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
        assert_eq!(look::seconds(Duration::from_millis(millis)), expected, "{millis}");
    }
    let filter = container::filter(&ContainerFilter::by_id(ContainerId("c".into())));
    assert_eq!((filter.id.as_str(), filter.state), ("c", None));
}
