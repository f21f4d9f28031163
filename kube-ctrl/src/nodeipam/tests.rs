use super::Pool;
use std::collections::BTreeSet;

#[test]
fn the_lowest_free_network_is_handed_out() {
    let pool = Pool::parse("10.244.7.9/16", 24).unwrap();
    let mut taken = BTreeSet::new();
    for expected in ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"] {
        assert_eq!(pool.first_free(&taken).as_deref(), Some(expected));
        taken.insert(expected.to_owned());
    }
    taken.remove("10.244.1.0/24");
    assert_eq!(pool.first_free(&taken).as_deref(), Some("10.244.1.0/24"));
}

#[test]
fn an_exhausted_pool_has_nothing() {
    let pool = Pool::parse("10.0.0.0/24", 25).unwrap();
    let taken = BTreeSet::from(["10.0.0.0/25".to_owned(), "10.0.0.128/25".to_owned()]);
    assert_eq!(pool.first_free(&taken), None);
}

#[test]
fn broken_networks_are_refused() {
    for (cidr, part) in
        [("10.0.0.0", 24), ("10.0.0.0/33", 24), ("10.0.0.0/16", 8), ("fd00::/48", 64), ("10.0.0.0/8", 28)]
    {
        assert!(Pool::parse(cidr, part).is_err(), "{cidr} {part}");
    }
}
