//! Addresses.

use http::Method;

use super::query::Query;
use crate::error::{Error, Result};

/// What a request wants to do, as authorization sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection.
    Watch,
    /// Create an object.
    Create,
    /// Replace an object.
    Update,
    /// Change an object.
    Patch,
    /// Delete an object.
    Delete,
    /// Delete a collection.
    DeleteCollection,
    /// A method on a path that is no resource, in lower case.
    Http(String),
}

impl Verb {
    /// The word of rules and messages.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Http(method) => method,
        }
    }
}

/// A request's address, taken apart by the fixed grammar of Kubernetes' URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestInfo {
    /// What to do.
    pub verb: Verb,
    /// The path as given.
    pub path: String,
    /// Whether it addresses a resource; otherwise only verb and path mean something.
    pub is_resource: bool,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Object name; empty for collections.
    pub name: String,
    /// Part of the object.
    pub subresource: String,
    /// What follows the subresource (`proxy`).
    pub rest: String,
}

impl RequestInfo {
    /// Takes an address apart.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when a part could not be a name: escapes that are no UTF-8, `..`, slashes, control characters.
    pub fn parse(method: &Method, path: &str, query: &str) -> Result<Self> {
        let mut info = Self::non_resource(method, path);
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let rest = match segments.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                info.version = segment(version)?;
                rest
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                (info.group, info.version) = (segment(group)?, segment(version)?);
                rest
            }
            _ => return Ok(info),
        };
        info.is_resource = true;
        let (rest, watching) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (rest, true),
            _ => (rest, false),
        };
        info.resource_parts(rest)?;
        info.verb = verb(method, &info, &Query::parse(query), watching)?;
        Ok(info)
    }

    fn non_resource(method: &Method, path: &str) -> Self {
        Self {
            verb: Verb::Http(method.as_str().to_ascii_lowercase()),
            path: path.to_owned(),
            is_resource: false,
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            namespace: String::new(),
            name: String::new(),
            subresource: String::new(),
            rest: String::new(),
        }
    }

    fn resource_parts(&mut self, rest: &[&str]) -> Result<()> {
        let rest = match rest {
            ["namespaces", name, sub @ ("status" | "finalize")] => {
                (self.resource, self.subresource) = ("namespaces".to_owned(), (*sub).to_owned());
                self.name = segment(name)?;
                self.namespace = self.name.clone();
                return Ok(());
            }
            ["namespaces", name] => {
                self.resource = "namespaces".to_owned();
                self.name = segment(name)?;
                self.namespace = self.name.clone();
                return Ok(());
            }
            ["namespaces", namespace, rest @ ..] => {
                self.namespace = segment(namespace)?;
                rest
            }
            _ => rest,
        };
        let mut parts = rest.iter();
        self.resource = parts.next().map_or(Ok(String::new()), |s| segment(s))?;
        if self.resource.is_empty() {
            self.resource = "namespaces".to_owned();
        }
        self.name = parts.next().map_or(Ok(String::new()), |s| segment(s))?;
        self.subresource = parts.next().map_or(Ok(String::new()), |s| segment(s))?;
        self.rest = parts.copied().collect::<Vec<_>>().join("/");
        Ok(())
    }

    /// The namespace of the objects meant; a namespace itself lies in none.
    pub(crate) fn object_namespace(&self) -> &str {
        if self.group.is_empty() && self.resource == "namespaces" { "" } else { &self.namespace }
    }
}

/// A whole exec session is more than reading, whatever the method of its handshake says.
fn is_session(info: &RequestInfo) -> bool {
    info.resource == "pods" && matches!(info.subresource.as_str(), "exec" | "attach" | "portforward")
}

fn verb(method: &Method, info: &RequestInfo, query: &Query<'_>, watching: bool) -> Result<Verb> {
    let collection = info.name.is_empty();
    Ok(match *method {
        Method::GET | Method::POST if is_session(info) => Verb::Create,
        Method::GET | Method::HEAD if watching => Verb::Watch,
        Method::GET | Method::HEAD if collection && query.flag("watch") => Verb::Watch,
        Method::GET | Method::HEAD if collection => Verb::List,
        Method::GET | Method::HEAD => Verb::Get,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if collection => Verb::DeleteCollection,
        Method::DELETE => Verb::Delete,
        _ => return Err(Error::MethodNotAllowed),
    })
}

/// One part of a path, unescaped, which can never reach beyond itself in a store key.
fn segment(text: &str) -> Result<String> {
    let decoded =
        unescape(text, false).ok_or_else(|| Error::bad_request(format!("invalid URL escape in {text:?}")))?;
    let bad = decoded == "."
        || decoded == ".."
        || decoded.contains(['/', '%', '\\'])
        || decoded.contains(char::is_control);
    if bad || decoded.len() > 253 {
        return Err(Error::bad_request(format!("invalid path segment {decoded:?}")));
    }
    Ok(decoded)
}

/// Undoes percent escapes. `None`: malformed or no UTF-8.
pub(super) fn unescape(text: &str, plus: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}
