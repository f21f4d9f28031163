//! Room for a pod.

use super::NodeResourcesFit;
use crate::framework::{Code, Cycle, Filter, NodeFilter, Reach, Reason, Status};
use crate::resources::{Amounts, Resources};
use crate::snapshot::NodeView;

struct Fit<'a> {
    base: Amounts,
    /// Without those that are ignored.
    extended: Vec<(&'a str, i64)>,
}

impl NodeResourcesFit {
    /// Whether an extended resource is somebody else's business.
    fn ignores(&self, name: &str) -> bool {
        let Some((group, _)) = name.split_once('/') else { return false };
        // Resources of the system itself, such as attachable volumes, are never left out.
        !group.ends_with("kubernetes.io")
            && (self.ignored_resources.iter().any(|other| other == name)
                || self.ignored_resource_groups.iter().any(|other| other == group))
    }
}

impl Filter for NodeResourcesFit {
    fn compile<'a>(&'a self, cycle: &Cycle<'a>) -> Option<Box<dyn NodeFilter + 'a>> {
        let Resources { base, extended } = &cycle.pod.requests;
        let counted = extended.iter().filter(|(name, _)| !self.ignores(name));
        let extended = counted.map(|(name, amount)| (&**name, *amount)).collect();
        Some(Box::new(Fit { base: *base, extended }))
    }
}

impl NodeFilter for Fit<'_> {
    fn check(&mut self, node: NodeView<'_>) -> Result<(), Status> {
        let (total, used) = (node.allocatable(), node.requested());
        let fits = |wanted: i64, total: i64, used: i64| wanted == 0 || wanted <= total.saturating_sub(used);
        let base = fits(1, total.pods, used.pods)
            && fits(self.base.milli_cpu, total.milli_cpu, used.milli_cpu)
            && fits(self.base.memory, total.memory, used.memory)
            && fits(self.base.ephemeral_storage, total.ephemeral_storage, used.ephemeral_storage);
        let rest = || {
            self.extended.iter().all(|(name, wanted)| {
                let (total, used) = node.extended(name);
                fits(*wanted, total, used)
            })
        };
        if base && rest() { Ok(()) } else { Err(self.explain(node)) }
    }

    fn reach(&self) -> Reach {
        Reach::Node
    }
}

impl Fit<'_> {
    /// Every resource that is short, in upstream's words.
    fn explain(&self, node: NodeView<'_>) -> Status {
        let (total, used) = (node.allocatable(), node.requested());
        let mut status = Status { code: Code::Unschedulable, reasons: Vec::new() };
        if used.pods + 1 > total.pods {
            status.reasons.push("Too many pods".into());
        }
        let mut judge = |reason: Reason, wanted: i64, total: i64, used: i64| {
            if wanted > 0 && wanted > total.saturating_sub(used) {
                status.reasons.push(reason);
                if wanted > total {
                    status.code = Code::Unresolvable;
                }
            }
        };
        let Amounts { milli_cpu, memory, ephemeral_storage, .. } = self.base;
        judge("Insufficient cpu".into(), milli_cpu, total.milli_cpu, used.milli_cpu);
        judge("Insufficient memory".into(), memory, total.memory, used.memory);
        judge(
            "Insufficient ephemeral-storage".into(),
            ephemeral_storage,
            total.ephemeral_storage,
            used.ephemeral_storage,
        );
        for (name, wanted) in &self.extended {
            let (total, used) = node.extended(name);
            judge(format!("Insufficient {name}").into(), *wanted, total, used);
        }
        status
    }
}
