//! A process's settings, read from a `KubeSchedulerConfiguration`.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::document::{
    API_VERSION, ClientConnectionSection, Document, ExtenderSection, KIND, LeaderElectionSection,
};
use super::{check, complete, configz, profile, shape};
use crate::complaint::{Complaints, join};
use crate::framework::{Profile, Registry};
use crate::queue::QueueConfig;
use crate::{Config, Error, ExtenderConfig};

/// What a `KubeSchedulerConfiguration` of `kubescheduler.config.k8s.io/v1` says about a scheduler and the process
/// around it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// For [`Scheduler::new`](crate::Scheduler::new).
    pub scheduler: Config,
    /// The extenders, to be [connected](crate::Extender::connect) and added to the scheduler's.
    pub extenders: Vec<ExtenderConfig>,
    /// How the process becomes the one that works.
    pub leader_election: LeaderElection,
    /// How the process reaches the API server.
    pub client_connection: ClientConnection,
    /// What all this was read from.
    document: Document,
}

/// Leader election by Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderElection {
    /// Whether to work only while holding the lease. Default true.
    pub leader_elect: bool,
    /// How long others wait after the last renewal they saw. Default 15 s.
    pub lease_duration: Duration,
    /// How long the leader tries to renew before it gives up. Default 10 s.
    pub renew_deadline: Duration,
    /// The pause between tries. Default 2 s.
    pub retry_period: Duration,
    /// The lease's namespace. Default `kube-system`.
    pub resource_namespace: String,
    /// The lease's name. Default `kube-scheduler`.
    pub resource_name: String,
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            leader_elect: true,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            resource_namespace: "kube-system".to_owned(),
            resource_name: "kube-scheduler".to_owned(),
        }
    }
}

/// The way to the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientConnection {
    /// The kubeconfig; `None` means that the document names none.
    pub kubeconfig: Option<PathBuf>,
    /// Requests per second that upstream's client allows itself. Default 50. Ours has no such limit: the server's priority and fairness
    /// serve the purpose better.
    pub qps: f32,
    /// Requests that upstream's client may send at once above that rate. Default 100.
    pub burst: i32,
}

impl Default for ClientConnection {
    fn default() -> Self {
        Self { kubeconfig: None, qps: 50.0, burst: 100 }
    }
}

impl Settings {
    /// Reads a document in YAML or JSON. Plugins are looked up in `registry`.
    ///
    /// Everything in the document is checked, also what has no effect here: `parallelism` (a decision runs on one thread),
    /// rate limits, content types and profiling. `preScore` lists are read and ignored: scoring plugins prepare
    /// themselves. Resources that an extender wants to be ignored are ignored by `NodeResourcesFit` of every profile.
    ///
    /// # Errors
    /// [`Error::Decode`] when the text is no such document, [`Error::Config`] with everything that is wrong in upstream's
    /// words, [`Error::PluginArgs`] when a plugin refuses its arguments.
    ///
    /// ```
    /// use kube_sched::{Settings, framework::Registry};
    ///
    /// let settings = Settings::from_yaml("
    /// apiVersion: kubescheduler.config.k8s.io/v1
    /// kind: KubeSchedulerConfiguration
    /// leaderElection: {leaderElect: false}
    /// profiles:
    /// - schedulerName: default-scheduler
    /// - schedulerName: no-scoring
    ///   plugins: {score: {disabled: [{name: '*'}]}}
    /// ", &Registry::default())?;
    /// assert_eq!(settings.scheduler.profiles[1].scheduler_name, "no-scoring");
    /// # Ok::<(), kube_sched::Error>(())
    /// ```
    pub fn from_yaml(text: &str, registry: &Registry) -> Result<Self, Error> {
        let mut document = decode(text)?;
        document.set_defaults();
        accept(check::check(&document, registry))?;
        let ignored: Vec<_> =
            document.extenders.iter().flat_map(ExtenderSection::ignored_resources).collect();
        document.profiles.iter_mut().for_each(|profile| profile.ignore(&ignored));
        Ok(Self {
            scheduler: scheduler(&document, registry)?,
            extenders: document.extenders.iter().cloned().map(Into::into).collect(),
            leader_election: document.leader_election.clone().into(),
            client_connection: document.client_connection.clone().into(),
            document,
        })
    }

    /// The document with everything written out that it leaves to defaults, in YAML, and with the leader election and client
    /// connection as they are now: a process may have changed them by flags.
    ///
    /// # Errors
    /// [`Error::Decode`] when a value cannot be written, which no document leads to.
    ///
    /// ```
    /// let yaml = kube_sched::Settings::default().to_yaml()?;
    /// assert!(yaml.contains("kind: KubeSchedulerConfiguration") && yaml.contains("minCandidateNodesPercentage: 10"));
    /// # Ok::<(), kube_sched::Error>(())
    /// ```
    pub fn to_yaml(&self) -> Result<String, Error> {
        // By way of a value, whose fields are sorted as upstream's are.
        let value = serde_json::to_value(self.completed()).map_err(|error| Error::Decode(Box::new(error)))?;
        serde_saphyr::to_string(&value).map_err(|error| Error::Decode(Box::new(error)))
    }

