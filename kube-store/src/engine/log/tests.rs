use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::disk::HEADER;
use super::*;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Change = (Vec<u8>, Option<Vec<u8>>);

const SMALL: Sizes = Sizes { least: 4096, most: 16384 };

fn open(dir: &Path) -> io::Result<LogEngine> {
    let (disk, lock) = Disk::lock(dir)?;
    LogEngine::open_on(disk, lock, SMALL)
}

/// Opens a log whose steps can be made to fail.
fn open_faulty(dir: &Path, faults: &faults::Faults) -> io::Result<LogEngine> {
    let (mut disk, lock) = Disk::lock(dir)?;
    disk.faults = faults.clone();
    LogEngine::open_on(disk, lock, SMALL)
}

fn batch(changes: &[Change]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(key, |buffer| buffer.extend_from_slice(value)),
            None => batch.delete(key),
        }
    }
    batch
}

fn apply(map: &mut Map, changes: &[Change]) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}

fn contents(engine: &LogEngine, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut collect = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    engine.scan(prefix, &mut collect).unwrap();
    found
}

fn holds(engine: &LogEngine, map: &Map) -> bool {
    contents(engine, b"").into_iter().eq(map.clone())
}

fn put(key: impl AsRef<[u8]>, length: usize) -> Change {
    (key.as_ref().to_vec(), Some(vec![length as u8; length]))
}

/// A copy of what is on the disk. Meanwhile a segment may be prepared, whose file changes its name then: it is copied anew.
fn copy(from: &Path) -> tempfile::TempDir {
    loop {
        let to = tempfile::tempdir().unwrap();
        let copied: io::Result<Vec<_>> = fs::read_dir(from)
            .unwrap()
            .map(|entry| entry.and_then(|entry| fs::copy(entry.path(), to.path().join(entry.file_name()))))
            .collect();
        match copied {
            Ok(_) => return to,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        }
    }
}

fn segment(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08x}.log"))
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let key = (0u8..24).prop_map(|n| if n < 20 { vec![b'k', n] } else { vec![n; 40] });
    let length = prop_oneof![8 => 0usize..200, 1 => 1000usize..9000];
    let value = prop::option::weighted(0.7, (any::<u8>(), length).prop_map(|(n, length)| vec![n; length]));
    prop::collection::vec((key, value), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn is_a_map_that_stays(batches in prop::collection::vec((changes(), 0u8..12), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path()).unwrap();
        let mut map = Map::new();
        for (changes, what) in batches {
            engine.commit(&batch(&changes)).unwrap();
            apply(&mut map, &changes);
            match what {
                0 => {
                    drop(engine);
                    engine = open(dir.path()).unwrap();
                }
                1 => {
                    let left = left_by(&engine);
                    prop_assert!(holds(&open(left.path()).unwrap(), &map));
                }
                _ => {}
            }
        }
        prop_assert!(holds(&engine, &map));
        let below = contents(&engine, b"k");
        prop_assert!(below.into_iter().eq(map.clone().into_iter().filter(|(key, _)| key.starts_with(b"k"))));
    }
}

/// What a process leaves that ends now.
fn left_by(engine: &LogEngine) -> tempfile::TempDir {
    if let Some(preparing) = &engine.preparing {
        // Files must not be renamed while they are copied.
        preparing.wait();
    }
    copy(engine.disk.dir())
}

/// What a process leaves that committed `batches`.
fn filled(batches: &[Vec<Change>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    batches.iter().for_each(|changes| engine.commit(&batch(changes)).unwrap());
    left_by(&engine)
}

/// Three frames whose lengths differ.
fn three() -> Vec<Vec<Change>> {
    vec![vec![put("a", 10), put("b", 33)], vec![put("a", 21), (b"b".to_vec(), None)], vec![put("c", 5)]]
}

#[test]
fn a_changed_byte_is_never_served() {
    let batches = three();
    let dir = filled(&batches);
    let (mut old, mut new) = (Map::new(), Map::new());
    batches.iter().take(2).for_each(|changes| apply(&mut old, changes));
    batches.iter().for_each(|changes| apply(&mut new, changes));
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    let engine = open(dir.path()).unwrap();
    let end = engine.extents[&1].end as usize;
    drop(engine);
    let (mut refused, mut dropped) = (0, 0);
    for at in 0..end + 64 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        fs::write(&path, bytes).unwrap();
        match open(dir.path()) {
            Ok(engine) if holds(&engine, &old) => dropped += 1,
            Ok(engine) => assert!(holds(&engine, &new), "byte {at}"),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}: {error}");
                refused += 1;
            }
        }
        // An engine that was only opened changes nothing, so the last frame is still the last.
        let last = frame::space(frame::ENTRY + 1 + 5);
        assert!(dropped <= last, "only what looks like it was being written may be dropped");
        assert!(at >= end - last || dropped == 0, "byte {at}");
    }
    assert!(refused > 100 && dropped > 30, "{refused} {dropped}");
}

