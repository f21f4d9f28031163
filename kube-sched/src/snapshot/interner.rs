//! Values as small numbers, counted so that numbers of values nobody uses any more are reused.

use std::hash::Hash;

use super::column::Column;
use super::map::CowMap;

/// Gives equal values one number; forks share everything.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    ids: CowMap<T, u32>,
    values: Column<Option<(T, u32)>>,
    free: Column<u32>,
}

impl<T> Clone for Interner<T> {
    fn clone(&self) -> Self {
        Self { ids: self.ids.clone(), values: self.values.clone(), free: self.free.clone() }
    }
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { ids: CowMap::default(), values: Column::default(), free: Column::default() }
    }
}

impl<T: Eq + Hash + Clone> Interner<T> {
    /// The number of `value`, counted once more.
    pub(crate) fn acquire(&mut self, value: &T) -> u32 {
        if let Some(&id) = self.ids.get(value) {
            if let Some((_, uses)) = self.values.make_mut(id as usize) {
                *uses += 1;
            }
            return id;
        }
        let fresh = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let id = self.free.pop().unwrap_or(fresh);
        *self.values.make_mut(id as usize) = Some((value.clone(), 1));
        self.ids.insert(value.clone(), id);
        id
    }

    /// Gives one use of `id` back.
    pub(crate) fn release(&mut self, id: u32) {
        let slot = self.values.make_mut(id as usize);
        let Some((value, uses)) = slot else { return };
        *uses -= 1;
        if *uses == 0 {
            let value = value.clone();
            *slot = None;
            self.ids.remove(&value);
            self.free.push(id);
        }
    }

    /// The number of `value`, if anybody uses it.
    pub(crate) fn find<Q: Eq + Hash + ?Sized>(&self, value: &Q) -> Option<u32>
    where
        T: std::borrow::Borrow<Q>,
    {
        self.ids.get(value).copied()
    }

    /// The value behind a number.
    pub(crate) fn value(&self, id: u32) -> Option<&T> {
        self.values.get(id as usize)?.as_ref().map(|(value, _)| value)
    }

    /// The numbers in use.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        let used = self.values.iter().zip(0..).filter(|(value, _)| value.is_some());
        used.map(|(_, number)| number)
    }

    /// All numbers are below this.
    pub(crate) fn bound(&self) -> usize {
        self.values.len()
    }
}
