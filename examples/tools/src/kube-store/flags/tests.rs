use std::path::PathBuf;
use std::time::Duration;

use kube_store::AutoCompaction;

use super::read::variable;
use super::settings::{CompactionMode, Settings};
use super::tokens::TokenFlags;
use super::*;

fn run(args: &[&str], env: &[(&str, &str)]) -> Result<Command, Refused> {
    let args = args.iter().map(|arg| (*arg).to_owned());
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    read(args, env)
}

fn served(args: &[&str], env: &[(&str, &str)]) -> Read {
    match run(args, env) {
        Ok(Command::Serve(read)) => *read,
        other => panic!("{args:?} {env:?}: {other:?}"),
    }
}

fn settings(args: &[&str]) -> Settings {
    served(args, &[]).settings
}

fn refusal(args: &[&str], env: &[(&str, &str)]) -> Refused {
    match run(args, env) {
        Err(refused) => refused,
        other => panic!("{args:?} {env:?}: {other:?}"),
    }
}

/// What comes of a file with this text.
fn from_file(text: &str) -> Read {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    served(&["--config-file", file.path().to_str().unwrap()], &[])
}

type Change = fn(&mut Settings);

/// Each flag of etcd's that sets something, with a value and what it sets, and as far as it has to, with others.
const SET: &[(&str, &str, Change)] = &[
    ("name", "a", |s| s.name = "a".into()),
    ("data-dir", "/d", |s| s.data_dir = "/d".into()),
    ("listen-client-urls", "http://127.0.0.1:1,http://[::1]:2", |s| {
        s.listen_client_urls = vec!["http://127.0.0.1:1".into(), "http://[::1]:2".into()];
    }),
    ("advertise-client-urls", "http://a:1", |s| s.advertise_client_urls = vec!["http://a:1".into()]),
    ("listen-peer-urls", "http://127.0.0.1:1", |s| s.listen_peer_urls = vec!["http://127.0.0.1:1".into()]),
    ("listen-metrics-urls", "http://127.0.0.1:1", |s| {
        s.listen_metrics_urls = vec!["http://127.0.0.1:1".into()]
    }),
    ("listen-client-http-urls", "http://127.0.0.1:1", |s| {
        s.listen_metrics_urls = vec!["http://127.0.0.1:1".into()];
    }),
    ("initial-advertise-peer-urls", "http://a:1", |s| {
        s.initial_advertise_peer_urls = vec!["http://a:1".into()]
    }),
    ("initial-cluster", "default=http://localhost:2380,b=http://b:1", |s| {
        s.initial_cluster = vec!["default=http://localhost:2380".into(), "b=http://b:1".into()];
    }),
    ("initial-cluster-state", "existing", |s| s.initial_cluster_state = ClusterState::Existing),
    ("initial-cluster-token", "t", |s| s.initial_cluster_token = "t".into()),
    ("snapshot-count", "10000", |s| s.snapshot_count = 10_000),
    ("heartbeat-interval", "150", |s| s.heartbeat_interval = 150),
    ("election-timeout", "2000", |s| s.election_timeout = 2000),
    ("auto-compaction-mode", "revision", |s| s.auto_compaction_mode = CompactionMode::Revision),
    ("auto-compaction-retention", "5m", |s| s.auto_compaction_retention = "5m".into()),
    ("quota-backend-bytes", "100", |s| s.quota_backend_bytes = 100),
    ("max-request-bytes", "10", |s| s.max_request_bytes = 10),
    ("max-txn-ops", "5", |s| s.max_txn_ops = 5),
    ("engine", "memory", |s| s.engine = Engine::Memory),
    ("self-signed-cert-validity", "3", |s| s.made_years = 3),
    ("auto-tls", "true", |s| s.client_tls.automatic = true),
    ("peer-auto-tls", "true", |s| s.peer_tls.automatic = true),
    ("bcrypt-cost", "4", |s| s.bcrypt_cost = 4),
    ("auth-token-ttl", "7", |s| s.auth_token_ttl = 7),
    ("auth-token", "jwt,sign-method=ES256,pub-key=p,priv-key=k,ttl=7s,key=k", |s| {
        s.json_web_tokens = Some(TokenFlags {
            method: "ES256".into(),
            public_key: Some("p".into()),
            private_key: Some("k".into()),
            ttl: Duration::from_secs(7),
            unknown: vec!["key".into()],
        });
    }),
    ("experimental-watch-progress-notify-interval", "5s", |s| {
        s.watch_progress_notify_interval = Duration::from_secs(5);
    }),
    ("experimental-warning-apply-duration", "1s", |s| s.warning_apply_duration = Duration::from_secs(1)),
    ("grpc-keepalive-interval", "0s", |s| s.grpc_keepalive_interval = Duration::ZERO),
    ("grpc-keepalive-timeout", "1m", |s| s.grpc_keepalive_timeout = Duration::from_secs(60)),
    ("socket-reuse-port", "true", |s| s.socket_reuse_port = true),
    ("experimental-enable-lease-checkpoint", "true", |s| s.lease_checkpoints = true),
    ("metrics", "extensive", |s| s.extensive_metrics = true),
    ("enable-grpc-gateway", "false", |s| s.json_gateway = false),
    ("log-level", "panic", |s| s.log_level = Some("error")),
    ("debug", "true", |s| s.log_level = Some("debug")),
    ("log-outputs", "/l", |s| s.log_outputs = vec!["/l".into()]),
    ("logger", "zap", |_| {}),
    ("tls-min-version", "TLS1.3", |s| s.tls.set_least("TLS1.3").unwrap()),
    ("tls-max-version", "TLS1.3", |s| s.tls.set_most("TLS1.3").unwrap()),
    ("cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", |s| {
        s.tls.set_suites(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into()]).unwrap();
    }),
];

