//! The functions of the language and of Kubernetes' libraries.

use std::cmp::Ordering;
use std::sync::Arc;

use regex::RegexBuilder;

use super::evaluate::{Evaluated, Failure, Run, no_overload, size_of};
use super::format::{format as formatted, quote};
use super::semver::Version;
use super::value::{Value, quantity};

/// A unit of quantities, in which they are counted.
const UNIT: i128 = 1_000_000_000;
/// A compiled regular expression takes no more memory, in bytes.
const MAX_REGEX: usize = 1 << 20;

macro_rules! functions {
    ($($function:ident: $name:literal, $method:literal, [$($args:literal)|+];)+) => {
        /// A function; several may do the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function { $($function),+ }

        impl Function {
            /// The function called `name` with so many arguments, the first of which stands before the name of a method.
            pub(super) fn find(name: &str, method: bool, args: usize) -> Option<Self> {
                match (name, method, args) {
                    $(($name, $method, $($args)|+) => Some(Self::$function),)+
                    _ => None,
                }
            }
        }
    };
}

functions! {
    Size: "size", false, [1];
    SizeOf: "size", true, [1];
    ToText: "string", false, [1];
    ToInt: "int", false, [1];
    ToUint: "uint", false, [1];
    ToDouble: "double", false, [1];
    ToBool: "bool", false, [1];
    Dyn: "dyn", false, [1];
    Contains: "contains", true, [2];
    StartsWith: "startsWith", true, [2];
    EndsWith: "endsWith", true, [2];
    Matches: "matches", true, [2];
    MatchesOf: "matches", false, [2];
    Find: "find", true, [2];
    FindAll: "findAll", true, [2 | 3];
    LowerAscii: "lowerAscii", true, [1];
    UpperAscii: "upperAscii", true, [1];
    Trim: "trim", true, [1];
    Split: "split", true, [2 | 3];
    Join: "join", true, [1 | 2];
    Replace: "replace", true, [3 | 4];
    Substring: "substring", true, [2 | 3];
    CharAt: "charAt", true, [2];
    IndexOf: "indexOf", true, [2 | 3];
    LastIndexOf: "lastIndexOf", true, [2 | 3];
    Format: "format", true, [2];
    Quote: "strings.quote", false, [1];
    IsSorted: "isSorted", true, [1];
    Sum: "sum", true, [1];
    Min: "min", true, [1];
    Max: "max", true, [1];
    SetsContains: "sets.contains", false, [2];
    SetsEquivalent: "sets.equivalent", false, [2];
    SetsIntersects: "sets.intersects", false, [2];
    Quantity: "quantity", false, [1];
    IsQuantity: "isQuantity", false, [1];
    Semver: "semver", false, [1 | 2];
    IsSemver: "isSemver", false, [1 | 2];
    CompareTo: "compareTo", true, [2];
    IsGreaterThan: "isGreaterThan", true, [2];
    IsLessThan: "isLessThan", true, [2];
    Add: "add", true, [2];
    Sub: "sub", true, [2];
    Sign: "sign", true, [1];
    IsInteger: "isInteger", true, [1];
    AsInteger: "asInteger", true, [1];
    AsApproximateFloat: "asApproximateFloat", true, [1];
    Major: "major", true, [1];
    Minor: "minor", true, [1];
    Patch: "patch", true, [1];
    OptionalOf: "optional.of", false, [1];
    OptionalOfNonZero: "optional.ofNonZeroValue", false, [1];
    OptionalNone: "optional.none", false, [0];
    HasValue: "hasValue", true, [1];
    InnerValue: "value", true, [1];
    OrValue: "orValue", true, [2];
    Or: "or", true, [2];
}

