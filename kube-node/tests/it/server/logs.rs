use http::{Method, StatusCode};
use http_body_util::BodyExt;
use kube_node::runtime::fake::Script;

use super::node::{Node, api_server, within};

const LOG: &str = "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:30Z stdout P tw\n\
    2026-01-01T00:00:30Z stdout F o\n2026-01-01T00:00:50Z stderr F three\n";

fn write(node: &Node, name: &str, text: &str) {
    use std::io::Write;
    let path = node.logs.path().join(name);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn every_option_of_a_log_is_understood() {
    let node = Node::start(Script::default()).await;
    let missing = node.get("/containerLogs/default/web/app").await;
    assert_eq!(missing.0, StatusCode::NOT_FOUND, "before the log is there: {missing:?}");
    write(&node, "0.log", LOG);
    let stamped = "2026-01-01T00:00:00Z one\n2026-01-01T00:00:30Z two\n2026-01-01T00:00:50Z three\n";
    let cases = [
        ("", "one\ntwo\nthree\n"),
        ("?follow=false", "one\ntwo\nthree\n"),
        ("?tailLines=0", ""),
        ("?tailLines=1", "three\n"),
        ("?limitBytes=5", "one\nt"),
        ("?timestamps=true", stamped),
        ("?sinceTime=2026-01-01T00:00:30Z", "two\nthree\n"),
        ("?sinceSeconds=15", "three\n"),
        ("?tailLines=3&limitBytes=3&timestamps=0&unknown=x", "two"),
    ];
    for (query, expected) in cases {
        let answer = node.get(&format!("/containerLogs/default/web/app{query}")).await;
        assert_eq!(answer, (StatusCode::OK, expected.to_owned()), "{query}");
    }
    for (name, value) in [("follow", "x"), ("tailLines", "-1"), ("limitBytes", "0"), ("sinceSeconds", "0")] {
        let answer = node.get(&format!("/containerLogs/default/web/app?{name}={value}")).await;
        let expected = format!("invalid value {value:?} for parameter {name}");
        assert_eq!(answer, (StatusCode::BAD_REQUEST, expected));
    }
}

#[tokio::test]
async fn the_previous_instance_has_its_own_log() {
    let node = Node::start(Script::default()).await;
    write(&node, "0.log", LOG);
    let previous = "/containerLogs/default/web/app?previous=true&tailLines=1";
    let none = "previous terminated container \"app\" in pod \"web\" not found".to_owned();
    assert_eq!(node.get(previous).await, (StatusCode::BAD_REQUEST, none));
    node.runtime.exit(&node.app, 1);
    assert_eq!(
        node.get(previous).await,
        (StatusCode::OK, "three\n".into()),
        "while it waits for its restart"
    );
    node.run(1).await;
    write(&node, "1.log", "2026-01-01T00:00:55Z stdout F again\n");
    assert_eq!(node.get(previous).await, (StatusCode::OK, "three\n".into()));
    assert_eq!(node.get("/containerLogs/default/web/app").await, (StatusCode::OK, "again\n".into()));
}

#[tokio::test]
async fn a_log_is_followed_to_the_container_s_end() {
    let node = Node::start(Script::default()).await;
    write(&node, "0.log", LOG);
    let answer = node.ask(Method::GET, "/containerLogs/default/web/app?follow=true", api_server()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    let (mut body, mut seen) = (answer.into_body(), String::new());
    write(&node, "0.log", "2026-01-01T00:00:59Z stdout F last\n");
    while !seen.ends_with("last\n") {
        let frame = within(body.frame()).await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    assert_eq!(seen, "one\ntwo\nthree\nlast\n");
    node.runtime.exit(&node.app, 0);
    assert!(within(body.frame()).await.is_none(), "it ends with the container");
}
