//! The scheduler as a process of its own, against any Kubernetes API server.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, Parser};
use examples::health::{Endpoint, Health};
use examples::{Failure, client, roles};
use jiff::SignedDuration;
use kube_ctrl::leader::LeaderConfig;
use kube_sched::framework::Registry;
use kube_sched::{Extender, LeaderElection, Scheduler, Settings};

/// Assigns pods to nodes. Flags that are given count more than the configuration file.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// A KubeSchedulerConfiguration, YAML or JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The kubeconfig to reach the API server with [default: the configuration's].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The address to serve /healthz, /livez, /readyz and /metrics on. They ask nobody for credentials, hence not all addresses.
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
    #[command(flatten)]
    election: ElectionFlags,
    #[command(flatten)]
    ignored: IgnoredFlags,
}

#[derive(Args)]
struct ElectionFlags {
    /// Work only while holding a lease [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<bool>,
    /// How long others wait after the last renewal they saw [default: 15s].
    #[arg(long, value_name = "DURATION")]
    leader_elect_lease_duration: Option<SignedDuration>,
    /// How long the leader tries to renew before it gives up [default: 10s].
    #[arg(long, value_name = "DURATION")]
    leader_elect_renew_deadline: Option<SignedDuration>,
    /// The pause between tries [default: 2s].
    #[arg(long, value_name = "DURATION")]
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

/// Flags of upstream that mean nothing here, so that its manifests work unchanged.
#[derive(Args)]
struct IgnoredFlags {
    #[arg(long, short, hide = true, default_value_t = 0)]
    v: u8,
    #[arg(long, hide = true)]
    vmodule: Option<String>,
    #[arg(long, hide = true)]
    logging_format: Option<String>,
    #[arg(long, hide = true)]
    feature_gates: Vec<String>,
    #[arg(long, hide = true)]
    authentication_kubeconfig: Option<PathBuf>,
    #[arg(long, hide = true)]
    authorization_kubeconfig: Option<PathBuf>,
    #[arg(long, hide = true)]
    kube_api_qps: Option<f32>,
    #[arg(long, hide = true)]
    kube_api_burst: Option<i32>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    profiling: Option<Option<bool>>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    contention_profiling: Option<Option<bool>>,
}

impl Flags {
    fn settings(&self) -> Result<Settings, Failure> {
        let Some(path) = &self.config else { return Ok(Settings::default()) };
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Settings::from_yaml(&text, &Registry::default())?)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: SocketAddr::new(self.bind_address, self.secure_port),
            identity: self.tls_cert_file.clone().zip(self.tls_private_key_file.clone()),
        }
    }
}

impl ElectionFlags {
    /// The lease to hold, if one has to be held.
    fn lease(&self, settings: LeaderElection) -> Option<LeaderConfig> {
        let time = |flag: Option<SignedDuration>, setting: Duration| {
            flag.map_or(setting, |flag| flag.unsigned_abs())
        };
        let elect = self.leader_elect.unwrap_or(settings.leader_elect);
        elect.then(|| LeaderConfig {
            namespace: self.leader_elect_resource_namespace.clone().unwrap_or(settings.resource_namespace),
            name: self.leader_elect_resource_name.clone().unwrap_or(settings.resource_name),
            lease_duration: time(self.leader_elect_lease_duration, settings.lease_duration),
            renew_deadline: time(self.leader_elect_renew_deadline, settings.renew_deadline),
            retry_period: time(self.leader_elect_retry_period, settings.retry_period),
            ..LeaderConfig::default()
        })
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    roles::main(|shutdown| async move {
        let settings = flags.settings()?;
        let kubeconfig = flags.kubeconfig.clone().or(settings.client_connection.kubeconfig);
        let client = client::from_kubeconfig(&kubeconfig.ok_or("--kubeconfig is missing")?).await?;
        let mut metrics = prometheus_client::registry::Registry::default();
        let mut config = settings.scheduler;
        config.metrics.register(&mut metrics);
        for extender in settings.extenders {
            config.extenders.push(Extender::connect(extender).await?);
        }
        let scheduler = Scheduler::new(client.clone(), config)?;
        let (synced, leading) = (scheduler.ready(), Arc::new(AtomicBool::new(false)));
        let leads = Arc::clone(&leading);
        // Who waits for the lease does its work by waiting.
        let ready = Arc::new(move || !leads.load(Ordering::Relaxed) || *synced.borrow());
        let health = Health { ready, metrics: Arc::new(metrics) };
        let serving = health.serve(flags.endpoint(), shutdown.clone());
        let lease = flags.election.lease(settings.leader_election);
        let work = roles::lead_with(client, lease, shutdown, |token| async {
            leading.store(true, Ordering::Relaxed);
            scheduler.run(token).await;
            Ok(())
        });
        tokio::pin!(work);
        tokio::select! {
            ended = &mut work => ended,
            served = serving => {
                served?;
                work.await
            }
        }
    })
}
