//! The table of kinds.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::{Kind, rows};

/// A group with the versions it is served in, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupVersion {
    /// The group; empty for the core group.
    pub group: String,
    /// Its versions, the preferred one first.
    pub versions: Vec<String>,
}

/// An immutable table of kinds. Adding kinds makes a new table, so that readers never wait.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    rows: Vec<Arc<Kind>>,
    /// (group, version, plural) to row.
    by_plural: HashMap<[String; 3], usize>,
    /// (group, version, kind) to row.
    by_kind: HashMap<[String; 3], usize>,
}

impl Kinds {
    /// A table of these rows, in the order of discovery. A later row replaces an earlier one of the same name.
    pub fn new(rows: impl IntoIterator<Item = Arc<Kind>>) -> Self {
        let mut kinds = Self::default();
        for row in rows {
            kinds.insert(row);
        }
        kinds
    }

    fn insert(&mut self, row: Arc<Kind>) {
        let key = |name: &str| [row.group.to_string(), row.version.to_string(), name.to_owned()];
        let (plural, kind) = (key(&row.plural), key(&row.kind));
        if let Some(old) = self.by_plural.get(&plural).and_then(|at| self.rows.get_mut(*at)) {
            *old = row;
            return;
        }
        self.by_plural.insert(plural, self.rows.len());
        self.by_kind.insert(kind, self.rows.len());
        self.rows.push(row);
    }

    /// The kinds of Kubernetes itself.
    pub fn builtin() -> &'static Arc<Self> {
        static BUILTIN: LazyLock<Arc<Kinds>> =
            LazyLock::new(|| Arc::new(Kinds::new(rows::builtin().into_iter().map(Arc::new))));
        &BUILTIN
    }

    /// The kind with this resource name.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        let at = *self.by_plural.get(&[group.to_owned(), version.to_owned(), plural.to_owned()])?;
        self.rows.get(at)
    }

    /// The kind with this name.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let at = *self.by_kind.get(&[group.to_owned(), version.to_owned(), kind.to_owned()])?;
        self.rows.get(at)
    }

    /// The kind that an object's `apiVersion` and `kind` name.
    pub fn of_object(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.by_kind(group, version, kind)
    }

    /// Every kind, in the order of discovery.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.rows.iter()
    }

    /// The kinds of one group and version.
    pub fn of_version<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Kind>> {
        self.rows.iter().filter(move |k| k.group == group && k.version == version)
    }

    /// Every group but the core group, in the order of discovery.
    pub fn groups(&self) -> Vec<GroupVersion> {
        let mut groups: Vec<GroupVersion> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.group.is_empty()) {
            let version = row.version.to_string();
            match groups.iter_mut().find(|g| g.group == row.group) {
                Some(known) if known.versions.contains(&version) => {}
                Some(known) => known.versions.push(version),
                None => groups.push(GroupVersion { group: row.group.to_string(), versions: vec![version] }),
            }
        }
        groups
    }
}
