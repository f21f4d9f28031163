//! The demo image: this program and the libraries it is linked with, under the names of [`crate::demo`].

use kube_node::image::{ImageConfig, ImageFile, ImageStore, Source, program_files};

/// The image's name.
pub const NAME: &str = "localhost/demo";

/// Makes the image, or finds it unchanged, in a few milliseconds: the files are shared with the host, not copied.
///
/// # Errors
/// If a file of this program can't be read or linked.
pub async fn build(images: &ImageStore) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let program = std::env::current_exe()?;
    let mut files =
        vec![ImageFile { path: "/bin/demo".into(), source: Source::Host(program.clone()), mode: 0o755 }];
    for (path, real) in program_files(&program)? {
        files.push(ImageFile { path, source: Source::Host(real), mode: 0o755 });
    }
    for name in crate::demo::names().filter(|name| *name != "demo") {
        files.push(ImageFile {
            path: format!("/bin/{name}").into(),
            source: Source::Link("demo".into()),
            mode: 0o755,
        });
    }
    for folder in ["/tmp/.keep", "/etc/.keep"] {
        files.push(ImageFile { path: folder.into(), source: Source::Bytes(Vec::new()), mode: 0o644 });
    }
    let config = ImageConfig {
        entrypoint: Vec::new(),
        cmd: vec!["/bin/demo".into()],
        env: vec!["PATH=/bin".into()],
        working_dir: "/".into(),
        ..ImageConfig::default()
    };
    images.build(NAME, files, config).await?;
    Ok(())
}
