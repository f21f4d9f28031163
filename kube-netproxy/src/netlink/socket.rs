//! A netfilter socket of the network namespace in which it was opened.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

use super::Batch;
use crate::{Error, Result};

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Length of `nlmsghdr`.
const HEADER: usize = 16;

/// A netfilter socket of the network namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    send_buffer: usize,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace; it stays there, whatever thread uses it.
    pub(crate) fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let opened =
            net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER));
        let fd = opened.map_err(|errno| match errno {
            Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => Error::Unsupported { what: "netfilter sockets" },
            other => Error::io("open a netfilter socket")(other.into()),
        })?;
        net::bind(&fd, &netlink::SocketAddrNetlink::new(0, 0))
            .map_err(|e| Error::io("bind a netfilter socket")(e.into()))?;
        // Not being allowed to exceed the system's limit is no reason to fail: errors would only be reported less exactly.
        let _ = sockopt::set_socket_recv_buffer_size_force(&fd, 1 << 20);
        Ok(Self { fd, send_buffer: 0 })
    }

    /// Sends a batch and waits for its end. The kernel works while `send` runs, so no reply is ever waited for.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first message that was refused.
    pub(crate) fn execute(&mut self, batch: Batch) -> Result<()> {
        let (bytes, last) = batch.finish();
        self.send(&bytes)?;
        let mut buffer = vec![0; 128 * 1024];
        let mut acknowledged = false;
        let mut refused: Option<Error> = None;
        while let Some(length) = self.receive(&mut buffer)? {
            for (kind, number, payload) in Messages(buffer.get(..length).unwrap_or_default()) {
                if kind != ERROR {
                    continue;
                }
                match error_code(payload)? {
                    None => acknowledged |= number == last,
                    Some(source) => refused = refused.or(Some(refusal(number, source))),
                }
            }
        }
        match refused {
            Some(error) => Err(error),
            None if acknowledged => Ok(()),
            None => Err(Error::Malformed { what: "netlink answer: no acknowledgement" }),
        }
    }

    /// Sends a dump request and gives every answer, without its headers, to `each`.
    pub(crate) fn dump(&mut self, batch: Batch, mut each: impl FnMut(&[u8])) -> Result<()> {
        let (bytes, _) = batch.finish();
        self.send(&bytes)?;
        let mut buffer = vec![0; 128 * 1024];
        while let Some(length) = self.receive(&mut buffer)? {
            for (kind, number, payload) in Messages(buffer.get(..length).unwrap_or_default()) {
                match kind {
                    DONE => return Ok(()),
                    ERROR => match error_code(payload)? {
                        Some(source) => return Err(refusal(number, source)),
                        None => continue,
                    },
                    _ => each(payload.get(4..).unwrap_or_default()),
                }
            }
        }
        Err(Error::Malformed { what: "netlink dump: no end" })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut leftover = [0; 4096];
        while self.receive(&mut leftover)?.is_some() {}
        if bytes.len() > self.send_buffer {
            let wanted = bytes.len().max(256 * 1024);
            sockopt::set_socket_send_buffer_size_force(&self.fd, wanted)
                .or_else(|_| sockopt::set_socket_send_buffer_size(&self.fd, wanted))
                .map_err(|e| Error::io("enlarge a netlink buffer")(e.into()))?;
            self.send_buffer = wanted;
        }
        net::send(&self.fd, bytes, SendFlags::empty())
            .map_err(|e| Error::io("send a netlink message")(e.into()))?;
        Ok(())
    }

    /// The next datagram, if there is one.
    fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        loop {
            match net::recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _)) => return Ok(Some(length)),
                Err(Errno::AGAIN) => return Ok(None),
                // The queue overflowed: answers were lost, those that are there still count.
                Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(errno) => return Err(Error::io("receive a netlink message")(errno.into())),
            }
        }
    }
}

fn refusal(message: u32, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Denied { action: "change the packet filter" },
        _ => Error::Refused { message, source },
    }
}

/// The error of an acknowledgement, none for success.
fn error_code(payload: &[u8]) -> Result<Option<io::Error>> {
    let code = payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    match code {
        None => Err(Error::Malformed { what: "netlink acknowledgement" }),
        Some(0) => Ok(None),
        Some(code) => Ok(Some(io::Error::from_raw_os_error(code.saturating_neg()))),
    }
}

/// Splits a datagram into messages: type, sequence number, payload.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.first_chunk::<HEADER>()?;
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let number = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        // A message cut off at the end of the buffer still has a readable head.
        let payload = self.0.get(HEADER..length.min(self.0.len()))?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, number, payload))
    }
}
