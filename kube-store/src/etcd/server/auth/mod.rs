//! Who calls, and whether they may.

mod jwt;
mod model;
mod needs;
pub(super) mod refusal;
mod rpc;
mod span;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use self::model::Model;
use self::token::{Now, Tokens};
use super::certified::Certified;
use super::convert;
use super::etcd_server::EtcdServer;
use crate::{LeaseRequest, LeaseResponse, Store};

pub use self::jwt::{JsonWebTokens, TokenKeyError};
pub(super) use self::model::Access;
pub(super) use self::needs::Needs;

/// Passwords hashed at once; each takes a thread for a tenth of a second.
const HASHING: usize = 2;

/// Users, roles and tokens of a server. The store keeps all but the tokens; they are read when its
/// records changed.
#[derive(Debug)]
pub(super) struct Auth {
    store: Arc<dyn Store>,
    /// What the records said when they had this version.
    model: RwLock<Option<(u64, Arc<Model>)>>,
    tokens: Mutex<Tokens>,
    /// Changes go one after the other.
    turn: tokio::sync::Mutex<()>,
    hashing: Arc<Semaphore>,
    config: AuthConfig,
}

/// How users are known.
#[derive(Debug, Clone)]
pub(super) struct AuthConfig {
    pub(super) bcrypt_cost: u32,
    pub(super) token_ttl: Duration,
    /// Instead of the own kind of tokens.
    pub(super) jwt: Option<Arc<JsonWebTokens>>,
    /// Whether the name in a client's certificate is a user.
    pub(super) trusts_certificates: bool,
    pub(super) clock: fn() -> SystemTime,
}

/// A key that nobody knows.
fn new_key() -> Result<Bytes, Status> {
    let mut key = vec![0; 32];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| Status::unavailable("etcdserver: no randomness"))?;
    Ok(key.into())
}

/// Who calls, and what they may as of now.
#[derive(Debug)]
pub(super) struct Caller {
    model: Arc<Model>,
    user: Option<String>,
    /// Of users and roles, when a token was given out that does not know of what came later.
    as_of: Option<u64>,
}

impl Caller {
    /// Whether nobody asks who calls.
    pub(super) fn is_free(&self) -> bool {
        !self.model.enabled
    }

    fn user(&self) -> Result<&str, Status> {
        self.user.as_deref().ok_or_else(refusal::no_user)
    }

    /// Refuses a token from before users or roles changed: for keys, and not, as in etcd, for what root or every user may.
    fn require_recent(&self) -> Result<(), Status> {
        let is_old = self.as_of.is_some_and(|revision| revision < self.model.revision);
        if is_old { Err(refusal::old_revision()) } else { Ok(()) }
    }

    /// For what every user may. A certificate may name somebody who is none.
    pub(super) fn require_user(&self) -> Result<(), Status> {
        if self.is_free() || self.model.password(self.user()?).is_ok() {
            Ok(())
        } else {
            Err(refusal::denied())
        }
    }

    /// For what only root may.
    pub(super) fn require_root(&self) -> Result<(), Status> {
        if self.is_free() || self.model.is_root(self.user()?) { Ok(()) } else { Err(refusal::denied()) }
    }

    /// For doing this with all keys from `key` to `range_end`.
    pub(super) fn require(&self, access: Access, key: &Bytes, range_end: &Bytes) -> Result<(), Status> {
        if self.is_free() {
            return Ok(());
        }
        let user = self.user()?;
        self.require_recent()?;
        if self.model.allows(user, access, key, range_end) { Ok(()) } else { Err(refusal::denied()) }
    }
}

impl Auth {
    pub(super) fn new(store: Arc<dyn Store>, config: AuthConfig) -> Self {
        Self {
            store,
            model: RwLock::default(),
            tokens: Mutex::new(Tokens::new(config.token_ttl)),
            turn: tokio::sync::Mutex::default(),
            hashing: Arc::new(Semaphore::new(HASHING)),
            config,
        }
    }

