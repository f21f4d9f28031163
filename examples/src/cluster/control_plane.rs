use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use kube::Client;
use kube_api::node::TlsConnector;
use kube_api::pki::Pki;
use kube_api::serve::{ServeConfig, serve, tls_config};
use kube_api::{ApiServer, User};
use kube_ctrl::ControllerManager;
use kube_sched::Scheduler;
use kube_store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Flags, Parts, identities};
use crate::Failure;
use crate::progress::Progress;

/// The API server with what the other parts need of it.
pub(super) struct ControlPlane {
    api: ApiServer,
    pub(super) pki: Pki,
}

impl ControlPlane {
    /// A client in this process, as this user.
    pub(super) fn client(&self, user: &str, groups: &[&str]) -> Client {
        Client::new(self.api.as_user(User::new(user, groups.iter().copied())), "default")
    }
}

pub(super) async fn start(
    flags: &Flags,
    store: Arc<dyn Store>,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<ControlPlane, Failure> {
    let pki = identities::open(flags)?;
    let config = kube_api::Config {
        service_cidr: flags.service_cidr,
        advertise_address: flags.node_ip(),
        advertise_port: flags.secure_port,
        service_account_key: Some(pki.service_account_key().into()),
        ..kube_api::Config::default()
    };
    let nodes = TlsConnector::new(&identities::kubelet_client(&pki)?, pki.ca_pem())?;
    let api = ApiServer::builder(store).config(config).node_connector(Arc::new(nodes)).build().await?;
    listen(flags, &pki, &api, parts).await?;
    progress.ready("kube-apiserver", &format!("https://{}:{}", flags.node_ip(), flags.secure_port));
    let control_plane = ControlPlane { api, pki };
    controllers(flags, &control_plane, parts, progress).await?;
    scheduler(&control_plane, parts, progress).await?;
    Ok(control_plane)
}

/// Serves the API over TLS and writes the administrator's kubeconfig.
async fn listen(flags: &Flags, pki: &Pki, api: &ApiServer, parts: &mut Parts) -> Result<(), Failure> {
    let tls = tls_config(&identities::api_server(flags, pki)?, pki.ca_pem())?;
    let listener = TcpListener::bind(("::", flags.secure_port)).await;
    let listener = match listener {
        Ok(listener) => listener,
        // A machine without IPv6.
        Err(_) => TcpListener::bind(("0.0.0.0", flags.secure_port))
            .await
            .map_err(|error| format!("port {}: {error}", flags.secure_port))?,
    };
    let (service, shutdown) = (api.clone(), parts.shutdown.clone());
    parts.spawn("kube-apiserver", async move {
        serve(listener, tls, service, ServeConfig::default(), shutdown).await;
        Ok::<_, Failure>(())
    });
    identities::write_admin(flags, pki)
}

async fn controllers(
    flags: &Flags,
    control_plane: &ControlPlane,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let client = control_plane.client("system:kube-controller-manager", &[]);
    let config = kube_ctrl::Config {
        root_ca: control_plane.pki.ca_pem().into(),
        cluster_cidr: flags.cluster_cidr.to_string(),
        ..kube_ctrl::Config::default()
    };
    let manager = ControllerManager::new(client, config);
    let ready = manager.ready();
    parts.spawn("kube-controller-manager", manager.run(parts.shutdown.clone()));
    until(ready).await?;
    progress.ready("kube-controllers", &format!("{} controllers", kube_ctrl::CONTROLLERS.len()));
    Ok(())
}

async fn scheduler(
    control_plane: &ControlPlane,
    parts: &mut Parts,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let client = control_plane.client("system:kube-scheduler", &[]);
    let scheduler = Scheduler::new(client, kube_sched::Config::default())?;
    let (ready, shutdown) = (scheduler.ready(), parts.shutdown.clone());
    parts.spawn("kube-scheduler", async move {
        scheduler.run(shutdown).await;
        Ok::<_, Failure>(())
    });
    until(ready).await?;
    progress.ready("kube-scheduler", "default-scheduler");
    Ok(())
}

/// Waits until a part says that it is ready.
pub(super) async fn until(mut ready: watch::Receiver<bool>) -> Result<(), Failure> {
    ready.wait_for(|ready| *ready).await.map(|_| ()).map_err(|_| "ended before it was ready".into())
}

/// The `n`th address of a range.
pub(super) fn nth(range: IpNet, n: u32) -> Option<IpAddr> {
    let address = match range.network() {
        IpAddr::V4(first) => IpAddr::from(std::net::Ipv4Addr::from(u32::from(first).checked_add(n)?)),
        IpAddr::V6(first) => IpAddr::from(std::net::Ipv6Addr::from(u128::from(first).checked_add(n.into())?)),
    };
    range.contains(&address).then_some(address)
}
