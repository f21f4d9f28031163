//! Alarms: what stops writes until somebody says that it is mended.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use tonic::Status;

use super::convert;
use crate::Store;
use crate::etcd::r#gen::etcdserverpb::{AlarmMember, AlarmType};

/// The bucket in which etcd keeps them.
const BUCKET: &[u8] = b"alarm/";

/// The alarms that are raised, of members and by kind. The store keeps them; they are read when its records changed.
#[derive(Debug)]
pub(super) struct Alarms {
    store: Arc<dyn Store>,
    member: u64,
    raised: RwLock<Option<Raised>>,
}

/// What was raised when the store's records had this version.
#[derive(Debug, Default)]
struct Raised {
    version: u64,
    all: BTreeSet<(u64, i32)>,
}

impl Alarms {
    pub(super) fn new(store: Arc<dyn Store>, member: u64) -> Self {
        Self { store, member, raised: RwLock::default() }
    }

    /// The alarms of a kind, or all.
    pub(super) async fn list(&self, kind: AlarmType) -> Result<Vec<AlarmMember>, Status> {
        self.load().await?;
        let raised = self.raised.read();
        let all = raised
            .iter()
            .flat_map(|raised| &raised.all)
            .map(|(member_id, alarm)| AlarmMember { member_id: *member_id, alarm: *alarm });
        Ok(all.filter(|member| kind == AlarmType::None || member.alarm() == kind).collect())
    }

    /// Raises one; it may be already.
    pub(super) async fn raise(&self, member: AlarmMember) -> Result<(), Status> {
        self.load().await?;
        self.set(&member, true).await
    }

    /// Ends one; answers whether it was raised.
    pub(super) async fn end(&self, member: AlarmMember) -> Result<bool, Status> {
        let known = self.list(AlarmType::None).await?.contains(&member);
        if known {
            self.set(&member, false).await?;
        }
        Ok(known)
    }

    /// Refuses what an alarm stops; `puts` says whether space is needed.
    pub(super) async fn check(&self, puts: bool) -> Result<(), Status> {
        self.load().await?;
        let raised = self.raised.read();
        let is = |kind: AlarmType| raised.iter().flat_map(|r| &r.all).any(|(_, alarm)| *alarm == kind as i32);
        if is(AlarmType::Corrupt) {
            return Err(Status::data_loss("etcdserver: corrupt cluster"));
        }
        if puts && is(AlarmType::Nospace) { Err(no_space()) } else { Ok(()) }
    }

    /// Notes that the store is full.
    pub(super) async fn no_space(&self) -> Result<(), Status> {
        self.raise(AlarmMember { member_id: self.member, alarm: AlarmType::Nospace.into() }).await
    }

    async fn set(&self, member: &AlarmMember, raised: bool) -> Result<(), Status> {
        let name: Bytes = [BUCKET, &member.encode_to_vec()].concat().into();
        // A full store must still note that it is full, so an alarm that cannot be kept counts until the server ends.
        let kept = self.store.records(vec![(name, raised.then(Bytes::new))]).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "an alarm is not kept");
        }
        let mut all = self.raised.write();
        let all = &mut all.get_or_insert_default().all;
        let alarm = (member.member_id, member.alarm);
        if raised {
            all.insert(alarm)
        } else {
            all.remove(&alarm)
        };
        Ok(())
    }

    async fn load(&self) -> Result<(), Status> {
        let version = self.store.records_version();
        if self.raised.read().as_ref().is_some_and(|raised| raised.version == version) {
            return Ok(());
        }
        let records = self.store.records(Vec::new()).await.map_err(convert::status)?;
        let members = records.keys().filter_map(|name| AlarmMember::decode(name.strip_prefix(BUCKET)?).ok());
        let all = members.map(|member| (member.member_id, member.alarm)).collect();
        *self.raised.write() = Some(Raised { version, all });
        Ok(())
    }
}

fn no_space() -> Status {
    Status::resource_exhausted("etcdserver: mvcc: database space exceeded")
}
