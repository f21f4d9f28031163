//! What a plugin keeps from one pod to the next of the same kind.

use std::any::Any;
use std::fmt;

/// Room for one value of a plugin's own. It is empty again whenever a pod of another kind comes, or a fact about a node changes.
#[derive(Default)]
pub struct Memo(Option<Box<dyn Any + Send + Sync>>);

impl Memo {
    /// What was kept; a fresh value if nothing was, or something of another type.
    pub fn get<T: Default + Send + Sync + 'static>(&mut self) -> &mut T {
        if !self.0.as_ref().is_some_and(|kept| kept.is::<T>()) {
            self.0 = Some(Box::<T>::default());
        }
        let kept = self.0.as_mut().and_then(|kept| kept.downcast_mut());
        kept.expect("it is there, and of this type")
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memo").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_until_another_type_is_asked_for() {
        let mut memo = Memo::default();
        *memo.get::<u32>() += 3;
        assert_eq!(*memo.get::<u32>(), 3);
        assert_eq!(memo.get::<String>(), "");
        assert_eq!(*memo.get::<u32>(), 0);
    }
}
