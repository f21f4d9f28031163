//! Which files a dynamically linked program needs to run: itself, its interpreter and its shared libraries.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where libraries are looked for, as the dynamic linker does by default on common distributions.
const FOLDERS: [&str; 10] = [
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib64",
];

/// The interpreter and the shared libraries of `program`, all found recursively, as (path inside a container, path on this machine); the
/// program itself is not among them. A static program needs none.
///
/// # Errors
/// When a file cannot be read, is not a 64-bit little-endian ELF file, or needs a library that is nowhere to be found.
pub fn program_files(program: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut found: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut queue = VecDeque::from([program.to_owned()]);
    while let Some(path) = queue.pop_front() {
        let image = Elf::parse(fs::read(&path)?).ok_or_else(|| invalid(&path, "not a 64-bit ELF file"))?;
        for needed in image.interpreter().into_iter().chain(image.needed()) {
            let inside = locate(&needed)
                .ok_or_else(|| invalid(&path, &format!("needs {needed}, which is not installed")))?;
            if let Entry::Vacant(place) = found.entry(inside) {
                let real = fs::canonicalize(place.key())?;
                queue.push_back(place.insert(real).clone());
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn invalid(path: &Path, reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()))
}

fn locate(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Path::new(name).exists().then(|| PathBuf::from(name));
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

struct Elf {
    bytes: Vec<u8>,
    /// Type, file offset, virtual address, size in the file.
    segments: Vec<(u32, u64, u64, u64)>,
}

impl Elf {
    const LOAD: u32 = 1;
    const DYNAMIC: u32 = 2;
    const INTERPRETER: u32 = 3;

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        if !bytes.starts_with(&[0x7f, b'E', b'L', b'F', 2, 1]) {
            return None;
        }
        let mut elf = Self { bytes, segments: Vec::new() };
        let (start, size, count) = (elf.u64(32)?, u64::from(elf.u16(54)?), u64::from(elf.u16(56)?));
        for number in 0..count {
            let at = start.checked_add(size.checked_mul(number)?)?;
            let segment = (elf.u32(at)?, elf.u64(at + 8)?, elf.u64(at + 16)?, elf.u64(at + 32)?);
            elf.segments.push(segment);
        }
        Some(elf)
    }

    fn slice<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let at = usize::try_from(at).ok()?;
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: u64) -> Option<u16> {
        self.slice(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: u64) -> Option<u32> {
        self.slice(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: u64) -> Option<u64> {
        self.slice(at).map(u64::from_le_bytes)
    }

    fn text(&self, at: u64) -> Option<String> {
        let rest = self.bytes.get(usize::try_from(at).ok()?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        String::from_utf8(rest.get(..end)?.to_vec()).ok()
    }

    fn interpreter(&self) -> Option<String> {
        let (_, offset, ..) = self.segments.iter().find(|segment| segment.0 == Self::INTERPRETER)?;
        self.text(*offset)
    }

    /// The file offset of a virtual address.
    fn offset(&self, address: u64) -> Option<u64> {
        let inside = |(kind, _, start, size): &&(u32, u64, u64, u64)| {
            *kind == Self::LOAD && address >= *start && address - start < *size
        };
        let (_, offset, start, _) = self.segments.iter().find(inside)?;
        offset.checked_add(address - start)
    }

    /// The names of `DT_NEEDED`.
    fn needed(&self) -> Vec<String> {
        self.dynamic().unwrap_or_default()
    }

    fn dynamic(&self) -> Option<Vec<String>> {
        const NEEDED: u64 = 1;
        const STRINGS: u64 = 5;
        let (_, start, _, size) = self.segments.iter().find(|segment| segment.0 == Self::DYNAMIC)?;
        let entries: Vec<(u64, u64)> = (0..size / 16)
            .map_while(|n| Some((self.u64(start + n * 16)?, self.u64(start + n * 16 + 8)?)))
            .collect();
        let strings = self.offset(entries.iter().find(|(tag, _)| *tag == STRINGS)?.1)?;
        entries
            .iter()
            .filter(|(tag, _)| *tag == NEEDED)
            .map(|(_, at)| self.text(strings.checked_add(*at)?))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_the_c_library_and_a_linker() {
        let files = program_files(&std::env::current_exe().unwrap()).unwrap();
        let names: Vec<String> = files.iter().map(|(inside, _)| inside.display().to_string()).collect();
        assert!(names.iter().any(|name| name.contains("libc.so")), "{names:?}");
        assert!(names.iter().any(|name| name.contains("ld-")), "{names:?}");
        assert!(files.iter().all(|(_, real)| real.is_file()));
    }

    #[test]
    fn a_text_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        assert!(program_files(&path).is_err());
    }
}
