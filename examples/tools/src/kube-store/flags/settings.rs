//! What the flags set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kube_store::AutoCompaction;

use super::tokens::TokenFlags;
use super::value::{address, check_advertised, duration, host};
use crate::Failure;
use crate::tls::{Limits, TlsFiles, made};

/// The sides of TLS, as their folders are named.
const CLIENTS: &str = "client";
const PEERS: &str = "peer";

/// How to serve. Fields are named after etcd's flags.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// Empty for one named after the member.
    pub(crate) data_dir: PathBuf,
    pub(crate) listen_client_urls: Vec<String>,
    pub(crate) advertise_client_urls: Vec<String>,
    pub(crate) listen_peer_urls: Vec<String>,
    /// Where only pages are served, as `/metrics`.
    pub(crate) listen_metrics_urls: Vec<String>,
    pub(crate) initial_advertise_peer_urls: Vec<String>,
    pub(crate) initial_cluster: Vec<String>,
    pub(crate) initial_cluster_state: ClusterState,
    pub(crate) initial_cluster_token: String,
    pub(crate) client_tls: TlsFlags,
    pub(crate) peer_tls: TlsFlags,
    pub(crate) tls: Limits,
    /// For how many years certificates are good that are made.
    pub(crate) made_years: u32,
    pub(crate) engine: Engine,
    pub(crate) max_request_bytes: usize,
    pub(crate) max_txn_ops: usize,
    /// 0 for 2 GiB, negative for none.
    pub(crate) quota_backend_bytes: i64,
    pub(crate) auto_compaction_mode: CompactionMode,
    pub(crate) auto_compaction_retention: String,
    pub(crate) bcrypt_cost: u32,
    /// In seconds.
    pub(crate) auth_token_ttl: u64,
    pub(crate) json_web_tokens: Option<TokenFlags>,
    pub(crate) snapshot_count: u64,
    /// In milliseconds, as the next.
    pub(crate) heartbeat_interval: u64,
    pub(crate) election_timeout: u64,
    pub(crate) watch_progress_notify_interval: Duration,
    pub(crate) warning_apply_duration: Duration,
    pub(crate) grpc_keepalive_interval: Duration,
    pub(crate) grpc_keepalive_timeout: Duration,
    pub(crate) socket_reuse_port: bool,
    pub(crate) lease_checkpoints: bool,
    /// Whether metrics tell how long calls take.
    pub(crate) extensive_metrics: bool,
    pub(crate) json_gateway: bool,
    pub(crate) log_level: Option<&'static str>,
    pub(crate) log_outputs: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "default".into(),
            data_dir: PathBuf::new(),
            listen_client_urls: vec!["http://localhost:2379".into()],
            advertise_client_urls: Vec::new(),
            listen_peer_urls: Vec::new(),
            listen_metrics_urls: Vec::new(),
            initial_advertise_peer_urls: vec!["http://localhost:2380".into()],
            initial_cluster: Vec::new(),
            initial_cluster_state: ClusterState::New,
            initial_cluster_token: "etcd-cluster".into(),
            client_tls: TlsFlags::default(),
            peer_tls: TlsFlags::default(),
            tls: Limits::default(),
            made_years: 1,
            engine: Engine::Embedded,
            max_request_bytes: 3 << 19,
            max_txn_ops: 128,
            quota_backend_bytes: 0,
            auto_compaction_mode: CompactionMode::Periodic,
            auto_compaction_retention: "0".into(),
            bcrypt_cost: 10,
            auth_token_ttl: 300,
            json_web_tokens: None,
            snapshot_count: 5000,
            heartbeat_interval: 100,
            election_timeout: 1000,
            watch_progress_notify_interval: Duration::from_secs(600),
            warning_apply_duration: Duration::from_millis(100),
            grpc_keepalive_interval: Duration::from_secs(7200),
            grpc_keepalive_timeout: Duration::from_secs(20),
            socket_reuse_port: false,
            lease_checkpoints: false,
            extensive_metrics: false,
            json_gateway: true,
            log_level: None,
            log_outputs: Vec::new(),
        }
    }
}

/// What one side of TLS is given: that towards clients, or that towards other members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsFlags {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// What to show where this process is the client, if not the same.
    pub(crate) client_certificate: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
    pub(crate) authority: Option<PathBuf>,
    pub(crate) revoked: Option<PathBuf>,
    pub(crate) asks_clients: bool,
    /// Whether certificate and key are made if none are given.
    pub(crate) automatic: bool,
    pub(crate) allowed_names: Vec<String>,
    pub(crate) allowed_hosts: Vec<String>,
}

