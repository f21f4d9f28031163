//! The order of the steps.

use std::sync::Arc;

use serde_json::Value;

use super::admin_access::DeviceAdminAccess;
use super::limit_range::LimitRanger;
use super::namespace::NamespaceLifecycle;
use super::node_taint::TaintNodesByCondition;
use super::pod_defaults::{DefaultTolerationSeconds, Priority};
use super::runtime_class::RuntimeClass;
use super::service_account::ServiceAccount;
use super::{Admission, Review};
use crate::error::Result;
use crate::registry::Registry;

/// The steps that every server has, in upstream's order.
pub(crate) fn builtin() -> Vec<Arc<dyn Admission>> {
    vec![
        Arc::new(NamespaceLifecycle),
        Arc::new(LimitRanger),
        Arc::new(ServiceAccount),
        Arc::new(TaintNodesByCondition),
        Arc::new(Priority),
        Arc::new(DefaultTolerationSeconds),
        Arc::new(RuntimeClass),
        Arc::new(DeviceAdminAccess),
    ]
}

impl Registry {
    /// Lets every step change the object.
    pub(crate) async fn admit(
        &self,
        review: &Review<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<()> {
        for step in self.admission.iter().filter(|step| step.handles(review)) {
            step.admit(review, object, old, self).await?;
        }
        Ok(())
    }

    /// Lets every step refuse.
    pub(crate) async fn check(
        &self,
        review: &Review<'_>,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        for step in self.admission.iter().filter(|step| step.handles(review)) {
            step.validate(review, object, old, self).await?;
        }
        Ok(())
    }
}
