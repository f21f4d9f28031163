use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use cri_client::{Client, streaming, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::containerd::{Containerd, IMAGE};

fn sandbox_config(logs: &Path) -> v1::PodSandboxConfig {
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: "pod".into(),
            uid: "uid-1".into(),
            namespace: "default".into(),
            attempt: 0,
        }),
        log_directory: logs.to_string_lossy().into_owned(),
        labels: HashMap::from([("io.kubernetes.pod.name".into(), "pod".into())]),
        linux: Some(v1::LinuxPodSandboxConfig::default()),
        ..Default::default()
    }
}

async fn run(
    client: &Client,
    sandbox: &str,
    config: &v1::PodSandboxConfig,
    name: &str,
    script: &str,
) -> String {
    let container = v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: name.into(), attempt: 0 }),
        image: Some(v1::ImageSpec { image: IMAGE.into(), ..Default::default() }),
        command: vec!["/bin/busybox".into(), "sh".into(), "-c".into(), script.into()],
        log_path: format!("{name}.log"),
        linux: Some(v1::LinuxContainerConfig::default()),
        ..Default::default()
    };
    let request = v1::CreateContainerRequest {
        pod_sandbox_id: sandbox.into(),
        config: Some(container),
        sandbox_config: Some(config.clone()),
    };
    let container_id = client.create_container(request).await.expect("created").container_id;
    client
        .start_container(v1::StartContainerRequest { container_id: container_id.clone() })
        .await
        .expect("started");
    container_id
}

async fn exited(client: &Client, container_id: &str) -> v1::ContainerStatus {
    for _ in 0..600 {
        let request = v1::ContainerStatusRequest { container_id: container_id.into(), verbose: false };
        let status = client.container_status(request).await.expect("status").status.expect("a status");
        if status.state() == v1::ContainerState::ContainerExited {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the container does not end");
}

/// One containerd serves the whole life of a pod: starting it takes longer than everything that is asked of it.
#[tokio::test]
async fn root_a_pod_lives_and_dies_in_containerd() {
    let Some(containerd) = Containerd::start().await else { return };
    let client = &containerd.client;
    let logs = containerd.dir.path().join("logs");
    let config = sandbox_config(&logs);
    let request = v1::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    let sandbox = client.run_pod_sandbox(request).await.expect("the sandbox runs").pod_sandbox_id;

    let short = run(client, &sandbox, &config, "short", "echo out; echo err >&2; exit 3").await;
    assert_eq!(exited(client, &short).await.exit_code, 3);
    let log = std::fs::read_to_string(logs.join("short.log")).expect("the log is there");
    assert!(log.contains(" stdout F out\n") && log.contains(" stderr F err\n"), "{log}");

    let long = run(client, &sandbox, &config, "long", "sleep 1000").await;
    exec_returns_output_and_code(client, &long).await;
    streams_carry_stdin_and_the_exit_code(&containerd, &long).await;
    missing_things_are_not_found(client).await;

    client
        .stop_pod_sandbox(v1::StopPodSandboxRequest { pod_sandbox_id: sandbox.clone() })
        .await
        .expect("stopped");
    assert_eq!(exited(client, &long).await.exit_code, 137);
    client
        .remove_pod_sandbox(v1::RemovePodSandboxRequest { pod_sandbox_id: sandbox })
        .await
        .expect("removed");
    let left = client.list_containers(v1::ListContainersRequest::default()).await.expect("listed").containers;
    assert!(left.is_empty(), "{left:?}");
}

async fn exec_returns_output_and_code(client: &Client, container_id: &str) {
    let cmd = ["/bin/busybox", "sh", "-c", "echo hello; exit 7"].map(String::from).to_vec();
    let request = v1::ExecSyncRequest { container_id: container_id.into(), cmd, timeout: 10 };
    let output = client.exec_sync(request).await.expect("exec runs");
    assert_eq!((output.stdout.as_slice(), output.exit_code), (b"hello\n".as_slice(), 7));
}

async fn streams_carry_stdin_and_the_exit_code(containerd: &Containerd, container_id: &str) {
    let cmd = ["/bin/busybox", "sh", "-c", "read line; echo got $line; exit 5"].map(String::from).to_vec();
    let container_id = container_id.into();
    let request = v1::ExecRequest { container_id, cmd, tty: false, stdin: true, stdout: true, stderr: true };
    let url = containerd.client.exec(request).await.expect("exec is prepared").url;
    let authority = url.trim_start_matches("http://").split('/').next().expect("an authority");
    let connection = containerd.dial(authority).await;
    let mut session = streaming::open_over(connection, &url).await.expect("the session opens");
    session.stdin.write_all(b"input\n").await.expect("stdin is taken");
    let mut output = String::new();
    session.stdout.read_to_string(&mut output).await.expect("stdout is read");
    assert_eq!(output, "got input\n");
    assert_eq!(session.exit.await, Ok(streaming::Exit::Code(5)));
}

async fn missing_things_are_not_found(client: &Client) {
    let request = v1::ContainerStatusRequest { container_id: "none".into(), verbose: false };
    let error = client.container_status(request).await.expect_err("there is no such container");
    assert!(error.is_not_found(), "{error:?}");
}
