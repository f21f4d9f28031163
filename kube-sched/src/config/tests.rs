use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::framework::{Binding, EnabledPlugin, Plugin, PostBind, QueueSort, Registry};
use crate::queue::QueuedPod;

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

fn read(body: &str) -> Result<Settings, Error> {
    Settings::from_yaml(&format!("{HEAD}{body}"), &registry())
}

fn complaint(body: &str) -> String {
    let error = read(body).expect_err("it is wrong");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    source.unwrap_or_else(|| error.to_string())
}

/// A plugin outside the tree that takes part in two extension points.
#[derive(Debug)]
struct Custom;

impl Plugin for Custom {
    fn name(&self) -> &'static str {
        "Custom"
    }

    fn as_queue_sort(&self) -> Option<&dyn QueueSort> {
        Some(self)
    }

    fn as_post_bind(&self) -> Option<&dyn PostBind> {
        Some(self)
    }
}

impl QueueSort for Custom {
    fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> std::cmp::Ordering {
        a.queued_at.cmp(&b.queued_at)
    }
}

impl PostBind for Custom {
    fn post_bind(&self, _: &Binding<'_>) {}
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register("Custom", |_| Ok(Arc::new(Custom)));
    registry
}

/// The plugins of a profile that implement something.
fn names(profile: &Profile, has: fn(&dyn Plugin) -> bool) -> Vec<&'static str> {
    let plugins = profile.plugins.iter().map(|enabled| &enabled.plugin);
    plugins.filter(|plugin| has(&***plugin)).map(|plugin| plugin.name()).collect()
}

fn filters(profile: &Profile) -> Vec<&'static str> {
    names(profile, |plugin| plugin.as_filter().is_some())
}

fn scores(profile: &Profile) -> Vec<(&'static str, i64)> {
    let scoring = |enabled: &&EnabledPlugin| enabled.plugin.as_score().is_some();
    let mut scores: Vec<_> = profile
        .plugins
        .iter()
        .filter(scoring)
        .map(|enabled| (enabled.plugin.name(), enabled.weight))
        .collect();
    scores.sort_unstable();
    scores
}

#[test]
fn an_empty_document_means_the_defaults() {
    let settings = read("").unwrap();
    assert_eq!(settings.leader_election, LeaderElection::default());
    assert_eq!(settings.client_connection, ClientConnection::default());
    assert_eq!(settings.scheduler.queue, QueueConfig::default());
    let [profile] = settings.scheduler.profiles.as_slice() else { panic!("one profile") };
    let default = Profile::default();
    assert_eq!(profile.scheduler_name, "default-scheduler");
    assert_eq!(filters(profile), filters(&default));
    assert_eq!(scores(profile), scores(&default));
    assert_eq!(profile.plugins.len(), default.plugins.len(), "no plugin is split");
}

#[test]
fn everything_about_the_process_is_read() {
    let settings = read(
        "
parallelism: 4
percentageOfNodesToScore: 30
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
enableProfiling: false
profiles:
clientConnection: {kubeconfig: /etc/kubernetes/scheduler.conf, qps: 5, burst: 7, contentType: application/json}
leaderElection: {leaderElect: false, leaseDuration: 1m30s, renewDeadline: 500ms, resourceName: mine, resourceNamespace: ours}
",
    )
    .unwrap();
    assert_eq!(settings.scheduler.profiles[0].percentage_of_nodes_to_score, Some(30));
    assert_eq!(settings.scheduler.queue.initial_backoff, Duration::from_secs(2));
    assert_eq!(settings.scheduler.queue.max_backoff, Duration::from_secs(20));
    let kubeconfig = settings.client_connection.kubeconfig;
    assert_eq!(kubeconfig.as_deref(), Some(std::path::Path::new("/etc/kubernetes/scheduler.conf")));
    let expected = LeaderElection {
        leader_elect: false,
        lease_duration: Duration::from_secs(90),
        renew_deadline: Duration::from_millis(500),
        resource_name: "mine".into(),
        resource_namespace: "ours".into(),
        ..LeaderElection::default()
    };
    assert_eq!(settings.leader_election, expected);
}

