//! Clocks that are set, and clocks that begin anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kube_store::{EtcdStore, LeaseRequest, LeaseResponse, PutRequest, Store, StoreExt};

use super::cluster::{Cluster, SIZE};
use super::load::Load;
use super::{PROGRESS, inside, judge, skip};

const HOUR: i64 = 3600;

/// A library that stands before the system's own clock of the time of day; `None` when nothing here can make it.
fn shim(dir: &Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    std::fs::write(&source, include_str!("clock.c")).unwrap();
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    made.is_ok_and(|status| status.success()).then_some(library)
}

/// Sets the clock of everything that was started with this file.
fn set(file: &Path, seconds: i64) {
    // In place, since processes have it mapped.
    let clock = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&clock, &seconds.to_ne_bytes(), 0).unwrap();
}

/// A key bound to a lease that lasts for minutes, and what is left of it.
struct Leased {
    store: EtcdStore,
    id: i64,
}

const TTL: Duration = Duration::from_secs(600);

impl Leased {
    async fn new(endpoint: String) -> Self {
        let store = EtcdStore::connect(endpoint).await.unwrap();
        let granted = store.lease(LeaseRequest::Grant { id: 0, ttl: TTL }).await.unwrap();
        let LeaseResponse::Granted { id, .. } = granted else { panic!("{granted:?}") };
        store.put_with(PutRequest::new("/leased", "x").with_lease(id)).await.unwrap();
        Self { store, id }
    }

    /// It has not ended, and has no more time than it was given.
    async fn is_there(&self) {
        assert!(self.store.get("/leased").await.unwrap().is_some());
        let told = self.store.lease(LeaseRequest::TimeToLive { id: self.id }).await.unwrap();
        let LeaseResponse::TimeToLive { remaining, .. } = told else { panic!("{told:?}") };
        assert!(remaining <= TTL && remaining > TTL / 2, "{remaining:?}");
    }
}

/// The time of day is no matter to leases, elections and reads, whoever's is set and in whichever direction.
#[test]
fn the_time_of_day_is_set() {
    inside("clock::the_time_of_day_is_set", async {
        let mut cluster = Cluster::start().await;
        let Some(library) = shim(cluster.scratch()) else {
            return skip("the_time_of_day_is_set", "there is no C compiler");
        };
        let clocks: Vec<PathBuf> =
            (0..SIZE).map(|member| cluster.scratch().join(format!("clock{member}"))).collect();
        for (member, clock) in clocks.iter().enumerate() {
            set(clock, 0);
            let env = [("LD_PRELOAD", library.to_str().unwrap()), ("FAKE_CLOCK", clock.to_str().unwrap())];
            cluster.stop(member).await;
            cluster.run_as(member, &[], &env);
            cluster.spawn(member);
            cluster.in_step().await;
        }
        let load = Load::start(cluster.endpoints());
        let leader = cluster.pick(true).await;
        let leased = Leased::new(cluster.endpoints().swap_remove(leader)).await;
        let term = cluster.term(leader).await;
        for hours in [1, -1, 24 * 365, 0] {
            set(&clocks[leader], hours * HOUR);
            load.progress(PROGRESS).await;
            clocks.iter().for_each(|clock| set(clock, -hours * HOUR));
            load.progress(PROGRESS).await;
            leased.is_there().await;
        }
        assert_eq!(cluster.term(leader).await, term, "nobody stood for election");
        judge(&cluster, load).await;
    });
}

/// As after a restart of its machine, a member's own clock stands elsewhere, and with it those of the times it kept.
#[test]
fn clocks_begin_anew() {
    inside("clock::clocks_begin_anew", async {
        if !Path::new("/proc/self/ns/time").exists() {
            return skip("clocks_begin_anew", "the kernel has no namespaces for time");
        }
        let mut cluster = Cluster::start().await;
        let load = Load::start(cluster.endpoints());
        let leased = Leased::new(cluster.endpoints().swap_remove(0)).await;
        for (member, seconds) in [(2, "10000000"), (1, "-1000"), (2, "0")] {
            cluster.stop(member).await;
            cluster.run_as(
                member,
                &["unshare", "--time", "--monotonic", seconds, "--boottime", seconds, "--"],
                &[],
            );
            cluster.spawn(member);
            cluster.in_step().await;
            load.progress(PROGRESS).await;
            leased.is_there().await;
        }
        judge(&cluster, load).await;
    });
}
