//! Containers and execs by libcontainer. Only ever called in the single-threaded supervisor.

use std::error::Error as _;
use std::ffi::CString;
use std::fs;
use std::io::{self, IoSliceMut, PipeReader, PipeWriter, pipe};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::Pid;
use serde_json::Value;

use super::entry::short_path;
use super::protocol::{Overlay, ShimConfig, StartContainer, StartExec, Streams};
use super::task::Launched;

type Result<T> = std::result::Result<T, String>;

/// Creates and starts a container from its bundle.
pub(super) fn start(config: &ShimConfig, request: &StartContainer) -> Result<Launched> {
    let rootfs = request.bundle.join("rootfs");
    mount_overlay(&config.layers, &request.overlay, &rootfs)?;
    let restore = set_oom_score(request.oom_score_adj);
    let result = create(config, request);
    if let Some(score) = restore {
        set_oom_score(score);
    }
    // The container's own mount namespace keeps the filesystem; here it would only be something to forget.
    let unmounted = unmount(&rootfs, UnmountFlags::DETACH)
        .map_err(|error| format!("unmount {}: {error}", rootfs.display()));
    let _at_root = std::env::set_current_dir("/");
    let launched = result?;
    unmounted?;
    Ok(launched)
}

fn create(config: &ShimConfig, request: &StartContainer) -> Result<Launched> {
    let streams = Streams::new(request.stdin, true, true);
    let mut stdio = Stdio::open(&request.bundle, request.tty, streams)?;
    let builder = stdio.attach(builder(config, &request.id)?);
    let mut container =
        builder.as_init(&request.bundle).with_systemd(false).with_detach(true).build().map_err(describe)?;
    container.start().map_err(describe)?;
    let pid = container.pid().ok_or("the container has no process")?;
    stdio.launched(pid.as_raw())
}

/// Runs a further process in a container.
pub(super) fn exec(config: &ShimConfig, bundle: &Path, request: &StartExec, number: u64) -> Result<Launched> {
    let process = exec_process(bundle, request)?;
    let path = bundle.join(format!("exec-{number}.json"));
    fs::write(&path, process.to_string()).map_err(|error| format!("write {}: {error}", path.display()))?;
    let result = exec_from(config, bundle, request, &path);
    let _gone = fs::remove_file(&path);
    result
}

fn exec_from(config: &ShimConfig, bundle: &Path, request: &StartExec, process: &Path) -> Result<Launched> {
    let mut stdio = Stdio::open(bundle, request.tty, request.streams)?;
    let builder = stdio.attach(builder(config, &request.id)?);
    let pid = builder.as_tenant().with_detach(true).with_process(Some(process)).build().map_err(describe)?;
    stdio.launched(pid.as_raw())
}

/// The container's own process with other arguments.
fn exec_process(bundle: &Path, request: &StartExec) -> Result<Value> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
    let mut spec: Value =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut process = spec.get_mut("process").map(Value::take).ok_or("the bundle has no process")?;
    if let Some(process) = process.as_object_mut() {
        process.insert("args".into(), request.args.clone().into());
        process.insert("terminal".into(), request.tty.into());
        process.remove("oomScoreAdj");
    }
    Ok(process)
}

fn builder(config: &ShimConfig, id: &str) -> Result<ContainerBuilder> {
    ContainerBuilder::new(id.to_owned(), SyscallType::Linux)
        .with_root_path(config.dir.join("oci"))
        .map_err(describe)
}

/// An error with all its causes: libcontainer's outermost texts say little.
fn describe(error: LibcontainerError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let line = next.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = next.source();
    }
    text
}

/// Mounts the layers at `rootfs`. Layers are named relative to their folder because the kernel takes one page of options only.
fn mount_overlay(layers: &Path, overlay: &Overlay, rootfs: &Path) -> Result<()> {
    let failed = |error: io::Error| format!("mount {}: {error}", rootfs.display());
    std::env::set_current_dir(layers).map_err(failed)?;
    let data = format!(
        "lowerdir={},upperdir={},workdir={}",
        overlay.lower.join(":"),
        overlay.upper.display(),
        overlay.work.display()
    );
    let data = CString::new(data).map_err(|error| failed(error.into()))?;
    mount("overlay", rootfs, "overlay", MountFlags::empty(), data.as_c_str())
        .map_err(|error| failed(error.into()))
}

