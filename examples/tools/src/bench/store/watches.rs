//! Many watchers of the same keys.

use std::cell::Cell;

use bytes::Bytes;
use futures::future::{try_join, try_join_all};
use tokio::time::Instant;

use super::client::{Answers, Connection};
use super::compare::{Better, Workload};
use super::machine;
use super::programs::{Program, Server};
use super::txns::{CONNECTIONS, write};
use super::wire::{self, Field, Message, fields};
use crate::Failure;

const WATCHERS: usize = 10_000;
/// Watchers on one stream: those of one client share one, as etcd's own client has it.
const ON_A_STREAM: usize = 125;
const PUTS: u64 = 50;

/// 10,000 watchers of one prefix and a client that writes 256 bytes again and again.
pub(super) struct Watches;

/// A server and everybody who watches it.
pub(super) struct Watched {
    server: Server,
    writer: Connection,
    streams: Vec<Stream>,
    written: u64,
    /// Resident memory that each watcher takes, in bytes.
    each: f64,
}

/// A stream of watchers.
struct Stream {
    answers: Answers,
    /// The stream ends with it.
    _requests: h2::SendStream<Bytes>,
    /// What each watcher has seen last.
    seen: Vec<u64>,
}

impl Workload for Watches {
    type Ready = Watched;

    fn figures(&self) -> Vec<(String, Better)> {
        let name = |what: &str| format!("watch-10k{what}");
        vec![
            (name(""), Better::More),
            (name("-cpu-us"), Better::Less),
            (name("-puts"), Better::More),
            (name("-bytes"), Better::Less),
        ]
    }

    async fn prepare(&self, program: &Program) -> Result<Watched, Failure> {
        let server = Server::start(program, 1)?;
        let connections = Connection::several(&server.addresses(), CONNECTIONS + 1).await?;
        let (writer, connections) = connections.split_first().ok_or("no connection")?;
        write(writer, b"/watched/other", &[0; 8]).await?;
        let pid = *server.pids().first().ok_or("no member")?;
        let before = machine::memory(pid, "VmRSS")?;
        let mut streams = Vec::new();
        for connection in connections.iter().cycle().take(WATCHERS / ON_A_STREAM) {
            streams.push(Stream::open(connection).await?);
        }
        let each = (machine::memory(pid, "VmRSS")? - before) * f64::from(1 << 20) / WATCHERS as f64;
        Ok(Watched { server, writer: writer.clone(), streams, written: 0, each })
    }

    /// Events per second, processor time per event, puts per second while all that happens, and memory per watcher.
    async fn sample(&self, ready: &mut Watched) -> Result<Vec<f64>, Failure> {
        let (started, cpu, from) = (Instant::now(), ready.server.cpu()?, ready.written);
        let took = Cell::new(0.0);
        let writing = async {
            for n in from + 1..=from + PUTS {
                let mut value = [7; 256];
                value[..8].copy_from_slice(&n.to_be_bytes());
                write(&ready.writer, b"/watched/key", &value).await?;
            }
            took.set(started.elapsed().as_secs_f64());
            Ok(())
        };
        let reading = try_join_all(ready.streams.iter_mut().map(|stream| stream.read_to(from + PUTS)));
        try_join(writing, reading).await?;
        ready.written += PUTS;
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), ready.server.cpu()? - cpu);
        let events = (WATCHERS as u64 * PUTS) as f64;
        Ok(vec![events / seconds, cpu * 1e6 / events, PUTS as f64 / took.get(), ready.each])
    }
}

impl Stream {
    async fn open(connection: &Connection) -> Result<Self, Failure> {
        let create = || {
            let create = Message::default().bytes(1, b"/watched/").bytes(2, b"/watched0");
            Message::default().message(1, create).framed()
        };
        let creates: Vec<_> = (0..ON_A_STREAM).map(|_| create()).collect();
        let (mut answers, requests) =
            connection.stream("/etcdserverpb.Watch/Watch", creates.concat().into()).await?;
        let mut created = 0;
        while created < ON_A_STREAM {
            answers
                .next(|answer| {
                    created += 1;
                    if wire::number(answer, 3)? == 1 { Ok(()) } else { Err("a watch was not created".into()) }
                })
                .await?;
        }
        Ok(Self { answers, _requests: requests, seen: vec![0; ON_A_STREAM] })
    }

    /// Reads until every watcher has seen every number up to `last`, each once and in order.
    async fn read_to(&mut self, last: u64) -> Result<(), Failure> {
        self.seen.iter_mut().filter(|seen| **seen == 0).for_each(|seen| *seen = last - PUTS);
        let mut left = PUTS * ON_A_STREAM as u64;
        let seen = &mut self.seen;
        while left > 0 {
            self.answers
                .next(|answer| {
                    let watcher = usize::try_from(wire::number(answer, 2)?)?;
                    let seen = seen.get_mut(watcher).ok_or("an unknown watcher")?;
                    fields(answer, |field, event| match (field, event) {
                        (11, Field::Bytes(event)) => {
                            left = left.checked_sub(1).ok_or("too many events")?;
                            check(event, seen)
                        }
                        _ => Ok(()),
                    })
                })
                .await?;
        }
        if self.seen.iter().all(|seen| *seen == last) { Ok(()) } else { Err("events are missing".into()) }
    }
}

/// The event of the next number after `seen`.
fn check(event: &[u8], seen: &mut u64) -> Result<(), Failure> {
    let value = wire::bytes(wire::bytes(event, 2)?, 5)?;
    let number = value.first_chunk().map_or(0, |number| u64::from_be_bytes(*number));
    if number != *seen + 1 {
        return Err(format!("event {number} after {seen}").into());
    }
    *seen = number;
    Ok(())
}
