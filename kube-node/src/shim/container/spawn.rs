//! The two forks that make a container's process.

use std::convert::Infallible;
use std::os::fd::OwnedFd;

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, kill_process, set_dumpable_behavior, waitpid,
};

use super::channel::{Channel, Message};
use super::{During, Result};
use crate::shim::sys;

/// A process that executes its program.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) pid: Pid,
    /// The master of its terminal, if it has one.
    pub(super) terminal: Option<OwnedFd>,
}

/// Makes a process. `outside` runs in the helper, where it may choose the process namespace of its children; `inside` runs in the
/// helper's child, and executes the program. Returns when that has been executed.
pub(super) fn spawn<T>(
    outside: impl FnOnce(&Channel) -> Result<T>,
    inside: impl FnOnce(&Channel, T) -> Result<Infallible>,
) -> Result<Spawned> {
    let (ours, theirs) = Channel::pair().during(|| "make a socket pair".into())?;
    let helper = sys::fork(move || {
        if let Err(text) = help(&theirs, outside, inside) {
            // The supervisor waits for the end of all messages, so it is there.
            let _sent = theirs.send(&Message::Failed(text));
        }
    })
    .during(|| "fork".into())?;
    let heard = Heard::listen(&ours);
    let _reaped = waitpid(Some(helper), WaitOptions::empty());
    heard.and_then(Heard::outcome)
}

fn help<T>(
    channel: &Channel,
    outside: impl FnOnce(&Channel) -> Result<T>,
    inside: impl FnOnce(&Channel, T) -> Result<Infallible>,
) -> Result<()> {
    // From here on both children run beside processes of the container, or become one: they are not to be looked into.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).during(|| "hide the process".into())?;
    let prepared = outside(channel)?;
    let pid = sys::fork(|| {
        let Err(text) = inside(channel, prepared);
        let _sent = channel.send(&Message::Failed(text));
    })
    .during(|| "fork the container's process".into())?;
    channel.send(&Message::Forked(pid)).during(|| "tell the process id".into())
}

/// What the children have said.
#[derive(Debug, Default)]
struct Heard {
    pid: Option<Pid>,
    terminal: Option<OwnedFd>,
    ready: bool,
    failure: Option<String>,
}

impl Heard {
    fn listen(channel: &Channel) -> Result<Self> {
        let mut heard = Self::default();
        while let Some(message) = channel.receive().during(|| "listen to the container's process".into())? {
            match message {
                Message::Forked(pid) => heard.pid = Some(pid),
                Message::Terminal(master) => heard.terminal = Some(master),
                Message::Ready => heard.ready = true,
                Message::Failed(text) => heard.failure = Some(text),
            }
        }
        Ok(heard)
    }

    fn outcome(self) -> Result<Spawned> {
        let failure = self.failure.or_else(|| {
            // Something killed it, most likely for want of memory; nobody else would say so.
            (!self.ready).then(|| "the process was killed before it could execute its program".to_owned())
        });
        match (self.pid, failure) {
            (Some(pid), None) => Ok(Spawned { pid, terminal: self.terminal }),
            (None, None) => Err("the process has no id".to_owned()),
            (pid, Some(text)) => {
                if let Some(pid) = pid {
                    let _ended = kill_process(pid, Signal::KILL);
                    let _reaped = waitpid(Some(pid), WaitOptions::empty());
                }
                Err(text)
            }
        }
    }
}