impl Function {
    pub(super) fn call<'d>(self, run: &mut Run<'d, '_>, args: &[Value<'d>]) -> Evaluated<'d> {
        for arg in args {
            run.pay(size_of(arg))?;
        }
        let answer = match args {
            [] => Some(Value::Optional(None)),
            [Value::Text(text)] => self.of_text(text)?,
            [Value::Text(text), Value::Text(other)] => self.of_texts(run, text, other)?,
            [Value::Text(text), rest @ ..] if !matches!(self, Self::OptionalOf) => {
                self.of_text_and(run, text, rest)?
            }
            [list @ (Value::List(_) | Value::Map(_) | Value::Domains(..) | Value::Domain(..)), rest @ ..] => {
                self.of_list(run, list, rest)?
            }
            [Value::Quantity(amount), rest @ ..] => self.of_quantity(*amount, rest)?,
            [Value::Version(version), rest @ ..] => self.of_version(version, rest)?,
            [Value::Optional(inner), rest @ ..] => self.of_optional(inner.as_ref(), rest)?,
            _ => None,
        };
        match (answer, args) {
            (Some(answer), _) => Ok(answer),
            (None, [arg]) => self.of_any(arg),
            (None, _) => Err(no_overload()),
        }
    }

    /// Conversions.
    fn of_any<'d>(self, arg: &Value<'d>) -> Evaluated<'d> {
        let range = || Failure::Error("range error".to_owned());
        Ok(match (self, arg) {
            (Self::Dyn, value) => value.clone(),
            (Self::OptionalOfNonZero, value) if value.is_zero() => Value::Optional(None),
            (Self::OptionalOf | Self::OptionalOfNonZero, value) => {
                Value::Optional(Some(Arc::new(value.clone())))
            }
            (Self::ToInt, Value::Int(_)) | (Self::ToUint, Value::Uint(_)) => arg.clone(),
            (Self::ToDouble, Value::Double(_)) | (Self::ToBool, Value::Bool(_)) => arg.clone(),
            (Self::ToInt, Value::Uint(value)) => Value::Int(i64::try_from(*value).map_err(|_| range())?),
            (Self::ToUint, Value::Int(value)) => Value::Uint(u64::try_from(*value).map_err(|_| range())?),
            (Self::ToInt, Value::Double(value)) => Value::Int(truncated(*value).ok_or_else(range)?),
            (Self::ToDouble, Value::Int(value)) => Value::Double(approximate(i128::from(*value))),
            (Self::ToDouble, Value::Uint(value)) => Value::Double(approximate(i128::from(*value))),
            (Self::ToText, Value::Int(value)) => Value::text(value.to_string()),
            (Self::ToText, Value::Uint(value)) => Value::text(value.to_string()),
            (Self::ToText, Value::Double(value)) => Value::text(value.to_string()),
            (Self::ToText, Value::Bool(value)) => Value::text(value.to_string()),
            _ => return Err(no_overload()),
        })
    }

    fn of_text<'d>(self, text: &Arc<str>) -> Result<Option<Value<'d>>, Failure> {
        let bad = |what: &str| Failure::Error(format!("{what}: {text:?}"));
        Ok(Some(match self {
            Self::Size | Self::SizeOf => Value::Int(length(text.chars().count())),
            Self::ToText => Value::Text(Arc::clone(text)),
            Self::ToInt => Value::Int(text.parse().map_err(|_| bad("type conversion error to int"))?),
            Self::ToUint => Value::Uint(text.parse().map_err(|_| bad("type conversion error to uint"))?),
            Self::ToDouble => {
                Value::Double(text.parse().map_err(|_| bad("type conversion error to double"))?)
            }
            Self::ToBool => match &**text {
                "true" | "True" | "TRUE" | "t" | "1" => Value::Bool(true),
                "false" | "False" | "FALSE" | "f" | "0" => Value::Bool(false),
                _ => return Err(bad("type conversion error to bool")),
            },
            Self::LowerAscii => Value::text(text.to_ascii_lowercase()),
            Self::UpperAscii => Value::text(text.to_ascii_uppercase()),
            Self::Trim => Value::text(text.trim()),
            Self::Quote => Value::text(quote(text)),
            Self::Quantity => quantity(text).ok_or_else(|| bad("unable to parse quantity"))?,
            Self::IsQuantity => Value::Bool(quantity(text).is_some()),
            Self::Semver => {
                Value::Version(Arc::new(Version::parse(text).ok_or_else(|| bad("invalid semver"))?))
            }
            Self::IsSemver => Value::Bool(Version::parse(text).is_some()),
            _ => return Ok(None),
        }))
    }

    fn of_texts<'d>(
        self,
        run: &mut Run<'d, '_>,
        text: &str,
        other: &str,
    ) -> Result<Option<Value<'d>>, Failure> {
        Ok(Some(match self {
            Self::Contains => Value::Bool(text.contains(other)),
            Self::StartsWith => Value::Bool(text.starts_with(other)),
            Self::EndsWith => Value::Bool(text.ends_with(other)),
            Self::Matches | Self::MatchesOf => Value::Bool(regex(run, text, other)?.is_match(text)),
            Self::Find => Value::text(regex(run, text, other)?.find(text).map_or("", |found| found.as_str())),
            Self::FindAll => {
                let found = regex(run, text, other)?;
                Value::list(found.find_iter(text).map(|found| Value::text(found.as_str())).collect())
            }
            Self::Split => {
                run.pay(10 * text.len())?;
                let parts: Vec<_> = if other.is_empty() {
                    text.chars().map(|char| Value::text(char.to_string())).collect()
                } else {
                    text.split(other).map(Value::text).collect()
                };
                Value::list(parts)
            }
            Self::IndexOf => Value::Int(text.find(other).map_or(-1, |at| chars_before(text, at))),
            Self::LastIndexOf => Value::Int(text.rfind(other).map_or(-1, |at| chars_before(text, at))),
            _ => return Ok(None),
        }))
    }

    fn of_text_and<'d>(
        self,
        run: &mut Run<'d, '_>,
        text: &str,
        rest: &[Value<'d>],
    ) -> Result<Option<Value<'d>>, Failure> {
        Ok(Some(match (self, rest) {
            (Self::Replace, [Value::Text(from), Value::Text(to)]) => replaced(run, text, from, to, None)?,
            (Self::Replace, [Value::Text(from), Value::Text(to), Value::Int(times)]) => {
                replaced(run, text, from, to, usize::try_from(*times).ok())?
            }
            (Self::Split, [Value::Text(at), Value::Int(limit)]) => {
                run.pay(10 * text.len())?;
                Value::list(parts(text, at, *limit))
            }
            (Self::FindAll, [Value::Text(pattern), Value::Int(limit)]) => {
                let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
                let found = regex(run, text, pattern)?;
                Value::list(
                    found.find_iter(text).take(limit).map(|found| Value::text(found.as_str())).collect(),
                )
            }
            (Self::Format, [Value::List(values)]) => {
                // A number may be written with a hundred digits.
                run.pay(text.len().saturating_add(values.len().saturating_mul(100)))?;
                Value::text(formatted(text, values)?)
            }
            (Self::Semver, [Value::Bool(tolerant)]) => {
                let invalid = || Failure::Error(format!("invalid semver: {text:?}"));
                Value::Version(Arc::new(version(text, *tolerant).ok_or_else(invalid)?))
            }
            (Self::IsSemver, [Value::Bool(tolerant)]) => Value::Bool(version(text, *tolerant).is_some()),
            _ => return self.of_text_at(text, rest),
        }))
    }

    /// What is asked of places in a text, which are counted in characters.
    fn of_text_at<'d>(self, text: &str, rest: &[Value<'d>]) -> Result<Option<Value<'d>>, Failure> {
        let outside = || Failure::Error("index out of range".to_owned());
        let place = |index: &i64| usize::try_from(*index).map_err(|_| outside());
        let count = || text.chars().count();
        let part = |from: usize, to: usize| {
            if from > to || to > count() {
                return Err(outside());
            }
            Ok(Value::text(text.chars().skip(from).take(to - from).collect::<String>()))
        };
        Ok(Some(match (self, rest) {
            (Self::IndexOf, [Value::Text(part), Value::Int(from)]) => {
                Value::Int(after(text, part, place(from)?))
            }
            (Self::LastIndexOf, [Value::Text(part), Value::Int(to)]) => {
                Value::Int(before(text, part, place(to)?))
            }
            (Self::Substring, [Value::Int(from)]) => part(place(from)?, count())?,
            (Self::Substring, [Value::Int(from), Value::Int(to)]) => part(place(from)?, place(to)?)?,
            (Self::CharAt, [Value::Int(at)]) => match place(at)? {
                at if at == count() => Value::text(""),
                at => part(at, at.saturating_add(1))?,
            },
            _ => return Ok(None),
        }))
    }

    fn of_list<'d>(
        self,
        run: &mut Run<'d, '_>,
        list: &Value<'d>,
        rest: &[Value<'d>],
    ) -> Result<Option<Value<'d>>, Failure> {
        let items = list.elements().unwrap_or_default();
        run.pay(items.len())?;
        let extreme = |wanted: Ordering| {
            let mut items = items.iter();
            let first =
                items.next().ok_or_else(|| Failure::Error("min/max called on empty list".to_owned()))?;
            let better = |best, item: &Value<'d>| {
                let order = item.compare(&best).ok_or_else(no_overload)?;
                Ok::<_, Failure>(if order == wanted { item.clone() } else { best })
            };
            items.try_fold(first.clone(), better)
        };
        Ok(Some(match (self, rest) {
            (Self::Size | Self::SizeOf, []) => Value::Int(length(items.len())),
            (Self::Join, []) => joined(run, &items, "")?,
            (Self::Join, [Value::Text(between)]) => joined(run, &items, between)?,
            (Self::IsSorted, []) => {
                let pairs = items.windows(2).map(|pair| match pair {
                    [a, b] => a.compare(b).map(Ordering::is_le).ok_or_else(no_overload),
                    _ => Ok(true),
                });
                Value::Bool(pairs.collect::<Result<Vec<_>, _>>()?.into_iter().all(|sorted| sorted))
            }
            (Self::Min, []) => extreme(Ordering::Less)?,
            (Self::Max, []) => extreme(Ordering::Greater)?,
            (Self::Sum, []) => total(&items)?,
            (Self::IndexOf, [wanted]) => {
                Value::Int(items.iter().position(|item| item.equals(wanted)).map_or(-1, length))
            }
            (Self::LastIndexOf, [wanted]) => {
                Value::Int(items.iter().rposition(|item| item.equals(wanted)).map_or(-1, length))
            }
            (Self::SetsContains, [other]) => Value::Bool(within(run, other, list)?),
            (Self::SetsEquivalent, [other]) => {
                Value::Bool(within(run, other, list)? && within(run, list, other)?)
            }
            (Self::SetsIntersects, [other]) => {
                let found: Result<Vec<_>, _> = items.iter().map(|item| run.contains(other, item)).collect();
                Value::Bool(found?.contains(&true))
            }
            _ => return Ok(None),
        }))
    }

    fn of_quantity<'d>(self, amount: i128, rest: &[Value<'d>]) -> Result<Option<Value<'d>>, Failure> {
        let other = match rest {
            [] => 0,
            [Value::Quantity(other)] => *other,
            [Value::Int(other)] => i128::from(*other) * UNIT,
            _ => return Ok(None),
        };
        let fits = amount % UNIT == 0 && i64::try_from(amount / UNIT).is_ok();
        let overflow = || Failure::Error("quantity overflow".to_owned());
        Ok(Some(match self {
            Self::CompareTo => Value::Int(sign(amount.cmp(&other))),
            Self::IsGreaterThan => Value::Bool(amount > other),
            Self::IsLessThan => Value::Bool(amount < other),
            Self::Add => Value::Quantity(amount.checked_add(other).ok_or_else(overflow)?),
            Self::Sub => Value::Quantity(amount.checked_sub(other).ok_or_else(overflow)?),
            Self::Sign => Value::Int(sign(amount.cmp(&0))),
            Self::IsInteger => Value::Bool(fits),
            Self::AsInteger if fits => Value::Int(i64::try_from(amount / UNIT).unwrap_or_default()),
            Self::AsInteger => return Err("cannot convert value to integer".to_owned().into()),
            Self::AsApproximateFloat => Value::Double(approximate(amount) / 1e9),
            _ => return Ok(None),
        }))
    }

    fn of_version<'d>(self, version: &Version, rest: &[Value<'d>]) -> Result<Option<Value<'d>>, Failure> {
        let number = |place: usize| Value::Int(i64::try_from(version.numbers[place]).unwrap_or(i64::MAX));
        Ok(match (self, rest) {
            (Self::Major, []) => Some(number(0)),
            (Self::Minor, []) => Some(number(1)),
            (Self::Patch, []) => Some(number(2)),
            (Self::CompareTo, [Value::Version(other)]) => Some(Value::Int(sign(version.cmp(other)))),
            (Self::IsGreaterThan, [Value::Version(other)]) => Some(Value::Bool(version > &**other)),
            (Self::IsLessThan, [Value::Version(other)]) => Some(Value::Bool(version < &**other)),
            _ => None,
        })
    }

    fn of_optional<'d>(
        self,
        inner: Option<&Arc<Value<'d>>>,
        rest: &[Value<'d>],
    ) -> Result<Option<Value<'d>>, Failure> {
        Ok(match (self, rest, inner) {
            (Self::HasValue, [], inner) => Some(Value::Bool(inner.is_some())),
            (Self::InnerValue, [], None) => return Err("optional.none() dereference".to_owned().into()),
            (Self::InnerValue, [], Some(inner)) | (Self::OrValue, [_], Some(inner)) => {
                Some((**inner).clone())
            }
            (Self::OrValue, [other], None) => Some(other.clone()),
            (Self::Or, [_], Some(inner)) => Some(Value::Optional(Some(Arc::clone(inner)))),
            (Self::Or, [Value::Optional(other)], None) => Some(Value::Optional(other.clone())),
            _ => None,
        })
    }
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn sign(order: Ordering) -> i64 {
    match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

fn chars_before(text: &str, at: usize) -> i64 {
    length(text.get(..at).map_or(0, |before| before.chars().count()))
}

#[expect(clippy::cast_precision_loss, reason = "approximate is what was asked for")]
fn approximate(value: i128) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and the fraction is to go")]
fn truncated(value: f64) -> Option<i64> {
    (value.abs() < 9.2e18).then_some(value as i64)
}

/// A text with up to so many occurrences of one part replaced by another, all of them without a number.
fn replaced<'d>(
    run: &mut Run<'d, '_>,
    text: &str,
    from: &str,
    to: &str,
    times: Option<usize>,
) -> Result<Value<'d>, Failure> {
    // An empty text is found everywhere.
    let found = if from.is_empty() { text.len() + 1 } else { text.matches(from).count() };
    let times = times.map_or(found, |times| times.min(found));
    run.pay(text.len().saturating_add(times.saturating_mul(to.len())))?;
    Ok(Value::text(text.replacen(from, to, times)))
}

