//! What etcdctl builds out of keys, leases and watches.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::Served;

/// Starts etcdctl and answers it with its first line.
async fn first_line(served: &Served, args: &[&str]) -> (tokio::process::Child, String) {
    let mut child = served.command(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("etcdctl says something");
    (child, line)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_a_lock_at_a_time() {
    let Some(served) = Served::start().await else { return };
    let (mut holder, key) = first_line(&served, &["lock", "mine"]).await;
    assert!(key.starts_with("mine/"), "{key}");
    let waiting = ["lock", "mine", "--", "sh", "-c", "echo got it"];
    let mut waiter = served.command(&waiting).stdout(Stdio::piped()).spawn().unwrap();
    assert!(waiter.try_wait().unwrap().is_none());
    // etcdctl gives the lock back when it is asked to end.
    let pid = holder.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    holder.wait().await.unwrap();
    let output = waiter.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "got it\n");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_is_elected_and_followed() {
    let Some(served) = Served::start().await else { return };
    let (mut leader, key) = first_line(&served, &["elect", "office", "me"]).await;
    assert!(key.starts_with("office/"), "{key}");
    let (mut listener, line) = first_line(&served, &["elect", "--listen", "office"]).await;
    assert_eq!(line, key);
    leader.kill().await.unwrap();
    listener.kill().await.unwrap();
    served.stop().await;
}
