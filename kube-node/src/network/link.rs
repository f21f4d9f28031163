//! Cables, addresses and routes.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::AddressFamily::Inet;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::netlink::{Part, Socket, within};
use crate::{Error, Result};

/// The hardware address of every host end. Each cable is a network of its own, so they may be equal.
const HOST_MAC: [u8; 6] = [0xee; 6];
/// Makes what is not there, and fails when it is; or puts it in the place of what is there.
const CREATE: u16 = NLM_F_CREATE | NLM_F_EXCL;
const REPLACE: u16 = NLM_F_CREATE | NLM_F_REPLACE;

/// One pod's cable.
#[derive(Clone, Debug)]
pub(super) struct Cable {
    pub(super) host_interface: String,
    pub(super) interface: String,
    pub(super) netns: PathBuf,
    pub(super) address: Ipv4Addr,
    pub(super) gateway: Ipv4Addr,
    pub(super) mtu: u32,
}

impl Cable {
    /// The pod's hardware address, made of its address as the reference plugins do.
    fn mac(&self) -> [u8; 6] {
        let [a, b, c, d] = self.address.octets();
        [0x0a, 0x58, a, b, c, d]
    }

    pub(super) fn mac_text(&self) -> String {
        self.mac().map(|byte| format!("{byte:02x}")).join(":")
    }

    /// Both ends, the peer straight in the pod's namespace.
    fn veth(&self, netns: &File) -> Message {
        let mut peer = link(0, &self.interface, self.mtu, self.mac());
        peer.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
        let mut host = link(0, &self.host_interface, self.mtu, HOST_MAC);
        host.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        Message::NewLink(host)
    }

    fn host_end(&self, index: u32) -> Vec<(u16, Message)> {
        let mut route = route(Ipv4Net::from(self.address), RouteType::Unicast, RouteScope::Link);
        route.attributes.push(RouteAttribute::Oif(index));
        route.attributes.push(RouteAttribute::PrefSource(RouteAddress::Inet(self.gateway)));
        vec![
            (CREATE, address(index, self.gateway)),
            (0, up(index)),
            (REPLACE, Message::NewRoute(route)),
            (REPLACE, neighbour(index, self.address, self.mac())),
        ]
    }

    fn pod_end(&self, index: u32, loopback: u32) -> Vec<(u16, Message)> {
        let mut gateway = route(Ipv4Net::from(self.gateway), RouteType::Unicast, RouteScope::Link);
        gateway.attributes.push(RouteAttribute::Oif(index));
        let mut default = route(Ipv4Net::default(), RouteType::Unicast, RouteScope::Universe);
        default.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(self.gateway)));
        default.attributes.push(RouteAttribute::Oif(index));
        default.header.flags = RouteFlags::Onlink;
        vec![
            (0, up(loopback)),
            (CREATE, address(index, self.address)),
            (0, up(index)),
            (REPLACE, neighbour(index, self.gateway, HOST_MAC)),
            (CREATE, Message::NewRoute(gateway)),
            (CREATE, Message::NewRoute(default)),
        ]
    }
}

fn link(index: u32, name: &str, mtu: u32, mac: [u8; 6]) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Mtu(mtu),
        LinkAttribute::Address(mac.to_vec()),
    ];
    link
}

fn up(index: u32) -> Message {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    Message::SetLink(link)
}

fn address(index: u32, address: Ipv4Addr) -> Message {
    let mut message = AddressMessage::default();
    message.header.family = Inet;
    message.header.prefix_len = 32;
    message.header.index = index;
    message.attributes =
        vec![AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())];
    Message::NewAddress(message)
}

fn neighbour(index: u32, address: Ipv4Addr, mac: [u8; 6]) -> Message {
    let mut message = NeighbourMessage::default();
    message.header.family = Inet;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(address.into()),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    Message::NewNeighbour(message)
}

