//! Our kube-scheduler beside a stock one, decision by decision: both are shown the same random cluster and the same pods, one at a
//! time, and what becomes of each is compared.

mod compare;
mod endpoints;
mod outcome;
mod picture;
mod scores;
mod side;
mod volumes;
mod world;

use std::ops::Range;
use std::path::{Path, PathBuf};

use examples::Failure;
use futures::{StreamExt, stream};
use kube_sched::framework::Profile;
use serde_json::{Value, json};

use compare::Pair;
use outcome::{Outcome, path, pods};
use side::Side;
use world::{Theme, World};

/// What both programs are called.
const PROGRAM: &str = "kube-scheduler";

/// What is compared.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The folder of the stock kube-scheduler.
    #[arg(long, value_name = "DIR")]
    peer_bin: PathBuf,
    /// The folder of our kube-scheduler [default: this program's].
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
    /// The seeds, as FIRST..END.
    #[arg(long, default_value = "0..20", value_parser = crate::seeds, value_name = "RANGE")]
    seeds: Range<u64>,
    /// Pods of each seed.
    #[arg(long, default_value_t = 25, value_name = "N")]
    pods: usize,
    /// What there is in the cluster.
    #[arg(long, value_enum, default_value_t = Theme::All)]
    theme: Theme,
    /// Compare what both serve over HTTPS too, after the pods of each seed.
    #[arg(long)]
    endpoints: bool,
    /// Tell what there is in the cluster of the first seed, and nothing else.
    #[arg(long)]
    show: bool,
    /// Seeds at a time.
    #[arg(long, default_value_t = 3, value_name = "N")]
    jobs: usize,
}

/// What came of a seed.
#[derive(Debug, Default)]
struct Compared {
    pods: usize,
    bound: usize,
    preempted: usize,
    differences: Vec<String>,
}

/// Compares seed after seed and tells every difference; says whether there was none.
///
/// # Errors
/// If there is no runtime.
#[expect(clippy::print_stdout, reason = "a command-line tool")]
pub(crate) fn run(flags: &Flags) -> Result<bool, Failure> {
    if flags.show {
        let world = World::new(flags.seeds.start, flags.theme, flags.pods);
        world
            .items
            .iter()
            .for_each(|item| println!("{} {} {:?} {:?}", item.path, item.object, item.spec, item.status));
        world.pods.iter().for_each(|pod| println!("{pod}"));
        println!("{}", world.profiles);
        return Ok(true);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ours = match &flags.bin {
        Some(dir) => dir.join(PROGRAM),
        None => std::env::current_exe()?.with_file_name(PROGRAM),
    };
    let peer = flags.peer_bin.join(PROGRAM);
    let (mut total, mut failed) = (Compared::default(), 0);
    runtime.block_on(async {
        let one = |seed| {
            let world = World::new(seed, flags.theme, flags.pods);
            let (peer, ours) = (&peer, &ours);
            async move { (seed, compare(peer, ours, &world, flags.endpoints).await) }
        };
        let mut seeds = stream::iter(flags.seeds.clone()).map(one).buffer_unordered(flags.jobs.max(1));
        while let Some((seed, compared)) = seeds.next().await {
            let compared = compared.unwrap_or_else(|error| Compared {
                differences: vec![format!("failed: {error}")],
                ..Compared::default()
            });
            compared.differences.iter().for_each(|difference| println!("seed {seed}: {difference}"));
            failed += usize::from(!compared.differences.is_empty());
            total.pods += compared.pods;
            total.bound += compared.bound;
            total.preempted += compared.preempted;
        }
    });
    let count = flags.seeds.end.saturating_sub(flags.seeds.start);
    println!(
        "{count} seeds, {failed} of them with differences: {} pods, {} bound, {} preempting",
        total.pods, total.bound, total.preempted
    );
    Ok(failed == 0)
}

async fn compare(peer: &Path, ours: &Path, world: &World, endpoints: bool) -> Result<Compared, Failure> {
    let profile = picture::profile(world)?;
    let (peer, ours) = futures::future::try_join(Side::new(peer, world), Side::new(ours, world)).await?;
    let mut compared = Compared::default();
    let both = Both { peer, ours, profile };
    for pod in &world.pods {
        if !both.show(pod, &mut compared).await? {
            break;
        }
    }
    if endpoints {
        compared.differences.extend(endpoints::differences(&both.peer, &both.ours).await?);
    }
    Ok(compared)
}

/// Both schedulers.
struct Both {
    peer: Side,
    ours: Side,
    profile: Profile,
}

impl Both {
    /// Shows a pod to both, compares what they do, and makes both clusters the same again; says whether that was possible.
    async fn show(&self, pod: &Value, compared: &mut Compared) -> Result<bool, Failure> {
        let snapshot = picture::snapshot(self.ours.api()).await?;
        let before = pods(self.ours.api()).await?;
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let create = format!("/api/v1/namespaces/{namespace}/pods");
        let of = async |side: &Side| {
            let pod = side.api().create(&create, pod).await?;
            Ok::<_, Failure>((Outcome::of(side, &pod, &before).await?, pod))
        };
        let ((peer, _), (ours, stored)) = futures::future::try_join(of(&self.peer), of(&self.ours)).await?;
        let advice = picture::advise(&snapshot, &self.profile, stored)?;
        let key = format!("{namespace}/{}", pod["metadata"]["name"].as_str().unwrap_or_default());
        let scores = scores::scores(&self.peer.log(), &key);
        let differences = Pair { peer: &peer, ours: &ours, advice: &advice, scores }.differences();
        compared.pods += 1;
        compared.bound += usize::from(peer.node.is_some());
        compared.preempted += usize::from(peer.nominated.is_some());
        if !differences.is_empty() {
            compared.differences.push(format!("{key}: {}\n    pod {pod}", differences.join("\n  ")));
        }
        if !self.settle(pod, &peer, &ours).await? {
            return Ok(false);
        }
        // As a kubelet would.
        let started = format!("2026-01-02T00:{:02}:{:02}Z", compared.pods / 60, compared.pods % 60);
        let status = json!({"status": {"phase": "Running", "startTime": started}});
        for side in [&self.peer, &self.ours] {
            let path = path(pod);
            if side.api().get(&path).await?.is_some() {
                side.api().merge(&format!("{path}/status"), &status).await?;
            }
        }
        Ok(true)
    }

    /// Makes both clusters the same again; says whether that was possible.
    async fn settle(&self, pod: &Value, peer: &Outcome, ours: &Outcome) -> Result<bool, Failure> {
        let path = path(pod);
        let place = |outcome: &Outcome| outcome.node.clone().or(outcome.then.clone());
        let same = peer.claims == ours.claims && peer.victims == ours.victims;
        match (place(peer), place(ours)) {
            (Some(node), Some(our_node)) if node == our_node => return Ok(same),
            (Some(node), Some(_)) if peer.nominated.is_none() && ours.nominated.is_none() => {
                self.ours.api().delete(&path).await?;
                let mut pod = pod.clone();
                pod["spec"]["nodeName"] = json!(node);
                self.ours
                    .api()
                    .create(path.rsplit_once('/').map_or(path.as_str(), |(path, _)| path), &pod)
                    .await?;
                return Ok(peer.claims.is_empty());
            }
            _ => {}
        }
        for side in [&self.peer, &self.ours] {
            side.api().delete(&path).await?;
            for key in peer.victims.keys().chain(ours.victims.keys()) {
                let (namespace, name) = key.split_once('/').unwrap_or_default();
                side.api().delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await?;
            }
        }
        Ok(peer.node.is_none() && ours.node.is_none() || peer.claims.is_empty())
    }
}
