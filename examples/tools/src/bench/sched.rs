//! The scheduler on 5,000 hollow nodes, with the shapes of scheduler_perf: decisions alone, and pods bound through our API
//! server in this process, by a scheduler that is in it too or by processes.

#[path = "../../../../kube-sched/benches/core/alloc.rs"]
#[expect(dead_code, reason = "what a snapshot holds is measured by the core's own benchmark")]
mod alloc;
mod bound;
mod stage;
mod whole;
mod wire;

use std::path::Path;

use examples::Allocator as Inner;
use kube_sched::framework::Profile;
use kube_sched::testing::{Replay, SHAPES, Shape};
use tokio::time::Instant;

use super::{Figure, per_second};
use crate::Failure;

/// Replays of each shape, of which the fastest counts; the first one warms up.
const RUNS: u64 = 3;

/// Pods per second of each shape, or of the one called `only`. Without a peer `core/…` are decided and `bound/…` are bound by a
/// scheduler in this process. With the folder of a stock kube-scheduler, `wire/…` are bound by ours and by that one as processes,
/// over TLS, with their processor time for each pod and their memory at the end.
///
/// # Errors
/// If a request fails or a pod finds no node.
pub(crate) async fn run(peer_bin: Option<&Path>, only: Option<&str>) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for shape in SHAPES.iter().filter(|shape| only.is_none_or(|only| only == shape.name)) {
        match peer_bin {
            Some(dir) => figures.extend(wire::run(shape, dir).await?),
            None => {
                // First, so that memory that others have given back does not hide what is needed.
                figures.extend(whole::run(shape).await?);
                figures.extend(core(shape)?);
            }
        }
    }
    if figures.is_empty() { Err("there is no shape of that name".into()) } else { Ok(figures) }
}

/// Decides about all pods, one after another, each on what the ones before have left.
fn core(shape: &Shape) -> Result<Vec<Figure>, Failure> {
    let (replay, profile) = (Replay::new(shape)?, Profile::default());
    let pods = replay.pods().len();
    let (mut rate, mut pairs, mut allocations) = (0.0_f64, 0, 0);
    for seed in 0..RUNS {
        let (before, started) = (alloc::count(), Instant::now());
        let replayed = replay.run(&profile, seed);
        rate = rate.max(per_second(pods, started));
        (pairs, allocations) = (replayed.pairs, alloc::count() - before);
        if replayed.placed < pods {
            return Err(format!("{}: {} of {pods} pods found a place", shape.name, replayed.placed).into());
        }
    }
    let mut figures = vec![Figure::new(format!("core/{}", shape.name), rate)];
    if shape.name == "basic" {
        figures.push(Figure::new("core/ns-per-pair", 1e9 / rate * pods as f64 / pairs as f64));
        figures.push(Figure::new("core/allocs-per-pod", allocations as f64 / pods as f64));
    }
    Ok(figures)
}