#[test]
fn json_is_read_too() {
    let text = r#"{"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "podMaxBackoffSeconds": 9}"#;
    let settings = Settings::from_yaml(text, &registry()).unwrap();
    assert_eq!(settings.scheduler.queue.max_backoff, Duration::from_secs(9));
}

#[test]
fn profiles_enable_disable_and_weigh_plugins() {
    let settings = read(
        "
percentageOfNodesToScore: 30
profiles:
- schedulerName: default-scheduler
- schedulerName: changed
  percentageOfNodesToScore: 100
  plugins:
    multiPoint:
      disabled: [{name: ImageLocality}]
      enabled: [{name: TaintToleration, weight: 7}, {name: NodeResourcesFit}]
    filter: {disabled: [{name: NodePorts}]}
    score: {disabled: [{name: NodeAffinity}], enabled: [{name: NodeResourcesBalancedAllocation, weight: 5}]}
    postFilter: {disabled: [{name: '*'}]}
- schedulerName: bare
  plugins:
    multiPoint: {disabled: [{name: '*'}], enabled: [{name: PrioritySort}, {name: DefaultBinder}]}
    filter: {enabled: [{name: NodeResourcesFit}, {name: NodeName}]}
",
    )
    .unwrap();
    let [default, changed, bare] = settings.scheduler.profiles.as_slice() else { panic!("three profiles") };
    assert_eq!(default.percentage_of_nodes_to_score, Some(30));
    assert_eq!(changed.percentage_of_nodes_to_score, Some(100));
    assert!(!filters(changed).contains(&"NodePorts"));
    let weights = scores(changed);
    let weight = |name: &str| weights.iter().find(|(other, _)| *other == name).map(|(_, weight)| *weight);
    assert_eq!(weight("TaintToleration"), Some(7));
    assert_eq!(weight("NodeResourcesFit"), Some(1), "no weight is one");
    assert_eq!(weight("NodeResourcesBalancedAllocation"), Some(5));
    assert_eq!((weight("NodeAffinity"), weight("ImageLocality")), (None, None));
    assert!(filters(changed).contains(&"NodeAffinity"), "it scores no more but still filters");
    assert!(names(changed, |plugin| plugin.as_post_filter().is_some()).is_empty());
    assert_eq!(filters(bare), ["NodeResourcesFit", "NodeName"]);
    assert!(scores(bare).is_empty());
}

#[test]
fn extension_points_keep_their_own_orders() {
    let settings = read(
        "
profiles:
- plugins:
    filter: {enabled: [{name: NodeResourcesFit}, {name: NodeName}]}
    queueSort: {disabled: [{name: '*'}], enabled: [{name: Custom}]}
    postBind: {enabled: [{name: Custom}]}
",
    )
    .unwrap();
    let profile = &settings.scheduler.profiles[0];
    let filters = filters(profile);
    assert_eq!(filters[..2], ["NodeResourcesFit", "NodeName"]);
    let mut sorted = filters.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), filters.len(), "each filters once");
    let mut general = self::filters(&Profile::default());
    general.retain(|name| !["NodeResourcesFit", "NodeName"].contains(name));
    assert_eq!(filters[2..], general);
    assert_eq!(names(profile, |plugin| plugin.as_queue_sort().is_some()), ["Custom"]);
    assert!(profile.plugin("NodeResourcesFit").unwrap().as_queueing_hints().is_some());
}

