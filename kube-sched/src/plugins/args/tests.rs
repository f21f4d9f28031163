use serde_json::{Value, json};

use crate::framework::Registry;

/// The plugin's complaints about its arguments; `""` is for arguments that are good.
#[track_caller]
fn check(plugin: &str, args: Value, expected: &str) {
    let error = Registry::default().build(plugin, &args).err().map(|error| error.to_string());
    let prefix = format!("invalid arguments for plugin {plugin}: ");
    let found = error.as_deref().map_or("", |text| text.strip_prefix(&prefix).unwrap_or(text));
    assert_eq!(found, expected, "{plugin} {args}");
}

#[test]
fn every_plugin_refuses_fields_that_it_does_not_have() {
    let registry = Registry::default();
    for plugin in crate::plugins::defaults().iter().map(|enabled| enabled.plugin.name()) {
        let kind = format!("{plugin}Args");
        check(plugin, Value::Null, "");
        check(plugin, json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": kind}), "");
        check(plugin, json!({"speed": 3}), "strict decoding error: unknown field \"speed\"");
        check(plugin, json!([]), "not an object");
        assert!(registry.knows(plugin));
    }
}

#[test]
fn preemption() {
    let (first, second) = ("minCandidateNodesPercentage", "minCandidateNodesAbsolute");
    let check = |percentage: i64, absolute: i64, expected: &str| {
        check("DefaultPreemption", json!({first: percentage, second: absolute}), expected);
    };
    check(0, 1, "");
    check(100, 0, "");
    check(101, 1, "minCandidateNodesPercentage: Invalid value: 101: not in valid range [0, 100]");
    check(
        -1,
        -2,
        "[minCandidateNodesPercentage: Invalid value: -1: not in valid range [0, 100], \
         minCandidateNodesAbsolute: Invalid value: -2: not in valid range [0, inf)]",
    );
    check(
        0,
        0,
        "[minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute, \
         minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as minCandidateNodesPercentage]",
    );
}

#[test]
fn pod_affinity() {
    let check = |weight: i64, expected| {
        check("InterPodAffinity", json!({"hardPodAffinityWeight": weight}), expected);
    };
    check(0, "");
    check(100, "");
    check(101, "hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]");
    check(-1, "hardPodAffinityWeight: Invalid value: -1: not in valid range [0, 100]");
}

#[test]
fn spread() {
    let check = |args, expected| check("PodTopologySpread", args, expected);
    let constraint = |skew: i32, key: &str, action: &str| json!({"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": action});
    let listed = |constraints: &[Value]| json!({"defaultingType": "List", "defaultConstraints": constraints});
    check(json!({"defaultingType": "System"}), "");
    check(listed(&[constraint(1, "zone", "DoNotSchedule"), constraint(1, "zone", "ScheduleAnyway")]), "");
    check(
        json!({"defaultingType": "Some"}),
        "defaultingType: Unsupported value: \"Some\": supported values: \"System\", \"List\"",
    );
    check(
        json!({"defaultConstraints": [constraint(1, "zone", "DoNotSchedule")]}),
        "defaultingType: Invalid value: \"System\": when .defaultConstraints are not empty",
    );
    check(
        listed(&[constraint(0, "", "")]),
        "[defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf), \
         defaultConstraints[0].topologyKey: Required value: can not be empty, \
         defaultConstraints[0].whenUnsatisfiable: Required value: can not be empty]",
    );
    check(
        listed(&[constraint(1, "/z", "Never")]),
        "[defaultConstraints[0].topologyKey: Invalid value: \"/z\": prefix part must be non-empty, \
         defaultConstraints[0].whenUnsatisfiable: Unsupported value: \"Never\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"]",
    );
    let twice = constraint(1, "zone", "DoNotSchedule");
    check(
        listed(&[twice.clone(), twice]),
        "defaultConstraints[1]: Duplicate value: \"{zone, DoNotSchedule}\"",
    );
    let mut selecting = constraint(1, "zone", "DoNotSchedule");
    selecting["labelSelector"] = json!({});
    check(
        listed(&[selecting]),
        "defaultConstraints[0].labelSelector: Forbidden: constraint must not define a selector, as they deduced for each pod",
    );
}

