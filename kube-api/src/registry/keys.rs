//! Store keys: `/registry/<group or core>/<plural>/[<namespace>/]<name>`. A kind's prefix ends in a slash and no part can
//! contain one, so that no name reaches into another kind or namespace.

use bytes::Bytes;

use crate::kinds::Kind;

/// The prefix of a kind's keys, or of one namespace of it.
pub(crate) fn prefix(kind: &Kind, namespace: &str) -> Bytes {
    let group = if kind.storage.group.is_empty() { "core" } else { &kind.storage.group };
    let root = format!("/registry/{group}/{}/", kind.storage.plural);
    Bytes::from(if namespace.is_empty() || !kind.is_namespaced() {
        root
    } else {
        format!("{root}{namespace}/")
    })
}

/// The key of an object.
pub(crate) fn key(kind: &Kind, namespace: &str, name: &str) -> Bytes {
    Bytes::from([prefix(kind, namespace).as_ref(), name.as_bytes()].concat())
}
