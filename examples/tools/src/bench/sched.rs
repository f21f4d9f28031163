//! The scheduler on 5,000 hollow nodes, with the shapes of scheduler_perf: decisions alone, and pods bound through our API
//! server in this process.

mod shapes;
mod whole;

use fastrand::Rng;
use kube_sched::framework::Profile;
use kube_sched::{PodInfo, Reuse, Snapshot};
use tokio::time::Instant;

use self::shapes::{SHAPES, Shape};
use super::{Figure, paired, per_second};
use crate::Failure;

/// Pods per second of each shape: `core/…` decided, `bound/…` bound. A stock scheduler needs its own harness, so there is no
/// peer here.
///
/// # Errors
/// If a request fails or a pod finds no node.
pub(crate) async fn run() -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for shape in SHAPES {
        figures.push((shape.core, core(shape)?));
    }
    for shape in SHAPES {
        figures.push((shape.bound, whole::run(shape).await?));
    }
    Ok(paired(figures, None))
}

/// Decides about all pods, one after another, each on what the ones before have left.
fn core(shape: &Shape) -> Result<f64, Failure> {
    let mut snapshot = Snapshot::from_objects(&shape.nodes()?, &[])?;
    let (profile, mut rng, mut reuse) = (Profile::default(), Rng::with_seed(1), Reuse::default());
    let mut place = |pods: &[PodInfo]| {
        for pod in pods {
            let decision = reuse.schedule(&snapshot, pod, &profile, &mut rng);
            let node =
                decision.node().cloned().ok_or_else(|| format!("{}: {}", pod.key, decision.message()))?;
            snapshot.assume(pod, &node);
        }
        Ok::<_, Failure>(())
    };
    let parse = |pods: Vec<k8s_openapi::api::core::v1::Pod>| {
        pods.into_iter().map(PodInfo::parse).collect::<Result<Vec<_>, _>>()
    };
    let (initial, measured) = (parse(shape.initial()?)?, parse(shape.measured()?)?);
    place(&initial)?;
    let started = Instant::now();
    place(&measured)?;
    Ok(per_second(measured.len(), started))
}
