use super::LeaderConfig;
use super::plan::{Step, observe, released, step};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn config() -> LeaderConfig {
    LeaderConfig { identity: "me".into(), ..LeaderConfig::default() }
}

fn lease(holder: &str) -> Lease {
    serde_json::from_value(json!({
        "metadata": {"name": "kube-controller-manager", "namespace": "kube-system", "resourceVersion": "5"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3,
                 "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z"},
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_when_it_is_free_ours_or_long_unchanged() {
    let start = Instant::now();
    let check = |holder: &str, waited: u64, expected: Option<(i64, i32)>| {
        let seen = observe(None, Some(&lease(holder)), start);
        let found =
            step(&config(), Some(lease(holder)), seen.as_ref(), start + Duration::from_secs(waited), at(60));
        let found = match found {
            Step::Replace(lease) => {
                let spec = lease.spec.unwrap();
                assert_eq!(spec.holder_identity.as_deref(), Some("me"));
                assert_eq!(spec.renew_time.unwrap().0, at(60));
                Some((
                    spec.acquire_time.unwrap().0.as_second() - at(0).as_second(),
                    spec.lease_transitions.unwrap(),
                ))
            }
            Step::Wait => None,
            Step::Create(_) => panic!("it exists"),
        };
        assert_eq!(found, expected, "{holder} {waited}");
    };
    check("me", 0, Some((0, 3)));
    check("", 0, Some((60, 4)));
    check("other", 14, None);
    check("other", 15, Some((60, 4)));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_starts_the_wait_anew() {
    let start = Instant::now();
    let seen = observe(None, Some(&lease("other")), start);
    let mut renewed = lease("other");
    renewed.spec.as_mut().unwrap().lease_transitions = Some(9);
    let later = start + Duration::from_secs(14);
    let seen = observe(seen, Some(&renewed), later);
    let found = step(&config(), Some(renewed), seen.as_ref(), later + Duration::from_secs(14), at(60));
    assert_eq!(found, Step::Wait);
}

#[test]
fn only_ours_is_given_back() {
    assert_eq!(released(&config(), lease("other"), at(60)), None);
    let spec = released(&config(), lease("me"), at(60)).unwrap().spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some(""), Some(1)));
}

#[test]
fn times_must_leave_room() {
    let check = |lease, renew, retry, valid: bool| {
        let seconds = Duration::from_secs;
        let (lease_duration, renew_deadline, retry_period) = (seconds(lease), seconds(renew), seconds(retry));
        let config = LeaderConfig { lease_duration, renew_deadline, retry_period, ..config() };
        assert_eq!(config.validate().is_ok(), valid, "{lease} {renew} {retry}");
    };
    check(15, 10, 2, true);
    check(10, 10, 2, false);
    check(15, 10, 9, false);
    check(15, 10, 0, false);
    assert!(LeaderConfig::default().validate().is_err(), "an identity is needed");
}
