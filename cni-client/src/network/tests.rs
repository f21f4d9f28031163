use super::*;

#[test]
fn lists_and_single_plugins_are_read() {
    let list = NetworkList::parse(
        br#"{"cniVersion":"1.0.0","name":"net","disableCheck":true,"plugins":[{"type":"bridge"},{"type":"portmap"}]}"#,
    )
    .unwrap();
    assert_eq!(list.plugins.iter().map(|p| p.kind.as_str()).collect::<Vec<_>>(), ["bridge", "portmap"]);
    assert!(list.disable_check && list.at_least("0.4.0") && !list.at_least("1.1.0"));
    let single =
        NetworkList::parse(br#"{"cniVersion":"0.3.1","name":"net","type":"ptp","mtu":1400}"#).unwrap();
    assert_eq!(single.plugins[0].config["mtu"], 1400);
    assert!(!single.at_least("0.4.0"));
}

#[test]
fn wrong_lists_say_what_is_wrong() {
    let cases = [
        ("{", "error parsing configuration list"),
        (r#"{"cniVersion":"1.0.0","plugins":[{"type":"a"}]}"#, "no name"),
        (r#"{"cniVersion":"1.0.0","name":"a/b","plugins":[{"type":"a"}]}"#, "not a network name"),
        (r#"{"cniVersion":"1.0.0","name":"a","plugins":[]}"#, "no plugins in list"),
        (r#"{"cniVersion":"1.0.0","name":"a","plugins":[{}]}"#, "missing or invalid plugin 'type'"),
        (
            r#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"../x"}]}"#,
            "missing or invalid plugin 'type'",
        ),
        (r#"{"cniVersion":"9.0.0","name":"a","plugins":[{"type":"a"}]}"#, "\"9.0.0\" is not one of"),
    ];
    for (json, expected) in cases {
        let error = NetworkList::parse(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn the_newest_common_version_is_spoken() {
    let list = br#"{"cniVersion":"0.4.0","cniVersions":["0.3.1","1.0.0","7.0.0"],"name":"a","plugins":[{"type":"a"}]}"#;
    assert_eq!(NetworkList::parse(list).unwrap().cni_version, "1.0.0");
}

#[test]
fn only_announced_capabilities_reach_a_plugin() {
    let list = NetworkList::parse(
        br#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"p","capabilities":{"portMappings":true,"dns":false}}]}"#,
    )
    .unwrap();
    let mut attachment = Attachment::new("c", "/ns", "eth0");
    for name in ["portMappings", "dns", "bandwidth"] {
        attachment.capability_args.insert(name.into(), json!([1]));
    }
    let request = list.plugins[0].request(&list, Some(&attachment), Some(&json!({"ips": []})));
    let expected = json!({"type": "p", "name": "a", "cniVersion": "1.0.0", "prevResult": {"ips": []},
        "runtimeConfig": {"portMappings": [1]}});
    assert_eq!(request, expected);
}

#[test]
fn the_first_file_by_name_counts() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(NetworkList::first_in(dir.path()), Err(Error::NotConfigured { .. })));
    let file = |name: &str, network: &str| {
        let json = json!({"cniVersion": "1.0.0", "name": network, "plugins": [{"type": "a"}]});
        std::fs::write(dir.path().join(name), json.to_string()).unwrap();
    };
    file("20-b.conflist", "second");
    file("10-a.conf", "first");
    file("00-ignored.txt", "ignored");
    assert_eq!(NetworkList::first_in(dir.path()).unwrap().name, "first");
}
