use std::time::Duration;

use tokio::time::Instant;

use super::harness::{LIMIT, RuntimeHarness, within};
use crate::Error;
use crate::seam::{ContainerId, ContainerReason, ContainerState};

/// A grace time that nothing of the suite uses up, unless something is wrong.
const LONG: Duration = Duration::from_secs(600);

pub(super) async fn an_exit_is_kept(harness: &RuntimeHarness) {
    let pod = harness.pod("exit").await;
    let id = pod.run("c", &harness.exits).await;
    let status = pod.ended(&id).await;
    assert_eq!((status.exit_code, status.reason), (3, ContainerReason::Error));
    assert!(status.started_at.is_some() && status.finished_at >= status.started_at, "{status:?}");
    let log = std::fs::read_to_string(&status.log_path).unwrap();
    assert!(log.contains(" stdout F up\n"), "the log is complete when the end is known: {log}");
    pod.remove().await;
}

pub(super) async fn what_cannot_be_executed_is_a_start_error(harness: &RuntimeHarness) {
    let pod = harness.pod("broken").await;
    let id = pod.create("c", &harness.broken).await;
    let refused = harness.runtime.start_container(&id).await;
    assert!(matches!(refused, Err(Error::Failed(_))), "a command that is not there: {refused:?}");
    let status = pod.container(&id).await;
    assert_eq!((status.state, status.reason), (ContainerState::Exited, ContainerReason::StartError));
    assert_eq!(status.exit_code, 128);
    pod.remove().await;
}

pub(super) async fn stopping_asks_first(harness: &RuntimeHarness) {
    let pod = harness.pod("polite").await;
    let id = pod.run_up("c", &harness.polite).await;
    within("a polite container stops", harness.runtime.stop_container(&id, LONG, None)).await.unwrap();
    let status = pod.container(&id).await;
    assert_eq!((status.state, status.exit_code), (ContainerState::Exited, 0), "{status:?}");
    assert_eq!(status.reason, ContainerReason::Completed);
    harness.runtime.stop_container(&id, LONG, None).await.unwrap();
    assert_eq!(pod.container(&id).await, status, "stopping again changes nothing");
    pod.remove().await;
}

pub(super) async fn stopping_kills_after_the_grace(harness: &RuntimeHarness) {
    let pod = harness.pod("deaf").await;
    for (name, grace) in [("at-once", Duration::ZERO), ("later", Duration::from_secs(1))] {
        let id = pod.run_up(name, &harness.deaf).await;
        let begun = Instant::now();
        harness.runtime.stop_container(&id, grace, None).await.unwrap();
        assert!(begun.elapsed() >= grace, "it gets the whole grace time");
        let status = pod.container(&id).await;
        assert_eq!((status.state, status.exit_code), (ContainerState::Exited, 137), "{status:?}");
        assert_eq!(status.reason, ContainerReason::Error);
    }
    pod.remove().await;
}

pub(super) async fn a_shorter_grace_shortens(harness: &RuntimeHarness) {
    let pod = harness.pod("shorter").await;
    let id = pod.run_up("c", &harness.deaf).await;
    let patient = {
        let (runtime, id) = (harness.runtime.clone(), id.clone());
        tokio::spawn(async move { runtime.stop_container(&id, LONG, None).await })
    };
    // Whether the first has begun by now does not matter: the process ends either way.
    tokio::task::yield_now().await;
    let begun = Instant::now();
    harness.runtime.stop_container(&id, Duration::from_secs(1), None).await.unwrap();
    assert_eq!(pod.container(&id).await.exit_code, 137);
    patient.await.unwrap().unwrap();
    assert!(begun.elapsed() < LIMIT, "the first call returns when the process has ended");
    pod.remove().await;
}

pub(super) async fn removing_kills(harness: &RuntimeHarness) {
    let pod = harness.pod("remove").await;
    let running = pod.run_up("running", &harness.deaf).await;
    let created = pod.create("created", &harness.polite).await;
    let log = pod.container(&running).await.log_path;
    for _ in 0..2 {
        harness.runtime.remove_container(&running).await.unwrap();
        harness.runtime.remove_container(&created).await.unwrap();
    }
    assert_eq!(pod.containers().await, [], "what was removed is not listed");
    assert!(log.exists(), "the log file stays");
    pod.remove().await;
}

pub(super) async fn what_is_not_there_is_gone(harness: &RuntimeHarness) {
    let none = ContainerId("none".into());
    harness.runtime.stop_container(&none, LONG, None).await.unwrap();
    harness.runtime.remove_container(&none).await.unwrap();
}
