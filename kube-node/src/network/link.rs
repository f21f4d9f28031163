//! Cables, addresses and routes.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use nlink::netlink::addr::Ipv4Address;
use nlink::netlink::link::VethLink;
use nlink::netlink::namespace;
use nlink::netlink::neigh::Neighbor;
use nlink::netlink::route::Ipv4Route;
use nlink::netlink::types::route::{RouteScope, RouteType};
use nlink::netlink::{Connection, Nftables, Route};

use crate::{Error, Result};

/// The hardware address of every host end. Each cable is a network of its own, so they may be equal.
const HOST_MAC: [u8; 6] = [0xee; 6];

/// One pod's cable.
#[derive(Clone, Debug)]
pub(super) struct Cable<'a> {
    pub(super) host_interface: &'a str,
    pub(super) interface: &'a str,
    pub(super) netns: &'a Path,
    pub(super) address: Ipv4Addr,
    pub(super) gateway: Ipv4Addr,
    pub(super) mtu: u32,
}

impl Cable<'_> {
    /// The pod's hardware address, made of its address as the reference plugins do.
    fn mac(&self) -> [u8; 6] {
        let [a, b, c, d] = self.address.octets();
        [0x0a, 0x58, a, b, c, d]
    }

    pub(super) fn mac_text(&self) -> String {
        self.mac().map(|byte| format!("{byte:02x}")).join(":")
    }
}

pub(super) fn failed(doing: &str) -> impl FnOnce(nlink::Error) -> Error {
    let doing = doing.to_owned();
    move |error| Error::Failed(format!("{doing}: {error}"))
}

/// The host's side of the network.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) netns: Option<PathBuf>,
}

impl Host {
    fn routes(&self) -> Result<Connection<Route>> {
        let connection = match &self.netns {
            Some(path) => Connection::new_in(path.as_path()),
            None => Connection::<Route>::new(),
        };
        connection.map_err(failed("open netlink"))
    }

    pub(super) fn filter(&self) -> Result<Connection<Nftables>> {
        let connection = match &self.netns {
            Some(path) => Connection::new_in(path.as_path()),
            None => Connection::<Nftables>::new(),
        };
        connection.map_err(failed("open nftables"))
    }

    /// Sets a kernel parameter by its path below `/proc/sys`, where its file shows the writer's namespace.
    fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        let set = || std::fs::write(Path::new("/proc/sys").join(path), value);
        match &self.netns {
            Some(netns) => namespace::execute_in_path(netns, set).map_err(failed("enter the namespace"))?,
            None => set(),
        }
        .map_err(Error::io(format!("set {path}")))
    }

    /// Forwarding on, and the range without pods unreachable, so that packets to pods that are gone do not wander off to the default gateway.
    pub(super) async fn prepare(&self, range: Ipv4Net) -> Result<()> {
        self.sysctl("net/ipv4/ip_forward", "1")?;
        let route =
            Ipv4Route::from_addr(range.network(), range.prefix_len()).route_type(RouteType::Unreachable);
        self.routes()?.replace_route(route).await.map_err(failed("add the range's route"))
    }

    pub(super) async fn has(&self, interface: &str) -> Result<bool> {
        let link = self.routes()?.get_link_by_name(interface.to_owned()).await;
        match link {
            Ok(link) => Ok(link.is_some()),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(failed("find the interface")(error)),
        }
    }

    pub(super) async fn unplug(&self, interface: &str) -> Result<()> {
        self.routes()?
            .del_link_if_exists(interface.to_owned())
            .await
            .map(drop)
            .map_err(failed("remove the interface"))
    }

    /// Makes the cable and both its ends' addresses and routes.
    pub(super) async fn plug(&self, cable: &Cable<'_>) -> Result<()> {
        let netns = File::open(cable.netns).map_err(Error::io(format!("open {}", cable.netns.display())))?;
        let routes = self.routes()?;
        let veth = VethLink::new(cable.host_interface, cable.interface)
            .mtu(cable.mtu)
            .peer_mtu(cable.mtu)
            .address(HOST_MAC)
            .peer_address(cable.mac())
            .peer_netns_fd(&netns);
        routes.add_link(veth).await.map_err(failed("make the cable"))?;
        self.host_end(&routes, cable).await?;
        pod_end(cable).await
    }

    async fn host_end(&self, routes: &Connection<Route>, cable: &Cable<'_>) -> Result<()> {
        let name = cable.host_interface;
        // A packet that leaves where it came in (a pod's own Service) is meant to; telling the pod about a shorter way would be wrong.
        self.sysctl(&format!("net/ipv4/conf/{name}/send_redirects"), "0")?;
        let step = failed("set up the host end");
        let set_up = async {
            let index = routes.get_link_by_name(name.to_owned()).await?.map_or(0, |link| link.ifindex());
            routes.add_address(Ipv4Address::with_index(index, cable.gateway, 32)).await?;
            routes.set_link_up_by_index(index).await?;
            let route = Ipv4Route::from_addr(cable.address, 32)
                .dev_index(index)
                .scope(RouteScope::Link)
                .prefsrc(cable.gateway);
            routes.replace_route(route).await?;
            let neighbor = Neighbor::with_index_v4(index, cable.address).lladdr(cable.mac()).permanent();
            routes.replace_neighbor(neighbor).await
        };
        set_up.await.map_err(step)
    }
}

async fn pod_end(cable: &Cable<'_>) -> Result<()> {
    let routes: Connection<Route> =
        Connection::new_in(cable.netns).map_err(failed("enter the pod's network"))?;
    let set_up = async {
        routes.set_link_up("lo").await?;
        let index =
            routes.get_link_by_name(cable.interface.to_owned()).await?.map_or(0, |link| link.ifindex());
        routes.add_address(Ipv4Address::with_index(index, cable.address, 32)).await?;
        routes.set_link_up_by_index(index).await?;
        let neighbor = Neighbor::with_index_v4(index, cable.gateway).lladdr(HOST_MAC).permanent();
        routes.replace_neighbor(neighbor).await?;
        routes
            .add_route(Ipv4Route::from_addr(cable.gateway, 32).dev_index(index).scope(RouteScope::Link))
            .await?;
        routes
            .add_route(
                Ipv4Route::from_addr(Ipv4Addr::UNSPECIFIED, 0)
                    .gateway(cable.gateway)
                    .dev_index(index)
                    .onlink(),
            )
            .await
    };
    set_up.await.map_err(failed("set up the pod's end"))
}