type Set = fn(&mut super::settings::TlsFlags);

/// Each flag of TLS with what it is in a file, and with those it needs.
const TLS: &[(&str, &str, &str, Set)] = &[
    ("cert-file", "cert-file", "c", |t| t.certificate = Some("c".into())),
    ("key-file", "key-file", "k", |t| t.key = Some("k".into())),
    ("client-cert-file", "client-cert-file", "cc", |t| t.client_certificate = Some("cc".into())),
    ("client-key-file", "client-key-file", "ck", |t| t.client_key = Some("ck".into())),
    ("trusted-ca-file", "trusted-ca-file", "ca", |t| t.authority = Some("ca".into())),
    ("client-cert-auth", "client-cert-auth", "true", |t| t.asks_clients = true),
    ("client-crl-file", "crl-file", "crl", |t| t.revoked = Some("crl".into())),
    ("client-cert-allowed-hostname", "allowed-hostname", "h", |t| t.allowed_hosts = vec!["h".into()]),
];

#[test]
fn a_flag_its_variable_and_its_key_set_the_same() {
    for (name, value, change) in SET {
        let mut wanted = Settings::default();
        change(&mut wanted);
        let (one, two) = (format!("--{name}={value}"), format!("-{name}"));
        assert_eq!(settings(&[&one]), wanted, "{one}");
        // A switch stands alone, and so is only turned on.
        let apart = match *value {
            "true" => vec![two.as_str()],
            "false" => vec![one.as_str()],
            value => vec![two.as_str(), value],
        };
        assert_eq!(settings(&apart), wanted, "{apart:?}");
        assert_eq!(served(&[], &[(&variable(name), value)]).settings, wanted, "{}", variable(name));
        assert_eq!(from_file(&format!("{name}: '{value}'\n")).settings, wanted, "{name}: {value}");
    }
}

#[test]
fn every_flag_that_sets_something_is_in_this_test() {
    let sets = |flag: &super::table::Flag| matches!(flag.does, super::table::Does::Sets(_));
    for flag in super::table::all().filter(sets) {
        assert!(SET.iter().any(|(name, _, _)| *name == flag.name), "{} is not tested", flag.name);
    }
}

