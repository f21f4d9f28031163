//! All versions that a store keeps, as etcd keeps them: its hash, and its database file.
//!
//! Only the seam is asked, so it works on every store: the keys as they were when history starts, and a watch from there.

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};

use bytes::Bytes;
use futures::StreamExt;
use prost::Message;

use super::bolt::write::{Bucket, Writer};
use super::{checksum, convert};
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::{
    Error, Event, EventKind, KeyRange, KeyValue, LeaseRequest, LeaseResponse, RangeRequest, Result, Revision,
    Store, WatchRequest,
};

/// Name of etcd's bucket of versions.
pub(super) const KEYS: &str = "key";
/// Name of etcd's bucket of leases.
pub(super) const LEASES: &str = "lease";
/// Name of etcd's bucket of numbers, and the one that says where history starts.
pub(super) const META: &str = "meta";
/// Key of the compaction that was asked for, within [`META`].
pub(super) const SCHEDULED: &str = "scheduledCompactRev";
/// Key of the compaction that was done, within [`META`].
pub(super) const FINISHED: &str = "finishedCompactRev";

/// Buckets that etcd expects, or makes, beside those of our records.
const EMPTY: [&str; 8] =
    ["alarm", "auth", "authRoles", "authUsers", "cluster", "members", "members_removed", LEASES];

/// Everything kept at one revision. Holds references into the store's memory where the store has one.
#[derive(Debug)]
pub(super) struct History {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    /// The keys as they were at `compacted`, and which change of its transaction wrote each, in that order.
    base: Vec<(KeyValue, i64)>,
    /// What happened after it, in order.
    changes: Vec<Event>,
}

impl History {
    /// Reads it up to `revision`, or to the current one.
    pub(super) async fn read(store: &dyn Store, revision: Option<Revision>) -> Result<Self> {
        loop {
            let status = store.status().await?;
            let revision = revision.unwrap_or(status.revision);
            match Self::between(store, status.compacted, revision).await {
                // History was compacted meanwhile, so there is less to read now.
                Err(Error::Compacted { compacted }) if compacted < revision => {}
                read => return read,
            }
        }
    }

    async fn between(store: &dyn Store, compacted: Revision, revision: Revision) -> Result<Self> {
        let mut base = Vec::new();
        if compacted > 0 {
            let kvs = store.range(RangeRequest::default().at_revision(compacted)).await?.kvs;
            base = placed(kvs, store.places(compacted).await?.as_ref());
        }
        let mut changes = Vec::new();
        // Revision 1 is that of an empty store.
        let mut seen = compacted.max(1);
        if seen < revision {
            let mut watch = store.watch(WatchRequest::new(KeyRange::All).from_revision(seen + 1)).await?;
            while seen < revision {
                let response = watch.next().await.ok_or_else(Error::closed)??;
                seen = response.revision;
                changes.extend(response.events);
            }
        }
        Ok(Self { revision, compacted, base, changes })
    }

    /// Each version as an entry of etcd's database, in order.
    fn entries(&self) -> impl Iterator<Item = (&Bytes, Vec<u8>, Vec<u8>)> {
        let base = self.base.iter().map(|(kv, place)| (EventKind::Put, kv, *place));
        let mut last = (0, 0);
        let changes = self.changes.iter().map(move |event| {
            let revision = event.kv.mod_revision;
            last = (revision, if revision == last.0 { last.1 + 1 } else { 0 });
            (event.kind, &event.kv, last.1)
        });
        base.chain(changes).map(|(kind, kv, place)| {
            let (mut key, deleted) = (revision_key(kv.mod_revision, place), kind == EventKind::Delete);
            key.extend(deleted.then_some(b't'));
            let message = match deleted {
                true => pb::KeyValue { key: kv.key.clone(), ..Default::default() },
                false => convert::key_value(kv.clone()),
            };
            (&kv.key, key, message.encode_to_vec())
        })
    }

    /// The hash that etcd makes of it: of the entries after the compaction, and of those before that are still read; but of
    /// all when no key is left.
    pub(super) fn hash(&self) -> u32 {
        let mut changed: BTreeMap<_, _> =
            self.changes.iter().map(|event| (&event.kv.key, event.kind)).collect();
        let unchanged = self.base.iter().filter(|(kv, _)| !changed.contains_key(&kv.key)).count();
        if unchanged == 0 && changed.values().all(|kind| *kind == EventKind::Delete) {
            changed.clear();
        }
        let mut hash = checksum::Crc32c::default();
        hash.update(KEYS.as_bytes());
        for (n, (name, key, value)) in self.entries().enumerate() {
            if n >= self.base.len() || !changed.contains_key(name) {
                hash.update(&key);
                hash.update(&value);
            }
        }
        hash.finish()
    }