#[test]
fn fit() {
    let check = |args, expected| check("NodeResourcesFit", args, expected);
    let strategy = |strategy: Value| json!({"scoringStrategy": strategy});
    check(json!({"ignoredResources": ["example.com/a", "b"], "ignoredResourceGroups": ["example.com"]}), "");
    check(
        json!({"ignoredResources": ["/a"]}),
        "ignoredResources[0]: Invalid value: \"/a\": prefix part must be non-empty",
    );
    check(
        json!({"ignoredResourceGroups": ["a", "b/c"]}),
        "ignoredResourceGroups[1]: Invalid value: \"b/c\": resource group name can't contain '/'",
    );
    for good in ["LeastAllocated", "MostAllocated"] {
        check(strategy(json!({"type": good, "resources": [{"name": "cpu"}]})), "");
    }
    check(
        strategy(json!({"type": "Most"})),
        "scoringStrategy.type: Unsupported value: \"Most\": supported values: \"LeastAllocated\", \"MostAllocated\", \"RequestedToCapacityRatio\"",
    );
    check(
        strategy(
            json!({"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 101}, {"name": "memory", "weight": -1}]}),
        ),
        "[scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100], \
         scoringStrategy.resources[1].weight: Invalid value: -1: resource weight of memory not in valid range (0, 100]]",
    );
    check(
        strategy(json!({"type": "RequestedToCapacityRatio"})),
        "scoringStrategy.requestedToCapacityRatio: Required value",
    );
}

#[test]
fn shapes() {
    let check = |points: &[(i64, i64)], expected| {
        let points: Vec<_> = points.iter().map(|(u, s)| json!({"utilization": u, "score": s})).collect();
        let strategy =
            json!({"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": points}});
        check("NodeResourcesFit", json!({"scoringStrategy": strategy}), expected);
    };
    check(&[(0, 0), (100, 10)], "");
    check(&[], "scoringStrategy.shape: Required value: at least one point must be specified");
    check(
        &[(5, 1), (5, 2), (4, 3)],
        "scoringStrategy.shape[1].utilization: Invalid value: 5: values must be sorted in increasing order",
    );
    check(
        &[(-1, 11), (101, -1)],
        "[scoringStrategy.shape[0].utilization: Invalid value: -1: not in valid range [0, 100], \
         scoringStrategy.shape[0].score: Invalid value: 11: not in valid range [0, 10], \
         scoringStrategy.shape[1].utilization: Invalid value: 101: not in valid range [0, 100], \
         scoringStrategy.shape[1].score: Invalid value: -1: not in valid range [0, 10]]",
    );
}

#[test]
fn balance() {
    let check = |resources: Value, expected| {
        check("NodeResourcesBalancedAllocation", json!({"resources": resources}), expected)
    };
    check(json!([]), "");
    check(json!([{"name": "cpu"}, {"name": "memory", "weight": 1}]), "");
    check(json!([{"name": "cpu", "weight": 2}]), "resources[0].weight: Invalid value: 2: must be 1");
    check(json!([{"name": "cpu"}, {"name": "cpu"}]), "resources[1].name: Duplicate value: \"cpu\"");
}

#[test]
fn volume_binding() {
    let check = |args, expected| check("VolumeBinding", args, expected);
    check(json!({"bindTimeoutSeconds": 0}), "");
    check(
        json!({"bindTimeoutSeconds": -1}),
        "bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value",
    );
    check(
        json!({"shape": [{"utilization": 0, "score": 3}]}),
        "shape: Invalid value: [{\"Utilization\":0,\"Score\":3}]: unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring",
    );
}

#[test]
fn dynamic_resources() {
    let check = |args, expected| check("DynamicResources", args, expected);
    check(json!({"filterTimeout": "0s"}), "");
    check(json!({"filterTimeout": "1m30s", "featureGates": {"DRADeviceTaints": true}}), "");
    check(
        json!({"filterTimeout": "-90s"}),
        "filterTimeout: Invalid value: \"-1m30s\": must be zero or positive",
    );
    check(
        json!({"featureGates": {"DRAEverything": true}}),
        "featureGates: Unsupported value: \"DRAEverything\": supported values: \"DRADeviceTaints\", \"DRAPartitionableDevices\"",
    );
}

#[test]
fn node_affinity() {
    let required = |terms: Value| json!({"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
    let label = |key: &str, operator: &str, values: &[&str]| {
        required(json!([{}, {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
    };
    let place = "addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchExpressions[0]";
    for (key, operator, values, flaw) in [
        ("a", "In", &["x"][..], ""),
        ("a", "Lt", &["-5"], ""),
        ("a", "DoesNotExist", &[], ""),
        ("/a", "Exists", &[], ".key: Invalid value: \"/a\": prefix part must be non-empty"),
        (
            "a",
            "NotIn",
            &[],
            ".values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            "a",
            "Exists",
            &["x", "y"],
            ".values: Invalid value: [\"x\",\"y\"]: values set must be empty for exists and does not exist",
        ),
        (
            "a",
            "Gt",
            &["1", "2"],
            ".values: Invalid value: [\"1\",\"2\"]: for 'Gt', 'Lt' operators, exactly one value is required",
        ),
        (
            "a",
            "Gt",
            &["x"],
            ".values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "a",
            "Near",
            &[],
            ".operator: Unsupported value: \"Near\": supported values: \"In\", \"NotIn\", \"Exists\", \"DoesNotExist\", \"Gt\", \"Lt\"",
        ),
    ] {
        let expected = if flaw.is_empty() { String::new() } else { format!("{place}{flaw}") };
        check("NodeAffinity", label(key, operator, values), &expected);
    }
    let name = |operator: &str, values: &[&str]| json!({"matchFields": [{"key": "metadata.name", "operator": operator, "values": values}]});
    check("NodeAffinity", required(json!([name("In", &["n"])])), "");
    let preferred = |weight: i32, term: Value| json!({"addedAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": weight, "preference": term}]}});
    let place = "addedAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].matchFields[0]";
    let several = format!("{place}.values: Invalid value: [\"m\",\"n\"]: must have one element");
    check("NodeAffinity", preferred(1, name("NotIn", &["m", "n"])), &several);
    let unknown = format!("{place}.operator: Unsupported value: \"Gt\": supported values: \"In\", \"NotIn\"");
    check("NodeAffinity", preferred(1, name("Gt", &["1"])), &unknown);
    check("NodeAffinity", preferred(0, name("Gt", &["1"])), "");
}