    /// The same under the names that upstream shows at `/configz`, in JSON.
    ///
    /// # Errors
    /// [`Error::Decode`] when a value cannot be written, which no document leads to.
    ///
    /// ```
    /// let shown = kube_sched::Settings::default().to_configz()?;
    /// assert!(shown.starts_with("{\"componentconfig\":{") && shown.contains("\"PodMaxBackoffSeconds\":10"));
    /// # Ok::<(), kube_sched::Error>(())
    /// ```
    pub fn to_configz(&self) -> Result<String, Error> {
        let shown = configz::internal(&self.completed()).map_err(|error| Error::Decode(Box::new(error)))?;
        Ok(serde_json::json!({"componentconfig": shown}).to_string())
    }

    fn completed(&self) -> Document {
        let mut document = self.document.clone();
        document.set_defaults();
        document.leader_election = (&self.leader_election).into();
        let ClientConnection { kubeconfig, qps, burst } = &self.client_connection;
        let connection = &mut document.client_connection;
        (connection.qps, connection.burst) = (*qps, *burst);
        connection.kubeconfig = kubeconfig.as_deref().unwrap_or("".as_ref()).to_string_lossy().into_owned();
        complete::complete(&mut document);
        document
    }
}

fn accept(complaints: Complaints) -> Result<(), Error> {
    complaints.into_result().map_err(|complaints| Error::Config(join(&complaints)))
}

impl LeaderElection {
    /// Whether a lease can be held like this.
    ///
    /// # Errors
    /// [`Error::Config`] with everything that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        let mut complaints = Complaints::default();
        check::leader_election(&self.into(), &mut complaints);
        accept(complaints)
    }
}

impl From<&LeaderElection> for LeaderElectionSection {
    fn from(election: &LeaderElection) -> Self {
        let duration = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Self {
            leader_elect: election.leader_elect,
            lease_duration: duration(election.lease_duration),
            renew_deadline: duration(election.renew_deadline),
            retry_period: duration(election.retry_period),
            resource_name: election.resource_name.clone(),
            resource_namespace: election.resource_namespace.clone(),
            ..Self::default()
        }
    }
}

fn scheduler(document: &Document, registry: &Registry) -> Result<Config, Error> {
    let profiles = document.profiles.iter().map(|section| {
        let percentage = section.percentage_of_nodes_to_score.or(document.percentage_of_nodes_to_score);
        let percentage = percentage.and_then(|percentage| u8::try_from(percentage).ok());
        Ok(Profile { percentage_of_nodes_to_score: percentage, ..profile::assemble(section, registry)? })
    });
    let config = Config {
        profiles: profiles.collect::<Result<_, Error>>()?,
        queue: QueueConfig {
            initial_backoff: seconds(document.pod_initial_backoff_seconds),
            max_backoff: seconds(document.pod_max_backoff_seconds),
            ..QueueConfig::default()
        },
        ..Config::default()
    };
    config.validate()?;
    Ok(config)
}

impl From<LeaderElectionSection> for LeaderElection {
    fn from(section: LeaderElectionSection) -> Self {
        Self {
            leader_elect: section.leader_elect,
            lease_duration: section.lease_duration.unsigned_abs(),
            renew_deadline: section.renew_deadline.unsigned_abs(),
            retry_period: section.retry_period.unsigned_abs(),
            resource_namespace: section.resource_namespace,
            resource_name: section.resource_name,
        }
    }
}

impl From<ClientConnectionSection> for ClientConnection {
    fn from(section: ClientConnectionSection) -> Self {
        let kubeconfig = Some(section.kubeconfig).filter(|path| !path.is_empty());
        Self { kubeconfig: kubeconfig.map(PathBuf::from), qps: section.qps, burst: section.burst }
    }
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.unsigned_abs())
}

fn decode(text: &str) -> Result<Document, Error> {
    let mut value: Value = serde_saphyr::from_str(text).map_err(|error| Error::Decode(Box::new(error)))?;
    drop_nulls(&mut value);
    let field = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (field("kind"), field("apiVersion"));
    if (kind, version) != (KIND, API_VERSION) {
        let text = match (kind, version) {
            ("", _) => "Object 'Kind' is missing".to_owned(),
            (_, "") => "Object 'apiVersion' is missing".to_owned(),
            _ => format!("no kind {kind:?} is registered for version {version:?}"),
        };
        return Err(Error::Decode(text.into()));
    }
    shape::check(&value).map_err(|reason| Error::Decode(reason.into()))?;
    serde_json::from_value(value).map_err(|error| Error::Decode(Box::new(error)))
}

/// A field that is null is one that is absent.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
