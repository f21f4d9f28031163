//! Registers the node and keeps its status and Lease fresh.

use std::sync::Arc;

use futures::StreamExt;
use ipnet::IpNet;
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{Node, NodeSpec, NodeStatus},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    machine::{self, Machine},
    object::{self, Measured},
};
use crate::{
    Clock, Result,
    config::Config,
    events::{Level, Recorder},
    seam::{Runtime, RuntimeInfo},
};

const NAMESPACE: &str = "kube-node-lease";

/// Speaks for the node as a whole.
pub(crate) struct Heartbeat {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) config: Arc<Config>,
    pub(crate) machine: Machine,
    pub(crate) clock: Clock,
    pub(crate) events: Recorder,
    /// Becomes true once the node is registered and Ready.
    pub(crate) ready: watch::Sender<bool>,
}

impl Heartbeat {
    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// Runs until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let all = async { tokio::join!(self.keep_status(), self.keep_lease(), self.follow()) };
        let _ = shutdown.run_until_cancelled(all).await;
    }

    /// Makes the Node object, or brings an existing one's labels up to date.
    async fn register(&self) -> Result<Node> {
        let fresh = object::fresh(&self.config);
        match self.nodes().create(&PostParams::default(), &fresh).await {
            Ok(node) => Ok(node),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let patch = json!({"metadata": {"labels": object::labels(&self.config)}});
                Ok(self
                    .nodes()
                    .patch(&self.config.node_name, &PatchParams::default(), &Patch::Merge(&patch))
                    .await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn keep_status(&self) {
        let name = self.config.node_name.clone();
        self.events.node(&name, Level::Normal, "Starting", "Starting kubelet.".to_owned());
        let mut told: Option<NodeStatus> = None;
        let mut last = Instant::now();
        let mut wait = self.config.status_check.min(std::time::Duration::from_millis(200));
        loop {
            let result = self.one_status(&mut told, &mut last).await;
            match result {
                Ok(ready) => {
                    self.ready.send_replace(ready);
                    // Until it is ready the node looks more often.
                    wait = if ready { self.config.status_check } else { wait };
                }
                Err(error) => {
                    tracing::warn!(node = name, %error, "cannot report the node's status");
                    told = None;
                }
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Reports the status when it changed or the last report is old; whether the node is ready.
    async fn one_status(&self, told: &mut Option<NodeStatus>, last: &mut Instant) -> Result<bool> {
        let old = match told.take() {
            Some(old) => old,
            None => self.register().await?.status.unwrap_or_default(),
        };
        let measured = self.measure().await;
        let status = object::status(&self.config, &self.machine, &measured, &old, self.clock.now());
        let same = object::without_heartbeats(&old) == object::without_heartbeats(&status);
        if same && last.elapsed() < self.config.status_report {
            *told = Some(old);
            return Ok(measured.runtime.ready && measured.runtime.network_ready);
        }
        let patch = json!({"status": status});
        let params = PatchParams::default();
        match self.nodes().patch_status(&self.config.node_name, &params, &Patch::Strategic(&patch)).await {
            Err(kube::Error::Api(e)) if e.code == 404 => return Err(kube::Error::Api(e).into()),
            other => other?,
        };
        *last = Instant::now();
        self.say_changes(&old, &status);
        *told = Some(status);
        Ok(measured.runtime.ready && measured.runtime.network_ready)
    }

    fn say_changes(&self, old: &NodeStatus, new: &NodeStatus) {
        let is =
            |s: &NodeStatus| s.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        let name = &self.config.node_name;
        let say = |what: &'static str| {
            self.events.node(name, Level::Normal, what, format!("Node {name} status is now: {what}"));
        };
        match (is(old), is(new)) {
            (false, true) => say("NodeReady"),
            (true, false) => say("NodeNotReady"),
            _ => {}
        }
    }

    async fn measure(&self) -> Measured {
        let runtime = self.runtime.info().await.unwrap_or_else(|error| RuntimeInfo {
            reason: "ContainerRuntimeUnavailable".to_owned(),
            message: error.to_string(),
            ..RuntimeInfo::default()
        });
        let images = self.runtime.images().list().await.unwrap_or_default();
        let [memory_pressure, disk_pressure, pid_pressure] = self.pressures();
        Measured { runtime, images, memory_pressure, disk_pressure, pid_pressure }
    }

    fn pressures(&self) -> [bool; 3] {
        if self.config.capacity.is_some() {
            // A node of given size is not this machine.
            return [false; 3];
        }
        let [disk, inodes] = machine::disk_left(&self.config.root_dir);
        self.config.eviction_hard.pressures(machine::memory_left(), disk, inodes, machine::pids_left())
    }

    async fn keep_lease(&self) {
        let mut owner = None;
        loop {
            if let Err(error) = self.renew(&mut owner).await {
                tracing::debug!(node = self.config.node_name, %error, "cannot renew the lease");
                tokio::time::sleep(self.config.lease_renew / 10).await;
                continue;
            }
            tokio::time::sleep(self.config.lease_renew).await;
        }
    }

    async fn renew(&self, owner: &mut Option<OwnerReference>) -> Result<()> {
        let (name, now) = (&self.config.node_name, MicroTime(self.clock.now()));
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        if owner.is_none() {
            *owner = self.nodes().get_opt(name).await?.map(|node| OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: name.clone(),
                uid: node.metadata.uid.unwrap_or_default(),
                ..OwnerReference::default()
            });
        }
        let patch = json!({"spec": {"renewTime": now, "holderIdentity": name}});
        match leases.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => return other.map(|_| ()).map_err(Into::into),
        }
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(NAMESPACE.to_owned()),
                owner_references: owner.clone().map(|o| vec![o]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(name.clone()),
                lease_duration_seconds: i32::try_from(self.config.lease_duration.as_secs()).ok(),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        leases.create(&PostParams::default(), &lease).await?;
        Ok(())
    }

    /// Follows what others say of the node: its pod ranges, and what it has that only they know of.
    async fn follow(&self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.config.node_name));
        let mut stream = std::pin::pin!(watcher(self.nodes(), config).default_backoff());
        let mut told = Vec::new();
        while let Some(event) = stream.next().await {
            let Ok(watcher::Event::Apply(node) | watcher::Event::InitApply(node)) = event else { continue };
            self.pass_on_cidrs(node.spec.unwrap_or_default(), &mut told).await;
            if let Some(patch) = node.status.as_ref().and_then(object::advertised) {
                let (name, params) = (&self.config.node_name, PatchParams::default());
                if let Err(error) = self.nodes().patch_status(name, &params, &Patch::Merge(&patch)).await {
                    tracing::warn!(%error, "cannot report extended resources");
                }
            }
        }
    }

    /// Tells the runtime the node's pod ranges, unless it knows.
    async fn pass_on_cidrs(&self, spec: NodeSpec, told: &mut Vec<IpNet>) {
        let texts = spec.pod_cidrs.unwrap_or_else(|| spec.pod_cidr.into_iter().collect());
        let cidrs: Vec<IpNet> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        if cidrs.is_empty() || cidrs == *told {
            return;
        }
        match self.runtime.set_pod_cidrs(&cidrs).await {
            Ok(()) => *told = cidrs,
            Err(error) => tracing::warn!(%error, "cannot set the pod ranges"),
        }
    }
}
