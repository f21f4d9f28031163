//! Lists and maps.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::evaluate::{Evaluated, Failure, Run, no_overload, size_of};
use super::super::value::Value;
use super::{Answer, Function, length};

pub(super) fn call<'d>(
    function: Function,
    run: &mut Run<'d, '_>,
    list: &Value<'d>,
    rest: &[Value<'d>],
) -> Answer<'d> {
    let items = list.elements().unwrap_or_default();
    run.pay(items.len())?;
    Ok(Some(match (function, rest) {
        (Function::Size | Function::SizeOf, []) => Value::Int(length(items.len())),
        (Function::SetsContains, [other]) => Value::Bool(within(run, other, list)?),
        (Function::SetsEquivalent, [other]) => {
            Value::Bool(within(run, other, list)? && within(run, list, other)?)
        }
        (Function::SetsIntersects, [other]) => {
            let found: Result<Vec<_>, _> = items.iter().map(|item| run.contains(other, item)).collect();
            Value::Bool(found?.contains(&true))
        }
        _ if !matches!(list, Value::List(_)) => return Ok(None),
        (Function::Join, []) => joined(run, &items, "")?,
        (Function::Join, [Value::Text(between)]) => joined(run, &items, between)?,
        (Function::IsSorted, []) => {
            Value::Bool(items.windows(2).try_fold(true, |sorted, pair| {
                Ok::<_, Failure>(sorted && order(&pair[0], &pair[1])?.is_le())
            })?)
        }
        (Function::Min, []) => extreme("min", &items, Ordering::Less)?,
        (Function::Max, []) => extreme("max", &items, Ordering::Greater)?,
        (Function::Sum, []) => total(run, &items)?,
        (Function::IndexOf, [wanted]) => {
            Value::Int(items.iter().position(|item| item.equals(wanted)).map_or(-1, length))
        }
        (Function::LastIndexOf, [wanted]) => {
            Value::Int(items.iter().rposition(|item| item.equals(wanted)).map_or(-1, length))
        }
        (Function::First, []) => Value::Optional(items.into_iter().next().map(Arc::new)),
        (Function::Last, []) => Value::Optional(items.into_iter().next_back().map(Arc::new)),
        (Function::Unwrap | Function::UnwrapOpt, []) => unwrapped(items)?,
        _ => return rearranged(function, run, items, rest),
    }))
}

/// Another list of the same elements.
fn rearranged<'d>(
    function: Function,
    run: &mut Run<'d, '_>,
    mut items: Vec<Value<'d>>,
    rest: &[Value<'d>],
) -> Answer<'d> {
    run.pay(10 * items.len())?;
    Ok(Some(match (function, rest) {
        (Function::Slice, [Value::Int(from), Value::Int(to)]) => slice(&items, *from, *to)?,
        (Function::Flatten, []) => flat(run, &items, 1)?,
        (Function::Flatten, [Value::Int(depth)]) => {
            let negative = || Failure::Error("level must be non-negative".to_owned());
            flat(run, &items, u64::try_from(*depth).map_err(|_| negative())?)?
        }
        (Function::Distinct, []) => distinct(run, items)?,
        (Function::Sort, []) => {
            let keys = items.clone();
            sorted(run, items, keys)?
        }
        (Function::Reverse, []) => {
            items.reverse();
            Value::list(items)
        }
        _ => return Ok(None),
    }))
}

/// The whole numbers below one.
pub(super) fn range<'d>(run: &mut Run<'d, '_>, end: i64) -> Evaluated<'d> {
    run.pay(usize::try_from(end).unwrap_or(0).saturating_mul(10))?;
    Ok(Value::list((0..end).map(Value::Int).collect()))
}

fn slice<'d>(items: &[Value<'d>], from: i64, to: i64) -> Evaluated<'d> {
    let failed = |why: String| Failure::Error(format!("cannot slice({from}, {to}), {why}"));
    let (Ok(start), Ok(end)) = (usize::try_from(from), usize::try_from(to)) else {
        return Err(failed("negative indexes not supported".to_owned()));
    };
    if start > end {
        return Err(failed("start index must be less than or equal to end index".to_owned()));
    }
    let too_long = || failed(format!("list is length {}", items.len()));
    Ok(Value::list(items.get(start..end).ok_or_else(too_long)?.to_vec()))
}

