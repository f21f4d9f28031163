//! The watches of one client that read the same feed from the same place.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::encode::{self, Entry, Sending};
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
    /// Largest response that it takes in one part; the others come in several.
    pub(super) largest: usize,
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
    /// What is being sent.
    current: Option<Current>,
    /// Events and responses that were encoded and not counted.
    pub(super) events: u64,
    pub(super) responses: u64,
    metrics: Arc<Metrics>,
    /// How many members are counted as slow.
    slow: i64,
    /// Reports of progress that were seen; none before the first look.
    reports: Option<u64>,
}

/// What is being sent to each member in turn.
#[derive(Debug)]
struct Current {
    entry: Arc<Entry>,
    header: Bytes,
    /// To how many members it was.
    done: usize,
    /// How far it is to the next one, once it has begun.
    sending: Option<Sending>,
}

/// How far sending came.
#[derive(Debug)]
pub(super) enum Sent {
    /// The buffer is full.
    Full,
    /// The buffer is full with a part of a response, which nothing but its rest may follow.
    Part,
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
            current: None,
            events: 0,
            responses: 0,
            metrics,
            slow: 0,
            reports: None,
        }
    }

    pub(super) fn add(&mut self, member: Member) {
        self.members.push(member);
        self.count_slow();
    }

    /// Counts its members as slow while what they have to read is not new.
    fn count_slow(&mut self) {
        let members = i64::try_from(self.members.len()).unwrap_or(i64::MAX);
        let slow = if self.feed.is_behind() { members } else { 0 };
        self.metrics.slow_watchers.add(slow - std::mem::replace(&mut self.slow, slow));
    }

    /// Takes a member out; answers whether it was the last.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        if let Some(at) = self.members.iter().position(|member| member.id == id) {
            self.members.remove(at);
            if let Some(current) = &mut self.current
                && at < current.done
            {
                current.done -= 1;
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
            if let Some(full) = self.send_entry(buffer, enough) {
                return full;
            }
            let found = self.feed.after(self.reader, self.position);
            if self.slow > 0 || !self.feed.is_shared() {
                self.count_slow();
            }
            match found {
                Found::Entry(entry) => {
                    let header = encode::header(group.stamp(), entry.revision);
                    self.current = Some(Current { entry, header, done: 0, sending: None });
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

    /// Goes on with the entry that is being sent; answers why it is not done.
    fn send_entry(&mut self, buffer: &mut BytesMut, enough: usize) -> Option<Sent> {
        let Current { entry, header, done, sending } = self.current.as_mut()?;
        while let Some(member) = self.members.get(*done) {
            if buffer.len() >= enough && sending.is_none() {
                return Some(Sent::Full);
            }
            let to_member = sending.get_or_insert_with(|| Sending::new(entry, member.from));
            let left = to_member.left(entry);
            let put = to_member.put(entry, header, member, (buffer, enough), || self.responses += 1);
            self.events += left - to_member.left(entry);
            if !put {
                return Some(if to_member.is_amid() { Sent::Part } else { Sent::Full });
            }
            *done += 1;
            *sending = None;
        }
        self.position = entry.revision;
        self.current = None;
        None
    }

    /// Passes on a report of progress.
    fn report(&mut self, group: &Group, buffer: &mut BytesMut) {
        let header = group.stamp().header(self.position);
        self.responses += self.members.len() as u64;
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
