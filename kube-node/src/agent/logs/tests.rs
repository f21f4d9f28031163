use std::{collections::BTreeMap, io::Read, path::PathBuf};

use super::*;

fn at(second: i64) -> Timestamp {
    // 2026-01-01T00:00:00Z.
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

/// The files beside a log by name, with their content, uncompressed where it is compressed.
fn content(folder: &Path) -> BTreeMap<String, String> {
    let read = |entry: std::fs::DirEntry| {
        let (name, bytes) = (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        let mut text = String::new();
        match name.ends_with(".gz") {
            true => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap(),
            false => (&*bytes).read_to_string(&mut text).unwrap(),
        };
        (name, text)
    };
    std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap())).collect()
}

fn expected(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// A folder with a log, and what rotates it as a runtime would have it.
fn log() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    std::fs::write(&path, "0").unwrap();
    (folder, path)
}

async fn rotate_to(path: &Path, second: i64, text: &str) {
    let reopen = async {
        std::fs::write(path, text).unwrap();
        Ok(())
    };
    rotate_one(path, at(second), 4, reopen).await.unwrap();
}

#[tokio::test]
async fn old_logs_are_compressed_and_the_oldest_removed() {
    let (folder, path) = log();
    std::fs::write(folder.path().join("0.log.old"), "mine").unwrap();
    std::fs::write(folder.path().join("1.log.20260101-000000"), "another's").unwrap();
    let others = [("0.log.old", "mine"), ("1.log.20260101-000000", "another's")];
    rotate_to(&path, 0, "1").await;
    let first = [("0.log", "1"), ("0.log.20260101-000000", "0")];
    assert_eq!(content(folder.path()), expected(&[&first[..], &others].concat()));
    rotate_to(&path, 1, "2").await;
    rotate_to(&path, 2, "3").await;
    let full = [
        ("0.log", "3"),
        ("0.log.20260101-000000.gz", "0"),
        ("0.log.20260101-000001.gz", "1"),
        ("0.log.20260101-000002", "2"),
    ];
    assert_eq!(content(folder.path()), expected(&[&full[..], &others].concat()));
    rotate_to(&path, 3, "4").await;
    let next = [
        ("0.log", "4"),
        ("0.log.20260101-000001.gz", "1"),
        ("0.log.20260101-000002.gz", "2"),
        ("0.log.20260101-000003", "3"),
    ];
    assert_eq!(content(folder.path()), expected(&[&next[..], &others].concat()));
}

#[tokio::test]
async fn what_an_interrupted_rotation_left_is_tidied_up() {
    let (folder, path) = log();
    rotate_to(&path, 0, "1").await;
    std::fs::write(folder.path().join("0.log.20251231-000000.gz.tmp"), "half").unwrap();
    let twin = folder.path().join("0.log.20260101-000000");
    let text = std::fs::read(&twin).unwrap();
    rotate_to(&path, 1, "2").await;
    std::fs::write(&twin, text).unwrap();
    rotate_to(&path, 2, "3").await;
    let names: Vec<String> = content(folder.path()).into_keys().collect();
    let expected = ["0.log", "0.log.20260101-000000.gz", "0.log.20260101-000001.gz", "0.log.20260101-000002"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_log_that_is_not_opened_again_keeps_its_name() {
    let (folder, path) = log();
    let refused = async { Err(Error::Unavailable { what: "runtime", reason: "gone".to_owned() }) };
    assert!(rotate_one(&path, at(0), 4, refused).await.is_err());
    assert_eq!(content(folder.path()), expected(&[("0.log", "0")]));
    rotate_to(&path, 1, "1").await;
    // Two in one second would have one name.
    assert!(rotate_one(&path, at(1), 4, async { Ok(()) }).await.is_err());
    assert_eq!(content(folder.path()).len(), 2);
}
