//! Networks that are bad in one direction only.

use super::cluster::{Cluster, SIZE};
use super::load::Load;
use super::{PROGRESS, inside, judge};

/// Which way packets go, as a member sees it.
#[derive(Debug, Clone, Copy)]
enum Way {
    In,
    Out,
}

impl Cluster {
    /// What nftables does with packets between a member and the others, in one direction; clients are not concerned.
    fn filter(&self, member: usize, way: Way, verdict: &str) {
        let (hook, side) = match way {
            Way::In => ("input", "saddr"),
            Way::Out => ("output", "daddr"),
        };
        self.inside(member, "nft add table ip faults");
        let chain = format!("nft add chain ip faults {hook} {{ type filter hook {hook} priority 0 ; }}");
        self.inside(member, &chain);
        for other in (0..SIZE).filter(|other| *other != member) {
            let address = self.address(other);
            self.inside(member, &format!("nft add rule ip faults {hook} ip {side} {address} {verdict}"));
        }
    }

    fn unfilter(&self, member: usize) {
        self.inside(member, "nft delete table ip faults");
    }
}

/// A member that hears nobody goes on being heard for a while, and the other way round: neither keeps the others from work,
/// and no read is stale meanwhile.
#[test]
fn members_are_cut_off_in_one_direction() {
    inside("network::members_are_cut_off_in_one_direction", async {
        let cluster = Cluster::start().await;
        let load = Load::start(cluster.endpoints());
        for way in [Way::In, Way::Out] {
            for is_leader in [true, false] {
                let member = cluster.pick(is_leader).await;
                cluster.filter(member, way, "drop");
                load.progress(PROGRESS).await;
                cluster.unfilter(member);
                cluster.in_step().await;
            }
        }
        judge(&cluster, load).await;
    });
}

/// The kernel that this is made for has no `netem`: packets are lost by nftables, by chance, and held up by a slow line.
#[test]
fn members_lose_packets_and_are_slow() {
    inside("network::members_lose_packets_and_are_slow", async {
        let cluster = Cluster::start().await;
        let load = Load::start(cluster.endpoints());
        for (way, is_leader) in [(Way::In, true), (Way::Out, false)] {
            let member = cluster.pick(is_leader).await;
            cluster.filter(member, way, "numgen random mod 100 < 20 drop");
            cluster.inside(member, "tc qdisc add dev eth0 root tbf rate 1mbit burst 16k latency 300ms");
            load.progress(PROGRESS).await;
            cluster.inside(member, "tc qdisc del dev eth0 root");
            cluster.unfilter(member);
            cluster.in_step().await;
        }
        judge(&cluster, load).await;
    });
}