/// Sets this process's score, which the container inherits; returns the score before. Without the privilege to lower it the nearest
/// allowed score (0) is taken.
fn set_oom_score(score: i32) -> Option<i32> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let before = fs::read_to_string(FILE).ok()?.trim().parse().ok()?;
    if before != score && fs::write(FILE, score.to_string()).is_err() {
        let _refused = fs::write(FILE, score.max(0).to_string());
    }
    Some(before)
}

/// The streams of a process about to start: pipes, or a console socket that its terminal's master arrives on.
#[derive(Debug)]
enum Stdio {
    Pipes { ours: (Option<PipeWriter>, Option<PipeReader>, Option<PipeReader>), theirs: Option<[OwnedFd; 3]> },
    Console { listener: UnixListener, path: PathBuf },
}

impl Stdio {
    fn open(bundle: &Path, tty: bool, streams: Streams) -> Result<Self> {
        if tty {
            return Self::console(bundle).map_err(|error| format!("console socket: {error}"));
        }
        Self::pipes(streams).map_err(|error| format!("pipes: {error}"))
    }

    fn console(bundle: &Path) -> io::Result<Self> {
        let path = bundle.join("console.sock");
        let _stale = fs::remove_file(&path);
        let (_folder, short) = short_path(&path)?;
        Ok(Self::Console { listener: UnixListener::bind(short)?, path })
    }

    fn pipes(streams: Streams) -> io::Result<Self> {
        let null = || fs::File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
        let (stdin, their_stdin) = if streams.stdin {
            let (reader, writer) = pipe()?;
            (Some(writer), OwnedFd::from(reader))
        } else {
            (None, null()?)
        };
        let output = |wanted: bool| -> io::Result<(Option<PipeReader>, OwnedFd)> {
            if !wanted {
                return Ok((None, null()?));
            }
            let (reader, writer) = pipe()?;
            Ok((Some(reader), OwnedFd::from(writer)))
        };
        let (stdout, their_stdout) = output(streams.stdout)?;
        let (stderr, their_stderr) = output(streams.stderr)?;
        Ok(Self::Pipes {
            ours: (stdin, stdout, stderr),
            theirs: Some([their_stdin, their_stdout, their_stderr]),
        })
    }

    fn attach(&mut self, builder: ContainerBuilder) -> ContainerBuilder {
        match self {
            Self::Pipes { theirs, .. } => match theirs.take() {
                Some([stdin, stdout, stderr]) => {
                    builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr)
                }
                None => builder,
            },
            Self::Console { path, .. } => builder.with_console_socket(Some(path.clone())),
        }
    }

    fn launched(self, pid: i32) -> Result<Launched> {
        let pid = Pid::from_raw(pid).ok_or("the process has no id")?;
        match self {
            Self::Pipes { ours: (stdin, stdout, stderr), .. } => Ok(Launched {
                pid,
                stdin: stdin.map(OwnedFd::from),
                stdout: stdout.map(OwnedFd::from),
                stderr: stderr.map(OwnedFd::from),
            }),
            Self::Console { listener, path } => {
                let master = receive_master(&listener).map_err(|error| format!("console: {error}"));
                let _gone = fs::remove_file(&path);
                let master = master?;
                let stdin = master.try_clone().map_err(|error| format!("console: {error}"))?;
                Ok(Launched { pid, stdin: Some(stdin), stdout: Some(master), stderr: None })
            }
        }
    }
}

/// The terminal's master, which the process has sent by now.
fn receive_master(listener: &UnixListener) -> io::Result<OwnedFd> {
    let (socket, _) = listener.accept()?;
    let mut text = [0_u8; 256];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&socket, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .ok_or_else(|| io::Error::other("no terminal arrived"))
}
