use serde_json::{Value, json};

use crate::kinds::Kinds;

/// The complaints about an object after defaulting, metadata left out.
fn complaints(group: &str, plural: &str, mut object: Value) -> Vec<String> {
    let kind = Kinds::builtin().find(group, "v1", plural).unwrap();
    kind.default(&mut object);
    kind.strategy.validate(&object).iter().map(ToString::to_string).collect()
}

fn pod(spec: Value) -> Vec<String> {
    complaints("", "pods", json!({"spec": spec}))
}

#[test]
fn a_good_pod_has_no_complaints() {
    let spec = json!({"containers": [{"name": "a", "image": "b", "ports": [{"containerPort": 80, "name": "http"}],
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}], "readinessProbe": {"httpGet": {"port": "http"}},
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}}], "volumes": [{"name": "v"}]});
    assert_eq!(pod(spec), Vec::<String>::new());
}

#[test]
fn pods_are_refused_in_upstreams_words() {
    let one = |container: Value| json!({"containers": [container]});
    let cases = [
        (json!({}), "spec.containers: Required value"),
        (one(json!({"name": "a"})), "spec.containers[0].image: Required value"),
        (
            json!({"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]}),
            "spec.containers[1].name: Duplicate value: \"a\"",
        ),
        (
            json!({"restartPolicy": "Sometimes", "containers": [{"name": "a", "image": "x"}]}),
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            one(json!({"name": "a", "image": "x", "ports": [{"containerPort": 70000}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            one(json!({"name": "a", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            one(
                json!({"name": "a", "image": "x", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            ),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            one(json!({"name": "a", "image": "x", "livenessProbe": {}})),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
    ];
    for (spec, text) in cases {
        assert_eq!(pod(spec.clone()), [text], "{spec}");
    }
}

#[test]
fn pods_change_only_where_they_may() {
    let kind = Kinds::builtin().find("", "v1", "pods").unwrap();
    let old = json!({"spec": {"containers": [{"name": "a", "image": "x"}]}});
    let changed = |edit: fn(&mut Value)| {
        let mut new = old.clone();
        edit(&mut new["spec"]);
        kind.strategy.validate_update(&new, &old).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(changed(|spec| spec["containers"][0]["image"] = "y".into()).is_empty());
    assert!(changed(|spec| spec["tolerations"] = json!([{"operator": "Exists"}])).is_empty());
    let errors = changed(|spec| spec["containers"][0]["command"] = json!(["y"]));
    assert!(errors[0].starts_with(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
    ));
    let errors = changed(|spec| spec["containers"] = json!([]));
    assert_eq!(errors, ["spec.containers: Forbidden: pod updates may not add or remove containers"]);
}

#[test]
fn deployments_are_refused_in_upstreams_words() {
    let template = |labels: Value| json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "x"}]}});
    let with = |spec: Value| complaints("apps", "deployments", json!({"spec": spec}));
    let good = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template(json!({"a": "b"}))});
    assert_eq!(with(good.clone()), Vec::<String>::new());
    assert_eq!(
        with(json!({"selector": {"matchLabels": {"a": "b"}}, "template": template(json!({"a": "c"}))})),
        [
            "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"
        ]
    );
    let mut negative = good.clone();
    negative["replicas"] = (-1).into();
    assert_eq!(with(negative), ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]);
    assert_eq!(
        with(json!({})),
        [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
            "spec.template.spec.containers: Required value",
        ]
    );
    let mut stuck = good;
    stuck["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}});
    assert_eq!(
        with(stuck),
        ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"]
    );
    let kind = Kinds::builtin().find("apps", "v1", "deployments").unwrap();
    let errors = kind.strategy.validate_update(
        &json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}}),
        &json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
    );
    assert_eq!(
        errors[0].to_string(),
        "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"
    );
}

#[test]
fn services_are_refused_in_upstreams_words() {
    let with = |spec: Value| complaints("", "services", json!({"spec": spec}));
    assert_eq!(with(json!({"ports": [{"port": 80}]})), Vec::<String>::new());
    assert_eq!(with(json!({})), ["spec.ports: Required value"]);
    assert_eq!(with(json!({"clusterIP": "None"})), Vec::<String>::new());
    assert_eq!(
        with(json!({"ports": [{"port": 80}, {"port": 81}]})),
        ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]
    );
    assert_eq!(
        with(json!({"ports": [{"port": 80, "nodePort": 30000}]})),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
    );
    assert_eq!(
        with(json!({"type": "Odd", "ports": [{"port": 80}]})),
        [
            "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""
        ]
    );
}

#[test]
fn endpoints_never_point_at_the_machine_itself() {
    for address in ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "224.0.0.1", "0.0.0.0", "x"] {
        let endpoints = complaints("", "endpoints", json!({"subsets": [{"addresses": [{"ip": address}]}]}));
        assert_eq!(endpoints.len(), 1, "{address}");
        let family = if address.contains(':') { "IPv6" } else { "IPv4" };
        let slice = json!({"addressType": family, "endpoints": [{"addresses": [address]}]});
        assert_eq!(complaints("discovery.k8s.io", "endpointslices", slice).len(), 1, "{address}");
    }
}

#[test]
fn data_and_leases_are_checked() {
    assert_eq!(
        complaints("", "configmaps", json!({"data": {"a/b": ""}})),
        [
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
          (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        ]
    );
    assert_eq!(
        complaints("", "secrets", json!({"type": "kubernetes.io/tls"})),
        ["data[tls.crt]: Required value", "data[tls.key]: Required value"]
    );
    assert_eq!(
        complaints("coordination.k8s.io", "leases", json!({"spec": {"leaseDurationSeconds": 0}})),
        ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]
    );
}

fn first(group: &str, plural: &str, spec: Value) -> String {
    complaints(group, plural, json!({"spec": spec})).into_iter().next().unwrap_or_default()
}

/// A limit range for containers with these lists.
fn container(lists: Value) -> Value {
    let mut item = json!({"type": "Container"});
    item.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
    json!({"limits": [item]})
}

fn cpu(amount: &str) -> Value {
    json!({"cpu": amount})
}

#[test]
fn limit_ranges_that_contradict_themselves_are_refused() {
    for (spec, expected) in [
        (
            container(
                json!({"min": cpu("1"), "max": cpu("2"), "default": cpu("2"), "defaultRequest": cpu("1")}),
            ),
            "",
        ),
        (
            container(json!({"min": cpu("3"), "max": cpu("2")})),
            "spec.limits[0].min[cpu]: Invalid value: \"3\": min value 3 is greater than max value 2",
        ),
        (
            container(json!({"min": cpu("2"), "defaultRequest": cpu("1")})),
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
        ),
        (
            container(json!({"default": cpu("1"), "defaultRequest": cpu("2")})),
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"2\": default request value 2 is greater than default limit value 1",
        ),
        (
            container(json!({"max": cpu("1"), "default": cpu("2"), "defaultRequest": cpu("1")})),
            "spec.limits[0].default[cpu]: Invalid value: \"1\": default value 2 is greater than max value 1",
        ),
        (
            container(json!({"maxLimitRequestRatio": cpu("500m")})),
            "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1",
        ),
        (
            container(json!({"min": cpu("1"), "max": cpu("2"), "maxLimitRequestRatio": cpu("3")})),
            "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than max/min = 2.000000",
        ),
    ] {
        assert_eq!(first("", "limitranges", spec.clone()), expected, "{spec}");
    }
}

#[test]
fn limit_ranges_for_what_has_no_limits_are_refused() {
    for (spec, expected) in [
        (
            container(json!({"max": {"storage": "1"}})),
            "spec.limits[0].max[storage]: Invalid value: \"storage\": must be a standard resource for containers",
        ),
        (
            container(
                json!({"default": {"example.com/gpu": "2"}, "defaultRequest": {"example.com/gpu": "1"}}),
            ),
            "spec.limits[0].defaultRequest[example.com/gpu]: Invalid value: \"1\": default value 2 must equal to defaultRequest value 1 in example.com/gpu",
        ),
        (
            json!({"limits": [{"type": "Pod", "default": cpu("1")}]}),
            "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
        ),
        (
            json!({"limits": [{"type": "Pod"}, {"type": "Pod"}]}),
            "spec.limits[1].type: Duplicate value: \"Pod\"",
        ),
        (
            json!({"limits": [{"type": "Node"}]}),
            "spec.limits[0].type: Invalid value: \"Node\": must be a standard limit type or fully qualified",
        ),
        (
            json!({"limits": [{"type": "PersistentVolumeClaim", "min": {"cpu": "1"}}]}),
            "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
        ),
    ] {
        assert_eq!(first("", "limitranges", spec.clone()), expected, "{spec}");
    }
}

#[test]
fn resource_quotas_are_refused_in_upstreams_words() {
    let scoped = |scope: &str, operator: &str, values: Value| {
        json!({"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions":
            [{"scopeName": scope, "operator": operator, "values": values}]}})
    };
    for (spec, expected) in [
        (json!({"hard": {"pods": "10", "requests.cpu": "1", "count/deployments.apps": "3"}}), ""),
        (scoped("PriorityClass", "In", json!(["high"])), ""),
        (
            json!({"hard": {"pods": "-1"}}),
            "spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
        (json!({"hard": {"pods": "1500m"}}), "spec.hard[pods]: Invalid value: \"1500m\": must be an integer"),
        (
            json!({"hard": {"storage": "1"}}),
            "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota",
        ),
        (
            json!({"hard": {"things": "1"}}),
            "spec.hard[things]: Invalid value: \"things\": must be a standard resource type or fully qualified",
        ),
        (
            json!({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}),
            "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes",
        ),
        (
            json!({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}),
            "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
        ),
        (json!({"scopes": ["Some"]}), "spec.scopes: Invalid value: [\"Some\"]: unsupported scope"),
        (
            scoped("PriorityClass", "In", json!([])),
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        ),
        (
            scoped("PriorityClass", "Like", json!([])),
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"Like\": not a valid selector operator",
        ),
        (
            scoped("PriorityClass", "Exists", json!(["a"])),
            "spec.scopeSelector.matchExpressions.values: Invalid value: [\"a\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        ),
    ] {
        assert_eq!(first("", "resourcequotas", spec.clone()), expected, "{spec}");
    }
    assert!(
        first("", "resourcequotas", scoped("Terminating", "In", json!(["a"])))
            .contains("must be 'Exists' when scope")
    );
    let kind = Kinds::builtin().find("", "v1", "resourcequotas").unwrap();
    let with = |scopes: Value| json!({"spec": {"scopes": scopes}});
    let changed = kind.strategy.validate_update(&with(json!(["Terminating"])), &with(json!([])));
    assert_eq!(changed[0].to_string(), "spec.scopes: Invalid value: [\"Terminating\"]: field is immutable");
}

#[test]
fn claims_for_devices_are_refused_in_upstreams_words() {
    let claim = |requests: Value| json!({"devices": {"requests": requests}});
    let exactly = |exactly: Value| claim(json!([{"name": "a", "exactly": exactly}]));
    for (spec, expected) in [
        (exactly(json!({"deviceClassName": "gpu"})), ""),
        (claim(json!([{"name": "a", "firstAvailable": [{"name": "b", "deviceClassName": "gpu"}]}])), ""),
        (
            claim(json!([{"name": "a"}])),
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
        ),
        (exactly(json!({})), "spec.devices.requests[0].exactly.deviceClassName: Required value"),
        (
            exactly(json!({"deviceClassName": "gpu", "count": -1})),
            "spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero",
        ),
        (
            exactly(json!({"deviceClassName": "gpu", "allocationMode": "All", "count": 2})),
            "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
        ),
        (
            exactly(json!({"deviceClassName": "gpu", "allocationMode": "Some"})),
            "spec.devices.requests[0].exactly.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\"",
        ),
        (
            exactly(json!({"deviceClassName": "gpu", "selectors": [{}]})),
            "spec.devices.requests[0].exactly.selectors[0].cel: Required value",
        ),
        (
            claim(
                json!([{"name": "a", "exactly": {"deviceClassName": "x"}}, {"name": "a", "exactly": {"deviceClassName": "x"}}]),
            ),
            "spec.devices.requests[1].name: Duplicate value: \"a\"",
        ),
    ] {
        assert_eq!(first("resource.k8s.io", "resourceclaims", spec.clone()), expected, "{spec}");
    }
    let template = json!({"spec": {"devices": {"requests": [{"name": "a"}]}}});
    assert!(
        first("resource.k8s.io", "resourceclaimtemplates", template)
            .starts_with("spec.spec.devices.requests[0]: ")
    );
}

#[test]
fn the_devices_of_a_claim_come_and_go_together() {
    let kind = Kinds::builtin().find("resource.k8s.io", "v1", "resourceclaims").unwrap();
    let claim = |status: Value| json!({"metadata": {"name": "a"}, "spec": {}, "status": status});
    let user = |uid: &str| json!({"resource": "pods", "name": "p", "uid": uid});
    let check = |new: &Value, old: &Value| {
        let errors = kind.strategy.validate_status_update(new, old);
        errors.first().map(ToString::to_string).unwrap_or_default()
    };
    let free = claim(json!({}));
    let used = claim(json!({"allocation": {"devices": {}}, "reservedFor": [user("u")]}));
    assert_eq!((check(&used, &free), check(&free, &used)), (String::new(), String::new()));
    let moved = claim(json!({"allocation": {"nodeSelector": {}}}));
    assert_eq!(
        check(&moved, &used),
        "status.allocation: Invalid value: {\"nodeSelector\":{}}: field is immutable"
    );
    assert_eq!(
        check(&claim(json!({"reservedFor": [user("u")]})), &free),
        "status.reservedFor: Forbidden: may not be specified when `allocated` is not set"
    );
    let mut leaving = claim(json!({"allocation": {"devices": {}}, "reservedFor": [user("u"), user("v")]}));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(
        check(&leaving, &used).starts_with("status.reservedFor: Forbidden: new entries may not be added")
    );
    let changed = json!({"metadata": {"name": "a"}, "spec": {"devices": {"config": [{}]}}});
    assert_eq!(
        kind.strategy.validate_update(&changed, &free)[0].to_string(),
        "spec: Invalid value: {\"devices\":{\"config\":[{}]}}: field is immutable"
    );
}