/// Documents and what is wrong with them.
const MISTAKES: &[(&str, &str)] = &[
    ("parallelism: 0", "parallelism: Invalid value: 0: should be an integer value greater than zero"),
    (
        "percentageOfNodesToScore: 101",
        "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
    ),
    ("podInitialBackoffSeconds: 0", "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
    (
        "podMaxBackoffSeconds: 0",
        "podMaxBackoffSeconds: Invalid value: 0: must be greater than or equal to PodInitialBackoffSeconds",
    ),
    ("clientConnection: {burst: -1}", "clientConnection.burst: Invalid value: -1: must be non-negative"),
    (
        "leaderElection: {leaseDuration: -1s, renewDeadline: -2s, retryPeriod: -1m1500ms, leaderElect: true}",
        "[leaderElection.leaseDuration: Invalid value: \"-1s\": must be greater than zero, leaderElection.renewDeadline: Invalid value: \"-2s\": must be \
             greater than zero, leaderElection.retryPeriod: Invalid value: \"-1m1.5s\": must be greater than zero]",
    ),
    (
        "leaderElection: {leaseDuration: 10s}",
        "leaderElection.leaseDuration: Invalid value: \"10s\": must be greater than `RenewDeadline`",
    ),
    ("leaderElection: {retryPeriod: 9s}", "renewDeadline must be greater than retryPeriod*JitterFactor"),
    (
        "leaderElection: {resourceLock: endpoints}",
        "leaderElection.resourceLock: Invalid value: \"endpoints\": resourceLock value must be \"leases\"",
    ),
    ("profiles: [{}, {schedulerName: b}]", "profiles[0].schedulerName: Required value"),
    ("profiles: [{schedulerName: a}, {schedulerName: a}]", "profiles[1].schedulerName: Duplicate value: {}"),
    (
        "profiles: [{plugins: {score: {enabled: [{name: ImageLocality, weight: -1}]}}}]",
        "total score of Score plugins could overflow",
    ),
    (
        "profiles: [{percentageOfNodesToScore: -1}]",
        "profiles[0].percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]",
    ),
    ("profiles: [{plugins: {filter: {enabled: [{name: Nope}]}}}]", "FilterPlugin \"Nope\" does not exist"),
    (
        "profiles: [{plugins: {multiPoint: {enabled: [{name: Nope}]}}}]",
        "PreEnqueuePlugin \"Nope\" does not exist",
    ),
    (
        "profiles: [{plugins: {filter: {enabled: [{name: ImageLocality}]}}}]",
        "plugin \"ImageLocality\" does not extend FilterPlugin plugin",
    ),
    (
        "profiles: [{plugins: {filter: {enabled: [{name: NodeName}, {name: NodeName}]}}}]",
        "plugin \"NodeName\" already registered as \"FilterPlugin\"",
    ),
    (
        "profiles: [{plugins: {queueSort: {enabled: [{name: Custom}]}}}]",
        "only one queue sort plugin required for profile with scheduler name \"default-scheduler\", but got 2",
    ),
    (
        "profiles: [{plugins: {bind: {disabled: [{name: DefaultBinder}]}}}]",
        "at least one bind plugin is needed for profile with scheduler name \"default-scheduler\"",
    ),
    (
        "profiles: [{pluginConfig: [{name: NodeName}, {name: NodeName}]}]",
        "profiles[0].pluginConfig[1]: Duplicate value: \"NodeName\"",
    ),
    (
        "profiles: [{pluginConfig: [{name: NodeName, args: {kind: ImageLocalityArgs}}]}]",
        "decoding .profiles[0].pluginConfig[0]: args for plugin NodeName were not of type NodeNameArgs.kubescheduler.config.k8s.io, got \
             ImageLocalityArgs.kubescheduler.config.k8s.io",
    ),
    (
        "profiles: [{plugins: {filter: {enabled: [{name: EBSLimits}]}}}]",
        "profiles[0].plugins.filter.enabled[0]: Invalid value: \"EBSLimits\": was invalid in version \"kubescheduler.config.k8s.io/v1\" \
             (KubeSchedulerConfiguration is version \"kubescheduler.config.k8s.io/v1\")",
    ),
    (
        "profiles: [{schedulerName: a}, {schedulerName: b, plugins: {queueSort: {enabled: [{name: Custom}], disabled: [{name: '*'}]}}}]",
        "profiles[1].plugins.queueSort: Invalid value: [\"Custom\"]: must be the same for all profiles",
    ),
    (
        "profiles: [{schedulerName: a, pluginConfig: [{name: PrioritySort}], plugins: {queueSort: {enabled: [{name: PrioritySort}]}}}, \
             {schedulerName: b, pluginConfig: [{name: PrioritySort, args: {kind: PrioritySortArgs}}], plugins: {queueSort: {enabled: [{name: PrioritySort}]}}}]",
        "profiles[1].pluginConfig.args: Invalid value: {\"kind\":\"PrioritySortArgs\"}: queueSort must be the same for all profiles",
    ),
    (
        "profiles: [{pluginConfig: [{name: Unheard, args: {a: 1}}, {name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]",
        "profiles[0].pluginConfig[1].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
    ),
    (
        "extenders: [{urlPrefix: 'http://a', prioritizeVerb: p}]",
        "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it",
    ),
    (
        "extenders: [{urlPrefix: 'http://a', bindVerb: p}, {urlPrefix: 'http://b', bindVerb: p}]",
        "extenders: Invalid value: \"found 2 extenders implementing bind\": only one extender can implement bind",
    ),
    (
        "extenders: [{urlPrefix: 'http://a', managedResources: [{name: cpu}]}]",
        "extenders[0].managedResources[0].name: Invalid value: \"cpu\": is an invalid extended resource name",
    ),
    (
        "extenders: [{urlPrefix: 'http://a', managedResources: [{name: /a}]}]",
        "extenders[0].managedResources[0].name: Invalid value: \"/a\": prefix part must be non-empty",
    ),
    (
        "extenders: [{urlPrefix: 'http://a', managedResources: [{name: a.b/c}]}, {urlPrefix: 'http://b', managedResources: [{name: a.b/c}]}]",
        "extenders[1].managedResources[0].name: Invalid value: \"a.b/c\": duplicate extender managed resource name",
    ),
];

#[test]
fn mistakes_are_named_in_upstreams_words() {
    for (body, expected) in MISTAKES {
        let found = complaint(body);
        assert_eq!(found.strip_prefix("invalid configuration: ").unwrap_or(&found), *expected, "{body}");
    }
}

#[test]
fn what_is_no_such_document_is_refused() {
    for (body, expected) in [
        ("podMaxBackofSeconds: 3", "strict decoding error: unknown field \"podMaxBackofSeconds\""),
        (
            "profiles: [{}, {plugins: {filters: {}, score: {enabled: [{name: a, wait: 1}]}}}]",
            "strict decoding error: unknown field \"profiles[1].plugins.filters\", unknown field \"profiles[1].plugins.score.enabled[0].wait\"",
        ),
        (
            "podMaxBackoffSeconds: soon",
            "json: cannot unmarshal string into Go struct field KubeSchedulerConfiguration.podMaxBackoffSeconds of type int64",
        ),
        (
            "parallelism: 3000000000",
            "json: cannot unmarshal number 3000000000 into Go struct field KubeSchedulerConfiguration.parallelism of type int32",
        ),
        (
            "profiles: [{schedulerName: 3}]",
            "json: cannot unmarshal number into Go struct field KubeSchedulerProfile.profiles.schedulerName of type string",
        ),
        (
            "profiles: {schedulerName: a}",
            "json: cannot unmarshal object into Go struct field KubeSchedulerConfiguration.profiles of type []v1.KubeSchedulerProfile",
        ),
        (
            "leaderElection: false",
            "json: cannot unmarshal bool into Go struct field KubeSchedulerConfiguration.leaderElection of type v1alpha1.LeaderElectionConfiguration",
        ),
        ("leaderElection: {retryPeriod: 3}", "json: cannot unmarshal number into Go value of type string"),
    ] {
        assert_eq!(complaint(body).trim_start_matches("cannot decode: "), expected, "{body}");
    }
    let read = |text: &str| {
        std::error::Error::source(&Settings::from_yaml(text, &registry()).unwrap_err()).unwrap().to_string()
    };
    assert_eq!(read("kind: Pod\napiVersion: v1"), "no kind \"Pod\" is registered for version \"v1\"");
    assert_eq!(read("apiVersion: v1"), "Object 'Kind' is missing");
    assert!(!read("profiles: [").is_empty());
}

#[test]
fn arguments_are_checked_even_of_disabled_plugins() {
    let body = "profiles: [{pluginConfig: [{name: NodeName, args: {speed: 3}}], plugins: {multiPoint: {disabled: [{name: NodeName}]}}}]";
    let expected = "invalid configuration: profiles[0].pluginConfig[0].args: strict decoding error: unknown field \"speed\"";
    assert_eq!(complaint(body), expected);
    assert!(read("profiles: [{pluginConfig: [{name: NodeName, args: {kind: NodeNameArgs}}, {name: Unheard, args: {a: 1}}]}]").is_ok());
}

#[test]
fn what_is_empty_counts_as_absent() {
    let settings = read(
        "
clientConnection: {qps: 0, burst: 0, contentType: ''}
leaderElection: {leaseDuration: 0s, renewDeadline: 0s, retryPeriod: 0s, resourceLock: '', resourceName: '', resourceNamespace: ''}
profiles: []
",
    )
    .unwrap();
    assert_eq!(settings.leader_election, LeaderElection::default());
    assert_eq!(settings.client_connection, ClientConnection::default());
    assert_eq!(settings.scheduler.profiles.len(), 1);
}

/// The document with everything written out, as a value.
fn written(settings: &Settings) -> Value {
    serde_saphyr::from_str(&settings.to_yaml().unwrap()).unwrap()
}

#[test]
fn a_document_is_written_with_its_defaults() {
    let document = written(&read("").unwrap());
    assert_eq!(document, written(&Settings::default()), "no document is an empty one");
    let profile = &document["profiles"][0];
    let multi_point = profile["plugins"]["multiPoint"]["enabled"].as_array().unwrap();
    let names: Vec<_> = multi_point.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[4], names[18]), ("SchedulingGates", "TaintToleration", "DefaultBinder"));
    assert_eq!((&multi_point[0]["weight"], &multi_point[4]["weight"]), (&json!(0), &json!(3)));
    assert_eq!(profile["plugins"]["score"], json!({}));
    let config = profile["pluginConfig"].as_array().unwrap();
    let args = |name: &str| &config.iter().find(|config| config["name"] == name).unwrap()["args"];
    let mut kinds: Vec<_> = config.iter().map(|config| config["args"]["kind"].as_str().unwrap()).collect();
    assert!(kinds.is_sorted());
    kinds.retain(|kind| !kind.starts_with("Node"));
    let others = [
        "DefaultPreemptionArgs",
        "DynamicResourcesArgs",
        "InterPodAffinityArgs",
        "PodTopologySpreadArgs",
        "VolumeBindingArgs",
    ];
    assert_eq!(kinds, others);
    let expected = json!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "VolumeBindingArgs", "bindTimeoutSeconds": 600});
    assert_eq!(*args("VolumeBinding"), expected);
    let resources = json!([{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]);
    let strategy = json!({"type": "LeastAllocated", "resources": resources});
    assert_eq!(args("NodeResourcesFit")["scoringStrategy"], strategy);
    assert_eq!(args("NodeResourcesBalancedAllocation")["resources"], resources);
    let rest = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"acceptContentTypes": "", "burst": 100, "contentType": "application/vnd.kubernetes.protobuf", "kubeconfig": "", "qps": 50.0},
        "enableContentionProfiling": true,
        "enableProfiling": true,
        "leaderElection": {"leaderElect": true, "leaseDuration": "15s", "renewDeadline": "10s", "resourceLock": "leases",
            "resourceName": "kube-scheduler", "resourceNamespace": "kube-system", "retryPeriod": "2s"},
        "parallelism": 16,
        "percentageOfNodesToScore": 0,
        "podInitialBackoffSeconds": 1,
        "podMaxBackoffSeconds": 10,
    });
    let mut without = document.clone();
    without.as_object_mut().unwrap().remove("profiles");
    assert_eq!(without, rest);
}