    /// Who sent a request: whom its token names, or if it has none, the certificate of its connection.
    pub(super) async fn caller(
        &self,
        metadata: &MetadataMap,
        certified: &Certified,
    ) -> Result<Caller, Status> {
        let model = self.model().await?;
        let (mut user, mut as_of) = (None, None);
        if model.enabled
            && let Some(token) = metadata.get("token").or_else(|| metadata.get("authorization"))
        {
            let token = token.to_str().map_err(|_| refusal::invalid_token())?;
            let named = self.named(&model, token).ok_or_else(refusal::invalid_token)?;
            (user, as_of) = (Some(named.0), named.1);
        } else if model.enabled && self.config.trusts_certificates {
            user = certified.name().map(str::to_owned);
        }
        Ok(Caller { model, user, as_of })
    }

    /// Whose token it is, and as of which revision, if it says so.
    fn named(&self, model: &Model, token: &str) -> Option<(String, Option<u64>)> {
        match &self.config.jwt {
            Some(jwt) => {
                jwt.named(token, self.now().seconds()).map(|named| (named.user, Some(named.revision)))
            }
            None => Some((self.tokens.lock().user(model, token, self.now())?, None)),
        }
    }

    /// Refuses what the caller may not. A lease counts as its keys: whoever binds a key to it, or ends it, decides over them.
    pub(super) async fn require(&self, caller: &Caller, needs: Needs) -> Result<(), Status> {
        if caller.is_free() {
            return Ok(());
        }
        caller.user()?;
        caller.require_recent()?;
        needs.keys.iter().try_for_each(|(access, key, end)| caller.require(*access, key, end))?;
        for lease in needs.leases {
            self.require_lease(caller, Access::Write, lease).await?;
        }
        Ok(())
    }

    /// For doing this with all keys of a lease.
    pub(super) async fn require_lease(&self, caller: &Caller, access: Access, id: i64) -> Result<(), Status> {
        caller.require_user()?;
        if caller.is_free() {
            return Ok(());
        }
        let keys = match self.store.lease(LeaseRequest::TimeToLive { id }).await {
            Ok(LeaseResponse::TimeToLive { keys, .. }) => keys,
            // A lease that does not exist has none.
            _ => Vec::new(),
        };
        keys.iter().try_for_each(|key| caller.require(access, key, &Bytes::new()))
    }

    /// Rises when users or roles change.
    pub(super) async fn revision(&self) -> Result<u64, Status> {
        Ok(self.model().await?.revision)
    }

    async fn model(&self) -> Result<Arc<Model>, Status> {
        let version = self.store.records_version();
        if let Some((known, model)) = &*self.model.read()
            && *known == version
        {
            return Ok(model.clone());
        }
        let records = self.store.records(Vec::new()).await.map_err(convert::status)?;
        // Without knowing who may what, nobody may anything.
        let model = Model::load(&records).map_err(|error| Status::data_loss(error.to_string()))?;
        let model = Arc::new(model);
        *self.model.write() = Some((version, model.clone()));
        Ok(model)
    }

    /// Changes users or roles, durably.
    async fn change<T>(&self, change: impl FnOnce(&mut Model) -> Result<T, Status>) -> Result<T, Status> {
        let _turn = self.turn.lock().await;
        let old = self.model().await?;
        let mut new = Model::clone(&old);
        let answer = change(&mut new)?;
        let changes = old.changes_to(&mut new);
        if changes.is_empty() {
            return Ok(answer);
        }
        // Another member may have made a change since, of which this one would not take note.
        let swapped = self.store.swap_records(old.revision_record(), changes).await;
        if swapped.map_err(convert::status)? { Ok(answer) } else { Err(refusal::old_revision()) }
    }