impl TlsFlags {
    /// Whether certificate and key have to be made.
    fn makes(&self) -> bool {
        self.automatic && self.certificate.is_none() && self.key.is_none()
    }

    /// The files, if a certificate is given or made in a folder; `prefix` is what the flags of this side begin with.
    fn files(&self, prefix: &str, limits: &Limits, made: &Path) -> Result<Option<TlsFiles>, String> {
        let pair = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, None) => {
                self.check_unused(prefix)?;
                if !self.makes() {
                    return Ok(None);
                }
                made::pair(made)
            }
            _ => return Err(format!("--{prefix}cert-file and --{prefix}key-file go together")),
        };
        let client = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (None, None) => pair.clone(),
            _ => return Err(format!("--{prefix}client-cert-file and --{prefix}client-key-file go together")),
        };
        let restricts = self.asks_clients || !self.allowed_names.is_empty() || !self.allowed_hosts.is_empty();
        if restricts && self.authority.is_none() {
            return Err(format!("--{prefix}client-cert-auth needs --{prefix}trusted-ca-file"));
        }
        if !self.allowed_names.is_empty() && !self.allowed_hosts.is_empty() {
            return Err(
                "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[...], hostnames=[...])".into(),
            );
        }
        Ok(Some(TlsFiles {
            server: pair,
            client,
            authority: self.authority.clone(),
            believes_all: self.makes(),
            revoked: self.revoked.clone(),
            allowed_names: self.allowed_names.clone(),
            allowed_hosts: self.allowed_hosts.clone(),
            limits: limits.clone(),
        }))
    }

    /// Whoever limits who may come must not believe that this is so when there is no TLS.
    fn check_unused(&self, prefix: &str) -> Result<(), String> {
        let unused = Self { client_certificate: None, client_key: None, automatic: false, ..self.clone() };
        if unused == Self::default() {
            return Ok(());
        }
        Err(format!("TLS flags need --{prefix}cert-file and --{prefix}key-file"))
    }
}

/// What a member without data does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClusterState {
    /// It founds a cluster with the others.
    New,
    /// It joins the cluster that has added it.
    Existing,
}

/// What keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// On disk, each write synced.
    Embedded,
    /// On disk, in RocksDB.
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    /// In memory: gone with the process.
    Memory,
}

/// How history is compacted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompactionMode {
    /// What is older than a time.
    Periodic,
    /// What is more than a number of revisions back.
    Revision,
}