fn version(text: &str, tolerant: bool) -> Option<Version> {
    if tolerant { Version::parse_tolerantly(text) } else { Version::parse(text) }
}

/// The parts of a text, at most so many; all of them if the limit is negative.
fn parts<'d>(text: &str, at: &str, limit: i64) -> Vec<Value<'d>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if !at.is_empty() {
        return text.splitn(limit, at).map(Value::text).collect();
    }
    // Every character by itself, and the rest in the last part.
    let single = limit.saturating_sub(1).min(text.chars().count());
    let end = text.char_indices().nth(single).map_or(text.len(), |(end, _)| end);
    let rest = text.get(end..).filter(|rest| limit > 0 && !rest.is_empty());
    text.chars().take(single).map(|char| Value::text(char.to_string())).chain(rest.map(Value::text)).collect()
}

/// Where a part is found first, at a character or after it; -1 for nowhere.
fn after(text: &str, part: &str, from: usize) -> i64 {
    if part.is_empty() {
        return length(from);
    }
    let Some((start, _)) = text.char_indices().nth(from) else { return -1 };
    text.get(start..).and_then(|rest| rest.find(part)).map_or(-1, |at| chars_before(text, start + at))
}

/// Where a part is found last, at a character or before it; -1 for nowhere.
fn before(text: &str, part: &str, to: usize) -> i64 {
    if part.is_empty() {
        return length(to);
    }
    let Some((start, _)) = text.char_indices().nth(to) else { return -1 };
    let end = start.saturating_add(part.len()).min(text.len());
    let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
    text.get(..end).and_then(|front| front.rfind(part)).map_or(-1, |at| chars_before(text, at))
}

