//! The authorizer seam.

use std::fmt::Debug;

use async_trait::async_trait;

use super::User;
use crate::error::{Error, Target};
use crate::request::{RequestInfo, Verb};

/// What somebody wants to do.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// Who.
    pub user: User,
    /// What.
    pub info: RequestInfo,
}

/// What an authorizer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow,
    /// Nothing known; nobody else saying yes means no. With a reason for people, may be empty.
    NoOpinion(String),
}

/// Decides who may do what. A call is made for every request, also while others wait: it must not block.
#[async_trait]
pub trait Authorizer: Send + Sync + Debug + 'static {
    /// Decides on one request.
    async fn authorize(&self, attributes: &Attributes) -> Decision;
}

/// Knows the cluster's own components and nobody else: `system:masters` and the control plane may do everything, nodes
/// what runs a node, and everybody may ask for health, version and about themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemAuthorizer;

const COMPONENTS: [&str; 4] =
    ["system:kube-scheduler", "system:kube-controller-manager", "system:kube-proxy", "system:apiserver"];
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];
const SELF_REVIEWS: [&str; 3] = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];

#[async_trait]
impl Authorizer for SystemAuthorizer {
    async fn authorize(&self, attributes: &Attributes) -> Decision {
        let Attributes { user, info } = attributes;
        let controller = user.name.strip_prefix("system:serviceaccount:kube-system:");
        let component = COMPONENTS.contains(&user.name.as_str())
            || user.is_in("system:masters")
            || user.is_in("system:nodes")
            || controller.is_some_and(|name| name.ends_with("-controller"));
        if component || is_public(info) || (user.is_in(super::user::AUTHENTICATED) && is_basic(info)) {
            return Decision::Allow;
        }
        Decision::NoOpinion(String::new())
    }
}

fn is_public(info: &RequestInfo) -> bool {
    let below = |root: &str| {
        info.path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !info.is_resource && info.verb == Verb::Http("get".to_owned()) && PUBLIC.iter().any(|root| below(root))
}

/// What every authenticated user may: discovery and questions about itself.
fn is_basic(info: &RequestInfo) -> bool {
    if info.is_resource {
        return info.verb == Verb::Create && SELF_REVIEWS.contains(&info.resource.as_str());
    }
    let get = info.verb == Verb::Http("get".to_owned());
    let roots = ["/api", "/apis", "/openapi"];
    get && roots
        .iter()
        .any(|r| info.path.strip_prefix(r).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

impl Attributes {
    /// The refusal, in upstream's words.
    pub(crate) fn refusal(&self, reason: &str) -> Error {
        let Self { user, info } = self;
        if !info.is_resource {
            let (user, verb, path) = (user.name.clone(), info.verb.as_str().to_owned(), info.path.clone());
            return Error::ForbiddenPath { user, verb, path };
        }
        let resource = match info.subresource.as_str() {
            "" => info.resource.clone(),
            sub => format!("{}/{sub}", info.resource),
        };
        let place = match info.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let mut detail = format!(
            "User {:?} cannot {} resource {resource:?} in API group {:?} {place}",
            user.name,
            info.verb.as_str(),
            info.group
        );
        if !reason.is_empty() {
            detail.push_str(": ");
            detail.push_str(reason);
        }
        Error::forbidden(Target::new(&info.group, &info.resource, &info.name), detail)
    }
}
