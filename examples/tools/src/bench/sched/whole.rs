//! Our scheduler in the process of our API server.

use kube_sched::testing::Shape;
use kube_sched::{Config, Scheduler};
use tokio_util::sync::CancellationToken;

use super::stage::{PATIENCE, Stage};
use crate::memory::Memory;
use crate::{Failure, Figure};

/// Runs a shape to its end: pods per second from the first one's creation to the last one's binding, and for the basic one what the
/// process grew by for each node and each pod in everything that knows of them: store, watch caches and scheduler.
pub(super) async fn run(shape: &Shape) -> Result<Vec<Figure>, Failure> {
    let stage = Stage::new(shape).await?;
    let scheduler = Scheduler::new(stage.client.clone(), Config::default())?;
    let (mut ready, shutdown) = (scheduler.ready(), CancellationToken::new());
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    ready.wait_for(|ready| *ready).await?;

    let empty = resident()?;
    stage.nodes().await?;
    let with_nodes = resident()?;
    let pods = shape.initial()?.len() + shape.measured()?.len();
    stage.initial().await?;
    let mut bound = stage.ready().await?;
    let done = stage.measure(&mut bound, PATIENCE).await?;
    let with_pods = resident()?;
    shutdown.cancel();
    running.await?;
    stage.check(&done).await?;
    let mut figures = vec![Figure::new(format!("bound/{}", shape.name), done.per_second())];
    if shape.name == "basic" {
        figures.push(Figure::new("bound/KiB-per-node", (with_nodes - empty) / shape.nodes as f64));
        figures.push(Figure::new("bound/KiB-per-pod", (with_pods - with_nodes) / pods as f64));
    }
    Ok(figures)
}

/// Resident memory of this process, in KiB.
fn resident() -> Result<f64, Failure> {
    Ok(Memory::of(std::process::id())?.rss * 1024.0)
}
