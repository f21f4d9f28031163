//! Keys, watches and leases.

use std::process::Stdio;

use kube_store::{LeaseRequest, LeaseResponse, Store, StoreExt, WatchRequest};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::Served;

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes() {
    let Some(served) = Served::start().await else { return };
    assert_eq!(served.ok(&["put", "/a", "1"]).await, "OK\n");
    assert_eq!(served.ok(&["put", "/a", "2", "--prev-kv"]).await, "OK\n/a\n1\n");
    served.ok(&["put", "/b", "3"]).await;
    assert_eq!(served.ok(&["get", "/a"]).await, "/a\n2\n");
    assert_eq!(
        served.ok(&["get", "/", "--prefix", "--keys-only", "--order=DESCEND", "--sort-by=KEY"]).await,
        "/b\n\n/a\n\n"
    );
    assert_eq!(served.ok(&["get", "/a", "--rev=2"]).await, "/a\n1\n");
    assert_eq!(served.ok(&["get", "", "--from-key", "--limit=1", "--print-value-only"]).await, "2\n");
    let txn = "mod(\"/a\") = \"3\"\nvalue(\"/b\") > \"2\"\n\nput /c made\ndel /b\n\nget /a\n\n";
    let (success, text) = served.run(&["txn"], txn).await;
    assert!(success && text.starts_with("SUCCESS\n\nOK\n\n1\n"), "{text}");
    let kv = served.store.get("/c").await.unwrap().unwrap();
    assert_eq!((kv.value.as_ref(), kv.mod_revision), (&b"made"[..], 5));
    assert_eq!(served.ok(&["del", "/", "--prefix"]).await, "2\n");
    assert_eq!(served.ok(&["compaction", "5"]).await, "compacted revision 5\n");
    let (success, text) = served.run(&["get", "/a", "--rev=3"], "").await;
    assert!(!success && text.contains("required revision has been compacted"), "{text}");
    let (success, text) = served.run(&["get", "/a", "--rev=99"], "").await;
    assert!(!success && text.contains("required revision is a future revision"), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases() {
    let Some(served) = Served::start().await else { return };
    let granted = served.ok(&["lease", "grant", "600"]).await;
    assert!(granted.contains("granted with TTL(600s)"), "{granted}");
    let LeaseResponse::Leases(ids) = served.store.lease(LeaseRequest::List).await.unwrap() else {
        panic!("no list")
    };
    let id = format!("{:x}", ids[0]);
    served.ok(&["put", "/leased", "1", "--lease", &id]).await;
    assert!(served.ok(&["lease", "list"]).await.contains(&id));
    assert!(served.ok(&["lease", "keep-alive", "--once", &id]).await.contains("keepalived with TTL(600)"));
    assert!(served.ok(&["lease", "timetolive", &id, "--keys"]).await.contains("attached keys([/leased])"));
    assert!(served.ok(&["lease", "revoke", &id]).await.contains("revoked"));
    assert_eq!(served.store.get("/leased").await.unwrap(), None);
    assert!(served.ok(&["lease", "timetolive", &id]).await.contains("already expired"));
    let (success, text) = served.run(&["put", "/leased", "1", "--lease", &id], "").await;
    assert!(!success && text.contains("requested lease not found"), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches() {
    let Some(served) = Served::start().await else { return };
    served.store.put("/w/a", "old").await.unwrap();
    let mut child = served
        .command(&["watch", "/w/", "--prefix", "--rev=2", "--prev-kv"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for wanted in ["PUT", "/w/a", "old"] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(wanted));
    }
    served.store.put("/elsewhere", "x").await.unwrap();
    served.store.put("/w/a", "new").await.unwrap();
    served.store.delete("/w/a").await.unwrap();
    for wanted in ["PUT", "/w/a", "old", "/w/a", "new", "DELETE", "/w/a", "new", "/w/a", ""] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(wanted));
    }
    child.kill().await.unwrap();
    let revision = served.store.revision().await.unwrap();
    served.store.compact(revision).await.unwrap();
    let (success, text) = served.run(&["watch", "/w/", "--prefix", "--rev=2"], "").await;
    assert!(!success && text.contains("required revision has been compacted"), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flag_of_get() {
    let Some(served) = Served::start().await else { return };
    for (key, value) in [("a", "3"), ("b", "2"), ("b/1", "1"), ("c", "0")] {
        served.ok(&["put", key, value]).await;
    }
    served.ok(&["put", "a", "9"]).await;
    for (args, wanted) in [
        (&["get", "b", "--prefix", "--keys-only"][..], "b\n\nb/1\n\n"),
        (&["get", "a", "c", "--print-value-only"], "9\n2\n1\n"),
        (&["get", "", "--prefix", "--limit=2", "--print-value-only"], "9\n2\n"),
        (&["get", "", "--prefix", "--sort-by=VALUE", "--order=ASCEND", "--print-value-only"], "0\n1\n2\n9\n"),
        (
            &[
                "get",
                "",
                "--prefix",
                "--sort-by=MODIFY",
                "--order=DESCEND",
                "--limit=1",
                "--print-value-only",
            ],
            "9\n",
        ),
        (
            &[
                "get",
                "",
                "--prefix",
                "--sort-by=CREATE",
                "--order=DESCEND",
                "--limit=1",
                "--print-value-only",
            ],
            "0\n",
        ),
        (
            &[
                "get",
                "",
                "--prefix",
                "--sort-by=VERSION",
                "--order=DESCEND",
                "--limit=1",
                "--print-value-only",
            ],
            "9\n",
        ),
        (&["get", "a", "--rev=2", "--print-value-only"], "3\n"),
        (&["get", "b/", "--from-key", "--consistency=s", "--print-value-only"], "1\n0\n"),
    ] {
        assert_eq!(served.ok(args).await, wanted, "{args:?}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_runs_a_program_for_each_event() {
    let Some(served) = Served::start().await else { return };
    served.store.put("/w", "1").await.unwrap();
    let script = "echo saw $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE";
    let mut child = served
        .command(&["watch", "/w", "--rev=2", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("the program runs");
        if line.starts_with("saw") {
            assert_eq!(line, "saw \"PUT\" \"/w\" \"1\"");
            break;
        }
    }
    child.kill().await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_typed_in() {
    let Some(served) = Served::start().await else { return };
    served.store.put("/a", "1").await.unwrap();
    let typed =
        "create(\"/a\") > \"1\"\nversion(\"/none\") = \"0\"\n\nput /b \"two words\"\nget /a\n\ndel /a\n\n";
    let (success, text) = served.run(&["txn", "-i"], typed).await;
    assert!(success, "{text}");
    for wanted in ["compares:", "success requests (get, put, del):", "failure requests (get, put, del):"] {
        assert!(text.contains(wanted), "{text}");
    }
    assert!(text.ends_with("SUCCESS\n\nOK\n\n/a\n1\n"), "{text}");
    let (success, text) =
        served.run(&["txn", "-i"], "value(\"/b\") = \"one\"\n\nput /c 1\n\ndel /b\n\n").await;
    assert!(success && text.ends_with("FAILURE\n\n1\n"), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_are_typed_in() {
    let Some(served) = Served::start().await else { return };
    for (key, value) in [("/a", "1"), ("/b/x", "2")] {
        served.store.put(key, value).await.unwrap();
    }
    let mut child = served
        .command(&["watch", "-i"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for (typed, told) in
        [("watch /a --rev=2\n", ["PUT", "/a", "1"]), ("watch --rev=2 --prefix /b/\n", ["PUT", "/b/x", "2"])]
    {
        tokio::io::AsyncWriteExt::write_all(&mut stdin, typed.as_bytes()).await.unwrap();
        for wanted in told {
            assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(wanted));
        }
    }
    child.kill().await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_follows() {
    let (Some(served), Some(copy)) = (Served::start().await, Served::start().await) else { return };
    for n in 0..20 {
        served.store.put(format!("/m/{n}"), n.to_string()).await.unwrap();
    }
    served.store.put("/other", "1").await.unwrap();
    let address = copy.endpoint.trim_start_matches("http://");
    let mut child = served
        .command(&["make-mirror", address, "--prefix=/m/", "--dest-prefix=/n/"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut changes = copy.store.watch(WatchRequest::prefix("/n/").from_revision(1)).await.unwrap();
    let mut told = async |number: usize| {
        let mut seen = 0;
        while seen < number {
            seen += futures::StreamExt::next(&mut changes).await.unwrap().unwrap().events.len();
        }
    };
    told(20).await;
    served.store.put("/m/0", "changed").await.unwrap();
    served.store.delete("/m/1").await.unwrap();
    told(2).await;
    let copied = copy.store.list("/").await.unwrap().kvs;
    assert_eq!((copied.len(), copied[0].value.as_ref()), (19, &b"changed"[..]));
    child.kill().await.unwrap();
    served.stop().await;
    copy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_kept_alive_until_it_is_revoked() {
    let Some(served) = Served::start().await else { return };
    let granted = served.ok(&["lease", "grant", "2"]).await;
    let id = granted.split(' ').nth(1).unwrap();
    let mut child = served.command(&["lease", "keep-alive", id]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert_eq!(line, format!("lease {id} keepalived with TTL(2)"));
    }
    served.ok(&["lease", "revoke", id]).await;
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    assert_eq!(last, format!("lease {id} expired or revoked."));
    child.wait().await.unwrap();
    served.stop().await;
}
