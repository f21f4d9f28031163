//! etcd's flags, and what they mean.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kube_store::AutoCompaction;

use crate::Failure;
use crate::tls::TlsFiles;

/// Serves etcd's v3 API: etcdctl and kube-apiserver use it as they use etcd. A server that is told of other members, or that
/// listens for some (--listen-peer-urls), is a member of a group; any other keeps its data without a log, and stays alone.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What else the binary does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Works on snapshots.
    Snapshot {
        /// Which way.
        #[command(subcommand)]
        command: Snapshot,
    },
}

/// What is done with a snapshot.
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Fills a new data folder from a snapshot of etcd's or ours (`etcdctl snapshot save`).
    Restore {
        /// The snapshot.
        file: PathBuf,
        /// The folder to fill.
        #[arg(long, default_value = "default.etcd", value_name = "DIR")]
        data_dir: PathBuf,
        /// Take a database file that has no checksum, or a wrong one.
        #[arg(long)]
        skip_hash_check: bool,
    },
}

/// How to serve.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// This member's name.
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
    /// Folder of the data.
    #[arg(long, default_value = "default.etcd", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Where to listen, as URLs with addresses.
    #[arg(long, default_value = "http://127.0.0.1:2379", value_delimiter = ',', value_name = "URLS")]
    pub(crate) listen_client_urls: Vec<String>,
    /// Where clients reach this server [default: --listen-client-urls].
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    pub(crate) advertise_client_urls: Vec<String>,
    /// The serving certificate, PEM; read again when it changes.
    #[arg(long, requires = "key_file", value_name = "FILE")]
    pub(crate) cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, requires = "cert_file", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The authority of client certificates, PEM.
    #[arg(long, requires = "cert_file", value_name = "FILE")]
    pub(crate) trusted_ca_file: Option<PathBuf>,
    /// Let in only clients with a certificate of --trusted-ca-file.
    #[arg(long, requires = "trusted_ca_file")]
    pub(crate) client_cert_auth: bool,
    /// What keeps the data.
    #[arg(long, value_enum, default_value = "embedded")]
    pub(crate) engine: Engine,
    /// The largest request, in bytes.
    #[arg(long, default_value_t = 3 << 19, value_name = "BYTES")]
    pub(crate) max_request_bytes: usize,
    /// The most operations in a transaction.
    #[arg(long, default_value_t = 128, value_name = "NUMBER")]
    pub(crate) max_txn_ops: usize,
    /// Writes are refused when the data takes more than this, in bytes; 0 for 8 GiB.
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    pub(crate) quota_backend_bytes: u64,
    /// How history is compacted by itself.
    #[arg(long, value_enum, default_value = "periodic")]
    pub(crate) auto_compaction_mode: CompactionMode,
    /// How much of it is kept: hours or a time as 5m, or a number of revisions; 0 for all.
    #[arg(long, default_value = "0", value_name = "AMOUNT")]
    pub(crate) auto_compaction_retention: String,
    /// How often passwords are hashed, as a power of two.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=31), value_name = "COST")]
    pub(crate) bcrypt_cost: u32,
    /// Where other members reach this one.
    #[arg(long, default_value = "http://localhost:2380", value_delimiter = ',', value_name = "URLS")]
    pub(crate) initial_advertise_peer_urls: Vec<String>,
    /// The first members of a new cluster, or members of the one to join, as NAME=URL [default: this one].
    #[arg(long, value_delimiter = ',', value_name = "MEMBERS")]
    pub(crate) initial_cluster: Vec<String>,
    /// What a member without data does: found a cluster, or join the one that has added it.
    #[arg(long, value_enum, default_value = "new", value_name = "STATE")]
    pub(crate) initial_cluster_state: ClusterState,
    /// Tells clusters apart that have the same first members.
    #[arg(long, default_value = "etcd-cluster", value_name = "TOKEN")]
    pub(crate) initial_cluster_token: String,
    /// Where to listen for other members, as URLs with addresses.
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    pub(crate) listen_peer_urls: Vec<String>,
    /// The certificate shown to other members, PEM; read again when it changes.
    #[arg(long, requires = "peer_key_file", value_name = "FILE")]
    pub(crate) peer_cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, requires = "peer_cert_file", value_name = "FILE")]
    pub(crate) peer_key_file: Option<PathBuf>,
    /// The authority of the other members' certificates, PEM.
    #[arg(long, requires = "peer_cert_file", value_name = "FILE")]
    pub(crate) peer_trusted_ca_file: Option<PathBuf>,
    /// Let in only members with a certificate of --peer-trusted-ca-file.
    #[arg(long, requires = "peer_trusted_ca_file")]
    pub(crate) peer_client_cert_auth: bool,
    /// Log entries kept for members that are behind; one that is further behind gets everything.
    #[arg(long, default_value_t = 5000, value_name = "NUMBER")]
    pub(crate) snapshot_count: u64,
    /// How often a leader says that it leads.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), value_name = "MILLISECONDS")]
    pub(crate) heartbeat_interval: u64,
    /// How long nobody must have led before a member wants to.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=50_000), value_name = "MILLISECONDS")]
    pub(crate) election_timeout: u64,
}

