//! Interactive streams into containers.

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::Result;

/// Bytes to a process; shutting it down closes the process's standard input, where the runtime's protocol can say that.
pub type InputStream = Box<dyn AsyncWrite + Send + Unpin>;
/// Bytes from a process; ends when the process has closed its side.
pub type OutputStream = Box<dyn AsyncRead + Send + Unpin>;

/// A byte stream in both directions (port forwarding).
pub trait DuplexStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> DuplexStream for T {}

impl std::fmt::Debug for dyn DuplexStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DuplexStream")
    }
}

/// What to run, and which streams are wanted. For `attach` the command is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecRequest {
    /// Program and arguments, no shell.
    pub command: Vec<String>,
    /// With a terminal; then there is no separate standard error.
    pub tty: bool,
    /// Whether standard input is wanted.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted.
    pub stderr: bool,
}

/// Size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// A running exec or attach session. Dropping it detaches: an exec's process is killed, an attached container runs on.
pub struct ExecSession {
    /// Present when standard input was asked for.
    pub stdin: Option<InputStream>,
    /// Present when standard output was asked for; carries both outputs with a terminal.
    pub stdout: Option<OutputStream>,
    /// Present when standard error was asked for and there is no terminal.
    pub stderr: Option<OutputStream>,
    /// Present with a terminal; the newest size wins.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// Resolves to the exit code (128 + signal when killed). Outputs are complete when both it has resolved and they have ended.
    pub exit: BoxFuture<'static, Result<i32>>,
}

impl std::fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecSession")
            .field("stdin", &self.stdin.is_some())
            .field("stdout", &self.stdout.is_some())
            .field("stderr", &self.stderr.is_some())
            .field("tty", &self.resize.is_some())
            .finish_non_exhaustive()
    }
}

/// The outcome of a short command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecOutput {
    /// Standard output, at most 16 KiB (the rest is dropped).
    pub stdout: Vec<u8>,
    /// Standard error, at most 16 KiB.
    pub stderr: Vec<u8>,
    /// Exit code, 128 + signal when killed.
    pub exit_code: i32,
}

impl ExecOutput {
    /// How much of each output is kept, in bytes.
    pub const LIMIT: usize = 16 * 1024;
}
