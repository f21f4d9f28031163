//! What happens when the agent or a supervisor is killed.

use std::time::Duration;

use futures::StreamExt;
use kube_node::seam::{
    ContainerReason, ContainerState, Mount, Runtime, RuntimeEventKind, SandboxFilter, SandboxState,
};

use super::node::{Node, kill_supervisors, script, skip};

#[tokio::test]
async fn root_pods_are_adopted_by_the_next_agent() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let gate = node.dir.path().join("gate");
    std::fs::create_dir(&gate).unwrap();
    let lasting = node.run(&pod, script("lasting", "echo up; while :; do sleep 0.02; done")).await;
    let mut config = script("brief", "while ! test -e /gate/open; do sleep 0.02; done; exit 6");
    config.mounts =
        vec![Mount { host_path: gate.clone(), container_path: "/gate".into(), ..Mount::default() }];
    let brief = node.run(&pod, config).await;
    node.logged(&lasting, "up").await;
    let before = node.status(&lasting).await;
    let state = node.dir.path().join("sandboxes").join(&pod.0.0).join("state.json");
    let node = node
        .restart_after(|| {
            // Ends while no agent is there; the supervisor writes it down.
            std::fs::write(gate.join("open"), "").unwrap();
            while !std::fs::read_to_string(&state).unwrap().contains("\"code\":6") {
                std::thread::yield_now();
            }
        })
        .await;
    let status = node.status(&brief).await;
    assert_eq!((status.state, status.exit_code), (ContainerState::Exited, 6));
    assert_eq!(node.status(&lasting).await, before);
    let output =
        node.runtime.exec_sync(&lasting, &["hostname".to_owned()], Duration::from_secs(20)).await.unwrap();
    assert_eq!(output.stdout, b"web\n");
    let second = node.run(&pod, script("second", "exit 0")).await;
    assert_eq!(node.ended(&second).await.exit_code, 0);
    node.runtime.stop_container(&lasting, Duration::ZERO, None).await.unwrap();
    node.finish().await;
}

#[tokio::test]
async fn root_a_killed_supervisor_takes_its_pod_down_and_says_so() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id = node.run(&pod, script("c", "echo up; sleep 1000")).await;
    node.logged(&id, "up").await;
    let mut events = node.runtime.events();
    kill_supervisors(node.dir.path());
    let gone = async {
        while events.next().await.unwrap().kind != RuntimeEventKind::SandboxChanged(pod.0.clone()) {}
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    let status = node.status(&id).await;
    assert_eq!((status.state, status.reason), (ContainerState::Exited, ContainerReason::Error));
    let sandboxes = node.runtime.sandboxes(&SandboxFilter::default()).await.unwrap();
    assert_eq!(sandboxes.iter().map(|sandbox| sandbox.state).collect::<Vec<_>>(), [SandboxState::NotReady]);
    node.finish().await;
}

#[tokio::test]
async fn root_an_exit_is_an_event() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let mut events = node.runtime.events();
    let pod = node.sandbox("web").await;
    let id = node.run(&pod, script("c", "exit 0")).await;
    let expected = [
        RuntimeEventKind::SandboxChanged(pod.0.clone()),
        RuntimeEventKind::ContainerCreated(id.clone()),
        RuntimeEventKind::ContainerStarted(id.clone()),
        RuntimeEventKind::ContainerExited(id.clone()),
    ];
    let mut seen = Vec::new();
    while !expected.iter().all(|kind| seen.contains(kind)) {
        let event = tokio::time::timeout(Duration::from_secs(20), events.next())
            .await
            .expect("every event comes")
            .unwrap();
        assert_eq!(event.pod_uid, pod.1.pod.uid);
        seen.push(event.kind);
    }
    node.finish().await;
}

#[tokio::test]
async fn root_a_rotated_log_is_continued_in_a_new_file() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let mut config = script("c", "while read line; do echo $line; done");
    config.stdin = true;
    let id = node.run(&pod, config).await;
    let request = kube_node::seam::ExecRequest { stdin: true, ..Default::default() };
    let mut session = node.runtime.attach(&id, request).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"one\n").await.unwrap();
    node.logged(&id, "one").await;
    let path = node.status(&id).await.log_path;
    std::fs::rename(&path, path.with_extension("log.1")).unwrap();
    node.runtime.reopen_log(&id).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, b"two\n").await.unwrap();
    node.logged(&id, "two").await;
    assert!(!node.log(&id).await.iter().any(|line| line.ends_with("one")));
    node.finish().await;
}
