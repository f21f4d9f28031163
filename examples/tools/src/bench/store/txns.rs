//! Writes, each acknowledged after it is synced.

use bytes::Bytes;
use tokio::time::Instant;

use super::client::Connection;
use super::compare::{Better, Workload};
use super::programs::{Program, Server};
use super::wire::{self, Message};
use crate::Failure;

/// Connections of all clients together: those of an API server share one, but not three hundred.
pub(super) const CONNECTIONS: usize = 8;
const CLIENTS: usize = 300;
const TXNS: usize = 30_000;

/// A running server and connections to it.
pub(super) struct Clients {
    pub(super) server: Server,
    pub(super) connections: Vec<Connection>,
    /// The revision at which each key was written last.
    revisions: Vec<i64>,
    newest: i64,
}

impl Clients {
    pub(super) async fn start(program: &Program, members: usize) -> Result<Self, Failure> {
        let server = Server::start(program, members)?;
        let connections = Connection::several(&server.addresses(), CONNECTIONS).await?;
        Ok(Self { server, connections, revisions: vec![0; CLIENTS], newest: 1 })
    }

    /// Transactions of the shape of Kubernetes' (write 1 KiB if the key is as old as is believed) by 300 clients.
    pub(super) async fn txns(&mut self, count: usize) -> Result<(), Failure> {
        let connections = &self.connections;
        let client = async |client: usize, revision: &mut i64| {
            let connection = connections.get(client % connections.len()).ok_or("no connection")?;
            let mut newest = 0;
            for _ in 0..count / CLIENTS {
                newest = txn(connection, client, *revision).await?;
                *revision = newest;
            }
            Ok::<_, Failure>(newest)
        };
        let all = self.revisions.iter_mut().enumerate().map(|(number, revision)| client(number, revision));
        let newest = futures::future::try_join_all(all).await?.into_iter().max().unwrap_or(0);
        self.wrote(newest, count / CLIENTS * CLIENTS)
    }

    /// Each write has made one revision.
    fn wrote(&mut self, newest: i64, count: usize) -> Result<(), Failure> {
        let expected = self.newest + i64::try_from(count)?;
        if newest != expected {
            return Err(format!("revision {newest} after the writes, expected {expected}").into());
        }
        self.newest = newest;
        Ok(())
    }
}

/// Answers the revision.
async fn txn(connection: &Connection, client: usize, revision: i64) -> Result<i64, Failure> {
    let key = format!("/registry/pods/default/pod-{client}");
    // The modification revision is equal.
    let compare = Message::default().number(2, 2).bytes(3, key.as_bytes()).number(6, revision);
    let put = Message::default().bytes(1, key.as_bytes()).bytes(2, &[7; 1024]);
    let range = Message::default().bytes(1, key.as_bytes());
    let txn = Message::default()
        .message(1, compare)
        .message(2, Message::default().message(2, put))
        .message(3, Message::default().message(1, range));
    let answer = connection.call("/etcdserverpb.KV/Txn", txn.framed()).await?;
    if wire::number(&answer, 2)? != 1 {
        return Err("a transaction lost a race that nobody else ran".into());
    }
    let written = wire::revision(&answer)?;
    if written > revision { Ok(written) } else { Err("a revision does not rise".into()) }
}

/// Transactions by many clients of one member or of three.
pub(super) struct Txns {
    pub(super) name: &'static str,
    pub(super) members: usize,
}

impl Workload for Txns {
    type Ready = Clients;

    fn figures(&self) -> Vec<(String, Better)> {
        vec![(self.name.to_owned(), Better::More), (format!("{}-cpu-us", self.name), Better::Less)]
    }

    async fn prepare(&self, program: &Program) -> Result<Clients, Failure> {
        Clients::start(program, self.members).await
    }

    async fn sample(&self, ready: &mut Clients) -> Result<Vec<f64>, Failure> {
        let count = TXNS / self.members;
        let (started, cpu) = (Instant::now(), ready.server.cpu()?);
        ready.txns(count).await?;
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), ready.server.cpu()? - cpu);
        Ok(vec![count as f64 / seconds, cpu * 1e6 / count as f64])
    }
}

/// Puts of 256 bytes.
pub(super) struct Puts {
    pub(super) name: &'static str,
    pub(super) clients: usize,
    pub(super) count: usize,
}

impl Workload for Puts {
    type Ready = Clients;

    fn figures(&self) -> Vec<(String, Better)> {
        vec![(self.name.to_owned(), Better::More), (format!("{}-cpu-us", self.name), Better::Less)]
    }

    async fn prepare(&self, program: &Program) -> Result<Clients, Failure> {
        Clients::start(program, 1).await
    }

    async fn sample(&self, ready: &mut Clients) -> Result<Vec<f64>, Failure> {
        let (started, cpu) = (Instant::now(), ready.server.cpu()?);
        let connections = &ready.connections;
        let client = async |client: usize| {
            let connection = connections.get(client % connections.len()).ok_or("no connection")?;
            let mut newest = 0;
            for n in 0..self.count / self.clients {
                let revision = put(connection, &format!("/put/{client}/{}", n % 100)).await?;
                if revision <= newest {
                    return Err("a revision does not rise".into());
                }
                newest = revision;
            }
            Ok::<_, Failure>(newest)
        };
        let newest = futures::future::try_join_all((0..self.clients).map(client)).await?;
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), ready.server.cpu()? - cpu);
        ready.wrote(newest.into_iter().max().unwrap_or(0), self.count / self.clients * self.clients)?;
        Ok(vec![self.count as f64 / seconds, cpu * 1e6 / self.count as f64])
    }
}

async fn put(connection: &Connection, key: &str) -> Result<i64, Failure> {
    wire::revision(&write(connection, key.as_bytes(), &[7; 256]).await?)
}

/// Writes one key.
pub(super) async fn write(connection: &Connection, key: &[u8], value: &[u8]) -> Result<Bytes, Failure> {
    let put = Message::default().bytes(1, key).bytes(2, value);
    connection.call("/etcdserverpb.KV/Put", put.framed()).await
}
