//! The embedded runtime's images: fetched, unpacked once, shared by every container.
//!
//! [`ImageStore`] implements [`ImageService`](crate::seam::ImageService). Images come from OCI layout folders, archives of such folders and
//! `docker save` archives found in one folder at start ([`ImageStore::open`]), from registries
//! ([`pull`](crate::seam::ImageService::pull)) and from files of this machine ([`ImageStore::build`], an image without any copying, for programs
//! that run themselves in containers). A layer is unpacked once into a folder of its own and is never changed; containers stack these
//! folders with overlayfs.
//!
//! | module | what |
//! |---|---|
//! | `name` | image names: `nginx` means `docker.io/library/nginx:latest` |
//! | `store` | what images there are, on disk as one JSON file |
//! | `layer` | unpacking a layer, safe against hostile archives |
//! | `document` | manifests and configurations |
//! | `import` | OCI layouts and archives |
//! | `registry` | a client of registries |
//! | `pull` | images from there |
//! | `build` | images made of this machine's files |
//! | `elf` | which shared libraries a program needs |

mod build;
mod document;
mod elf;
mod import;
mod layer;
mod name;
mod pull;
mod registry;
mod store;

pub use build::{ImageFile, Source};
pub use elf::program_files;
pub use name::normalize;
pub use store::{Image, ImageConfig, ImageStore};
