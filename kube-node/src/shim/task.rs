//! One process of the pod: a container's first process or an exec, with its standard streams.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use jiff::Timestamp;
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::conn::HIGH_WATER;
use super::log::{LogFile, Stream};
use super::protocol::{Exit, Streams};

/// A process just started, with the supervisor's ends of its streams.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: Pid,
    pub(super) stdin: Option<OwnedFd>,
    /// The terminal's master when there is a terminal.
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) container: String,
    /// Whether it is the container's first process.
    pub(super) init: bool,
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) tty: bool,
    pub(super) stdin_once: bool,
    pub(super) cgroup: String,
    pub(super) stdin: Option<File>,
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
    pub(super) log: Option<LogFile>,
    /// Connections joined to the streams.
    pub(super) conns: Vec<(u64, Streams)>,
    pub(super) exit: Option<Exit>,
    pending: Vec<u8>,
    stdin_ended: bool,
}

impl Task {
    pub(super) fn new(container: &str, init: bool, tty: bool, launched: Launched) -> io::Result<Self> {
        let file = |fd: Option<OwnedFd>| -> io::Result<Option<File>> {
            fd.map(|fd| {
                ioctl_fionbio(&fd, true)?;
                Ok(File::from(fd))
            })
            .transpose()
        };
        Ok(Self {
            container: container.to_owned(),
            init,
            pid: launched.pid,
            pidfd: pidfd_open(launched.pid, PidfdFlags::empty())?,
            tty,
            stdin_once: false,
            cgroup: String::new(),
            stdin: file(launched.stdin)?,
            stdout: file(launched.stdout)?,
            stderr: file(launched.stderr)?,
            log: None,
            conns: Vec::new(),
            exit: None,
            pending: Vec::new(),
            stdin_ended: false,
        })
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(self.pidfd.as_fd(), signal)?)
    }

    pub(super) fn wants_stdin_write(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether the process reads its input slower than it arrives.
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= HIGH_WATER
    }

    pub(super) fn push_stdin(&mut self, data: &[u8]) {
        if self.stdin.is_some() {
            self.pending.extend_from_slice(data);
            self.flush_stdin();
        }
    }

    /// Closes the input after what is pending; a terminal has no end of input, only a hang-up.
    pub(super) fn end_stdin(&mut self) {
        if !self.tty {
            self.stdin_ended = true;
            self.flush_stdin();
        }
    }

    pub(super) fn flush_stdin(&mut self) {
        let Some(stdin) = &mut self.stdin else {
            self.pending.clear();
            return;
        };
        while !self.pending.is_empty() {
            match stdin.write(&self.pending) {
                Ok(n) if n > 0 => drop(self.pending.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.pending.clear();
                    self.stdin_ended = true;
                }
            }
        }
        if self.stdin_ended {
            self.stdin = None;
        }
    }

    /// Reads one buffer of a stream into the log; `None` when there is nothing more for now.
    pub(super) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Option<usize> {
        let source = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        match source.as_mut()?.read(buffer) {
            Ok(n) if n > 0 => {
                if let Some(log) = &mut self.log {
                    // A full disk must not stop the container: its output is lost, the process goes on.
                    let _lost = log.write(stream, buffer.get(..n).unwrap_or_default(), Timestamp::now());
                }
                Some(n)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            // End of file, or EIO from a terminal whose last user left.
            _ => {
                *source = None;
                if let Some(log) = &mut self.log {
                    let _lost = log.finish(stream, Timestamp::now());
                }
                None
            }
        }
    }

    /// Whether everything it will ever say has been read.
    pub(super) fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }
}
