//! What etcdctl builds out of keys, leases and watches.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::Served;

/// Starts etcdctl and answers it with its first line.
async fn first_line(served: &Served, args: &[&str]) -> (Child, String) {
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
    interrupt(&mut holder).await;
    let output = waiter.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "got it\n");
    served.stop().await;
}

/// Asks etcdctl to end, which then gives back what it holds.
async fn interrupt(child: &mut Child) {
    let pid = child.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    child.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_is_elected_and_followed() {
    let Some(served) = Served::start().await else { return };
    let (mut leader, key) = first_line(&served, &["elect", "office", "me"]).await;
    assert!(key.starts_with("office/"), "{key}");
    let mut listener =
        served.command(&["elect", "--listen", "office"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    for wanted in [&key, "me"] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(wanted));
    }
    let mut next = served.command(&["elect", "office", "you"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut elected = BufReader::new(next.stdout.take().unwrap()).lines();
    interrupt(&mut leader).await;
    let key = elected.next_line().await.unwrap().unwrap();
    for wanted in [&key, "you"] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(wanted));
    }
    interrupt(&mut next).await;
    listener.kill().await.unwrap();
    served.stop().await;
}
