use http::{Method, StatusCode};
use kube_node::runtime::fake::Script;
use kube_node::server::Peer;

use super::node::{Node, api_server, text};

#[tokio::test]
async fn only_known_clients_are_answered() {
    let node = Node::start(Script::default()).await;
    let peer = |user: &str, group: &str| Some(Peer { user: user.into(), groups: vec![group.into()] });
    let cases = [
        ("/healthz", None, StatusCode::OK, "ok"),
        ("/containerLogs/default/web/app", None, StatusCode::UNAUTHORIZED, "Unauthorized"),
        ("/exec/default/web/app?command=x", None, StatusCode::UNAUTHORIZED, "Unauthorized"),
        (
            "/containerLogs/default/web/app",
            peer("eve", "users"),
            StatusCode::FORBIDDEN,
            "Forbidden (user=eve)",
        ),
        ("/containerLogs/default/web/none", peer("root", "system:masters"), StatusCode::NOT_FOUND, MISSING),
    ];
    for (path, peer, status, expected) in cases {
        let answer = text(node.ask(Method::GET, path, peer.clone()).await).await;
        assert_eq!(answer, (status, expected.to_owned()), "{path} for {peer:?}");
    }
}

const MISSING: &str = "container \"default/web/none\" not found";

#[tokio::test]
async fn what_is_not_there_is_refused_in_words() {
    let node = Node::start(Script::default()).await;
    let no_websocket = "unable to upgrade: expected a WebSocket of version 13";
    let cases = [
        (Method::GET, "/", StatusCode::NOT_FOUND, "Not Found"),
        (Method::GET, "/pods", StatusCode::NOT_FOUND, "Not Found"),
        (Method::GET, "/containerLogs/default/web", StatusCode::NOT_FOUND, "Not Found"),
        (Method::GET, "/containerLogs/default/web/none", StatusCode::NOT_FOUND, MISSING),
        (Method::GET, "/exec/default/web/none?command=x", StatusCode::NOT_FOUND, MISSING),
        (Method::POST, "/attach/default/web/none", StatusCode::NOT_FOUND, MISSING),
        (Method::GET, "/exec/default/web/app", StatusCode::BAD_REQUEST, "Bad Request"),
        (Method::GET, "/exec/default/web/app?command=x", StatusCode::BAD_REQUEST, no_websocket),
        (Method::POST, "/attach/default/web/app", StatusCode::BAD_REQUEST, no_websocket),
        (Method::DELETE, "/exec/default/web/app", StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
        (
            Method::POST,
            "/containerLogs/default/web/app",
            StatusCode::METHOD_NOT_ALLOWED,
            "Method Not Allowed",
        ),
    ];
    for (method, path, status, expected) in cases {
        let answer = text(node.ask(method.clone(), path, api_server()).await).await;
        assert_eq!(answer, (status, expected.to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn a_session_that_cannot_begin_is_refused_before_the_upgrade() {
    let node = Node::start(Script::default()).await;
    let refused = async |path: &str, protocols| node.open(path, protocols).await.err().expect("a refusal");
    let (v5, exec) = ("v5.channel.k8s.io", "/exec/default/web/app?command=x");
    assert_eq!(
        refused("/exec/default/web/none?command=x", v5).await,
        (StatusCode::NOT_FOUND, MISSING.into())
    );
    let (status, text) = refused(exec, "base64.channel.k8s.io").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        text,
        "unable to upgrade: expected one of the subprotocols v5.channel.k8s.io, v4.channel.k8s.io"
    );
    node.runtime.exit(&node.app, 0);
    let not_running = (StatusCode::CONFLICT, "container \"app\" is not running".to_owned());
    assert_eq!(refused(exec, v5).await, not_running);
    assert_eq!(refused("/attach/default/web/app", v5).await, not_running);
}
