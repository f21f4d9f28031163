//! Names that many objects have in common, held once.

use std::collections::HashSet;
use std::sync::Arc;

use super::sweep::Sweep;

/// The names that are in use, each once. It forgets those that nobody else has any more.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: HashSet<Arc<str>>,
    sweep: Sweep,
}

impl Names {
    /// The name that is equal to this one.
    pub(crate) fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        if self.sweep.is_due(self.known.len()) {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.sweep.done(self.known.len());
        }
        let name: Arc<str> = name.into();
        self.known.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_and_unused_ones_are_forgotten() {
        let mut names = Names::default();
        let kept = names.share("kept");
        for number in 0..10_000 {
            names.share(&number.to_string());
            assert!(names.known.len() <= 1_000);
        }
        assert!(Arc::ptr_eq(&kept, &names.share("kept")));
    }
}
