use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;

use super::harness::{RuntimeHarness, within};
use crate::seam::{RuntimeEvent, RuntimeEventKind};

/// Two subscribers see the whole life. Repeated events are harmless, and so are others in between.
pub(super) async fn tell_a_container_s_life(harness: &RuntimeHarness) {
    let runtime = &harness.runtime;
    let mut subscribers = [runtime.events(), runtime.events()];
    let pod = harness.pod("events").await;
    let uid = pod.config.pod.uid.clone();
    expect(&mut subscribers, &uid, RuntimeEventKind::SandboxChanged(pod.id.clone())).await;
    let id = pod.create("c", &harness.polite).await;
    expect(&mut subscribers, &uid, RuntimeEventKind::ContainerCreated(id.clone())).await;
    runtime.start_container(&id).await.unwrap();
    expect(&mut subscribers, &uid, RuntimeEventKind::ContainerStarted(id.clone())).await;
    runtime.stop_container(&id, Duration::ZERO, None).await.unwrap();
    expect(&mut subscribers, &uid, RuntimeEventKind::ContainerExited(id.clone())).await;
    runtime.remove_container(&id).await.unwrap();
    expect(&mut subscribers, &uid, RuntimeEventKind::ContainerRemoved(id.clone())).await;
    // What has happened is not told to those who come later.
    let mut late = [runtime.events()];
    runtime.stop_sandbox(&pod.id).await.unwrap();
    expect(&mut subscribers, &uid, RuntimeEventKind::SandboxChanged(pod.id.clone())).await;
    expect(&mut late, &uid, RuntimeEventKind::SandboxChanged(pod.id.clone())).await;
    pod.remove().await;
}

async fn expect(subscribers: &mut [BoxStream<'static, RuntimeEvent>], uid: &str, kind: RuntimeEventKind) {
    let expected = RuntimeEvent { pod_uid: uid.to_owned(), kind };
    for events in subscribers {
        let seen = async {
            loop {
                let event = events.next().await.expect("the stream does not end while the runtime lives");
                if event == expected || event.kind == RuntimeEventKind::Lagged {
                    return;
                }
            }
        };
        within(&format!("{expected:?} is told"), seen).await;
    }
}
