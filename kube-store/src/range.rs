//! Reading keys.

use bytes::Bytes;

use crate::{KeyRange, KeyValue, Revision};

/// Asks for the keys of a set, in key order unless a sort is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRequest {
    /// Which keys.
    pub range: KeyRange,
    /// As they were at this revision; `None` or a number below 1 for the current one.
    pub revision: Option<Revision>,
    /// At most so many keys, 0 for all.
    pub limit: usize,
    /// Order of the answer, before `limit` applies.
    pub sort: Option<Sort>,
    /// What of each key to answer.
    pub content: RangeContent,
    /// Leave out keys changed before this revision, 0 for none.
    pub min_mod_revision: Revision,
    /// Leave out keys changed after this revision, 0 for none.
    pub max_mod_revision: Revision,
    /// Leave out keys created before this revision, 0 for none.
    pub min_create_revision: Revision,
    /// Leave out keys created after this revision, 0 for none.
    pub max_create_revision: Revision,
}

/// What a range answers for each key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RangeContent {
    /// Keys with values.
    #[default]
    KeysAndValues,
    /// Keys with an empty value.
    KeysOnly,
    /// Only the number of keys.
    CountOnly,
}

/// Order of a range's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// What to compare.
    pub target: SortTarget,
    /// In which direction.
    pub order: SortOrder,
}

/// What a sort compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    Key,
    /// Puts since creation.
    Version,
    /// Revision of creation.
    CreateRevision,
    /// Revision of the last change.
    ModRevision,
    /// The value.
    Value,
}

/// Direction of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortOrder {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Default for RangeRequest {
    /// Every key, now.
    fn default() -> Self {
        Self::new(KeyRange::All)
    }
}

impl RangeRequest {
    /// The keys of `range`, now.
    pub fn new(range: KeyRange) -> Self {
        Self {
            range,
            revision: None,
            limit: 0,
            sort: None,
            content: RangeContent::default(),
            min_mod_revision: 0,
            max_mod_revision: 0,
            min_create_revision: 0,
            max_create_revision: 0,
        }
    }

    /// One key.
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self::new(KeyRange::Key(key.into()))
    }

    /// All keys that start with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        Self::new(KeyRange::Prefix(prefix.into()))
    }

    /// At most `limit` keys, 0 for all.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// As of `revision`.
    #[must_use]
    pub fn at_revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// In this order.
    #[must_use]
    pub fn sorted(mut self, target: SortTarget, order: SortOrder) -> Self {
        self.sort = Some(Sort { target, order });
        self
    }

    /// Keys without values.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.content = RangeContent::KeysOnly;
        self
    }

    /// Only the number of keys.
    #[must_use]
    pub fn count_only(mut self) -> Self {
        self.content = RangeContent::CountOnly;
        self
    }

    /// The revision asked for, if it is not the current one.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.revision.filter(|r| *r > 0)
    }

    /// Whether the revision filters let `kv` pass.
    pub(crate) fn admits(&self, kv: &KeyValue) -> bool {
        let within = |value, min, max| value >= min && (max == 0 || value <= max);
        within(kv.mod_revision, self.min_mod_revision, self.max_mod_revision)
            && within(kv.create_revision, self.min_create_revision, self.max_create_revision)
    }
}

/// Answer to a [`RangeRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeResponse {
    /// The store's revision when it answered (not the one asked for); within a transaction, that of the transaction once
    /// something is changed.
    pub revision: Revision,
    /// The keys.
    pub kvs: Vec<KeyValue>,
    /// Whether `limit` cut the answer.
    pub more: bool,
    /// Keys in the set at the revision asked for, whatever limit and filters say.
    pub count: u64,
}

impl Sort {
    pub(crate) fn apply(self, kvs: &mut [KeyValue]) {
        kvs.sort_by(|a, b| {
            let ascending = match self.target {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::CreateRevision => a.create_revision.cmp(&b.create_revision),
                SortTarget::ModRevision => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            };
            match self.order {
                SortOrder::Ascending => ascending,
                SortOrder::Descending => ascending.reverse(),
            }
        });
    }
}
