//! The standard streams of a process about to start.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Uid, fchown, fstat};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};

use super::channel::{Channel, Message};
use super::spawn::Spawned;
use super::terminal::Terminal;
use super::{During, Result};
use crate::shim::oci::Process;
use crate::shim::protocol::Streams;
use crate::shim::task::Launched;

/// The supervisor's ends. A terminal has none before its process has made it.
#[derive(Debug, Default)]
pub(super) struct Ours {
    stdin: Option<PipeWriter>,
    stdout: Option<PipeReader>,
    stderr: Option<PipeReader>,
}

/// The process's ends.
#[derive(Debug)]
pub(super) enum Theirs {
    Pipes([OwnedFd; 3]),
    Terminal,
}

/// Opens streams: pipes for those that are wanted, or none yet for a terminal.
pub(super) fn open(terminal: bool, streams: Streams) -> Result<(Ours, Theirs)> {
    if terminal {
        return Ok((Ours::default(), Theirs::Terminal));
    }
    pipes(streams).during(|| "open pipes".into())
}

fn pipes(streams: Streams) -> io::Result<(Ours, Theirs)> {
    let null = || fs::File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let output = |wanted: bool| -> io::Result<(Option<PipeReader>, OwnedFd)> {
        if !wanted {
            return Ok((None, null()?));
        }
        let (reader, writer) = pipe()?;
        Ok((Some(reader), writer.into()))
    };
    let (stdin, their_stdin) = if streams.stdin {
        let (reader, writer) = pipe()?;
        (Some(writer), OwnedFd::from(reader))
    } else {
        (None, null()?)
    };
    let (stdout, their_stdout) = output(streams.stdout)?;
    let (stderr, their_stderr) = output(streams.stderr)?;
    Ok((Ours { stdin, stdout, stderr }, Theirs::Pipes([their_stdin, their_stdout, their_stderr])))
}

impl Ours {
    /// The process with the supervisor's ends of its streams.
    pub(super) fn launched(self, spawned: Spawned) -> Result<Launched> {
        let Spawned { pid, terminal } = spawned;
        let Some(master) = terminal else {
            let Self { stdin, stdout, stderr } = self;
            return Ok(Launched {
                pid,
                stdin: stdin.map(OwnedFd::from),
                stdout: stdout.map(OwnedFd::from),
                stderr: stderr.map(OwnedFd::from),
            });
        };
        let stdin = master.try_clone().during(|| "terminal".into())?;
        Ok(Launched { pid, stdin: Some(stdin), stdout: Some(master), stderr: None })
    }
}

impl Theirs {
    /// Makes these, or `terminal`, this process's standard streams, and its user's; a terminal's master goes to the supervisor.
    pub(super) fn install(
        self,
        channel: &Channel,
        process: &Process,
        terminal: Option<Terminal>,
    ) -> Result<()> {
        let what = || "set standard streams".to_owned();
        match (self, terminal) {
            (Self::Pipes([stdin, stdout, stderr]), _) => {
                connect([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], process.user.uid).during(what)
            }
            (Self::Terminal, Some(Terminal { master, slave })) => {
                connect([slave.as_fd(); 3], process.user.uid).during(what)?;
                channel.send(&Message::Terminal(master)).during(what)
            }
            (Self::Terminal, None) => Err("the process has no terminal".to_owned()),
        }
    }
}

fn connect(streams: [BorrowedFd<'_>; 3], uid: u32) -> io::Result<()> {
    let [stdin, stdout, stderr] = streams;
    for stream in streams {
        // Programs open `/dev/stdout` and the like anew, as their own user. The null device belongs to the host.
        let stat = fstat(stream)?;
        let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == rustix::fs::makedev(1, 3);
        if !is_null {
            fchown(stream, Some(Uid::from_raw(uid)), None)?;
        }
    }
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    Ok(dup2_stderr(stderr)?)
}

/// Begins a session, whose controlling terminal is the standard input if that is a terminal.
pub(super) fn begin_session(process: &Process) -> Result<()> {
    setsid().during(|| "begin a session".into())?;
    if process.terminal {
        ioctl_tiocsctty(stdin()).during(|| "take the terminal".into())?;
    }
    Ok(())
}
