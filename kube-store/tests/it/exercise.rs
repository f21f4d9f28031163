//! The exercise on groups that are parted, on disks, and over the network: what watchers and readers are told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use kube_store::engine::MemoryEngine;
use kube_store::raft::{LocalNetwork, RaftConfig, RaftStore};
use kube_store::testing::simulation::{Exercised, Immediate, Liar, Lie, Rule, Stage, exercise};
use kube_store::{Config, EmbeddedStore, EtcdServer, EtcdStore, Member, MemoryStore, Store, StoreExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const STEPS: usize = 400;

/// Members of which now and then one is cut off, long enough that it needs a snapshot afterwards.
struct Parted {
    network: LocalNetwork,
    members: Vec<Arc<dyn Store>>,
    cut: Option<usize>,
    rng: Rng,
    /// How often a watch may still be waited for.
    patience: usize,
}

impl Parted {
    async fn new(seed: u64, lie: Option<Lie>) -> Self {
        let (network, mut members) = (LocalNetwork::default(), Vec::new());
        for id in 1..=3 {
            // No request of the exercise may fail, so each waits as long as an election may take.
            let timeout = Duration::from_secs(600);
            let config = RaftConfig { keep_entries: 5, timeout, ..RaftConfig::member(id, 3) };
            let member =
                RaftStore::open(MemoryEngine::default(), config, network.transport(id)).await.unwrap();
            network.attach(id, member.inbox());
            let member: Arc<dyn Store> = Arc::new(member);
            members.push(lie.map_or_else(|| member.clone(), |lie| Arc::new(Liar::new(member.clone(), lie))));
        }
        Self { network, members, cut: None, rng: Rng::with_seed(seed), patience: 10_000 }
    }
}

#[async_trait]
impl Stage for Parted {
    async fn step(&mut self) -> Vec<Arc<dyn Store>> {
        if self.rng.u8(..20) == 0 {
            self.cut = if self.cut.is_none() { Some(self.rng.usize(..3)) } else { None };
            let cut: Vec<u64> = self.cut.iter().map(|at| *at as u64 + 1).collect();
            self.network.cut_off(&cut);
        }
        // One that was cut off is asked again once it has caught up: a snapshot that it gets would leave a write open.
        let mut revisions = Vec::new();
        for member in &self.members {
            revisions.push(member.revision().await.unwrap());
        }
        let newest = revisions.iter().max().copied();
        let is_asked = |at: &usize| Some(*at) != self.cut && revisions.get(*at).copied() == newest;
        (0..self.members.len()).filter(is_asked).map(|at| self.members[at].clone()).collect()
    }

    async fn idle(&mut self) -> bool {
        self.network.cut_off(&[]);
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.patience -= 1;
        self.patience > 0
    }
}

/// A store that needs real time to tell its watchers.
struct Slow(Arc<dyn Store>, usize);

#[async_trait]
impl Stage for Slow {
    async fn step(&mut self) -> Vec<Arc<dyn Store>> {
        vec![self.0.clone()]
    }

    async fn idle(&mut self) -> bool {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.1 -= 1;
        self.1 > 0
    }
}

/// Adds up what exercises saw: what does not happen is not tested.
fn add(sum: &mut Exercised, seen: &Exercised) {
    sum.revisions += seen.revisions;
    sum.reads += seen.reads;
    sum.watches += seen.watches;
    sum.cut += seen.cut;
    sum.told += seen.told;
}

#[tokio::test]
async fn a_store_in_memory_tells_the_truth() {
    let mut sum = Exercised::default();
    for seed in 0..60 {
        let seen = exercise(seed, STEPS, &mut Immediate(Arc::new(MemoryStore::new()))).await;
        add(&mut sum, &seen.unwrap_or_else(|broken| panic!("seed {seed}: {broken}")));
    }
    assert!(sum.revisions > 5_000 && sum.reads > 3_000 && sum.watches > 1_000, "{sum:?}");
    assert!(sum.told > 20_000 && sum.cut > 100, "{sum:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_disk_tells_the_truth() {
    for seed in 100..104 {
        let dir = crate::peer::scratch();
        let store = Arc::new(EmbeddedStore::open(dir.path(), Config::default()).await.unwrap());
        let seen = exercise(seed, STEPS, &mut Slow(store, 2_000)).await;
        seen.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_parted_tells_the_truth() {
    for seed in 200..212 {
        let seen = exercise(seed, STEPS, &mut Parted::new(seed, None).await).await;
        seen.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

/// A group is looked at as closely as a store in memory.
#[tokio::test(start_paused = true)]
async fn a_lie_in_a_group_that_is_parted_is_seen() {
    for (lie, rules) in [
        (Lie::BackInTime, &[Rule::WatchOrder][..]),
        (Lie::PastForFuture, &[Rule::WatchStart]),
        (Lie::ProgressOfNow, &[Rule::WatchStart]),
        (Lie::SkipEvent, &[Rule::WatchGap, Rule::WatchProgress]),
    ] {
        let broken = exercise(200, STEPS, &mut Parted::new(200, Some(lie)).await).await.unwrap_err();
        assert!(rules.contains(&broken.rule), "{lie:?}: {broken}");
    }
}

/// Serves a store over the network, and gives what a client sees of it.
async fn over_the_network(store: Arc<dyn Store>) -> Slow {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(EtcdServer::new(store, Member::default()).serve(listener, CancellationToken::new()));
    Slow(Arc::new(EtcdStore::connect(endpoint).await.unwrap()), 2_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_tells_the_truth() {
    for seed in 300..306 {
        let seen = exercise(seed, STEPS, &mut over_the_network(Arc::new(MemoryStore::new())).await).await;
        seen.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_behind_a_server_is_seen() {
    for (lie, rules) in [
        (Lie::SkipEvent, &[Rule::WatchGap, Rule::WatchProgress][..]),
        (Lie::Twice, &[Rule::WatchTwice]),
        (Lie::ForgetDeletes, &[Rule::WatchGap, Rule::WatchProgress]),
        (Lie::LoseWrite, &[Rule::Revisions, Rule::Linearizable]),
        (Lie::StaleRead, &[Rule::Linearizable]),
    ] {
        let mut seen = None;
        for seed in 300..320 {
            let liar = Arc::new(Liar::new(Arc::new(MemoryStore::new()), lie));
            seen = exercise(seed, STEPS, &mut over_the_network(liar).await).await.err();
            if seen.is_some() {
                break;
            }
        }
        let Some(broken) = seen else { panic!("{lie:?} was not seen") };
        assert!(rules.contains(&broken.rule), "{lie:?}: {broken}");
    }
}

/// etcd itself: its 3.4 and 3.5 report progress that is not true and forget deletes, which it has mended since (issues 15220,
/// 18089, 19179 and 20221). So what is planted above is what happens.
#[tokio::test(flavor = "multi_thread")]
async fn the_bugs_of_an_old_etcd_are_seen() {
    let Some(version) = crate::peer::version() else { return };
    if !version.starts_with("3.4.") && !version.starts_with("3.5.") {
        return crate::peer::skip(&format!("etcd {version} is not one of those"));
    }
    for seed in 300..330 {
        let Some(etcd) = crate::peer::Etcd::start().await else { return };
        if let Err(broken) = exercise(seed, STEPS, &mut Slow(Arc::new(etcd.store.clone()), 2_000)).await {
            let known = [Rule::WatchProgress, Rule::WatchGap, Rule::WatchStart];
            assert!(known.contains(&broken.rule), "{broken}");
            return;
        }
    }
    panic!("etcd {version} kept all rules");
}
