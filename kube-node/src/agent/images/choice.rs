//! Which images go. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    node::Left,
    seam::{ContainerStatus, ImageStatus},
};

/// When an image was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) struct Seen {
    /// The first time.
    pub(super) first: Timestamp,
    /// The last time that a container was there that uses it.
    pub(super) used: Option<Timestamp>,
}

/// How many bytes must go until the disk is as full as `low` says; `None` while it is less full than `high` says. In percent of the disk.
pub(super) fn excess(disk: Left, high: u8, low: u8) -> Option<u64> {
    let share = |percent: u64| (u128::from(disk.all) * u128::from(percent) / 100) as u64;
    let used = disk.all.saturating_sub(disk.free);
    // A file system that says nothing about its size is not full.
    let is_full = high < 100 && disk.all > 0 && used >= share(u64::from(high));
    is_full.then(|| used.saturating_sub(share(u64::from(low)))).filter(|bytes| *bytes > 0)
}

/// Whether a container, be it ended, was made from this image.
pub(super) fn is_used(image: &ImageStatus, containers: &[ContainerStatus]) -> bool {
    let names = |name: &String| {
        *name == image.id || image.repo_digests.contains(name) || image.repo_tags.contains(name)
    };
    containers.iter().any(|container| names(&container.image_ref) || names(&container.image))
}

/// The images that may go, those first that were used the longest time ago; an image must have been there for `age`, since it may have been
/// fetched for a container that is just being made.
pub(super) fn victims<'a>(
    images: &'a [ImageStatus],
    seen: &BTreeMap<String, Seen>,
    now: Timestamp,
    age: SignedDuration,
) -> Vec<&'a ImageStatus> {
    let known = images.iter().filter_map(|image| Some((*seen.get(&image.id)?, image)));
    let may_go = |(seen, image): &(Seen, &ImageStatus)| {
        !image.pinned && seen.used != Some(now) && now.duration_since(seen.first) >= age
    };
    let mut old: Vec<(Seen, &ImageStatus)> = known.filter(may_go).collect();
    old.sort_by_key(|(seen, _)| (seen.used, seen.first));
    old.into_iter().map(|(_, image)| image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_go_is_what_is_above_the_lower_threshold() {
        let check = |used: u64, high: u8, low: u8, expected: Option<u64>| {
            let disk = Left { free: 1000 - used, all: 1000 };
            assert_eq!(excess(disk, high, low), expected, "{used} of 1000, {high}/{low}");
        };
        check(849, 85, 80, None);
        check(850, 85, 80, Some(50));
        check(1000, 85, 80, Some(200));
        check(1000, 100, 80, None);
        check(0, 0, 0, None);
        assert_eq!(excess(Left::default(), 85, 80), None);
        assert_eq!(excess(Left { free: 0, all: u64::MAX }, 85, 0), Some(u64::MAX));
    }

    #[test]
    fn the_longest_unused_go_first_and_pinned_and_new_ones_not_at_all() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let image = |id: &str| ImageStatus { id: id.to_owned(), ..ImageStatus::default() };
        let mut images =
            ["new", "never-2", "used-10", "pinned", "used-20", "never-1", "busy", "unknown"].map(image);
        images[3].pinned = true;
        let seen = |first, used: Option<i64>| Seen { first: at(first), used: used.map(at) };
        let seen: BTreeMap<String, Seen> = [
            ("new", seen(91, None)),
            ("never-2", seen(2, None)),
            ("used-10", seen(0, Some(10))),
            ("pinned", seen(0, None)),
            ("used-20", seen(0, Some(20))),
            ("never-1", seen(1, None)),
            ("busy", seen(0, Some(100))),
        ]
        .map(|(id, seen)| (id.to_owned(), seen))
        .into();
        let found = victims(&images, &seen, at(100), SignedDuration::from_secs(10));
        let found: Vec<&str> = found.iter().map(|image| &*image.id).collect();
        assert_eq!(found, ["never-1", "never-2", "used-10", "used-20"]);
    }
}
