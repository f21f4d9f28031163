//! kube-rs over the service, without a socket.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::raw::admin;

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"v": value}}, "data": {"k": value}}))
        .unwrap()
}

#[tokio::test]
async fn every_verb_works_through_a_client() {
    let client = admin().await.client().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let created = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(created.metadata.uid.is_some() && created.metadata.resource_version.is_some());
    assert_eq!(maps.get("a").await.unwrap(), created);

    let version = created.metadata.resource_version.clone().unwrap();
    let mut events = maps.watch(&WatchParams::default(), &version).await.unwrap().boxed();

    let mut changed = created.clone();
    changed.data = Some([("k".to_owned(), "2".to_owned())].into());
    let updated = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    let stale = maps.replace("a", &PostParams::default(), &changed).await.unwrap_err();
    let kube::Error::Api(status) = stale else { panic!("{stale}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));

    let patch = Patch::Merge(json!({"data": {"k": "3", "l": "4"}}));
    let patched = maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.as_ref().map(|d| d.len()), Some(2));
    maps.delete("a", &DeleteParams::default()).await.unwrap();

    let mut seen = Vec::new();
    while seen.len() < 3 {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Modified(map) => seen.push(("modified", map.metadata.resource_version)),
            WatchEvent::Deleted(map) => seen.push(("deleted", map.metadata.resource_version)),
            other => panic!("{other:?}"),
        }
    }
    let expected =
        [("modified", updated.metadata.resource_version), ("modified", patched.metadata.resource_version)];
    assert_eq!(seen[..2], expected);
    assert_eq!(seen[2].0, "deleted");
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn lists_select_by_labels_and_fields() {
    let client = admin().await.client().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name, name)).await.unwrap();
    }
    let names = async |params: ListParams| -> Vec<String> {
        let list = maps.list(&params).await.unwrap();
        list.items.into_iter().filter_map(|m| m.metadata.name).collect()
    };
    assert_eq!(names(ListParams::default().labels("v in (a,c)")).await, ["a", "c"]);
    assert_eq!(names(ListParams::default().fields("metadata.name=b")).await, ["b"]);
    assert_eq!(names(ListParams::default().fields("metadata.name!=b")).await, ["a", "c"]);
}

#[tokio::test]
async fn a_deployment_and_a_pod_are_defaulted_and_admitted() {
    let client = admin().await.client().await;
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
    });
    let deployment: Deployment = serde_json::from_value(deployment).unwrap();
    let created = deployments.create(&PostParams::default(), &deployment).await.unwrap();
    assert_eq!(created.metadata.generation, Some(1));
    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let scaled = deployments.patch_scale("web", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    assert_eq!(deployments.get("web").await.unwrap().metadata.generation, Some(2));

    let pods: Api<Pod> = Api::default_namespaced(client);
    let pod: Value =
        json!({"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let spec = pod.spec.unwrap();
    assert_eq!(pod.metadata.name.unwrap().len(), "web-".len() + 5);
    assert_eq!(spec.service_account_name.as_deref(), Some("default"));
    assert_eq!(spec.priority, Some(0));
    assert_eq!(spec.tolerations.unwrap().len(), 2);
    assert!(spec.volumes.unwrap()[0].name.starts_with("kube-api-access-"));
}
