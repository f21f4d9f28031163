//! What the command line says, and with what it is combined.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use examples::health::Endpoint;
use examples::{Failure, client};
use jiff::SignedDuration;
use kube_ctrl::leader::LeaderConfig;
use kube_sched::framework::Registry;
use kube_sched::plugins::DynamicResources;
use kube_sched::{LeaderElection, Settings};

use crate::gates::Gates;
use crate::ignored;

/// Assigns pods to nodes.
#[derive(Parser)]
#[command(name = "kube-scheduler", version)]
pub(crate) struct Flags {
    /// A KubeSchedulerConfiguration, YAML or JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Writes the configuration with all its defaults to a file and ends.
    #[arg(long, value_name = "FILE")]
    pub(crate) write_config_to: Option<PathBuf>,
    /// The address of the API server, instead of the kubeconfig's.
    #[arg(long, value_name = "URL")]
    master: Option<String>,
    /// The address to serve /healthz, /livez, /readyz, /metrics and /configz on. Without --authorization-kubeconfig they ask nobody for
    /// credentials, hence not all addresses.
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    bind_address: IpAddr,
    /// The port to serve them on over HTTPS; 0 turns it off.
    #[arg(long, default_value_t = 10259, value_name = "PORT")]
    secure_port: u16,
    /// The serving certificate, PEM [default: one made for this run].
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// Its private key, PKCS#8 PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// The kubeconfig to ask with who a caller of /metrics or /configz is [default: --authorization-kubeconfig].
    #[arg(long, value_name = "FILE")]
    authentication_kubeconfig: Option<PathBuf>,
    /// The kubeconfig to ask with whether a caller may read these; without one everybody may.
    #[arg(long, value_name = "FILE")]
    authorization_kubeconfig: Option<PathBuf>,
    /// Features to turn on or off, as `Name=true`.
    #[arg(long, value_delimiter = ',', value_name = "NAME=BOOL")]
    feature_gates: Vec<String>,
    /// How much to log: 2 and more for what happens, 4 and more for everything [default: warnings, or what RUST_LOG says].
    #[arg(long, short, value_name = "LEVEL")]
    v: Option<u8>,
    #[command(flatten)]
    election: ElectionFlags,
    #[command(flatten)]
    deprecated: DeprecatedFlags,
}

#[derive(Args)]
struct ElectionFlags {
    /// Work only while holding a lease [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<bool>,
    /// How long others wait after the last renewal they saw [default: 15s].
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    leader_elect_lease_duration: Option<SignedDuration>,
    /// How long the leader tries to renew before it gives up [default: 10s].
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    leader_elect_renew_deadline: Option<SignedDuration>,
    /// The pause between tries [default: 2s].
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    leader_elect_retry_period: Option<SignedDuration>,
    /// The lease's name [default: kube-scheduler].
    #[arg(long, value_name = "NAME")]
    leader_elect_resource_name: Option<String>,
    /// The lease's namespace [default: kube-system].
    #[arg(long, value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,
    /// The kind of lock; leases is the only one.
    #[arg(long, default_value = "leases", value_parser = ["leases"])]
    leader_elect_resource_lock: String,
}

/// As upstream's, which counts them only without a configuration file.
#[derive(Args)]
struct DeprecatedFlags {
    /// The kubeconfig to reach the API server with. Not used with --config, which names its own.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Requests per second of upstream's client; ours leaves it to the server to limit them. Not used with --config.
    #[arg(long, value_name = "NUMBER")]
    kube_api_qps: Option<f32>,
    /// Requests that upstream's client may send at once above that rate. Not used with --config.
    #[arg(long, value_name = "NUMBER")]
    kube_api_burst: Option<i32>,
    /// How long a pod may stay unschedulable before it is tried again anyway.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pod_max_in_unschedulable_pods_duration: SignedDuration,
}

