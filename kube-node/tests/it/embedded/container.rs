//! What containers are and how they end.

use std::sync::Arc;
use std::time::Duration;

use kube_node::network::{NetworkConfig, RoutedNetwork};
use kube_node::runtime::embedded::{EmbeddedConfig, EmbeddedRuntime};
use kube_node::seam::{ContainerReason, ContainerState, Mount, NamespaceMode, Runtime};

use super::node::{Node, script, skip};

#[tokio::test]
async fn root_a_container_runs_and_its_output_and_exit_code_are_kept() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id =
        node.run(&pod, script("c", "echo out; echo err >&2; hostname; id -u; printf tail; exit 3")).await;
    let status = node.ended(&id).await;
    assert_eq!((status.exit_code, status.reason), (3, ContainerReason::Error));
    assert!(status.finished_at >= status.started_at);
    let log = node.log(&id).await;
    for line in ["stdout F out", "stderr F err", "stdout F web", "stdout F 0", "stdout P tail"] {
        assert!(log.contains(&line.to_owned()), "{line:?} is in {log:?}");
    }
    node.finish().await;
}

#[tokio::test]
async fn root_a_command_that_is_not_there_is_a_start_error() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let mut config = script("c", "");
    config.command = vec!["/no/such/program".into()];
    let id = node.runtime.create_container(&pod.0, &config, &pod.1).await.unwrap();
    let error = node.runtime.start_container(&id).await.unwrap_err().to_string();
    assert!(error.contains("/no/such/program"), "{error}");
    let status = node.status(&id).await;
    assert_eq!(
        (status.state, status.exit_code, status.reason),
        (ContainerState::Exited, 128, ContainerReason::StartError)
    );
    node.finish().await;
}

#[tokio::test]
async fn root_a_container_over_its_memory_limit_is_oom_killed() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    // `tail` keeps the last line, which never ends.
    let mut config = script("c", "exec tail -n 1 /dev/zero");
    config.linux.resources.memory_limit = Some(16 << 20);
    config.linux.resources.oom_score_adj = Some(-997);
    let id = node.run(&pod, config).await;
    let status = node.ended(&id).await;
    assert_eq!((status.exit_code, status.reason), (137, ContainerReason::OomKilled));
    node.finish().await;
}

#[tokio::test]
async fn root_stopping_asks_first_and_kills_after_the_grace_time() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let polite =
        node.run(&pod, script("polite", "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done")).await;
    node.logged(&polite, "up").await;
    node.runtime.stop_container(&polite, Duration::from_secs(20), None).await.unwrap();
    assert_eq!(node.status(&polite).await.exit_code, 7);
    let deaf = node.run(&pod, script("deaf", "trap '' TERM; echo up; while :; do sleep 0.02; done")).await;
    node.logged(&deaf, "up").await;
    node.runtime.stop_container(&deaf, Duration::from_millis(100), None).await.unwrap();
    assert_eq!(node.status(&deaf).await.exit_code, 137);
    // Once more changes nothing.
    node.runtime.stop_container(&deaf, Duration::ZERO, None).await.unwrap();
    node.finish().await;
}

#[tokio::test]
async fn root_security_settings_reach_the_process() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let mut config = script(
        "c",
        "id -u; id -g; touch /x || echo readonly; cat /proc/self/status; cat /etc/resolv.conf /data/file; touch /data/y || echo ro2",
    );
    let data = node.dir.path().join("volume");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("file"), "content\n").unwrap();
    config.mounts =
        vec![Mount { host_path: data, container_path: "/data".into(), read_only: true, ..Mount::default() }];
    let security = &mut config.linux.security;
    security.run_as_username = Some("web".into());
    security.readonly_rootfs = true;
    security.no_new_privs = true;
    security.capabilities.drop = vec!["ALL".into()];
    let id = node.run(&pod, config).await;
    node.ended(&id).await;
    let log = node.log(&id).await;
    for line in [
        "F 33",
        "F readonly",
        "F content",
        "F ro2",
        "NoNewPrivs:\t1",
        "CapBnd:\t0000000000000000",
        "CapEff:\t0000000000000000",
    ] {
        assert!(log.iter().any(|known| known.ends_with(line)), "{line:?} is in {log:#?}");
    }
    node.finish().await;
}

#[tokio::test]
async fn root_containers_of_a_pod_can_share_processes() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let mut config = node.pod("web");
    config.linux.namespaces.pid = NamespaceMode::Pod;
    let pod = (node.runtime.run_sandbox(&config).await.unwrap(), config);
    let mut first = script("first", "echo up; sleep 1000");
    first.linux.security.namespaces.pid = NamespaceMode::Pod;
    let mut second = script(
        "second",
        "cat /proc/1/comm /proc/1/status /proc/*/cmdline; echo root: $(ls -A /proc/1/root).",
    );
    second.linux.security.namespaces.pid = NamespaceMode::Pod;
    let first = node.run(&pod, first).await;
    node.logged(&first, "up").await;
    let second = node.run(&pod, second).await;
    let status = node.ended(&second).await;
    let log = node.log(&second).await.concat();
    assert_eq!(status.exit_code, 0, "{log}");
    assert!(log.contains("sleep") && log.contains("kube-pause"), "{log}");
    // That process is there for the namespace only, and has nothing that a container could make use of.
    assert!(log.contains("CapBnd:\t0000000000000000") && log.contains("root: ."), "{log}");
    node.finish().await;
}

#[tokio::test]
async fn root_statistics_are_measured() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id =
        node.run(&pod, script("c", "dd if=/dev/zero of=/big bs=1024 count=512; echo up; sleep 1000")).await;
    node.logged(&id, "up").await;
    let stats = node.runtime.stats(&kube_node::seam::ContainerFilter::default()).await.unwrap();
    assert_eq!(stats.len(), 1);
    let stats = &stats[0];
    assert!(stats.cpu_nanos > 0 && stats.pids >= 1 && stats.fs_used >= 512 << 10, "{stats:?}");
    node.finish().await;
}

#[tokio::test]
async fn without_root_the_runtime_says_that_it_needs_root() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let network = RoutedNetwork::open(NetworkConfig::new(dir.path().to_owned())).unwrap();
    let config = EmbeddedConfig::new(dir.path().to_owned(), Arc::new(network));
    let error = EmbeddedRuntime::open(config).await.unwrap_err();
    assert!(error.to_string().contains("needs root"), "{error}");
}

#[tokio::test]
async fn root_an_image_in_use_keeps_its_layers() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id = node.runtime.create_container(&pod.0, &script("c", "exit 0"), &pod.1).await.unwrap();
    node.runtime.images().remove(super::node::IMAGE).await.unwrap();
    assert!(node.runtime.images().list().await.unwrap().is_empty());
    node.runtime.start_container(&id).await.unwrap();
    assert_eq!(node.ended(&id).await.exit_code, 0);
    node.finish().await;
}

#[tokio::test]
async fn root_twenty_pods_at_once_come_and_go() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let begun = tokio::time::Instant::now();
    let pods = (0..20).map(|number| {
        let node = &node;
        async move {
            let pod = node.sandbox(&format!("pod-{number}")).await;
            node.run(&pod, script("c", "echo up; sleep 1000")).await
        }
    });
    let ids = futures::future::join_all(pods).await;
    let took = begun.elapsed() / 20;
    #[expect(clippy::print_stderr, reason = "a figure to look at, not a condition")]
    {
        eprintln!("a pod with one container, twenty at once: {took:?} each");
    }
    for id in &ids {
        node.logged(id, "up").await;
    }
    node.finish().await;
}