/// The cost is that of running it too: an automaton takes a step for each byte.
fn regex(run: &mut Run<'_, '_>, text: &str, pattern: &str) -> Result<regex::Regex, Failure> {
    run.pay((100 * pattern.len()).saturating_add(text.len().saturating_mul(pattern.len() / 4 + 1)))?;
    let regex = RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
    regex.map_err(|error| Failure::Error(format!("error parsing regexp: {error}")))
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

fn total<'d>(items: &[Value<'d>]) -> Evaluated<'d> {
    let mut sum = None;
    for item in items {
        sum = Some(match (sum, item) {
            (None, first @ (Value::Int(_) | Value::Uint(_) | Value::Double(_))) => first.clone(),
            (Some(Value::Int(sum)), Value::Int(item)) => Value::Int(
                i64::checked_add(sum, *item).ok_or_else(|| Failure::Error("integer overflow".to_owned()))?,
            ),
            (Some(Value::Uint(sum)), Value::Uint(item)) => Value::Uint(
                u64::checked_add(sum, *item).ok_or_else(|| Failure::Error("integer overflow".to_owned()))?,
            ),
            (Some(Value::Double(sum)), Value::Double(item)) => Value::Double(sum + item),
            _ => return Err(no_overload()),
        });
    }
    Ok(sum.unwrap_or(Value::Int(0)))
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
