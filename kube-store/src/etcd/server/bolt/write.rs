//! Writing a database in one pass, bucket after bucket, with keys that come in order.

use std::io::{self, Seek, SeekFrom, Write};

use super::{BRANCH, FREE, HEAD, IS_BUCKET, LEAF, MAGIC, META, META_SUMMED, VERSION, checksum};

const PAGE: usize = 4096;

/// A database being written.
#[derive(Debug)]
pub(in crate::etcd::server) struct Writer<W> {
    out: W,
    /// Number of the next page.
    next: u64,
    buckets: Vec<(Vec<u8>, u64)>,
}

/// A bucket being written: its leaf under way, and the first key and number of each page finished.
#[derive(Debug, Default)]
pub(in crate::etcd::server) struct Bucket {
    page: Page,
    children: Vec<(Vec<u8>, u64)>,
}

/// Elements of a page under way.
#[derive(Debug, Default)]
struct Page {
    elements: Vec<Element>,
    bytes: usize,
}

#[derive(Debug)]
struct Element {
    /// A leaf's flags, or the page that a branch leads to.
    link: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Page {
    fn fits(&self, key: &[u8], value: &[u8]) -> bool {
        self.elements.is_empty() || HEAD + self.bytes + HEAD + key.len() + value.len() <= PAGE
    }

    fn push(&mut self, link: u64, key: &[u8], value: &[u8]) {
        self.bytes += HEAD + key.len() + value.len();
        self.elements.push(Element { link, key: key.to_vec(), value: value.to_vec() });
    }

    fn encode(&self, id: u64, kind: u16) -> Vec<u8> {
        let length = (HEAD + self.bytes).next_multiple_of(PAGE);
        let mut page = Vec::with_capacity(length);
        // At most one element more than fits into a page, so neither number overflows.
        head(&mut page, id, kind, self.elements.len() as u16, (length / PAGE - 1) as u32);
        let mut data = HEAD * self.elements.len();
        for (n, element) in self.elements.iter().enumerate() {
            let position = (data - HEAD * n) as u32;
            let (key, value) = (element.key.len() as u32, element.value.len() as u32);
            if kind == LEAF {
                [element.link as u32, position, key, value]
                    .iter()
                    .for_each(|field| page.extend(field.to_le_bytes()));
            } else {
                [position, key].iter().for_each(|field| page.extend(field.to_le_bytes()));
                page.extend(element.link.to_le_bytes());
            }
            data += element.key.len() + element.value.len();
        }
        self.elements.iter().for_each(|e| page.extend(e.key.iter().chain(&e.value)));
        page.resize(length, 0);
        page
    }
}

fn head(page: &mut Vec<u8>, id: u64, kind: u16, count: u16, overflow: u32) {
    page.extend(id.to_le_bytes());
    page.extend(kind.to_le_bytes());
    page.extend(count.to_le_bytes());
    page.extend(overflow.to_le_bytes());
}

impl<W: Write + Seek> Writer<W> {
    /// Starts a database.
    pub(in crate::etcd::server) fn new(mut out: W) -> io::Result<Self> {
        // The first pages are known last.
        out.write_all(&[0; 3 * PAGE])?;
        Ok(Self { out, next: 3, buckets: Vec::new() })
    }

    /// Adds an entry to a bucket under way, after all it has.
    pub(in crate::etcd::server) fn add(
        &mut self,
        bucket: &mut Bucket,
        key: &[u8],
        value: &[u8],
    ) -> io::Result<()> {
        if !bucket.page.fits(key, value) {
            self.finish_page(bucket, LEAF)?;
        }
        bucket.page.push(0, key, value);
        Ok(())
    }

    /// Ends a bucket.
    pub(in crate::etcd::server) fn finish_bucket(&mut self, name: &[u8], bucket: Bucket) -> io::Result<()> {
        let root = self.finish_tree(bucket)?;
        self.buckets.push((name.to_vec(), root));
        Ok(())
    }

    /// Ends the database.
    pub(in crate::etcd::server) fn finish(mut self) -> io::Result<W> {
        self.buckets.sort();
        let mut buckets = Bucket::default();
        for (name, root) in std::mem::take(&mut self.buckets) {
            let value = [root.to_le_bytes(), 0u64.to_le_bytes()].concat();
            if !buckets.page.fits(&name, &value) {
                self.finish_page(&mut buckets, LEAF)?;
            }
            buckets.page.push(IS_BUCKET.into(), &name, &value);
        }
        let root = self.finish_tree(buckets)?;
        self.out.seek(SeekFrom::Start(0))?;
        for id in [0, 1] {
            self.out.write_all(&meta(id, root, self.next))?;
        }
        let mut free = Vec::with_capacity(PAGE);
        head(&mut free, 2, FREE, 0, 0);
        free.resize(PAGE, 0);
        self.out.write_all(&free)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn finish_page(&mut self, bucket: &mut Bucket, kind: u16) -> io::Result<()> {
        let page = std::mem::take(&mut bucket.page);
        let bytes = page.encode(self.next, kind);
        self.out.write_all(&bytes)?;
        let first = page.elements.into_iter().next().map(|element| element.key).unwrap_or_default();
        bucket.children.push((first, self.next));
        self.next += (bytes.len() / PAGE) as u64;
        Ok(())
    }

    /// Writes the last leaf and the branches over all; answers the number of the root.
    fn finish_tree(&mut self, mut bucket: Bucket) -> io::Result<u64> {
        if !bucket.page.elements.is_empty() || bucket.children.is_empty() {
            self.finish_page(&mut bucket, LEAF)?;
        }
        loop {
            match std::mem::take(&mut bucket.children).as_slice() {
                [(_, root)] => return Ok(*root),
                children => {
                    for (key, id) in children {
                        if !bucket.page.fits(key, &[]) {
                            self.finish_page(&mut bucket, BRANCH)?;
                        }
                        bucket.page.push(*id, key, &[]);
                    }
                    self.finish_page(&mut bucket, BRANCH)?;
                }
            }
        }
    }
}

fn meta(id: u64, root: u64, pages: u64) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE);
    head(&mut page, id, META, 0, 0);
    [MAGIC, VERSION, PAGE as u32, 0].iter().for_each(|field| page.extend(field.to_le_bytes()));
    // Root and its sequence, the page of free pages, all pages, and the transaction; the later one counts.
    [root, 0, 2, pages, id + 2].iter().for_each(|field| page.extend(field.to_le_bytes()));
    let sum = checksum(page.get(HEAD..HEAD + META_SUMMED).unwrap_or_default());
    page.extend(sum.to_le_bytes());
    page.resize(PAGE, 0);
    page
}
