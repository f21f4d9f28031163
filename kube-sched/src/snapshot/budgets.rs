//! Disruption budgets: how many more pods of a kind may be evicted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::map::CowMap;
use super::{Snapshot, fresh_stamp};
use crate::pod::PodInfo;
use crate::terms::LabelQuery;

/// A disruption budget, as preemption sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budget {
    query: Option<LabelQuery>,
    allowed: i64,
    /// Names of pods whose eviction is accounted for already.
    disrupted: BTreeSet<String>,
}

impl Budget {
    /// Parses a budget. One without a selector, or with one that demands nothing, covers no pod.
    #[must_use]
    pub fn parse(budget: &PodDisruptionBudget) -> Self {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let status = budget.status.as_ref();
        let disrupted = status.and_then(|status| status.disrupted_pods.as_ref());
        Self {
            query: LabelQuery::parse(selector).filter(|query| !query.is_empty()),
            allowed: status.map_or(0, |status| status.disruptions_allowed.into()),
            disrupted: disrupted.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        }
    }

    fn covers(&self, pod: &PodInfo) -> bool {
        let labelled = pod.labels().is_some_and(|labels| !labels.is_empty());
        labelled && self.query.as_ref().is_some_and(|query| query.matches(pod.labels()))
    }
}

/// Budgets by namespace and name.
pub(super) type Budgets = CowMap<Arc<str>, Arc<BTreeMap<Arc<str>, Budget>>>;

impl Snapshot {
    /// Takes in a disruption budget.
    pub fn upsert_budget(&mut self, namespace: &str, name: &str, budget: Budget) {
        let mut budgets = self.budgets.remove(namespace).unwrap_or_default();
        Arc::make_mut(&mut budgets).insert(name.into(), budget);
        self.budgets_stamp = fresh_stamp();
        self.budgets.insert(namespace.into(), budgets);
    }

    /// Forgets a disruption budget.
    pub fn remove_budget(&mut self, namespace: &str, name: &str) {
        let Some(mut budgets) = self.budgets.remove(namespace) else { return };
        Arc::make_mut(&mut budgets).remove(name);
        self.budgets_stamp = fresh_stamp();
        if !budgets.is_empty() {
            self.budgets.insert(namespace.into(), budgets);
        }
    }

    /// For each of `pods`, whether its eviction after that of those before it would break a budget.
    pub(crate) fn breaks_budgets(&self, pods: &[Arc<PodInfo>]) -> Vec<bool> {
        let mut spent: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        let mut broken_by_each = Vec::with_capacity(pods.len());
        for pod in pods {
            let mut broken = false;
            for (name, budget) in self.budgets.get(pod.namespace()).iter().flat_map(|budgets| budgets.iter())
            {
                if budget.covers(pod) && !budget.disrupted.contains(pod.name()) {
                    let spent = spent.entry((pod.namespace(), &**name)).or_default();
                    *spent += 1;
                    broken |= *spent > budget.allowed;
                }
            }
            broken_by_each.push(broken);
        }
        broken_by_each
    }
}
