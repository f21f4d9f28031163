//! Streams between callers and supervisors.

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use crate::seam::{ExecOutput, ExecRequest, ExecSession, InputStream, OutputStream, TerminalSize};
use crate::shim::{Exit, Frame, ShimStream, ShimWriter, Streams};
use crate::{Error, Result};

/// Bytes in flight per stream before the sender waits.
const BUFFER: usize = 64 << 10;
const CHUNK: usize = 32 << 10;

/// The streams a request asks for.
pub(super) fn streams(request: &ExecRequest) -> Streams {
    Streams::new(request.stdin, request.stdout, request.stderr && !request.tty)
}

/// Makes the session of a stream that the supervisor has accepted.
pub(super) fn session(stream: ShimStream, request: &ExecRequest) -> ExecSession {
    let wanted = streams(request);
    let (send_exit, exit) = oneshot::channel();
    let writer = stream.writer();
    let (stdout, our_stdout) = output(wanted.stdout);
    let (stderr, our_stderr) = output(wanted.stderr);
    let stdin = wanted.stdin.then(|| input(writer.clone()));
    let resize = request.tty.then(|| resizer(writer));
    tokio::spawn(receive(stream, our_stdout, our_stderr, send_exit));
    let exit = exit.map(|exit: std::result::Result<Exit, _>| match exit {
        Ok(exit) => Ok(exit.code),
        Err(_) => Err(Error::Unavailable { what: "pod supervisor", reason: "the session broke".to_owned() }),
    });
    ExecSession { stdin, stdout, stderr, resize, exit: exit.boxed() }
}

fn output(wanted: bool) -> (Option<OutputStream>, Option<DuplexStream>) {
    if !wanted {
        return (None, None);
    }
    let (theirs, ours) = duplex(BUFFER);
    (Some(Box::new(theirs)), Some(ours))
}

fn input(writer: ShimWriter) -> InputStream {
    let (theirs, ours) = duplex(BUFFER);
    tokio::spawn(async move {
        if pump(ours, &writer, Frame::Stdin).await.is_ok() {
            // The process may have ended; then its input needs no end.
            let _ended = writer.send(&Frame::StdinEof).await;
        }
    });
    Box::new(theirs)
}

async fn pump(mut from: impl AsyncRead + Unpin, to: &ShimWriter, frame: fn(Vec<u8>) -> Frame) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = from.read(&mut buffer).await.map_err(Error::io("read a stream"))?;
        if n == 0 {
            return Ok(());
        }
        to.send(&frame(buffer.get(..n).unwrap_or_default().to_vec())).await?;
    }
}

fn resizer(writer: ShimWriter) -> mpsc::Sender<TerminalSize> {
    let (sender, mut sizes) = mpsc::channel::<TerminalSize>(8);
    tokio::spawn(async move {
        while let Some(size) = sizes.recv().await {
            if writer.send(&Frame::Resize(size.width, size.height)).await.is_err() {
                return;
            }
        }
    });
    sender
}

/// Hands out what arrives until the process's end, or until nobody waits for that any more.
async fn receive(
    mut stream: ShimStream,
    mut stdout: Option<DuplexStream>,
    mut stderr: Option<DuplexStream>,
    mut exit: oneshot::Sender<Exit>,
) {
    let deliver = async {
        while let Some(frame) = stream.next().await {
            let (target, data) = match frame {
                Frame::Stdout(data) => (&mut stdout, data),
                Frame::Stderr(data) => (&mut stderr, data),
                Frame::Exit(exit) => return Some(exit),
                _ => continue,
            };
            if let Some(open) = target
                && open.write_all(&data).await.is_err()
            {
                *target = None;
            }
        }
        None
    };
    let ended = tokio::select! {
        ended = deliver => ended,
        () = exit.closed() => None,
    };
    drop((stdout, stderr));
    if let Some(ended) = ended {
        // Nobody waiting is fine.
        let _unheard = exit.send(ended);
    }
    stream.close().await;
}

/// Runs a session to its end, keeping a bounded part of its output.
pub(super) async fn collect(session: ExecSession) -> Result<ExecOutput> {
    let (stdout, stderr, exit) =
        tokio::join!(read_bounded(session.stdout), read_bounded(session.stderr), session.exit);
    Ok(ExecOutput { stdout, stderr, exit_code: exit? })
}

async fn read_bounded(stream: Option<OutputStream>) -> Vec<u8> {
    let Some(mut stream) = stream else { return Vec::new() };
    let mut kept = Vec::new();
    let mut buffer = vec![0; CHUNK];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 {
            break;
        }
        let room = ExecOutput::LIMIT.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
    kept
}

/// A forwarded connection as one stream.
pub(super) fn forward(mut stream: ShimStream) -> DuplexStream {
    let (theirs, ours) = duplex(BUFFER);
    let (from, mut to) = tokio::io::split(ours);
    let writer = stream.writer();
    let sending = tokio::spawn(async move {
        if pump(from, &writer, Frame::Data).await.is_ok() {
            let _ended = writer.send(&Frame::DataEof).await;
        }
    });
    tokio::spawn(async move {
        while let Some(Frame::Data(data)) = stream.next().await {
            if to.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ended = to.shutdown().await;
        // What the caller still sends is delivered before the connection closes.
        let _ended = sending.await;
        stream.close().await;
    });
    theirs
}
