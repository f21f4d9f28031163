//! What the binaries ask this machine.

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Whether this process may make containers and network rules.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The machine's host name in lower case, as node names are.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().to_lowercase()
}

/// The address that this machine's packets to the outside carry, or loopback on a machine without a way out. Sends nothing:
/// connecting a UDP socket only looks up the route.
pub fn node_ip() -> IpAddr {
    let routed = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect("198.51.100.1:9")?;
        socket.local_addr()
    };
    routed().map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

/// Where a cluster keeps its state unless it is told: `/var/lib/kube`, or below the home folder of an ordinary user.
pub fn default_data_dir() -> PathBuf {
    match (is_root(), std::env::var_os("HOME")) {
        (false, Some(home)) => PathBuf::from(home).join(".local/share/kube"),
        _ => PathBuf::from("/var/lib/kube"),
    }
}

/// A folder that a flag names, wherever the program stands later.
///
/// # Errors
/// The name is empty, or the current folder is gone.
pub fn absolute(folder: &str) -> std::io::Result<PathBuf> {
    std::path::absolute(folder)
}

/// Raises the number of open files to what the machine allows: every watch and every container holds some.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "raising the number of open files");
    }
}

/// Prints what the components log, by `level` or else by `RUST_LOG`; warnings unless told otherwise.
pub fn log_to_stderr(level: Option<&str>) {
    // The client logs errors that it also returns, to parts that report them or try again.
    let up_to = |level| tracing_subscriber::EnvFilter::new(format!("{level},kube_client=off"));
    let filter = match level {
        Some(level) => up_to(level),
        None => tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| up_to("warn")),
    };
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}