    /// Writes etcd's database file. Entries of `records` are named by their bucket, a slash, and their key in it.
    pub(super) fn write<W: Write + Seek>(
        &self,
        out: W,
        leases: &[pb::LeaseRecord],
        records: &BTreeMap<Bytes, Bytes>,
    ) -> io::Result<W> {
        let mut writer = Writer::new(out)?;
        let mut keys = Bucket::default();
        for (_, key, value) in self.entries() {
            writer.add(&mut keys, &key, &value)?;
        }
        writer.finish_bucket(KEYS.as_bytes(), keys)?;
        for (name, entries) in self.small_buckets(leases, records) {
            let mut bucket = Bucket::default();
            for (key, value) in entries {
                writer.add(&mut bucket, &key, &value)?;
            }
            writer.finish_bucket(name.as_bytes(), bucket)?;
        }
        writer.finish()
    }

    /// Everything but the versions.
    fn small_buckets(
        &self,
        leases: &[pb::LeaseRecord],
        records: &BTreeMap<Bytes, Bytes>,
    ) -> BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut buckets: BTreeMap<_, BTreeMap<_, _>> =
            EMPTY.iter().map(|name| ((*name).to_owned(), BTreeMap::new())).collect();
        for (name, value) in records {
            if let Some(slash) = name.iter().position(|byte| *byte == b'/') {
                let (bucket, key) = (name.slice(..slash), name.slice(slash + 1..));
                let bucket = String::from_utf8_lossy(&bucket).into_owned();
                buckets.entry(bucket).or_default().insert(key.to_vec(), value.to_vec());
            }
        }
        for lease in leases {
            let entry = (lease.id.to_be_bytes().to_vec(), lease.encode_to_vec());
            buckets.entry(LEASES.to_owned()).or_default().extend([entry]);
        }
        let meta = buckets.entry(META.to_owned()).or_default();
        meta.insert(b"consistent_index".to_vec(), self.revision.to_be_bytes().to_vec());
        if self.compacted > 0 {
            for name in [SCHEDULED, FINISHED] {
                meta.insert(name.into(), revision_key(self.compacted, 0));
            }
        }
        buckets
    }
}

/// Keys with their places in their transactions, in that order. Where a store does not know them they are made anew: the
/// keys that one transaction wrote count from 0 in their order.
fn placed(mut kvs: Vec<KeyValue>, places: Option<&BTreeMap<Bytes, u32>>) -> Vec<(KeyValue, i64)> {
    kvs.sort_by(|a, b| (a.mod_revision, &a.key).cmp(&(b.mod_revision, &b.key)));
    let mut last = (0, 0);
    let mut base: Vec<_> = kvs
        .into_iter()
        .map(|kv| {
            last = (kv.mod_revision, if kv.mod_revision == last.0 { last.1 + 1 } else { 0 });
            let known = places.map(|places| places.get(&kv.key).copied().unwrap_or(0).into());
            let place = known.unwrap_or(last.1);
            (kv, place)
        })
        .collect();
    base.sort_by_key(|(kv, place)| (kv.mod_revision, *place));
    base
}

/// The form of a revision in etcd's database.
pub(super) fn revision_key(main: Revision, sub: i64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes()].concat()
}

/// All leases, as etcd records them.
pub(super) async fn leases(store: &dyn Store) -> Result<Vec<pb::LeaseRecord>> {
    let LeaseResponse::Leases(ids) = store.lease(LeaseRequest::List).await? else { return Ok(Vec::new()) };
    let mut leases = Vec::with_capacity(ids.len());
    for id in ids {
        // One that ended since is not there any more, and neither are its keys after the snapshot's revision.
        if let Ok(LeaseResponse::TimeToLive { granted, remaining, .. }) =
            store.lease(LeaseRequest::TimeToLive { id }).await
        {
            let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            leases.push(pb::LeaseRecord { id, ttl: seconds(granted), remaining_ttl: seconds(remaining) });
        }
    }
    leases.sort_unstable_by_key(|lease| lease.id);
    Ok(leases)
}