/// What a member without data does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClusterState {
    /// It founds a cluster with the others.
    New,
    /// It joins the cluster that has added it.
    Existing,
}

/// What keeps the data.
#[derive(Debug, Clone, Copy, ValueEnum)]
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
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CompactionMode {
    /// What is older than a time.
    Periodic,
    /// What is more than a number of revisions back.
    Revision,
}

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Takes an address to listen on apart.
pub(super) fn address(url: &str) -> Result<(Scheme, SocketAddr), Failure> {
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => return Err(format!("{url}: expected http://ADDRESS:PORT or https://ADDRESS:PORT").into()),
    };
    let address = rest.trim_end_matches('/').replace("localhost:", "127.0.0.1:");
    Ok((scheme, address.parse().map_err(|error| format!("{url}: {error}"))?))
}

impl Flags {
    /// Whether this server is told of other members, or might be.
    pub(super) fn in_group(&self) -> bool {
        !self.listen_peer_urls.is_empty()
            || self.initial_cluster_state == ClusterState::Existing
            || self.initial_cluster.iter().any(|member| !member.starts_with(&format!("{}=", self.name)))
    }

    /// The members that the command line names, with their URLs; this one is among them.
    pub(super) fn members(&self) -> Result<BTreeMap<String, Vec<String>>, Failure> {
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for member in &self.initial_cluster {
            let (name, url) = member.split_once('=').ok_or("--initial-cluster: expected NAME=URL")?;
            members.entry(name.to_owned()).or_default().push(url.to_owned());
        }
        if members.is_empty() {
            members.insert(self.name.clone(), self.initial_advertise_peer_urls.clone());
        }
        let own = members.get(&self.name).map(Vec::as_slice).unwrap_or_default();
        let own_set: BTreeSet<&String> = own.iter().collect();
        if own_set != self.initial_advertise_peer_urls.iter().collect() {
            return Err(format!(
                "--initial-cluster has {own:?} for {}, --initial-advertise-peer-urls has {:?}",
                self.name, self.initial_advertise_peer_urls
            )
            .into());
        }
        if self.election_timeout < 5 * self.heartbeat_interval {
            return Err("--election-timeout must be at least 5 times --heartbeat-interval".into());
        }
        Ok(members)
    }

    pub(super) fn advertised(&self) -> Vec<String> {
        match self.advertise_client_urls.as_slice() {
            [] => self.listen_client_urls.clone(),
            urls => urls.to_vec(),
        }
    }

    pub(super) fn quota(&self) -> u64 {
        if self.quota_backend_bytes == 0 { 8 << 30 } else { self.quota_backend_bytes }
    }

    pub(super) fn tls_files(&self) -> Result<TlsFiles, Failure> {
        let given = |file: &Option<PathBuf>, flag: &str| {
            file.clone().ok_or_else(|| format!("an https:// address to listen on needs {flag}"))
        };
        Ok(TlsFiles {
            certificate: given(&self.cert_file, "--cert-file")?,
            key: given(&self.key_file, "--key-file")?,
            authority: self.trusted_ca_file.clone(),
            asks_clients: self.client_cert_auth,
        })
    }

