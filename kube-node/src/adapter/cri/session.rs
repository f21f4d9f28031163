//! Commands and sessions.

use cri_client::streaming::{self, Exit};
use cri_client::v1;
use futures::{FutureExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::CriRuntime;
use super::error::call;
use crate::seam::{
    ContainerFilter, ContainerId, ContainerState, ExecOutput, ExecRequest, ExecSession, Runtime,
    RuntimeEventKind, TerminalSize,
};
use crate::{Error, Result};

pub(super) fn exec(id: &ContainerId, request: &ExecRequest) -> v1::ExecRequest {
    v1::ExecRequest {
        container_id: id.0.clone(),
        cmd: request.command.clone(),
        tty: request.tty,
        stdin: request.stdin,
        stdout: request.stdout,
        // Runtimes refuse it together with a terminal, which has one output.
        stderr: request.stderr && !request.tty,
    }
}

pub(super) fn attach(id: &ContainerId, request: &ExecRequest) -> v1::AttachRequest {
    v1::AttachRequest {
        container_id: id.0.clone(),
        tty: request.tty,
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr && !request.tty,
    }
}

/// The outcome of a short command, within [`ExecOutput::LIMIT`].
pub(super) fn output(from: v1::ExecSyncResponse) -> ExecOutput {
    let v1::ExecSyncResponse { mut stdout, mut stderr, exit_code } = from;
    stdout.truncate(ExecOutput::LIMIT);
    stderr.truncate(ExecOutput::LIMIT);
    ExecOutput { stdout, stderr, exit_code }
}

/// Ends the connection of a session when it is dropped, however it is shared: the runtime takes that as the caller's leaving.
struct HangUp(std::net::TcpStream);

impl Drop for HangUp {
    fn drop(&mut self) {
        // One that is closed already needs no closing.
        let _closed = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// Opens the session that the runtime prepared behind `url`.
pub(super) async fn open(url: &str, request: &ExecRequest) -> Result<ExecSession> {
    let (connection, hang_up) = dial(url).await?;
    let session = streaming::open_over(connection, url).await.map_err(call)?;
    let streaming::Session { stdin, stdout, stderr, resize, exit } = session;
    let exit = async move {
        let ended = exit.await;
        drop(hang_up);
        match ended {
            Ok(Exit::Code(code)) => Ok(code),
            Ok(Exit::Failed(message)) => Err(Error::Failed(message)),
            Err(_) => Err(Error::Unavailable {
                what: "container runtime",
                reason: "the session broke off".to_owned(),
            }),
        }
    };
    Ok(ExecSession {
        stdin: request.stdin.then(|| Box::new(stdin) as _),
        stdout: request.stdout.then(|| Box::new(stdout) as _),
        stderr: (request.stderr && !request.tty).then(|| Box::new(stderr) as _),
        resize: request.tty.then(|| sizes(resize)),
        exit: exit.boxed(),
    })
}

async fn dial(url: &str) -> Result<(TcpStream, HangUp)> {
    let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let address =
        address.ok_or_else(|| Error::Failed(format!("the runtime streams over {url}, not http")))?;
    let doing = || Error::io(format!("connect to the runtime's streaming server at {address}"));
    let stream = TcpStream::connect(address).await.map_err(doing())?;
    let stream = stream.into_std().map_err(doing())?;
    let hang_up = HangUp(stream.try_clone().map_err(doing())?);
    Ok((TcpStream::from_std(stream).map_err(doing())?, hang_up))
}

/// Passes terminal sizes on until either side has gone.
fn sizes(to: mpsc::Sender<streaming::TerminalSize>) -> mpsc::Sender<TerminalSize> {
    let (sender, mut sizes) = mpsc::channel::<TerminalSize>(8);
    tokio::spawn(async move {
        while let Some(TerminalSize { width, height }) = sizes.recv().await {
            if to.send(streaming::TerminalSize { width, height }).await.is_err() {
                return;
            }
        }
    });
    sender
}

/// Makes an attached session end with the container's own exit code: the protocol tells only that the streams have ended, which is a moment earlier.
pub(super) fn ends_with_container(session: ExecSession, runtime: CriRuntime, id: ContainerId) -> ExecSession {
    let streams = session.exit;
    let mut events = runtime.events();
    let exit = async move {
        let ended = streams.await?;
        let news = [
            RuntimeEventKind::ContainerExited(id.clone()),
            RuntimeEventKind::ContainerRemoved(id.clone()),
            RuntimeEventKind::Lagged,
        ];
        loop {
            let containers = runtime.containers(&ContainerFilter::by_id(id.clone())).await?;
            match containers.first() {
                Some(status) if status.state == ContainerState::Running => {}
                Some(status) => return Ok(status.exit_code),
                None => return Ok(ended),
            }
            while !news.contains(&events.next().await.map_or(RuntimeEventKind::Lagged, |event| event.kind)) {}
        }
    };
    ExecSession { exit: exit.boxed(), ..session }
}
