use serde_json::json;

use super::*;

#[test]
fn duplicates_carry_their_path_and_the_last_wins() {
    let body = br#"{"spec":{"containers":[{"image":"a"},{"image":"b","image":"c"}],"x":1},"spec":{"y":2}}"#;
    let decoded = decode(body, MediaType::Json).unwrap();
    assert_eq!(decoded.value, json!({"spec": {"y": 2}}));
    assert_eq!(decoded.duplicates, ["spec.containers[1].image", "spec"]);
}

#[test]
fn yaml_is_decoded_with_its_types() {
    let body = b"a: 1\nb: [x, \"2\", true, null]\nc:\n  d: 1.5\n  d: z\n";
    let decoded = decode(body, MediaType::Yaml).unwrap();
    assert_eq!(decoded.value, json!({"a": 1, "b": ["x", "2", true, null], "c": {"d": "z"}}));
    assert_eq!(decoded.duplicates, ["c.d"]);
}

#[test]
fn alias_bombs_and_deep_nesting_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(",");
        bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert!(decode(bomb.as_bytes(), MediaType::Yaml).is_err());
    let deep = "[".repeat(100_000);
    assert!(decode(deep.as_bytes(), MediaType::Yaml).is_err());
    assert_eq!(decode(deep.as_bytes(), MediaType::Json).unwrap_err().to_string(), "exceeded max depth");
}

#[test]
fn malformed_json_is_described_as_go_does() {
    let cases = [
        ("{\"a\":1", "unexpected end of JSON input"),
        ("", "unexpected end of JSON input"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("[1 2]", "invalid character '2' after array element"),
        ("{} x", "invalid character 'x' after top-level value"),
    ];
    for (body, text) in cases {
        assert_eq!(decode(body.as_bytes(), MediaType::Json).unwrap_err().to_string(), text, "{body}");
    }
}

#[test]
fn content_types_are_recognised() {
    assert_eq!(MediaType::from_content_type("application/json; charset=utf-8"), Some(MediaType::Json));
    assert_eq!(MediaType::from_content_type("application/yaml"), Some(MediaType::Yaml));
    assert_eq!(
        MediaType::from_content_type("application/vnd.kubernetes.protobuf"),
        Some(MediaType::Protobuf)
    );
}
