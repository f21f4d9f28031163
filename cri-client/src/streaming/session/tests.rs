use std::time::Duration;

use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::*;

type Runtime = WebSocketStream<DuplexStream>;

/// A session and the runtime's side of its connection.
async fn connected() -> (Session, Runtime) {
    let (ours, theirs) = duplex(4 << 10);
    #[expect(clippy::result_large_err, reason = "the callback's type is given")]
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("v5.channel.k8s.io"));
        Ok(response)
    };
    let opened = open_over(ours, "http://runtime/exec/token");
    let (session, runtime) = tokio::join!(opened, accept_hdr_async(theirs, choose));
    (session.unwrap(), runtime.unwrap())
}

/// What the runtime receives until the connection ends.
async fn until_the_end(mut runtime: Runtime) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    while let Some(Ok(message)) = runtime.next().await {
        received.push(message.into_data().to_vec());
    }
    received
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap()
}

#[tokio::test]
async fn dropping_every_part_closes_the_connection() {
    let (mut session, runtime) = connected().await;
    session.stdin.write_all(b"last words").await.unwrap();
    drop(session);
    let received = in_time(until_the_end(runtime)).await;
    assert_eq!(received, [b"\0last words".to_vec(), vec![frame::CLOSE, frame::STDIN]]);
}

#[tokio::test]
async fn an_output_alone_keeps_the_session_open() {
    let (Session { mut stdout, .. }, mut runtime) = connected().await;
    let end = in_time(runtime.next()).await.unwrap().unwrap();
    assert_eq!(end.into_data().as_ref(), [frame::CLOSE, frame::STDIN]);
    runtime.send(Message::binary(frame::data(frame::STDERR, b"nobody reads"))).await.unwrap();
    runtime.send(Message::binary(frame::data(frame::STDOUT, b"still here"))).await.unwrap();
    let mut output = [0; 10];
    in_time(stdout.read_exact(&mut output)).await.unwrap();
    assert_eq!(&output, b"still here");
    drop(stdout);
    assert!(in_time(until_the_end(runtime)).await.is_empty());
}

#[tokio::test]
async fn the_exit_alone_keeps_the_session_open() {
    let (Session { exit, .. }, mut runtime) = connected().await;
    let end = in_time(runtime.next()).await.unwrap().unwrap();
    assert_eq!(end.into_data().as_ref(), [frame::CLOSE, frame::STDIN]);
    let status = br#"{"status":"Success"}"#;
    runtime.send(Message::binary(frame::data(frame::STATUS, status))).await.unwrap();
    drop(runtime);
    assert_eq!(in_time(exit).await, Ok(Exit::Code(0)));
}

#[tokio::test]
async fn terminal_sizes_alone_keep_the_session_open() {
    let (Session { resize, .. }, mut runtime) = connected().await;
    let end = in_time(runtime.next()).await.unwrap().unwrap();
    assert_eq!(end.into_data().as_ref(), [frame::CLOSE, frame::STDIN]);
    resize.send(TerminalSize { width: 80, height: 24 }).await.unwrap();
    drop(resize);
    let received = in_time(until_the_end(runtime)).await;
    assert_eq!(received, [frame::resize(TerminalSize { width: 80, height: 24 })]);
}
