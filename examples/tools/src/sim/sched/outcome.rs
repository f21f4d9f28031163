//! What a scheduler has done with a pod, as everybody can see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use examples::Failure;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::side::{Objects, PAUSE, Side};
use super::volumes;

/// How long a scheduler may take to say something about a pod.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long what it says may take to be complete.
const REST: Duration = Duration::from_secs(3);

/// What has become of a pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) node: Option<String>,
    pub(super) nominated: Option<String>,
    /// Where it went when others had made room.
    pub(super) then: Option<String>,
    /// The condition `PodScheduled`: status, reason and message.
    pub(super) condition: [String; 3],
    /// Type, reason, action and note of each event.
    pub(super) events: BTreeSet<[String; 4]>,
    /// What its claims were given, by their names.
    pub(super) claims: BTreeMap<String, String>,
    /// The pods that are going or gone, by namespace and name, with the condition `DisruptionTarget` if they are there.
    pub(super) victims: BTreeMap<String, String>,
}

impl Outcome {
    /// Waits until the scheduler of this side has done something with a pod that was created.
    pub(super) async fn of(side: &Side, pod: &Value, before: &BTreeSet<String>) -> Result<Self, Failure> {
        let api = side.api();
        let mut changes = Box::pin(api.watch(pod).await?);
        let start = Instant::now();
        let mut now = pod.clone();
        let gated = pod["spec"]["schedulingGates"].is_array();
        let patience = if gated { REST / 10 } else { PATIENCE };
        while now["spec"]["nodeName"].is_null() && condition(&now, "PodScheduled").is_null() {
            volumes::bind(api).await?;
            match timeout(PAUSE, changes.next()).await {
                Ok(change) => now = change.ok_or("the watch has ended")??,
                Err(_) if start.elapsed() > patience && gated => break,
                Err(_) if start.elapsed() > patience => {
                    return Ok(Self {
                        condition: [String::new(), String::new(), "(nothing happens)".to_owned()],
                        ..Self::default()
                    });
                }
                Err(_) => {}
            }
        }
        Self::complete(api, &now, before).await
    }

    /// Events and evictions follow after.
    async fn complete(api: &Objects, pod: &Value, before: &BTreeSet<String>) -> Result<Self, Failure> {
        let scheduled = condition(pod, "PodScheduled");
        let gated = pod["spec"]["schedulingGates"].is_array();
        let nominated = pod["status"]["nominatedNodeName"]
            .as_str()
            .map(str::to_owned)
            .filter(|_| scheduled["status"] == "False");
        let node = pod["spec"]["nodeName"].as_str().map(str::to_owned);
        let start = Instant::now();
        let (mut events, mut victims);
        loop {
            events = events_of(api, pod).await?;
            victims = going(api, before).await?;
            let complete = gated || !events.is_empty() && (nominated.is_none() || !victims.is_empty());
            if complete || start.elapsed() > REST {
                break;
            }
            sleep(PAUSE).await;
        }
        let mut then = None;
        if nominated.is_some() {
            // There may be more of them, and the place that they leave is taken.
            let waits = victims.values().any(|how| how != "gone");
            while start.elapsed() < REST * if waits { 1 } else { 3 } / 3 && then.is_none() {
                sleep(PAUSE).await;
                then = api
                    .get(&path(pod))
                    .await?
                    .and_then(|pod| pod["spec"]["nodeName"].as_str().map(str::to_owned));
            }
            victims = going(api, before).await?;
        }
        let condition = ["status", "reason", "message"].map(|field| text(&scheduled[field]));
        let claims = claims_of(api, pod).await?;
        Ok(Self { node, nominated, then, condition, events, claims, victims })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Where a pod is.
pub(super) fn path(pod: &Value) -> String {
    let metadata = &pod["metadata"];
    format!("/api/v1/namespaces/{}/pods/{}", text(&metadata["namespace"]), text(&metadata["name"]))
}

fn condition(pod: &Value, kind: &str) -> Value {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
}

/// The names of all pods, with their namespaces.
pub(super) async fn pods(api: &Objects) -> Result<BTreeSet<String>, Failure> {
    Ok(api.list("/api/v1/pods").await?.iter().map(key).collect())
}

fn key(object: &Value) -> String {
    format!("{}/{}", text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

/// The pods that are going, and those that were there before and are gone.
async fn going(api: &Objects, before: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Failure> {
    let now = api.list("/api/v1/pods").await?;
    let there: BTreeSet<_> = now.iter().map(key).collect();
    let gone = before.difference(&there).map(|key| (key.clone(), "gone".to_owned()));
    let leaving = now.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string());
    let why = |pod: &Value| {
        let condition = condition(pod, "DisruptionTarget");
        format!("{} {}", text(&condition["reason"]), text(&condition["message"]))
    };
    Ok(gone.chain(leaving.map(|pod| (key(pod), why(pod)))).collect())
}

async fn events_of(api: &Objects, pod: &Value) -> Result<BTreeSet<[String; 4]>, Failure> {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", text(&pod["metadata"]["namespace"]));
    let events = api.list(&path).await?;
    let of = events.iter().filter(|event| event["regarding"]["uid"] == pod["metadata"]["uid"]);
    Ok(of.map(|event| ["type", "reason", "action", "note"].map(|field| text(&event[field]))).collect())
}

/// The volume of each claim, and the devices of each.
async fn claims_of(api: &Objects, pod: &Value) -> Result<BTreeMap<String, String>, Failure> {
    let namespace = text(&pod["metadata"]["namespace"]);
    let mut found = BTreeMap::new();
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() else { continue };
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}");
        if let Some(claim) = api.get(&path).await? {
            let selected = &claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"];
            found.insert(name.to_owned(), format!("{} for {selected}", claim["spec"]["volumeName"]));
        }
    }
    for claim in pod["spec"]["resourceClaims"].as_array().into_iter().flatten() {
        let Some(name) = claim["resourceClaimName"].as_str() else { continue };
        let path = format!("/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims/{name}");
        if let Some(claim) = api.get(&path).await? {
            let mut allocation = claim["status"]["allocation"].clone();
            allocation["allocationTimestamp"].take();
            let users = claim["status"]["reservedFor"].as_array().map_or(0, Vec::len);
            found.insert(format!("devices of {name}"), json!([allocation, users]).to_string());
        }
    }
    Ok(found)
}