impl Flags {
    /// Reads the command line; says on stderr which flags have no effect.
    ///
    /// # Errors
    /// As clap has them, among them the wish for help.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().args(ignored::args()).try_get_matches()?;
        ignored::note(&matches);
        Self::from_arg_matches(&matches)
    }

    /// The log level in the subscriber's words.
    pub(crate) fn level(&self) -> Option<&'static str> {
        self.v.map(|level| match level {
            0 | 1 => "warn",
            2 | 3 => "info",
            _ => "debug",
        })
    }

    /// What the file says, or the deprecated flags without one, with what the other flags say.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let registry = self.registry()?;
        let mut settings = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("open {}: {error}", path.display()))?;
                Settings::from_yaml(&text, &registry)?
            }
            None => {
                let mut settings = Settings::from_yaml(EMPTY, &registry)?;
                let (flags, connection) = (&self.deprecated, &mut settings.client_connection);
                connection.kubeconfig.clone_from(&flags.kubeconfig);
                connection.qps = flags.kube_api_qps.unwrap_or(connection.qps);
                connection.burst = flags.kube_api_burst.unwrap_or(connection.burst);
                settings
            }
        };
        self.election.apply(&mut settings.leader_election)?;
        let stay = self.deprecated.pod_max_in_unschedulable_pods_duration;
        settings.scheduler.queue.max_unschedulable = stay.unsigned_abs();
        Ok(settings)
    }

    /// The plugins, with the features that are turned on.
    fn registry(&self) -> Result<Registry, Failure> {
        let gates = Gates::parse(&self.feature_gates)?;
        let mut registry = Registry::default();
        registry.register(DynamicResources::NAME, move |args| {
            Ok(std::sync::Arc::new(DynamicResources::from_args(&gates.extend(args))?))
        });
        Ok(registry)
    }

    /// A client of the API server that the settings name, or of the cluster that this process runs in.
    pub(crate) async fn client(&self, settings: &Settings) -> Result<kube::Client, Failure> {
        client::connect(settings.client_connection.kubeconfig.as_deref(), self.master.as_deref()).await
    }

    /// The clients that callers of /metrics and /configz are judged with.
    pub(crate) async fn judge(&self) -> Result<Option<(kube::Client, kube::Client)>, Failure> {
        let Some(authorization) = &self.authorization_kubeconfig else { return Ok(None) };
        let authentication = self.authentication_kubeconfig.as_ref().unwrap_or(authorization);
        let (who, whether) =
            (client::from_kubeconfig(authentication).await?, client::from_kubeconfig(authorization).await?);
        Ok(Some((who, whether)))
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: SocketAddr::new(self.bind_address, self.secure_port),
            identity: self.tls_cert_file.clone().zip(self.tls_private_key_file.clone()),
        }
    }
}

/// A document that says nothing.
const EMPTY: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

impl ElectionFlags {
    fn apply(&self, election: &mut LeaderElection) -> Result<(), Failure> {
        let mut times = [
            (&mut election.lease_duration, self.leader_elect_lease_duration),
            (&mut election.renew_deadline, self.leader_elect_renew_deadline),
            (&mut election.retry_period, self.leader_elect_retry_period),
        ];
        for (setting, flag) in &mut times {
            if let Some(flag) = flag {
                // A time that is not positive is refused by its name below.
                **setting = std::time::Duration::try_from(*flag).unwrap_or_default();
            }
        }
        election.leader_elect = self.leader_elect.unwrap_or(election.leader_elect);
        if let Some(name) = &self.leader_elect_resource_name {
            election.resource_name.clone_from(name);
        }
        if let Some(namespace) = &self.leader_elect_resource_namespace {
            election.resource_namespace.clone_from(namespace);
        }
        Ok(election.validate()?)
    }
}

/// The lease to hold, if one has to be held.
pub(crate) fn lease(settings: &LeaderElection) -> Option<LeaderConfig> {
    settings.leader_elect.then(|| LeaderConfig {
        namespace: settings.resource_namespace.clone(),
        name: settings.resource_name.clone(),
        lease_duration: settings.lease_duration,
        renew_deadline: settings.renew_deadline,
        retry_period: settings.retry_period,
        ..LeaderConfig::default()
    })
}
