//! Keeps records in step with a cluster and answers with them.

use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use kube::Client;
use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::forward::Forwarder;
use super::reply::{authoritative, respond};
use super::{Answer, Config, Records, listen};
use crate::feed::{Feed, Selection};
use crate::{Error, Result};

/// Cluster DNS for one cluster.
pub struct Dns {
    client: Client,
    config: Config,
    resolver: Arc<Resolver>,
    ready: watch::Sender<bool>,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Dns {
    /// A server that does nothing until it is run. Identifiers of forwarded questions come from a generator that nobody can
    /// foresee.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the configuration.
    pub fn new(client: Client, config: Config) -> Result<Self> {
        Self::with_random(client, config, fastrand::Rng::new())
    }

    /// As [`Dns::new`], with a generator of random numbers, for tests that are to be repeatable.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the configuration.
    pub fn with_random(client: Client, config: Config, mut random: fastrand::Rng) -> Result<Self> {
        config.validate()?;
        let resolver = Resolver {
            records: RwLock::new(Records::new(&config)?),
            complete: AtomicBool::new(false),
            random: Mutex::new(random.fork()),
            forwarder: Forwarder::new(&config, random),
        };
        Ok(Self { client, config, resolver: Arc::new(resolver), ready: watch::Sender::default() })
    }

    /// Becomes true when everything in the cluster is known. Until then the cluster's names give "server failure".
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Serves on these sockets until `shutdown`.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the cluster's events end, which a client does not do by itself.
    pub fn run(
        self,
        udp: UdpSocket,
        tcp: TcpListener,
        shutdown: CancellationToken,
    ) -> BoxFuture<'static, Result<()>> {
        // An async function's code belongs to whoever polls it: boxed here, it is compiled in this crate, once.
        Box::pin(self.serve(udp, tcp, shutdown))
    }

    async fn serve(self, udp: UdpSocket, tcp: TcpListener, shutdown: CancellationToken) -> Result<()> {
        let limits = (self.config.connections, self.config.idle_timeout);
        let feed = Feed::new(&self.client, Selection::Everything);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            result = self.follow(feed) => result,
            () = listen::udp(udp, self.resolver.clone()) => Err(Error::Stopped),
            () = listen::tcp(tcp, self.resolver.clone(), limits.0, limits.1) => Err(Error::Stopped),
        }
    }

    async fn follow(&self, mut feed: Feed) -> Result<()> {
        while feed.next(&mut Shared(&self.resolver.records)).await {
            if feed.is_complete() && !self.resolver.complete.swap(true, Ordering::Relaxed) {
                self.ready.send_replace(true);
            }
        }
        Err(Error::Stopped)
    }
}

/// Answers questions.
#[derive(Debug)]
pub(super) struct Resolver {
    records: RwLock<Records>,
    complete: AtomicBool,
    random: Mutex<fastrand::Rng>,
    forwarder: Forwarder,
}

/// How far an answer got without waiting.
pub(super) enum Outcome {
    Now(Message),
    Later(Later),
}

/// A question that others have to be asked.
pub(super) struct Later {
    request: Message,
    /// Records to be put before theirs.
    prefix: Vec<Record>,
    query: Query,
}

impl Resolver {
    /// Answers from what is known.
    pub(super) fn answer(&self, request: Message, query: Query) -> Outcome {
        let records = self.records.read();
        let answer = records.lookup(&query.name, query.query_type);
        let complete = self.complete.load(Ordering::Relaxed);
        match answer {
            Answer::Foreign => {
                let signed = signed(&request);
                match self.forwarder.cached(&query, signed) {
                    Some(response) => Outcome::Now(relay(&request, vec![], response)),
                    None => Outcome::Later(Later { request, prefix: vec![], query }),
                }
            }
            _ if !complete => Outcome::Now(respond(&request, ResponseCode::ServFail)),
            Answer::NoName => {
                Outcome::Now(authoritative(&request, ResponseCode::NXDomain, vec![], records.soa()))
            }
            Answer::Records { mut answers, additionals } => {
                self.shuffle(&mut answers);
                let mut response = authoritative(&request, ResponseCode::NoError, answers, records.soa());
                response.insert_additionals(additionals);
                Outcome::Now(response)
            }
            Answer::Alias { answers, .. } if query.query_type == RecordType::CNAME => {
                Outcome::Now(authoritative(&request, ResponseCode::NoError, answers, records.soa()))
            }
            Answer::Alias { answers, target } => {
                let query = asking(target, query.query_type);
                Outcome::Later(Later { request, prefix: answers, query })
            }
        }
    }

    /// Asks others.
    pub(super) async fn finish(&self, later: Later) -> Message {
        let Later { request, prefix, query } = later;
        match self.forwarder.ask(&query, signed(&request)).await {
            Ok(response) => relay(&request, prefix, response),
            // What is known is better than nothing.
            Err(_) if !prefix.is_empty() => relay(&request, prefix, respond(&request, ResponseCode::NoError)),
            Err(code) => {
                let mut response = respond(&request, code);
                response.metadata.recursion_available = true;
                response
            }
        }
    }

    /// Clients take the first address; so each endpoint comes first equally often.
    fn shuffle(&self, answers: &mut [Record]) {
        if answers.len() > 1
            && answers.iter().all(|r| matches!(r.record_type(), RecordType::A | RecordType::AAAA))
        {
            self.random.lock().shuffle(answers);
        }
    }
}

fn asking(name: Name, kind: RecordType) -> Query {
    Query::query(name, kind)
}

fn signed(request: &Message) -> bool {
    request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
}

/// Somebody else's response, as one to this request.
fn relay(request: &Message, prefix: Vec<Record>, response: Message) -> Message {
    let mut own = respond(request, response.metadata.response_code);
    own.metadata.recursion_available = true;
    own.metadata.truncation = response.metadata.truncation;
    own.insert_answers(prefix.into_iter().chain(response.answers).collect());
    own.insert_authorities(response.authorities);
    own.insert_additionals(response.additionals);
    own
}

/// Records behind a lock, which is held for one change only.
struct Shared<'a>(&'a RwLock<Records>);

mod sink {
    use std::collections::BTreeSet;

    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::discovery::v1::EndpointSlice;

    use super::Shared;
    use crate::feed::Sink;

    impl Sink for Shared<'_> {
        fn set_service(&mut self, service: Service) {
            self.0.write().set_service(service);
        }

        fn remove_service(&mut self, name: &str) {
            self.0.write().remove_service(name);
        }

        fn retain_services(&mut self, names: &BTreeSet<String>) {
            Sink::retain_services(&mut *self.0.write(), names);
        }

        fn set_slice(&mut self, slice: EndpointSlice) {
            self.0.write().set_slice(slice);
        }

        fn remove_slice(&mut self, name: &str) {
            self.0.write().remove_slice(name);
        }

        fn retain_slices(&mut self, names: &BTreeSet<String>) {
            Sink::retain_slices(&mut *self.0.write(), names);
        }
    }
}
