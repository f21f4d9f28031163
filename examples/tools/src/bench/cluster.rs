mod process;

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::PostParams;
use kube_node::shim;
use rustix::thread::UnshareFlags;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::Figure;
use super::memory::{Memory, processes};
use crate::Failure;
use examples::{client, demo_image, machine};
use process::{Cluster, Times};

/// Starts of which the median counts.
const STARTS: usize = 5;
const PODS: i32 = 100;
/// How long memory is left to settle before it is read: what a start needed is given back late.
const SETTLE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(300);

/// The `cluster` beside this binary, with the embedded runtime, in a network namespace of its own: how long it takes to start with an
/// empty folder and again over what runs already (the median of five), its memory with the demo and with 100 pods more, how long these
/// take to become ready, and the memory of a pod's supervisor. Needs root and the `ip` program.
///
/// # Errors
/// If this is not root, or the cluster does not do what it should.
pub(crate) async fn run() -> Result<Vec<Figure>, Failure> {
    if !machine::is_root() {
        return Err("bench cluster needs root".into());
    }
    let (sender, measured) = oneshot::channel();
    // Namespaces belong to threads, and everything this one starts is in its namespace too.
    std::thread::spawn(move || sender.send(in_namespace()));
    Ok(measured.await??.into_iter().map(|(name, value)| Figure::new(name, value)).collect())
}

type Figures = Vec<(&'static str, f64)>;

fn in_namespace() -> Result<Figures, Failure> {
    #[expect(deprecated, reason = "safe: the table of file descriptors is not unshared")]
    rustix::thread::unshare(UnshareFlags::NEWNET)?;
    for arguments in [
        "link set lo up",
        "link add eth0 type veth peer name eth1",
        "address add 192.0.2.10/24 dev eth0",
        "link set eth1 up",
        "link set eth0 up",
        "route add default via 192.0.2.1",
    ] {
        let done = std::process::Command::new("ip").args(arguments.split(' ')).status()?;
        if !done.success() {
            return Err(format!("ip {arguments} failed").into());
        }
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut figures = starts().await?;
        figures.extend(pods().await?);
        Ok(figures)
    })
}

async fn starts() -> Result<Figures, Failure> {
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let dir = tempfile::tempdir()?;
        for times in [&mut fresh, &mut again] {
            let mut cluster = Cluster::start(dir.path())?;
            times.push(cluster.answers().await?);
            cluster.stop().await?;
        }
        process::clean(dir.path()).await?;
    }
    let median = |of: &[Times], part: fn(&Times) -> Duration| median(of.iter().map(part).collect());
    Ok(vec![
        ("fresh-first-line-ms", median(&fresh, |times| times.first_line)),
        ("fresh-node-ready-ms", median(&fresh, |times| times.node_ready)),
        ("fresh-first-answer-ms", median(&fresh, |times| times.first_answer)),
        ("again-first-line-ms", median(&again, |times| times.first_line)),
        ("again-node-ready-ms", median(&again, |times| times.node_ready)),
        ("again-first-answer-ms", median(&again, |times| times.first_answer)),
    ])
}

/// The middle one in milliseconds, the upper one of two.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

async fn pods() -> Result<Figures, Failure> {
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::start(dir.path())?;
    cluster.answers().await?;
    sleep(SETTLE).await;
    let idle = Memory::of(cluster.pid()?)?;
    let started = Instant::now();
    timeout(LIMIT, deploy(dir.path())).await.map_err(|_| format!("{PODS} pods do not become ready"))??;
    let ready = started.elapsed();
    sleep(SETTLE).await;
    let busy = Memory::of(cluster.pid()?)?;
    let supervisor = Memory::mean(&processes(shim::PROGRAM_NAME, dir.path())?)?;
    cluster.stop().await?;
    process::clean(dir.path()).await?;
    Ok(vec![
        ("idle-rss-mib", idle.rss),
        ("idle-pss-mib", idle.pss),
        ("pods-100-ready-ms", ready.as_secs_f64() * 1000.0),
        ("pods-100-rss-mib", busy.rss),
        ("pods-100-pss-mib", busy.pss),
        ("supervisor-rss-mib", supervisor.rss),
        ("supervisor-pss-mib", supervisor.pss),
    ])
}

/// Creates the pods, and waits until all are ready.
async fn deploy(dir: &Path) -> Result<(), Failure> {
    let api =
        Api::<Deployment>::default_namespaced(client::from_kubeconfig(&dir.join("admin.kubeconfig")).await?);
    let deployment = serde_json::from_value(json!({"metadata": {"name": "many"}, "spec": {
        "replicas": PODS,
        "selector": {"matchLabels": {"app": "many"}},
        "template": {"metadata": {"labels": {"app": "many"}}, "spec": {"containers": [{
            "name": "demo", "image": demo_image::NAME, "imagePullPolicy": "IfNotPresent"}]}}}}))?;
    api.create(&PostParams::default(), &deployment).await?;
    while api.get("many").await?.status.and_then(|status| status.ready_replicas) != Some(PODS) {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([3, 1, 2].map(Duration::from_millis).to_vec()), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
