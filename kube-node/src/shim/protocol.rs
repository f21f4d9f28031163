//! What the agent and a supervisor say to each other.
//!
//! Every message is a frame: one byte of [`Kind`], a big-endian `u32` length, the payload. A connection starts with one
//! `Control` frame holding a JSON [`Request`]; the supervisor answers with one `Control` frame holding a JSON [`Reply`]. After a
//! request that opens streams (exec, attach, port-forward, subscribe) the connection carries data frames until it closes; after any
//! other it can carry the next request.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::oci::Resources;

/// The largest payload of a frame in bytes; a larger one closes the connection.
pub(crate) const MAX_FRAME: usize = 4 << 20;
/// Bytes before a payload.
pub(crate) const HEADER: usize = 5;

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Control,
    Stdin,
    StdinEof,
    Stdout,
    Stderr,
    Resize,
    Exit,
    Event,
    Data,
    DataEof,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Control,
        Kind::Stdin,
        Kind::StdinEof,
        Kind::Stdout,
        Kind::Stderr,
        Kind::Resize,
        Kind::Exit,
        Kind::Event,
        Kind::Data,
        Kind::DataEof,
    ];

    fn code(self) -> u8 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(0, |at| u8::try_from(at).unwrap_or(0))
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// One frame of a stream connection, as the agent sees and sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// Bytes for the process's standard input.
    Stdin(Vec<u8>),
    /// No more standard input.
    StdinEof,
    /// Bytes of standard output (of the terminal, when there is one).
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// The terminal's new size: columns, rows.
    Resize(u16, u16),
    /// The process ended; the last frame of an exec.
    Exit(Exit),
    /// Something happened to a container (subscriptions only).
    Event(Event),
    /// Bytes of a forwarded connection, both ways.
    Data(Vec<u8>),
    /// One direction of a forwarded connection ended.
    DataEof,
}

impl Frame {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
        match self {
            Frame::Stdin(data) => encode(Kind::Stdin, data),
            Frame::StdinEof => encode(Kind::StdinEof, &[]),
            Frame::Stdout(data) => encode(Kind::Stdout, data),
            Frame::Stderr(data) => encode(Kind::Stderr, data),
            Frame::Resize(columns, rows) => {
                encode(Kind::Resize, &[columns.to_be_bytes(), rows.to_be_bytes()].concat())
            }
            Frame::Exit(exit) => encode(Kind::Exit, &json(serde_json::to_vec(exit))),
            Frame::Event(event) => encode(Kind::Event, &json(serde_json::to_vec(event))),
            Frame::Data(data) => encode(Kind::Data, data),
            Frame::DataEof => encode(Kind::DataEof, &[]),
        }
    }

    /// `None` for a control frame or a payload that is not what its kind says.
    pub(crate) fn decode(kind: Kind, payload: Vec<u8>) -> Option<Self> {
        Some(match kind {
            Kind::Control => return None,
            Kind::Stdin => Frame::Stdin(payload),
            Kind::StdinEof => Frame::StdinEof,
            Kind::Stdout => Frame::Stdout(payload),
            Kind::Stderr => Frame::Stderr(payload),
            Kind::Resize => {
                let [a, b, c, d] = payload.try_into().ok()?;
                Frame::Resize(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
            }
            Kind::Exit => Frame::Exit(serde_json::from_slice(&payload).ok()?),
            Kind::Event => Frame::Event(serde_json::from_slice(&payload).ok()?),
            Kind::Data => Frame::Data(payload),
            Kind::DataEof => Frame::DataEof,
        })
    }
}

/// A frame's bytes.
pub(crate) fn encode(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.push(kind.code());
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// The kind and payload length of a header; `None` when it is not one.
pub(crate) fn parse_header(header: [u8; HEADER]) -> Option<(Kind, usize)> {
    let [code, a, b, c, d] = header;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (length <= MAX_FRAME).then_some((Kind::from_code(code)?, length))
}

/// What a supervisor is started with, as JSON in the file its last argument names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShimConfig {
    /// The sandbox's id.
    pub id: String,
    /// The folder for the socket (`shim.sock`) and the state file (`state.json`); exists.
    pub dir: PathBuf,
    /// Where to bind-mount the pod's network namespace; `None` shares the host's network.
    pub netns: Option<PathBuf>,
    /// Whether the pod shares the host's IPC namespace.
    pub host_ipc: bool,
    /// The pod's host name; `None` shares the host's UTS namespace.
    pub hostname: Option<String>,
    /// Whether the pod's containers share one process namespace, held open by the supervisor.
    pub shared_pid: bool,
    /// Kernel parameters of the pod's namespaces, by dotted name.
    pub sysctls: Vec<(String, String)>,
    /// The supervisor's own cgroup, relative to each hierarchy's root.
    pub cgroup: String,
    /// The folder whose sub-folders are image layers; an [`Overlay`] names them relative to it.
    pub layers: PathBuf,
    /// A container's log file is rotated by reopening; a line longer than this many bytes is split.
    pub log_line_bytes: usize,
}

