//! Questions to the kernel over netlink, answered before the call returns.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Length of `nlmsghdr`, and the type of a message that acknowledges or refuses.
const HEADER: usize = 16;
const ERROR: u16 = 2;

/// Runs `act` in the network namespace at `netns`, on a thread of its own: a thread that has entered a namespace is not given back.
pub(super) fn within<T: Send>(netns: &Path, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let enter = || {
        let namespace = File::open(netns)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        act()
    };
    let broken = |_| io::Error::other("the thread in the network namespace panicked");
    std::thread::scope(|threads| threads.spawn(enter).join().map_err(broken)?)
}

/// Whom a socket speaks to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// Links, addresses and routes.
    Routing,
    /// The packet filter.
    Netfilter,
}

impl Part {
    /// Routing is number 0, which the types call the default.
    fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Routing => None,
            Self::Netfilter => Some(netlink::NETFILTER),
        }
    }
}

/// A netlink socket of one network namespace; it stays there, whatever thread uses it.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Opens a socket to `part` of the kernel in the namespace at `netns`, or in the caller's.
    pub(super) fn open(netns: Option<&Path>, part: Part) -> io::Result<Self> {
        let open = move || {
            let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
            let fd = net::socket_with(family, kind, SocketFlags::CLOEXEC, part.protocol())?;
            net::bind(&fd, &netlink::SocketAddrNetlink::new(0, 0))?;
            Ok(Self(fd))
        };
        match netns {
            Some(path) => within(path, open),
            None => open(),
        }
    }

    /// The number of the interface called `name`, `None` when there is none.
    pub(super) fn index(&self, name: &str) -> io::Result<Option<u32>> {
        match net::netdevice::name_to_index(&self.0, name) {
            Ok(index) => Ok(Some(index)),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends the messages, each with its flags beside `REQUEST` and `ACK`, in one packet, and fails with the first refusal. The kernel works
    /// while the packet is sent, so every answer is there when it has been.
    pub(super) fn execute<M: NetlinkSerializable>(&self, messages: Vec<(u16, M)>) -> io::Result<()> {
        let packet: Vec<u8> =
            messages.into_iter().flat_map(|(flags, message)| encode(flags, message)).collect();
        net::send(&self.0, &packet, SendFlags::empty())?;
        let mut answer = vec![0; 64 * 1024];
        let mut refusal = None;
        loop {
            match net::recv(&self.0, &mut answer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => refusal = refusal.or(refused(answer.get(..length).unwrap_or_default())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return refusal.map_or(Ok(()), Err),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn encode<M: NetlinkSerializable>(flags: u16, message: M) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len().next_multiple_of(4)];
    message.serialize(&mut bytes);
    bytes
}

/// The first refusal among a packet's messages.
fn refused(mut packet: &[u8]) -> Option<io::Error> {
    while let Some(header) = packet.first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let code =
            packet.get(HEADER..).and_then(<[u8]>::first_chunk).map_or(0, |code| i32::from_ne_bytes(*code));
        if u16::from_ne_bytes([header[4], header[5]]) == ERROR && code != 0 {
            return Some(io::Error::from_raw_os_error(code.saturating_neg()));
        }
        packet = packet.get(length.max(HEADER).next_multiple_of(4)..).unwrap_or_default();
    }
    None
}
