use super::{Informer, Key, Queue};
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

fn key(name: &str) -> Key {
    Key::new("ns", name)
}

fn pod(name: &str, uid: &str, revision: u64) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": revision.to_string()},
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_once_and_comes_again_if_added_while_worked_on() {
    let queue = Queue::new(10);
    queue.add(key("a"));
    queue.add(key("a"));
    assert_eq!(queue.next().await, Some(key("a")));
    queue.add(key("a"));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), queue.next()).await.is_err(),
        "it is still worked on"
    );
    queue.done(&key("a"));
    assert_eq!(queue.next().await, Some(key("a")));
}

#[tokio::test(start_paused = true)]
async fn back_off_doubles_from_5_ms_to_1000_s_and_is_forgotten() {
    let queue = Queue::new(10);
    let mut delays = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        queue.add_rate_limited(key("a"));
        queue.next().await;
        queue.done(&key("a"));
        delays.push(start.elapsed().as_millis());
    }
    assert_eq!(delays[..4], [5, 10, 20, 40]);
    assert_eq!(delays[18..], [1_000_000, 1_000_000]);
    queue.forget(&key("a"));
    let start = Instant::now();
    queue.add_rate_limited(key("a"));
    queue.next().await;
    assert_eq!(start.elapsed(), Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn of_two_delays_the_earlier_wins() {
    let queue = Queue::new(10);
    let start = Instant::now();
    queue.add_after(key("a"), Duration::from_secs(60));
    queue.add_after(key("a"), Duration::from_secs(3));
    queue.add_after(key("a"), Duration::from_secs(30));
    assert_eq!(queue.next().await, Some(key("a")));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    queue.done(&key("a"));
    assert!(tokio::time::timeout(Duration::from_secs(100), queue.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_keys_and_says_so() {
    let queue = Queue::new(2);
    ["a", "b", "c"].iter().for_each(|name| queue.add(key(name)));
    assert_eq!(queue.len(), 2);
    assert!(queue.overflowed());
    assert!(!queue.overflowed(), "said once");
    queue.close();
    assert_eq!(queue.next().await, None);
}

fn names(informer: &Informer<Pod>) -> Vec<String> {
    informer.list().iter().map(|pod| pod.metadata.name.clone().unwrap()).collect()
}

#[test]
fn own_writes_are_visible_at_once_and_stay() {
    let informer = Informer::default();
    informer.replace(vec![pod("a", "1", 3)], 5);
    informer.absorb(pod("b", "2", 6));
    assert_eq!(names(&informer), ["a", "b"]);
    informer.replace(vec![pod("a", "1", 3)], 5);
    assert_eq!(names(&informer), ["a", "b"], "a list older than the write must not undo it");
    informer.replace(vec![pod("a", "1", 3)], 7);
    assert_eq!(names(&informer), ["a"]);
}

#[test]
fn an_answer_that_comes_late_raises_no_ghost() {
    let informer = Informer::default();
    informer.replace(vec![], 5);
    informer.apply(pod("a", "1", 6));
    informer.remove(&pod("a", "1", 7));
    informer.absorb(pod("a", "1", 6));
    assert_eq!(names(&informer), [""; 0]);
}

#[test]
fn own_deletions_are_not_undone_by_older_events() {
    let informer = Informer::default();
    informer.replace(vec![pod("a", "1", 3)], 5);
    informer.absorb_deleted(&key("a"), "1");
    informer.apply(pod("a", "1", 6));
    assert_eq!(names(&informer), [""; 0]);
    informer.remove(&pod("a", "1", 7));
    informer.apply(pod("a", "2", 8));
    assert_eq!(names(&informer), ["a"], "a successor of the same name is another object");
}

#[test]
fn indexes_follow_changes() {
    let informer = Informer::<Pod>::default();
    informer.index("uid", |pod| pod.metadata.uid.clone().into_iter().collect());
    informer.apply(pod("a", "1", 1));
    informer.apply(pod("a", "2", 2));
    assert!(informer.by_index("uid", "1").is_empty());
    assert_eq!(informer.by_index("uid", "2").len(), 1);
    informer.remove(&pod("a", "2", 3));
    assert!(informer.by_index("uid", "2").is_empty());
}

proptest! {
    /// Whatever the order in which the answers to our creates and the watch's events arrive, every pod is counted
    /// exactly once as soon as its create was answered: a set can therefore never create too many.
    #[test]
    fn creations_are_never_forgotten(delivered in proptest::collection::vec(0usize..8, 0..16)) {
        let informer = Informer::default();
        informer.replace(vec![], 0);
        let (mut answered, mut watched) = (0u64, 0u64);
        for step in delivered {
            if step % 2 == 0 || watched == answered {
                answered += 1;
                // Sometimes the watch is faster than the answer.
                if step == 4 {
                    while watched < answered {
                        watched += 1;
                        informer.apply(pod(&format!("p{watched}"), &format!("u{watched}"), watched));
                    }
                }
                informer.absorb(pod(&format!("p{answered}"), &format!("u{answered}"), answered));
            } else {
                watched += 1;
                informer.apply(pod(&format!("p{watched}"), &format!("u{watched}"), watched));
            }
            prop_assert_eq!(informer.list().len() as u64, answered);
        }
    }
}
