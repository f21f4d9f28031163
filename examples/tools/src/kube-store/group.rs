//! A member of a group: how it comes into being, and its life.

use std::sync::Arc;
use std::time::Duration;

use kube_store::engine::{Engine, Measured};
use kube_store::raft::{
    MemberChange, MemberInfo, PeerConfig, PeerNetwork, PeerServer, PeerTls, RaftConfig, RaftStore, Start,
    ask_for_members, found,
};
use kube_store::{EtcdServer, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::flags::{ClusterState, Settings};
use crate::listen::{self, Listener};
use crate::server::{self, Listeners};
use crate::{Failure, tls};

/// Where a member listens for others when nothing is said.
const LISTEN: &str = "http://127.0.0.1:2380";

/// How long a member that stops waits for another to lead.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Who a member is, and whom it knows.
struct Identity {
    cluster: u64,
    id: u64,
    start: Start,
    known: Vec<MemberInfo>,
}

/// Serves the member that `engine` holds, or is to hold, until `shutdown`.
pub(crate) async fn serve<E: Engine>(
    settings: Settings,
    engine: Measured<E>,
    clients: Listeners,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    // Other members are needed until the last client has its answer.
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let tls = settings.peer_tls()?.map(|files| tls::watch_client(files, stop.clone())).transpose()?;
    let peers = listen(&settings, &stop)?;
    let disk = Some(engine.metrics());
    let identity = identity(&settings, &engine, tls.as_ref()).await?;
    let (cluster, id) = (identity.cluster, identity.id);
    tracing::info!(cluster = %format_args!("{cluster:x}"), member = %format_args!("{id:x}"), "starting");
    let config = raft_config(&settings, &identity)?;
    let peer = PeerConfig { tls, ..PeerConfig::new(cluster, id, identity.known) };
    let network = PeerNetwork::new(peer);
    let store = Arc::new(RaftStore::open(engine, config, Arc::new(network.clone())).await?);
    network.attach(store.inbox());
    let mut files = Vec::new();
    let peers = peers.into_iter().map(|Listener { listener, tls, file }| {
        files.extend(file);
        tokio::spawn(PeerServer::new(&store).counting(&network).serve(listener, tls, stop.clone()))
    });
    let peers: Vec<_> = peers.collect();
    let config = ServerConfig { disk, peers: Some(network.metrics()), ..server::server_config(&settings)? };
    let server = EtcdServer::of_group(store.clone(), config);
    let publish = publish(&store, &settings);
    let serving = server::serve_clients(server, clients, shutdown.clone());
    tokio::select! {
        served = serving => served?,
        // Publishing ends; its end must not end the others.
        () = async { publish.await; std::future::pending().await } => {}
        _ = store.wait_for(|_| false) => return ended(&store),
    }
    hand_over(&store).await;
    stop.cancel();
    for peer in peers {
        peer.await??;
    }
    Ok(())
}

/// What a member ends with that was not asked to: as etcd's, one that was removed has done what it had to.
fn ended(store: &RaftStore) -> Result<(), Failure> {
    let status = store.raft_status();
    if status.members.iter().any(|member| member.id == status.id) {
        return Err("this member has stopped".into());
    }
    tracing::warn!("this member was removed from the group");
    Ok(())
}

fn listen(settings: &Settings, stop: &CancellationToken) -> Result<Vec<Listener>, Failure> {
    let urls = match settings.listen_peer_urls.as_slice() {
        [] => vec![LISTEN.to_owned()],
        urls => urls.to_vec(),
    };
    let tls = |stop| {
        let files = settings.peer_tls()?;
        tls::watch_server(
            files.ok_or("TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for a peer url with HTTPS scheme")?,
            stop,
        )
    };
    listen::listen(settings, &urls, tls, stop)
}

fn raft_config(settings: &Settings, identity: &Identity) -> Result<RaftConfig, Failure> {
    let ticks = settings.election_timeout / settings.heartbeat_interval;
    Ok(RaftConfig {
        cluster: identity.cluster,
        start: identity.start.clone(),
        tick: Duration::from_millis(settings.heartbeat_interval),
        election_ticks: usize::try_from(ticks)?,
        keep_entries: settings.snapshot_count,
        store: server::config(settings)?,
        ..RaftConfig::joining(identity.id)
    })
}

async fn identity(
    settings: &Settings,
    engine: &dyn Engine,
    tls: Option<&PeerTls>,
) -> Result<Identity, Failure> {
    if let Some((cluster, id)) = RaftStore::identity(engine)? {
        return Ok(Identity { cluster, id, start: Start::Join, known: Vec::new() });
    }
    let named = settings.members()?;
    let others: Vec<String> =
        named.iter().filter(|(name, _)| **name != settings.name).flat_map(|(_, urls)| urls.clone()).collect();
    if settings.initial_cluster_state == ClusterState::Existing {
        return join(settings, &others, tls).await;
    }
    if !others.is_empty() && !is_empty(engine) {
        return Err(
            "the data folder holds a store that the other members do not have: start it as the only \
                    member and add the others"
                .into(),
        );
    }
    let (cluster, known) = found(&settings.initial_cluster_token, named);
    let own = known.iter().find(|member| member.name == settings.name);
    let id = own.ok_or("--initial-cluster does not name this member")?.id;
    // A member that lost its disk may have voted, so it must not begin anew.
    if let Ok((asked, members)) = ask_for_members(&others, tls).await
        && asked == cluster
        && members.iter().any(|member| member.id == id && !member.client_urls.is_empty())
    {
        return Err(format!("member {id:x} has already been bootstrapped: remove it and add another").into());
    }
    Ok(Identity { cluster, id, start: Start::New(known.clone()), known })
}

/// The number under which the group has added this member.
async fn join(settings: &Settings, others: &[String], tls: Option<&PeerTls>) -> Result<Identity, Failure> {
    let (cluster, known) = ask_for_members(others, tls).await?;
    let is_own = |member: &&MemberInfo| {
        member.peer_urls.iter().any(|url| settings.initial_advertise_peer_urls.contains(url))
    };
    let own = known.iter().find(is_own).ok_or_else(|| {
        format!("the group has no member at {:?}: add it first", settings.initial_advertise_peer_urls)
    })?;
    if !own.client_urls.is_empty() {
        return Err(
            format!("member {:x} has already been bootstrapped: remove it and add another", own.id).into()
        );
    }
    Ok(Identity { cluster, id: own.id, start: Start::Join, known: known.clone() })
}

fn is_empty(engine: &dyn Engine) -> bool {
    engine.scan(&[], &mut |_, _| Err(std::io::ErrorKind::AlreadyExists.into())).is_ok()
}

/// Tells the group this member's name and where clients reach it.
async fn publish(store: &RaftStore, settings: &Settings) {
    /// How long to wait after the group could not be told.
    const PAUSE: Duration = Duration::from_millis(500);
    loop {
        let known = |members: &[MemberInfo]| members.iter().find(|member| member.id == store.id()).cloned();
        let Ok(status) = store.wait_for(|s| s.leader.is_some() && known(&s.members).is_some()).await else {
            return;
        };
        let Some(own) = known(&status.members) else { continue };
        let wanted =
            MemberInfo { name: settings.name.clone(), client_urls: settings.advertised(), ..own.clone() };
        if own == wanted {
            return;
        }
        if let Err(error) = store.change_members(vec![MemberChange::Update(wanted)]).await {
            tracing::warn!(%error, "the group was not told of this member's addresses");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets another member lead, if this one does: the others need not wait until they miss it.
async fn hand_over(store: &RaftStore) {
    let status = store.raft_status();
    let other = status.members.iter().find(|member| member.id != status.id && !member.learner);
    if let (true, Some(other)) = (status.leader == Some(status.id), other) {
        let _ = tokio::time::timeout(HAND_OVER, store.transfer_leader(other.id)).await;
    }
}
