use super::harness::{RuntimeHarness, SuitePod, until};
use crate::Error;
use crate::seam::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerReason, ContainerState, SandboxId,
};

pub(super) async fn are_listed_as_made(harness: &RuntimeHarness) {
    let pod = harness.pod("made").await;
    let config = ContainerConfig { attempt: 7, ..pod.config("c", &harness.polite).await };
    let id = harness.runtime.create_container(&pod.id, &config, &pod.config).await.unwrap();
    let status = pod.container(&id).await;
    assert_eq!((&status.id, &status.sandbox), (&id, &pod.id));
    assert_eq!((status.name.as_str(), status.attempt), ("c", 7));
    assert_eq!((status.state, status.reason), (ContainerState::Created, ContainerReason::None));
    assert_eq!((status.started_at, status.finished_at), (None, None), "it has not run yet");
    assert_eq!(status.labels, config.labels, "labels are returned unchanged");
    assert_eq!(status.annotations, config.annotations, "annotations are returned unchanged");
    assert_eq!(status.image, config.user_image, "the image is told as the user wrote it");
    assert!(!status.image_ref.is_empty());
    assert_eq!(status.log_path, pod.config.log_dir.join("c/0.log"));
    pod.remove().await;
}

pub(super) async fn are_selected(harness: &RuntimeHarness) {
    let (one, two) = (harness.pod("one").await, harness.pod("two").await);
    let created = one.create("created", &harness.polite).await;
    let running = two.run("running", &harness.polite).await;
    let labelled = |name: &str| ContainerFilter {
        labels: [("io.kubernetes.container.name".to_owned(), name.to_owned())].into(),
        ..ContainerFilter::default()
    };
    let of =
        |pod: &SuitePod<'_>| ContainerFilter { sandbox: Some(pod.id.clone()), ..ContainerFilter::default() };
    let in_state = |state| ContainerFilter { state: Some(state), ..ContainerFilter::default() };
    let cases = [
        (ContainerFilter::default(), vec![&created, &running]),
        (ContainerFilter::by_id(running.clone()), vec![&running]),
        (ContainerFilter::by_id(ContainerId("none".into())), vec![]),
        (of(&one), vec![&created]),
        (ContainerFilter { sandbox: Some(SandboxId("none".into())), ..ContainerFilter::default() }, vec![]),
        (in_state(ContainerState::Created), vec![&created]),
        (in_state(ContainerState::Running), vec![&running]),
        (in_state(ContainerState::Exited), vec![]),
        (labelled("running"), vec![&running]),
        (labelled("none"), vec![]),
        (ContainerFilter { sandbox: Some(one.id.clone()), ..labelled("running") }, vec![]),
    ];
    for (filter, mut expected) in cases {
        let listed = harness.runtime.containers(&filter).await.unwrap();
        let mut ids: Vec<_> = listed.iter().map(|status| &status.id).collect();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected, "{filter:?}");
    }
    one.remove().await;
    two.remove().await;
}

pub(super) async fn have_one_name_each(harness: &RuntimeHarness) {
    let pod = harness.pod("names").await;
    let config = pod.config("c", &harness.polite).await;
    let create =
        async |config: &ContainerConfig| harness.runtime.create_container(&pod.id, config, &pod.config).await;
    let first = create(&config).await.unwrap();
    let twin = create(&config).await;
    assert!(matches!(twin, Err(Error::Conflict(_))), "a second one of name and attempt: {twin:?}");
    let next = create(&ContainerConfig { attempt: 1, ..config.clone() }).await.unwrap();
    assert_ne!(first, next);
    harness.runtime.remove_container(&first).await.unwrap();
    create(&config).await.expect("the name of a removed container is free");
    pod.remove().await;
}

pub(super) async fn need_a_ready_sandbox(harness: &RuntimeHarness) {
    let pod = harness.pod("late").await;
    let config = pod.config("c", &harness.polite).await;
    let nowhere = SandboxId("none".into());
    let homeless = harness.runtime.create_container(&nowhere, &config, &pod.config).await;
    assert!(matches!(homeless, Err(Error::NotFound { .. })), "without a sandbox: {homeless:?}");
    harness.runtime.stop_sandbox(&pod.id).await.unwrap();
    let late = harness.runtime.create_container(&pod.id, &config, &pod.config).await;
    assert!(matches!(late, Err(Error::Conflict(_))), "in a stopped sandbox: {late:?}");
    pod.remove().await;
}

pub(super) async fn start_once(harness: &RuntimeHarness) {
    let runtime = &harness.runtime;
    let pod = harness.pod("start").await;
    let id = pod.run("c", &harness.polite).await;
    let status = pod.container(&id).await;
    assert_eq!(status.state, ContainerState::Running, "it runs when starting returns");
    assert!(status.started_at.is_some_and(|at| at >= status.created_at), "{status:?}");
    let again = runtime.start_container(&id).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "starting a running container: {again:?}");
    runtime.stop_container(&id, std::time::Duration::ZERO, None).await.unwrap();
    let again = runtime.start_container(&id).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "starting an exited container: {again:?}");
    assert_eq!(pod.container(&id).await.state, ContainerState::Exited);
    let missing = runtime.start_container(&ContainerId("none".into())).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "starting none: {missing:?}");
    pod.remove().await;
}

pub(super) async fn print_into_their_log(harness: &RuntimeHarness) {
    let runtime = &harness.runtime;
    let pod = harness.pod("log").await;
    let id = pod.run_up("c", &harness.polite).await;
    let path = pod.container(&id).await.log_path;
    let text = std::fs::read_to_string(&path).unwrap();
    let stamp = text.split(' ').next().unwrap_or_default();
    assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "an entry begins with its time: {text}");
    std::fs::rename(&path, path.with_extension("old")).unwrap();
    runtime.reopen_log(&id).await.unwrap();
    until("the log is opened again", async || path.exists()).await;
    let missing = runtime.reopen_log(&ContainerId("none".into())).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "the log of none: {missing:?}");
    let silent = ContainerConfig { log_path: "".into(), ..pod.config("silent", &harness.polite).await };
    let silent = runtime.create_container(&pod.id, &silent, &pod.config).await.unwrap();
    runtime.start_container(&silent).await.unwrap();
    assert_eq!(
        pod.container(&silent).await.log_path.as_os_str(),
        "",
        "without a log there is no path to one"
    );
    pod.remove().await;
}

pub(super) async fn are_measured_while_they_run(harness: &RuntimeHarness) {
    let pod = harness.pod("stats").await;
    let id = pod.run_up("c", &harness.polite).await;
    let filter = ContainerFilter { sandbox: Some(pod.id.clone()), ..ContainerFilter::default() };
    let stats = harness.runtime.stats(&filter).await.unwrap();
    assert_eq!(stats.iter().map(|stats| &stats.id).collect::<Vec<_>>(), [&id]);
    harness.runtime.stop_container(&id, std::time::Duration::ZERO, None).await.unwrap();
    assert_eq!(harness.runtime.stats(&filter).await.unwrap(), [], "what has ended uses nothing");
    pod.remove().await;
}
