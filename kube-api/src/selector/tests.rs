use std::borrow::Cow;

use serde_json::json;

use super::*;

#[test]
fn label_selectors_match_as_kubernetes_does() {
    let labels = json!({"app": "web", "tier": "front", "n": "5"});
    let cases = [
        ("", true),
        ("app=web", true),
        ("app==web,tier!=back", true),
        ("app in (web,db)", true),
        ("app notin (web)", false),
        ("missing notin (a)", true),
        ("app", true),
        ("!app", false),
        ("!missing", true),
        ("n>4,n<6", true),
        ("n>5", false),
        ("in=x", false),
        ("missing=", false),
        ("app in (,web)", true),
    ];
    for (text, expected) in cases {
        assert_eq!(LabelSelector::parse(text).unwrap().matches_object(&labels), expected, "{text}");
    }
}

#[test]
fn malformed_label_selectors_are_refused_in_upstreams_words() {
    let cases = [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        (
            "n>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ];
    for (text, error) in cases {
        assert_eq!(LabelSelector::parse(text).unwrap_err().to_string(), error, "{text}");
    }
}

#[test]
fn selectors_print_as_they_are_read() {
    for text in ["a=b", "a in (b,c),!d", "e", "f!=g", "h notin (i,j)"] {
        assert_eq!(LabelSelector::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn selector_objects_mean_the_same() {
    let object = json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]});
    let selector = LabelSelector::from_object(&object).unwrap();
    assert_eq!(selector.to_string(), "a=b,c");
    let object = json!({"matchExpressions": [{"key": "c", "operator": "Is"}]});
    let error = LabelSelector::from_object(&object).unwrap_err();
    assert_eq!(error.to_string(), "\"Is\" is not a valid label selector operator");
}

#[test]
fn field_selectors_compare_strings() {
    let lookup = |field: &str| Cow::Borrowed(if field == "a.b" { "x,y" } else { "" });
    for (text, expected) in [("a.b=x\\,y", true), ("a.b!=z,c==", true), ("c!=", false)] {
        assert_eq!(FieldSelector::parse(text).unwrap().matches(lookup), expected, "{text}");
    }
    let error = FieldSelector::parse("a").unwrap_err();
    assert_eq!(error.to_string(), "invalid selector: 'a'; can't understand 'a'");
}
