//! What is written is read again, and what is broken is refused.

use std::io::Cursor;

use proptest::prelude::*;

use super::read::Reader;
use super::write::{Bucket, Writer};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn write(buckets: &[(&str, Entries)]) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    for (name, entries) in buckets {
        let mut bucket = Bucket::default();
        for (key, value) in entries {
            writer.add(&mut bucket, key, value).unwrap();
        }
        writer.finish_bucket(name.as_bytes(), bucket).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read(file: &[u8], bucket: &str) -> crate::Result<Option<Entries>> {
    let mut entries = Entries::new();
    let mut reader = Reader::open(Cursor::new(file), file.len() as u64)?;
    let found = reader.visit(bucket.as_bytes(), &mut |key, value| {
        entries.push((key.to_vec(), value.to_vec()));
        Ok(())
    })?;
    Ok(found.then_some(entries))
}

#[test]
fn buckets_of_all_sizes_come_back() {
    let numbered = |n: u32, size: usize| (n.to_be_bytes().to_vec(), vec![n as u8; size]);
    let many: Entries = (0..100_000).map(|n| numbered(n, 20)).collect();
    let large: Entries = (0..5).map(|n| numbered(n, 10_000 * n as usize)).collect();
    let file = write(&[("many", many.clone()), ("large", large.clone()), ("empty", Entries::new())]);
    assert_eq!(file.len() % 4096, 0);
    assert_eq!(read(&file, "many").unwrap().unwrap(), many);
    assert_eq!(read(&file, "large").unwrap().unwrap(), large);
    assert_eq!(read(&file, "empty").unwrap().unwrap(), Entries::new());
    assert_eq!(read(&file, "none").unwrap(), None);
}

#[test]
fn a_tree_in_circles_is_refused() {
    let many: Entries = (0..1000u32).map(|n| (n.to_be_bytes().to_vec(), vec![0; 40])).collect();
    let mut file = write(&[("many", many)]);
    // Some branch leads to page 3 first; let it lead to itself.
    let branch = (3..file.len() / 4096).find(|page| file[page * 4096 + 8] == 1).unwrap();
    file[branch * 4096 + 24] = branch as u8;
    assert!(read(&file, "many").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_byte_or_a_cut_never_panics(at in 0usize..30_000, flip in 1u8.., cut in 0usize..30_000) {
        let entries: Entries = (0..300u32).map(|n| (n.to_be_bytes().to_vec(), vec![1; 40])).collect();
        let mut file = write(&[("key", entries)]);
        if let Some(byte) = file.get_mut(at) {
            *byte ^= flip;
        }
        // Whether it is noticed depends on where it was: only the heads have a checksum, and the whole file its own.
        let _ = read(&file, "key");
        file.truncate(cut);
        let _ = read(&file, "key");
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..10_000)) {
        prop_assert!(read(&noise, "key").is_err());
    }
}
