//! The shape of a `KubeSchedulerConfiguration`, as in `kubescheduler.config.k8s.io/v1`.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;

/// The version that is read.
pub(super) const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
/// The kind that is read.
pub(super) const KIND: &str = "KubeSchedulerConfiguration";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) parallelism: i32,
    pub(super) leader_election: LeaderElectionSection,
    pub(super) client_connection: ClientConnectionSection,
    // Accepted, though there is nothing to turn on or off.
    enable_profiling: bool,
    enable_contention_profiling: bool,
    pub(super) percentage_of_nodes_to_score: Option<i32>,
    pub(super) pod_initial_backoff_seconds: i64,
    pub(super) pod_max_backoff_seconds: i64,
    pub(super) profiles: Vec<ProfileSection>,
    pub(super) extenders: Vec<ExtenderSection>,
    // Watches begin with the leadership in any case.
    delay_cache_until_active: bool,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            api_version: String::new(),
            kind: String::new(),
            parallelism: 16,
            leader_election: LeaderElectionSection::default(),
            client_connection: ClientConnectionSection::default(),
            enable_profiling: true,
            enable_contention_profiling: true,
            percentage_of_nodes_to_score: None,
            pod_initial_backoff_seconds: 1,
            pod_max_backoff_seconds: 10,
            profiles: vec![ProfileSection::default()],
            extenders: Vec::new(),
            delay_cache_until_active: false,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct LeaderElectionSection {
    pub(super) leader_elect: bool,
    pub(super) lease_duration: SignedDuration,
    pub(super) renew_deadline: SignedDuration,
    pub(super) retry_period: SignedDuration,
    pub(super) resource_lock: String,
    pub(super) resource_name: String,
    pub(super) resource_namespace: String,
}

impl Default for LeaderElectionSection {
    fn default() -> Self {
        Self {
            leader_elect: true,
            lease_duration: SignedDuration::from_secs(15),
            renew_deadline: SignedDuration::from_secs(10),
            retry_period: SignedDuration::from_secs(2),
            resource_lock: "leases".to_owned(),
            resource_name: "kube-scheduler".to_owned(),
            resource_namespace: "kube-system".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ClientConnectionSection {
    pub(super) kubeconfig: String,
    // The client speaks JSON, as every server does.
    accept_content_types: String,
    content_type: String,
    pub(super) qps: f32,
    pub(super) burst: i32,
}

impl Default for ClientConnectionSection {
    fn default() -> Self {
        let json = || "application/json".to_owned();
        Self {
            kubeconfig: String::new(),
            accept_content_types: json(),
            content_type: json(),
            qps: 50.0,
            burst: 100,
        }
    }
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ProfileSection {
    pub(super) scheduler_name: Option<String>,
    pub(super) percentage_of_nodes_to_score: Option<i32>,
    pub(super) plugins: PluginSets,
    pub(super) plugin_config: Vec<PluginConfigSection>,
}

/// What is enabled and disabled at each extension point.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PluginSets {
    pub(super) pre_enqueue: PluginSet,
    pub(super) queue_sort: PluginSet,
    pub(super) pre_filter: PluginSet,
    pub(super) filter: PluginSet,
    pub(super) post_filter: PluginSet,
    pub(super) pre_score: PluginSet,
    pub(super) score: PluginSet,
    pub(super) reserve: PluginSet,
    pub(super) permit: PluginSet,
    pub(super) pre_bind: PluginSet,
    pub(super) bind: PluginSet,
    pub(super) post_bind: PluginSet,
    pub(super) multi_point: PluginSet,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PluginSet {
    pub(super) enabled: Vec<PluginEntry>,
    pub(super) disabled: Vec<PluginEntry>,
}

impl PluginSet {
    /// Whether the plugin is disabled by name or together with all others.
    pub(super) fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|entry| entry.name == name || entry.name == "*")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PluginEntry {
    pub(super) name: String,
    #[serde(default)]
    pub(super) weight: i32,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PluginConfigSection {
    pub(super) name: String,
    #[serde(default)]
    pub(super) args: Value,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ExtenderSection {
    pub(super) url_prefix: String,
    pub(super) filter_verb: String,
    pub(super) preempt_verb: String,
    pub(super) prioritize_verb: String,
    pub(super) weight: i64,
    pub(super) bind_verb: String,
    #[serde(rename = "enableHTTPS")]
    pub(super) enable_https: bool,
    pub(super) tls_config: Option<TlsSection>,
    #[serde(rename = "httpTimeout")]
    pub(super) http_timeout: Option<SignedDuration>,
    pub(super) node_cache_capable: bool,
    pub(super) managed_resources: Vec<ManagedResourceSection>,
    pub(super) ignorable: bool,
}

/// Fields that are empty count as absent.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct TlsSection {
    pub(super) insecure: bool,
    pub(super) server_name: String,
    pub(super) cert_file: String,
    pub(super) key_file: String,
    pub(super) ca_file: String,
    pub(super) cert_data: String,
    pub(super) key_data: String,
    pub(super) ca_data: String,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ManagedResourceSection {
    pub(super) name: String,
    pub(super) ignored_by_scheduler: bool,
}
