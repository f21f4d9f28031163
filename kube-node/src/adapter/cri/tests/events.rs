use cri_client::v1;

use crate::adapter::cri::watch::Listing;
use crate::seam::{ContainerId, ContainerState, RuntimeEventKind, SandboxId};

fn listing(ready: bool, containers: &[(&str, ContainerState)]) -> Listing {
    let containers = containers.iter().map(|(id, state)| ((*id).to_owned(), ("u".to_owned(), *state)));
    Listing {
        sandboxes: [("s".to_owned(), ("u".to_owned(), ready))].into(),
        containers: containers.collect(),
    }
}

#[test]
fn events_are_the_difference_of_listings() {
    use ContainerState::{Created, Exited, Running};
    let id = || ContainerId("c".to_owned());
    let check = |old: &Listing, new: &Listing, expected: &[RuntimeEventKind]| {
        let events = old.changes(new);
        assert!(events.iter().all(|event| event.pod_uid == "u"), "{events:?}");
        let kinds: Vec<_> = events.into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, expected);
    };
    let none = listing(true, &[]);
    let created = RuntimeEventKind::ContainerCreated(id());
    let sandbox = || RuntimeEventKind::SandboxChanged(SandboxId("s".to_owned()));
    check(&none, &none, &[]);
    check(&Listing::default(), &none, &[sandbox()]);
    check(&none, &listing(true, &[("c", Created)]), std::slice::from_ref(&created));
    check(&none, &listing(true, &[("c", Exited)]), &[created, RuntimeEventKind::ContainerExited(id())]);
    check(
        &listing(true, &[("c", Created)]),
        &listing(true, &[("c", Running)]),
        &[RuntimeEventKind::ContainerStarted(id())],
    );
    check(
        &listing(true, &[("c", Running)]),
        &listing(false, &[]),
        &[sandbox(), RuntimeEventKind::ContainerRemoved(id())],
    );
    check(&none, &Listing::default(), &[sandbox()]);
}

#[test]
fn a_pushed_event_is_not_found_again_by_the_next_listing() {
    let mut known = listing(true, &[("c", ContainerState::Running)]);
    let event = |kind: v1::ContainerEventType| v1::ContainerEventResponse {
        container_id: "c".into(),
        container_event_type: kind.into(),
        ..Default::default()
    };
    let stopped = event(v1::ContainerEventType::ContainerStoppedEvent);
    let events = known.apply(&stopped);
    assert_eq!((events.len(), events[0].pod_uid.as_str()), (1, "u"), "the pod is known from the listing");
    assert_eq!(known, listing(true, &[("c", ContainerState::Exited)]));
    assert!(known.apply(&stopped).is_empty(), "no news");
    assert_eq!(known.apply(&event(v1::ContainerEventType::ContainerDeletedEvent)).len(), 1);
    assert_eq!(known, listing(true, &[]));
}