#[test]
fn what_was_written_is_read_as_the_same() {
    let mut settings = read(
        "
delayCacheUntilActive: true
enableProfiling: false
percentageOfNodesToScore: 7
profiles:
- schedulerName: a
  percentageOfNodesToScore: 5
  plugins:
    multiPoint: {enabled: [{name: Custom}, {name: TaintToleration, weight: 9}], disabled: [{name: ImageLocality}]}
    queueSort: {enabled: [{name: Custom}], disabled: [{name: '*'}]}
    score: {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit, weight: 4}]}
  pluginConfig:
  - {name: NodeResourcesFit, args: {ignoredResourceGroups: [a.b], scoringStrategy: {type: MostAllocated, resources: [{name: cpu}]}}}
  - {name: NodeAffinity, args: {addedAffinity: {}}}
  - {name: VolumeBinding}
extenders:
- {urlPrefix: 'https://a', filterVerb: f, httpTimeout: 90s, enableHTTPS: true, tlsConfig: {caFile: /ca}, managedResources: [{name: c.d/e, ignoredByScheduler: true}]}
",
    )
    .unwrap();
    settings.leader_election.lease_duration = Duration::from_secs(90);
    settings.client_connection.kubeconfig = Some("/etc/scheduler.conf".into());
    let text = settings.to_yaml().unwrap();
    let again = Settings::from_yaml(&text, &registry()).unwrap();
    assert_eq!(again.to_yaml().unwrap(), text);
    let (first, second) = (&settings.scheduler.profiles[0], &again.scheduler.profiles[0]);
    assert_eq!(scores(first), scores(second));
    assert_eq!(filters(first), filters(second));
    assert_eq!(second.percentage_of_nodes_to_score, Some(5));
    assert_eq!(again.leader_election, settings.leader_election);
    assert_eq!(again.client_connection, settings.client_connection);
    let document = written(&again);
    assert_eq!(document["enableContentionProfiling"], json!(false));
    assert_eq!(document["delayCacheUntilActive"], json!(true));
    let profile = &document["profiles"][0];
    let config = profile["pluginConfig"].as_array().unwrap();
    let fit = &config.iter().find(|config| config["name"] == "NodeResourcesFit").unwrap()["args"];
    assert_eq!(fit["ignoredResources"], json!(["c.d/e"]), "an extender looks after it");
    assert_eq!(fit["scoringStrategy"]["resources"], json!([{"name": "cpu", "weight": 1}]));
    assert!(!config.iter().any(|config| config["name"] == "ImageLocality"));
    assert_eq!(profile["plugins"]["multiPoint"]["disabled"], json!([{"name": "ImageLocality", "weight": 0}]));
    let extender = json!({"urlPrefix": "https://a", "filterVerb": "f", "enableHTTPS": true, "httpTimeout": "1m30s",
        "managedResources": [{"name": "c.d/e", "ignoredByScheduler": true}], "tlsConfig": {"caFile": "/ca"}});
    assert_eq!(document["extenders"], json!([extender]));
}

#[test]
fn configz_shows_internal_names() {
    let mut settings = read("extenders: [{urlPrefix: 'https://a', tlsConfig: {keyData: c2VjcmV0}}]").unwrap();
    settings.leader_election.leader_elect = false;
    settings.client_connection.kubeconfig = Some("kc".into());
    let shown: Value = serde_json::from_str(&settings.to_configz().unwrap()).unwrap();
    let mut shown = shown["componentconfig"].clone();
    let extender = shown["Extenders"][0].take();
    assert_eq!((&extender["URLPrefix"], &extender["ManagedResources"]), (&json!("https://a"), &json!(null)));
    assert_eq!(extender["TLSConfig"], json!({}), "keys are nobody else's");
    shown["Extenders"] = json!(null);
    // What upstream answers without a configuration file.
    let expected: Value = serde_json::from_str(include_str!("tests/configz.json")).unwrap();
    assert_eq!(shown, expected["componentconfig"]);
}
