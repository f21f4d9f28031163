//! The rules that only one kind has.

use std::fmt::Debug;

use serde_json::Value;

use crate::field::FieldError;

/// What a kind does beyond the generic path. Every method has a default that does nothing, so that a kind without rules of
/// its own needs none. Values arrive checked against the schema; metadata is already taken care of by [`super::Kind`].
pub trait Strategy: Send + Sync + Debug {
    /// Fills in what the client left out.
    fn default(&self, _object: &mut Value) {}

    /// Brings a new object into its initial state. The status is already reset.
    fn prepare_create(&self, _object: &mut Value) {}

    /// Restores what an update may not touch. Status and generation are already taken care of.
    fn prepare_update(&self, _new: &mut Value, _old: &Value) {}

    /// Restores what an update of the status may not touch. The specification is already restored.
    fn prepare_status_update(&self, _new: &mut Value, _old: &Value) {}

    /// What is wrong with the object, apart from its metadata.
    fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What is wrong with changing `old` to `new`; called besides [`Strategy::validate`].
    ///
    /// It may compare fields as they are. When it complains it is asked again about both objects without what is nothing
    /// to a typed decoder (empty lists, `null`) and with amounts in one form; only what it says again counts.
    fn validate_update(&self, _new: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What is wrong with the new status.
    fn validate_status_update(&self, _new: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What the client should be warned about.
    fn warnings(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }
}

/// The strategy of a kind without rules of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Strategy for Plain {}
