use serde_json::{Value, json};

use super::*;

fn records(services: &[Value], slices: &[Value]) -> Records {
    let mut records = Records::new(&Config::default()).unwrap();
    for slice in slices {
        records.set_slice(serde_json::from_value(slice.clone()).unwrap());
    }
    for service in services {
        records.set_service(serde_json::from_value(service.clone()).unwrap());
    }
    records
}

fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

fn slice(service: &str, kind: &str, endpoints: Value) -> Value {
    json!({
        "metadata": {"name": format!("{service}-{kind}"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service}},
        "addressType": kind,
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": endpoints,
    })
}

fn cluster() -> Records {
    let ports = json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    records(
        &[
            service(
                "web",
                json!({"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::10"], "ports": ports}),
            ),
            service("db", json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]})),
            service("out", json!({"type": "ExternalName", "externalName": "example.com"})),
            service(
                "inner",
                json!({"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}),
            ),
            service("lost", json!({"type": "ExternalName", "externalName": "no.default.svc.cluster.local"})),
            service(
                "loop",
                json!({"type": "ExternalName", "externalName": "loop.default.svc.cluster.local"}),
            ),
        ],
        &[
            slice(
                "db",
                "IPv4",
                json!([
                    {"addresses": ["10.0.1.2"], "hostname": "db-0"},
                    {"addresses": ["10.0.1.3"], "conditions": {"ready": true}},
                    {"addresses": ["10.0.1.4"], "conditions": {"ready": false}},
                ]),
            ),
            slice("db", "IPv6", json!([{"addresses": ["fd01::2"], "hostname": "db-0"}])),
            slice("web", "IPv4", json!([{"addresses": ["10.0.1.9"], "hostname": "w"}])),
        ],
    )
}

/// The answer in short: data of the answers, `+` data of the additionals, or what kind of answer it is.
fn ask(records: &Records, name: &str, kind: RecordType) -> String {
    let show = |records: Vec<Record>| {
        let mut data: Vec<_> = records.iter().map(|record| record.data.to_string()).collect();
        data.sort();
        data.join(", ")
    };
    match records.lookup(&Name::from_ascii(name).unwrap(), kind) {
        Answer::Foreign => "foreign".into(),
        Answer::NoName => "no name".into(),
        Answer::Alias { answers, target } => format!("{} -> {target}", show(answers)),
        Answer::Records { answers, additionals } if additionals.is_empty() => show(answers),
        Answer::Records { answers, additionals } => format!("{} + {}", show(answers), show(additionals)),
    }
}

#[test]
fn answers_follow_the_specification() {
    use RecordType::{A, AAAA, CNAME, MX, NS, PTR, SRV, TXT};
    let cluster = cluster();
    let check =
        |name: &str, kind, expected: &str| assert_eq!(ask(&cluster, name, kind), expected, "{name} {kind}");
    check("web.default.svc.cluster.local.", A, "10.96.0.10");
    check("WEB.Default.SVC.cluster.LOCAL.", A, "10.96.0.10");
    check("web.default.svc.cluster.local.", AAAA, "fd00::10");
    check("web.default.svc.cluster.local.", MX, "");
    check("web.other.svc.cluster.local.", A, "no name");
    check("no.default.svc.cluster.local.", A, "no name");
    check("w.web.default.svc.cluster.local.", A, "10.0.1.9");
    check("x.web.default.svc.cluster.local.", A, "no name");
    check("a.b.c.web.default.svc.cluster.local.", A, "no name");

    check("db.default.svc.cluster.local.", A, "10.0.1.2, 10.0.1.3");
    check("db.default.svc.cluster.local.", AAAA, "fd01::2");
    check("db-0.db.default.svc.cluster.local.", A, "10.0.1.2");
    check("10-0-1-3.db.default.svc.cluster.local.", A, "10.0.1.3");
    check("10-0-1-3.db.default.svc.cluster.local.", AAAA, "");
    check("10-0-1-4.db.default.svc.cluster.local.", A, "no name");

    let web = "0 100 80 web.default.svc.cluster.local. + 10.96.0.10, fd00::10";
    check("_http._tcp.web.default.svc.cluster.local.", SRV, web);
    check("_http._tcp.web.default.svc.cluster.local.", A, "");
    check("_tcp.web.default.svc.cluster.local.", SRV, "");
    check("_sctp.web.default.svc.cluster.local.", SRV, "no name");
    check("_http._udp.web.default.svc.cluster.local.", SRV, "no name");
    check(
        "_http._tcp.db.default.svc.cluster.local.",
        SRV,
        "0 100 8080 10-0-1-3.db.default.svc.cluster.local., 0 100 8080 db-0.db.default.svc.cluster.local. \
         + 10.0.1.2, 10.0.1.3, fd01::2",
    );

    check("out.default.svc.cluster.local.", A, "example.com. -> example.com.");
    check("inner.default.svc.cluster.local.", A, "10.96.0.10, web.default.svc.cluster.local.");
    check("inner.default.svc.cluster.local.", CNAME, "web.default.svc.cluster.local.");
    check("lost.default.svc.cluster.local.", A, "no.default.svc.cluster.local.");

    check("10-0-1-77.default.pod.cluster.local.", A, "10.0.1.77");
    check("fd01--7.default.pod.cluster.local.", AAAA, "fd01::7");
    check("web.default.pod.cluster.local.", A, "no name");

    check("10.0.96.10.in-addr.arpa.", PTR, "web.default.svc.cluster.local.");
    check("2.1.0.10.in-addr.arpa.", PTR, "db-0.db.default.svc.cluster.local.");
    check("3.1.0.10.in-addr.arpa.", PTR, "10-0-1-3.db.default.svc.cluster.local.");
    check("2.1.0.10.in-addr.arpa.", A, "");
    check("9.9.9.9.in-addr.arpa.", PTR, "foreign");

    check("cluster.local.", A, "");
    check("cluster.local.", NS, "ns.dns.cluster.local.");
    check("svc.cluster.local.", A, "");
    check("default.svc.cluster.local.", A, "");
    check("other.svc.cluster.local.", A, "no name");
    check("dns-version.cluster.local.", TXT, "1.1.0");
    check("kubernetes.io.", A, "foreign");
    check("local.", A, "foreign");
}

#[test]
fn services_that_name_themselves_end() {
    let Answer::Records { answers, .. } =
        cluster().lookup(&Name::from_ascii("loop.default.svc.cluster.local.").unwrap(), RecordType::A)
    else {
        panic!("not an answer");
    };
    assert_eq!(answers.len(), MAX_ALIASES);
}

#[test]
fn what_is_removed_is_forgotten() {
    let mut cluster = cluster();
    let before = cluster.serial;
    cluster.remove_slice("default/db-IPv4");
    assert_eq!(ask(&cluster, "db.default.svc.cluster.local.", RecordType::A), "");
    assert_eq!(ask(&cluster, "2.1.0.10.in-addr.arpa.", RecordType::PTR), "foreign");
    assert_ne!(cluster.serial, before);
    for name in ["web", "db", "out", "inner", "lost", "loop"] {
        cluster.remove_service(&format!("default/{name}"));
    }
    assert_eq!(ask(&cluster, "web.default.svc.cluster.local.", RecordType::A), "no name");
    assert_eq!(ask(&cluster, "default.svc.cluster.local.", RecordType::A), "no name");
    assert!(cluster.reverse.is_empty() && cluster.namespaces.is_empty());
}
