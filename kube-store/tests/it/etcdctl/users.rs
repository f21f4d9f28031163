//! Users and roles.

use super::Served;

/// Calls as somebody.
macro_rules! as_user {
    ($user:literal, $($arg:expr),*) => { &["--user", $user, $($arg),*] };
}

async fn with_users() -> Option<Served> {
    let served = Served::start().await?;
    for args in [
        &["user", "add", "root:secret"][..],
        &["role", "add", "root"],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "web"],
        &["role", "grant-permission", "web", "read", "/web/", "--prefix"],
        &["role", "grant-permission", "web", "readwrite", "/web/own"],
        &["role", "grant-permission", "web", "write", "/mail"],
        &["user", "add", "alice:pw"],
        &["user", "grant-role", "alice", "web"],
        &["put", "/web/a", "1"],
        &["put", "/secret", "1"],
    ] {
        served.ok(args).await;
    }
    assert_eq!(served.ok(&["auth", "enable"]).await, "Authentication Enabled\n");
    Some(served)
}

#[tokio::test(flavor = "multi_thread")]
async fn users_may_what_their_roles_say() {
    let Some(served) = with_users().await else { return };
    served.fails(&["get", "/web/a"], "user name is empty").await;
    served.fails(as_user!("alice:wrong", "get", "/web/a"), "authentication failed").await;
    served.fails(as_user!("bob:pw", "get", "/web/a"), "authentication failed").await;
    assert_eq!(served.ok(as_user!("alice:pw", "get", "/web/a")).await, "/web/a\n1\n");
    served.ok(as_user!("alice:pw", "get", "/web/", "--prefix")).await;
    served.ok(as_user!("alice:pw", "put", "/web/own", "1")).await;
    served.ok(as_user!("root:secret", "get", "", "--prefix")).await;
    let user = served.ok(as_user!("alice:pw", "user", "get", "alice")).await;
    assert!(user.contains("web"), "{user}");
    served.ok(as_user!("alice:pw", "role", "get", "web")).await;
    served.fails(as_user!("root:secret", "role", "delete", "root"), "invalid auth management").await;
    served.ok(as_user!("root:secret", "role", "revoke-permission", "web", "/web/", "--prefix")).await;
    served.fails(as_user!("alice:pw", "get", "/web/a"), "permission denied").await;
    served.ok(as_user!("root:secret", "user", "revoke-role", "alice", "web")).await;
    served.fails(as_user!("alice:pw", "put", "/web/own", "1"), "permission denied").await;
    served.ok(as_user!("root:secret", "user", "delete", "alice")).await;
    served.fails(as_user!("alice:pw", "get", "/web/own"), "authentication failed").await;
    served.ok(as_user!("root:secret", "auth", "disable")).await;
    served.ok(&["get", "/web/a"]).await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_around_a_permission_is_denied() {
    let Some(served) = with_users().await else { return };
    let lease = served.ok(as_user!("root:secret", "lease", "grant", "600")).await;
    let lease = lease.split(' ').nth(1).unwrap().to_owned();
    served.ok(as_user!("root:secret", "put", "/secret", "1", "--lease", &lease)).await;
    let with_lease = format!("--lease={lease}");
    for args in [
        &as_user!("alice:pw", "get", "/secret")[..],
        as_user!("alice:pw", "get", "/web/a", "/z"),
        as_user!("alice:pw", "get", "/web/a", "--from-key"),
        as_user!("alice:pw", "get", "", "--prefix"),
        as_user!("alice:pw", "put", "/web/a", "1"),
        as_user!("alice:pw", "put", "/mail", "1", "--prev-kv"),
        as_user!("alice:pw", "put", "/web/own", "1", &with_lease),
        as_user!("alice:pw", "lease", "revoke", &lease),
        as_user!("alice:pw", "lease", "timetolive", &lease, "--keys"),
        as_user!("alice:pw", "del", "/web/own", "/z"),
        as_user!("alice:pw", "watch", "/web/a", "/z"),
        as_user!("alice:pw", "watch", "/secret"),
        as_user!("alice:pw", "compaction", "2"),
        as_user!("alice:pw", "snapshot", "save", "/dev/null"),
        as_user!("alice:pw", "endpoint", "hashkv"),
        as_user!("alice:pw", "defrag"),
        as_user!("alice:pw", "alarm", "list"),
        as_user!("alice:pw", "move-leader", "1"),
        as_user!("alice:pw", "member", "remove", "1"),
        as_user!("alice:pw", "user", "add", "eve:pw"),
        as_user!("alice:pw", "user", "get", "root"),
        as_user!("alice:pw", "role", "grant-permission", "web", "read", "/secret"),
        as_user!("alice:pw", "auth", "disable"),
    ] {
        let (success, text) = served.run(args, "").await;
        assert!(text.contains("permission denied") && !(success && text.contains("OK")), "{args:?}: {text}");
    }
    // Neither in a list that is done nor in one that is not.
    for txn in [
        "\nput /web/own 1\nget /secret\n\n\n",
        "value(\"/secret\") = \"1\"\n\nput /web/own 1\n\n\n",
        "\nput /web/own 1\n\nget /secret\n\n",
    ] {
        let (success, text) = served.run(as_user!("alice:pw", "txn"), txn).await;
        assert!(!success && text.contains("permission denied"), "{txn:?}: {text}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_are_listed_and_changed() {
    let Some(served) = Served::start().await else { return };
    served.ok(&["user", "add", "ann:first"]).await;
    served.ok(&["user", "add", "--no-password", "by-certificate"]).await;
    assert_eq!(served.ok(&["user", "list"]).await, "ann\nby-certificate\n");
    let (success, text) = served.run(&["user", "passwd", "ann", "--interactive=false"], "second\n").await;
    assert!(success && text.contains("Password updated"), "{text}");
    for role in ["reader", "writer"] {
        served.ok(&["role", "add", role]).await;
    }
    assert_eq!(served.ok(&["role", "list"]).await, "reader\nwriter\n");
    for (kind, key) in
        [("read", &["/a"][..]), ("readwrite", &["/b/", "--prefix"]), ("write", &["/c", "--from-key"])]
    {
        served.ok(&[&["role", "grant-permission", "reader", kind], key].concat()).await;
    }
    let role = served.ok(&["role", "get", "reader"]).await;
    for wanted in ["KV Read:", "/a", "[/b/, /b0) (prefix /b/)", "KV Write:", "[/c, <open ended>"] {
        assert!(role.contains(wanted), "{role}");
    }
    served.ok(&["role", "revoke-permission", "reader", "/c", "--from-key"]).await;
    assert!(!served.ok(&["role", "get", "reader"]).await.contains("/c"));
    served.ok(&["user", "grant-role", "ann", "reader"]).await;
    assert!(served.ok(&["user", "get", "ann", "--detail"]).await.contains("KV Read:"));
    served.ok(&["role", "delete", "reader"]).await;
    assert!(!served.ok(&["user", "get", "ann"]).await.contains("reader"));
    served.fails(&["role", "get", "reader"], "role name not found").await;
    served.fails(&["role", "add", "writer"], "role name already exists").await;
    served.fails(&["user", "grant-role", "bob", "writer"], "user name not found").await;
    served.fails(&["auth", "enable"], "root user does not exist").await;
    served.ok(&["user", "add", "root:secret"]).await;
    served.ok(&["role", "add", "root"]).await;
    served.ok(&["user", "grant-role", "root", "root"]).await;
    served.ok(&["auth", "enable"]).await;
    served.fails(as_user!("ann:first", "get", "/a"), "authentication failed").await;
    served.fails(as_user!("ann:second", "get", "/a"), "permission denied").await;
    served.ok(as_user!("root:secret", "auth", "disable")).await;
    served.stop().await;
}
