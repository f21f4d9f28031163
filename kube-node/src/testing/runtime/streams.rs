use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{LIMIT, RuntimeHarness, SuitePod, within};
use crate::Error;
use crate::seam::{ContainerConfig, ContainerId, ContainerState, ExecOutput, ExecRequest, SandboxId};

fn request(command: &[String]) -> ExecRequest {
    ExecRequest { command: command.to_vec(), stdout: true, stderr: true, ..ExecRequest::default() }
}

pub(super) async fn a_command_has_input_and_output(harness: &RuntimeHarness) {
    let pod = harness.pod("cat").await;
    let id = pod.run("c", &harness.polite).await;
    let with_input = ExecRequest { stdin: true, ..request(&harness.cat) };
    let mut session = harness.runtime.exec(&id, with_input).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    let text = "line\n".repeat(40_000);
    let write = async {
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    };
    let (mut stdout, mut read) = (session.stdout.take().unwrap(), vec![0; text.len()]);
    let copied = async { tokio::join!(write, stdout.read_exact(&mut read)).1 };
    within("what goes in comes out", copied).await.unwrap();
    assert!(read == text.as_bytes(), "what goes in comes out as it is");
    if harness.ends_input {
        stdin.shutdown().await.unwrap();
        let mut more = Vec::new();
        within("the output ends", stdout.read_to_end(&mut more)).await.unwrap();
        assert_eq!(more, b"", "nothing more comes out");
        assert_eq!(within("the command ends", session.exit).await.unwrap(), 0);
    }
    pod.remove().await;
}

pub(super) async fn only_the_streams_asked_for_are_there(harness: &RuntimeHarness) {
    let pod = harness.pod("asked").await;
    let id = pod.run("c", &harness.polite).await;
    let there = async |request: ExecRequest| {
        let session = harness.runtime.exec(&id, request).await.unwrap();
        (
            session.stdin.is_some(),
            session.stdout.is_some(),
            session.stderr.is_some(),
            session.resize.is_some(),
        )
    };
    let all = ExecRequest { stdin: true, ..request(&harness.cat) };
    assert_eq!(there(all.clone()).await, (true, true, true, false));
    assert_eq!(
        there(ExecRequest { stdin: false, stderr: false, ..all.clone() }).await,
        (false, true, false, false)
    );
    assert_eq!(there(ExecRequest { tty: true, ..all }).await, (true, true, false, true), "with a terminal");
    pod.remove().await;
}

pub(super) async fn a_command_has_an_exit_code(harness: &RuntimeHarness) {
    let pod = harness.pod("code").await;
    let id = pod.run("c", &harness.polite).await;
    let mut session = harness.runtime.exec(&id, request(&harness.fails)).await.unwrap();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let (mut out, mut err) = (session.stdout.take().unwrap(), session.stderr.take().unwrap());
    let both = async { tokio::join!(out.read_to_string(&mut stdout), err.read_to_string(&mut stderr)) };
    let _ = within("the outputs end", both).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(within("the command ends", session.exit).await.unwrap(), 5);
    let output = harness.runtime.exec_sync(&id, &harness.fails, LIMIT).await.unwrap();
    let expected = ExecOutput { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec(), exit_code: 5 };
    assert_eq!(output, expected);
    pod.remove().await;
}

pub(super) async fn a_command_has_a_deadline(harness: &RuntimeHarness) {
    let pod = harness.pod("deadline").await;
    let id = pod.run("c", &harness.polite).await;
    let late = harness.runtime.exec_sync(&id, &harness.lasts, Duration::from_secs(1)).await;
    assert!(matches!(late, Err(Error::Deadline(_))), "a command that takes too long: {late:?}");
    assert_eq!(pod.container(&id).await.state, ContainerState::Running, "the container goes on");
    pod.remove().await;
}

pub(super) async fn need_a_running_container(harness: &RuntimeHarness) {
    let pod = harness.pod("running").await;
    let (created, ended) =
        (pod.create("created", &harness.polite).await, pod.run("ended", &harness.exits).await);
    pod.ended(&ended).await;
    for (id, what) in [(&created, "a created container"), (&ended, "an exited container")] {
        for refused in attempts(&pod, id).await {
            assert!(matches!(refused, Error::Conflict(_)), "streams of {what}: {refused:?}");
        }
    }
    for refused in attempts(&pod, &ContainerId("none".into())).await {
        assert!(matches!(refused, Error::NotFound { .. }), "streams of none: {refused:?}");
    }
    let forwarded = harness.runtime.port_forward(&SandboxId("none".into()), 80).await.err();
    let fits = matches!(forwarded, Some(Error::NotFound { .. } | Error::Unsupported(_)));
    assert!(fits, "a port of none: {forwarded:?}");
    pod.remove().await;
}

/// The errors of everything that needs a running container.
async fn attempts(pod: &SuitePod<'_>, id: &ContainerId) -> [Error; 3] {
    let (runtime, cat) = (&pod.harness.runtime, &pod.harness.cat);
    let attach = ExecRequest { command: Vec::new(), ..request(cat) };
    [
        runtime.exec(id, request(cat)).await.expect_err("exec is refused"),
        runtime.exec_sync(id, cat, LIMIT).await.expect_err("exec is refused"),
        runtime.attach(id, attach).await.expect_err("attach is refused"),
    ]
}

pub(super) async fn attaching_lasts_as_long_as_the_container(harness: &RuntimeHarness) {
    let pod = harness.pod("attach").await;
    let config = ContainerConfig { stdin: true, ..pod.config("c", &harness.echoes).await };
    let id = harness.runtime.create_container(&pod.id, &config, &pod.config).await.unwrap();
    harness.runtime.start_container(&id).await.unwrap();
    let attach = ExecRequest { stdin: true, ..request(&[]) };
    let session = async || {
        let mut session = harness.runtime.attach(&id, attach.clone()).await.unwrap();
        session.stdin.as_mut().unwrap().write_all(b"hello\n").await.unwrap();
        session.stdin.as_mut().unwrap().flush().await.unwrap();
        let mut line = [0; 6];
        within("a line comes back", session.stdout.as_mut().unwrap().read_exact(&mut line)).await.unwrap();
        assert_eq!(&line, b"hello\n");
        session
    };
    drop(session().await);
    assert_eq!(
        pod.container(&id).await.state,
        ContainerState::Running,
        "detaching leaves the container alone"
    );
    let session = session().await;
    harness.runtime.stop_container(&id, Duration::ZERO, None).await.unwrap();
    assert_eq!(within("the session ends with the container", session.exit).await.unwrap(), 137);
    pod.remove().await;
}
