//! What the controllers of volumes do, as far as schedulers wait for it.

use examples::Failure;
use serde_json::{Value, json};

use super::side::Objects;

const VOLUMES: &str = "/api/v1/persistentvolumes";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Binds claims to the volumes that were chosen for them, and makes volumes for claims that have a node.
pub(super) async fn bind(api: &Objects) -> Result<(), Failure> {
    let claims = api.list("/api/v1/persistentvolumeclaims").await?;
    let free: Vec<_> = claims.iter().filter(|claim| !claim["spec"]["volumeName"].is_string()).collect();
    if free.is_empty() {
        return Ok(());
    }
    let volumes = api.list(VOLUMES).await?;
    for claim in free {
        let volume = volumes.iter().find(|volume| is_for(volume, claim));
        match volume {
            Some(volume) => tie(api, volume, claim).await?,
            None if claim["metadata"]["annotations"][SELECTED_NODE].is_string() => {
                provide(api, claim).await?
            }
            None => {}
        }
    }
    Ok(())
}

fn is_for(volume: &Value, claim: &Value) -> bool {
    let (reference, metadata) = (&volume["spec"]["claimRef"], &claim["metadata"]);
    reference["name"] == metadata["name"] && reference["namespace"] == metadata["namespace"]
}

async fn tie(api: &Objects, volume: &Value, claim: &Value) -> Result<(), Failure> {
    let path = path(claim);
    let name = &volume["metadata"]["name"];
    let patch = json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": name}});
    let phase = json!({"status": {"phase": "Bound"}});
    api.merge(&format!("{VOLUMES}/{}/status", name.as_str().unwrap_or_default()), &phase).await?;
    api.merge(&path, &patch).await?;
    api.merge(&format!("{path}/status"), &phase).await
}

async fn provide(api: &Objects, claim: &Value) -> Result<(), Failure> {
    let metadata = &claim["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let handle = format!("made-{namespace}-{name}");
    let reference = json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": namespace, "name": name,
        "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
    let volume = json!({"metadata": {"name": handle}, "spec": {"storageClassName": claim["spec"]["storageClassName"],
        "capacity": {"storage": "20Gi"}, "accessModes": claim["spec"]["accessModes"], "claimRef": reference,
        "csi": {"driver": "csi.example.com", "volumeHandle": handle}}});
    api.create(VOLUMES, &volume).await.map(drop)
}

fn path(claim: &Value) -> String {
    let text = |field: &str| claim["metadata"][field].as_str().unwrap_or_default();
    format!("/api/v1/namespaces/{}/persistentvolumeclaims/{}", text("namespace"), text("name"))
}
