//! What an expression says about a device.

use std::cmp::Ordering;
use std::sync::Arc;

use super::ast::{Access, Comprehension, Expr, Macro, Operator};
use super::value::Value;
use crate::snapshot::DeviceFacts;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The expression makes no sense for the device.
    Error(String),
    /// The budget is used up.
    TooDear,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Error(text)
    }
}

pub(super) type Evaluated<'d> = Result<Value<'d>, Failure>;

pub(super) fn no_overload() -> Failure {
    Failure::Error("no such overload".to_owned())
}

/// Whether the expression is true. What it costs is taken from `budget`.
pub(super) fn evaluate(expr: &Expr, device: &DeviceFacts, budget: &mut u64) -> Result<bool, Failure> {
    let mut run = Run { device, budget, variables: Vec::new() };
    match run.value(expr)? {
        Value::Bool(answer) => Ok(answer),
        other => {
            Err(format!("CEL result of type {} could not be converted to bool", other.type_name()).into())
        }
    }
}

/// An evaluation.
pub(super) struct Run<'d, 'b> {
    device: &'d DeviceFacts,
    budget: &'b mut u64,
    /// The values of the macros' variables that are visible.
    variables: Vec<Value<'d>>,
}

impl<'d> Run<'d, '_> {
    /// Pays for work that is proportional to this many bytes or elements.
    pub(super) fn pay(&mut self, work: usize) -> Result<(), Failure> {
        let cost = u64::try_from(work).unwrap_or(u64::MAX) / 10 + 1;
        match self.budget.checked_sub(cost) {
            Some(left) => {
                *self.budget = left;
                Ok(())
            }
            None => {
                *self.budget = 0;
                Err(Failure::TooDear)
            }
        }
    }

    fn value(&mut self, expr: &Expr) -> Evaluated<'d> {
        self.pay(0)?;
        match expr {
            Expr::Constant(value) => Ok(value.clone()),
            Expr::Device => Ok(Value::Device(self.device)),
            Expr::Variable(place) => self.variables.get(*place).cloned().ok_or_else(no_overload),
            Expr::Get(access) => self.get(access),
            Expr::Has(of, field) => self.has(of, field),
            Expr::List(items) => Ok(Value::list(self.values(items)?)),
            Expr::Map(entries) => {
                let entry = |(key, value): &(Expr, Expr)| Ok((self.value(key)?, self.value(value)?));
                Ok(Value::Map(Arc::new(entries.iter().map(entry).collect::<Result<_, Failure>>()?)))
            }
            Expr::Not(operand) => match self.value(operand)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                _ => Err(no_overload()),
            },
            Expr::Negate(operand) => match self.value(operand)? {
                Value::Int(value) => Ok(Value::Int(value.checked_neg().ok_or_else(overflow)?)),
                Value::Double(value) => Ok(Value::Double(-value)),
                _ => Err(no_overload()),
            },
            Expr::And(operands) => self.decide(operands.iter(), false, Self::value),
            Expr::Or(operands) => self.decide(operands.iter(), true, Self::value),
            Expr::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(then),
                    Value::Bool(false) => self.value(otherwise),
                    _ => Err(no_overload()),
                }
            }
            Expr::Binary(operator, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*operator, left, right)
            }
            Expr::Call(function, args) => {
                let args = self.values(args)?;
                function.call(self, &args)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Bind(parts) => {
                let [value, body] = &**parts;
                let value = self.value(value)?;
                self.with(value, body)
            }
        }
    }

    fn values(&mut self, exprs: &[Expr]) -> Result<Vec<Value<'d>>, Failure> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    /// Evaluates with one more variable.
    fn with(&mut self, variable: Value<'d>, body: &Expr) -> Evaluated<'d> {
        self.variables.push(variable);
        let value = self.value(body);
        self.variables.pop();
        value
    }

    /// Looks for an operand that is `decisive`; only if there is none do errors count.
    fn decide<T>(
        &mut self,
        operands: impl Iterator<Item = T>,
        decisive: bool,
        mut evaluate: impl FnMut(&mut Self, T) -> Evaluated<'d>,
    ) -> Evaluated<'d> {
        let mut first_error = None;
        for operand in operands {
            match evaluate(self, operand) {
                Ok(Value::Bool(value)) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => _ = first_error.get_or_insert_with(no_overload),
                Err(Failure::TooDear) => return Err(Failure::TooDear),
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        first_error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn get(&mut self, access: &Access) -> Evaluated<'d> {
        let (of, key) = (self.value(&access.of)?, self.value(&access.key)?);
        // A chain that began with an optional value stays optional.
        let (of, optional) = match of {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => ((*inner).clone(), true),
            of => (of, access.optional),
        };
        match (of.at(&key)?, optional) {
            (found, true) => Ok(Value::Optional(found.map(Arc::new))),
            (Some(found), false) => Ok(found),
            (None, false) => Err(missing(&of, &key)),
        }
    }

    fn has(&mut self, of: &Expr, field: &Arc<str>) -> Evaluated<'d> {
        let of = match self.value(of)? {
            Value::Optional(None) => return Ok(Value::Bool(false)),
            Value::Optional(Some(inner)) => (*inner).clone(),
            of => of,
        };
        if matches!(of, Value::List(_)) {
            return Err(no_overload());
        }
        Ok(Value::Bool(of.at(&Value::Text(Arc::clone(field)))?.is_some()))
    }

    fn comprehension(&mut self, comprehension: &Comprehension) -> Evaluated<'d> {
        let Comprehension { kind, over, condition, body } = comprehension;
        let over = self.value(over)?;
        if matches!(kind, Macro::OptMap | Macro::OptFlatMap) {
            return self.look_into(over, *kind == Macro::OptFlatMap, body);
        }
        let elements = over.elements().ok_or_else(no_overload)?;
        self.pay(elements.len())?;
        match kind {
            Macro::All => self.decide(elements.into_iter(), false, |run, element| run.with(element, body)),
            Macro::Exists => self.decide(elements.into_iter(), true, |run, element| run.with(element, body)),
            Macro::ExistsOne => Ok(Value::Bool(self.chosen(elements, body)?.len() == 1)),
            Macro::Filter => Ok(Value::list(self.chosen(elements, body)?)),
            Macro::Map => {
                let elements = match condition {
                    Some(condition) => self.chosen(elements, condition)?,
                    None => elements,
                };
                let mapped = elements.into_iter().map(|element| self.with(element, body));
                Ok(Value::list(mapped.collect::<Result<_, _>>()?))
            }
            Macro::OptMap | Macro::OptFlatMap => Err(no_overload()),
        }
    }

    /// Looks into an optional value; what is found there is optional too, `flat` if it is by itself.
    fn look_into(&mut self, over: Value<'d>, flat: bool, body: &Expr) -> Evaluated<'d> {
        let Value::Optional(inner) = over else { return Err(no_overload()) };
        let Some(inner) = inner else { return Ok(Value::Optional(None)) };
        match (self.with((*inner).clone(), body)?, flat) {
            (found @ Value::Optional(_), true) => Ok(found),
            (_, true) => Err(no_overload()),
            (found, false) => Ok(Value::Optional(Some(Arc::new(found)))),
        }
    }

    fn chosen(&mut self, elements: Vec<Value<'d>>, condition: &Expr) -> Result<Vec<Value<'d>>, Failure> {
        let mut chosen = Vec::new();
        for element in elements {
            match self.with(element.clone(), condition)? {
                Value::Bool(true) => chosen.push(element),
                Value::Bool(false) => {}
                _ => return Err(no_overload()),
            }
        }
        Ok(chosen)
    }

    fn binary(&mut self, operator: Operator, left: Value<'d>, right: Value<'d>) -> Evaluated<'d> {
        let order = |wanted: fn(Ordering) -> bool| {
            // What is not a number is not in any order, and no error.
            let undefined = matches!((&left, &right), (Value::Double(_), _) | (_, Value::Double(_)));
            match left.compare(&right) {
                Some(order) if comparable(&left) => Ok(Value::Bool(wanted(order))),
                None if undefined && comparable(&left) && comparable(&right) => Ok(Value::Bool(false)),
                _ => Err(no_overload()),
            }
        };
        match operator {
            Operator::Equal | Operator::NotEqual => {
                self.pay(size_of(&left).saturating_add(size_of(&right)))?;
                Ok(Value::Bool(left.equals(&right) == (operator == Operator::Equal)))
            }
            Operator::Less => order(Ordering::is_lt),
            Operator::LessOrEqual => order(Ordering::is_le),
            Operator::Greater => order(Ordering::is_gt),
            Operator::GreaterOrEqual => order(Ordering::is_ge),
            Operator::In => self.contains(&right, &left).map(Value::Bool),
            _ => self.arithmetic(operator, &left, &right),
        }
    }

    pub(super) fn contains(&mut self, whole: &Value<'d>, element: &Value<'d>) -> Result<bool, Failure> {
        match whole {
            // A domain without facts can be looked up, but is not there.
            Value::Domains(..) | Value::List(_) | Value::Map(_) => {
                let elements = whole.elements().unwrap_or_default();
                self.pay(size_of(whole).saturating_add(10 * elements.len()))?;
                Ok(elements.iter().any(|other| other.equals(element)))
            }
            Value::Domain(..) => Ok(whole.at(element)?.is_some()),
            _ => Err(no_overload()),
        }
    }

    fn arithmetic(&mut self, operator: Operator, left: &Value<'d>, right: &Value<'d>) -> Evaluated<'d> {
        match (left, right) {
            (Value::Int(a), Value::Int(b)) => whole(operator, *b == 0, || match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            })
            .map(Value::Int),
            (Value::Uint(a), Value::Uint(b)) => whole(operator, *b == 0, || match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            })
            .map(Value::Uint),
            (Value::Double(a), Value::Double(b)) => Ok(Value::Double(match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => a / b,
                _ => return Err(no_overload()),
            })),
            (Value::Text(a), Value::Text(b)) if operator == Operator::Add => {
                self.pay(a.len() + b.len())?;
                Ok(Value::text(format!("{a}{b}")))
            }
            (Value::List(a), Value::List(b)) if operator == Operator::Add => {
                self.pay(10 * (a.len() + b.len()))?;
                Ok(Value::list(a.iter().chain(b.iter()).cloned().collect()))
            }
            _ => Err(no_overload()),
        }
    }
}