    async fn authenticate(&self, user: &str, password: String) -> Result<String, Status> {
        let model = self.model().await?;
        if !model.enabled {
            return Err(refusal::not_enabled());
        }
        if model.token_key.is_none() && self.config.jwt.is_none() {
            // Users that came with a snapshot of etcd's have none.
            let key = new_key()?;
            self.change(|model| Ok(_ = model.token_key.get_or_insert(key))).await?;
        }
        let hash = model.password(user)?.ok_or_else(refusal::auth_failed)?;
        let hash = String::from_utf8(hash.to_vec()).map_err(|_| refusal::auth_failed())?;
        let same = self.hash(move || bcrypt::verify(password, &hash)).await?;
        // The password may have been changed while it was compared.
        let now = self.model().await?;
        if !same || now.password(user)? != model.password(user)? {
            return Err(refusal::auth_failed());
        }
        match &self.config.jwt {
            Some(jwt) => {
                jwt.sign(user, now.revision, self.now().seconds()).ok_or_else(refusal::only_verifies)
            }
            None => {
                let token = token::sign(&now, user, self.now(), self.config.token_ttl);
                token.ok_or_else(refusal::auth_failed)
            }
        }
    }

    fn now(&self) -> Now {
        Now { here: Instant::now(), everywhere: (self.config.clock)() }
    }

    /// The stored form of a password.
    async fn hash_password(&self, password: String) -> Result<Bytes, Status> {
        let cost = self.config.bcrypt_cost;
        let hash = self.hash(move || bcrypt::non_truncating_hash(password, cost)).await?;
        Ok(hash.into())
    }

    async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, Status> {
        let broken = |error: &dyn std::fmt::Display| Status::invalid_argument(format!("etcdserver: {error}"));
        let _permit = self.hashing.acquire().await.map_err(|error| broken(&error))?;
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| broken(&error))?;
        done.map_err(|error| broken(&error))
    }
}

/// Looks at a token as a server does that has one user, `a`.
#[cfg(any(test, feature = "testing"))]
pub(super) fn verify_token(text: &str) -> bool {
    token::verify(&one_user(), text).is_some()
}

/// The token of that user.
#[cfg(any(test, feature = "testing"))]
pub(super) fn sign_token() -> Option<String> {
    let now = Now { everywhere: SystemTime::UNIX_EPOCH, here: Instant::now() };
    token::sign(&one_user(), "a", now, Duration::from_secs(300))
}

#[cfg(any(test, feature = "testing"))]
fn one_user() -> Model {
    let mut model = Model::default();
    model.token_key = Some(Bytes::from_static(b"key"));
    // There is no other of that name.
    let _ = model.add_user("a".into(), Bytes::from_static(b"hash"), None);
    model
}

/// Knows the caller of a stream for as long as it lasts; what they may can change meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    auth: Arc<Auth>,
    metadata: MetadataMap,
    certified: Certified,
}

impl Guard {
    pub(super) fn new<T>(server: &EtcdServer, request: &Request<T>) -> Self {
        let certified = server.certified(request).clone();
        Self { auth: server.auth.clone(), metadata: request.metadata().clone(), certified }
    }

    pub(super) async fn caller(&self) -> Result<Caller, Status> {
        self.auth.caller(&self.metadata, &self.certified).await
    }

    /// Whoever began the stream, as of now. A JSON Web Token that was good then may be over by now: nothing makes one live longer,
    /// and etcd does not look at it again.
    pub(super) async fn still(&self, beginner: &Caller) -> Result<Caller, Status> {
        let Caller { user, as_of: as_of @ Some(_), .. } = beginner else { return self.caller().await };
        Ok(Caller { model: self.auth.model().await?, user: user.clone(), as_of: *as_of })
    }

    /// Whether the stream should end when the group has no leader, instead of waiting for one.
    pub(super) fn wants_leader(&self) -> bool {
        self.metadata.get("hasleader").is_some_and(|value| value == "true")
    }
}
