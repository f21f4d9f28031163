//! The conformance suite's entries of sig-scheduling that are the server's alone. Each test names its entry.

use http::Method;
use serde_json::{Value, json};

use crate::raw::{Admin, Answer, admin};

const RANGES: &str = "/api/v1/namespaces/default/limitranges";
const PODS: &str = "/api/v1/namespaces/default/pods";
const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

fn list(cpu: &str, memory: &str, storage: &str) -> Value {
    let given = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", storage)];
    let given = given.into_iter().filter(|(_, amount)| !amount.is_empty());
    given
        .map(|(name, amount)| (name.to_owned(), Value::from(amount)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn range(name: &str, item: Value) -> Value {
    let metadata = json!({"name": name, "labels": {"time": "now"}});
    json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": [item]}})
}

async fn create_pod(admin: &Admin, name: &str, requests: Value, limits: Value) -> Answer {
    let container =
        json!({"name": "c", "image": "pause", "resources": {"requests": requests, "limits": limits}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}});
    admin.post(PODS, pod).await
}

#[track_caller]
fn resources(pod: &Value) -> (Value, Value) {
    let resources = &pod["spec"]["containers"][0]["resources"];
    (resources["requests"].clone(), resources["limits"].clone())
}

/// LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied.
#[tokio::test]
async fn pods_get_the_defaults_of_a_limit_range_and_keep_to_its_bounds() {
    let admin = admin().await;
    admin.client().await;
    let (max, defaults) = (list("500m", "500Mi", "500Gi"), list("100m", "200Mi", "200Gi"));
    let item = json!({"type": "Container", "min": list("50m", "100Mi", "100Gi"), "max": max,
        "default": max, "defaultRequest": defaults});
    let mut stored = admin.post(RANGES, range("limit-range", item)).await.ok();
    assert_eq!(stored["spec"]["limits"][0]["defaultRequest"], defaults);

    let none = || json!({});
    let pod = create_pod(&admin, "pod-no-resources", none(), none()).await.ok();
    assert_eq!(resources(&pod), (defaults.clone(), max.clone()));
    let partial = list("", "150Mi", "150Gi");
    let pod = create_pod(&admin, "pod-partial-resources", partial, list("300m", "", "")).await.ok();
    let merged = (list("300m", "150Mi", "150Gi"), list("300m", "500Mi", "500Gi"));
    assert_eq!(resources(&pod), merged);

    let small = || list("10m", "50Mi", "50Gi");
    let large = || list("600m", "600Mi", "600Gi");
    let refused = create_pod(&admin, "pod", small(), none()).await.status();
    assert_eq!((refused.0, refused.1.as_str()), (403, "Forbidden"));
    let reason = "pods \"pod\" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, ";
    assert!(refused.2.starts_with(reason), "{}", refused.2);
    // The limit that it is given is below its request, which no pod may have.
    assert_eq!(create_pod(&admin, "pod", large(), none()).await.code, 422);
    let beyond = create_pod(&admin, "pod", large(), large()).await.status();
    assert!(beyond.2.contains("maximum cpu usage per Container is 500m, but limit is 600m"), "{}", beyond.2);

    stored["spec"]["limits"][0]["min"] = list("9m", "49Mi", "49Gi");
    let target = format!("{RANGES}/limit-range");
    admin.put(&target, stored).await.ok();
    create_pod(&admin, "pod-small", small(), none()).await.ok();
    assert_eq!(create_pod(&admin, "pod", large(), none()).await.code, 422);
    admin.delete(&target).await.ok();
    assert_eq!(admin.get(&target).await.code, 404);
    create_pod(&admin, "pod-large", large(), none()).await.ok();
}

/// What is not said follows from the bounds, and claims are bounded too.
#[tokio::test]
async fn a_limit_range_completes_itself_and_bounds_claims() {
    let admin = admin().await;
    let item = json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Gi"}});
    let stored = admin.post(RANGES, range("containers", item)).await.ok();
    let item = &stored["spec"]["limits"][0];
    assert_eq!(
        (&item["default"], &item["defaultRequest"]),
        (&json!({"cpu": "2"}), &json!({"cpu": "2", "memory": "1Gi"}))
    );
    let bounds = json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}});
    admin.post(RANGES, range("claims", bounds)).await.ok();
    let claim = |size: &str| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec})
    };
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let refused = admin.post(claims, claim("2Gi")).await.status();
    let expected = "persistentvolumeclaims \"data\" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi";
    assert_eq!((refused.0, refused.2.as_str()), (403, expected));
    admin.post(claims, claim("1Gi")).await.ok();
}