/// A list with what lists in it hold, down to a depth, in their place.
fn flat<'d>(run: &mut Run<'d, '_>, items: &[Value<'d>], depth: u64) -> Evaluated<'d> {
    fn collect<'d>(
        run: &mut Run<'d, '_>,
        items: &[Value<'d>],
        depth: u64,
        found: &mut Vec<Value<'d>>,
    ) -> Result<(), Failure> {
        run.pay(10 * items.len())?;
        for item in items {
            match item {
                Value::List(inner) if depth > 0 => collect(run, inner, depth - 1, found)?,
                other => found.push(other.clone()),
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    collect(run, items, depth, &mut found)?;
    Ok(Value::list(found))
}

fn distinct<'d>(run: &mut Run<'d, '_>, items: Vec<Value<'d>>) -> Evaluated<'d> {
    let mut found: Vec<Value<'d>> = Vec::new();
    for item in items {
        run.pay(size_of(&item).saturating_add(10).saturating_mul(found.len()))?;
        if !found.iter().any(|other| other.equals(&item)) {
            found.push(item);
        }
    }
    Ok(Value::list(found))
}

/// A list in the order of the keys, of which each element has one.
pub(in super::super) fn sorted<'d>(
    run: &mut Run<'d, '_>,
    items: Vec<Value<'d>>,
    keys: Vec<Value<'d>>,
) -> Evaluated<'d> {
    if let Some(first) = keys.first() {
        if !first.is_comparable() {
            return Err("list elements must be comparable".to_owned().into());
        }
        if keys.iter().any(|key| key.type_name() != first.type_name()) {
            return Err("list elements must have the same type".to_owned().into());
        }
    }
    // Each key is compared with some twenty others at most, because longer lists are too dear to make.
    run.pay(keys.iter().map(|key| 20 * (size_of(key) + 1)).sum())?;
    let mut pairs: Vec<_> = keys.into_iter().zip(items).collect();
    pairs.sort_by(|(a, _), (b, _)| a.compare(b).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
}

fn unwrapped(items: Vec<Value<'_>>) -> Evaluated<'_> {
    let mut found = Vec::new();
    for item in items {
        match item {
            Value::Optional(Some(inner)) => found.push((*inner).clone()),
            Value::Optional(None) => {}
            _ => return Err(no_overload()),
        }
    }
    Ok(Value::list(found))
}

fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Ordering, Failure> {
    a.compare(b).filter(|_| a.is_comparable()).ok_or_else(no_overload)
}

fn extreme<'d>(name: &str, items: &[Value<'d>], wanted: Ordering) -> Evaluated<'d> {
    let (first, rest) =
        items.split_first().ok_or_else(|| Failure::Error(format!("{name} called on empty list")))?;
    let better = |best, item: &Value<'d>| {
        Ok::<_, Failure>(if order(item, &best)? == wanted { item.clone() } else { best })
    };
    rest.iter().try_fold(first.clone(), better)
}

fn joined<'d>(run: &mut Run<'d, '_>, items: &[Value<'d>], between: &str) -> Evaluated<'d> {
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let Value::Text(text) = item else { return Err(no_overload()) };
        texts.push(&**text);
    }
    run.pay(texts.iter().map(|text| text.len() + between.len()).sum())?;
    Ok(Value::text(texts.join(between)))
}

fn total<'d>(run: &mut Run<'d, '_>, items: &[Value<'d>]) -> Evaluated<'d> {
    let Some((first, rest)) = items.split_first() else { return Ok(Value::Int(0)) };
    if !matches!(first, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) {
        return Err(no_overload());
    }
    rest.iter().try_fold(first.clone(), |sum, item| run.add(&sum, item))
}

/// Whether every element of one list is in the other.
fn within<'d>(run: &mut Run<'d, '_>, inner: &Value<'d>, outer: &Value<'d>) -> Result<bool, Failure> {
    for item in inner.elements().ok_or_else(no_overload)? {
        if !run.contains(outer, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}
