//! Defaults as data: patterns of paths and the values that belong there.
//!
//! One rule per line, `path = JSON`. A path is relative to the object and made of:
//! - `name`: go into the field; without it the rule does not apply,
//! - `name!`: go into the field, making it an object when it is not there,
//! - `name[]`: each element of the list,
//! - `(field=value)`: go on only where the field has this value,
//! - the last name: filled when missing, null or empty. With `~=` also when it is zero.
//!
//! `{a,b}.rest` stands for the rule with each of the names.

use serde_json::{Map, Value};

#[derive(Debug, Clone)]
enum Step {
    Into(String),
    Make(String),
    Each(String),
    Where(String, String),
}

#[derive(Debug, Clone)]
struct Rule {
    steps: Vec<Step>,
    field: String,
    value: Value,
    zero_is_unset: bool,
}

/// Rules that fill in what was left out.
#[derive(Debug, Clone)]
pub(super) struct Defaults(Vec<Rule>);

impl Defaults {
    pub(super) const NONE: Self = Self(Vec::new());

    /// Reads rules; lines that are none are skipped, which the tests notice.
    pub(super) fn parse(text: &str) -> Self {
        Self(
            text.lines()
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .flat_map(expand)
                .filter_map(|l| rule(&l))
                .collect(),
        )
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Applies every rule, in order.
    pub(super) fn apply(&self, object: &mut Value) {
        for rule in &self.0 {
            apply(rule, &rule.steps, object);
        }
    }
}

/// Writes out the alternatives of the first braces, and then those of the next.
fn expand(line: &str) -> Vec<String> {
    let parts =
        line.split_once('{').and_then(|(a, rest)| rest.split_once('}').map(|(names, b)| (a, names, b)));
    match parts {
        Some((before, names, after)) if !before.contains("= ") => {
            names.split(',').flat_map(|name| expand(&format!("{before}{name}{after}"))).collect()
        }
        _ => vec![line.to_owned()],
    }
}

fn rule(line: &str) -> Option<Rule> {
    let (path, value) = line.split_once("= ")?;
    let (path, zero_is_unset) = path.strip_suffix('~').map_or((path, false), |path| (path, true));
    let path = path.trim();
    let (steps, field) = path.rsplit_once('.').unwrap_or(("", path));
    let value = serde_json::from_str(value.trim()).ok()?;
    let steps = steps.split('.').filter(|s| !s.is_empty()).flat_map(step).collect();
    Some(Rule { steps, field: field.to_owned(), value, zero_is_unset })
}

fn step(text: &str) -> Vec<Step> {
    let (name, condition) = match text.split_once('(') {
        Some((name, condition)) => (name, condition.strip_suffix(')').and_then(|c| c.split_once('='))),
        None => (text, None),
    };
    let mut steps = Vec::new();
    match (name.strip_suffix("[]"), name.strip_suffix('!')) {
        (Some(list), _) => steps.push(Step::Each(list.to_owned())),
        (_, Some(object)) => steps.push(Step::Make(object.to_owned())),
        _ if name.is_empty() => {}
        _ => steps.push(Step::Into(name.to_owned())),
    }
    steps.extend(condition.map(|(field, value)| Step::Where(field.to_owned(), value.to_owned())));
    steps
}

fn apply(rule: &Rule, steps: &[Step], at: &mut Value) {
    let Value::Object(map) = at else { return };
    match steps.split_first() {
        None => fill(rule, map),
        Some((Step::Into(name), rest)) => {
            if let Some(next) = map.get_mut(name) {
                apply(rule, rest, next);
            }
        }
        Some((Step::Make(name), rest)) => {
            let next = map.entry(name.as_str()).or_insert(Value::Null);
            if next.is_null() {
                *next = Value::Object(Map::new());
            }
            apply(rule, rest, next);
        }
        Some((Step::Each(name), rest)) => {
            if let Some(Value::Array(items)) = map.get_mut(name) {
                items.iter_mut().for_each(|item| apply(rule, rest, item));
            }
        }
        Some((Step::Where(field, value), rest)) => {
            if map.get(field).is_some_and(|v| v == value.as_str()) {
                apply(rule, rest, at);
            }
        }
    }
}

fn fill(rule: &Rule, map: &mut Map<String, Value>) {
    let unset = match map.get(&rule.field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(n)) => rule.zero_is_unset && n.as_i64() == Some(0),
        _ => false,
    };
    if unset {
        map.insert(rule.field.clone(), rule.value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_reach_where_they_say() {
        let rules = Defaults::parse(
            "a = 1\n{b,c}!.d = \"x\"\nlist[].e ~= 3\nlist[].f.g = {}\ns(type=R).r!.m = \"25%\"\nnever.x = 1",
        );
        assert_eq!(rules.len(), 7);
        let mut value = json!({"b": {"d": "y"}, "list": [{"e": 0}, {"e": 4, "f": {}}], "s": {"type": "R"}});
        rules.apply(&mut value);
        assert_eq!(
            value,
            json!({
                "a": 1, "b": {"d": "y"}, "c": {"d": "x"}, "list": [{"e": 3}, {"e": 4, "f": {"g": {}}}],
                "s": {"type": "R", "r": {"m": "25%"}},
            })
        );
    }
}
