//! Questions about who somebody is and what somebody may.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::resource::parse;
use super::{Inner, answer};
use crate::auth::{Attributes, Decision, User};
use crate::body::Body;
use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::object::text;
use crate::request::{RequestInfo, Verb, WriteOptions};

impl Inner {
    pub(super) async fn review(&self, call: &Call, kind: &Arc<Kind>, body: Bytes) -> Result<Response<Body>> {
        if call.info.verb != Verb::Create || !call.info.subresource.is_empty() {
            return Err(Error::MethodNotAllowed);
        }
        let options = WriteOptions::parse(&call.query())?;
        let body = parse(call, &body)?;
        let mut object = body.value;
        let warnings = self.registry.shape(kind, &mut object, &body.duplicates, &options)?;
        let status = match kind.kind.as_ref() {
            "SelfSubjectReview" => json!({"userInfo": user_info(&call.user)}),
            "TokenReview" => self.token_review(&object).await,
            "SelfSubjectRulesReview" => self.rules(&call.user).await,
            "SelfSubjectAccessReview" => self.access(call.user.clone(), &object).await?,
            "SubjectAccessReview" | "LocalSubjectAccessReview" => {
                self.access(reviewed(&object)?, &object).await?
            }
            _ => return Err(Error::MethodNotAllowed),
        };
        object["status"] = status;
        let mut response = answer::value(StatusCode::CREATED, &object);
        answer::warn(&mut response, &warnings);
        Ok(response)
    }

    async fn token_review(&self, object: &Value) -> Value {
        let audiences = strings(object.pointer("/spec/audiences"));
        match self.authenticator.token(text(object, "/spec/token"), &audiences, &self.registry).await {
            Ok((user, audiences)) => {
                json!({"authenticated": true, "user": user_info(&user), "audiences": audiences})
            }
            Err(_) => json!({"user": {}, "error": "invalid bearer token"}),
        }
    }

    async fn access(&self, user: User, object: &Value) -> Result<Value> {
        let attributes = Attributes { user, info: asked(object)? };
        Ok(match self.authorizer.authorize(&attributes).await {
            Decision::Allow => json!({"allowed": true}),
            Decision::NoOpinion(reason) if reason.is_empty() => json!({"allowed": false}),
            Decision::NoOpinion(reason) => json!({"allowed": false, "reason": reason}),
        })
    }

    /// Rules cannot be listed from a yes-or-no authorizer: the answer says whether everything is allowed.
    async fn rules(&self, user: &User) -> Value {
        let everything = RequestInfo {
            is_resource: true,
            group: "*".into(),
            resource: "*".into(),
            ..empty(Verb::Http("*".into()))
        };
        let attributes = Attributes { user: user.clone(), info: everything };
        let all = self.authorizer.authorize(&attributes).await == Decision::Allow;
        let resource = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
        let path = json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]);
        let none = json!([]);
        json!({
            "resourceRules": if all { &resource } else { &none },
            "nonResourceRules": if all { &path } else { &none },
            "incomplete": !all,
        })
    }
}

fn empty(verb: Verb) -> RequestInfo {
    RequestInfo {
        verb,
        path: String::new(),
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

/// What a review asks about.
fn asked(object: &Value) -> Result<RequestInfo> {
    let part = |pointer: &str| text(object, pointer).to_owned();
    let resource = object.pointer("/spec/resourceAttributes").filter(|r| r.is_object());
    let path = object.pointer("/spec/nonResourceAttributes").filter(|r| r.is_object());
    match (resource, path) {
        (Some(_), None) => Ok(RequestInfo {
            is_resource: true,
            group: part("/spec/resourceAttributes/group"),
            version: part("/spec/resourceAttributes/version"),
            resource: part("/spec/resourceAttributes/resource"),
            namespace: part("/spec/resourceAttributes/namespace"),
            name: part("/spec/resourceAttributes/name"),
            subresource: part("/spec/resourceAttributes/subresource"),
            ..empty(verb(text(object, "/spec/resourceAttributes/verb")))
        }),
        (None, Some(_)) => {
            let verb = Verb::Http(part("/spec/nonResourceAttributes/verb"));
            Ok(RequestInfo { path: part("/spec/nonResourceAttributes/path"), ..empty(verb) })
        }
        _ => Err(Error::bad_request(
            "spec.resourceAttributes: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
    }
}

fn verb(word: &str) -> Verb {
    match word {
        "get" => Verb::Get,
        "list" => Verb::List,
        "watch" => Verb::Watch,
        "create" => Verb::Create,
        "update" => Verb::Update,
        "patch" => Verb::Patch,
        "delete" => Verb::Delete,
        "deletecollection" => Verb::DeleteCollection,
        other => Verb::Http(other.to_owned()),
    }
}

fn reviewed(object: &Value) -> Result<User> {
    let groups = strings(object.pointer("/spec/groups"));
    let name = text(object, "/spec/user").to_owned();
    if name.is_empty() && groups.is_empty() {
        return Err(Error::bad_request(
            "spec.user: Invalid value: at least one of user or group must be specified",
        ));
    }
    Ok(User { name, groups, uid: text(object, "/spec/uid").to_owned(), ..User::default() })
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    info.insert("username".to_owned(), user.name.as_str().into());
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), user.uid.as_str().into());
    }
    info.insert("groups".to_owned(), json!(user.groups));
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}
