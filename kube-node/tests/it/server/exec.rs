use kube_node::runtime::fake::{Command, Script};
use kube_node::seam::ExecOutput;
use serde_json::json;

use super::node::Node;

const V4: &str = "v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";

/// A container in which the command `fails -x` does.
fn script() -> Script {
    let output = ExecOutput { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec(), exit_code: 5 };
    let command = ["fails", "-x"].map(str::to_owned).to_vec();
    Script { commands: [(command, Command { output, ..Command::default() })].into(), ..Script::default() }
}

#[tokio::test]
async fn outputs_and_exit_code_come_on_channels_of_their_own() {
    let node = Node::start(script()).await;
    for protocol in [V4, V5] {
        let path = "/exec/default/web/app?command=fails&command=-x&output=1&error=1";
        let (outputs, status) = node.open(path, protocol).await.unwrap().rest().await;
        assert_eq!(outputs, ["out\n", "err\n"], "{protocol}");
        assert_eq!((&status["status"], &status["reason"]), (&json!("Failure"), &json!("NonZeroExitCode")));
        assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "5"}]));
    }
    let only_errors = "/exec/default/web/app?command=fails&command=-x&error=1";
    assert_eq!(node.open(only_errors, V5).await.unwrap().rest().await.0, ["", "err\n"]);
}

#[tokio::test]
async fn input_goes_in_and_its_end_is_told_in_the_fifth_version() {
    let node = Node::start(script()).await;
    let path = "/exec/default/web/app?command=cat&input=1&output=1";
    let mut session = node.open(path, "v5.channel.k8s.io, v4.channel.k8s.io").await.unwrap();
    assert_eq!(session.protocol, V5, "the client's first choice");
    session.send(0, b"one ").await;
    assert_eq!(session.next().await, (1, "one ".into()));
    session.send(9, b"ignored").await;
    session.send(0, b"two").await;
    session.send(255, &[0]).await;
    let (outputs, status) = session.rest().await;
    assert_eq!((outputs, &status["status"]), (["two".into(), String::new()], &json!("Success")));
}

#[tokio::test]
async fn the_fourth_version_knows_no_end_of_input() {
    let node = Node::start(script()).await;
    let path = "/exec/default/web/app?command=cat&stdin=true&stdout=true";
    let mut session = node.open(path, V4).await.unwrap();
    assert_eq!(session.protocol, V4);
    session.send(255, &[0]).await;
    session.send(0, b"still read").await;
    assert_eq!(session.next().await, (1, "still read".into()));
}

#[tokio::test]
async fn a_terminal_has_one_output_and_a_size() {
    let node = Node::start(script()).await;
    let path = "/exec/default/web/app?command=fails&command=-x&tty=1&input=1&output=1&error=1";
    let mut session = node.open(path, V5).await.unwrap();
    assert_eq!(session.next().await, (1, "out\n".into()));
    session.send(4, br#"{"Width":80,"Height":24}"#).await;
    assert_eq!(session.next().await, (1, "24 80\n".into()));
    session.send(255, &[0]).await;
    let (outputs, status) = session.rest().await;
    assert_eq!(outputs, ["", ""], "no separate errors");
    assert_eq!(status["details"]["causes"][0]["message"], "5");
}

#[tokio::test]
async fn attaching_lasts_as_long_as_the_container() {
    let node = Node::start(script()).await;
    let mut session = node.open("/attach/default/web/app?input=1&output=1", V5).await.unwrap();
    session.send(0, b"hello").await;
    assert_eq!(session.next().await, (1, "hello".into()));
    node.runtime.exit(&node.app, 7);
    let (_, status) = session.rest().await;
    assert_eq!(status["details"]["causes"][0]["message"], "7");
}
