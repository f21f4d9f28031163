mod libraries;

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::snapshot::DeviceFacts;

fn device() -> DeviceFacts {
    let device = json!({
        "name": "gpu-0",
        "attributes": {
            "model": {"string": "A100"},
            "cores": {"int": 108},
            "healthy": {"bool": true},
            "other.example.com/numa": {"int": 1},
            "driverVersion": {"version": "1.10.3"},
            "services": {"string": "fast,reliable"},
        },
        "capacity": {"memory": {"value": "40Gi"}, "other.example.com/slots": {"value": "2500m"}},
    });
    DeviceFacts::parse(&Arc::from("gpu.example.com"), &serde_json::from_value(device).unwrap())
}

/// `true`, `false` or the error.
fn ask(expression: &str) -> String {
    let mut budget = MAX_SELECTOR_COST;
    let selector = BuiltinSelectors.compile(expression);
    selector
        .and_then(|selector| selector.matches(&device(), &mut budget))
        .map_or_else(|e| e, |b| b.to_string())
}

fn check(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(ask(expression), *expected, "{expression}");
    }
}

#[test]
fn devices_are_selected_by_what_is_known_of_them() {
    for (expression, expected) in [
        ("device.driver == 'gpu.example.com'", "true"),
        ("device.attributes == device.attributes", "true"),
        ("device.attributes['gpu.example.com'] == device.attributes['gpu.example.com']", "true"),
        ("device.attributes['none.example.com'] == {}", "true"),
        ("device.attributes['gpu.example.com'] == {}", "false"),
        ("optional.ofNonZeroValue(device.attributes['none.example.com']).hasValue()", "false"),
        (r#"device.attributes["gpu.example.com"].model == "A100""#, "true"),
        (r#"device.attributes["gpu.example.com"]["model"].startsWith("A")"#, "true"),
        (
            r#"device.attributes["gpu.example.com"].cores >= 100 && device.attributes["gpu.example.com"].healthy"#,
            "true",
        ),
        (r#"device.attributes["other.example.com"].numa == 1"#, "true"),
        (r#"device.attributes["other.example.com"].numa in [0, 2]"#, "false"),
        (r#"device.capacity["gpu.example.com"].memory.compareTo(quantity("40Gi")) == 0"#, "true"),
        (r#"device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("40G"))"#, "true"),
        (r#"device.capacity["gpu.example.com"].memory.isLessThan(quantity("41943039Ki"))"#, "false"),
        (r#"device.capacity["other.example.com"].slots == quantity("2.5")"#, "true"),
        (r#"device.capacity["other.example.com"].slots.isInteger()"#, "false"),
        (
            r#"device.capacity["gpu.example.com"].memory.sub(quantity("39Gi")).asInteger() == 1073741824"#,
            "true",
        ),
        (r#"device.attributes["gpu.example.com"].driverVersion.isGreaterThan(semver("1.9.99"))"#, "true"),
        (
            r#"device.attributes["gpu.example.com"].driverVersion.compareTo(semver("1.10.3-rc.1")) == 1"#,
            "true",
        ),
        (r#"device.attributes["gpu.example.com"].driverVersion.minor() == 10"#, "true"),
        (r#"semver("v1.02", true) == semver("1.2.0")"#, "true"),
        (r#"isSemver("1.02.0")"#, "false"),
        (r#"cel.bind(dra, device.attributes["gpu.example.com"], dra.healthy && dra.cores > 1)"#, "true"),
        (r#"device.attributes["gpu.example.com"].services.split(",").exists(s, s == "fast")"#, "true"),
        (r#"device.attributes["gpu.example.com"].model.matches("^A[0-9]+$")"#, "true"),
        (r#""gpu.example.com" in device.attributes && !("nobody" in device.attributes)"#, "true"),
        (r#"device.attributes.all(domain, domain.endsWith("example.com"))"#, "true"),
        (r#"size(device.attributes["gpu.example.com"]) == 5"#, "true"),
        // A domain without facts is an empty map.
        (r#"has(device.attributes["nobody"].model)"#, "false"),
        (r#""model" in device.attributes["nobody"]"#, "false"),
        (r#"device.attributes["nobody"].?model.orValue("none") == "none""#, "true"),
        (r#"device.attributes["gpu.example.com"].?model.hasValue()"#, "true"),
        (r#"device.attributes["gpu.example.com"].?cores.optMap(n, n > 100).orValue(false)"#, "true"),
        (r#"device.attributes["nobody"].?cores.optMap(n, n > 100).orValue(false)"#, "false"),
        (r#"quantity("1e2147483647").isGreaterThan(quantity("1"))"#, "unable to parse quantity's suffix"),
        (r#"quantity("1e40").add(quantity("1e40")).sign() == 1"#, "quantity overflow"),
        (r#"device.attributes["nobody"].model == "A100""#, "no such key: model"),
        (r#"device.attributes["nobody"].model == "A100" || true"#, "true"),
        (r#"false && device.attributes["nobody"].healthy"#, "false"),
        (r#"device.attributes["gpu.example.com"].model > 5"#, "no such overload"),
        ("device.driver", "CEL result of type string could not be converted to bool"),
    ] {
        assert_eq!(ask(expression), expected, "{expression}");
    }
}

#[test]
fn the_language_is_the_languages() {
    for (expression, expected) in [
        ("1 + 2 * 3 == 7 && (1 + 2) * 3 == 9", "true"),
        ("7 / 2 == 3 && -7 % 3 == -1 && 2.5 > 2", "true"),
        ("1 == 1.0 && 1u == 1 && 2u > 1 && !(1 == '1')", "true"),
        ("9223372036854775807 + 1 > 0", "integer overflow"),
        ("1 / 0 == 1", "division by zero"),
        ("!!true && --1 == 1 && !false", "true"),
        ("true ? false : true", "false"),
        ("false ? false : true ? true : false", "true"),
        ("'a\\tb\\u00e4' == \"a\tb\u{e4}\" && r'\\d' == '\\\\d' && '''it's''' == \"it's\"", "true"),
        ("0x1F == 31 && 1e3 == 1000.0 && 5u + 6u == 11u", "true"),
        ("[1, 2, 3].map(x, x * 2) == [2, 4, 6]", "true"),
        ("[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]", "true"),
        ("[1, 2, 3].filter(x, x > 1).size() == 2 && [1, 2].exists_one(x, x == 2)", "true"),
        ("[[1, 2], [3]].all(x, x.all(y, y < 4)) && [3, 1].max() == 3 && [1, 2].sum() == 3", "true"),
        (
            "{'a': 1, 'b': 2}.a == 1 && {'a': 1}['a'] == 1 && 'a' in {'a': 1} && {'a': 1}.exists(k, k == 'a')",
            "true",
        ),
        ("{'a': 1, 'b': 2} == {'b': 2, 'a': 1} && [1, 2] + [3] == [1, 2, 3]", "true"),
        ("sets.contains([1, 2], [2]) && sets.intersects([1], [2, 1]) && !sets.equivalent([1], [2])", "true"),
        (
            "'Hello'.substring(1, 3) == 'el' && 'a-b'.replace('-', '+') == 'a+b' && 'abc'.indexOf('c') == 2",
            "true",
        ),
        ("['a', 'b'].join('-') == 'a-b' && ' x '.trim() == 'x' && 'aB'.lowerAscii() == 'ab'", "true"),
        ("int('7') == 7 && string(7) == '7' && double('1.5') == 1.5 && bool('true')", "true"),
        ("[1][5] == 1", "index out of bounds: 5"),
        ("// a comment\n true // another", "true"),
        ("[false, 1].exists(x, x)", "no such overload"),
        ("[1, true].exists(x, x)", "true"),
    ] {
        assert_eq!(ask(expression), expected, "{expression}");
    }
}

#[test]
fn texts_and_optional_values_have_the_functions_of_the_extensions() {
    for (expression, expected) in [
        (
            "'a-b-c'.replace('-', '+', 1) == 'a+b-c' && 'a-b'.replace('-', '+', 0) == 'a-b' && 'aa'.replace('a', 'b', -1) == 'bb'",
            "true",
        ),
        (
            "'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'a,b'.split(',', 0) == [] && 'a,b'.split(',', -1).size() == 2",
            "true",
        ),
        (
            "'abc'.split('', 2) == ['a', 'bc'] && 'ab'.split('', 5) == ['a', 'b'] && 'ab'.split('', 1) == ['ab']",
            "true",
        ),
        ("'abcabc'.indexOf('b', 2) == 4 && 'abc'.indexOf('a', 9) == -1 && 'abc'.indexOf('', 2) == 2", "true"),
        (
            "'äbcabc'.lastIndexOf('b', 3) == 1 && 'abc'.lastIndexOf('c', 2) == 2 && 'abc'.lastIndexOf('z', 2) == -1",
            "true",
        ),
        ("'a1b22c'.findAll('[0-9]+', 1) == ['1'] && 'a1b22c'.findAll('[0-9]+', -1).size() == 2", "true"),
        (r#"strings.quote('a"b\n') == '"a\\"b\\n"'"#, "true"),
        (
            "'%s-%d %.2f %e'.format(['gpu', 7, 1234.5, 1052.033]) == 'gpu-7 1,234.50 1.052033\\u202f×\\u202f10⁰³'",
            "true",
        ),
        ("'%x %X %o %b %b 100%%'.format([255, 'hi', 8, 5, true]) == 'ff 6869 10 101 1 100%'", "true"),
        ("'%s %s %s'.format([[1, 'a'], {'k': 2}, null]) == '[1, \"a\"] {\"k\":2} null'", "true"),
        (
            "'%d'.format(['a']) == ''",
            "error during formatting: decimal clause can only be used on integers, was given string",
        ),
        (
            "'%s %s %x'.format([duration('90s'), [duration('1s'), 1.5], b'hi']) == '90s [duration(\"1s\"), 1.500000] 6869'",
            "true",
        ),
        ("'%'.format([1]) == ''", "unexpected end of string"),
        ("'%s %s'.format(['a']) == ''", "index 1 out of range"),
        (
            "'%y'.format(['a']) == ''",
            "could not parse formatting clause: unrecognized formatting clause \"y\"",
        ),
        (
            "optional.of(2).optMap(x, x * 2).orValue(0) == 4 && !optional.none().optMap(x, x * 2).hasValue()",
            "true",
        ),
        ("optional.of(2).optFlatMap(x, x > 1 ? optional.of(x) : optional.none()).value() == 2", "true"),
        ("!optional.ofNonZeroValue('').hasValue() && optional.ofNonZeroValue(3).value() == 3", "true"),
    ] {
        assert_eq!(ask(expression), expected, "{expression}");
    }
}

#[test]
fn what_is_not_well_formed_is_refused_when_it_is_compiled() {
    for (expression, reason) in [
        ("noSuchVar", "compilation failed: undeclared reference to 'noSuchVar' (in container '')"),
        ("device.foo == 1", "compilation failed: undefined field 'foo'"),
        ("'a'.explode()", "compilation failed: undeclared reference to 'explode' (in container '')"),
        ("1 +", "compilation failed: Syntax error: mismatched input '<EOF>'"),
        ("true true", "compilation failed: Syntax error: extraneous input 'true'"),
        ("'open", "compilation failed: Syntax error: unterminated string"),
        ("a # b", "compilation failed: Syntax error: token recognition error at: '#'"),
        ("has(device)", "compilation failed: invalid argument to has() macro"),
        ("[1].all(x, x > 0) && x > 0", "compilation failed: undeclared reference to 'x' (in container '')"),
    ] {
        assert_eq!(ask(expression), reason, "{expression}");
    }
}

#[test]
fn no_expression_costs_more_than_its_budget() {
    let too_dear = "operation cancelled: actual cost limit exceeded";
    let ten = "[1,2,3,4,5,6,7,8,9,10]";
    let nested = (0..8).fold("true".to_owned(), |inner, level| format!("{ten}.all(x{level}, {inner})"));
    assert_eq!(ask(&nested), too_dear);
    let doubled = (0..60).fold("['a']".to_owned(), |inner, _| format!("{inner}.map(x, x + x)"));
    assert_eq!(ask(&format!("{doubled}.size() == 1")), too_dear);
    // A list that is far larger than the memory that it takes.
    let shared = (0..35).fold("v35 == v35".to_owned(), |inner, level| {
        let level = 34 - level;
        format!("cel.bind(v{}, [v{level}, v{level}], {inner})", level + 1)
    });
    assert_eq!(ask(&format!("cel.bind(v0, [1], {shared})")), too_dear);
    // Every look into a map passes all its entries.
    let map = "lists.range(20000).transformMap(i, v, v)";
    assert_eq!(ask(&format!("cel.bind(m, {map}, m.all(k, m[k] == k))")), too_dear);
    let brackets = format!("{}true{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(ask(&brackets), "compilation failed: expression recursion limit exceeded");
    let sums = format!("{}1 == 0", "1 + ".repeat(2000));
    assert_eq!(ask(&sums), "compilation failed: expression recursion limit exceeded");
    let conjunction = format!("{}true", "true && ".repeat(1000));
    assert_eq!(ask(&conjunction), "true", "chains of conditions may be long");
    assert_eq!(ask(&format!("{}true", "!".repeat(10_000))), "true");
    let deepest = (0..38).fold("true".to_owned(), |inner, level| format!("[1].all(x{level}, {inner})"));
    assert_eq!(ask(&deepest), "true", "what may be nested can be evaluated");
    let mut small = 3;
    let selector = BuiltinSelectors.compile("1 + 1 + 1 == 3").unwrap();
    assert_eq!(selector.matches(&device(), &mut small), Err(too_dear.to_owned()));
    assert_eq!(small, 0, "the caller sees that it was its budget that ended");
}

#[test]
fn selectors_are_compiled_once_and_not_kept_without_bound() {
    let selectors = Selectors::new(Arc::new(BuiltinSelectors));
    let (first, again) = (selectors.get("1 == 1").unwrap(), selectors.get("1 == 1").unwrap());
    assert!(Arc::ptr_eq(&first, &again));
    assert!(selectors.get(&" ".repeat(MAX_SELECTOR_LENGTH + 1)).unwrap_err().contains("longer than"));
    for number in 0..3 * MAX_KEPT {
        assert!(selectors.get(&format!("{number} == 1")).is_ok());
        assert!(selectors.kept.lock().len() <= MAX_KEPT);
    }
}
