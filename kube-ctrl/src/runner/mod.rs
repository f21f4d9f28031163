//! What runs every controller: informers, queue, workers, executor, events.
//!
//! | module | what it is |
//! |---|---|
//! | `reconcile` | the trait a controller implements, and how it says what it watches |
//! | `action` | what a plan can ask for |
//! | `informer`, `informers`, `reflector` | caches, one per kind, with own writes visible at once |
//! | `queue`, `worker` | keys, back-off and the loop |
//! | `executor`, `recorder` | actions and events through the API |

mod action;
mod executor;
mod informer;
mod informers;
mod key;
mod object;
mod queue;
mod reconcile;
mod recorder;
mod reflector;
mod worker;

#[cfg(test)]
mod tests;

pub use action::{Action, Announce, Delete, Note, Patch, Plan, Severity};
pub use executor::Executor;
pub use informer::{Cached, Change, IndexFn, Informer, revision_of};
pub use informers::Informers;
pub use key::Key;
pub use object::{Kind, Object, Target, controller_of, controller_reference, reference};
pub use queue::Queue;
pub use reconcile::{Reconcile, Wiring};
pub use recorder::{EventWriter, Recorder};
pub(crate) use worker::Worker;
