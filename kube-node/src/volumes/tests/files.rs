use std::{os::unix::fs::symlink, path::PathBuf};

use crate::volumes::{
    atomic::{File, Payload, write},
    subpath,
};

fn payload(files: &[(&str, &str)]) -> Payload {
    files.iter().map(|(p, d)| (PathBuf::from(p), File { data: d.as_bytes().to_vec(), mode: 0o644 })).collect()
}

#[test]
fn files_are_replaced_all_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let volume = dir.path().join("v");
    let at = |s| jiff::Timestamp::from_second(s).expect("in range");
    let read = |name: &str| std::fs::read_to_string(volume.join(name)).ok();
    assert!(write(&volume, &payload(&[("a", "1"), ("d/b", "2")]), None, at(1)).expect("written"));
    assert_eq!((read("a").as_deref(), read("d/b").as_deref()), (Some("1"), Some("2")));
    assert!(
        !write(&volume, &payload(&[("a", "1"), ("d/b", "2")]), None, at(2)).expect("compared"),
        "nothing changed"
    );
    assert!(write(&volume, &payload(&[("a", "3")]), None, at(3)).expect("written"));
    assert_eq!((read("a").as_deref(), read("d/b")), (Some("3"), None));
    let generations = std::fs::read_dir(&volume).expect("a directory").flatten();
    let left = generations.filter(|e| e.file_name().to_string_lossy().starts_with("..1970")).count();
    assert_eq!(left, 1, "the old files are removed");
    for bad in ["../x", "/x", "..x", ""] {
        assert!(write(&volume, &payload(&[(bad, "")]), None, at(4)).is_err(), "{bad:?}");
    }
}

#[test]
fn a_sub_path_stays_in_its_volume() {
    let dir = tempfile::tempdir().expect("a directory");
    let volume = dir.path().canonicalize().expect("a path");
    symlink("/etc", volume.join("out")).expect("a link");
    std::fs::create_dir(volume.join("in")).expect("a directory");
    symlink("in", volume.join("link")).expect("a link");
    assert_eq!(subpath::resolve(&volume, "new/er").expect("made"), volume.join("new/er"));
    assert_eq!(subpath::resolve(&volume, "link").expect("followed"), volume.join("in"));
    for bad in ["../x", "/etc", "out/passwd", "out"] {
        assert!(subpath::resolve(&volume, bad).is_err(), "{bad:?}");
    }
}
