//! All flags: etcd's of 3.4 to 3.6, and one of ours.
//!
//! A flag sets something; or it means nothing here, and a note says why if it is given; or taking it would mislead, and it is
//! refused. What comes twice in etcd, for clients and for other members, is one row.

use std::path::PathBuf;

use super::settings::{ClusterState, CompactionMode, Engine, Settings, TlsFlags};
use super::tokens::tokens;
use super::value::{Kind, list, number, switch, time, urls, word};

type Set<S> = fn(&mut S, &str) -> Result<(), String>;

/// A flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) does: Does,
}

/// What comes of a flag.
#[derive(Debug, Clone, Copy)]
pub(super) enum Does {
    /// It sets something.
    Sets(Set<Settings>),
    /// It sets something of the TLS of one side.
    SetsTls(Side, Set<TlsFlags>),
    /// It means nothing here, unless it has this value, with which it means what is so anyway.
    Notes(&'static str),
    /// Only this value is taken.
    Refuses(&'static str),
}

/// To whom TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Clients,
    Peers,
}

/// A flag of both sides.
struct TlsFlag {
    /// Its name in a configuration file, in the section of its side.
    key: &'static str,
    /// Its names, towards clients and towards members; empty where there is none.
    names: [&'static str; 2],
    kind: Kind,
    help: &'static str,
    set: Set<TlsFlags>,
}

const fn sets(name: &'static str, kind: Kind, help: &'static str, set: Set<Settings>) -> Flag {
    Flag { name, kind, help, does: Does::Sets(set) }
}

const fn notes(name: &'static str, kind: Kind, usual: &'static str, why: &'static str) -> Flag {
    Flag { name, kind, help: why, does: Does::Notes(usual) }
}

const fn refuses(name: &'static str, kind: Kind, only: &'static str, why: &'static str) -> Flag {
    Flag { name, kind, help: why, does: Does::Refuses(only) }
}

/// Sets a field by a function that reads its value.
macro_rules! set {
    ($($field:ident).+ = $read:expr) => {
        |settings, text| {
            settings.$($field).+ = $read(text)?;
            Ok(())
        }
    };
}

fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn words(text: &str) -> Result<Vec<String>, String> {
    Ok(list(text))
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}

fn file(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(if text.is_empty() { None } else { Some(text.into()) })
}

fn state(text: &str) -> Result<ClusterState, String> {
    word(text, &[("new", ClusterState::New), ("existing", ClusterState::Existing)])
}

fn mode(text: &str) -> Result<CompactionMode, String> {
    // etcd looks at it later than at other words, and says so.
    let modes = [("periodic", CompactionMode::Periodic), ("revision", CompactionMode::Revision)];
    word(text, &modes).map_err(|_| format!("unknown auto-compaction-mode {text:?}"))
}

fn engine(text: &str) -> Result<Engine, String> {
    let engines = [
        ("embedded", Engine::Embedded),
        #[cfg(feature = "rocksdb")]
        ("rocksdb", Engine::Rocksdb),
        ("memory", Engine::Memory),
    ];
    word(text, &engines)
}

fn cost(text: &str) -> Result<u32, String> {
    let cost: u32 = number(text)?;
    // etcd takes the usual one instead of one that is none.
    Ok(if (4..=31).contains(&cost) { cost } else { 10 })
}

fn level(text: &str) -> Result<Option<&'static str>, String> {
    let levels = [
        ("debug", "debug"),
        ("info", "info"),
        ("warn", "warn"),
        ("error", "error"),
        ("dpanic", "error"),
        ("panic", "error"),
        ("fatal", "error"),
    ];
    word(text, &levels).map(Some).map_err(|_| format!("unrecognized level: {text:?}"))
}

fn detail(text: &str) -> Result<bool, String> {
    // etcd takes any other word for its usual one.
    Ok(text == "extensive")
}

fn outputs(text: &str) -> Result<Vec<String>, String> {
    Ok(list(text).into_iter().map(|name| name.replace("systemd/journal", "default")).collect())
}

const NO_WAL: &str = "There is no log beside the data: all is in --data-dir.";
const NO_BOLT: &str = "There is no bbolt file.";
const NO_DISCOVERY: &str = "There is no discovery: name the members with --initial-cluster.";
const NO_V2: &str = "The API v2 is not served.";
const NO_TRACING: &str = "There is no tracing collector.";
const NOT_COMPARED: &str = "What is read from the disk is checked by checksums; members are not compared.";
const LASTING_CHECKPOINTS: &str = "Checkpoints of leases last in any case.";
const OWN_PACE: &str = "Compaction gives way to everything else by itself.";
const NO_ROTATION: &str = "The log is not rotated here.";

/// All flags that are of one kind each.
const FLAGS: &[Flag] = &[
    sets("name", Kind::Text, "This member's name [default].", set!(name = text)),
    sets("data-dir", Kind::Text, "Folder of the data [NAME.etcd].", set!(data_dir = path)),
    sets(
        "engine",
        Kind::Text,
        "What keeps the data: embedded, rocksdb or memory [embedded].",
        set!(engine = engine),
    ),
    notes("wal-dir", Kind::Text, "", NO_WAL),
    sets(
        "snapshot-count",
        Kind::Number,
        "Log entries kept for members that are behind; one further behind gets everything [5000].",
        set!(snapshot_count = number),
    ),
    sets(
        "heartbeat-interval",
        Kind::Number,
        "Milliseconds between two signs that a leader leads [100].",
        set!(heartbeat_interval = number),
    ),
    sets(
        "election-timeout",
        Kind::Number,
        "Milliseconds without a leader before a member wants to be it [1000].",
        set!(election_timeout = number),
    ),
    notes("initial-election-tick-advance", Kind::Bool, "true", "Elections start as they always do."),
    sets(
        "listen-client-urls",
        Kind::Text,
        "Where to listen for clients, as URLs with addresses [http://localhost:2379].",
        set!(listen_client_urls = urls),
    ),
    sets(
        "advertise-client-urls",
        Kind::Text,
        "Where clients reach this server [--listen-client-urls].",
        set!(advertise_client_urls = urls),
    ),
    sets(
        "listen-peer-urls",
        Kind::Text,
        "Where to listen for other members; makes this a member of a group [http://localhost:2380 in a group].",
        set!(listen_peer_urls = urls),
    ),
    sets(
        "listen-metrics-urls",
        Kind::Text,
        "Where to serve /metrics, /health, /livez, /readyz and /version alone; all other URLs have them too.",
        |settings, text| {
            settings.listen_metrics_urls.extend(urls(text)?);
            Ok(())
        },
    ),
    sets("listen-client-http-urls", Kind::Text, "The same.", |settings, text| {
        settings.listen_metrics_urls.extend(urls(text)?);
        Ok(())
    }),
    sets(
        "initial-advertise-peer-urls",
        Kind::Text,
        "Where other members reach this one [http://localhost:2380].",
        set!(initial_advertise_peer_urls = urls),
    ),
    sets(
        "initial-cluster",
        Kind::Text,
        "The first members of a new cluster, or members of the one to join, as NAME=URL,… [this one].",
        set!(initial_cluster = words),
    ),
    sets(
        "initial-cluster-state",
        Kind::Text,
        "What a member without data does: found a cluster (new), or join the one that has added it (existing) [new].",
        set!(initial_cluster_state = state),
    ),
    sets(
        "initial-cluster-token",
        Kind::Text,
        "Tells clusters apart that have the same first members [etcd-cluster].",
        set!(initial_cluster_token = text),
    ),
    sets(
        "max-request-bytes",
        Kind::Number,
        "The largest request [1572864].",
        set!(max_request_bytes = number),
    ),
    sets(
        "max-txn-ops",
        Kind::Number,
        "The most operations in a transaction [128].",
        set!(max_txn_ops = number),
    ),
    sets(
        "quota-backend-bytes",
        Kind::Number,
        "Writes are refused when the data takes more; 0 for 2 GiB, negative for no limit [0].",
        set!(quota_backend_bytes = number),
    ),
    sets(
        "auto-compaction-mode",
        Kind::Text,
        "How history is compacted by itself: periodic or revision [periodic].",
        set!(auto_compaction_mode = mode),
    ),
    sets(
        "auto-compaction-retention",
        Kind::Text,
        "How much of it is kept: hours, or a time as 5m, or a number of revisions; 0 for all [0].",
        set!(auto_compaction_retention = text),
    ),
    sets(
        "bcrypt-cost",
        Kind::Number,
        "How often passwords are hashed, as a power of two [10].",
        set!(bcrypt_cost = cost),
    ),
    sets(
        "auth-token-ttl",
        Kind::Number,
        "Seconds that a token lives after its last use [300].",
        set!(auth_token_ttl = number),
    ),
    sets(
        "auth-token",
        Kind::Text,
        "Tokens of users: simple, or jwt,sign-method=RS256,pub-key=FILE,priv-key=FILE,ttl=5m [simple].",
        set!(json_web_tokens = tokens),
    ),
    sets(
        "experimental-watch-progress-notify-interval",
        Kind::Time,
        "How often watches that want it hear that nothing happened [10m].",
        set!(watch_progress_notify_interval = time),
    ),
    sets(
        "experimental-warning-apply-duration",
        Kind::Time,
        "Writes that take longer are counted as slow [100ms].",
        set!(warning_apply_duration = time),
    ),
    sets(
        "grpc-keepalive-interval",
        Kind::Time,
        "How long a connection may be silent before it is probed; 0 for ever [2h].",
        set!(grpc_keepalive_interval = time),
    ),
    sets(
        "grpc-keepalive-timeout",
        Kind::Time,
        "How long a client that is probed may stay silent [20s].",
        set!(grpc_keepalive_timeout = time),
    ),
    notes("grpc-keepalive-min-time", Kind::Time, "5s", "Clients may probe as often as they like."),
    sets(
        "socket-reuse-port",
        Kind::Bool,
        "Let other processes listen on the same ports.",
        set!(socket_reuse_port = switch),
    ),
    notes("socket-reuse-address", Kind::Bool, "true", "It is always so."),
    sets("tls-min-version", Kind::Text, "TLS1.2 or TLS1.3 [TLS1.2].", |settings, text| {
        settings.tls.set_least(text)
    }),
    sets("tls-max-version", Kind::Text, "The same of the newest [TLS1.3].", |settings, text| {
        settings.tls.set_most(text)
    }),
    sets("cipher-suites", Kind::Text, "Cipher suites of TLS 1.2, by Go's names [all].", |settings, text| {
        settings.tls.set_suites(&list(text))
    }),
    sets(
        "metrics",
        Kind::Text,
        "How much /metrics tells: basic, or extensive with how long calls take [basic].",
        set!(extensive_metrics = detail),
    ),
    sets(
        "log-level",
        Kind::Text,
        "debug, info, warn, error, panic or fatal [RUST_LOG, or warn].",
        set!(log_level = level),
    ),
    sets("debug", Kind::Bool, "As --log-level debug.", |settings, text| {
        settings.log_level = if switch(text)? { Some("debug") } else { settings.log_level };
        Ok(())
    }),
    sets(
        "log-outputs",
        Kind::Text,
        "Where the log goes: stderr, stdout or a file [stderr].",
        set!(log_outputs = outputs),
    ),
    sets("logger", Kind::Text, "zap, or capnslog; the log's form is one for both.", |_, text| match text {
        "zap" | "capnslog" => Ok(()),
        _ => Err(format!("unknown logger option {text:?}")),
    }),
    notes("log-package-levels", Kind::Text, "", "RUST_LOG has such levels."),
    refuses("enable-log-rotation", Kind::Bool, "false", NO_ROTATION),
    notes("log-rotation-config-json", Kind::Text, "", NO_ROTATION),
    notes("log-format", Kind::Text, "json", "The log has a form of its own."),
    notes("max-snapshots", Kind::Number, "5", "Old snapshots are not kept."),
    notes("max-wals", Kind::Number, "5", NO_WAL),
    notes("snapshot-catchup-entries", Kind::Number, "5000", "It is --snapshot-count."),
    notes("experimental-snapshot-catchup-entries", Kind::Number, "5000", "It is --snapshot-count."),
    notes("backend-bbolt-freelist-type", Kind::Text, "map", NO_BOLT),
    notes("experimental-backend-bbolt-freelist-type", Kind::Text, "array", NO_BOLT),
    notes("backend-batch-interval", Kind::Time, "", "What waits is written together."),
    notes("backend-batch-limit", Kind::Number, "0", "What waits is written together."),
    notes("max-concurrent-streams", Kind::Number, "4294967295", "A connection may have 65536 calls at once."),
    sets(
        "enable-grpc-gateway",
        Kind::Bool,
        "Serve the methods of gRPC as JSON too, under /v3/.",
        set!(json_gateway = switch),
    ),
    notes("raft-read-timeout", Kind::Time, "5s", "Members notice silence by heartbeats."),
    notes("raft-write-timeout", Kind::Time, "5s", "Members notice silence by heartbeats."),
    refuses("discovery", Kind::Text, "", NO_DISCOVERY),
    refuses("discovery-srv", Kind::Text, "", NO_DISCOVERY),
    refuses("discovery-endpoints", Kind::Text, "", NO_DISCOVERY),
    refuses("discovery-token", Kind::Text, "", NO_DISCOVERY),
    notes("discovery-fallback", Kind::Text, "proxy", NO_DISCOVERY),
    notes("discovery-proxy", Kind::Text, "", NO_DISCOVERY),
    notes("discovery-srv-name", Kind::Text, "", NO_DISCOVERY),
    notes(
        "strict-reconfig-check",
        Kind::Bool,
        "true",
        "Changes of members that would cost the majority are always refused.",
    ),
    notes(
        "pre-vote",
        Kind::Bool,
        "true",
        "A member always asks whether it could win before it wants to lead.",
    ),
    refuses("enable-v2", Kind::Bool, "false", NO_V2),
    refuses("experimental-enable-v2v3", Kind::Text, "", NO_V2),
    notes("v2-deprecation", Kind::Text, "not-yet", NO_V2),
    refuses("proxy", Kind::Text, "off", "It is no proxy."),
    notes("proxy-failure-wait", Kind::Number, "5000", "It is no proxy."),
    notes("proxy-refresh-interval", Kind::Number, "30000", "It is no proxy."),
    notes("proxy-dial-timeout", Kind::Number, "1000", "It is no proxy."),
    notes("proxy-write-timeout", Kind::Number, "5000", "It is no proxy."),
    notes("proxy-read-timeout", Kind::Number, "0", "It is no proxy."),
    notes("cors", Kind::Text, "*", "Nothing is served to scripts of web pages."),
    refuses("host-whitelist", Kind::Text, "*", "The host that a request names is not looked at."),
    sets(
        "self-signed-cert-validity",
        Kind::Number,
        "Years for which a certificate is good that is made [1].",
        set!(made_years = number),
    ),
    notes("enable-pprof", Kind::Bool, "false", "There is no /debug/pprof."),
    notes("feature-gates", Kind::Text, "", NOT_COMPARED),
    notes("experimental-initial-corrupt-check", Kind::Bool, "false", NOT_COMPARED),
    notes("experimental-corrupt-check-time", Kind::Time, "0s", NOT_COMPARED),
    notes("experimental-compact-hash-check-enabled", Kind::Bool, "false", NOT_COMPARED),
    notes("experimental-compact-hash-check-time", Kind::Time, "1m", NOT_COMPARED),
    sets(
        "experimental-enable-lease-checkpoint",
        Kind::Bool,
        "Note every 5 minutes what is left of long leases, for members that start or join. All members need it.",
        set!(lease_checkpoints = switch),
    ),
    notes("experimental-enable-lease-checkpoint-persist", Kind::Bool, "false", LASTING_CHECKPOINTS),
    notes("experimental-compaction-batch-limit", Kind::Number, "1000", OWN_PACE),
    notes("experimental-compaction-sleep-interval", Kind::Time, "10ms", OWN_PACE),
    notes(
        "experimental-peer-skip-client-san-verification",
        Kind::Bool,
        "false",
        "Names in members' certificates are looked at by --peer-cert-allowed-* alone.",
    ),
    notes("experimental-downgrade-check-time", Kind::Time, "5s", "There are no downgrades."),
    notes("experimental-memory-mlock", Kind::Bool, "false", "Memory is not locked."),
    notes(
        "experimental-warning-unary-request-duration",
        Kind::Time,
        "300ms",
        "Metrics tell how long calls take.",
    ),
    notes("experimental-max-learners", Kind::Number, "1", "There is one learner at a time."),
    notes(
        "experimental-txn-mode-write-with-shared-buffer",
        Kind::Bool,
        "true",
        "Transactions have no buffer.",
    ),
    notes(
        "experimental-bootstrap-defrag-threshold-megabytes",
        Kind::Number,
        "0",
        "The data is defragmented by itself.",
    ),
    notes("experimental-stop-grpc-service-on-defrag", Kind::Bool, "false", "Defragmenting stops nothing."),
    notes("experimental-enable-distributed-tracing", Kind::Bool, "false", NO_TRACING),
    notes("experimental-distributed-tracing-address", Kind::Text, "localhost:4317", NO_TRACING),
    notes("experimental-distributed-tracing-service-name", Kind::Text, "etcd", NO_TRACING),
    notes("experimental-distributed-tracing-instance-id", Kind::Text, "", NO_TRACING),
    notes("experimental-distributed-tracing-sampling-rate", Kind::Number, "0", NO_TRACING),
    refuses(
        "force-new-cluster",
        Kind::Bool,
        "false",
        "A majority that is lost is not invented: restore a snapshot.",
    ),
    notes("unsafe-no-fsync", Kind::Bool, "false", "Writes are synced all the same."),
];

/// All flags of TLS.
const TLS: &[TlsFlag] = &[
    TlsFlag {
        key: "cert-file",
        names: ["cert-file", "peer-cert-file"],
        kind: Kind::Text,
        help: "The certificate to show, PEM; read again when it changes.",
        set: set!(certificate = file),
    },
    TlsFlag {
        key: "key-file",
        names: ["key-file", "peer-key-file"],
        kind: Kind::Text,
        help: "Its private key, PEM.",
        set: set!(key = file),
    },
    TlsFlag {
        key: "client-cert-file",
        names: ["client-cert-file", "peer-client-cert-file"],
        kind: Kind::Text,
        help: "What to show to members that are called, if not the same.",
        set: set!(client_certificate = file),
    },
    TlsFlag {
        key: "client-key-file",
        names: ["client-key-file", "peer-client-key-file"],
        kind: Kind::Text,
        help: "Its private key, PEM.",
        set: set!(client_key = file),
    },
    TlsFlag {
        key: "trusted-ca-file",
        names: ["trusted-ca-file", "peer-trusted-ca-file"],
        kind: Kind::Text,
        help: "The authority of others, PEM; as in etcd, only those with a certificate of it are let in.",
        set: set!(authority = file),
    },
    TlsFlag {
        key: "client-cert-auth",
        names: ["client-cert-auth", "peer-client-cert-auth"],
        kind: Kind::Bool,
        help: "Let in only those with a certificate, and take the name in a client's for its user.",
        set: set!(asks_clients = switch),
    },
    TlsFlag {
        key: "crl-file",
        names: ["client-crl-file", "peer-crl-file"],
        kind: Kind::Text,
        help: "Certificates that were revoked, PEM.",
        set: set!(revoked = file),
    },
    TlsFlag {
        key: "allowed-cn",
        names: ["", "peer-cert-allowed-cn"],
        kind: Kind::Text,
        help: "Let in only certificates with one of these common names.",
        set: set!(allowed_names = words),
    },
    TlsFlag {
        key: "allowed-hostname",
        names: ["client-cert-allowed-hostname", "peer-cert-allowed-hostname"],
        kind: Kind::Text,
        help: "Let in only certificates that are for one of these hosts.",
        set: set!(allowed_hosts = words),
    },
    TlsFlag {
        key: "auto-tls",
        names: ["auto-tls", "peer-auto-tls"],
        kind: Kind::Bool,
        help: "Make a certificate if none is given, which hides what is said and proves nothing.",
        set: set!(automatic = switch),
    },
];

impl TlsFlag {
    fn of(&self, side: Side) -> Option<Flag> {
        let [clients, peers] = self.names;
        let name = if side == Side::Clients { clients } else { peers };
        let Self { kind, help, set, .. } = *self;
        (!name.is_empty()).then_some(Flag { name, kind, help, does: Does::SetsTls(side, set) })
    }
}

/// All flags, those of TLS behind the others.
pub(super) fn all() -> impl Iterator<Item = Flag> {
    let tls =
        [Side::Clients, Side::Peers].into_iter().flat_map(|side| TLS.iter().filter_map(move |f| f.of(side)));
    FLAGS.iter().copied().chain(tls)
}

/// The flag of a name. What etcd 3.5 calls experimental has lost that word in 3.6.
pub(super) fn find(name: &str) -> Option<Flag> {
    let experimental = |flag: &Flag| flag.name.strip_prefix("experimental-") == Some(name);
    all().find(|flag| flag.name == name).or_else(|| all().find(experimental))
}

/// The flag of TLS that a configuration file calls so in the section of a side.
pub(super) fn find_tls(side: Side, key: &str) -> Option<Flag> {
    TLS.iter().find(|flag| flag.key == key)?.of(side)
}
