use super::route::Place;
use crate::seam::{ContainerFilter, ContainerState, ContainerStatus, Runtime};
use crate::{Error, Result};

/// The labels that every agent puts on a pod's containers.
const LABELS: [&str; 3] =
    ["io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.container.name"];

/// The instances of a container, newest first: of pods of that name, the youngest one's.
pub(super) async fn instances(runtime: &dyn Runtime, at: &Place) -> Result<Vec<ContainerStatus>> {
    let names = [&at.namespace, &at.pod, &at.container];
    let labels = LABELS.iter().zip(names).map(|(label, name)| ((*label).to_owned(), name.clone())).collect();
    let mut found = runtime.containers(&ContainerFilter { labels, ..ContainerFilter::default() }).await?;
    found.sort_by_key(|container| std::cmp::Reverse((container.created_at, container.attempt)));
    Ok(found)
}

/// The instance that runs.
pub(super) async fn running(runtime: &dyn Runtime, at: &Place) -> Result<ContainerStatus> {
    let newest = instances(runtime, at).await?.into_iter().next();
    match newest {
        Some(container) if container.state == ContainerState::Running => Ok(container),
        Some(_) => Err(Error::Conflict(format!("container {:?} is not running", at.container))),
        None => Err(missing(at)),
    }
}

pub(super) fn missing(at: &Place) -> Error {
    Error::not_found("container", format!("{}/{}/{}", at.namespace, at.pod, at.container))
}
