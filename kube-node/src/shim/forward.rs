//! A TCP connection to the pod's loopback, carried over a supervisor's connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use super::conn::HIGH_WATER;

#[derive(Debug)]
pub(super) struct Forward {
    socket: TcpStream,
    pending: Vec<u8>,
    /// The agent sends no more.
    ended: bool,
    /// The pod's side has sent its last byte.
    pub(super) remote_ended: bool,
}

impl Forward {
    /// Connects inside the pod's network, by IPv4 and, where nothing listens there, by IPv6.
    pub(super) fn connect(port: u16) -> io::Result<Self> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .or_else(|error| TcpStream::connect((Ipv6Addr::LOCALHOST, port)).map_err(|_| error))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, pending: Vec::new(), ended: false, remote_ended: false })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn wants_write(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= HIGH_WATER
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
        self.flush();
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while !self.pending.is_empty() {
            match self.socket.write(&self.pending) {
                Ok(n) if n > 0 => drop(self.pending.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.pending.clear();
                    self.remote_ended = true;
                    return;
                }
            }
        }
        if self.ended {
            // The peer may have gone already; then there is nobody left to tell.
            let _gone = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// Up to one buffer of what the pod's side sent; empty at its end, `None` when there is nothing yet.
    pub(super) fn read(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0_u8; 32 << 10];
        match self.socket.read(&mut buffer) {
            Ok(n) => {
                buffer.truncate(n);
                Some(buffer)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            Err(_) => Some(Vec::new()),
        }
    }
}
