//! The macros, which evaluate an expression for each element.

use std::sync::Arc;

use super::ast::{Comprehension, Expr, Macro};
use super::evaluate::{Evaluated, Failure, Run, no_overload, size_of};
use super::functions::sorted;
use super::value::Value;

/// What the variables of a macro are in one step: an element, or an index or key and what stands there.
type Step<'d> = (Value<'d>, Option<Value<'d>>);

impl<'d> Run<'d, '_> {
    pub(super) fn comprehension(&mut self, comprehension: &Comprehension) -> Evaluated<'d> {
        let Comprehension { kind, over, condition, body, pairs } = comprehension;
        let over = self.value(over)?;
        if matches!(kind, Macro::OptMap | Macro::OptFlatMap) {
            return self.look_into(over, *kind == Macro::OptFlatMap, body);
        }
        let mut steps = steps(&over, *pairs)?;
        self.pay(steps.len())?;
        if let Some(condition) = condition {
            steps = self.chosen(steps, condition)?;
        }
        match kind {
            Macro::All => self.decide(steps.into_iter(), false, |run, step| run.step(step, body)),
            Macro::Exists => self.decide(steps.into_iter(), true, |run, step| run.step(step, body)),
            Macro::ExistsOne => Ok(Value::Bool(self.chosen(steps, body)?.len() == 1)),
            Macro::Filter => {
                let chosen = self.chosen(steps, body)?;
                Ok(Value::list(chosen.into_iter().map(|(element, _)| element).collect()))
            }
            Macro::Map => Ok(Value::list(self.mapped(steps, body)?)),
            Macro::SortBy => {
                let elements = steps.iter().map(|(element, _)| element.clone()).collect();
                let keys = self.mapped(steps, body)?;
                sorted(self, elements, keys)
            }
            Macro::TransformMap => {
                let keys: Vec<_> = steps.iter().map(|(key, _)| key.clone()).collect();
                let values = self.mapped(steps, body)?;
                Ok(Value::Map(Arc::new(keys.into_iter().zip(values).collect())))
            }
            Macro::TransformMapEntry => self.entries(steps, body),
            Macro::OptMap | Macro::OptFlatMap => Err(no_overload()),
        }
    }

    /// Evaluates an expression with the variables of a step.
    fn step(&mut self, (first, second): Step<'d>, body: &Expr) -> Evaluated<'d> {
        match second {
            Some(second) => self.with([first, second], body),
            None => self.with([first], body),
        }
    }

    fn mapped(&mut self, steps: Vec<Step<'d>>, body: &Expr) -> Result<Vec<Value<'d>>, Failure> {
        steps.into_iter().map(|step| self.step(step, body)).collect()
    }

    fn chosen(&mut self, steps: Vec<Step<'d>>, condition: &Expr) -> Result<Vec<Step<'d>>, Failure> {
        let mut chosen = Vec::new();
        for step in steps {
            match self.step(step.clone(), condition)? {
                Value::Bool(true) => chosen.push(step),
                Value::Bool(false) => {}
                _ => return Err(no_overload()),
            }
        }
        Ok(chosen)
    }

    /// A map of all entries of the maps that the steps make.
    fn entries(&mut self, steps: Vec<Step<'d>>, body: &Expr) -> Evaluated<'d> {
        let mut entries: Vec<(Value<'d>, Value<'d>)> = Vec::new();
        for step in steps {
            let Value::Map(more) = self.step(step, body)? else { return Err(no_overload()) };
            for (key, value) in more.iter() {
                self.pay(size_of(key).saturating_add(10).saturating_mul(entries.len()))?;
                if entries.iter().any(|(other, _)| other.equals(key)) {
                    let key = super::format::plain(key)?;
                    return Err(format!("insert failed: key {key} already exists").into());
                }
                entries.push((key.clone(), value.clone()));
            }
        }
        Ok(Value::Map(Arc::new(entries)))
    }

    /// Looks into an optional value; what is found there is optional too, `flat` if it is by itself.
    fn look_into(&mut self, over: Value<'d>, flat: bool, body: &Expr) -> Evaluated<'d> {
        let Value::Optional(inner) = over else { return Err(no_overload()) };
        let Some(inner) = inner else { return Ok(Value::Optional(None)) };
        match (self.with([(*inner).clone()], body)?, flat) {
            (found @ Value::Optional(_), true) => Ok(found),
            (_, true) => Err(no_overload()),
            (found, false) => Ok(Value::Optional(Some(Arc::new(found)))),
        }
    }
}

fn steps<'d>(over: &Value<'d>, pairs: bool) -> Result<Vec<Step<'d>>, Failure> {
    if pairs {
        let pairs = over.pairs()?.ok_or_else(no_overload)?;
        return Ok(pairs.into_iter().map(|(key, value)| (key, Some(value))).collect());
    }
    let elements = over.elements().ok_or_else(no_overload)?;
    Ok(elements.into_iter().map(|element| (element, None)).collect())
}
