//! The supervisor's beginning, before its loop.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::mount_bind;
use rustix::process::{getpid, set_child_subreaper, setsid};
use rustix::system::sethostname;

use super::cgroup::Hierarchies;
use super::pause;
use super::protocol::ShimConfig;
use super::server::Server;
use super::sys::{Namespaces, unshare};

/// The name (`argv[0]`) under which a program becomes a supervisor.
pub const PROGRAM_NAME: &str = "kube-shim";
/// What the supervisor prints once it serves its socket.
pub(super) const READY: &str = "kube-shim: ready";
/// What it prints, with the reason, when it cannot.
pub(super) const FAILED: &str = "kube-shim: failed: ";
/// Its socket's name in [`ShimConfig::dir`].
pub(super) const SOCKET: &str = "shim.sock";

/// Becomes a pod's supervisor and never returns, when this process was started as one; otherwise returns at once.
///
/// Must be the first line of `main` of every program that runs pods with the embedded runtime: before any thread is started and
/// before the arguments are parsed.
pub fn maybe_run() {
    let mut args = std::env::args_os();
    let name = args.next();
    if name.as_deref() == Some(PROGRAM_NAME.as_ref()) {
        std::process::exit(run(args.last()));
    }
}

fn run(config: Option<OsString>) -> i32 {
    match config
        .ok_or_else(|| io::Error::other("no configuration file"))
        .and_then(|path| prepare(Path::new(&path)))
    {
        Ok(mut server) => {
            announce(READY);
            server.run();
            0
        }
        Err(error) => {
            announce(&format!("{FAILED}{error}"));
            1
        }
    }
}

/// Tells the agent, which reads no further than this line.
fn announce(text: &str) {
    let _nobody = writeln!(io::stdout(), "\n{text}").and_then(|()| io::stdout().flush());
}

fn prepare(path: &Path) -> io::Result<Server> {
    let config: ShimConfig = serde_json::from_slice(&fs::read(path)?)?;
    // A supervisor started from a session leader's shell is not one itself, so this succeeds; if not, it already is one.
    let _session = setsid();
    let _named = rustix::thread::set_name(c"kube-shim");
    set_child_subreaper(Some(getpid()))?;
    join_cgroup(&config)?;
    // The last to go when memory runs out; needs a privilege that not every machine gives.
    let _refused = fs::write("/proc/self/oom_score_adj", "-998");
    std::env::set_current_dir("/")?;
    namespaces(&config)?;
    let (_folder, socket) = short_path(&config.dir.join(SOCKET))?;
    let _stale = fs::remove_file(&socket);
    let listener = UnixListener::bind(socket)?;
    Server::new(config, listener)
}

fn join_cgroup(config: &ShimConfig) -> io::Result<()> {
    let hierarchies = Hierarchies::detect()?;
    hierarchies.create(&config.cgroup)?;
    hierarchies.join(&config.cgroup, getpid())
}

fn namespaces(config: &ShimConfig) -> io::Result<()> {
    let mut flags = Namespaces::empty();
    flags.set(Namespaces::NEWNET, config.netns.is_some());
    flags.set(Namespaces::NEWIPC, !config.host_ipc);
    flags.set(Namespaces::NEWUTS, config.hostname.is_some());
    unshare(flags)?;
    if let Some(netns) = &config.netns {
        File::create(netns)?;
        mount_bind("/proc/thread-self/ns/net", netns)?;
    }
    if let Some(hostname) = &config.hostname {
        sethostname(hostname.as_bytes())?;
    }
    for (name, value) in &config.sysctls {
        set_sysctl(name, value).map_err(|error| io::Error::other(format!("sysctl {name}: {error}")))?;
    }
    if config.shared_pid {
        pause::start(&config.dir)?;
    }
    Ok(())
}

fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    if name.split(['.', '/']).any(|part| part.is_empty()) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    fs::write(Path::new("/proc/sys").join(name.replace('.', "/")), value)
}

/// A path of at most a socket address's 107 bytes that leads to `path`, valid while the returned folder is open.
pub(super) fn short_path(path: &Path) -> io::Result<(File, PathBuf)> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = File::from(open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?);
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((folder, short))
}
