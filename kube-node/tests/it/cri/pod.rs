use std::time::Duration;

use futures::StreamExt;
use kube_node::Error;
use kube_node::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerReason, ContainerState, ContainerStatus,
    ExecRequest, ImageService, NamespaceMode, PodRef, Runtime, RuntimeEventKind, SandboxConfig,
    SandboxFilter, SandboxId, SandboxState,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::containerd::{Containerd, IMAGE};

const LIMIT: Duration = Duration::from_secs(30);

fn sandbox_config(containerd: &Containerd) -> SandboxConfig {
    SandboxConfig {
        pod: PodRef { namespace: "default".into(), name: "web".into(), uid: "uid-1".into() },
        hostname: "web".into(),
        log_dir: containerd.dir.path().join("logs"),
        labels: [("io.kubernetes.pod.uid".to_owned(), "uid-1".to_owned())].into(),
        annotations: [("note".to_owned(), "kept".to_owned())].into(),
        ..SandboxConfig::default()
    }
}

fn script(name: &str, script: &str) -> ContainerConfig {
    let mut config = ContainerConfig {
        name: name.into(),
        image: IMAGE.into(),
        user_image: "busybox".into(),
        command: ["/bin/busybox", "sh", "-c", script].map(String::from).to_vec(),
        log_path: format!("{name}/0.log").into(),
        labels: [("io.kubernetes.container.name".to_owned(), name.to_owned())].into(),
        ..ContainerConfig::default()
    };
    config.linux.security.namespaces.pid = NamespaceMode::Container;
    config
}

async fn run(
    runtime: &dyn Runtime,
    pod: &(SandboxId, SandboxConfig),
    config: &ContainerConfig,
) -> ContainerId {
    let id = runtime.create_container(&pod.0, config, &pod.1).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    id
}

async fn look(runtime: &dyn Runtime, id: &ContainerId) -> ContainerStatus {
    runtime.containers(&ContainerFilter::by_id(id.clone())).await.unwrap().remove(0)
}

/// Waits for the event that says so, then looks.
async fn ended(runtime: &dyn Runtime, id: &ContainerId) -> ContainerStatus {
    let mut events = runtime.events();
    let wait = async {
        while look(runtime, id).await.state != ContainerState::Exited {
            while events.next().await.unwrap().kind != RuntimeEventKind::ContainerExited(id.clone()) {}
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap();
    look(runtime, id).await
}

/// One containerd serves the whole life of a pod: starting it takes longer than everything that is asked of it.
#[tokio::test]
async fn root_cri_a_pod_lives_and_dies_in_containerd() {
    let Some(containerd) = Containerd::start().await else { return };
    let runtime = &containerd.runtime;
    let config = sandbox_config(&containerd);
    let pod = (runtime.run_sandbox(&config).await.unwrap(), config);
    a_sandbox_is_listed(runtime, &pod.0).await;
    output_and_exit_code_are_kept(runtime, &pod).await;
    what_does_not_start_says_why(runtime, &pod).await;
    attached_streams_end_with_the_container(runtime, &pod).await;

    let long = run(runtime, &pod, &script("long", "trap 'exit 9' TERM; while :; do sleep 0.1; done")).await;
    commands_run(runtime, &long).await;
    streams_carry_input_and_the_exit_code(runtime, &long).await;
    dropping_a_session_ends_it(runtime, &long).await;
    refusals_are_conflicts(runtime, &pod, &long).await;
    assert_eq!(runtime.stats(&ContainerFilter::by_id(long.clone())).await.unwrap()[0].id, long);
    runtime.reopen_log(&long).await.unwrap();
    runtime.set_pod_cidrs(&["10.214.0.0/24".parse().unwrap()]).await.unwrap();
    let info = runtime.info().await.unwrap();
    assert!(info.name == "containerd" && info.ready && info.network_ready, "{info:?}");
    runtime.stop_container(&long, Duration::from_secs(20), None).await.unwrap();
    assert_eq!(ended(runtime, &long).await.exit_code, 9);
    everything_ends_more_than_once(runtime, &pod.0, &long).await;
    images_are_known(runtime).await;
}

async fn a_sandbox_is_listed(runtime: &dyn Runtime, id: &SandboxId) {
    let listed = runtime.sandboxes(&SandboxFilter::of_pod("uid-1")).await.unwrap();
    assert_eq!((listed.len(), &listed[0].id, listed[0].state), (1, id, SandboxState::Ready));
    assert_eq!((listed[0].pod.name.as_str(), listed[0].annotations["note"].as_str()), ("web", "kept"));
    assert!(listed[0].ips[0].to_string().starts_with("10.214.0."), "{listed:?}");
    assert!(runtime.sandboxes(&SandboxFilter::of_pod("other")).await.unwrap().is_empty());
}

async fn output_and_exit_code_are_kept(runtime: &dyn Runtime, pod: &(SandboxId, SandboxConfig)) {
    let id = run(runtime, pod, &script("short", "echo out; echo err >&2; hostname; exit 3")).await;
    let status = ended(runtime, &id).await;
    assert_eq!((status.exit_code, status.reason), (3, ContainerReason::Error));
    assert_eq!((&status.sandbox, status.name.as_str()), (&pod.0, "short"));
    assert_eq!(status.labels["io.kubernetes.container.name"], "short");
    assert!(status.started_at.unwrap() <= status.finished_at.unwrap());
    let log = std::fs::read_to_string(&status.log_path).unwrap();
    for line in [" stdout F out\n", " stderr F err\n", " stdout F web\n"] {
        assert!(log.contains(line), "{line:?} is in {log}");
    }
}

async fn what_does_not_start_says_why(runtime: &dyn Runtime, pod: &(SandboxId, SandboxConfig)) {
    let config = ContainerConfig { command: vec!["/no/such".into()], ..script("broken", "") };
    let id = runtime.create_container(&pod.0, &config, &pod.1).await.unwrap();
    let error = runtime.start_container(&id).await.unwrap_err();
    assert!(matches!(&error, Error::Failed(message) if message.contains("no such file")), "{error:?}");
    assert_eq!(look(runtime, &id).await.reason, ContainerReason::StartError);
}

async fn attached_streams_end_with_the_container(runtime: &dyn Runtime, pod: &(SandboxId, SandboxConfig)) {
    let config =
        ContainerConfig { stdin: true, ..script("attached", "read line; echo got $line; read line; exit 4") };
    let id = run(runtime, pod, &config).await;
    let request = ExecRequest { stdin: true, stdout: true, ..ExecRequest::default() };
    let mut session = runtime.attach(&id, request).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    stdin.write_all(b"input\n").await.unwrap();
    let mut output = [0; 10];
    session.stdout.as_mut().unwrap().read_exact(&mut output).await.unwrap();
    assert_eq!(&output, b"got input\n");
    // Only now: what is printed right before the end may be lost by containerd.
    stdin.write_all(b"end\n").await.unwrap();
    assert_eq!(session.exit.await.unwrap(), 4);
}

async fn commands_run(runtime: &dyn Runtime, id: &ContainerId) {
    let command = |script: &str| ["/bin/busybox", "sh", "-c", script].map(String::from).to_vec();
    let output = runtime.exec_sync(id, &command("echo hello; exit 7"), LIMIT).await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.exit_code), (b"hello\n".as_slice(), 7));
    let late = runtime.exec_sync(id, &command("sleep 1000"), Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(late, Error::Deadline(_)), "{late:?}");
}

