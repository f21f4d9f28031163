//! Exec, attach and port-forward.

use std::time::Duration;

use kube_node::Error;
use kube_node::seam::{ExecRequest, ExecSession, Runtime, TerminalSize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::node::{Node, in_network, script, skip};

fn command(words: &[&str]) -> ExecRequest {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    ExecRequest { command, stdout: true, stderr: true, ..ExecRequest::default() }
}

async fn finish(session: ExecSession) -> (String, i32) {
    let mut text = String::new();
    if let Some(mut stdout) = session.stdout {
        stdout.read_to_string(&mut text).await.unwrap();
    }
    (text, session.exit.await.unwrap())
}

#[tokio::test]
async fn root_exec_has_input_output_and_an_exit_code() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id = node.run(&pod, script("c", "sleep 1000")).await;
    let output = node
        .runtime
        .exec_sync(
            &id,
            &["sh", "-c", "echo a; echo b >&2; exit 5"].map(str::to_owned),
            Duration::from_secs(20),
        )
        .await;
    let output = output.unwrap();
    assert_eq!((output.stdout, output.stderr, output.exit_code), (b"a\n".to_vec(), b"b\n".to_vec(), 5));
    let mut session = node.runtime.exec(&id, ExecRequest { stdin: true, ..command(&["cat"]) }).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    let big = "x".repeat(300_000);
    let text = big.clone();
    tokio::spawn(async move {
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.shutdown().await.unwrap();
    });
    assert_eq!(finish(session).await, (big, 0));
    node.finish().await;
}

#[tokio::test]
async fn root_an_exec_that_cannot_run_or_takes_too_long_is_an_error() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id = node.run(&pod, script("c", "sleep 1000")).await;
    let error = node.runtime.exec(&id, command(&["nothing-like-that"])).await.unwrap_err();
    assert!(error.to_string().contains("nothing-like-that"), "{error}");
    let slow = ["sh", "-c", "echo $$ > /pid; sleep 1000"].map(str::to_owned);
    let error = node.runtime.exec_sync(&id, &slow, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error}");
    // The process is killed with its session.
    let check =
        ["sh", "-c", "read pid < /pid; while test -d /proc/$pid; do sleep 0.02; done"].map(str::to_owned);
    let output = node.runtime.exec_sync(&id, &check, Duration::from_secs(20)).await.unwrap();
    assert_eq!(output.exit_code, 0);
    node.finish().await;
}

#[tokio::test]
async fn root_exec_with_a_terminal_has_its_size() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let id = node.run(&pod, script("c", "sleep 1000")).await;
    let request =
        ExecRequest { tty: true, stdin: true, ..command(&["sh", "-c", "read go; tty; stty size; exit 4"]) };
    let mut session = node.runtime.exec(&id, request).await.unwrap();
    session.resize.as_ref().unwrap().send(TerminalSize { width: 123, height: 45 }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut stdin = session.stdin.take().unwrap();
    stdin.write_all(b"go\n").await.unwrap();
    let (text, code) = finish(session).await;
    assert!(text.contains("/dev/pts/") && text.contains("45 123"), "{text}");
    assert_eq!(code, 4);
    node.finish().await;
}

#[tokio::test]
async fn root_attach_joins_a_containers_terminal() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let mut config = script("c", "read word; echo got $word; exit 9");
    (config.tty, config.stdin) = (true, true);
    let id = node.run(&pod, config).await;
    let request = ExecRequest { stdin: true, stdout: true, tty: true, ..ExecRequest::default() };
    let mut session = node.runtime.attach(&id, request).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    stdin.write_all(b"hello\n").await.unwrap();
    let (text, code) = finish(session).await;
    assert!(text.contains("got hello"), "{text}");
    assert_eq!(code, 9);
    assert!(node.log(&id).await.iter().any(|line| line.contains("got hello")));
    node.finish().await;
}

#[tokio::test]
async fn root_a_port_of_the_pods_loopback_can_be_reached() {
    if skip() {
        return;
    }
    let node = Node::start().await;
    let pod = node.sandbox("web").await;
    let netns = node.dir.path().join("run/netns").join(&pod.0.0);
    let server = in_network(&netns, || {
        let listener = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut socket, _) = listener.accept().unwrap();
            let mut text = String::new();
            socket.read_to_string(&mut text).unwrap();
            socket.write_all(text.to_uppercase().as_bytes()).unwrap();
        })
    });
    let server = server.join().unwrap();
    let mut stream = node.runtime.port_forward(&pod.0, 8080).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "HELLO");
    server.join().unwrap();
    assert!(node.runtime.port_forward(&pod.0, 8081).await.is_err());
    node.finish().await;
}
