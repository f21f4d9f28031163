//! Service account tokens for pods, renewed before they expire.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection},
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;

use crate::{Clock, Error, Result, pod::spec::pod_ref};

const DEFAULT_LIFE: i64 = 3600;
/// A token is renewed after this share of its life.
const RENEW_AFTER: f64 = 0.8;
/// But at the latest when it is so old.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

/// Pod uid, audience, lifetime.
type Key = (String, String, i64);

/// Hands out tokens, asking the API server only when the one at hand gets old.
pub(super) struct Tokens {
    client: Client,
    clock: Clock,
    known: Mutex<HashMap<Key, (String, Timestamp)>>,
}

impl Tokens {
    pub(super) fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock, known: Mutex::default() }
    }

    /// A token, and when it should be asked for again.
    pub(super) async fn get(
        &self,
        pod: &Pod,
        source: &ServiceAccountTokenProjection,
    ) -> Result<(String, Timestamp)> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let life = source.expiration_seconds.unwrap_or(DEFAULT_LIFE);
        let key = (uid, source.audience.clone().unwrap_or_default(), life);
        let now = self.clock.now();
        if let Some(known) = self.known.lock().get(&key).filter(|(_, renew)| *renew > now).cloned() {
            return Ok(known);
        }
        let (token, expires) = self.request(pod, &key.1, life).await?;
        let left = expires.duration_since(now);
        let renew = now + left.min(OLDEST).mul_f64(RENEW_AFTER);
        self.known.lock().insert(key, (token.clone(), renew));
        Ok((token, renew))
    }

    async fn request(&self, pod: &Pod, audience: &str, life: i64) -> Result<(String, Timestamp)> {
        let whose = pod_ref(pod);
        let account = pod
            .spec
            .as_ref()
            .and_then(|s| s.service_account_name.clone())
            .unwrap_or_else(|| "default".to_owned());
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: (!audience.is_empty()).then(|| audience.to_owned()).into_iter().collect(),
                expiration_seconds: Some(life),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(whose.name),
                    uid: Some(whose.uid),
                }),
            },
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &whose.namespace);
        let answer: TokenRequest =
            api.create_subresource("token", &account, &PostParams::default(), &request).await?;
        let status =
            answer.status.ok_or_else(|| Error::Failed("the API server returned no token".to_owned()))?;
        Ok((status.token, status.expiration_timestamp.0))
    }

    /// Forgets the tokens of a pod.
    pub(super) fn forget(&self, uid: &str) {
        self.known.lock().retain(|(pod, ..), _| pod != uid);
    }
}
