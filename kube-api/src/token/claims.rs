use serde::{Deserialize, Serialize};

/// What a token says. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it; signing fills it in.
    #[serde(default)]
    pub iss: String,
    /// The user: `system:serviceaccount:NAMESPACE:NAME`.
    pub sub: String,
    /// Whom it may be shown to.
    #[serde(default)]
    pub aud: Audiences,
    /// When it ends.
    pub exp: i64,
    /// When it begins.
    #[serde(default)]
    pub nbf: i64,
    /// When it was issued.
    #[serde(default)]
    pub iat: i64,
    /// Its own identity.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// What it is bound to.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Kubernetes,
}

/// The audiences of a token; a single one may be written as a plain string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Audiences(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Audiences {
    fn from(audiences: OneOrMany) -> Self {
        match audiences {
            OneOrMany::One(audience) => Self(vec![audience]),
            OneOrMany::Many(audiences) => Self(audiences),
        }
    }
}

/// The objects a token is bound to: it dies with any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubernetes {
    /// The account's namespace.
    pub namespace: String,
    /// The account.
    pub serviceaccount: Bound,
    /// The pod that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Bound>,
    /// The node that the pod runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Bound>,
    /// The secret that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Bound>,
}

/// An object by name and identity: one of the same name made later is another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// Its uid; empty for a node that was not there yet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl Claims {
    pub(super) fn issued_by(&self, issuer: &str) -> Self {
        Self { iss: issuer.into(), ..self.clone() }
    }
}
