use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use kube_netproxy::{Dataplane, Nftables, Proxy, Userspace, UserspaceConfig};
use kube_node::adapter::cri::CriRuntime;
use kube_node::runtime::fake::FakeRuntime;
use kube_node::seam::{ContainerFilter, Runtime as Seam, SandboxFilter};
use kube_node::{Agent, Clock, Files};

use super::control_plane::{ControlPlane, until};
use super::{Flags, Parts, Runtime, dns, identities};
use crate::node_role::{open_embedded, serve_kubelet};
use crate::progress::Progress;
use crate::{Failure, machine};

/// A machine that one tries a cluster on may be nearly full without harm: upstream's shares of it would keep every pod away, and
/// collect images.
const EVICTION_HARD: &str = "memory.available<100Mi,nodefs.available<100Mi,imagefs.available<100Mi";

pub(super) async fn start(
    flags: &Flags,
    control_plane: &ControlPlane,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let runtime = open_runtime(flags, progress).await?;
    let node = machine::host_name();
    serve_logs_and_exec(flags, control_plane, &node, runtime.clone(), parts).await?;
    let dns_address = dns::start(flags, control_plane, parts, progress).await?;
    let mut config = agent_config(&flags.data_dir, &node, flags.node_ip())?;
    config.kubelet_port = flags.kubelet_port;
    config.cluster_dns = dns_address.into_iter().collect();
    if flags.runtime() == Runtime::Fake {
        config.files = Files::Skip;
    }
    run_agent(control_plane, runtime, config, parts).await?;
    progress.ready("kubelet", &format!("node {node} is Ready"));
    proxy(flags, control_plane, &node, parts, progress).await?;
    for n in 0..flags.nodes {
        let name = format!("fake-{n}");
        let mut config = agent_config(&flags.data_dir, &name, IpAddr::from([192, 0, 2, 1]))?;
        (config.files, config.kubelet_port, config.seed) = (Files::Skip, 0, n as u64 + 1);
        run_agent(control_plane, Arc::new(FakeRuntime::new(Clock::system(), Vec::new())), config, parts)
            .await?;
    }
    if flags.nodes > 0 {
        progress.ready("fake nodes", &format!("{} simulated nodes are Ready", flags.nodes));
    }
    Ok(())
}

async fn open_runtime(flags: &Flags, progress: &mut Progress) -> Result<Arc<dyn Seam>, Failure> {
    Ok(match flags.runtime() {
        Runtime::Embedded => {
            let runtime = open_embedded(&flags.data_dir, &[flags.cluster_cidr]).await?;
            let adopted = runtime.sandboxes(&SandboxFilter::default()).await?.len();
            progress.ready("containers", &format!("embedded runtime, {adopted} pods adopted"));
            Arc::new(runtime)
        }
        Runtime::Fake => {
            progress.ready("containers", "simulated");
            Arc::new(FakeRuntime::new(Clock::system(), Vec::new()))
        }
        Runtime::Cri(socket) => {
            let runtime = CriRuntime::connect(&socket).await?;
            let info = runtime.info().await?;
            progress.ready("containers", &format!("{} {} at {}", info.name, info.version, socket.display()));
            if !info.network_ready {
                progress
                    .say(&format!("  it has no pod network yet, for which the node waits: {}", info.message));
            }
            Arc::new(runtime)
        }
    })
}

fn agent_config(data_dir: &Path, node: &str, ip: IpAddr) -> Result<kube_node::Config, Failure> {
    Ok(kube_node::Config {
        node_name: node.into(),
        root_dir: data_dir.join("kubelet"),
        log_dir: data_dir.join("logs"),
        node_ips: vec![ip],
        eviction_hard: EVICTION_HARD.parse()?,
        image_gc_high_percent: 100,
        ..kube_node::Config::default()
    })
}

async fn run_agent(
    control_plane: &ControlPlane,
    runtime: Arc<dyn Seam>,
    config: kube_node::Config,
    parts: &mut Parts,
) -> Result<(), Failure> {
    let client = control_plane.client(&format!("system:node:{}", config.node_name), &["system:nodes"]);
    let agent = Agent::new(client, runtime, Vec::new(), Clock::system(), config)?;
    let (ready, shutdown) = (agent.ready(), parts.shutdown.clone());
    parts.spawn("kubelet", async move {
        agent.run(shutdown).await;
        Ok::<_, Failure>(())
    });
    until(ready).await
}

/// Serves logs and exec to the API server.
async fn serve_logs_and_exec(
    flags: &Flags,
    control_plane: &ControlPlane,
    node: &str,
    runtime: Arc<dyn Seam>,
    parts: &mut Parts,
) -> Result<(), Failure> {
    let identity = identities::kubelet_serving(&control_plane.pki, node, flags.node_ip())?;
    let (ca, shutdown) = (control_plane.pki.ca_pem(), parts.shutdown.clone());
    let served = serve_kubelet(runtime, &identity, ca, flags.kubelet_port, shutdown).await?;
    parts.spawn("kubelet server", async move {
        served.await;
        Ok::<_, Failure>(())
    });
    Ok(())
}

async fn proxy(
    flags: &Flags,
    control_plane: &ControlPlane,
    node: &str,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let config = kube_netproxy::Config {
        node_name: node.into(),
        cluster_cidrs: vec![flags.cluster_cidr],
        ..kube_netproxy::Config::default()
    };
    let (dataplane, detail): (Arc<dyn Dataplane>, _) = match machine::is_root() {
        true => (Arc::new(Nftables::new(config.clone())?), "nftables"),
        false => (Arc::new(Userspace::new(UserspaceConfig::default())), "userspace"),
    };
    let proxy = Proxy::new(control_plane.client("system:kube-proxy", &[]), dataplane, config);
    let mut status = proxy.status();
    parts.spawn("kube-proxy", proxy.run(parts.shutdown.clone()));
    status.wait_for(|status| status.ready).await?;
    progress.ready("kube-proxy", detail);
    Ok(())
}

/// Stops and removes every pod, and takes back what was changed in the kernel.
pub(super) async fn clean(flags: &Flags) -> Result<(), Failure> {
    let runtime: Arc<dyn Seam> = match flags.runtime() {
        Runtime::Embedded => Arc::new(open_embedded(&flags.data_dir, &[flags.cluster_cidr]).await?),
        Runtime::Cri(socket) => Arc::new(CriRuntime::connect(&socket).await?),
        Runtime::Fake => return Ok(()),
    };
    for container in runtime.containers(&ContainerFilter::default()).await? {
        runtime.stop_container(&container.id, std::time::Duration::ZERO, None).await?;
        runtime.remove_container(&container.id).await?;
    }
    for sandbox in runtime.sandboxes(&SandboxFilter::default()).await? {
        runtime.stop_sandbox(&sandbox.id).await?;
        runtime.remove_sandbox(&sandbox.id).await?;
    }
    unmount_below(&flags.data_dir.canonicalize()?)?;
    Ok(Nftables::new(kube_netproxy::Config::default())?.cleanup().await?)
}

/// Unmounts what pods had mounted below `dir`, the newest first.
fn unmount_below(dir: &Path) -> Result<(), Failure> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    for point in points.filter(|point| point.starts_with(dir)).collect::<Vec<_>>().into_iter().rev() {
        rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH)?;
    }
    Ok(())
}
