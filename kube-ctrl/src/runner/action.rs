//! What a plan wants done.

use super::{Key, Object, Target};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::PropagationPolicy;
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;

/// One step of a plan. Steps run in order; the first that fails ends the plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Creates an object; with an announcement, events tell how it went.
    Create(Object, Option<Box<Announce>>),
    /// Creates an object unless one of that name exists already.
    Ensure(Object),
    /// Replaces an object; its resourceVersion must still be current.
    Update(Object),
    /// Replaces an object's status; its resourceVersion must still be current.
    UpdateStatus(Object),
    /// Merge-patches an object or one of its subresources.
    Patch(Box<Patch>),
    /// Deletes an object. One that is gone already counts as deleted.
    Delete(Box<Delete>),
    /// Deletes every object of a resource in a namespace.
    DeleteCollection(Box<Target>),
    /// Replaces a namespace's finalizers through its `finalize` subresource.
    Finalize(Object),
    /// Records an event.
    Event(Box<Note>),
    /// Runs all steps, first one, then two, then four at a time and so on; a batch with a failure is the last.
    SlowStart(Vec<Action>),
    /// Runs all steps one after the other up to the first failure, as one step of another list.
    InOrder(Vec<Action>),
    /// Runs all steps at once; the first failure is reported after all have ended.
    Together(Vec<Action>),
}

/// A JSON merge patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// What to patch.
    pub target: Target,
    /// The subresource, none for the object itself.
    pub subresource: Option<&'static str>,
    /// The patch document.
    pub body: Value,
}

/// A deletion.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// What to delete; a uid in it is a precondition.
    pub target: Target,
    /// The resourceVersion it must still have.
    pub resource_version: Option<String>,
    /// The grace period in seconds, none for the object's own.
    pub grace: Option<u32>,
    /// What happens to dependents, none for the kind's default.
    pub propagation: Option<PropagationPolicy>,
    /// Events that tell how it went.
    pub announce: Option<Announce>,
}

impl Delete {
    /// A deletion with the object's own grace period and the kind's default propagation.
    pub fn of(target: Target) -> Self {
        Self { target, resource_version: None, grace: None, propagation: None, announce: None }
    }
}

impl From<Patch> for Action {
    fn from(patch: Patch) -> Self {
        Self::Patch(Box::new(patch))
    }
}

impl From<Delete> for Action {
    fn from(delete: Delete) -> Self {
        Self::Delete(Box::new(delete))
    }
}

impl From<Note> for Action {
    fn from(note: Note) -> Self {
        Self::Event(Box::new(note))
    }
}

/// An event to record.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The object the event is about.
    pub about: ObjectReference,
    /// Whether it is a warning.
    pub severity: Severity,
    /// The machine-readable reason, in CamelCase.
    pub reason: &'static str,
    /// The human-readable message.
    pub message: String,
}

/// An event's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Events that tell how an action on an object went: the text is followed by the object's name or by the error.
#[derive(Clone, Debug, PartialEq)]
pub struct Announce {
    /// The object the events are about.
    pub about: ObjectReference,
    /// Reason and beginning of the message on success; none if success is not worth an event.
    pub done: Option<(&'static str, &'static str)>,
    /// Reason and beginning of the message on failure.
    pub failed: (&'static str, Cow<'static, str>),
}

/// What a controller wants done for one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The steps, in order.
    pub actions: Vec<Action>,
    /// When to look at the key again even if nothing changes.
    pub requeue: Option<Duration>,
}

impl Plan {
    /// A plan that does nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// A plan of these steps.
    pub fn of(actions: Vec<Action>) -> Self {
        Self { actions, requeue: None }
    }

    /// The same plan, to be looked at again after `delay`; the earlier of two delays wins.
    #[must_use]
    pub fn again_after(mut self, delay: Duration) -> Self {
        self.requeue = Some(self.requeue.map_or(delay, |known| known.min(delay)));
        self
    }
}

impl Target {
    /// A target of any resource.
    pub fn new(resource: kube::api::ApiResource, key: Key, uid: impl Into<String>) -> Self {
        Self { resource, key, uid: uid.into() }
    }
}
