//! What sessions of commands and containers do.

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::script::Command;
use crate::seam::{ExecRequest, ExecSession, TerminalSize};

/// Bytes that a stream holds before its writer waits.
const BUFFER: usize = 16 * 1024;

/// The process's ends of a session's streams.
pub(super) struct Process {
    /// Present when somebody may write into it.
    stdin: Option<DuplexStream>,
    stdout: DuplexStream,
    stderr: DuplexStream,
    sizes: mpsc::Receiver<TerminalSize>,
}

/// A session of the process that `run` is; it ends when the session is dropped.
pub(super) fn open<F>(request: &ExecRequest, run: impl FnOnce(Process) -> F) -> ExecSession
where
    F: Future<Output = i32> + Send + 'static,
{
    let (near_in, stdin) = tokio::io::duplex(BUFFER);
    let (stdout, near_out) = tokio::io::duplex(BUFFER);
    let (stderr, near_err) = tokio::io::duplex(BUFFER);
    let (resize, sizes) = mpsc::channel(1);
    let process = run(Process { stdin: request.stdin.then_some(stdin), stdout, stderr, sizes });
    let exit = AbortOnDropHandle::new(tokio::spawn(process));
    ExecSession {
        stdin: request.stdin.then(|| Box::new(near_in) as _),
        stdout: request.stdout.then(|| Box::new(near_out) as _),
        stderr: (request.stderr && !request.tty).then(|| Box::new(near_err) as _),
        resize: request.tty.then_some(resize),
        // Killed, should the task be gone.
        exit: exit.map(|joined| Ok(joined.unwrap_or(137))).boxed(),
    }
}

impl Process {
    /// Runs a command to its end.
    pub(super) async fn run(mut self, command: Command) -> i32 {
        // A caller that does not listen loses what is said.
        let _unheard = self.stdout.write_all(&command.output.stdout).await;
        let _unheard = self.stderr.write_all(&command.output.stderr).await;
        tokio::time::sleep(command.takes).await;
        self.echo().await;
        command.output.exit_code
    }

    /// Sends the input back until it ends, and a terminal's sizes as `stty size` prints them.
    pub(super) async fn echo(&mut self) {
        let Some(mut stdin) = self.stdin.take() else { return };
        let mut buffer = [0; 4096];
        loop {
            let said = tokio::select! {
                read = stdin.read(&mut buffer) => match read {
                    Ok(n @ 1..) => buffer.get(..n).unwrap_or_default().to_vec(),
                    _ => return,
                },
                Some(size) = self.sizes.recv() => format!("{} {}\n", size.height, size.width).into_bytes(),
            };
            let _unheard = self.stdout.write_all(&said).await;
        }
    }
}