#[test]
fn a_log_that_was_closed_refuses_any_loss() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    engine.commit(&batch(&[put("a", 30)])).unwrap();
    let end = engine.extents[&1].end as usize;
    drop(engine);
    let whole = fs::read(segment(dir.path(), 1)).unwrap();
    for at in HEADER as usize..end - 2 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        fs::write(segment(dir.path(), 1), bytes).unwrap();
        let error = open(dir.path()).err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::InvalidData), "byte {at}");
    }
}

#[test]
fn a_cut_file_is_refused_and_a_cut_write_is_dropped() {
    let batches = three();
    let dir = filled(&batches);
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..=3)
        .map(|count| {
            let frames = batches.iter().take(count);
            let length = |changes: &Vec<Change>| {
                changes.iter().map(|(key, value)| 8 + key.len() + value.as_ref().map_or(0, Vec::len)).sum()
            };
            HEADER as usize + frames.map(|changes| frame::space(length(changes))).sum::<usize>()
        })
        .collect();
    for at in 0..=*ends.last().unwrap() {
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(open(dir.path()).unwrap_err().kind(), io::ErrorKind::InvalidData, "cut at {at}");
        if at < HEADER as usize {
            continue;
        }
        // The write stopped there; nothing behind it was ever written.
        let torn = [&whole[..at], &vec![0; whole.len() - at]].concat();
        fs::write(&path, torn).unwrap();
        let count = ends.iter().filter(|end| **end <= at).count() - 1;
        let mut map = Map::new();
        batches.iter().take(count).for_each(|changes| apply(&mut map, changes));
        let mut engine = open(dir.path()).unwrap();
        // The last bytes of a frame are padding, which it can do without.
        let mut more = map.clone();
        batches.iter().skip(count).take(1).for_each(|changes| apply(&mut more, changes));
        assert!(holds(&engine, &map) || holds(&engine, &more), "torn at {at}");
        let map: Map = contents(&engine, b"").into_iter().collect();
        engine.commit(&batch(&[put("after", 3)])).unwrap();
        drop(engine);
        let mut after = map;
        apply(&mut after, &[put("after", 3)]);
        assert!(holds(&open(dir.path()).unwrap(), &after), "torn at {at}");
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    for n in 0..40u8 {
        engine.commit(&batch(&[put([b'k', n], 900)])).unwrap();
    }
    drop(engine);
    let segments: Vec<u32> = Disk::lock(dir.path()).unwrap().0.segments().unwrap();
    assert!(segments.len() > 3);
    for number in segments.iter().take(segments.len() - 2) {
        let left = copy(dir.path());
        fs::remove_file(segment(left.path(), *number)).unwrap();
        let error = open(left.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "without {number}: {error}");
    }
}

