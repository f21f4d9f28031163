//! Who may read a component's metrics and configuration: the API server is asked.

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

/// Asks an API server who a token's owner is and whether they may read a path.
#[derive(Clone)]
pub struct Gate {
    who: Api<TokenReview>,
    whether: Api<SubjectAccessReview>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate that asks who somebody is with the one client and what they may with the other.
    pub fn new(who: Client, whether: Client) -> Self {
        Self { who: Api::all(who), whether: Api::all(whether) }
    }

    /// Lets a request pass, or says why not.
    pub(super) async fn judge(&self, headers: &HeaderMap, path: &str) -> Result<(), (StatusCode, String)> {
        let unavailable = |error: kube::Error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let user = match header.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) => {
                let unauthorized = || (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
                self.owner(token).await.map_err(unavailable)?.ok_or_else(unauthorized)?
            }
            None => anonymous(),
        };
        let name = user.username.clone().unwrap_or_default();
        match self.may_read(user, path).await.map_err(unavailable)? {
            true => Ok(()),
            false => {
                Err((StatusCode::FORBIDDEN, format!("forbidden: User {name:?} cannot get path {path:?}")))
            }
        }
    }

    async fn owner(&self, token: &str) -> kube::Result<Option<UserInfo>> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = self.who.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        Ok(status.user.filter(|_| status.authenticated == Some(true)))
    }

    async fn may_read(&self, user: UserInfo, path: &str) -> kube::Result<bool> {
        let what = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
        let spec = SubjectAccessReviewSpec {
            user: user.username,
            groups: user.groups,
            uid: user.uid,
            extra: user.extra,
            non_resource_attributes: Some(what),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = self.whether.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

fn anonymous() -> UserInfo {
    UserInfo {
        username: Some("system:anonymous".to_owned()),
        groups: Some(vec!["system:unauthenticated".to_owned()]),
        ..UserInfo::default()
    }
}