/// LimitRange should list, patch and delete a LimitRange by collection.
#[tokio::test]
async fn limit_ranges_are_listed_patched_and_deleted_by_collection() {
    let admin = admin().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}});
    admin.post("/api/v1/namespaces", namespace).await.ok();
    let others = "/api/v1/namespaces/other/limitranges";
    let item = || json!({"type": "Container", "min": list("50m", "", ""), "max": list("500m", "", "")});
    for collection in [RANGES, others] {
        admin.post(collection, range("limit-range", item())).await.ok();
    }
    let count = async |selector: &str| {
        let found = admin.get(&format!("/api/v1/limitranges?labelSelector={selector}")).await.ok();
        found["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count("time=now").await, 2);
    let patch = json!({"metadata": {"labels": {"time": "patched"}}, "spec": {"limits": [{"type": "Container", "min": list("60m", "", "")}]}});
    let patched = admin.patch(&format!("{RANGES}/limit-range"), "strategic-merge-patch", patch).await.ok();
    assert_eq!(patched["metadata"]["labels"]["time"], "patched");
    assert_eq!(patched["spec"]["limits"][0]["min"]["cpu"], "60m");
    admin.call(Method::DELETE, &format!("{RANGES}?labelSelector=time%3Dpatched"), "", "").await.ok();
    assert_eq!((count("time=patched").await, count("time=now").await), (0, 1));
}

/// SchedulerPreemption: PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods.
#[tokio::test]
async fn priority_classes_change_in_what_is_not_their_value() {
    let admin = admin().await;
    for (name, value) in [("p1", 1), ("p2", 2)] {
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value});
        admin.post(CLASSES, class).await.ok();
    }
    let (first, second) = (format!("{CLASSES}/p1"), format!("{CLASSES}/p2"));
    let mut other = admin.get(&second).await.ok();
    other["value"] = json!(20);
    for refused in
        [admin.patch(&first, "merge-patch", json!({"value": 10})).await, admin.put(&second, other).await]
    {
        let (code, reason, message) = refused.status();
        assert_eq!((code, reason.as_str()), (422, "Invalid"));
        assert!(message.ends_with("value: Forbidden: may not be changed in an update."), "{message}");
    }
    let description = || json!({"description": "updated"});
    admin.patch(&first, "merge-patch", description()).await.ok();
    let mut other = admin.get(&second).await.ok();
    let before = other["metadata"]["resourceVersion"].clone();
    other["description"] = json!("updated");
    admin.put(&second, other).await.ok();
    let classes = admin.get(CLASSES).await.ok();
    let updated = |class: &&Value| class["description"] == "updated";
    assert_eq!(classes["items"].as_array().map_or(0, |classes| classes.iter().filter(updated).count()), 2);
    let after = admin.get(&second).await.ok();
    assert_eq!(after["value"], 2);
    assert_ne!(after["metadata"]["resourceVersion"], before);
    admin.call(Method::DELETE, CLASSES, "", "").await.ok();
    assert_eq!(admin.get(&first).await.code, 404);
}

/// Who may look into the devices of others is said by a label of the namespace, for claims, their templates and what is allocated.
#[tokio::test]
async fn administrators_get_to_devices_only_where_the_namespace_says_so() {
    const GROUP: &str = "/apis/resource.k8s.io/v1/namespaces/default";
    let admin = admin().await;
    let devices = json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "adminAccess": true}}]}});
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let claims = format!("{GROUP}/resourceclaims");
    let refused = admin.post(&claims, object("ResourceClaim", "a", devices.clone())).await.status();
    let expected = "ResourceClaim.resource.k8s.io \"a\" is invalid: spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace";
    assert_eq!((refused.0, refused.2.as_str()), (422, expected));
    let template = object("ResourceClaimTemplate", "t", json!({"spec": devices.clone()}));
    assert_eq!(admin.post(&format!("{GROUP}/resourceclaimtemplates"), template).await.code, 422);

    let labels = json!({"resource.kubernetes.io/admin-access": "true"});
    let marked =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "marked", "labels": labels}});
    admin.post("/api/v1/namespaces", marked).await.ok();
    let claim = object("ResourceClaim", "a", devices.clone());
    admin.post("/apis/resource.k8s.io/v1/namespaces/marked/resourceclaims", claim).await.ok();

    let mut plain = admin.post(&claims, object("ResourceClaim", "b", json!({}))).await.ok();
    let result = json!({"request": "r", "driver": "d", "pool": "p", "device": "gpu-0", "adminAccess": true});
    plain["status"] = json!({"allocation": {"devices": {"results": [result]}}});
    let granted = admin.put(&format!("{claims}/b/status"), plain.clone()).await.status();
    assert!(
        granted.0 == 422 && granted.2.contains("status.allocation.devices.results[0].adminAccess"),
        "{granted:?}"
    );
    plain["spec"] = json!({"devices": {"requests": [], "constraints": null}});
    let mut plain = admin.put(&format!("{claims}/b"), plain).await.ok();
    plain["spec"] = devices;
    let changed = admin.put(&format!("{claims}/b"), plain).await.status();
    assert!(changed.0 == 422 && changed.2.contains("field is immutable"), "{changed:?}");
}

/// Terms that match by the pod's own labels say so in their selectors, which later updates send back.
#[tokio::test]
async fn pods_match_by_the_labels_they_are_created_with() {
    let admin = admin().await;
    admin.client().await;
    let pod = |name: &str, selector: Value| {
        let constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "matchLabelKeys": ["rev"], "labelSelector": selector});
        let spec = json!({"containers": [{"name": "c", "image": "pause"}], "topologySpreadConstraints": [constraint]});
        let metadata = json!({"name": name, "labels": {"app": "web", "rev": "1"}});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    };
    let mut stored = admin.post(PODS, pod("a", json!({"matchLabels": {"app": "web"}}))).await.ok();
    let selector = &stored["spec"]["topologySpreadConstraints"][0]["labelSelector"];
    let demand = json!([{"key": "rev", "operator": "In", "values": ["1"]}]);
    assert_eq!(*selector, json!({"matchLabels": {"app": "web"}, "matchExpressions": demand}));
    stored["metadata"]["labels"]["rev"] = "2".into();
    let updated = admin.put(&format!("{PODS}/a"), stored.clone()).await.ok();
    assert_eq!(updated["spec"]["topologySpreadConstraints"], stored["spec"]["topologySpreadConstraints"]);

    let refused = admin.post(PODS, pod("b", json!({"matchLabels": {"rev": "1"}}))).await.status();
    let reason = "Pod \"b\" is invalid: spec.topologySpreadConstraints[0][0]: Invalid value: \"rev\": exists in both matchLabelKeys and labelSelector";
    assert_eq!((refused.0, refused.2.as_str()), (422, reason));
}
