//! The implementations in memory against the conformance suites.

#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use kube_node::Clock;
use kube_node::runtime::fake::{Command, FakeRuntime, Script};
use kube_node::seam::{ExecOutput, Runtime};
use kube_node::testing::{
    FakeNetwork, FakeStorage, NetworkHarness, RuntimeHarness, StorageHarness, Workload, image_suite,
    network_suite, runtime_suite, storage_suite,
};

/// The fake runtime does by image what others do by command.
async fn runtime() -> (FakeRuntime, impl Fn(&str) -> Workload) {
    let runtime = FakeRuntime::new(Clock::system(), vec!["10.1.0.0/24".parse().unwrap()]);
    let output = ExecOutput { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec(), exit_code: 5 };
    let lasts = Command { takes: Duration::from_secs(1000), ..Command::default() };
    let commands = [
        (vec!["fails".to_owned()], Command { output, ..Command::default() }),
        (vec!["lasts".to_owned()], lasts),
    ];
    let up = Script { logs: vec!["up".into()], commands: commands.into(), ..Script::default() };
    let hour = Duration::from_secs(3600);
    let scripts = [
        ("deaf", Script { stop_takes: hour, ..up.clone() }),
        ("exits", Script { run_for: Some(Duration::ZERO), exit_code: 3, ..up.clone() }),
        ("echoes", Script { logs: Vec::new(), ..up.clone() }),
        ("broken", Script { start_error: Some("no such file".into()), ..up.clone() }),
        ("polite", up),
    ];
    for (name, script) in scripts {
        runtime.images().pull(name, None).await.unwrap();
        runtime.script(name, script);
    }
    (runtime, |image: &str| Workload { image: image.into(), command: Vec::new() })
}

#[tokio::test(start_paused = true)]
async fn the_fake_runtime_keeps_the_contract() {
    let logs = tempfile::tempdir().unwrap();
    let (runtime, workload) = runtime().await;
    let harness = RuntimeHarness {
        runtime: Arc::new(runtime),
        logs: logs.path().to_owned(),
        cgroup_parent: String::new(),
        polite: workload("polite"),
        deaf: workload("deaf"),
        exits: workload("exits"),
        echoes: workload("echoes"),
        broken: workload("broken"),
        cat: vec!["cat".into()],
        fails: vec!["fails".into()],
        lasts: vec!["lasts".into()],
        ends_input: true,
    };
    runtime_suite(&harness).await;
}

#[tokio::test]
async fn the_fake_images_keep_the_contract() {
    let (runtime, _) = runtime().await;
    let absent = Script { pull_error: Some("no such registry".into()), ..Script::default() };
    runtime.script(kube_node::testing::ABSENT_IMAGE, absent);
    image_suite(&*runtime.images(), "docker.io/library/polite:latest").await;
}

#[tokio::test]
async fn the_fake_network_keeps_the_contract() {
    network_suite(&NetworkHarness::new(Arc::new(FakeNetwork::default()), ["/netns/a", "/netns/b"])).await;
}

#[tokio::test]
async fn the_fake_storage_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    let storage = FakeStorage::new("fake.example.com", scratch.path().join("volumes"));
    storage_suite(&StorageHarness::new(Arc::new(storage), "data", scratch.path().join("node"))).await;
}
