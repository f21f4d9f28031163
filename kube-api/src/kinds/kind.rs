//! One kind.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::names::NameRule;
use super::strategy::Strategy;
use super::{convert, metadata};
use crate::field::FieldError;
use crate::schema::SchemaRef;
use crate::table::Printer;

/// Text of a row: static for built-in kinds, owned for custom resources.
pub(crate) type Text = Cow<'static, str>;

/// Whether objects of a kind live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One per cluster.
    Cluster,
    /// One per namespace.
    Namespaced,
}

/// A part of an object with an address of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subresource {
    /// The last part of the path: `status`, `scale`, `log`.
    pub name: Text,
    /// What can be done with it.
    pub verbs: Vec<Text>,
    /// Group, version and kind of what it takes and returns.
    pub group: Text,
    /// See `group`.
    pub version: Text,
    /// See `group`.
    pub kind: Text,
}

/// A field that lists and watches can select by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectableField {
    /// The name in a field selector: `spec.nodeName`.
    pub name: Text,
    /// The JSON pointer in an object as stored: `/spec/nodeName`.
    pub pointer: Text,
    /// What selectors compare where nothing is stored: the zero of the field's type.
    pub absent: Text,
}

/// Under which name objects are stored; versions of one kind share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StorageKey {
    /// The group of the version objects are stored in.
    pub group: Text,
    /// The plural of that version.
    pub plural: Text,
    /// The version objects are stored in.
    pub version: Text,
}

/// One kind in one version.
#[derive(Debug, Clone)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: Text,
    /// The version: `v1`.
    pub version: Text,
    /// The kind: `Deployment`.
    pub kind: Text,
    /// The resource name: `deployments`.
    pub plural: Text,
    /// What kubectl accepts for one: `deployment`.
    pub singular: Text,
    /// Abbreviations: `deploy`.
    pub short_names: Vec<Text>,
    /// Groups of kinds it belongs to: `all`.
    pub categories: Vec<Text>,
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// What can be done with objects.
    pub verbs: Vec<Text>,
    /// Parts with an address of their own.
    pub subresources: Vec<Subresource>,
    /// What an object looks like.
    pub schema: SchemaRef,
    /// Fields to select by, besides `metadata.name` and `metadata.namespace`, which every kind has.
    pub fields: Vec<SelectableField>,
    /// Where objects are stored.
    pub storage: StorageKey,
    /// Answered by code, never stored (reviews).
    pub is_virtual: bool,
    /// Whether `metadata.generation` counts changes of the specification.
    pub generation: bool,
    /// What names are valid.
    pub name_rule: NameRule,
    /// How objects are printed as a table.
    pub printer: Printer,
    /// What only this kind does.
    pub strategy: Arc<dyn Strategy>,
}

impl Kind {
    /// `apps/v1`, or `v1` in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `deployments.apps`, or `pods` in the core group: how errors name the resource.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_string()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Whether objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether objects can be asked for this.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The part of this name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Where a selectable field lies. `None`: not selectable.
    pub fn field_pointer(&self, name: &str) -> Option<&str> {
        match name {
            "metadata.name" => Some("/metadata/name"),
            "metadata.namespace" if self.is_namespaced() => Some("/metadata/namespace"),
            _ => self.fields.iter().find(|f| f.name == name).map(|f| f.pointer.as_ref()),
        }
    }

    /// Fills in what the client left out, `apiVersion` and `kind` included.
    pub fn default(&self, object: &mut Value) {
        let Value::Object(map) = object else { return };
        map.insert("apiVersion".to_owned(), self.api_version().into());
        map.insert("kind".to_owned(), self.kind.as_ref().into());
        map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        self.strategy.default(object);
    }

    /// Brings a new object into its initial state: no status, generation 1.
    pub fn prepare_create(&self, object: &mut Value) {
        if self.subresource("status").is_some() && !self.keeps_status() {
            remove(object, "status");
        }
        metadata::set_generation(object, self.generation.then_some(1));
        self.strategy.prepare_create(object);
    }

    /// Nodes report their status while they register.
    fn keeps_status(&self) -> bool {
        self.kind == "Node"
    }

    /// Restores what an update of the whole object may not touch, and counts the generation up when anything but
    /// metadata and status changed.
    pub fn prepare_update(&self, new: &mut Value, old: &Value) {
        if let (Value::Object(new), Value::Object(old), Some(_)) =
            (&mut *new, old, self.subresource("status"))
        {
            restore(new, old, "status");
        }
        self.strategy.prepare_update(new, old);
        let before = metadata::generation(old);
        let bump = self.generation && !same_specification(new, old);
        metadata::set_generation(new, if bump { Some(before.unwrap_or(0) + 1) } else { before });
    }

    /// Restores everything that an update of the status may not touch: all but the status and some metadata.
    pub fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        if let (Value::Object(new), Value::Object(old)) = (&mut *new, old) {
            let is_own = |key: &str| key == "status" || key == "metadata";
            new.retain(|key, _| is_own(key) || old.contains_key(key));
            old.keys().filter(|key| !is_own(key)).for_each(|key| restore(new, old, key));
        }
        metadata::keep_for_status(new, old);
        self.strategy.prepare_status_update(new, old);
    }

    /// What is wrong with a new object.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = metadata::validate(self, object);
        errors.extend(self.strategy.validate(object));
        errors
    }

    /// What is wrong with changing `old` to `new`.
    pub fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = metadata::validate_update(self, new, old);
        errors.extend(self.strategy.validate(new));
        errors.extend(self.strategy.validate_update(new, old));
        errors
    }

    /// What is wrong with changing the status of `old` to that of `new`.
    pub fn validate_status_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = metadata::validate_update(self, new, old);
        errors.extend(self.strategy.validate_status_update(new, old));
        errors
    }

    /// What the client should be warned about.
    pub fn warnings(&self, object: &Value) -> Vec<String> {
        self.strategy.warnings(object)
    }

    /// Whether stored objects differ from what this version serves, so that bytes cannot be passed through.
    pub fn converts(&self) -> bool {
        self.storage.group != self.group || self.storage.version != self.version
    }

    /// Rewrites an object of this version into the version objects are stored in.
    pub fn to_storage(&self, object: &mut Value) {
        if self.converts() {
            convert::convert(self, object, true);
        }
    }

    /// Rewrites a stored object into this version.
    pub fn from_storage(&self, object: &mut Value) {
        if self.converts() {
            convert::convert(self, object, false);
        }
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Value::Object(map) = object {
        map.remove(key);
    }
}

/// Puts `old`'s value of a field into `new`. Mostly it is there already, and to find that out is cheaper than to copy it.
fn restore(new: &mut Map<String, Value>, old: &Map<String, Value>, key: &str) {
    match old.get(key) {
        Some(value) if new.get(key) == Some(value) => None,
        Some(value) => new.insert(key.to_owned(), value.clone()),
        None => new.remove(key),
    };
}

fn same_specification(new: &Value, old: &Value) -> bool {
    let is_state = |key: &str| matches!(key, "metadata" | "status" | "apiVersion" | "kind");
    let specification = |object| {
        let fields = Value::as_object(object).into_iter().flatten();
        fields.filter(move |(key, _)| !is_state(key))
    };
    specification(new).eq(specification(old))
}
