//! The nodes of a schema.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::parse;

/// The type of a value.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Type {
    /// A string.
    String,
    /// Base64-encoded bytes.
    Bytes,
    /// RFC 3339 with whole seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// `true` or `false`.
    Bool,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A floating-point number.
    Number,
    /// A resource quantity, kept in canonical form.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// An object whose fields are not looked at.
    Object,
    /// Any value at all.
    Any,
    /// A list.
    List(Box<Schema>),
    /// A map from strings.
    Map(Box<Schema>),
    /// A structure with known fields.
    Struct(SchemaRef),
}

/// How elements of a list are told apart when two writers change it (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects told apart by these fields.
    Map(Vec<String>),
}

/// What strategic merge patch does with a field (`x-kubernetes-patch-strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Lists are merged by key or, for scalars, united.
    pub merge: bool,
    /// Keys the patch does not list in `$retainKeys` are removed.
    pub retain_keys: bool,
    /// The field is replaced as a whole.
    pub replace: bool,
}

/// One node of a schema: the type of a value and how it is merged.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The type.
    pub ty: Type,
    /// The default as OpenAPI publishes it; `{}`, `""` and `0` mark fields that Go always writes.
    pub default: Option<Value>,
    /// How a list is merged; `None`: atomic.
    pub list_type: Option<ListType>,
    /// Whether the map or structure is replaced as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// What strategic merge patch does.
    pub patch: PatchStrategy,
    /// The field that identifies list elements in a strategic merge patch.
    pub merge_key: Option<String>,
}

impl Schema {
    /// A node of this type and nothing else.
    pub fn of(ty: Type) -> Self {
        Self {
            ty,
            default: None,
            list_type: None,
            atomic: false,
            patch: PatchStrategy::default(),
            merge_key: None,
        }
    }

    /// The definition, when this is a structure.
    pub fn as_struct(&self) -> Option<&Definition> {
        match &self.ty {
            Type::Struct(definition) => Some(definition.get()),
            _ => None,
        }
    }
}

/// A named property of a structure.
#[derive(Debug, Clone)]
pub struct Property {
    /// The JSON name.
    pub name: String,
    /// Whether OpenAPI lists it as required.
    pub required: bool,
    /// Its schema.
    pub schema: Schema,
}

/// A structure, or a scalar that has a name (`Time`, `Quantity`).
#[derive(Debug, Clone)]
pub struct Definition {
    /// The full name: `io.k8s.api.core.v1.Pod`.
    pub name: String,
    /// Group, version and kind of the objects it describes.
    pub kinds: Vec<[String; 3]>,
    /// Sorted by name. Empty when `scalar` is given or when nothing may be inside.
    pub properties: Vec<Property>,
    /// The type, for definitions that are not structures.
    pub scalar: Option<Type>,
    /// Whether the structure is replaced as a whole.
    pub atomic: bool,
    /// `x-kubernetes-unions`, as published.
    pub unions: Vec<Value>,
    /// Whether fields that are not listed are kept.
    pub preserve_unknown: bool,
    /// The line of this definition in the descriptions file.
    pub(crate) line: Option<usize>,
}

impl Definition {
    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        let at = self.properties.binary_search_by(|p| p.name.as_str().cmp(name)).ok()?;
        self.properties.get(at)
    }

    /// The Go type name that error messages use: `DeploymentSpec`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The Go type with its package: `v1.DeploymentSpec`.
    pub(crate) fn go_type(&self) -> String {
        let mut parts = self.name.rsplit('.');
        let (name, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("{package}.{name}")
    }
}

/// A definition that is parsed when it is first looked at. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SchemaRef(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Builtin(&'static Slot),
    Own(Arc<Definition>),
}

/// The text of a built-in definition and, once somebody asked, what it says.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) body: &'static str,
    pub(super) line: usize,
    pub(super) parsed: OnceLock<Definition>,
}

impl SchemaRef {
    /// A reference to a definition that is not built in.
    pub fn new(definition: Definition) -> Self {
        Self(Inner::Own(Arc::new(definition)))
    }

    pub(super) fn builtin(slot: &'static Slot) -> Self {
        Self(Inner::Builtin(slot))
    }

    /// The definition.
    pub fn get(&self) -> &Definition {
        match &self.0 {
            Inner::Builtin(slot) => slot.parsed.get_or_init(|| parse::definition(slot)),
            Inner::Own(definition) => definition,
        }
    }
}

impl std::ops::Deref for SchemaRef {
    type Target = Definition;

    fn deref(&self) -> &Definition {
        self.get()
    }
}
