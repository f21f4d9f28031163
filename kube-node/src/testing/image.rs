//! What every image service has to pass.

use crate::Error;
use crate::seam::{ImageService, ImageStatus};

/// An image that [`image_suite`] wants not to exist: nothing listens on this port of the machine itself.
pub const ABSENT_IMAGE: &str = "localhost:1/conformance/none:1";

/// Examines the images of a runtime. `image` is the full name of one that is there, and not afterwards; with a name like
/// `docker.io/library/NAME:latest` its short forms are looked at too.
///
/// # Panics
/// When the service breaks the contract of [`ImageService`]; the message says where.
pub async fn image_suite(images: &dyn ImageService, image: &str) {
    let status = is_known_by_all_its_names(images, image).await;
    what_is_absent_is_not_found(images).await;
    images.usage().await.unwrap();
    is_removed_with_all_its_names(images, image, &status).await;
}

async fn is_known_by_all_its_names(images: &dyn ImageService, image: &str) -> ImageStatus {
    let found = images.status(image).await.unwrap();
    let status = found.unwrap_or_else(|| panic!("{image} is there"));
    assert!(status.repo_tags.iter().any(|tag| tag == image), "{image} is among its names: {status:?}");
    assert!(status.size > 0, "an image takes room: {status:?}");
    let library = image.strip_prefix("docker.io/library/").and_then(|rest| rest.strip_suffix(":latest"));
    let short = library.map(|name| [name.to_owned(), format!("{name}:latest"), format!("docker.io/{name}")]);
    for name in short.into_iter().flatten().chain([status.id.clone()]) {
        assert_eq!(images.status(&name).await.unwrap().as_ref(), Some(&status), "known as {name}");
    }
    let listed = images.list().await.unwrap();
    assert_eq!(listed.iter().filter(|other| other.id == status.id).count(), 1, "listed once: {listed:?}");
    status
}

async fn what_is_absent_is_not_found(images: &dyn ImageService) {
    assert_eq!(images.status(ABSENT_IMAGE).await.unwrap(), None);
    let pulled = images.pull(ABSENT_IMAGE, None).await;
    let fits = matches!(pulled, Err(Error::Failed(_) | Error::Unavailable { .. }));
    assert!(fits, "pulling from a registry that is not there: {pulled:?}");
    images.remove(ABSENT_IMAGE).await.unwrap();
}

async fn is_removed_with_all_its_names(images: &dyn ImageService, image: &str, status: &ImageStatus) {
    for _ in 0..2 {
        images.remove(image).await.unwrap();
        assert_eq!(images.status(image).await.unwrap(), None, "a removed image is gone");
        assert_eq!(images.status(&status.id).await.unwrap(), None, "under its id too");
    }
    assert!(images.list().await.unwrap().iter().all(|other| other.id != status.id));
}