fn whole<T>(operator: Operator, by_zero: bool, compute: impl Fn() -> Option<T>) -> Result<T, Failure> {
    match operator {
        Operator::Divide if by_zero => Err("division by zero".to_owned().into()),
        Operator::Remainder if by_zero => Err("modulus by zero".to_owned().into()),
        _ => compute().ok_or_else(overflow),
    }
}

fn overflow() -> Failure {
    "integer overflow".to_owned().into()
}

/// Whether values of this type have an order that operators know. Quantities and versions have methods for that.
fn comparable(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Text(_))
}

/// Bytes and elements, to bound the work of comparing. A list in which others occur again and again is larger than the memory it
/// takes, so that counting ends where no budget goes.
pub(super) fn size_of(value: &Value<'_>) -> usize {
    const END: usize = 20_000_000;
    let mut left = END;
    count(value, &mut left);
    END - left
}

fn count(value: &Value<'_>, left: &mut usize) {
    let own = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => 10 * items.len(),
        // Each entry is looked for among all.
        Value::Map(entries) => 20_usize.saturating_mul(entries.len()).saturating_mul(entries.len()),
        _ => 0,
    };
    *left = left.saturating_sub(own);
    let inside: &mut dyn Iterator<Item = &Value<'_>> = match value {
        Value::List(items) => &mut items.iter(),
        Value::Map(entries) => &mut entries.iter().flat_map(|(key, value)| [key, value]),
        Value::Optional(Some(inner)) => &mut std::iter::once(&**inner),
        _ => return,
    };
    for inner in inside {
        if *left == 0 {
            return;
        }
        count(inner, left);
    }
}

fn missing(of: &Value<'_>, key: &Value<'_>) -> Failure {
    let text = match (of, key) {
        (Value::List(_), Value::Int(index)) => format!("index out of bounds: {index}"),
        (_, Value::Text(key)) => format!("no such key: {key}"),
        (_, Value::Int(key)) => format!("no such key: {key}"),
        _ => "no such key".to_owned(),
    };
    Failure::Error(text)
}
