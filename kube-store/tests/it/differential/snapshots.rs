//! What the whole database holds: its snapshot, and the hash of everything.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::side::{Answer, Side, answer, header};
use crate::wire::etcdserverpb as pb;

/// Per bucket its entries, as text.
type Content = BTreeMap<String, Vec<String>>;

/// How long etcd may go on with a compaction after it has answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who the members are, which etcd's snapshot says and ours does not.
const OF_MEMBERS: [&str; 3] = ["cluster", "members", "members_removed"];

/// Compares what both have sent as their snapshots.
pub(super) async fn compare(ours: &mut Side, theirs: &mut Side, differences: &mut Vec<String>) {
    let found = ours.snapshot().await;
    let deadline = Instant::now() + PATIENCE;
    let mut wanted = theirs.snapshot().await;
    while wanted != found && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
        wanted = theirs.snapshot().await;
    }
    let buckets: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let none = Vec::new();
    for bucket in buckets {
        let [found, wanted] = [&found, &wanted].map(|content| content.get(bucket).unwrap_or(&none));
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|entry| !those.contains(entry)).cloned().collect()
        };
        if found != wanted {
            let (found, wanted) = (only(found, wanted), only(wanted, found));
            differences.push(format!("snapshot, {bucket}:\nours alone: {found:?}\netcd alone: {wanted:?}"));
        }
    }
}

impl Side {
    /// Whether the hash of everything stays as it is while nothing happens; what it is differs on purpose.
    pub(super) async fn hash_all(&mut self) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        let mut before = None;
        loop {
            let hashed = self.maintenance.hash(pb::HashRequest {}).await;
            let hash = hashed.as_ref().ok().map(|hashed| hashed.get_ref().hash);
            if hash.is_none() || hash == before || Instant::now() > deadline {
                return answer(hashed, |m| {
                    m.hash = u32::from(hash == before);
                    header(&mut m.header)
                });
            }
            before = hash;
        }
    }

    async fn snapshot(&mut self) -> Content {
        let mut stream = self.maintenance.snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
        let mut file = tempfile::NamedTempFile::new_in(crate::peer::scratch_folder()).unwrap();
        let mut remaining = u64::MAX;
        while let Some(part) = stream.message().await.unwrap() {
            // The checksum is not counted.
            assert!(part.remaining_bytes < remaining || part.remaining_bytes == 0, "{remaining}");
            remaining = part.remaining_bytes;
            file.write_all(&part.blob).unwrap();
        }
        assert_eq!(remaining, 0);
        content(kube_store::testing::snapshot_entries(file.path()).unwrap())
    }
}

fn content(buckets: kube_store::testing::SnapshotEntries) -> Content {
    let mut content = Content::new();
    let numbers = &buckets[&b"meta"[..]];
    let compacted = numbers.iter().find(|(key, _)| key == b"finishedCompactRev");
    // Newer etcds keep what was deleted in the revision at which history starts.
    let is_spent = |key: &[u8]| {
        compacted.is_some_and(|(_, revision)| key.get(..8) == revision.get(..8)) && key.ends_with(b"t")
    };
    for (bucket, entries) in &buckets {
        let bucket = String::from_utf8(bucket.clone()).unwrap();
        if OF_MEMBERS.contains(&&*bucket) {
            continue;
        }
        let kept = entries.iter().filter(|(key, _)| bucket != "key" || !is_spent(key));
        let entries = kept.filter_map(|(key, value)| entry(&bucket, key, value));
        content.insert(bucket.clone(), entries.collect());
    }
    content
}

/// An entry with what is everybody's own made equal; `None` for what only one of them has.
fn entry(bucket: &str, key: &[u8], value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(key);
    Some(match bucket {
        "key" => format!("{} {:?}", key.escape_ascii(), pb::KeyValue::decode(value).unwrap()),
        // How far the log was applied, and by whom.
        "meta" if !text.ends_with("CompactRev") => return None,
        // Tokens are signed here, and what counts as a change differs.
        "auth" if ["tokenKey", "authRevision"].contains(&&*text) => return None,
        "authUsers" => {
            let mut user = pb::User::decode(value).unwrap();
            // It is salted; and 3.4 keeps one for who logs in without.
            let none = user.password.is_empty() || user.options.is_some_and(|options| options.no_password);
            user.password = if none { "" } else { "some" }.into();
            format!("{text} {user:?}")
        }
        "authRoles" => {
            let mut role = pb::Role::decode(value).unwrap();
            role.key_permission.sort_by(|a, b| (&a.key, &a.range_end).cmp(&(&b.key, &b.range_end)));
            format!("{text} {role:?}")
        }
        "lease" => {
            let lease = pb::LeaseRecord::decode(value).unwrap();
            format!("{key:?} {} {}", lease.id, lease.ttl)
        }
        _ => format!("{} {}", key.escape_ascii(), value.escape_ascii()),
    })
}
