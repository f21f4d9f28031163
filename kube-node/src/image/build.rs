//! Images made of this machine's files.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layer::digest_text;
use super::name::normalize;
use super::store::{Image, ImageConfig, ImageStore};
use crate::{Error, Result};

/// Where the content of an [`ImageFile`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A file of this machine; shared with the image (hard link) where that is possible, else copied.
    Host(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
    /// A symbolic link to this target.
    Link(PathBuf),
}

/// One file of an image to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Absolute path in the image; missing folders are made with mode 0755.
    pub path: PathBuf,
    /// The content.
    pub source: Source,
    /// Permission bits; not used for links.
    pub mode: u32,
}

impl ImageStore {
    /// Adds an image with one layer of `files` under `name` and returns its id. Nothing is read: an image is known by its files' names,
    /// sizes and modification times, so building an unchanged one again costs a few system calls. Files that are shared with the image
    /// must be replaced, not rewritten in place, which is what compilers and package managers do.
    ///
    /// ```no_run
    /// # async fn example(store: kube_node::image::ImageStore) -> Result<(), Box<dyn std::error::Error>> {
    /// use kube_node::image::{ImageConfig, ImageFile, Source, program_files};
    ///
    /// let program = std::env::current_exe()?;
    /// let mut files = vec![ImageFile { path: "/demo".into(), source: Source::Host(program.clone()), mode: 0o755 }];
    /// for (path, real) in program_files(&program)? {
    ///     files.push(ImageFile { path, source: Source::Host(real), mode: 0o755 });
    /// }
    /// let config = ImageConfig { entrypoint: vec!["/demo".into()], ..ImageConfig::default() };
    /// store.build("localhost/demo", files, config).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a file is missing or the layer cannot be written.
    pub async fn build(&self, name: &str, files: Vec<ImageFile>, config: ImageConfig) -> Result<String> {
        let _alone = self.lock_unpacking().await;
        let (store, name) = (self.clone(), normalize(name));
        let build = move || store.build_now(name, &files, config);
        tokio::task::spawn_blocking(build).await.map_err(|error| Error::Failed(error.to_string()))?
    }

    fn build_now(&self, name: String, files: &[ImageFile], config: ImageConfig) -> Result<String> {
        let doing = || format!("build image {name}");
        let fingerprint = fingerprint(files).map_err(Error::io(doing()))?;
        let layer = digest_text(&Sha256::digest(fingerprint.as_bytes()));
        let size = if let Some(size) = self.layer_size(&layer) {
            size
        } else {
            let folder = self.tmp("build");
            let size = lay_out(&folder, files).map_err(Error::io(doing()))?;
            self.adopt_layer(&folder, &layer, size)?;
            size
        };
        let text = serde_json::to_string(&config).map_err(|error| Error::Invalid(error.to_string()))?;
        let id = digest_text(&Sha256::digest(format!("{layer} {text}").as_bytes()));
        let image = Image {
            id: id.clone(),
            tags: [name].into(),
            layers: vec![layer],
            size,
            config,
            ..Image::default()
        };
        self.add(image, None)?;
        Ok(id)
    }
}

/// What distinguishes these files from others, without reading them.
fn fingerprint(files: &[ImageFile]) -> io::Result<String> {
    let mut text = String::new();
    for file in files {
        // Writing to a string cannot fail.
        let _always = write!(text, "{:?} {:o} ", file.path, file.mode);
        let _always = match &file.source {
            Source::Host(path) => {
                let meta = fs::metadata(path)?;
                writeln!(
                    text,
                    "{path:?} {} {} {} {}",
                    meta.len(),
                    meta.mtime(),
                    meta.mtime_nsec(),
                    meta.ino()
                )
            }
            Source::Bytes(bytes) => writeln!(text, "{}", digest_text(&Sha256::digest(bytes))),
            Source::Link(target) => writeln!(text, "-> {target:?}"),
        };
    }
    Ok(text)
}

fn lay_out(folder: &Path, files: &[ImageFile]) -> io::Result<u64> {
    let mut size = 0;
    make_folder(folder)?;
    for file in files {
        let relative = file.path.strip_prefix("/").unwrap_or(&file.path);
        if relative.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{}: not a plain absolute path", file.path.display()),
            ));
        }
        let target = folder.join(relative);
        if let Some(parent) = relative.parent() {
            parent.iter().try_fold(folder.to_owned(), |at, part| {
                let at = at.join(part);
                make_folder(&at).map(|()| at)
            })?;
        }
        size += place(&file.source, &target, file.mode)?;
    }
    Ok(size)
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
    }
}

fn place(source: &Source, target: &Path, mode: u32) -> io::Result<u64> {
    match source {
        Source::Link(to) => std::os::unix::fs::symlink(to, target).map(|()| 0),
        Source::Bytes(bytes) => {
            fs::write(target, bytes)?;
            fs::set_permissions(target, fs::Permissions::from_mode(mode))?;
            Ok(bytes.len() as u64)
        }
        Source::Host(path) => {
            let real = fs::canonicalize(path)?;
            let meta = fs::metadata(&real)?;
            let same_mode = meta.mode() & 0o7777 == mode && meta.uid() == 0;
            if !same_mode || fs::hard_link(&real, target).is_err() {
                fs::copy(&real, target)?;
                fs::set_permissions(target, fs::Permissions::from_mode(mode))?;
            }
            Ok(meta.len())
        }
    }
}
