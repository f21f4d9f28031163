//! Three members of the real `kube-store` in network namespaces of their own, under load while things go wrong.
//!
//! The test runs itself again in a namespace that has the cable ends of all members, so nothing touches the machine's own
//! network, and everything is gone with the processes.

mod cluster;
mod load;

use std::io::Write;
use std::process::Command;

use self::cluster::Cluster;
use self::load::Load;

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
    ["ip", "nsenter", "unshare", "etcdctl"]
        .into_iter()
        .find(|tool| !is_there(tool))
        .map(|tool| format!("{tool} is not installed"))
}

/// Runs a test of this binary again in a network namespace of its own.
fn run_inside(test: &str) {
    if let Some(why) = missing() {
        // The harness would swallow what is printed.
        std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).unwrap();
        return;
    }
    let status = Command::new("unshare")
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its namespace");
}

#[test]
fn nothing_acknowledged_is_lost_whatever_fails() {
    if std::env::var_os(INSIDE).is_none() {
        return run_inside("store_group::nothing_acknowledged_is_lost_whatever_fails");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut cluster = Cluster::start().await;
        let load = Load::start(cluster.endpoints());
        members_fail(&mut cluster, &load).await;
        members_are_cut_off(&cluster, &load).await;
        members_are_restarted(&mut cluster, &load).await;
        a_member_is_replaced(&mut cluster, &load).await;
        let seen = load.stop().await;
        seen.check(&cluster.endpoints()).await;
    });
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
