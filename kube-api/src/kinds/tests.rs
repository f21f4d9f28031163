use serde_json::json;

use super::*;

fn texts(errors: &[crate::field::FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn every_row_has_its_schema_and_its_parts() {
    let kinds = Kinds::builtin();
    assert_eq!(kinds.iter().count(), 55);
    let pods = kinds.find("", "v1", "pods").unwrap();
    assert_eq!(pods.schema.name, "io.k8s.api.core.v1.Pod");
    assert_eq!(pods.subresource("eviction").unwrap().group, "policy");
    assert_eq!(pods.subresource("proxy").unwrap().kind, "PodProxyOptions");
    assert_eq!(kinds.by_kind("apps", "v1", "Deployment").unwrap().group_resource(), "deployments.apps");
    assert_eq!(kinds.groups()[0].group, "apps");
    let autoscaling = kinds.groups().into_iter().find(|g| g.group == "autoscaling").unwrap();
    assert_eq!(autoscaling.versions, ["v2", "v1"]);
}

#[test]
fn what_is_new_says_so_whatever_the_client_says() {
    let kinds = Kinds::builtin();
    let cases = [
        ("persistentvolumes", json!({"phase": "Pending"})),
        ("persistentvolumeclaims", json!({"phase": "Pending"})),
        ("namespaces", json!({"phase": "Active"})),
        ("pods", json!({"phase": "Pending", "qosClass": "BestEffort"})),
    ];
    for (plural, expected) in cases {
        let mut object = json!({"metadata": {"name": "n"}, "spec": {}, "status": {"phase": "Bound"}});
        kinds.find("", "v1", plural).unwrap().prepare_create(&mut object);
        assert_eq!(object["status"], expected, "{plural}");
    }
}

#[test]
fn claims_for_devices_say_how_many() {
    let kinds = Kinds::builtin();
    let subrequests = json!([{"name": "a"}, {"name": "b", "count": 2}]);
    let one = json!({"name": "one", "exactly": {"deviceClassName": "gpu", "tolerations": [{"key": "k"}]}});
    let all = json!({"name": "all", "exactly": {"allocationMode": "All"}});
    let devices = json!({"requests": [one, all, {"name": "some", "firstAvailable": subrequests}]});
    let spec = json!({"devices": devices});
    for (plural, spec) in
        [("resourceclaims", spec.clone()), ("resourceclaimtemplates", json!({"spec": spec}))]
    {
        let kind = kinds.find("resource.k8s.io", "v1", plural).unwrap();
        let mut object = json!({"metadata": {"name": "c", "namespace": "ns"}, "spec": spec});
        kind.strategy.default(&mut object);
        let spec = if plural == "resourceclaims" { &object["spec"] } else { &object["spec"]["spec"] };
        let requests = &spec["devices"]["requests"];
        let exact = json!({"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1, "tolerations": [{"key": "k", "operator": "Equal"}]});
        assert_eq!(requests[0]["exactly"], exact);
        assert_eq!(requests[1]["exactly"], json!({"allocationMode": "All"}));
        let count = |place: usize| requests[2]["firstAvailable"][place]["count"].as_i64();
        assert_eq!((count(0), count(1)), (Some(1), Some(2)));
    }
}

#[test]
fn metadata_is_validated_in_upstreams_words() {
    let kind = Kinds::builtin().find("", "v1", "configmaps").unwrap();
    let object = json!({"metadata": {"name": "Bad_Name", "labels": {"a b": "c d"}, "generateName": ""}});
    assert_eq!(
        texts(&kind.validate(&object)),
        [
            "metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "metadata.namespace: Required value",
            "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or \
             '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
             regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "metadata.labels: Invalid value: \"c d\": a valid label must be an empty string or consist of alphanumeric \
             characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
             'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ]
    );
}

#[test]
fn updates_keep_status_and_count_generations() {
    let kind = Kinds::builtin().find("apps", "v1", "replicasets").unwrap();
    let old = json!({"metadata": {"generation": 3}, "spec": {"replicas": 1}, "status": {"replicas": 1}});
    let mut new = json!({"metadata": {}, "spec": {"replicas": 2}, "status": {"replicas": 9}});
    kind.prepare_update(&mut new, &old);
    assert_eq!(
        new,
        json!({"metadata": {"generation": 4}, "spec": {"replicas": 2}, "status": {"replicas": 1}})
    );
    let mut new = json!({"metadata": {}, "spec": {"replicas": 7}, "status": {"replicas": 9}});
    kind.prepare_status_update(&mut new, &old);
    assert_eq!(
        new,
        json!({"metadata": {"generation": 3}, "spec": {"replicas": 1}, "status": {"replicas": 9}})
    );
}

#[test]
fn immutable_metadata_is_refused() {
    let kind = Kinds::builtin().find("", "v1", "configmaps").unwrap();
    let old = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "1"}});
    let new = json!({"metadata": {"name": "a", "uid": "2"}});
    assert_eq!(
        texts(&kind.validate_update(&new, &old)),
        [
            "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
            "metadata.uid: Invalid value: \"2\": field is immutable",
        ]
    );
}

#[test]
fn events_share_their_objects_between_versions() {
    let kind = Kinds::builtin().find("events.k8s.io", "v1", "events").unwrap();
    let mut object = json!({"apiVersion": "events.k8s.io/v1", "note": "n", "regarding": {"kind": "Pod"}});
    let before = object.clone();
    kind.to_storage(&mut object);
    assert_eq!(object, json!({"apiVersion": "v1", "message": "n", "involvedObject": {"kind": "Pod"}}));
    assert_eq!(kind.field_pointer("regarding.kind"), Some("/involvedObject/kind"));
    kind.from_storage(&mut object);
    assert_eq!(object, before);
}

#[test]
fn names_follow_their_rule() {
    let ok = [
        (NameRule::Dns1123Label, "a-1"),
        (NameRule::Dns1123Subdomain, "a.b-c"),
        (NameRule::Dns1035Label, "a1"),
        (NameRule::PathSegment, "system:node"),
    ];
    for (rule, name) in ok {
        assert!(rule.complaints(name, false).is_empty(), "{name}");
    }
    assert!(NameRule::Dns1123Subdomain.complaints("web-", true).is_empty());
    assert_eq!(NameRule::Dns1123Label.complaints("a.b", false), ["must not contain dots"]);
    assert_eq!(NameRule::PathSegment.complaints("a/b", false), ["may not contain '/'"]);
    assert_eq!(NameRule::PathSegment.complaints("..", false), ["may not be '..'"]);
    assert!(!NameRule::Dns1035Label.complaints("1a", false).is_empty());
}

fn defaulted(group: &str, plural: &str, mut object: serde_json::Value) -> serde_json::Value {
    Kinds::builtin().find(group, "v1", plural).unwrap().default(&mut object);
    object
}

#[test]
fn pods_are_defaulted_as_upstream_does() {
    let pod = defaulted(
        "",
        "pods",
        json!({"spec": {"containers": [{
            "name": "a", "image": "nginx:1.25", "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "1"}}, "livenessProbe": {"httpGet": {"port": 80}},
        }], "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}], "serviceAccountName": "sa"}}),
    );
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [{
                "name": "a", "image": "nginx:1.25", "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                    "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {},
            "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler", "enableServiceLinks": true,
            "serviceAccountName": "sa", "serviceAccount": "sa",
        })
    );
}

#[test]
fn pull_policies_follow_the_tag() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ] {
        let pod = defaulted("", "pods", json!({"spec": {"containers": [{"name": "a", "image": image}]}}));
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn workloads_services_and_secrets_are_defaulted() {
    let deployment =
        defaulted("apps", "deployments", json!({"spec": {"template": {"spec": {"containers": []}}}}));
    assert_eq!(
        deployment["spec"]["strategy"]["rollingUpdate"],
        json!({"maxSurge": "25%", "maxUnavailable": "25%"})
    );
    assert_eq!(deployment["spec"]["template"]["spec"]["restartPolicy"], "Always");
    assert_eq!(deployment["spec"]["progressDeadlineSeconds"], 600);
    let recreate =
        defaulted("apps", "deployments", json!({"spec": {"replicas": 0, "strategy": {"type": "Recreate"}}}));
    assert_eq!(recreate["spec"]["strategy"], json!({"type": "Recreate"}));
    assert_eq!(recreate["spec"]["replicas"], 0);
    let mut service = defaulted("", "services", json!({"spec": {"ports": [{"port": 80}]}}));
    Kinds::builtin().find("", "v1", "services").unwrap().prepare_create(&mut service);
    assert_eq!(
        service["spec"],
        json!({
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "type": "ClusterIP", "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        })
    );
    let secret = defaulted("", "secrets", json!({"stringData": {"a": "b"}}));
    assert_eq!((&secret["data"]["a"], &secret["type"]), (&json!("Yg=="), &json!("Opaque")));
}

#[test]
fn new_objects_get_their_initial_state() {
    let create = |plural: &str, mut object: serde_json::Value| {
        Kinds::builtin().find("", "v1", plural).unwrap().prepare_create(&mut object);
        object
    };
    let pod =
        create("pods", json!({"metadata": {}, "spec": {"containers": []}, "status": {"phase": "Running"}}));
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(pod["metadata"]["generation"], 1);
    let namespace = create("namespaces", json!({"metadata": {"name": "a"}}));
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
}