impl Settings {
    /// Refuses what does not fit together, or what no part of the server could take.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (heartbeat, election) = (self.heartbeat_interval, self.election_timeout);
        if heartbeat == 0 {
            return Err("--heartbeat-interval must be >0 (set to 0ms)".into());
        }
        if election == 0 {
            return Err("--election-timeout must be >0 (set to 0ms)".into());
        }
        if 5 * heartbeat > election {
            return Err(format!(
                "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
            ));
        }
        if election > 50_000 {
            return Err(format!(
                "--election-timeout[{election}ms] is too long, and should be set less than 50000ms"
            ));
        }
        let listened =
            self.listen_client_urls.iter().chain(&self.listen_peer_urls).chain(&self.listen_metrics_urls);
        listened.map(String::as_str).try_for_each(|url| address(url).map(drop))?;
        for (flag, urls) in [
            ("initial-advertise-peer-urls", &self.initial_advertise_peer_urls),
            ("advertise-client-urls", &self.advertise_client_urls),
        ] {
            urls.iter().try_for_each(|url| check_advertised(flag, url))?;
        }
        if self.watch_progress_notify_interval.is_zero() {
            return Err("--experimental-watch-progress-notify-interval must be >0".into());
        }
        if self.max_request_bytes == 0 || self.max_txn_ops == 0 {
            return Err("--max-request-bytes and --max-txn-ops must be >0".into());
        }
        if self.made_years == 0 && (self.client_tls.makes() || self.peer_tls.makes()) {
            return Err("selfSignedCertValidity is invalid,it should be greater than 0".into());
        }
        self.auto_compaction()?;
        self.tls.check()?;
        self.client_tls()?;
        self.peer_tls()?;
        self.members().map(drop)
    }

    /// Where the data is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        match self.data_dir.as_os_str().is_empty() {
            true => PathBuf::from(format!("{}.etcd", self.name)),
            false => self.data_dir.clone(),
        }
    }

    /// Whether this server is told of other members, or might be.
    pub(crate) fn in_group(&self) -> bool {
        !self.listen_peer_urls.is_empty()
            || self.initial_cluster_state == ClusterState::Existing
            || self.initial_cluster.iter().any(|member| !member.starts_with(&format!("{}=", self.name)))
    }

    /// The members that are named, with their URLs; this one is among them.
    pub(crate) fn members(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for member in &self.initial_cluster {
            let (name, url) = member.split_once('=').ok_or("--initial-cluster: expected NAME=URL")?;
            members.entry(name.to_owned()).or_default().push(url.to_owned());
        }
        if members.is_empty() {
            members.insert(self.name.clone(), self.initial_advertise_peer_urls.clone());
        }
        let own = members.get(&self.name).ok_or_else(|| {
            format!("couldn't find local name {:?} in the initial cluster configuration", self.name)
        })?;
        let own_set: BTreeSet<&String> = own.iter().collect();
        if own_set != self.initial_advertise_peer_urls.iter().collect() {
            return Err(format!(
                "--initial-cluster has {}={} but missing from --initial-advertise-peer-urls={}",
                self.name,
                own.join(","),
                self.initial_advertise_peer_urls.join(",")
            ));
        }
        Ok(members)
    }

    /// Where clients are told to reach this server.
    pub(crate) fn advertised(&self) -> Vec<String> {
        match self.advertise_client_urls.as_slice() {
            [] => self.listen_client_urls.clone(),
            urls => urls.to_vec(),
        }
    }

    /// Bytes above which writes are refused.
    pub(crate) fn quota(&self) -> u64 {
        match u64::try_from(self.quota_backend_bytes) {
            Ok(0) => 2 << 30,
            Ok(bytes) => bytes,
            Err(_) => u64::MAX,
        }
    }

    /// The folder of certificates that are made for one side.
    fn made(&self, side: &str) -> PathBuf {
        self.data_dir().join("fixtures").join(side)
    }

    /// Makes the certificates that have to be there and are not.
    pub(crate) fn make_certificates(&self, now: SystemTime) -> Result<(), Failure> {
        for (side, flags, urls) in [
            (CLIENTS, &self.client_tls, &self.listen_client_urls),
            (PEERS, &self.peer_tls, &self.listen_peer_urls),
        ] {
            if flags.makes() {
                let hosts = urls.iter().filter_map(|url| host(url)).collect();
                made::make(&self.made(side), hosts, self.made_years, now)?;
            } else if flags.automatic {
                tracing::warn!("ignoring {side} auto TLS since certs given");
            }
        }
        Ok(())
    }

    /// Files for what clients are shown, if any are given.
    pub(crate) fn client_tls(&self) -> Result<Option<TlsFiles>, String> {
        self.client_tls.files("", &self.tls, &self.made(CLIENTS))
    }

    /// Files for what members show each other, if any are given.
    pub(crate) fn peer_tls(&self) -> Result<Option<TlsFiles>, String> {
        self.peer_tls.files("peer-", &self.tls, &self.made(PEERS))
    }

    /// When history is forgotten.
    pub(crate) fn auto_compaction(&self) -> Result<AutoCompaction, String> {
        let text = self.auto_compaction_retention.as_str();
        let wrong = |why: String| format!("error parsing CompactionRetention: {why}");
        let no_time = || wrong(format!("time: invalid duration {text:?}"));
        let compaction = match (self.auto_compaction_mode, text.parse::<u64>()) {
            (_, Ok(0)) => AutoCompaction::Off,
            (CompactionMode::Revision, Ok(revisions)) => AutoCompaction::Revisions(revisions),
            (CompactionMode::Revision, Err(error)) => return Err(wrong(error.to_string())),
            (CompactionMode::Periodic, Ok(hours)) => {
                AutoCompaction::Age(Duration::from_secs(hours.checked_mul(3600).ok_or_else(no_time)?))
            }
            (CompactionMode::Periodic, Err(_)) => AutoCompaction::Age(duration(text).ok_or_else(no_time)?),
        };
        Ok(if compaction == AutoCompaction::Age(Duration::ZERO) { AutoCompaction::Off } else { compaction })
    }

    /// Sends what is logged to where it was asked for, which is standard error unless it is one other place.
    pub(crate) fn redirect_log(&self) -> Result<(), Failure> {
        match self.log_outputs.as_slice() {
            [] => Ok(()),
            [one] if matches!(one.as_str(), "default" | "stderr") => Ok(()),
            [one] if one == "stdout" => Ok(rustix::stdio::dup2_stderr(rustix::stdio::stdout())?),
            [file] => {
                let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
                let opened = opened.map_err(|error| format!("--log-outputs: {file}: {error}"))?;
                Ok(rustix::stdio::dup2_stderr(opened)?)
            }
            _ => Err("--log-outputs: the log goes to one place".into()),
        }
    }
}