#[test]
fn tls_is_set_for_clients_and_for_members_alike() {
    for prefix in ["", "peer-"] {
        let flag = |name: &str| match (prefix, name) {
            ("", _) => name.to_owned(),
            (_, "client-crl-file") => "peer-crl-file".into(),
            (_, "client-cert-allowed-hostname") => "peer-cert-allowed-hostname".into(),
            _ => format!("peer-{name}"),
        };
        let mut wanted = Settings::default();
        let side = if prefix.is_empty() { &mut wanted.client_tls } else { &mut wanted.peer_tls };
        TLS.iter().for_each(|(_, _, _, change)| change(side));
        let args: Vec<_> =
            TLS.iter().map(|(name, _, value, _)| format!("--{}={value}", flag(name))).collect();
        assert_eq!(settings(&args.iter().map(String::as_str).collect::<Vec<_>>()), wanted);
        let env: Vec<_> = TLS.iter().map(|(name, _, value, _)| (variable(&flag(name)), *value)).collect();
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(served(&[], &env).settings, wanted);
        let section = if prefix.is_empty() { "client" } else { "peer" };
        let keys: String = TLS.iter().map(|(_, key, value, _)| format!("  {key}: {value}\n")).collect();
        assert_eq!(from_file(&format!("{section}-transport-security:\n{keys}")).settings, wanted);
    }
    let pair = ["--peer-cert-file=c", "--peer-key-file=k", "--peer-trusted-ca-file=a"];
    let allowed = settings(&[&pair[..], &["--peer-cert-allowed-cn=a,b"]].concat());
    assert_eq!(allowed.peer_tls().unwrap().unwrap().allowed_names, ["a", "b"]);
}

/// What kubeadm writes into its static pod for etcd 3.5, and for 3.6.
const KUBEADM: &[&str] = &[
    "--advertise-client-urls=https://10.0.0.4:2379",
    "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
    "--client-cert-auth=true",
    "--data-dir=/var/lib/etcd",
    "--experimental-initial-corrupt-check=true",
    "--experimental-watch-progress-notify-interval=5s",
    "--initial-advertise-peer-urls=https://10.0.0.4:2380",
    "--initial-cluster=control-plane=https://10.0.0.4:2380",
    "--key-file=/etc/kubernetes/pki/etcd/server.key",
    "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.4:2379",
    "--listen-metrics-urls=http://127.0.0.1:2381",
    "--listen-peer-urls=https://10.0.0.4:2380",
    "--name=control-plane",
    "--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt",
    "--peer-client-cert-auth=true",
    "--peer-key-file=/etc/kubernetes/pki/etcd/peer.key",
    "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    "--snapshot-count=10000",
    "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
];

#[test]
fn kubeadms_manifest_is_taken_as_it_is() {
    let mut newer = KUBEADM.to_vec();
    newer[4] = "--feature-gates=InitialCorruptCheck=true";
    newer[5] = "--watch-progress-notify-interval=5s";
    for args in [KUBEADM, &newer] {
        let Read { settings, notes } = served(args, &[]);
        assert_eq!(settings.watch_progress_notify_interval, Duration::from_secs(5));
        assert_eq!(settings.listen_metrics_urls, ["http://127.0.0.1:2381"]);
        assert!(settings.client_tls().unwrap().is_some() && settings.peer_tls().unwrap().is_some());
        assert!(settings.in_group(), "another member can be added later");
        assert_eq!(notes.len(), 1, "{notes:?}");
    }
}

#[test]
fn what_has_no_effect_is_noted_and_what_would_mislead_is_refused() {
    for (given, noted) in [
        ("--max-wals=9", true),
        ("--max-wals=5", false),
        ("--pre-vote", false),
        ("--pre-vote=0", true),
        ("--unsafe-no-fsync", true),
        ("--experimental-compaction-batch-limit=10", true),
        ("--enable-v2=false", false),
        ("--proxy=off", false),
        ("--force-new-cluster=f", false),
    ] {
        assert_eq!(!served(&[given], &[]).notes.is_empty(), noted, "{given}");
    }
    for given in [
        "--enable-v2",
        "--force-new-cluster=true",
        "--discovery=http://a",
        "--proxy=on",
        "--auth-token=jwt",
        "--auth-token=jwt,sign-method=RS256,ttl=x",
        "--auth-token=jwt,sign-method=RS256,sign-method=RS256",
        "--auth-token=jwt,sign-method",
        "--auth-token=other,sign-method=RS256",
        "--auth-token=simple,a",
        "--auth-token=",
        "--host-whitelist=a",
    ] {
        assert!(matches!(refusal(&[given], &[]), Refused::Usage(_)), "{given}");
    }
}

