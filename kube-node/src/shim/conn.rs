//! One connection of the supervisor: framing and bounded buffers over a non-blocking socket.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::forward::Forward;
use super::protocol::{self, Frame, HEADER, Kind};

/// Bytes waiting for a peer above which nothing more is read for it.
pub(super) const HIGH_WATER: usize = 256 << 10;
/// Bytes waiting above which a peer that must not slow others down is dropped.
const DROP_WATER: usize = 8 << 20;

/// What a connection has become.
#[derive(Debug)]
pub(super) enum Role {
    /// It carries requests.
    Control,
    /// It wants events.
    Subscriber,
    /// It carries the streams of a task.
    Streams(u64),
    /// It carries a forwarded TCP connection.
    Forward(Box<Forward>),
}

#[derive(Debug)]
pub(super) struct Conn {
    socket: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    pub(super) role: Role,
    /// Close once everything is written.
    pub(super) closing: bool,
    pub(super) dead: bool,
}

impl Conn {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            role: Role::Control,
            closing: false,
            dead: false,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Whether the peer reads slower than it is written to.
    pub(super) fn is_full(&self) -> bool {
        self.output.len() >= HIGH_WATER
    }

    pub(super) fn finished(&self) -> bool {
        self.dead || (self.closing && self.output.is_empty())
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        if self.dead {
            return;
        }
        self.output.extend_from_slice(bytes);
        self.flush();
        if self.output.len() > DROP_WATER {
            self.dead = true;
        }
    }

    pub(super) fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.encode());
    }

    pub(super) fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
                Ok(0) => {
                    self.dead = true;
                    return;
                }
                Ok(n) => drop(self.output.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.dead = true;
                    return;
                }
            }
        }
        self.output = Vec::new();
    }

    /// Reads what there is; true when the peer has closed.
    pub(super) fn fill(&mut self) -> bool {
        let mut buffer = [0_u8; 16 << 10];
        loop {
            if self.input.len() > protocol::MAX_FRAME + HEADER {
                return false;
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => return true,
                Ok(n) => self.input.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }

    /// The next whole frame received; a malformed one ends the connection.
    pub(super) fn next_frame(&mut self) -> Option<(Kind, Vec<u8>)> {
        let header: [u8; HEADER] = self.input.get(..HEADER)?.try_into().ok()?;
        let Some((kind, length)) = protocol::parse_header(header) else {
            self.dead = true;
            return None;
        };
        let payload = self.input.get(HEADER..HEADER + length)?.to_vec();
        self.input.drain(..HEADER + length);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Some((kind, payload))
    }
}