fn session(script: &str) -> ExecRequest {
    let command = ["/bin/busybox", "sh", "-c", script].map(String::from).to_vec();
    ExecRequest { command, tty: false, stdin: true, stdout: true, stderr: true }
}

async fn streams_carry_input_and_the_exit_code(runtime: &dyn Runtime, id: &ContainerId) {
    let mut session = runtime.exec(id, session("read line; echo got $line; exit 5")).await.unwrap();
    session.stdin.as_mut().unwrap().write_all(b"input\n").await.unwrap();
    let mut output = String::new();
    session.stdout.take().unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "got input\n");
    assert_eq!(session.exit.await.unwrap(), 5);
}

async fn dropping_a_session_ends_it(runtime: &dyn Runtime, id: &ContainerId) {
    let mut open =
        runtime.exec(id, session("echo up; read line; echo over > /over; sleep 1000")).await.unwrap();
    let mut output = [0; 3];
    open.stdout.as_mut().unwrap().read_exact(&mut output).await.unwrap();
    let mut stdout = open.stdout.take().unwrap();
    drop(open);
    let ended = tokio::time::timeout(LIMIT, stdout.read(&mut output)).await.unwrap();
    assert_eq!(ended.unwrap(), 0, "the connection is closed");
    let listing = ["/bin/busybox", "ps", "-o", "args"].map(String::from);
    let killed = async {
        loop {
            let listed = runtime.exec_sync(id, &listing, LIMIT).await.unwrap().stdout;
            if !String::from_utf8_lossy(&listed).contains("read line") {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, killed).await.unwrap();
}

async fn refusals_are_conflicts(runtime: &dyn Runtime, pod: &(SandboxId, SandboxConfig), id: &ContainerId) {
    let again = runtime.start_container(id).await.unwrap_err();
    assert!(matches!(again, Error::Conflict(_)), "{again:?}");
    let twin = runtime.create_container(&pod.0, &script("long", ""), &pod.1).await.unwrap_err();
    assert!(matches!(twin, Error::Conflict(_)), "{twin:?}");
    let nowhere = SandboxId("none".into());
    let homeless = runtime.create_container(&nowhere, &script("x", ""), &pod.1).await.unwrap_err();
    assert!(homeless.is_not_found(), "{homeless:?}");
    let missing = runtime.exec(&ContainerId("none".into()), session("")).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing:?}");
}

async fn everything_ends_more_than_once(runtime: &dyn Runtime, pod: &SandboxId, id: &ContainerId) {
    let dead = runtime.exec(id, session("")).await.unwrap_err();
    assert!(matches!(dead, Error::Conflict(_)), "{dead:?}");
    for _ in 0..2 {
        runtime.remove_container(id).await.unwrap();
    }
    for _ in 0..2 {
        runtime.stop_sandbox(pod).await.unwrap();
    }
    assert_eq!(runtime.sandboxes(&SandboxFilter::default()).await.unwrap()[0].state, SandboxState::NotReady);
    for _ in 0..2 {
        runtime.remove_sandbox(pod).await.unwrap();
    }
    assert!(runtime.sandboxes(&SandboxFilter::default()).await.unwrap().is_empty());
    assert!(runtime.containers(&ContainerFilter::default()).await.unwrap().is_empty());
    runtime.stop_container(id, Duration::ZERO, None).await.unwrap();
}

async fn images_are_known(runtime: &dyn Runtime) {
    let images: std::sync::Arc<dyn ImageService> = runtime.images();
    let status = images.status(IMAGE).await.unwrap().unwrap();
    assert!(status.repo_tags.contains(&IMAGE.to_owned()) && status.size > 0, "{status:?}");
    assert_eq!(status.uid(), Some(0));
    assert!(images.status("localhost/none:1").await.unwrap().is_none());
    let error = images.pull("localhost:1/none:1", None).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_) | Error::Unavailable { .. }), "{error:?}");
    for _ in 0..2 {
        images.remove(&status.id).await.unwrap();
    }
    assert!(images.list().await.unwrap().is_empty());
}
