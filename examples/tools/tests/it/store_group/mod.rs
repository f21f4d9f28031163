//! Three members of the real `kube-store` in network namespaces of their own, under load while things go wrong.
//!
//! The test runs itself again in a namespace that has the cable ends of all members, so nothing touches the machine's own
//! network, and everything is gone with the processes.

mod clock;
mod cluster;
mod disk;
mod judge;
mod lies;
mod load;
mod network;

use std::process::Command;

use self::cluster::Cluster;
use self::load::{Load, histories};
use crate::process::skip;

/// Says that the process is in the namespace made for it.
const INSIDE: &str = "KUBE_STORE_GROUP_TEST";

/// Writes that have to be acknowledged while something is wrong, before it is mended.
const PROGRESS: usize = 100;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Why this machine cannot run the test.
fn missing() -> Option<String> {
    if !is_root() {
        return Some("it needs root, for network namespaces".into());
    }
    let is_there = |tool: &str| Command::new("which").arg(tool).output().is_ok_and(|o| o.status.success());
    ["ip", "nsenter", "unshare", "etcdctl", "mount", "nft", "tc"]
        .into_iter()
        .find(|tool| !is_there(tool))
        .map(|tool| format!("{tool} is not installed"))
}

/// Runs a test of this binary in namespaces of its own, for networks and mounts: calls itself again in them.
fn inside(test: &str, scenario: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_none() {
        return run_inside(&format!("store_group::{test}"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(scenario);
}

fn run_inside(test: &str) {
    if let Some(why) = missing() {
        return skip(test, &why);
    }
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its namespace");
}

#[test]
fn nothing_acknowledged_is_lost_whatever_fails() {
    inside("nothing_acknowledged_is_lost_whatever_fails", async {
        let mut cluster = Cluster::start().await;
        let load = Load::start(cluster.endpoints());
        members_fail(&mut cluster, &load).await;
        members_are_cut_off(&cluster, &load).await;
        members_are_restarted(&mut cluster, &load).await;
        a_member_is_replaced(&mut cluster, &load).await;
        judge(&cluster, load).await;
    });
}

/// Ends the load and looks at what was seen.
async fn judge(cluster: &Cluster, load: Load) {
    let seen = load.stop().await;
    let judged = seen.judge(&histories(&cluster.endpoints()).await);
    judged.unwrap_or_else(|defect| panic!("{defect}"));
}

#[test]
fn etcdctl_manages_the_members() {
    inside("etcdctl_manages_the_members", async {
        let mut cluster = Cluster::start().await;
        leadership_moves(&cluster).await;
        a_learner_comes_and_goes(&mut cluster).await;
        users_are_known_to_every_member(&cluster).await;
    });
}

async fn leadership_moves(cluster: &Cluster) {
    let (leader, follower) = (cluster.pick(true).await, cluster.pick(false).await);
    let (from, to) = (cluster.id(leader).await, cluster.id(follower).await);
    let said = cluster.etcdctl(leader, &["move-leader", &to]).await;
    assert_eq!(said.trim(), format!("Leadership transferred from {from} to {to}"));
    assert_eq!(cluster.pick(true).await, follower);
}

async fn a_learner_comes_and_goes(cluster: &mut Cluster) {
    let member = cluster.add_machine();
    let url = cluster.peer_url(member);
    cluster.insist(0, &["member", "add", "new", "--learner", "--peer-urls", &url], "added to cluster").await;
    let again = ["member", "add", "other", "--learner", "--peer-urls", "http://10.99.0.99:1"];
    let said = cluster.etcdctl(1, &again).await;
    assert!(said.contains("etcdserver: too many learner members in cluster"), "{said}");
    cluster.spawn(member);
    let id = cluster.listed(1, &url).await;
    // It gets a vote once it has caught up, and not before.
    cluster.insist(2, &["member", "promote", &id], "promoted in cluster").await;
    let said = cluster.etcdctl(2, &["member", "promote", &id]).await;
    assert!(said.contains("etcdserver: can only promote a learner member"), "{said}");
    cluster.in_step().await;
    cluster.insist(1, &["member", "remove", &id], "removed from cluster").await;
    assert!(cluster.ended(member).await.success(), "as etcd's, a removed member has done what it had to");
    let said = cluster.etcdctl(1, &["member", "remove", &id]).await;
    assert!(said.contains("etcdserver: member not found"), "{said}");
}

async fn users_are_known_to_every_member(cluster: &Cluster) {
    let all = cluster.endpoints()[..cluster::SIZE].join(",");
    for (member, args) in [
        (0, "user add root:pw"),
        (1, "user grant-role root root"),
        (2, "user add u:pw"),
        (0, "role add r"),
        (1, "role grant-permission r readwrite --prefix=true /u/"),
        (2, "user grant-role u r"),
        (0, "auth enable"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let said = cluster.etcdctl(member, &args).await;
        assert!(!said.contains("Error"), "{args:?}: {said}");
    }
    for member in 0..cluster::SIZE {
        cluster.insist(member, &["--user", "u:pw", "put", "/u/a", "1"], "OK").await;
        let said = cluster.etcdctl(member, &["--user", "u:pw", "put", "/other", "1"]).await;
        assert!(said.contains("etcdserver: permission denied"), "{said}");
    }
    // One token is used at all of them.
    let args = ["--endpoints", &all, "--user", "u:pw", "put", "/u/b", "1"];
    for _ in 0..cluster::SIZE {
        assert_eq!(cluster::etcdctl(&args).await.trim(), "OK");
    }
}

/// Leader and follower in turn are killed, and stopped.
async fn members_fail(cluster: &mut Cluster, load: &Load) {
    for is_leader in [true, false] {
        let member = cluster.pick(is_leader).await;
        cluster.kill(member).await;
        load.progress(PROGRESS).await;
        cluster.spawn(member);
        cluster.in_step().await;
    }
    for is_leader in [true, false] {
        let member = cluster.pick(is_leader).await;
        cluster.pause(member);
        load.progress(PROGRESS).await;
        cluster.resume(member);
        cluster.in_step().await;
    }
}

async fn members_are_cut_off(cluster: &Cluster, load: &Load) {
    for is_leader in [true, false] {
        let member = cluster.pick(is_leader).await;
        cluster.cut(member);
        load.progress(PROGRESS).await;
        cluster.join(member);
        cluster.in_step().await;
    }
}

/// One after the other in good order, and all at once in none.
async fn members_are_restarted(cluster: &mut Cluster, load: &Load) {
    for member in 0..cluster::SIZE {
        cluster.stop(member).await;
        cluster.spawn(member);
        cluster.in_step().await;
        load.progress(PROGRESS).await;
    }
    for member in 0..cluster::SIZE {
        cluster.kill(member).await;
    }
    (0..cluster::SIZE).for_each(|member| cluster.spawn(member));
    cluster.in_step().await;
    load.progress(PROGRESS).await;
}

/// A member loses its disk, and another takes its place.
async fn a_member_is_replaced(cluster: &mut Cluster, load: &Load) {
    let member = cluster.pick(false).await;
    cluster.kill(member).await;
    cluster.replace(member).await;
    cluster.in_step().await;
    load.progress(PROGRESS).await;
}
