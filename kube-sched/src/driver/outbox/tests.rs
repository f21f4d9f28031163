use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;

use super::*;

fn pod(name: &str) -> Arc<PodInfo> {
    let pod = serde_json::json!({"metadata": {"name": name, "namespace": "ns"}});
    Arc::new(PodInfo::parse(serde_json::from_value::<Pod>(pod).unwrap()).unwrap())
}

fn condition(name: &str, message: &str) -> Duty {
    Duty::Condition {
        pod: pod(name),
        reason: "Unschedulable",
        message: message.into(),
        nomination: Nomination::Keep,
    }
}

fn eviction(name: &str) -> Duty {
    Duty::Eviction { victim: pod(name), by: pod("by"), node: "n".into() }
}

fn text(next: &Next, start: Instant) -> String {
    match next {
        Next::Write(Duty::Condition { pod, message, .. }) => format!("{} {message}", pod.name()),
        Next::Write(Duty::Eviction { victim, .. }) => format!("evict {}", victim.name()),
        Next::Write(Duty::Deallocation { key, .. }) => format!("deallocate {key}"),
        Next::Until(due) => format!("in {:?}", *due - start),
        Next::Wait => "wait".into(),
        Next::End => "end".into(),
    }
}

#[test]
fn the_newest_duty_for_a_pod_is_handed_out_by_one() {
    let (mut state, now) = (State::default(), Instant::now());
    for duty in [condition("a", "1"), condition("b", "1"), condition("a", "2")] {
        state.put(duty, 0, now);
    }
    assert_eq!(text(&state.next(now), now), "b 1");
    assert_eq!(text(&state.next(now), now), "a 2");
    state.put(condition("a", "3"), 0, now);
    assert_eq!(text(&state.next(now), now), "wait", "an older one is being written");
    state.finished("ns/a", Attempt::Failed, now);
    assert_eq!(text(&state.next(now), now), "a 3", "the older one is not tried again");
    state.finished("ns/a", Attempt::Done, now);
    state.closed = true;
    assert_eq!(text(&state.next(now), now), "wait", "one may still fail");
    state.finished("ns/b", Attempt::Done, now);
    assert_eq!(text(&state.next(now), now), "end");
}

#[test]
fn an_eviction_keeps_its_turn() {
    let (mut state, now) = (State::default(), Instant::now());
    for duty in [eviction("a"), eviction("b"), eviction("a")] {
        state.put(duty, 0, now);
    }
    assert_eq!(text(&state.next(now), now), "evict a");
    assert_eq!(text(&state.next(now), now), "evict b");
    state.finished("ns/a", Attempt::Failed, now);
    state.put(eviction("a"), 0, now);
    assert_eq!(text(&state.next(now), now), "in 1s", "and its patience");
}

#[tokio::test]
async fn a_refused_eviction_is_told() {
    let outbox = Outbox::default();
    for (duty, attempt) in [
        (condition("a", "1"), Attempt::Refused),
        (eviction("b"), Attempt::Done),
        (eviction("c"), Attempt::Failed),
    ] {
        let key = Arc::clone(duty.key());
        outbox.put(duty);
        outbox.next().await;
        outbox.finished(&key, attempt);
    }
    assert!(outbox.refusal().now_or_never().is_none());
    outbox.put(eviction("d"));
    outbox.next().await;
    outbox.finished("ns/d", Attempt::Refused);
    outbox.refusal().await;
    assert_eq!(outbox.take_refused(), ["ns/d".into()]);
    assert!(outbox.take_refused().is_empty());
}

#[test]
fn failures_are_tried_again_with_growing_patience() {
    let (mut state, start) = (State::default(), Instant::now());
    state.put(condition("a", "1"), 0, start);
    let mut now = start;
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(text(&state.next(now), start), "a 1");
        state.finished("ns/a", Attempt::Failed, now);
        assert_eq!(text(&state.next(now), now), format!("in {seconds}s"));
        now += Duration::from_secs(seconds);
    }
}

#[test]
fn what_is_moot_is_not_written() {
    let (mut state, now) = (State::default(), Instant::now());
    for duty in [condition("a", "1"), condition("b", "1"), eviction("c"), eviction("d")] {
        state.put(duty, 0, now);
    }
    state.withdraw("ns/a", Duty::is_condition);
    state.withdraw("ns/c", Duty::is_condition);
    state.withdraw("ns/d", |_| true);
    assert_eq!(text(&state.next(now), now), "b 1");
    state.withdraw("ns/b", Duty::is_condition);
    state.finished("ns/b", Attempt::Failed, now);
    assert_eq!(text(&state.next(now), now), "evict c");
    assert_eq!(text(&state.next(now), now), "wait");
    assert!(state.due.is_empty() && state.waiting.is_empty());
}

#[tokio::test]
async fn a_pod_is_settled_once_its_write_has_ended() {
    let outbox = Outbox::default();
    outbox.put(condition("a", "1"));
    assert!(outbox.next().await.is_some());
    outbox.withdraw_condition("ns/a");
    assert!(outbox.settled("ns/b").now_or_never().is_some());
    let mut settled = std::pin::pin!(outbox.settled("ns/a"));
    assert!(settled.as_mut().now_or_never().is_none());
    outbox.finished("ns/a", Attempt::Failed);
    settled.await;
}
