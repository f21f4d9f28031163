//! Room for a pod.

use super::NodeResourcesFit;
use crate::framework::{Code, Cycle, Filter, NodeFilter, Reach, Reason, Reasons, Status};
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
        let Amounts { milli_cpu, memory, ephemeral_storage, .. } = self.base;
        let base = [
            ("Insufficient cpu", milli_cpu, total.milli_cpu, used.milli_cpu),
            ("Insufficient memory", memory, total.memory, used.memory),
            (
                "Insufficient ephemeral-storage",
                ephemeral_storage,
                total.ephemeral_storage,
                used.ephemeral_storage,
            ),
        ];
        let short =
            |(wanted, total, used): (i64, i64, i64)| wanted > 0 && wanted > total.saturating_sub(used);
        let extended = self.extended.iter().filter_map(|(name, wanted)| {
            let (total, used) = node.extended(name);
            short((*wanted, total, used)).then(|| Reason::from(format!("Insufficient {name}")))
        });
        let base_short = base.into_iter().filter(|(_, wanted, total, used)| short((*wanted, *total, *used)));
        let crowded = (used.pods + 1 > total.pods).then(|| Reason::from("Too many pods"));
        let reasons = crowded.into_iter().chain(base_short.map(|(reason, ..)| reason.into())).chain(extended);
        // The same comparisons have refused the node, so there is a reason.
        let reasons = Reasons::new(reasons).unwrap_or_else(|| Reason::from("Insufficient resources").into());
        let hopeless = base.iter().any(|(_, wanted, total, _)| wanted > total)
            || self.extended.iter().any(|(name, wanted)| *wanted > node.extended(name).0);
        let code = if hopeless { Code::Unresolvable } else { Code::Unschedulable };
        Status { code, reasons }
    }
}
