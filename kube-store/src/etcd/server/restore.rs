//! Filling an engine from a database file of etcd's.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::bolt::read::Reader;
use super::history::{FINISHED, KEYS, LEASES, META, SCHEDULED};
use crate::engine::{Batch, Engine};
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::mvcc::{Change, State};
use crate::{Error, KeyValue, Result, Revision};

/// Buckets that become records. Members and their cluster are not ours.
const RECORDS: [&str; 4] = ["alarm", "auth", "authRoles", "authUsers"];

/// Bytes collected before they are committed.
const CHUNK: usize = 4 << 20;

/// Whether a snapshot has to end with its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotCheck {
    /// It has, as `etcdctl snapshot save` writes it.
    Required,
    /// It need not, as a database file copied out of etcd's folder.
    Skipped,
}

/// Puts all that `snapshot` has into an empty engine; answers its revision.
pub(crate) fn restore(snapshot: &Path, check: SnapshotCheck, engine: &mut dyn Engine) -> Result<Revision> {
    let mut file = File::open(snapshot).map_err(Error::storage)?;
    let length = checked_length(&mut file, check)?;
    let mut empty = true;
    let found = engine.scan(&[], &mut |_, _| {
        empty = false;
        Err(std::io::ErrorKind::AlreadyExists.into())
    });
    if !empty {
        return Err(Error::storage(std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            "the data directory is not empty",
        )));
    }
    found.map_err(Error::storage)?;
    fill(BufReader::with_capacity(1 << 16, file), length, engine)?;
    // Opening it finds what does not fit together.
    State::load(engine, Instant::now()).map(|state| state.head())
}

/// Length of the database without its checksum, which is right.
fn checked_length(file: &mut File, check: SnapshotCheck) -> Result<u64> {
    /// Pages are multiples of this, so whatever is left over is a checksum.
    const UNIT: u64 = 512;
    let length = file.metadata().map_err(Error::storage)?.len();
    let sum_length = length % UNIT;
    if sum_length != 32 {
        return match check {
            SnapshotCheck::Required => Err(Error::corrupt("the snapshot has no checksum")),
            SnapshotCheck::Skipped => Ok(length),
        };
    }
    let length = length - sum_length;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    let mut rest = file.by_ref().take(length);
    loop {
        match rest.read(&mut buffer).map_err(Error::storage)? {
            0 => break,
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    let mut sum = [0; 32];
    file.read_exact(&mut sum).map_err(Error::storage)?;
    if check == SnapshotCheck::Required && hash.finalize().as_slice() != sum {
        return Err(Error::corrupt("the snapshot's checksum is another"));
    }
    file.seek(SeekFrom::Start(0)).map_err(Error::storage)?;
    Ok(length)
}

/// Every entry of a snapshot by its bucket; refuses one whose checksum is wrong.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn entries(snapshot: &Path) -> Result<std::collections::BTreeMap<Vec<u8>, Entries>> {
    let mut file = File::open(snapshot).map_err(Error::storage)?;
    let length = checked_length(&mut file, SnapshotCheck::Required)?;
    let mut reader = Reader::open(BufReader::new(file), length)?;
    let mut all = std::collections::BTreeMap::new();
    for bucket in reader.buckets()? {
        let mut entries = Entries::new();
        reader.visit(&bucket, &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        all.insert(bucket, entries);
    }
    Ok(all)
}

/// Keys and values in order.
#[cfg(any(test, feature = "testing"))]
pub(crate) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Translates every entry of a database into changes, and commits them.
pub(crate) fn fill(source: impl Read + Seek, length: u64, engine: &mut dyn Engine) -> Result<()> {
    let mut reader = Reader::open(source, length)?;
    let mut sink = Sink { engine, batch: Batch::default(), bytes: 0 };
    sink.add(&Change::Format)?;
    let mut compacted = 0;
    reader.visit(META.as_bytes(), &mut |key, value| {
        if [SCHEDULED.as_bytes(), FINISHED.as_bytes()].contains(&key) {
            compacted = compacted.max(revision(value)?.main);
        }
        Ok(())
    })?;
    if compacted > 0 {
        sink.add(&Change::Compact { revision: compacted })?;
    }
    reader.visit(LEASES.as_bytes(), &mut |_, value| sink.add(&lease(value)?))?;
    for bucket in RECORDS {
        reader.visit(bucket.as_bytes(), &mut |key, value| {
            let key = [bucket.as_bytes(), b"/", key].concat().into();
            sink.add(&Change::Record { key, value: Some(Bytes::copy_from_slice(value)) })
        })?;
    }
    let found = reader.visit(KEYS.as_bytes(), &mut |key, value| sink.add(&version(key, value)?))?;
    if !found {
        return Err(Error::corrupt("the snapshot has no keys, not even none"));
    }
    sink.commit()
}

struct Sink<'a> {
    engine: &'a mut dyn Engine,
    batch: Batch,
    bytes: usize,
}

impl Sink<'_> {
    fn add(&mut self, change: &Change) -> Result<()> {
        change.encode(&mut self.batch);
        self.bytes += match change {
            Change::Write { kv, .. } => kv.bytes() + 64,
            _ => 64,
        };
        if self.bytes < CHUNK { Ok(()) } else { self.commit() }
    }

    fn commit(&mut self) -> Result<()> {
        self.engine.commit(&self.batch).map_err(Error::storage)?;
        self.batch.clear();
        self.bytes = 0;
        Ok(())
    }
}

struct VersionKey {
    main: Revision,
    sub: u32,
    deleted: bool,
}

/// Reads etcd's form of a revision.
fn revision(key: &[u8]) -> Result<VersionKey> {
    let parse = || {
        let (main, rest) = key.split_first_chunk()?;
        let (sub, rest) = rest.strip_prefix(b"_")?.split_first_chunk()?;
        let main = Revision::from_be_bytes(*main);
        let sub = u32::try_from(i64::from_be_bytes(*sub)).ok()?;
        (main > 0 && matches!(rest, b"" | b"t")).then_some(VersionKey { main, sub, deleted: rest == b"t" })
    };
    parse().ok_or_else(|| Error::corrupt(format!("revision {}", key.escape_ascii())))
}

fn version(key: &[u8], value: &[u8]) -> Result<Change> {
    let VersionKey { main, sub, deleted } = revision(key)?;
    let kv = pb::KeyValue::decode(value).map_err(|error| Error::corrupt(error.to_string()))?;
    let fits = !kv.key.is_empty() && (deleted || (kv.mod_revision == main && kv.version > 0));
    if !fits {
        return Err(Error::corrupt(format!("what is at revision {main} is another")));
    }
    let mut kv = KeyValue {
        key: kv.key,
        value: kv.value,
        create_revision: kv.create_revision,
        mod_revision: main,
        version: kv.version,
        lease: kv.lease,
    };
    if deleted {
        kv = KeyValue { key: kv.key, mod_revision: main, ..KeyValue::default() };
    }
    Ok(Change::Write { sub, kv })
}

fn lease(value: &[u8]) -> Result<Change> {
    let lease = pb::LeaseRecord::decode(value).map_err(|error| Error::corrupt(error.to_string()))?;
    let seconds = u64::try_from(lease.ttl).unwrap_or(0).max(1);
    Ok(Change::Grant { id: lease.id, ttl: Duration::from_secs(seconds), left: None })
}