/// Writes that overlap may reach the disk in any order: one behind a torn one was not answered, and is dropped with it.
#[test]
fn a_frame_behind_a_torn_one_that_was_not_synced_is_dropped() {
    let dir = filled(&[vec![put("a", 10)]]);
    let disk = Disk::lock(dir.path()).unwrap().0;
    let end = HEADER + frame::space(8 + 1 + 10) as u32;
    let later = |synced: u64, at: u32| {
        let mut buffer = Vec::new();
        frame::encode(&mut buffer, &[&batch(&[put("c", 10)])]).unwrap();
        frame::seal(&mut buffer, 1, Mark { sequence: 3, synced, oldest: 1 });
        disk.write(&disk.open_to_write(1).unwrap(), &buffer, at).unwrap();
    };
    later(1, end + 40);
    let mut engine = open(dir.path()).unwrap();
    let mut map = Map::new();
    apply(&mut map, &[put("a", 10)]);
    assert!(holds(&engine, &map));
    // A frame that ends just before the one that was dropped must not bring it back.
    engine.commit(&batch(&[put("b", 7)])).unwrap();
    apply(&mut map, &[put("b", 7)]);
    assert_eq!(engine.extents[&1].end, end + 40);
    let left = left_by(&engine);
    assert!(holds(&open(left.path()).unwrap(), &map));
    drop(engine);

    let dir = filled(&[vec![put("a", 10)]]);
    let disk = Disk::lock(dir.path()).unwrap().0;
    let mut buffer = Vec::new();
    frame::encode(&mut buffer, &[&batch(&[put("c", 10)])]).unwrap();
    frame::seal(&mut buffer, 1, Mark { sequence: 3, synced: 2, oldest: 1 });
    disk.write(&disk.open_to_write(1).unwrap(), &buffer, end + 40).unwrap();
    drop(disk);
    assert_eq!(open(dir.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_directory_is_one_engines() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).unwrap();
    assert_eq!(open(dir.path()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    drop(engine);
    open(dir.path()).unwrap();
}

/// Entries that live long among ones that are replaced all the time.
fn churn(n: usize) -> Vec<Change> {
    let mut changes = vec![put(format!("churn/{}", n % 5), 700)];
    if n.is_multiple_of(40) {
        changes.push(put(format!("stays/{n:04}"), 300));
    }
    if n % 40 == 20 {
        changes.push((format!("stays/{:04}", n - 20).into_bytes(), (n % 80 == 20).then(|| vec![1; 10])));
    }
    changes
}

#[test]
fn garbage_goes_and_what_is_moved_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    let (mut map, mut asked, mut most) = (Map::new(), 0, 0);
    for n in 0..2000 {
        let changes = churn(n);
        asked += changes
            .iter()
            .map(|(key, value)| 40 + key.len() + value.as_ref().map_or(0, Vec::len))
            .sum::<usize>();
        engine.commit(&batch(&changes)).unwrap();
        apply(&mut map, &changes);
        most = most.max(engine.disk_bytes());
    }
    let live: usize = map.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
    assert_eq!(engine.directory.bytes(), live as u64);
    assert!(most <= 2 * live as u64 + 5 * u64::from(SMALL.most), "{most} for {live}");
    let written = engine.mark.sequence;
    assert_eq!(written, 2000, "moving takes no write of its own");
    assert!(engine.current as usize * SMALL.least as usize <= 4 * asked, "{} segments", engine.current);
    drop(engine);
    assert!(holds(&open(dir.path()).unwrap(), &map));
}

#[test]
fn a_queue_leaves_nothing_behind_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    for n in 0u32..1000 {
        let mut changes = vec![put(n.to_be_bytes(), 500)];
        if let Some(old) = n.checked_sub(20) {
            changes.push((old.to_be_bytes().to_vec(), None));
        }
        engine.commit(&batch(&changes)).unwrap();
        assert_eq!(engine.moved.len(), 0);
    }
    assert!(engine.disk_bytes() <= 5 * u64::from(SMALL.most), "{}", engine.disk_bytes());
}

/// Lets the process end at every step, with none, some or all of the write that is under way, and looks at what is left.
#[test]
fn ended_at_any_step_nothing_acknowledged_is_lost() {
    let rounds = 120;
    let counting = tempfile::tempdir().unwrap();
    let faults = faults::Faults::default();
    let mut engine = open_faulty(counting.path(), &faults).unwrap();
    (0..rounds).for_each(|n| engine.commit(&batch(&churn(n))).unwrap());
    assert!(engine.directory.first() > Some(2), "segments were emptied");
    drop(engine);
    for stop in 0..faults.steps() {
        let (dir, faults) = (tempfile::tempdir().unwrap(), faults::Faults::default());
        faults.stop_after(stop, stop % 11);
        let (mut map, mut next) = (Map::new(), Map::new());
        if let Ok(mut engine) = open_faulty(dir.path(), &faults) {
            for n in 0..rounds {
                apply(&mut next, &churn(n));
                if engine.commit(&batch(&churn(n))).is_err() {
                    faults.repair();
                    assert!(engine.commit(&batch(&[])).is_err(), "a failure is final");
                    break;
                }
                apply(&mut map, &churn(n));
            }
        }
        faults.repair();
        let engine = open(dir.path()).unwrap();
        assert!(holds(&engine, &map) || holds(&engine, &next), "stopped after {stop} steps");
    }
}

/// What a write that was not finished leaves behind is not taken for one of a later life.
#[test]
fn a_log_goes_on_after_each_of_many_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut map = Map::new();
    for life in 0..60 {
        let faults = faults::Faults::default();
        let mut engine = open_faulty(dir.path(), &faults).unwrap();
        assert!(holds(&engine, &map), "life {life}");
        faults.stop_after(1 + life % 13, life % 10);
        for n in 0.. {
            let changes = churn(life * 7 + n);
            if engine.commit(&batch(&changes)).is_err() {
                break;
            }
            apply(&mut map, &changes);
        }
        drop(engine);
    }
}

