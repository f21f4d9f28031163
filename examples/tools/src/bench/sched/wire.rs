//! Schedulers as processes of their own, over TLS: ours beside the stock one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use examples::served;
use kube_sched::testing::Shape;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::memory::Memory;
use crate::store::machine::cpu_seconds;
use crate::{Failure, Figure};

/// What both are called.
const PROGRAM: &str = "kube-scheduler";
/// Whom both speak as.
const USER: &str = "system:kube-scheduler";
/// How long each may bind pods. One that is slow has not bound all of them then.
const LIMIT: Duration = Duration::from_secs(30);

/// What a scheduler did, and what that took.
#[derive(Debug)]
struct Run {
    pods_per_second: f64,
    cpu_us_per_pod: f64,
    rss_mib: f64,
}

/// Runs a shape with the `kube-scheduler` beside this binary and with the one in `peer_bin`, with the same flags.
pub(super) async fn run(shape: &Shape, peer_bin: &Path) -> Result<Vec<Figure>, Failure> {
    let ours = measure(shape, &std::env::current_exe()?.with_file_name(PROGRAM)).await?;
    let peer = measure(shape, &peer_bin.join(PROGRAM)).await?;
    let figure = |unit: &str, part: fn(&Run) -> f64| {
        Figure::new(format!("wire/{}{unit}", shape.name), part(&ours)).beside(part(&peer))
    };
    Ok(vec![
        figure("", |run| run.pods_per_second),
        figure("-cpu-us", |run| run.cpu_us_per_pod),
        figure("-rss-mib", |run| run.rss_mib),
    ])
}

async fn measure(shape: &Shape, program: &Path) -> Result<Run, Failure> {
    let (dir, shutdown) = (tempfile::tempdir()?, CancellationToken::new());
    let stage = Stage::new(shape).await?;
    stage.nodes().await?;
    stage.initial().await?;
    let _stop = shutdown.clone().drop_guard();
    let kubeconfig = served::to_user(USER, &stage.api, dir.path(), shutdown).await?;
    let scheduler = start(program, &kubeconfig)?;
    let pid = scheduler.id().ok_or("the scheduler has ended")?;
    let mut bound = stage.ready().await.map_err(|error| format!("{}: {error}", program.display()))?;
    let before = cpu_seconds(pid)?;
    let done = stage.measure(&mut bound, LIMIT).await?;
    let cpu_us = (cpu_seconds(pid)? - before) * 1e6;
    let (pods_per_second, rss_mib) = (done.per_second(), Memory::of(pid)?.rss);
    Ok(Run { pods_per_second, cpu_us_per_pod: cpu_us / done.bound.max(1) as f64, rss_mib })
}

/// Starts a scheduler that neither waits for a lease nor for its own client; it is killed when dropped.
fn start(program: &Path, kubeconfig: &Path) -> Result<Child, Failure> {
    let mut command = Command::new(program);
    command.arg("--kubeconfig").arg(kubeconfig).args(["--leader-elect=false", "--secure-port=0"]);
    // Upstream's is slowed down by its client unless it is told not to be, and ours speaks nothing but JSON.
    command.args(["--kube-api-qps=100000", "--kube-api-burst=100000"]);
    command.arg("--kube-api-content-type=application/json");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    Ok(command.spawn().map_err(|error| format!("{}: {error}", program.display()))?)
}
