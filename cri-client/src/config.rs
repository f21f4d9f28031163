use std::time::Duration;

/// How long calls may take and how large answers may be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The longest an ordinary call may take. Starting a sandbox may take twice as long, since it sets up a network.
    /// Default: 2 minutes, the kubelet's `runtimeRequestTimeout`.
    pub request_timeout: Duration,
    /// The longest a pull may take. Default: 30 minutes; a pull that makes no progress is the runtime's to end.
    pub pull_timeout: Duration,
    /// The largest message accepted, in bytes. Default: 16 MiB, the kubelet's limit.
    pub max_message_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(120),
            pull_timeout: Duration::from_secs(30 * 60),
            max_message_bytes: 16 << 20,
        }
    }
}