#[test]
fn a_batch_may_be_larger_than_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    let mut map = Map::new();
    for changes in
        [vec![put("large", 700_000)], vec![put("small", 1)], vec![put("large", 10)], vec![put("l2", 90_000)]]
    {
        engine.commit(&batch(&changes)).unwrap();
        apply(&mut map, &changes);
    }
    for n in 0..100 {
        engine.commit(&batch(&churn(n))).unwrap();
        apply(&mut map, &churn(n));
    }
    drop(engine);
    let engine = open(dir.path()).unwrap();
    assert!(holds(&engine, &map));
    assert!(engine.disk_bytes() < 500_000, "the large segment is gone");
}

/// What is not needed goes when that is asked for, while commits go on, and a process may end at any moment.
#[test]
fn space_is_given_back_when_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    let mut map = Map::new();
    let mut commit = |engine: &mut LogEngine, changes: &[Change]| {
        engine.commit(&batch(changes)).unwrap();
        apply(&mut map, changes);
        map.clone()
    };
    for n in 0..200 {
        commit(&mut engine, &[put(format!("stays/{n:03}"), 300), put("goes", 700)]);
    }
    let before = engine.disk_bytes();
    assert!(before > engine.directory.bytes() * 5 / 4, "there is something to give back");
    let (mut parts, mut known) = (0, Map::new());
    while engine.shrink().unwrap() {
        parts += 1;
        known = commit(&mut engine, &[put(format!("new/{parts}"), 10)]);
        let left = copy(dir.path());
        assert!(holds(&open(left.path()).unwrap(), &known), "after {parts} parts");
    }
    assert!(parts > 1, "{parts}");
    let (needed, used) = (engine.directory.bytes(), engine.disk_bytes());
    assert!(used < before && used <= needed + needed / 2, "{used} of {before} for {needed}");
    let files: u64 =
        fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(files <= needed + 3 * u64::from(SMALL.most), "{files} for {needed}");
    drop(engine);
    assert!(holds(&open(dir.path()).unwrap(), &known));
}

/// A damaged value must not get a new checksum by being moved.
#[test]
fn what_is_damaged_is_not_moved() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).unwrap();
    engine.commit(&batch(&[put("stays", 100)])).unwrap();
    let file = fs::File::options().write(true).open(segment(dir.path(), 1)).unwrap();
    file.write_all_at(b"!", u64::from(HEADER) + 60).unwrap();
    let error = (0..1000).find_map(|n| engine.commit(&batch(&[put(format!("{}", n % 3), 700)])).err());
    assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::InvalidData));
    assert!(engine.commit(&batch(&[])).is_err(), "a failure is final");
}

#[test]
fn more_than_a_little_is_read_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = LogEngine::open(dir.path()).unwrap();
    let mut map = Map::new();
    for n in 0..40u8 {
        let changes: Vec<_> = (0..30u8).map(|m| put([n % 32, m], 9000 + usize::from(m))).collect();
        engine.commit(&batch(&changes)).unwrap();
        apply(&mut map, &changes);
    }
    assert!(engine.directory.bytes() > 8 << 20);
    assert!(holds(&engine, &map));
    let mut seen = 0;
    let stopped = engine.scan(b"", &mut |_, _| {
        seen += 1;
        if seen == 5 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    assert!(stopped.is_err() && seen == 5);
    drop(engine);
    assert!(holds(&LogEngine::open(dir.path()).unwrap(), &map));
}
