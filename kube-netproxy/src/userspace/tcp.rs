//! Carries TCP connections to endpoints.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::UserspaceConfig;
use super::balancer::Balancer;

/// Accepts until `shutdown`; connections that are under way live on.
pub(super) async fn serve(
    listener: TcpListener,
    balancer: Arc<Mutex<Balancer>>,
    slots: Arc<Semaphore>,
    config: UserspaceConfig,
    shutdown: CancellationToken,
) {
    loop {
        // The slot is taken first, so that more connections than allowed wait in the kernel's queue.
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.ok()?;
            Some((slot, listener.accept().await))
        };
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            None => return,
            Some((slot, Ok((stream, client)))) => {
                let balancer = balancer.clone();
                let config = config.clone();
                tokio::spawn(async move {
                    carry(stream, client, &balancer, &config).await;
                    drop(slot);
                });
            }
            // Usually too many open files: give the others time to end.
            Some((_, Err(error))) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(config.connect_timeout / 100).await;
            }
        }
    }
}

async fn carry(
    mut client: TcpStream,
    peer: SocketAddr,
    balancer: &Mutex<Balancer>,
    config: &UserspaceConfig,
) {
    match connect(peer, balancer, config).await {
        Some(mut endpoint) => {
            let _ = client.set_nodelay(true);
            let _ = endpoint.set_nodelay(true);
            // Either side may end as it likes; there is nobody to tell.
            let _ = copy_bidirectional(&mut client, &mut endpoint).await;
        }
        // Ending with a reset is the closest thing to refusing.
        None => drop(client.set_zero_linger()),
    }
}

/// Tries each endpoint at most once.
async fn connect(
    peer: SocketAddr,
    balancer: &Mutex<Balancer>,
    config: &UserspaceConfig,
) -> Option<TcpStream> {
    let attempts = balancer.lock().len();
    for attempt in 0..attempts {
        let backend = balancer.lock().pick(peer.ip(), Instant::now(), attempt > 0)?;
        match timeout(config.connect_timeout, TcpStream::connect((backend.address, backend.port))).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(%backend, %error, "cannot reach an endpoint"),
            Err(_) => tracing::debug!(%backend, "an endpoint does not answer in time"),
        }
    }
    None
}