impl ShimConfig {
    /// A supervisor with private network, IPC and UTS namespaces.
    #[must_use]
    pub fn new(id: &str, dir: PathBuf, layers: PathBuf, cgroup: String) -> Self {
        Self {
            id: id.to_owned(),
            dir,
            netns: None,
            host_ipc: false,
            hostname: None,
            shared_pid: false,
            sysctls: Vec::new(),
            cgroup,
            layers,
            log_line_bytes: 16 << 10,
        }
    }
}

/// What the agent asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request {
    /// Answer with [`Reply::Report`].
    Report,
    /// Create and start a container from the bundle on disk.
    Start(StartContainer),
    /// Send a signal to a container's first process.
    Kill {
        /// The container.
        id: String,
        /// The signal's number.
        signal: i32,
    },
    /// Forget an ended container and remove its cgroup and state.
    Delete {
        /// The container.
        id: String,
    },
    /// Close the container's log file and open its path again.
    ReopenLog {
        /// The container.
        id: String,
    },
    /// Run a further process in a container; the connection becomes its streams.
    Exec(StartExec),
    /// Join a container's streams.
    Attach {
        /// The container.
        id: String,
        /// Which streams.
        streams: Streams,
    },
    /// Connect to a port on the pod's loopback; the connection becomes that connection.
    Forward {
        /// The TCP port.
        port: u16,
    },
    /// Change a container's limits.
    Update {
        /// The container.
        id: String,
        /// The limits; what is unset stays as it is.
        resources: Resources,
    },
    /// The connection becomes a stream of [`Event`]s.
    Subscribe,
    /// Kill everything and end.
    Shutdown,
}

/// What a supervisor answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reply {
    /// Done.
    Done,
    /// The pod's state.
    Report(Report),
    /// No such container.
    NotFound(String),
    /// The request could not be done; the text says why.
    Failed(String),
}

/// Everything a supervisor knows; also the content of its state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The supervisor's process id.
    pub pid: i32,
    /// Its containers, by start.
    pub containers: Vec<ContainerReport>,
}

/// One container of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContainerReport {
    /// The container's id.
    pub id: String,
    /// The process id of its first process, in the host's numbering.
    pub pid: i32,
    /// When it started.
    pub started_at: Timestamp,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exit {
    /// The exit code; 128 plus the signal's number for a signal.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel killed something in the container for want of memory.
    pub oom: bool,
    /// When.
    pub at: Timestamp,
}

/// What a supervisor tells its subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// A container started.
    Started {
        /// The container.
        id: String,
    },
    /// A container ended; its log is complete.
    Exited {
        /// The container.
        id: String,
        /// How.
        exit: Exit,
    },
}

/// Which standard streams a connection wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Streams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Streams {
    /// The three streams.
    #[must_use]
    pub const fn new(stdin: bool, stdout: bool, stderr: bool) -> Self {
        Self { stdin, stdout, stderr }
    }
}

/// The layers of a container's root filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Overlay {
    /// Layer folders relative to [`ShimConfig::layers`], the topmost first.
    pub lower: Vec<String>,
    /// Where the container's own changes go.
    pub upper: PathBuf,
    /// overlayfs's scratch folder, beside `upper`.
    pub work: PathBuf,
}

impl Overlay {
    /// The three parts.
    #[must_use]
    pub const fn new(lower: Vec<String>, upper: PathBuf, work: PathBuf) -> Self {
        Self { lower, upper, work }
    }
}

/// A container to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StartContainer {
    /// Its id.
    pub id: String,
    /// The OCI bundle: `config.json`, an [`oci::Spec`](super::oci::Spec), and an empty `rootfs/`.
    pub bundle: PathBuf,
    /// The layers to put at `rootfs/`.
    pub overlay: Overlay,
    /// Its log file; `None` for no log.
    pub log: Option<PathBuf>,
    /// Whether it has a terminal; as in its specification.
    pub tty: bool,
    /// Whether its standard input stays open for attachers; otherwise it is empty.
    pub stdin: bool,
    /// Whether standard input ends when the first attacher leaves.
    pub stdin_once: bool,
    /// The container's cgroup, relative to each hierarchy's root.
    pub cgroup: String,
}

impl StartContainer {
    /// A container with neither terminal nor input nor log.
    #[must_use]
    pub fn new(id: &str, bundle: PathBuf, overlay: Overlay, cgroup: String) -> Self {
        Self {
            id: id.to_owned(),
            bundle,
            overlay,
            log: None,
            tty: false,
            stdin: false,
            stdin_once: false,
            cgroup,
        }
    }
}

/// A further process of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StartExec {
    /// The container.
    pub id: String,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Which streams are wanted.
    pub streams: Streams,
}

impl StartExec {
    /// `args` in container `id`.
    #[must_use]
    pub fn new(id: &str, args: Vec<String>, tty: bool, streams: Streams) -> Self {
        Self { id: id.to_owned(), args, tty, streams }
    }
}
