//! Two lists of tolerations in one.

use serde_json::Value;

/// All of them but those that others make redundant; of equal ones the first stays.
pub(super) fn merge(mut first: Vec<Value>, second: Vec<Value>) -> Vec<Value> {
    first.extend(second);
    let mut merged: Vec<Value> = Vec::new();
    for (at, toleration) in first.iter().enumerate() {
        let mut later = first.iter().skip(at + 1).filter(|other| !same(other, toleration));
        let redundant = merged.iter().any(|other| covers(other, toleration))
            || later.any(|other| covers(other, toleration));
        if !redundant {
            merged.push(toleration.clone());
        }
    }
    merged
}

fn text<'v>(toleration: &'v Value, key: &str) -> &'v str {
    toleration.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn seconds(toleration: &Value) -> Option<i64> {
    toleration.get("tolerationSeconds").and_then(Value::as_i64)
}

fn same(a: &Value, b: &Value) -> bool {
    seconds(a) == seconds(b)
        && ["key", "operator", "value", "effect"].iter().all(|key| text(a, key) == text(b, key))
}

/// Whether whatever `narrow` tolerates is tolerated by `wide`, for as long at least.
fn covers(wide: &Value, narrow: &Value) -> bool {
    let equal = |key: &str| text(wide, key) == text(narrow, key);
    let empty = |key: &str| text(wide, key).is_empty();
    let every_key = empty("key") && text(wide, "operator") == "Exists";
    let lasts = match (text(wide, "effect"), seconds(wide)) {
        ("NoExecute", Some(most)) => seconds(narrow).is_some_and(|seconds| seconds <= most),
        _ => true,
    };
    let values = match text(wide, "operator") {
        "" | "Equal" => text(narrow, "operator") == "Equal" && equal("value"),
        "Exists" => true,
        _ => false,
    };
    same(wide, narrow)
        || ((equal("key") || every_key) && (equal("effect") || empty("effect")) && lasts && values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_widest_stay() {
        let one = |key: &str, operator: &str, value: &str, effect: &str| json!({"key": key, "operator": operator, "value": value, "effect": effect});
        let all = json!({"operator": "Exists"});
        let (exists, equal) = (one("a", "Exists", "", "NoSchedule"), one("a", "Equal", "1", "NoSchedule"));
        let (other, bare) = (one("a", "Equal", "2", "NoSchedule"), one("a", "", "1", "NoSchedule"));
        let evicted = |seconds: Value| json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        let (short, long, ever) = (evicted(json!(1)), evicted(json!(2)), evicted(Value::Null));
        let cases = [
            (vec![], vec![&equal], vec![&equal]),
            (vec![&equal], vec![&equal], vec![&equal]),
            (vec![&equal, &other], vec![&exists], vec![&exists]),
            (vec![&exists], vec![&equal, &short], vec![&exists, &short]),
            (vec![&equal], vec![&other], vec![&equal, &other]),
            (vec![&equal], vec![&bare], vec![&bare]),
            (vec![&short], vec![&long], vec![&long]),
            (vec![&long], vec![&ever], vec![&ever]),
            (vec![&short, &equal], vec![&all], vec![&all]),
        ];
        for (first, second, merged) in cases {
            let list = |list: Vec<&Value>| list.into_iter().cloned().collect::<Vec<_>>();
            assert_eq!(merge(list(first), list(second)), list(merged));
        }
    }
}
