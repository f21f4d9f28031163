//! A member of a group: how it comes into being, and its life.

use std::sync::Arc;
use std::time::Duration;

use kube_store::EtcdServer;
use kube_store::engine::Engine;
use kube_store::raft::{
    MemberChange, MemberInfo, PeerConfig, PeerNetwork, PeerServer, PeerTls, RaftConfig, RaftStore, Start,
    ask_for_members, found,
};
use tokio_util::sync::CancellationToken;

use crate::flags::{ClusterState, Flags};
use crate::server::{self, Listener};
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
    flags: Flags,
    engine: E,
    clients: Vec<Listener>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    // Other members are needed until the last client has its answer.
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let tls = flags.peer_tls_files().map(|files| tls::watch_client(files, stop.clone())).transpose()?;
    let peers = listen(&flags, &stop).await?;
    let identity = identity(&flags, &engine, tls.as_ref()).await?;
    let (cluster, id) = (identity.cluster, identity.id);
    tracing::info!(cluster = %format_args!("{cluster:x}"), member = %format_args!("{id:x}"), "starting");
    let config = raft_config(&flags, &identity)?;
    let peer = PeerConfig { tls, ..PeerConfig::new(cluster, id, identity.known) };
    let network = PeerNetwork::new(peer);
    let store = Arc::new(RaftStore::open(engine, config, Arc::new(network.clone())).await?);
    network.attach(store.inbox());
    let peers = peers
        .into_iter()
        .map(|(listener, tls)| tokio::spawn(PeerServer::new(&store).serve(listener, tls, stop.clone())));
    let peers: Vec<_> = peers.collect();
    let server = EtcdServer::of_group(store.clone(), server::server_config(&flags));
    let publish = publish(&store, &flags);
    let serving = server::serve_clients(server, clients, shutdown.clone());
    tokio::select! {
        served = serving => served?,
        // Publishing ends; its end must not end the others.
        () = async { publish.await; std::future::pending().await } => {}
        _ = store.wait_for(|_| false) => return Err("this member has stopped".into()),
    }
    hand_over(&store).await;
    stop.cancel();
    for peer in peers {
        peer.await??;
    }
    Ok(())
}

async fn listen(flags: &Flags, stop: &CancellationToken) -> Result<Vec<Listener>, Failure> {
    let urls = match flags.listen_peer_urls.as_slice() {
        [] => vec![LISTEN.to_owned()],
        urls => urls.to_vec(),
    };
    let tls = |stop| {
        let files = flags.peer_tls_files();
        tls::watch_server(
            files.ok_or("an https:// peer URL needs --peer-cert-file and --peer-key-file")?,
            stop,
        )
    };
    server::listeners(&urls, tls, stop).await
}

fn raft_config(flags: &Flags, identity: &Identity) -> Result<RaftConfig, Failure> {
    let ticks = flags.election_timeout / flags.heartbeat_interval;
    Ok(RaftConfig {
        cluster: identity.cluster,
        start: identity.start.clone(),
        tick: Duration::from_millis(flags.heartbeat_interval),
        election_ticks: usize::try_from(ticks)?,
        keep_entries: flags.snapshot_count,
        store: server::config(flags)?,
        ..RaftConfig::joining(identity.id)
    })
}

async fn identity(flags: &Flags, engine: &dyn Engine, tls: Option<&PeerTls>) -> Result<Identity, Failure> {
    if let Some((cluster, id)) = RaftStore::identity(engine)? {
        return Ok(Identity { cluster, id, start: Start::Join, known: Vec::new() });
    }
    let named = flags.members()?;
    let others: Vec<String> =
        named.iter().filter(|(name, _)| **name != flags.name).flat_map(|(_, urls)| urls.clone()).collect();
    if flags.initial_cluster_state == ClusterState::Existing {
        return join(flags, &others, tls).await;
    }
    if !others.is_empty() && !is_empty(engine) {
        return Err(
            "the data folder holds a store that the other members do not have: start it as the only \
                    member and add the others"
                .into(),
        );
    }
    let (cluster, known) = found(&flags.initial_cluster_token, named);
    let own = known.iter().find(|member| member.name == flags.name);
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
async fn join(flags: &Flags, others: &[String], tls: Option<&PeerTls>) -> Result<Identity, Failure> {
    let (cluster, known) = ask_for_members(others, tls).await?;
    let is_own = |member: &&MemberInfo| {
        member.peer_urls.iter().any(|url| flags.initial_advertise_peer_urls.contains(url))
    };
    let own = known.iter().find(is_own).ok_or_else(|| {
        format!("the group has no member at {:?}: add it first", flags.initial_advertise_peer_urls)
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
async fn publish(store: &RaftStore, flags: &Flags) {
    /// How long to wait after the group could not be told.
    const PAUSE: Duration = Duration::from_millis(500);
    loop {
        let known = |members: &[MemberInfo]| members.iter().find(|member| member.id == store.id()).cloned();
        let Ok(status) = store.wait_for(|s| s.leader.is_some() && known(&s.members).is_some()).await else {
            return;
        };
        let Some(own) = known(&status.members) else { continue };
        let wanted = MemberInfo { name: flags.name.clone(), client_urls: flags.advertised(), ..own.clone() };
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
