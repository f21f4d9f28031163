//! The scheduler on 5,000 hollow nodes, with the shapes of scheduler_perf: decisions alone, and pods bound through our API
//! server in this process.

#[path = "../../../../kube-sched/benches/core/alloc.rs"]
#[expect(dead_code, reason = "what a snapshot holds is measured by the core's own benchmark")]
mod alloc;
mod whole;

use examples::Allocator as Inner;
use kube_sched::framework::Profile;
use kube_sched::testing::{Replay, SHAPES, Shape};
use tokio::time::Instant;

use super::{Figure, paired, per_second};
use crate::Failure;

/// Replays of each shape, of which the fastest counts; the first one warms up.
const RUNS: u64 = 3;

/// The names of a shape's figures.
const NAMES: &[(&str, &str, &str)] = &[
    ("basic", "core/basic", "bound/basic"),
    ("affinity", "core/affinity", "bound/affinity"),
    ("anti-affinity", "core/anti-affinity", "bound/anti-affinity"),
    ("ns-anti-affinity", "core/ns-anti-affinity", "bound/ns-anti-affinity"),
    ("spread", "core/spread", "bound/spread"),
    ("preemption", "core/preemption", "bound/preemption"),
];

/// Pods per second of each shape: `core/…` decided, `bound/…` bound. A stock scheduler needs its own harness, so there is no
/// peer here.
///
/// Only the shape called `only`, if that is given.
///
/// # Errors
/// If a request fails or a pod finds no node.
pub(crate) async fn run(only: Option<&str>) -> Result<Vec<Figure>, Failure> {
    let (mut decided, mut bound) = (Vec::new(), Vec::new());
    let wanted = NAMES.iter().filter(|(name, ..)| only.is_none_or(|only| only == *name));
    for (name, core_name, bound_name) in wanted {
        let shape = SHAPES.iter().find(|shape| shape.name == *name).ok_or("no such shape")?;
        // First, so that memory that others have given back does not hide what is needed.
        let figures = whole::run(shape).await?;
        bound.push((*bound_name, figures.pods_per_second));
        if *name == "basic" {
            bound.push(("bound/KiB-per-node", figures.kib_per_node));
            bound.push(("bound/KiB-per-pod", figures.kib_per_pod));
        }
        core(shape, core_name, &mut decided)?;
    }
    decided.extend(bound);
    Ok(paired(decided, None))
}

/// Decides about all pods, one after another, each on what the ones before have left.
fn core(shape: &Shape, name: &'static str, figures: &mut Vec<(&'static str, f64)>) -> Result<(), Failure> {
    let (replay, profile) = (Replay::new(shape)?, Profile::default());
    let pods = replay.pods().len();
    let (mut rate, mut pairs, mut allocations) = (0.0_f64, 0, 0);
    for seed in 0..RUNS {
        let (before, started) = (alloc::count(), Instant::now());
        let replayed = replay.run(&profile, seed);
        rate = rate.max(per_second(pods, started));
        (pairs, allocations) = (replayed.pairs, alloc::count() - before);
        if replayed.placed < pods {
            return Err(format!("{name}: {} of {pods} pods found a place", replayed.placed).into());
        }
    }
    figures.push((name, rate));
    if shape.name == "basic" {
        figures.push(("core/ns-per-pair", 1e9 / rate * pods as f64 / pairs as f64));
        figures.push(("core/allocs-per-pod", allocations as f64 / pods as f64));
    }
    Ok(())
}
