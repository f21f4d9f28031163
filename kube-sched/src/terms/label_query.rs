//! A label selector that can be compared, hashed and matched quickly.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Labels as objects carry them.
type Labels = BTreeMap<String, String>;

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Requirement {
    In(Arc<str>, Vec<Arc<str>>),
    NotIn(Arc<str>, Vec<Arc<str>>),
    Exists(Arc<str>),
    Absent(Arc<str>),
}

impl Requirement {
    fn parse(requirement: &LabelSelectorRequirement) -> Option<Self> {
        let key = requirement.key.as_str().into();
        let values = || {
            let mut values: Vec<Arc<str>> =
                requirement.values.iter().flatten().map(|value| value.as_str().into()).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        Some(match requirement.operator.as_str() {
            "In" => Self::In(key, values()),
            "NotIn" => Self::NotIn(key, values()),
            "Exists" => Self::Exists(key),
            "DoesNotExist" => Self::Absent(key),
            _ => return None,
        })
    }

    fn meets(&self, labels: Option<&Labels>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        let has = |key: &str, values: &[Arc<str>]| {
            value(key).is_some_and(|value| values.iter().any(|other| **other == *value))
        };
        match self {
            Self::In(key, values) => has(key, values),
            Self::NotIn(key, values) => !has(key, values),
            Self::Exists(key) => value(key).is_some(),
            Self::Absent(key) => value(key).is_none(),
        }
    }
}

/// A label selector in normal form: equal demands compare equal, whatever their order. The empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelQuery(Vec<Requirement>);

impl LabelQuery {
    /// Parses a selector; `None` for one that is absent or has an unknown operator, which matches nothing.
    #[must_use]
    pub fn parse(selector: Option<&LabelSelector>) -> Option<Self> {
        let selector = selector?;
        let equal = selector.match_labels.iter().flatten();
        let equal =
            equal.map(|(key, value)| Some(Requirement::In(key.as_str().into(), vec![value.as_str().into()])));
        let rest = selector.match_expressions.iter().flatten().map(Requirement::parse);
        let mut query = Self(equal.chain(rest).collect::<Option<_>>()?);
        query.normalize();
        Some(query)
    }

    fn normalize(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// Demands what both demand.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().cloned());
        self.normalize();
        self
    }

    /// Also demands the pod's own values of `keys`, or, if `same` is false, other values than the pod's.
    ///
    /// The API server writes these demands into new pods' selectors too; a key that the selector names already is left
    /// alone, so that a pod relabelled since keeps what it was created with.
    pub(crate) fn with_keys(mut self, keys: &[String], labels: Option<&Labels>, same: bool) -> Self {
        for key in keys {
            let Some(value) = labels.and_then(|labels| labels.get(key)) else { continue };
            let named = |requirement: &Requirement| match requirement {
                Requirement::In(other, _) => same && **other == **key,
                Requirement::NotIn(other, _) => !same && **other == **key,
                _ => false,
            };
            if !self.0.iter().any(named) {
                let (key, values) = (key.as_str().into(), vec![value.as_str().into()]);
                self.0.push(if same {
                    Requirement::In(key, values)
                } else {
                    Requirement::NotIn(key, values)
                });
            }
        }
        self.normalize();
        self
    }

    /// Whether the labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: Option<&Labels>) -> bool {
        self.0.iter().all(|requirement| requirement.meets(labels))
    }

    /// Whether it demands nothing and so matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A label that everything it matches carries, if it demands one.
    pub(crate) fn anchor(&self) -> Option<(&str, &str)> {
        self.0.iter().find_map(|requirement| match requirement {
            Requirement::In(key, values) => match values.as_slice() {
                [value] => Some((&**key, &**value)),
                _ => None,
            },
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn query(selector: Value) -> Option<LabelQuery> {
        let selector: LabelSelector = from_value(selector).unwrap();
        LabelQuery::parse(Some(&selector))
    }

    fn labels(labels: Value) -> Labels {
        from_value(labels).unwrap()
    }

    #[test]
    fn equal_demands_are_equal_and_match_alike() {
        let one = query(json!({"matchLabels": {"a": "1", "b": "2"}})).unwrap();
        let other = json!({"matchExpressions": [{"key": "b", "operator": "In", "values": ["2"]}, {"key": "a", "operator": "In", "values": ["1", "1"]}]});
        assert_eq!(Some(&one), query(other).as_ref());
        assert_eq!(one.anchor(), Some(("a", "1")));
        assert!(one.matches(Some(&labels(json!({"a": "1", "b": "2", "c": "3"})))));
        assert!(!one.matches(Some(&labels(json!({"a": "1"})))));
        assert!(!one.matches(None));
        assert_eq!(LabelQuery::parse(None), None);
        assert_eq!(query(json!({"matchExpressions": [{"key": "a", "operator": "Bogus"}]})), None);
        assert!(query(json!({})).unwrap().matches(None));
    }

    #[test]
    fn keys_add_the_pods_own_values_once() {
        let own = labels(json!({"rev": "7", "app": "web"}));
        let keys = ["rev".to_owned(), "absent".to_owned()];
        let base = query(json!({"matchLabels": {"app": "web"}})).unwrap();
        let same = base.clone().with_keys(&keys, Some(&own), true);
        assert_eq!(Some(&same), query(json!({"matchLabels": {"app": "web", "rev": "7"}})).as_ref());
        let relabelled = labels(json!({"rev": "8", "app": "web"}));
        assert_eq!(same.clone().with_keys(&keys, Some(&relabelled), true), same);
        let other = base.with_keys(&keys, Some(&own), false);
        assert!(other.matches(Some(&relabelled)) && !other.matches(Some(&own)));
    }
}
