//! The file format of etcd's database, bbolt: pages that hold B+ trees of byte strings, one tree per bucket and one of
//! buckets. [`write`] makes a whole file in one pass; [`read`] reads one, trusting none of it.
//!
//! | page | content |
//! |---|---|
//! | 0, 1 | where the tree of buckets is, twice, each with a checksum |
//! | 2 | free pages; we write none |
//! | 3… | branches and leaves |
//!
//! Each page starts with its number (8 bytes), kind (2), number of elements (2) and how many pages it goes on for (4).
//! Elements tell where their key is, counted from the element itself. Numbers are little-endian.

pub(super) mod read;
pub(super) mod write;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// Bytes of the head of a page, and of each element.
const HEAD: usize = 16;

/// Bytes that the checksum covers.
const META_SUMMED: usize = 56;

/// Kinds of pages.
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREE: u16 = 0x10;

/// The flag of a leaf's element that is a bucket.
const IS_BUCKET: u32 = 0x01;

/// The checksum of a page of kind [`META`]: FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests;