    /// Files for what members show each other, if any are given.
    pub(super) fn peer_tls_files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.peer_cert_file.clone()?,
            key: self.peer_key_file.clone()?,
            authority: self.peer_trusted_ca_file.clone(),
            asks_clients: self.peer_client_cert_auth,
        })
    }

    pub(super) fn auto_compaction(&self) -> Result<AutoCompaction, Failure> {
        let text = self.auto_compaction_retention.as_str();
        let wrong = || format!("--auto-compaction-retention: {text} is no amount");
        let compaction = match (self.auto_compaction_mode, text.parse::<u64>()) {
            (_, Ok(0)) => AutoCompaction::Off,
            (CompactionMode::Revision, Ok(revisions)) => AutoCompaction::Revisions(revisions),
            (CompactionMode::Revision, Err(_)) => return Err(wrong().into()),
            (CompactionMode::Periodic, Ok(hours)) => AutoCompaction::Age(Duration::from_secs(hours * 3600)),
            (CompactionMode::Periodic, Err(_)) => AutoCompaction::Age(duration(text).ok_or_else(wrong)?),
        };
        Ok(if compaction == AutoCompaction::Age(Duration::ZERO) { AutoCompaction::Off } else { compaction })
    }
}

/// Reads a time as Go writes it: `1h30m`, `90s`.
fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        total += Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?);
        rest = next;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Flags {
        Arguments::try_parse_from([&["kube-store"], args].concat()).unwrap().flags
    }

    #[test]
    fn retention_is_read_as_etcd_reads_it() {
        let age = |seconds| AutoCompaction::Age(Duration::from_secs(seconds));
        for (mode, text, wanted) in [
            ("periodic", "0", Some(AutoCompaction::Off)),
            ("periodic", "2", Some(age(7200))),
            ("periodic", "1h30m", Some(age(5400))),
            ("periodic", "90s", Some(age(90))),
            ("periodic", "0s", Some(AutoCompaction::Off)),
            ("periodic", "5x", None),
            ("periodic", "m", None),
            ("revision", "1000", Some(AutoCompaction::Revisions(1000))),
            ("revision", "5m", None),
        ] {
            let flags = flags(&["--auto-compaction-mode", mode, "--auto-compaction-retention", text]);
            assert_eq!(flags.auto_compaction().ok(), wanted, "{mode} {text}");
        }
    }

    #[test]
    fn members_are_named_and_this_one_among_them() {
        let url = "http://localhost:2380";
        let own = format!("default={url}");
        let named =
            |args: &[&str]| flags(args).members().map(|members| members.into_keys().collect::<Vec<_>>());
        assert_eq!(named(&[]).unwrap(), ["default"]);
        assert_eq!(named(&["--initial-cluster", &format!("b=http://b:1,{own}")]).unwrap(), ["b", "default"]);
        for wrong in ["b=http://b:1", "default=http://b:1", "default", &format!("{own},default=http://b:1")] {
            assert!(named(&["--initial-cluster", wrong]).is_err(), "{wrong}");
        }
        assert!(named(&["--heartbeat-interval", "300"]).is_err());
    }

    #[test]
    fn who_hears_of_others_is_in_a_group() {
        let alone: [&[&str]; 2] = [&[], &["--initial-cluster", "default=http://localhost:2380"]];
        assert!(alone.iter().all(|args| !flags(args).in_group()));
        let together: [&[&str]; 3] = [
            &["--listen-peer-urls", "http://127.0.0.1:2380"],
            &["--initial-cluster-state", "existing"],
            &["--initial-cluster", "default=http://localhost:2380,b=http://b:2380"],
        ];
        assert!(together.iter().all(|args| flags(args).in_group()));
    }

    #[test]
    fn addresses_have_a_scheme() {
        assert_eq!(address("http://127.0.0.1:1").unwrap(), (Scheme::Http, "127.0.0.1:1".parse().unwrap()));
        assert_eq!(address("https://[::1]:2/").unwrap(), (Scheme::Https, "[::1]:2".parse().unwrap()));
        for url in ["127.0.0.1:1", "unix:///a", "http://127.0.0.1", "http://example.com:1"] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}