fn route(to: Ipv4Net, kind: RouteType, scope: RouteScope) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: Inet,
        destination_prefix_length: to.prefix_len(),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Boot,
        scope,
        kind,
        ..RouteHeader::default()
    };
    message.attributes = vec![RouteAttribute::Destination(RouteAddress::Inet(to.network()))];
    message
}

fn missing(interface: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("interface {interface} is gone"))
}

/// The host's side of the network. Its methods block for as long as the kernel works, some milliseconds at the most.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) netns: Option<PathBuf>,
}

impl Host {
    fn routes(&self) -> Result<Socket> {
        Socket::open(self.netns.as_deref(), Part::Routing).map_err(Error::io("open a routing socket"))
    }

    /// A socket for the packet filter.
    pub(super) fn filter(&self) -> Result<Socket> {
        Socket::open(self.netns.as_deref(), Part::Netfilter).map_err(Error::io("open a netfilter socket"))
    }

    /// Sets a kernel parameter by its path below `/proc/sys`, where its file shows the writer's namespace.
    fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        let set = || std::fs::write(Path::new("/proc/sys").join(path), value);
        let done = match &self.netns {
            Some(netns) => within(netns, set),
            None => set(),
        };
        done.map_err(Error::io(format!("set {path}")))
    }

    /// Forwarding on, and the range without pods unreachable, so that packets to pods that are gone do not wander off to the default gateway.
    pub(super) fn prepare(&self, range: Ipv4Net) -> Result<()> {
        self.sysctl("net/ipv4/ip_forward", "1")?;
        let unreachable = Message::NewRoute(route(range, RouteType::Unreachable, RouteScope::Universe));
        let routes = self.routes()?;
        routes.execute(vec![(REPLACE, unreachable)]).map_err(Error::io("add the range's route"))
    }

    pub(super) fn has(&self, interface: &str) -> Result<bool> {
        let index = self.routes()?.index(interface).map_err(Error::io(format!("find {interface}")))?;
        Ok(index.is_some())
    }

    pub(super) fn unplug(&self, interface: &str) -> Result<()> {
        let routes = self.routes()?;
        let failed = |error| Error::io(format!("remove {interface}"))(error);
        let Some(index) = routes.index(interface).map_err(failed)? else {
            return Ok(());
        };
        let mut link = LinkMessage::default();
        link.header.index = index;
        match routes.execute(vec![(0, Message::DelLink(link))]) {
            // The pod's namespace went in between, and its end took this one along.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(()),
            done => done.map_err(failed),
        }
    }

    /// Makes the cable and both its ends' addresses and routes, or nothing.
    pub(super) fn plug(&self, cable: &Cable) -> Result<()> {
        let netns = File::open(&cable.netns).map_err(Error::io(format!("open {}", cable.netns.display())))?;
        let routes = self.routes()?;
        routes.execute(vec![(CREATE, cable.veth(&netns))]).map_err(Error::io("make the cable"))?;
        let set_up = self
            .host_end(&routes, cable)
            .and_then(|()| pod_end(cable).map_err(Error::io("set up the pod's end")));
        if set_up.is_err() {
            // A cable that is there counts as done, so half of one must not stay; the first error is the one to tell.
            let _ = self.unplug(&cable.host_interface);
        }
        set_up
    }

    fn host_end(&self, routes: &Socket, cable: &Cable) -> Result<()> {
        let name = &cable.host_interface;
        // A packet that leaves where it came in (a pod's own Service) is meant to; telling the pod about a shorter way would be wrong.
        self.sysctl(&format!("net/ipv4/conf/{name}/send_redirects"), "0")?;
        let index = routes.index(name).and_then(|index| index.ok_or_else(|| missing(name)));
        index
            .and_then(|index| routes.execute(cable.host_end(index)))
            .map_err(Error::io("set up the host's end"))
    }
}

fn pod_end(cable: &Cable) -> io::Result<()> {
    let routes = Socket::open(Some(&cable.netns), Part::Routing)?;
    let index = |name: &str| routes.index(name)?.ok_or_else(|| missing(name));
    routes.execute(cable.pod_end(index(&cable.interface)?, index("lo")?))
}
