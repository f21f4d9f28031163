//! The text that Prometheus reads.

use std::fmt::{Display, Write};

use super::super::etcd_server::{EtcdServer, VERSION};
use super::Metrics;
use super::process;
use crate::measure::Histogram;

/// A page that grows, one family after the other.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    family: &'static str,
}

// Writing to a string does not fail.
impl Page {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &'static str, kind: &str) {
        self.family = name;
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
    }

    /// Adds a value of the family.
    pub(super) fn sample(&mut self, part: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.text, "{}{part} {value}", self.family),
            _ => writeln!(self.text, "{}{part}{{{labels}}} {value}", self.family),
        };
    }

    /// Adds the values of the family that are in a histogram.
    pub(super) fn histogram(&mut self, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        for (bound, up_to) in histogram.up_to() {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
            self.sample("_bucket", &format!("{labels}{comma}le=\"{bound}\""), up_to);
            count = up_to;
        }
        self.sample("_sum", labels, histogram.sum());
        self.sample("_count", labels, count);
    }

    /// A family of one value.
    pub(super) fn one(&mut self, name: &'static str, kind: &str, value: impl Display) {
        self.family(name, kind);
        self.sample("", "", value);
    }

    fn times(&mut self, name: &'static str, histogram: &Histogram) {
        self.family(name, "histogram");
        self.histogram("", histogram);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

impl EtcdServer {
    /// The page.
    pub(in super::super) async fn metrics_page(&self) -> String {
        let mut page = Page::default();
        self.put_group(&mut page).await;
        self.metrics.put(&mut page);
        self.put_disk(&mut page);
        #[cfg(feature = "raft")]
        if let Some(peers) = &self.config.peers {
            put_peers(&mut page, peers);
        }
        self.metrics.calls.put(&mut page);
        process::put(&mut page);
        page.finish()
    }

    /// How the store and its group are.
    async fn put_group(&self, page: &mut Page) {
        let status = self.store.status().await.unwrap_or_default();
        let view = self.group.view(status.revision);
        let own = self.group.stamp().member;
        let has_leader = status.failure.is_none() && view.leader != 0;
        let auth = self.auth.revision().await.unwrap_or(0);
        for (kind, name, value) in [
            ("gauge", "etcd_server_has_leader", u64::from(has_leader)),
            ("gauge", "etcd_server_is_leader", u64::from(has_leader && view.leader == own)),
            ("gauge", "etcd_server_is_learner", u64::from(view.is_learner)),
            ("gauge", "etcd_server_proposals_committed_total", view.committed),
            ("gauge", "etcd_server_proposals_applied_total", view.applied),
            ("counter", "etcd_server_heartbeat_send_failures_total", view.late_heartbeats),
            ("gauge", "etcd_server_quota_backend_bytes", self.config.quota_bytes),
            ("gauge", "etcd_mvcc_db_total_size_in_bytes", self.size(&status)),
            ("gauge", "etcd_mvcc_db_total_size_in_use_in_bytes", status.bytes),
            ("gauge", "etcd_debugging_mvcc_keys_total", status.keys),
            ("gauge", "etcd_debugging_mvcc_current_revision", status.revision.cast_unsigned()),
            ("gauge", "etcd_debugging_mvcc_compact_revision", status.compacted.cast_unsigned()),
            ("gauge", "etcd_debugging_auth_revision", auth),
        ] {
            page.one(name, kind, value);
        }
        page.family("etcd_server_version", "gauge");
        page.sample("", &format!("server_version=\"{VERSION}\""), 1);
        page.family("etcd_cluster_version", "gauge");
        page.sample("", "cluster_version=\"3.5\"", 1);
        page.family("etcd_server_id", "gauge");
        page.sample("", &format!("server_id=\"{own:x}\""), 1);
    }

    fn put_disk(&self, page: &mut Page) {
        let Some(disk) = &self.config.disk else { return };
        // A commit here is what etcd does twice: to its log, and to its database.
        page.times("etcd_disk_wal_fsync_duration_seconds", &disk.commits);
        page.times("etcd_disk_backend_commit_duration_seconds", &disk.commits);
        page.one("etcd_disk_wal_write_bytes_total", "gauge", disk.written.get());
    }
}

#[cfg(feature = "raft")]
fn put_peers(page: &mut Page, peers: &crate::raft::PeerMetrics) {
    let links = peers.links();
    page.family("etcd_network_peer_sent_bytes_total", "counter");
    links.iter().for_each(|(id, link)| page.sample("", &format!("To=\"{id:x}\""), link.sent.get()));
    page.family("etcd_network_peer_received_bytes_total", "counter");
    links.iter().for_each(|(id, link)| page.sample("", &format!("From=\"{id:x}\""), link.received.get()));
    page.family("etcd_network_peer_sent_failures_total", "counter");
    links.iter().for_each(|(id, link)| page.sample("", &format!("To=\"{id:x}\""), link.broken.get()));
    page.family("etcd_network_peer_round_trip_time_seconds", "histogram");
    links.iter().for_each(|(id, link)| page.histogram(&format!("To=\"{id:x}\""), &link.round_trips));
}

impl Metrics {
    fn put(&self, page: &mut Page) {
        for (name, count) in [
            ("etcd_server_leader_changes_seen_total", &self.leader_changes),
            ("etcd_server_proposals_failed_total", &self.failed),
            ("etcd_server_slow_apply_total", &self.slow),
            ("etcd_server_read_indexes_failed_total", &self.reads_failed),
            ("etcd_server_learner_promote_successes", &self.promoted),
            ("etcd_server_health_success", &self.healthy),
            ("etcd_server_health_failures", &self.unhealthy),
            ("etcd_network_client_grpc_received_bytes_total", &self.traffic.received),
            ("etcd_network_client_grpc_sent_bytes_total", &self.traffic.sent),
            ("etcd_mvcc_put_total", &self.puts),
            ("etcd_mvcc_delete_total", &self.deletes),
            ("etcd_mvcc_range_total", &self.ranges),
            ("etcd_mvcc_txn_total", &self.txns),
            ("etcd_debugging_mvcc_events_total", &self.events),
            ("etcd_debugging_lease_granted_total", &self.leases_granted),
            ("etcd_debugging_lease_renewed_total", &self.leases_renewed),
            ("etcd_debugging_lease_revoked_total", &self.leases_revoked),
        ] {
            page.one(name, "counter", count.get());
        }
        for (name, gauge) in [
            ("etcd_server_proposals_pending", &self.pending),
            ("etcd_disk_defrag_inflight", &self.defragmenting),
            ("etcd_debugging_mvcc_watch_stream_total", &self.watch_streams),
            ("etcd_debugging_mvcc_watcher_total", &self.watchers),
            ("etcd_debugging_mvcc_slow_watcher_total", &self.slow_watchers),
        ] {
            page.one(name, "gauge", gauge.get());
        }
        page.one("etcd_debugging_mvcc_db_compaction_last", "gauge", self.compacted_at.get());
        page.times("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", &self.compactions);
        page.times("etcd_debugging_lease_ttl_total", &self.lease_ttls);
        page.times("etcd_disk_backend_snapshot_duration_seconds", &self.snapshots);
        page.times("etcd_disk_backend_defrag_duration_seconds", &self.defragmentations);
        page.times("etcd_mvcc_hash_duration_seconds", &self.hashes);
        page.times("etcd_mvcc_hash_rev_duration_seconds", &self.revision_hashes);
    }
}
