//! The agent itself.

use futures::future::BoxFuture;
use std::{collections::BTreeMap, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    PodTable,
    dispatch::Dispatcher,
    images::Collector,
    logs,
    manifest::{self, Statics},
    mirrors::Mirrors,
};
use crate::{
    Clock, Result,
    config::Config,
    dns,
    events::Recorder,
    node::{Heartbeat, Machine},
    objects::Objects,
    pod::status::NodeFacts,
    seam::{Runtime, StoragePlugin},
    volumes::VolumeManager,
    worker::Context,
};

/// Runs the pods that the API server gives to one node.
///
/// It registers the Node, keeps its status and Lease, and drives one worker per pod. Dropping or shutting it down leaves containers running; the next agent
/// over the same runtime adopts them.
pub struct Agent {
    client: Client,
    runtime: Arc<dyn Runtime>,
    plugins: Vec<Arc<dyn StoragePlugin>>,
    config: Arc<Config>,
    clock: Clock,
    table: PodTable,
    ready: watch::Sender<bool>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Agent {
    /// An agent that is not running yet. Fails with `Invalid` when the configuration cannot work.
    pub fn new(
        client: Client,
        runtime: Arc<dyn Runtime>,
        plugins: Vec<Arc<dyn StoragePlugin>>,
        clock: Clock,
        config: Config,
    ) -> Result<Self> {
        config.validate()?;
        let (ready, _) = watch::channel(false);
        Ok(Self {
            client,
            runtime,
            plugins,
            config: Arc::new(config),
            clock,
            table: PodTable::default(),
            ready,
        })
    }

    /// Whether the node is registered and reports Ready; follows changes.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs until shutdown; containers stay.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, ()> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(self.live(shutdown))
    }

    async fn live(self, shutdown: CancellationToken) {
        let (events, write_events) =
            Recorder::new(self.client.clone(), self.clock, self.config.node_name.clone(), shutdown.clone());
        let root = self.config.root_dir.clone();
        let machine = tokio::task::spawn_blocking(move || Machine::read(&root)).await.unwrap_or_default();
        let heartbeat = Heartbeat {
            client: self.client.clone(),
            runtime: Arc::clone(&self.runtime),
            config: Arc::clone(&self.config),
            machine: machine.clone(),
            clock: self.clock,
            events: events.clone(),
            ready: self.ready.clone(),
        };
        let pods = async {
            let Some(name) = shutdown.run_until_cancelled(self.runtime_name()).await else { return };
            let context = Arc::new(self.context(&machine, events, name, &shutdown).await);
            let collector = Collector {
                runtime: Arc::clone(&self.runtime),
                clock: self.clock,
                config: Arc::clone(&self.config),
                events: context.events.clone(),
                seen: BTreeMap::new(),
            };
            let (table, mirrors) = (self.table.clone(), Mirrors::default());
            let dispatcher = Dispatcher::new(Arc::clone(&context), table, mirrors.clone(), shutdown.clone());
            let unstaging = context.volumes.unstage_unused(self.config.relist, shutdown.clone());
            let mirroring = shutdown.run_until_cancelled(mirrors.keep(&self.client, &self.config.node_name));
            let rotating = logs::rotate(&*self.runtime, self.clock, &self.config);
            let rotating = shutdown.run_until_cancelled(rotating);
            let collecting = shutdown.run_until_cancelled(collector.run());
            let pods = self.pods(dispatcher, shutdown.clone());
            tokio::join!(pods, unstaging, mirroring, rotating, collecting);
        };
        tokio::join!(write_events, heartbeat.run(shutdown.clone()), pods);
    }

    /// The runtime's name, once it answers; until then the node is not Ready and runs no pod.
    async fn runtime_name(&self) -> String {
        loop {
            match self.runtime.info().await {
                Ok(info) => return info.name,
                Err(error) => tracing::debug!(%error, "waiting for the runtime"),
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    async fn context(
        &self,
        machine: &Machine,
        events: Recorder,
        name: String,
        shutdown: &CancellationToken,
    ) -> Context {
        let objects = Objects::new(self.client.clone(), shutdown.clone());
        let resolv = tokio::fs::read_to_string(&self.config.resolv_conf).await.unwrap_or_default();
        Context {
            client: self.client.clone(),
            runtime: Arc::clone(&self.runtime),
            clock: self.clock,
            volumes: VolumeManager::new(
                self.client.clone(),
                Arc::clone(&self.config),
                self.clock,
                objects.clone(),
                self.plugins.clone(),
            ),
            events,
            objects,
            facts: NodeFacts { node_ips: self.config.node_ips.clone(), runtime: name },
            capacity: self.config.capacity.unwrap_or(machine.capacity),
            host_dns: dns::parse_resolv_conf(&resolv),
            random: Mutex::new(fastrand::Rng::with_seed(self.config.seed)),
            config: Arc::clone(&self.config),
        }
    }

    /// Feeds pods and runtime events to workers.
    async fn pods(&self, mut dispatcher: Dispatcher, shutdown: CancellationToken) {
        let (statics, mut manifests) = watch::channel(manifest::read(&self.config).await);
        // Before the API server is asked: a static pod may be what brings it up, and a mirror without its pod would be deleted.
        dispatcher.statics(manifests.borrow_and_update().clone());
        let following = shutdown.run_until_cancelled(manifest::follow(&self.config, statics));
        tokio::join!(self.dispatch(dispatcher, manifests, shutdown.clone()), following);
    }

    async fn dispatch(
        &self,
        mut dispatcher: Dispatcher,
        mut manifests: watch::Receiver<Statics>,
        shutdown: CancellationToken,
    ) {
        let api: Api<Pod> = Api::all(self.client.clone());
        let config = watcher::Config::default().fields(&format!("spec.nodeName={}", self.config.node_name));
        let mut pods = std::pin::pin!(watcher(api, config).default_backoff());
        let mut happenings = self.runtime.events();
        let mut audits = tokio::time::interval(self.config.relist);
        audits.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What is not in a complete listing is a stray; before the first one, nothing is.
        let mut listed = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(event) = pods.next() => match event {
                    Ok(watcher::Event::Init) => dispatcher.begin_list(),
                    Ok(watcher::Event::InitApply(pod) | watcher::Event::Apply(pod)) => dispatcher.apply(pod),
                    Ok(watcher::Event::Delete(pod)) => dispatcher.delete(&pod),
                    Ok(watcher::Event::InitDone) => {
                        dispatcher.end_list();
                        listed = true;
                        audits.reset_immediately();
                    }
                    Err(error) => tracing::debug!(%error, "watching pods"),
                },
                Ok(()) = manifests.changed() => dispatcher.statics(manifests.borrow_and_update().clone()),
                Some(event) = happenings.next() => dispatcher.runtime_event(&event),
                () = dispatcher.reap() => {}
                _ = audits.tick(), if listed => {
                    if let Err(error) = dispatcher.audit().await {
                        tracing::warn!(%error, "cannot audit the runtime");
                    }
                }
            }
        }
        dispatcher.finish().await;
    }
}
