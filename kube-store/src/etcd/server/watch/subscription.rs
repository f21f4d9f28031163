//! The watches of one client that read the same feed from the same place.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::encode::{self, Entry};
use super::feed::{Feed, Feeds, Found, Shape, Wake};
use crate::etcd::r#gen::etcdserverpb as pb;
use crate::etcd::server::group::Group;
use crate::etcd::server::metrics::Metrics;
use crate::{Error, Revision, Store};

/// One watch.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: i64,
    /// First revision that it wants.
    pub(super) from: Revision,
    pub(super) fragment: bool,
}

/// Where watches of one client are in a feed.
#[derive(Debug)]
pub(super) struct Subscription {
    shape: Shape,
    feed: Arc<Feed>,
    reader: u64,
    wake: Arc<Wake>,
    key: u64,
    pub(super) members: Vec<Member>,
    /// Everything up to this revision was sent.
    pub(super) position: Revision,
    /// What is being sent, its header, and to how many members it was.
    sending: Option<(Arc<Entry>, Bytes, usize)>,
    /// Events that were encoded and not counted.
    pub(super) events: u64,
    metrics: Arc<Metrics>,
    /// How many members are counted as slow.
    slow: i64,
    /// Reports of progress that were seen; none before the first look.
    reports: Option<u64>,
}

/// How far sending came.
#[derive(Debug)]
pub(super) enum Sent {
    /// The buffer is full.
    Full,
    /// Everything, with so many reports of progress.
    All(u64),
    /// What follows is not in the feed.
    Lost,
    /// The watches have ended.
    Ended(Error),
}

impl Subscription {
    pub(super) fn new(
        shape: Shape,
        feed: Arc<Feed>,
        position: Revision,
        wake: Arc<Wake>,
        key: u64,
        metrics: Arc<Metrics>,
    ) -> Self {
        let reader = feed.add_reader(wake.clone(), key);
        Self {
            shape,
            feed,
            reader,
            wake,
            key,
            members: Vec::new(),
            position,
            sending: None,
            events: 0,
            metrics,
            slow: 0,
            reports: None,
        }
    }

    pub(super) fn add(&mut self, member: Member) {
        self.members.push(member);
        self.count_slow();
    }

    /// Counts its members as slow while they have a feed of their own.
    fn count_slow(&mut self) {
        let members = i64::try_from(self.members.len()).unwrap_or(i64::MAX);
        let slow = if self.feed.is_shared() { 0 } else { members };
        self.metrics.slow_watchers.add(slow - std::mem::replace(&mut self.slow, slow));
    }

    /// Takes a member out; answers whether it was the last.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        if let Some(at) = self.members.iter().position(|member| member.id == id) {
            self.members.remove(at);
            if let Some((_, _, next)) = &mut self.sending
                && at < *next
            {
                *next -= 1;
            }
        }
        self.count_slow();
        self.members.is_empty()
    }

    pub(super) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Encodes what there is for all members, until the buffer has `enough`. `asked` says that the client waits for one answer
    /// about all of its watches, to which reports of progress go.
    pub(super) fn send(&mut self, group: &Group, asked: bool, buffer: &mut BytesMut, enough: usize) -> Sent {
        loop {
            if !self.send_entry(buffer, enough) {
                return Sent::Full;
            }
            match self.feed.after(self.reader, self.position) {
                Found::Entry(entry) => {
                    let header = encode::header(group.stamp(), entry.revision);
                    self.sending = Some((entry, header, 0));
                }
                Found::Nothing(position, reports) => {
                    self.position = position;
                    let is_news = self.reports.replace(reports).is_some_and(|seen| seen != reports);
                    if is_news && !asked && self.shape.progress_notify {
                        self.report(group, buffer);
                    }
                    return Sent::All(reports);
                }
                Found::Lost => return Sent::Lost,
                Found::Ended(error) => return Sent::Ended(error),
            }
        }
    }

    /// Goes on with the entry that is being sent; answers whether it is done.
    fn send_entry(&mut self, buffer: &mut BytesMut, enough: usize) -> bool {
        let Some((entry, header, next)) = &mut self.sending else { return true };
        for member in self.members.iter().skip(*next) {
            if buffer.len() >= enough {
                return false;
            }
            *next += 1;
            if entry.revision >= member.from {
                encode::put_events(buffer, header, member.id, entry, member.fragment);
                self.events += entry.count();
            }
        }
        self.position = entry.revision;
        self.sending = None;
        true
    }

    /// Passes on a report of progress.
    fn report(&self, group: &Group, buffer: &mut BytesMut) {
        let header = group.stamp().header(self.position);
        for member in &self.members {
            encode::put(buffer, &pb::WatchResponse { header, watch_id: member.id, ..Default::default() });
        }
    }

    /// Goes on in another feed after this one has lost what follows.
    pub(super) async fn go_back(&mut self, store: &dyn Store) -> crate::Result<()> {
        let (feed, _) = Feed::private(store, &self.shape, self.position + 1).await?;
        self.move_to(feed);
        Ok(())
    }

    /// Shares a feed again, once it is not behind.
    pub(super) fn catch_up(&mut self, feeds: &Feeds) {
        if !self.feed.is_shared()
            && let Some(feed) = feeds.find(&self.shape)
            && feed.has_after(self.position)
        {
            self.move_to(feed);
        }
    }

    fn move_to(&mut self, feed: Arc<Feed>) {
        self.feed.remove_reader(self.reader);
        self.reader = feed.add_reader(self.wake.clone(), self.key);
        self.feed = feed;
        self.reports = None;
        self.count_slow();
        // Whatever is there already is not told.
        self.wake.wake(self.key);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.remove_reader(self.reader);
        self.metrics.slow_watchers.add(-self.slow);
    }
}
