//! `serviceaccounts/token`: tokens for an account, bound to what they are made for.

use serde_json::{Value, json};

use super::Output;
use crate::auth::Authenticator;
use crate::error::{Error, Result, Target};
use crate::field::FieldError;
use crate::object::{meta, text};
use crate::registry::{Registry, Subject};
use crate::token::{Audiences, Bound, Claims, Kubernetes};

/// Seconds: what is asked for when nothing is, the least, and the most.
const DEFAULT_TTL: i64 = 3600;
const MIN_TTL: i64 = 600;
const MAX_TTL: i64 = 1 << 32;

pub(super) async fn issue(
    registry: &Registry,
    authenticator: &Authenticator,
    subject: &Subject,
    mut request: Value,
) -> Result<Output> {
    let unavailable = || Error::Unavailable("this server has no key to sign tokens".to_owned());
    let tokens = authenticator.tokens.as_ref().ok_or_else(unavailable)?;
    let account = registry.get(subject).await?.value(&subject.kind)?;
    let seconds = request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(DEFAULT_TTL);
    check_ttl(subject, seconds)?;
    let mut audiences: Vec<String> = request
        .pointer("/spec/audiences")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    if audiences.is_empty() {
        audiences.clone_from(&tokens.audiences);
    }
    let reference = request.pointer("/spec/boundObjectRef").filter(|r| !r.is_null()).cloned();
    let mut kubernetes = Kubernetes {
        namespace: subject.namespace.clone(),
        serviceaccount: Bound { name: subject.name.clone(), uid: meta(&account, "uid").to_owned() },
        ..Kubernetes::default()
    };
    if let Some(reference) = reference {
        bind(registry, subject, &reference, &mut kubernetes).await?;
    }
    let now = registry.config.clock.now().as_second();
    let claims = Claims {
        iss: String::new(),
        sub: format!("system:serviceaccount:{}:{}", subject.namespace, subject.name),
        aud: Audiences(audiences.clone()),
        exp: now + seconds,
        nbf: now,
        iat: now,
        jti: registry.uid(),
        kubernetes,
    };
    let token = tokens.signer.sign(&claims).map_err(Error::internal)?;
    let later = std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["metadata"] = json!({
        "name": subject.name, "namespace": subject.namespace, "creationTimestamp": registry.config.clock.rfc3339(),
    });
    request["spec"]["audiences"] = json!(audiences);
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] =
        json!({"token": token, "expirationTimestamp": registry.config.clock.rfc3339_after(later)});
    Ok(Output { value: request, created: true })
}

fn check_ttl(subject: &Subject, seconds: i64) -> Result<()> {
    let path = "spec.expirationSeconds";
    let error = match seconds {
        s if s < MIN_TTL => FieldError::invalid(path, s, "may not specify a duration less than 10 minutes"),
        s if s > MAX_TTL => {
            FieldError::invalid(path, s, "may not specify a duration larger than 2^32 seconds")
        }
        _ => return Ok(()),
    };
    let (kind, group) = ("TokenRequest".to_owned(), "authentication.k8s.io".to_owned());
    Err(Error::Invalid { kind, group, name: subject.name.clone(), errors: vec![error] })
}

async fn bind(
    registry: &Registry,
    subject: &Subject,
    reference: &Value,
    claims: &mut Kubernetes,
) -> Result<()> {
    let (kind, name) = (text(reference, "/kind"), text(reference, "/name"));
    let (plural, namespace) = match kind {
        "Pod" => ("pods", subject.namespace.as_str()),
        "Secret" => ("secrets", subject.namespace.as_str()),
        "Node" => ("nodes", ""),
        other => {
            return Err(Error::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to object of type {other:?}",
                subject.name
            )));
        }
    };
    let missing = || Error::NotFound(Target::new("", plural, name));
    let object = registry.lookup("", plural, namespace, name).await?.ok_or_else(missing)?;
    let (wanted, uid) = (text(reference, "/uid"), meta(&object, "uid"));
    if !wanted.is_empty() && wanted != uid {
        let detail = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Error::Conflict { target: Target::new("", plural, name), detail });
    }
    let bound = Some(Bound { name: name.to_owned(), uid: uid.to_owned() });
    match kind {
        "Pod" => {
            let account = text(&object, "/spec/serviceAccountName");
            if account != subject.name {
                let message = format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    subject.name
                );
                return Err(Error::bad_request(message));
            }
            claims.pod = bound;
            let node = text(&object, "/spec/nodeName");
            if !node.is_empty()
                && let Some(found) = registry.lookup("", "nodes", "", node).await?
            {
                claims.node = Some(Bound { name: node.to_owned(), uid: meta(&found, "uid").to_owned() });
            }
        }
        "Secret" => claims.secret = bound,
        _ => claims.node = bound,
    }
    Ok(())
}
