//! Carries out actions through the API, and shows the answers to the informers at once.

use super::object::with_object;
use super::reflector::{Text, decode};
use super::{
    Action, Announce, Delete, Informers, Key, Kind, Note, Object, Patch, Recorder, Severity, Target,
};
use crate::{Error, Result};
use futures::future::{BoxFuture, FutureExt, join_all};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, PartialObjectMeta, PatchParams, PostParams, Preconditions,
    Request,
};
use std::sync::Arc;

/// Runs actions for one controller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Executor {
    informers: Arc<Informers>,
    recorder: Recorder,
    controller: &'static str,
}

impl Executor {
    /// An executor that acts in the name of a controller.
    pub fn new(informers: Arc<Informers>, recorder: Recorder, controller: &'static str) -> Self {
        Self { informers, recorder, controller }
    }

    /// Runs the actions in order up to the first failure.
    pub async fn run(&self, actions: Vec<Action>) -> Result<()> {
        for action in actions {
            self.act(action).await?;
        }
        Ok(())
    }

    fn act(&self, action: Action) -> BoxFuture<'_, Result<()>> {
        async move {
            match action {
                Action::Create(object, announce) => {
                    self.create(object, announce.map(|announce| *announce)).await
                }
                Action::Ensure(object) => match self.create(object, None).await {
                    Err(Error::AlreadyExists(_)) => Ok(()),
                    outcome => outcome,
                },
                Action::Update(object) => with_object!(object, inner => self.update(*inner).await),
                Action::UpdateStatus(object) => {
                    with_object!(object, inner => self.update_status(*inner).await)
                }
                Action::Patch(patch) => self.patch(*patch).await,
                Action::Delete(delete) => self.delete(*delete).await,
                Action::DeleteCollection(target) => self.delete_collection(&target).await,
                Action::Finalize(object) => with_object!(object, inner => self.finalize(*inner).await),
                Action::Event(note) => {
                    self.recorder.record(self.controller, *note);
                    Ok(())
                }
                Action::InOrder(actions) => self.run(actions).await,
                Action::SlowStart(actions) => self.slow_start(actions).await,
                Action::Together(actions) => self.together(actions).await,
            }
        }
        .boxed()
    }

    async fn together(&self, actions: Vec<Action>) -> Result<()> {
        let results = join_all(actions.into_iter().map(|action| self.act(action))).await;
        results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }

    async fn slow_start(&self, mut actions: Vec<Action>) -> Result<()> {
        let mut batch = 1;
        while !actions.is_empty() {
            let rest = actions.split_off(batch.min(actions.len()));
            self.together(actions).await?;
            (actions, batch) = (rest, batch * 2);
        }
        Ok(())
    }

    async fn create(&self, object: Object, announce: Option<Announce>) -> Result<()> {
        let outcome = with_object!(object, inner => self.create_one(*inner).await);
        match &outcome {
            // Nothing can be created in a namespace that goes away; telling so would only be noise.
            Err(Error::Terminating(_)) => {}
            _ => self.announce(announce, &outcome),
        }
        outcome.map(|_| ())
    }

    async fn create_one<K: Kind>(&self, object: K) -> Result<String> {
        let api = self.api_of(&object);
        let created = api.create(&PostParams::default(), &object).await?;
        let name = created.meta().name.clone().unwrap_or_default();
        self.informers.get::<K>().absorb(created);
        Ok(name)
    }

    async fn update<K: Kind>(&self, object: K) -> Result<()> {
        let name = object.meta().name.clone().unwrap_or_default();
        let updated = self.api_of(&object).replace(&name, &PostParams::default(), &object).await?;
        self.informers.get::<K>().absorb(updated);
        Ok(())
    }

    async fn update_status<K: Kind>(&self, object: K) -> Result<()> {
        let name = object.meta().name.clone().unwrap_or_default();
        let api = self.api_of(&object);
        let updated: K = api.replace_subresource("status", &name, &PostParams::default(), &object).await?;
        self.informers.get::<K>().absorb(updated);
        Ok(())
    }

    async fn finalize<K: Kind>(&self, object: K) -> Result<()> {
        let name = object.meta().name.clone().unwrap_or_default();
        let api = self.api_of(&object);
        let outcome = api.replace_subresource("finalize", &name, &PostParams::default(), &object).await;
        match outcome.map_err(Error::from) {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn patch(&self, patch: Patch) -> Result<()> {
        let (path, name, params) = (path(&patch.target), &patch.target.key.name, PatchParams::default());
        let body = kube::api::Patch::Merge(&patch.body);
        let request = match patch.subresource {
            None => path.patch(name, &params, &body),
            Some(subresource) => path.patch_subresource(subresource, name, &params, &body),
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        match self.informers.client().request(request).await.map_err(Error::from) {
            Ok(patched) => self.informers.absorb(&patch.target, &patched),
            // There is nothing left to change, and the informer will say so.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn delete(&self, delete: Delete) -> Result<()> {
        let outcome = self.delete_one(&delete).await;
        self.announce(delete.announce, &outcome);
        outcome.map(|_| ())
    }

    async fn delete_one(&self, delete: &Delete) -> Result<String> {
        let target = &delete.target;
        let uid = Some(target.uid.clone()).filter(|uid| !uid.is_empty());
        let preconditions = Preconditions { resource_version: delete.resource_version.clone(), uid };
        let params = DeleteParams {
            grace_period_seconds: delete.grace,
            propagation_policy: delete.propagation.clone(),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        let request = path(target).delete(&target.key.name, &params).map_err(kube::Error::BuildRequest)?;
        match self.informers.client().request_status::<Text>(request).await.map_err(Error::from) {
            Ok(answer) => self.informers.absorb_delete(target, answer.left().filter(lingers).as_ref()),
            Err(error) if error.is_not_found() => self.informers.absorb_delete(target, None),
            Err(error) => return Err(error),
        }
        Ok(target.key.name.clone())
    }

    async fn delete_collection(&self, target: &Target) -> Result<()> {
        let request = path(target).delete_collection(&DeleteParams::background(), &ListParams::default());
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.informers.client().request_text(request).await?;
        Ok(())
    }

    fn announce(&self, announce: Option<Announce>, outcome: &Result<String>) {
        let Some(Announce { about, done, failed }) = announce else { return };
        let note = |about: ObjectReference, severity, (reason, text): (&'static str, &str), rest: String| {
            Note { about, severity, reason, message: format!("{text}{rest}") }
        };
        let note = match outcome {
            Ok(name) => match done {
                Some(done) => note(about, Severity::Normal, done, name.clone()),
                None => return,
            },
            Err(error) => note(about, Severity::Warning, (failed.0, &failed.1), error.to_string()),
        };
        self.recorder.record(self.controller, note);
    }

    fn api_of<K: Kind>(&self, object: &K) -> Api<K> {
        K::api(self.informers.client(), object.meta().namespace.as_deref().unwrap_or_default())
    }
}

/// Where a target's resource is in the API.
fn path(target: &Target) -> Request {
    let Target { resource, key: Key { namespace, .. }, .. } = target;
    let namespace = Some(namespace.as_str()).filter(|namespace| !namespace.is_empty());
    Request::new(DynamicObject::url_path(resource, namespace))
}

/// Whether a deleted object stays for a while: for its grace period or until its finalizers are done.
fn lingers(object: &Text) -> bool {
    let Ok(PartialObjectMeta::<DynamicObject> { metadata: meta, .. }) = decode(object) else { return false };
    let graceful = meta.deletion_grace_period_seconds.is_some_and(|seconds| seconds > 0);
    let finalizers = meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    meta.deletion_timestamp.is_some() && (graceful || finalizers)
}
