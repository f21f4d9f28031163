//! What an expression says about a device.

use std::sync::Arc;

use super::ast::{Access, Expr};
use super::functions::Function;
use super::value::Value;
use crate::snapshot::{DeviceFacts, Facts};

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

/// Whether an expression in which neither the device nor a variable occurs has a value.
pub(super) fn is_constant(expr: &Expr) -> bool {
    let driver: Arc<str> = Arc::from("");
    let device = DeviceFacts { driver, attributes: Facts::default(), capacity: Facts::default() };
    let mut budget = super::MAX_SELECTOR_COST;
    Run { device: &device, budget: &mut budget, variables: Vec::new() }.value(expr).is_ok()
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

    pub(super) fn value(&mut self, expr: &Expr) -> Evaluated<'d> {
        self.pay(0)?;
        match expr {
            Expr::Constant(value) => Ok(value.clone()),
            Expr::Device => Ok(Value::Device(self.device)),
            Expr::Variable(place) => self.variables.get(*place).cloned().ok_or_else(no_overload),
            Expr::Get(access) => self.get(access),
            Expr::Has(of, field) => self.has(of, field),
            Expr::List(items) => self.list(items),
            Expr::Map(entries) => self.map(entries),
            Expr::IfPresent(inner) => self.value(inner),
            Expr::Not(operand) => match self.value(operand)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                _ => Err(no_overload()),
            },
            Expr::Negate(operand) => negated(&self.value(operand)?),
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
                self.binary(*operator, &left, &right)
            }
            Expr::Call(Function::Or, args) => self.either(args, false),
            Expr::Call(Function::OrValue, args) => self.either(args, true),
            Expr::Call(function, args) => {
                let args = self.values(args)?;
                function.call(self, &args)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Bind(parts) => {
                let [value, body] = &**parts;
                let value = self.value(value)?;
                self.with([value], body)
            }
        }
    }

    fn values(&mut self, exprs: &[Expr]) -> Result<Vec<Value<'d>>, Failure> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    fn list(&mut self, items: &[Expr]) -> Evaluated<'d> {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let value = self.value(item)?;
            if let Some(value) = present(item, value, "list element")? {
                list.push(value);
            }
        }
        Ok(Value::list(list))
    }

    fn map(&mut self, entries: &[(Expr, Expr)]) -> Evaluated<'d> {
        let mut map: Vec<(Value<'d>, Value<'d>)> = Vec::with_capacity(entries.len());
        for (key, of) in entries {
            let key = self.value(key)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_)) {
                return Err("unsupported key type".to_owned().into());
            }
            let value = self.value(of)?;
            let Some(value) = present(of, value, "map entry")? else { continue };
            self.pay(size_of(&key).saturating_add(1).saturating_mul(map.len()))?;
            // The last of several equal keys counts.
            map.retain(|(other, _)| !other.equals(&key));
            map.push((key, value));
        }
        Ok(Value::Map(Arc::new(map)))
    }

    /// The first of two values if it is there, or else the second, which is evaluated only then. The answer is optional too, unless
    /// the value itself is `wanted`.
    fn either(&mut self, args: &[Expr], wanted: bool) -> Evaluated<'d> {
        let [first, second] = args else { return Err(no_overload()) };
        match (self.value(first)?, wanted) {
            (Value::Optional(Some(inner)), true) => Ok((*inner).clone()),
            (found @ Value::Optional(Some(_)), false) => Ok(found),
            (Value::Optional(None), true) => self.value(second),
            (Value::Optional(None), false) => match self.value(second)? {
                found @ Value::Optional(_) => Ok(found),
                _ => Err(no_overload()),
            },
            _ => Err(no_overload()),
        }
    }

    /// Evaluates with more variables.
    pub(super) fn with<const N: usize>(&mut self, variables: [Value<'d>; N], body: &Expr) -> Evaluated<'d> {
        self.variables.extend(variables);
        let value = self.value(body);
        self.variables.truncate(self.variables.len() - N);
        value
    }

    /// Looks for an operand that is `decisive`; only if there is none do errors count.
    pub(super) fn decide<T>(
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
        self.pay_for_key(&of, &key)?;
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
        let field = Value::Text(Arc::clone(field));
        self.pay_for_key(&of, &field)?;
        Ok(Value::Bool(of.at(&field)?.is_some()))
    }

    /// A key is looked for among all of a map.
    fn pay_for_key(&mut self, of: &Value<'d>, key: &Value<'d>) -> Result<(), Failure> {
        match of {
            Value::Map(entries) => self.pay(size_of(key).saturating_add(1).saturating_mul(entries.len())),
            _ => Ok(()),
        }
    }
}

/// The value of an element or an entry; nothing if that is optional and not there.
fn present<'d>(expr: &Expr, value: Value<'d>, what: &str) -> Result<Option<Value<'d>>, Failure> {
    match (expr, value) {
        (Expr::IfPresent(_), Value::Optional(inner)) => Ok(inner.map(|inner| (*inner).clone())),
        (Expr::IfPresent(_), _) => {
            Err(format!("cannot initialize optional {what} from non-optional value").into())
        }
        (_, value) => Ok(Some(value)),
    }
}

fn negated<'d>(value: &Value<'d>) -> Evaluated<'d> {
    let overflow = |what: &str| Failure::Error(format!("{what} overflow"));
    Ok(match value {
        Value::Int(value) => Value::Int(value.checked_neg().ok_or_else(|| overflow("integer"))?),
        Value::Double(value) => Value::Double(-value),
        Value::Duration(span) => Value::Duration(span.checked_neg().ok_or_else(|| overflow("duration"))?),
        _ => return Err(no_overload()),
    })
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
        Value::Bytes(bytes) => bytes.len(),
        Value::Url(url) => url.len(),
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
