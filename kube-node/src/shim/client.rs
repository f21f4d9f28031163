//! The agent's side of a supervisor.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{ChildStdout, Command};
use tokio::sync::Mutex;

use super::entry::{FAILED, PROGRAM_NAME, READY, SOCKET, short_path};
use super::protocol::{Frame, HEADER, Kind, Reply, Report, Request, ShimConfig, encode, parse_header};
use super::seal::Sealed;
use crate::{Error, Result};

/// Starts a supervisor and waits until it serves. `program` is the program to execute, normally `/proc/self/exe`; `args` come before
/// the configuration's path.
///
/// # Errors
/// [`Error::Failed`] with the supervisor's words when it could not set the pod up, [`Error::Io`] when it could not be started.
pub async fn start(program: &Path, args: &[String], config: &ShimConfig) -> Result<ShimClient> {
    let file = config.dir.join("shim.json");
    let doing = || format!("start the supervisor in {}", config.dir.display());
    let text = serde_json::to_vec(config).map_err(|error| Error::Invalid(error.to_string()))?;
    tokio::fs::write(&file, text).await.map_err(Error::io(doing()))?;
    let errors = std::fs::File::create(config.dir.join("shim.log")).map_err(Error::io(doing()))?;
    let sealed = Sealed::new(program).map_err(Error::io(doing()))?;
    let mut command = Command::new(sealed.path());
    command.arg0(PROGRAM_NAME).args(args).arg(&file).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    let mut child = command.spawn().map_err(Error::io(doing()))?;
    let said = match child.stdout.take() {
        Some(stdout) => first_word(stdout).await,
        None => None,
    };
    // Waits in the background, so that an ended supervisor does not stay a zombie.
    tokio::spawn(async move { child.wait().await });
    match said {
        Some(None) => Ok(ShimClient::new(&config.dir)),
        Some(Some(reason)) => Err(Error::Failed(format!("pod supervisor: {reason}"))),
        None => Err(Error::Failed("pod supervisor: it ended early".to_owned())),
    }
}

/// What the supervisor says about its start: nothing when all is well, else why not; `None` when it ended without a word.
async fn first_word(stdout: ChildStdout) -> Option<Option<String>> {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == READY {
            return Some(None);
        }
        if let Some(reason) = line.strip_prefix(FAILED) {
            return Some(Some(reason.to_owned()));
        }
    }
    None
}

/// Talks to one supervisor; cheap to clone. Every call is a connection of its own, so calls never wait for each other here.
#[derive(Clone, Debug)]
pub struct ShimClient {
    socket: Arc<Path>,
}

impl ShimClient {
    /// The client of the supervisor whose folder is `dir`; does not connect yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { socket: dir.join(SOCKET).into() }
    }

    async fn connect(&self) -> Result<UnixStream> {
        let unavailable =
            |error: std::io::Error| Error::Unavailable { what: "pod supervisor", reason: error.to_string() };
        let (_folder, path) = short_path(&self.socket).map_err(unavailable)?;
        UnixStream::connect(path).await.map_err(unavailable)
    }

    /// Makes a request that is answered and done.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the supervisor is gone, [`Error::NotFound`] and [`Error::Failed`] as it says.
    pub async fn call(&self, request: &Request) -> Result<()> {
        self.stream(request).await.map(drop)
    }

    /// The pod's state.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the supervisor is gone.
    pub async fn report(&self) -> Result<Report> {
        let mut stream = self.connect().await?;
        match exchange(&mut stream, &Request::Report).await? {
            Reply::Report(report) => Ok(report),
            other => Err(Error::Failed(format!("pod supervisor: unexpected answer {other:?}"))),
        }
    }

    /// Makes a request after which the connection carries streams.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn stream(&self, request: &Request) -> Result<ShimStream> {
        let mut stream = self.connect().await?;
        match exchange(&mut stream, request).await? {
            Reply::Done | Reply::Report(_) => Ok(ShimStream::new(stream)),
            Reply::NotFound(name) => Err(Error::not_found("container", name)),
            Reply::Failed(reason) => Err(Error::Failed(reason)),
        }
    }

    /// The folder of the supervisor's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket.to_path_buf()
    }
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    Error::Unavailable { what: "pod supervisor", reason: error.to_string() }
}

async fn exchange(stream: &mut UnixStream, request: &Request) -> Result<Reply> {
    let text = serde_json::to_vec(request).map_err(|error| Error::Invalid(error.to_string()))?;
    stream.write_all(&encode(Kind::Control, &text)).await.map_err(|error| broken(&error))?;
    let (kind, payload) = read_raw(stream).await.ok_or_else(|| broken(&"the connection broke"))?;
    if kind != Kind::Control {
        return Err(broken(&"unexpected frame"));
    }
    serde_json::from_slice(&payload).map_err(|error| broken(&error))
}

async fn read_raw(stream: &mut (impl AsyncRead + Unpin)) -> Option<(Kind, Vec<u8>)> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await.ok()?;
    let (kind, length) = parse_header(header)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, payload))
}

/// A connection that carries frames.
#[derive(Debug)]
pub struct ShimStream {
    reader: OwnedReadHalf,
    writer: ShimWriter,
}

/// The sending half of a [`ShimStream`]; cheap to clone, whole frames are never mixed.
#[derive(Clone, Debug)]
pub struct ShimWriter(Arc<Mutex<OwnedWriteHalf>>);

impl ShimWriter {
    /// Sends one frame.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the supervisor has closed the connection.
    pub async fn send(&self, frame: &Frame) -> Result<()> {
        self.0.lock().await.write_all(&frame.encode()).await.map_err(|error| broken(&error))
    }
}

impl ShimStream {
    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader, writer: ShimWriter(Arc::new(Mutex::new(writer))) }
    }

    /// The sending half.
    #[must_use]
    pub fn writer(&self) -> ShimWriter {
        self.writer.clone()
    }

    /// The next frame; `None` when the connection has ended. Not cancel safe: a dropped call may lose the frame it was reading.
    pub async fn next(&mut self) -> Option<Frame> {
        let (kind, payload) = read_raw(&mut self.reader).await?;
        Frame::decode(kind, payload)
    }
}

impl ShimStream {
    /// Closes the connection, also when clones of its [`writer`](Self::writer) still exist.
    pub async fn close(self) {
        // Already closed by the other side is fine.
        let _closed = self.writer.0.lock().await.shutdown().await;
    }
}
