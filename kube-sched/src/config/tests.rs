use std::sync::Arc;
use std::time::Duration;

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
        "leaderElection: {leaseDuration: 0s, renewDeadline: 0s, retryPeriod: 0s, leaderElect: true}",
        "[leaderElection.leaseDuration: Invalid value: 0s: must be greater than zero, leaderElection.renewDeadline: Invalid value: 0s: must be \
             greater than zero, leaderElection.retryPeriod: Invalid value: 0s: must be greater than zero]",
    ),
    (
        "leaderElection: {leaseDuration: 1s}",
        "leaderElection.leaseDuration: Invalid value: 10s: LeaseDuration must be greater than RenewDeadline",
    ),
    (
        "leaderElection: {resourceLock: endpoints}",
        "leaderElection.resourceLock: Invalid value: \"endpoints\": resourceLock value must be \"leases\"",
    ),
    ("profiles: [{}, {schedulerName: b}]", "profiles[0].schedulerName: Required value"),
    (
        "profiles: [{schedulerName: a}, {schedulerName: a}]",
        "profiles[1].schedulerName: Duplicate value: profiles[0].schedulerName",
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
        "profiles[0].pluginConfig[0].args: Invalid value: {\"kind\":\"ImageLocalityArgs\"}: has to match plugin args",
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
    assert!(complaint("podMaxBackofSeconds: 3").contains("unknown field `podMaxBackofSeconds`"));
    assert!(complaint("profiles: [{plugins: {filters: {}}}]").contains("unknown field `filters`"));
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
    assert!(matches!(read(body), Err(Error::PluginArgs { plugin, .. }) if plugin == "NodeName"));
    assert!(read("profiles: [{pluginConfig: [{name: NodeName, args: {kind: NodeNameArgs}}, {name: Unheard, args: {a: 1}}]}]").is_ok());
}
