//! Reading a database that anybody may have written.

use std::io::{Read, Seek, SeekFrom};

use super::{BRANCH, HEAD, IS_BUCKET, LEAF, MAGIC, META, META_SUMMED, VERSION, checksum};
use crate::{Error, Result};

/// Deepest tree that is followed; one of this depth would hold more than any disk.
const MAX_DEPTH: usize = 24;

/// A database being read. Each page is read when it is needed, and no more of them than the file has.
#[derive(Debug)]
pub(in crate::etcd::server) struct Reader<R> {
    source: R,
    page_size: u64,
    pages: u64,
    root: u64,
    /// Pages that may still be read; a tree that leads in circles runs out of them.
    budget: u64,
}

/// What is called with each key and value.
pub(in crate::etcd::server) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// The same with whether it is a bucket.
type VisitElement<'a> = dyn FnMut(bool, &[u8], &[u8]) -> Result<()> + 'a;

/// An element of a page.
enum Element<'a> {
    Child(u64),
    Entry { is_bucket: bool, key: &'a [u8], value: &'a [u8] },
}

impl<R: Read + Seek> Reader<R> {
    /// Opens a database of `length` bytes.
    pub(in crate::etcd::server) fn open(mut source: R, length: u64) -> Result<Self> {
        let mut start = Vec::new();
        source.seek(SeekFrom::Start(0)).map_err(Error::storage)?;
        source.by_ref().take((1 << 16) + 4096).read_to_end(&mut start).map_err(Error::storage)?;
        // The second head lies a page after the first, whatever a page is.
        let sizes = (9..=16).map(|bits| 1usize << bits);
        let heads = std::iter::once(0).chain(sizes).filter_map(|at| meta(start.get(at..)?));
        let newest = heads.max_by_key(|meta| meta.transaction).ok_or_else(|| broken("no valid head"))?;
        let pages = length / newest.page_size;
        Ok(Self { source, page_size: newest.page_size, pages, root: newest.root, budget: 0 })
    }

    /// The names of all buckets.
    #[cfg(any(test, feature = "testing"))]
    pub(in crate::etcd::server) fn buckets(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        self.budget = self.pages;
        self.tree(self.root, 0, &mut |is_bucket, key, _| {
            names.extend(is_bucket.then(|| key.to_vec()));
            Ok(())
        })?;
        Ok(names)
    }

    /// Calls `visit` with the entries of a bucket in order; answers whether there is such a bucket.
    pub(in crate::etcd::server) fn visit(&mut self, bucket: &[u8], visit: &mut Visit<'_>) -> Result<bool> {
        let mut found: Option<Vec<u8>> = None;
        self.budget = self.pages;
        self.tree(self.root, 0, &mut |is_bucket, key, value| {
            if is_bucket && key == bucket {
                found = Some(value.to_vec());
            }
            Ok(())
        })?;
        let Some(found) = found else { return Ok(false) };
        let mut entries = |is_bucket: bool, key: &[u8], value: &[u8]| {
            if is_bucket { Err(broken("a bucket within a bucket")) } else { visit(key, value) }
        };
        self.budget = self.pages;
        match number(&found, 0).ok_or_else(|| broken("a bucket without a root"))? {
            // A small bucket is its own page.
            0 => self.page(found.get(HEAD..).unwrap_or_default(), 0, &mut entries)?,
            root => self.tree(root, 0, &mut entries)?,
        }
        Ok(true)
    }

    fn tree(&mut self, id: u64, depth: usize, visit: &mut VisitElement<'_>) -> Result<()> {
        let page = self.read(id)?;
        self.page(&page, depth, visit)
    }

    fn page(&mut self, page: &[u8], depth: usize, visit: &mut VisitElement<'_>) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(broken("a tree that is too deep"));
        }
        let count = short(page, 10).ok_or_else(|| broken("a cut page"))?;
        for n in 0..usize::from(count) {
            match element(page, n).ok_or_else(|| broken("a broken element"))? {
                Element::Child(id) => self.tree(id, depth + 1, visit)?,
                Element::Entry { is_bucket, key, value } => visit(is_bucket, key, value)?,
            }
        }
        Ok(())
    }

    /// Reads a page with all that it goes on for.
    fn read(&mut self, id: u64) -> Result<Vec<u8>> {
        let mut head = [0; HEAD];
        let at = id.checked_mul(self.page_size).filter(|_| id < self.pages);
        let at = at.ok_or_else(|| broken("a page outside of the file"))?;
        self.source.seek(SeekFrom::Start(at)).map_err(Error::storage)?;
        self.source.read_exact(&mut head).map_err(Error::storage)?;
        let pages = u64::from(word(&head, 12).unwrap_or(0)) + 1;
        if number(&head, 0) != Some(id) || pages > self.pages - id {
            return Err(broken("a page that is another"));
        }
        self.budget = self.budget.checked_sub(pages).ok_or_else(|| broken("a tree that leads in circles"))?;
        let mut page = head.to_vec();
        let rest = pages * self.page_size - HEAD as u64;
        self.source.by_ref().take(rest).read_to_end(&mut page).map_err(Error::storage)?;
        Ok(page)
    }
}

struct Meta {
    page_size: u64,
    root: u64,
    transaction: u64,
}

/// Reads one of the two heads; `None` when it is not one.
fn meta(page: &[u8]) -> Option<Meta> {
    let summed = page.get(HEAD..HEAD + META_SUMMED)?;
    let valid = short(page, 8)? & META != 0
        && word(summed, 0)? == MAGIC
        && word(summed, 4)? == VERSION
        && number(page, HEAD + META_SUMMED)? == checksum(summed);
    let page_size = u64::from(word(summed, 8)?);
    (valid && (512..=1 << 16).contains(&page_size)).then_some(Meta {
        page_size,
        root: number(summed, 16)?,
        transaction: number(summed, 48)?,
    })
}

fn element(page: &[u8], n: usize) -> Option<Element<'_>> {
    let at = HEAD + HEAD * n;
    let element = page.get(at..)?;
    let field = |offset| word(element, offset).map(|field| field as usize);
    match short(page, 8)? {
        BRANCH => Some(Element::Child(number(element, 8)?)),
        LEAF => {
            let (position, key, value) = (field(4)?, field(8)?, field(12)?);
            let split = position.checked_add(key)?;
            let (key, value) =
                (element.get(position..split)?, element.get(split..split.checked_add(value)?)?);
            Some(Element::Entry { is_bucket: word(element, 0)? & IS_BUCKET != 0, key, value })
        }
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn broken(what: &str) -> Error {
    Error::corrupt(format!("the database file has {what}"))
}
