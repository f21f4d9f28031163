use super::harness::RuntimeHarness;
use crate::Error;
use crate::seam::{ContainerState, SandboxConfig, SandboxFilter, SandboxId, SandboxState};

pub(super) async fn the_runtime_is_ready(harness: &RuntimeHarness) {
    let info = harness.runtime.info().await.unwrap();
    assert!(!info.name.is_empty() && !info.version.is_empty(), "a runtime says who it is: {info:?}");
    assert!(info.ready && info.network_ready, "the suite needs a runtime that can work: {info:?}");
}

pub(super) async fn are_listed_as_made(harness: &RuntimeHarness) {
    let pod = harness.pod("listed").await;
    let status = pod.status().await.unwrap();
    assert_eq!((&status.id, status.state), (&pod.id, SandboxState::Ready), "a new sandbox is ready");
    assert_eq!((&status.pod, status.attempt), (&pod.config.pod, pod.config.attempt));
    assert_eq!(status.labels, pod.config.labels, "labels are returned unchanged");
    assert_eq!(status.annotations, pod.config.annotations, "annotations are returned unchanged");
    assert!(!status.ips.is_empty(), "a ready sandbox has its addresses: {status:?}");
    let second = SandboxConfig { attempt: 1, ..pod.config.clone() };
    let second = harness.runtime.run_sandbox(&second).await.unwrap();
    assert_ne!(second, pod.id, "two calls make two sandboxes");
    let of_pod = SandboxFilter::of_pod(pod.config.pod.uid.clone());
    let mut listed = harness.runtime.sandboxes(&of_pod).await.unwrap();
    listed.sort_by_key(|status| status.attempt);
    assert_eq!(listed.iter().map(|status| status.attempt).collect::<Vec<_>>(), [0, 1]);
    assert!(listed[0].ips.iter().all(|ip| !listed[1].ips.contains(ip)), "addresses are unique: {listed:?}");
    harness.runtime.remove_sandbox(&second).await.unwrap();
    pod.remove().await;
}

pub(super) async fn are_selected(harness: &RuntimeHarness) {
    let (ready, stopped) = (harness.pod("ready").await, harness.pod("stopped").await);
    harness.runtime.stop_sandbox(&stopped.id).await.unwrap();
    let in_state = |state| SandboxFilter { state: Some(state), ..SandboxFilter::default() };
    let by_id = |id: &SandboxId| SandboxFilter { id: Some(id.clone()), ..SandboxFilter::default() };
    let nobody = SandboxFilter { id: Some(ready.id.clone()), ..in_state(SandboxState::NotReady) };
    let cases = [
        (SandboxFilter::default(), vec![&ready.id, &stopped.id]),
        (by_id(&ready.id), vec![&ready.id]),
        (by_id(&SandboxId("none".into())), vec![]),
        (SandboxFilter::of_pod("uid-stopped"), vec![&stopped.id]),
        (SandboxFilter::of_pod("uid-none"), vec![]),
        (in_state(SandboxState::Ready), vec![&ready.id]),
        (in_state(SandboxState::NotReady), vec![&stopped.id]),
        (nobody, vec![]),
    ];
    for (filter, mut expected) in cases {
        let listed = harness.runtime.sandboxes(&filter).await.unwrap();
        let mut ids: Vec<_> = listed.iter().map(|status| &status.id).collect();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected, "{filter:?}");
    }
    ready.remove().await;
    stopped.remove().await;
}

pub(super) async fn unknown_handlers_are_invalid(harness: &RuntimeHarness) {
    let config = SandboxConfig { runtime_handler: "no-such-handler".into(), ..harness.pod_config("handler") };
    let refused = harness.runtime.run_sandbox(&config).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "an unknown handler is invalid: {refused:?}");
    harness.is_empty().await;
}

pub(super) async fn take_their_containers_along(harness: &RuntimeHarness) {
    let runtime = &harness.runtime;
    let pod = harness.pod("whole").await;
    let running = pod.run_up("running", &harness.polite).await;
    for _ in 0..2 {
        runtime.stop_sandbox(&pod.id).await.unwrap();
        let status = pod.status().await.expect("a stopped sandbox stays listed");
        assert_eq!(status.state, SandboxState::NotReady, "a stopped sandbox is not ready");
        assert_eq!(pod.container(&running).await.state, ContainerState::Exited, "its containers are killed");
    }
    let log = pod.container(&running).await.log_path;
    for _ in 0..2 {
        runtime.remove_sandbox(&pod.id).await.unwrap();
    }
    assert!(log.exists(), "logs stay");
    pod.remove().await;
    let running = harness.pod("whole").await;
    running.run("running", &harness.deaf).await;
    running.remove().await;
    let gone = SandboxId("none".into());
    runtime.stop_sandbox(&gone).await.unwrap();
    runtime.remove_sandbox(&gone).await.unwrap();
}
