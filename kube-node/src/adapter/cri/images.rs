//! The image service.

use async_trait::async_trait;
use cri_client::v1;

use super::error::{about, call, gone_is_done};
use super::{CriRuntime, stats};
use crate::seam::{FsUsage, ImageRef, ImageService, ImageStatus, RegistryAuth};
use crate::{Error, Result};

fn spec(image: &str) -> Option<v1::ImageSpec> {
    Some(v1::ImageSpec { image: image.to_owned(), ..Default::default() })
}

#[async_trait]
impl ImageService for CriRuntime {
    async fn list(&self) -> Result<Vec<ImageStatus>> {
        let answer = self.client().list_images(v1::ListImagesRequest::default()).await.map_err(call)?;
        Ok(answer.images.into_iter().map(stats::image).collect())
    }

    async fn status(&self, image: &str) -> Result<Option<ImageStatus>> {
        let request = v1::ImageStatusRequest { image: spec(image), verbose: false };
        match self.client().image_status(request).await {
            Ok(answer) => Ok(answer.image.map(stats::image)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(about("image", image)(error)),
        }
    }

    async fn pull(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<ImageRef> {
        let request =
            v1::PullImageRequest { image: spec(image), auth: auth.map(stats::auth), sandbox_config: None };
        match self.client().pull_image(request).await {
            Ok(answer) => Ok(answer.image_ref),
            // What the registry does not have is a failed pull, with the registry's answer for the user.
            Err(cri_client::Error::NotFound { message, .. }) => Err(Error::Failed(message)),
            Err(error) => Err(about("image", image)(error)),
        }
    }

    async fn remove(&self, image: &str) -> Result<()> {
        let request = v1::RemoveImageRequest { image: spec(image) };
        gone_is_done(self.client().remove_image(request).await, "image", image)
    }

    async fn usage(&self) -> Result<FsUsage> {
        let answer = self.client().image_fs_info(v1::ImageFsInfoRequest {}).await.map_err(call)?;
        Ok(stats::usage(&answer.image_filesystems))
    }
}
