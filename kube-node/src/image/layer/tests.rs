use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;

struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Adds an entry whose name is written as it is, also a hostile one.
    fn entry(mut self, kind: EntryType, name: &str, link: &str, content: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o640);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content.as_bytes()).unwrap();
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, "", content)
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, "")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, "")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    /// Unpacks into `layer/` of a fresh folder.
    fn unpack(self) -> (tempfile::TempDir, io::Result<Unpacked>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("layer")).unwrap();
        let result = unpack(self.bytes().as_slice(), &folder.path().join("layer"));
        (folder, result)
    }
}

#[test]
fn files_links_and_folders_come_out_as_they_went_in() {
    let tar =
        Tar::new().file("./a/b/file", "text").symlink("a/link", "b/file").hard_link("a/hard", "/a/b/file");
    let (folder, result) = tar.unpack();
    result.unwrap();
    let layer = folder.path().join("layer");
    assert_eq!(std::fs::read_to_string(layer.join("a/link")).unwrap(), "text");
    let meta = std::fs::metadata(layer.join("a/hard")).unwrap();
    assert_eq!((meta.nlink(), meta.mode() & 0o7777, meta.mtime()), (2, 0o640, 1000));
}

#[test]
fn digests_are_those_of_the_archive_compressed_and_not() {
    use std::io::Write;
    let bytes = Tar::new().file("f", "text").bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes).unwrap();
    let gzip = gzip.finish().unwrap();
    let unpack_fresh = |bytes: &[u8]| unpack(bytes, tempfile::tempdir().unwrap().path()).unwrap();
    let (plain, packed) = (unpack_fresh(&bytes), unpack_fresh(&gzip));
    assert_eq!(plain.digest, plain.diff_id);
    assert_eq!(packed.diff_id, plain.diff_id);
    assert_eq!(packed.digest, digest_text(&Sha256::digest(&gzip)));
    assert_eq!(packed.bytes, bytes.len() as u64);
}

#[test]
fn nothing_is_written_outside_of_the_layer() {
    for (what, tar) in [
        ("parent", Tar::new().file("../out", "x")),
        ("parent inside", Tar::new().file("a/../../out", "x")),
        ("symlink", Tar::new().symlink("up", "..").file("up/out", "x")),
        ("absolute symlink", Tar::new().symlink("up", "/").file("up/tmp-kube-node-escape", "x")),
        ("symlink chain", Tar::new().symlink("a", "../..").symlink("b", "a/..").file("b/out", "x")),
        ("symlink as file", Tar::new().symlink("f", "../out").file("f", "x")),
    ] {
        let (folder, _any) = tar.unpack();
        assert!(!folder.path().join("out").exists(), "{what}");
        assert!(!Path::new("/tmp-kube-node-escape").exists(), "{what}");
    }
}

#[test]
fn a_hard_link_cannot_reach_outside() {
    let (folder, result) = Tar::new().symlink("up", "../..").hard_link("passwd", "up/etc/passwd").unpack();
    assert!(result.is_err());
    assert!(!folder.path().join("layer/passwd").exists());
    assert!(Tar::new().hard_link("x", "../../etc/passwd").unpack().1.is_err());
}

#[test]
fn a_cut_archive_is_an_error() {
    let bytes = Tar::new().file("f", &"x".repeat(5000)).bytes();
    assert!(unpack(&bytes[..2000], tempfile::tempdir().unwrap().path()).is_err());
    assert!(unpack([0x28, 0xb5, 0x2f, 0xfd, 0].as_slice(), tempfile::tempdir().unwrap().path()).is_err());
}

#[test]
fn root_whiteouts_become_overlayfs_own() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (folder, result) = Tar::new().file("a/.wh.gone", "").file("b/.wh..wh..opq", "").unpack();
    result.unwrap();
    let layer = folder.path().join("layer");
    let meta = std::fs::symlink_metadata(layer.join("a/gone")).unwrap();
    assert!(meta.file_type().is_char_device() && meta.rdev() == 0);
    let mut value = [0; 8];
    let n = rustix::fs::getxattr(layer.join("b"), c"trusted.overlay.opaque", &mut value).unwrap();
    assert_eq!(&value[..n], b"y");
}
