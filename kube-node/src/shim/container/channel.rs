//! What the children of a start say to the supervisor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::retry_on_intr;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::Pid;

/// The longest text of an error in bytes; what is longer is cut.
const LONGEST: usize = 4096;

/// One thing said.
#[derive(Debug)]
pub(super) enum Message {
    /// The container's process exists.
    Forked(Pid),
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// All is prepared; the next step is to execute the program.
    Ready,
    /// It went wrong.
    Failed(String),
}

impl Message {
    const FORKED: u8 = 1;
    const TERMINAL: u8 = 2;
    const READY: u8 = 3;
    const FAILED: u8 = 4;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Forked(pid) => [&[Self::FORKED][..], &pid.as_raw_nonzero().get().to_ne_bytes()].concat(),
            Self::Terminal(_) => vec![Self::TERMINAL],
            Self::Ready => vec![Self::READY],
            Self::Failed(text) => {
                let text = text.as_bytes();
                [&[Self::FAILED][..], text.get(..LONGEST).unwrap_or(text)].concat()
            }
        }
    }

    fn decode(data: &[u8], descriptor: Option<OwnedFd>) -> Option<Self> {
        let (kind, rest) = data.split_first()?;
        match (*kind, descriptor) {
            (Self::FORKED, _) => {
                Some(Self::Forked(Pid::from_raw(i32::from_ne_bytes(rest.try_into().ok()?))?))
            }
            (Self::TERMINAL, Some(descriptor)) => Some(Self::Terminal(descriptor)),
            (Self::READY, _) => Some(Self::Ready),
            (Self::FAILED, _) => Some(Self::Failed(String::from_utf8_lossy(rest).into_owned())),
            _ => None,
        }
    }
}

/// One end; closed by itself in a program that is executed.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn send(&self, message: &Message) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors;
        if let Message::Terminal(master) = message {
            descriptors = [master.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let data = message.encode();
        retry_on_intr(|| sendmsg(&self.0, &[IoSlice::new(&data)], &mut control, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// The next message; `None` once every copy of the other end is closed.
    pub(super) fn receive(&self) -> io::Result<Option<Message>> {
        let mut data = [0; LONGEST + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut data)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let message = Message::decode(data.get(..received.bytes).unwrap_or_default(), descriptor);
        message.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_then_the_end() {
        let (ours, theirs) = Channel::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let long = "x".repeat(LONGEST + 100);
        let pid = rustix::process::getpid();
        for message in [
            Message::Forked(pid),
            Message::Terminal(file.into()),
            Message::Ready,
            Message::Failed(long.clone()),
        ] {
            theirs.send(&message).unwrap();
        }
        drop(theirs);
        assert!(matches!(ours.receive().unwrap(), Some(Message::Forked(known)) if known == pid));
        assert!(matches!(ours.receive().unwrap(), Some(Message::Terminal(_))));
        assert!(matches!(ours.receive().unwrap(), Some(Message::Ready)));
        assert!(matches!(ours.receive().unwrap(), Some(Message::Failed(text)) if text == long[..LONGEST]));
        assert!(ours.receive().unwrap().is_none());
    }
}
