//! Choices from a seed.

use fastrand::Rng;
use serde_json::{Map, Value};

/// A seeded generator, with the choices that random objects are made of.
#[derive(Debug)]
pub(super) struct Draw(Rng);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Whether something happens that does so in so many percent of all cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.0.u32(0..100) < percent
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.usize(0..end.max(1))
    }

    pub(super) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }

    pub(super) fn number(&mut self, of: &[i64]) -> i64 {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }

    /// Each of them or not.
    pub(super) fn some<'a>(&mut self, of: &[&'a str], percent: u32) -> Vec<&'a str> {
        of.iter().copied().filter(|_| self.chance(percent)).collect()
    }

    /// Up to so many of what `make` makes, at least one.
    pub(super) fn few(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> Value) -> Value {
        let number = 1 + self.below(most);
        (0..number).map(|_| make(self)).collect()
    }

    /// An object of those fields that happen to be there.
    pub(super) fn fields(&mut self, of: &[(&str, u32, &[&str])]) -> Value {
        let mut fields = Map::new();
        for (name, percent, values) in of {
            if self.chance(*percent) {
                fields.insert((*name).to_owned(), self.one(values).into());
            }
        }
        Value::Object(fields)
    }
}
