//! One simulated life of a store, or of a group of members, from one seed.

use std::sync::Arc;

use examples::Failure;
use kube_store::MemoryStore;
use kube_store::testing::simulation::{Immediate, Settings, exercise, run};

/// Random writes, reads, watches and compactions of a store, held against what was done.
///
/// # Errors
/// The rule that was broken.
pub(crate) fn store(seed: u64, steps: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let store = Arc::new(MemoryStore::new());
        exercise(seed, steps, &mut Immediate(store)).await?;
        Ok(())
    })
}

/// A group under faults.
///
/// # Errors
/// The rule that was broken, with what happened before.
pub(crate) fn replicated(seed: u64, settings: &Settings) -> Result<(), Failure> {
    match run(seed, settings) {
        Ok(_) => Ok(()),
        Err(violation) => Err(format!("{violation}\n{}", violation.trace.join("\n")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_seeds_hold() {
        for seed in 0..20 {
            store(seed, 300).unwrap();
            replicated(seed, &Settings::default()).unwrap();
        }
    }
}
