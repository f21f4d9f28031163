//! The scheduler as a process of its own, against any Kubernetes API server.

mod flags;
mod gates;
mod ignored;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use examples::health::{Check, Gate, Health};
use examples::{Allocator, Failure, roles};
use flags::Flags;
use kube_sched::{Extender, Scheduler, Settings};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const MASTER: &str = "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the \
    string used to identify the lease. Please make sure to group by name.";

fn main() -> ExitCode {
    let flags = match Flags::read() {
        Ok(flags) => flags,
        Err(error) => {
            // Help is no failure, and a wrong flag is the same as upstream's.
            let failed = error.use_stderr();
            _ = error.print();
            return if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    roles::main_logging(flags.level(), |shutdown| async move {
        let settings = flags.settings()?;
        match &flags.write_config_to {
            Some(path) => Ok(std::fs::write(path, settings.to_yaml()?)?),
            None => run(flags, settings, shutdown).await,
        }
    })
}

async fn run(flags: Flags, settings: Settings, shutdown: CancellationToken) -> Result<(), Failure> {
    let client = flags.client(&settings).await?;
    let gate = flags.judge().await?.map(|(who, whether)| Gate::new(who, whether));
    let shown = settings.to_configz()?;
    let mut metrics = Registry::default();
    let mut config = settings.scheduler;
    config.metrics.register(&mut metrics);
    for extender in settings.extenders {
        config.extenders.push(Extender::connect(extender).await?);
    }
    let lease = flags::lease(&settings.leader_election);
    let leader = lease.is_some().then(|| master(&mut metrics));
    let scheduler = Scheduler::new(client.clone(), config)?;
    let (synced, leading) = (scheduler.ready(), Arc::new(AtomicBool::new(false)));
    let leads = Arc::clone(&leading);
    // Who waits for the lease does its work by waiting.
    let synced = Check::new("sched-handler-sync", move || !leads.load(Ordering::Relaxed) || *synced.borrow());
    let health = Health { ready: vec![synced], metrics: Arc::new(metrics), config: Some(shown.into()), gate };
    let serving = health.serve(flags.endpoint(), shutdown.clone());
    let work = roles::lead_with(client, lease, shutdown, |token| async {
        leading.store(true, Ordering::Relaxed);
        leader.inspect(|leader| _ = leader.set(1));
        scheduler.run(token).await;
        Ok(())
    });
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => ended,
        served = serving => {
            served?;
            work.await
        }
    }
}

/// Whether this process holds the lease; there is no such metric without an election.
fn master(metrics: &mut Registry) -> Gauge {
    let leader = Family::<[(&str, &str); 1], Gauge>::default();
    metrics.register("leader_election_master_status", MASTER, leader.clone());
    leader.get_or_create(&[("name", "kube-scheduler")]).clone()
}
