//! Flags of upstream that have no effect here, so that its manifests work unchanged.

use clap::{Arg, ArgAction, ArgMatches};

/// Each with the reason.
const FLAGS: &[(&str, &str)] = &[
    ("allow-metric-labels", METRICS),
    ("allow-metric-labels-manifest", METRICS),
    ("authentication-skip-lookup", AUTH),
    ("authentication-token-webhook-cache-ttl", AUTH),
    ("authentication-tolerate-lookup-failure", AUTH),
    ("authorization-always-allow-paths", AUTH),
    ("authorization-webhook-cache-authorized-ttl", AUTH),
    ("authorization-webhook-cache-unauthorized-ttl", AUTH),
    ("cert-dir", "a certificate that is made for a run is kept in memory"),
    ("client-ca-file", "callers show tokens, not certificates"),
    ("contention-profiling", PROFILING),
    ("disable-http2-serving", SERVING),
    ("disabled-metrics", METRICS),
    ("emulated-version", VERSION),
    ("emulation-forward-compatible", VERSION),
    ("http2-max-streams-per-connection", SERVING),
    ("kube-api-content-type", "the client speaks JSON"),
    ("log-flush-frequency", LOGS),
    ("log-json-info-buffer-size", LOGS),
    ("log-json-split-stream", LOGS),
    ("log-text-info-buffer-size", LOGS),
    ("log-text-split-stream", LOGS),
    ("logging-format", LOGS),
    ("min-compatibility-version", VERSION),
    ("permit-address-sharing", SERVING),
    ("permit-port-sharing", SERVING),
    ("profiling", PROFILING),
    ("requestheader-allowed-names", PROXY),
    ("requestheader-client-ca-file", PROXY),
    ("requestheader-extra-headers-prefix", PROXY),
    ("requestheader-group-headers", PROXY),
    ("requestheader-uid-headers", PROXY),
    ("requestheader-username-headers", PROXY),
    ("show-hidden-metrics-for-version", METRICS),
    ("tls-cipher-suites", SERVING),
    ("tls-min-version", SERVING),
    ("tls-sni-cert-key", SERVING),
    ("vmodule", LOGS),
];

const AUTH: &str = "every caller is looked up, but for /healthz, /livez and /readyz";
const LOGS: &str = "logs are lines of text on stderr, chosen by --v or RUST_LOG";
const METRICS: &str = "there is one set of metrics";
const PROFILING: &str = "there is no profiler over HTTP";
const PROXY: &str = "nobody is believed to speak for others";
const SERVING: &str = "TLS is 1.2 and 1.3 with rustls' ciphers";
const VERSION: &str = "there is one version";

pub(crate) fn args() -> impl Iterator<Item = Arg> {
    FLAGS.iter().map(|(name, _)| {
        Arg::new(*name)
            .long(*name)
            .hide(true)
            .num_args(0..=1)
            .default_missing_value("true")
            .action(ArgAction::Append)
    })
}

/// Says which of the given flags have no effect, and why.
#[expect(clippy::print_stderr, reason = "logs are not set up yet, and a user should see it in any case")]
pub(crate) fn note(matches: &ArgMatches) {
    for (name, reason) in FLAGS.iter().filter(|(name, _)| matches.contains_id(name)) {
        eprintln!("note: --{name} has no effect: {reason}");
    }
}