#[test]
fn a_command_line_that_is_none_is_refused_as_go_does() {
    for (args, wanted) in [
        (&["--foo"][..], "flag provided but not defined: -foo"),
        (&["--name"], "flag needs an argument: -name"),
        (&["--client-cert-auth=maybe"], "invalid boolean value \"maybe\" for -client-cert-auth: parse error"),
        (&["--snapshot-count=abc"], "invalid value \"abc\" for flag -snapshot-count: parse error"),
        (&["--max-wals=abc"], "invalid value \"abc\" for flag -max-wals: parse error"),
        (
            &["--grpc-keepalive-min-time=5"],
            "invalid value \"5\" for flag -grpc-keepalive-min-time: parse error",
        ),
        (
            &["--initial-cluster-state=x"],
            "invalid value \"x\" for flag -initial-cluster-state: invalid value",
        ),
        (
            &["--listen-client-urls=foo"],
            "invalid value \"foo\" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: foo",
        ),
    ] {
        assert_eq!(refusal(args, &[]), Refused::Usage(wanted.into()), "{args:?}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused_in_etcds_words() {
    for (args, wanted) in [
        (&["extra"][..], "'extra' is not a valid flag"),
        (&["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)"),
        (
            &["--election-timeout=100"],
            "--election-timeout[100ms] should be at least as 5 times as --heartbeat-interval[100ms]",
        ),
        (
            &["--election-timeout=60000"],
            "--election-timeout[60000ms] is too long, and should be set less than 50000ms",
        ),
        (
            &["--listen-client-urls=http://example.com:1"],
            "expected IP in URL for binding (http://example.com:1)",
        ),
        (
            &["--initial-advertise-peer-urls=unix:///a"],
            "--initial-advertise-peer-urls \"unix:///a\" must be \"host:port\" (missing port in address)",
        ),
        (
            &["--auto-compaction-retention=x"],
            "error parsing CompactionRetention: time: invalid duration \"x\"",
        ),
        (
            &["--initial-cluster=b=http://localhost:1"],
            "couldn't find local name \"default\" in the initial cluster configuration",
        ),
        (&["--config-file=/nonexistent"], "open /nonexistent: no such file or directory"),
        (
            &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        ),
        (
            &["--tls-min-version=TLS1.3", "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
            "cipher suites cannot be configured when only TLS1.3 is enabled",
        ),
        (&["--cert-file=a"], "--cert-file and --key-file go together"),
        (&["--client-cert-auth"], "TLS flags need --cert-file and --key-file"),
        (&["--auto-tls", "--client-cert-auth"], "TLS flags need --cert-file and --key-file"),
        (
            &["--peer-auto-tls", "--self-signed-cert-validity=0"],
            "selfSignedCertValidity is invalid,it should be greater than 0",
        ),
        (
            &["--cert-file=a", "--key-file=a", "--client-cert-auth"],
            "--client-cert-auth needs --trusted-ca-file",
        ),
    ] {
        assert_eq!(refusal(args, &[]), Refused::Value(wanted.into()), "{args:?}");
    }
    for wrong in ["default=http://b:1", "default", "default=http://localhost:2380,default=http://b:1"] {
        assert!(run(&["--initial-cluster", wrong], &[]).is_err(), "{wrong}");
    }
}

#[test]
fn variables_that_are_none_are_noted_and_one_beside_its_flag_is_refused() {
    let read = served(&[], &[("ETCD_FOO", "1"), ("HOME", "/"), ("ETCD_NAME", ""), ("ETCD_MAX_WALS", "5")]);
    assert_eq!(read.notes, ["unrecognized environment variable ETCD_FOO=1"]);
    assert_eq!(read.settings, Settings::default());
    let wanted = "invalid value \"abc\" for ETCD_SNAPSHOT_COUNT: parse error";
    assert_eq!(refusal(&[], &[("ETCD_SNAPSHOT_COUNT", "abc")]), Refused::Value(wanted.into()));
    let wanted = "conflicting environment variable \"ETCD_NAME\" is shadowed by corresponding command-line flag \
                  (either unset environment variable or disable flag)";
    assert_eq!(refusal(&["--name=a"], &[("ETCD_NAME", "b")]), Refused::Value(wanted.into()));
}

#[test]
fn a_file_is_the_whole_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "name: a\ngrpc-keepalive-min-time: 5000000000\ngrpc-keepalive-timeout: 1000000000\n\
                cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\nheartbeat-interval: 50\ninitial-cluster:\n\
                what: 1\n";
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let by_flag = served(&["--config-file", path, "--name=b"], &[("ETCD_HEARTBEAT_INTERVAL", "70")]);
    let by_variable = served(&["--name=b"], &[("ETCD_CONFIG_FILE", path)]);
    assert_eq!(by_flag, by_variable);
    assert_eq!((by_flag.settings.name.as_str(), by_flag.settings.heartbeat_interval), ("a", 50));
    assert_eq!(by_flag.settings.grpc_keepalive_timeout, Duration::from_secs(1));
    assert!(by_flag.notes.iter().any(|note| note == "unrecognized key what"), "{:?}", by_flag.notes);
    for wrong in ["- a", "a: {", "client-transport-security: 1", "name: {a: 1}", "snapshot-count: x"] {
        std::fs::write(file.path(), wrong).unwrap();
        assert!(matches!(refusal(&["--config-file", path], &[]), Refused::Value(_)), "{wrong}");
    }
}

#[test]
fn retention_is_read_as_etcd_reads_it() {
    let age = |seconds| AutoCompaction::Age(Duration::from_secs(seconds));
    for (mode, text, wanted) in [
        ("periodic", "0", Some(AutoCompaction::Off)),
        ("periodic", "2", Some(age(7200))),
        ("periodic", "1h30m", Some(age(5400))),
        ("periodic", "0s", Some(AutoCompaction::Off)),
        ("periodic", "5x", None),
        ("revision", "1000", Some(AutoCompaction::Revisions(1000))),
        ("revision", "5m", None),
    ] {
        let read = run(&["--auto-compaction-mode", mode, "--auto-compaction-retention", text], &[]);
        let found = match read {
            Ok(Command::Serve(read)) => read.settings.auto_compaction().ok(),
            _ => None,
        };
        assert_eq!(found, wanted, "{mode} {text}");
    }
}

#[test]
fn who_hears_of_others_is_in_a_group() {
    let alone: [&[&str]; 2] = [&[], &["--initial-cluster", "default=http://localhost:2380"]];
    assert!(alone.iter().all(|args| !settings(args).in_group()));
    let together: [&[&str]; 3] = [
        &["--listen-peer-urls", "http://127.0.0.1:2380"],
        &["--initial-cluster-state", "existing"],
        &["--initial-cluster", "default=http://localhost:2380,b=http://b:2380"],
    ];
    assert!(together.iter().all(|args| settings(args).in_group()));
    assert_eq!(settings(&["--name", "a"]).data_dir(), PathBuf::from("a.etcd"));
    assert_eq!(settings(&["--quota-backend-bytes=-1"]).quota(), u64::MAX);
}

#[test]
fn help_and_version_come_before_anything_else() {
    assert_eq!(run(&["--name=a", "--help", "--foo"], &[]), Ok(Command::Help));
    assert_eq!(run(&["-version"], &[]), Ok(Command::Version));
    let usage = usage();
    assert!(super::table::all().all(|flag| usage.contains(&format!("  --{}", flag.name))));
}
