//! Archives: read whole, checked, and packed anew for hosts.
//!
//! What is sent is never the user's archive but one made of it: a `tar` of the plain kind, compressed with gzip, with folders first,
//! then files in the archive's order, then links, and at its end the list of all of them with their digests. So every `tar` reads the
//! same names as were checked here (extended headers may say something else than plain ones), a host needs neither `zstd` nor `xz` nor
//! `unzip`, and what lies on a host can be checked again at any time, file by file, without the archive.
//!
//! The same archive always gives the same bytes. The digest of the release stays that of the archive that the user named (F3).

mod read;
mod tree;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256 as Hasher};

use crate::model::{Pack, Sha256};
use tree::{Kind, LIST, Node, Tree};

/// Fast: what little more a higher level saves is lost in packing.
const LEVEL: u32 = 3;
/// Faults shown of one archive.
const SHOWN: usize = 5;
/// What a small file or a folder takes on a disk.
const BLOCK: u64 = 4096;

/// Why an archive is not used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read as an archive.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something that may not be put on a host.
    #[error("`{}` is refused: {}", .path.display(), .faults.join("; "))]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// What is wrong, the first few.
        faults: Vec<String>,
    },
    /// What is sent could not be made.
    #[error("cannot pack `{}` for the hosts in {}: {source}", .path.display(), .folder.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Where it was written.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the archive `source`, whose digest is `sha256`, and writes what is sent to `into`. At the `shared` paths nothing may lie.
///
/// # Errors
/// [`ArchiveError`]; what was begun of `into` may be left behind.
pub fn pack(
    source: &Path,
    sha256: &Sha256,
    shared: &[String],
    into: &Path,
) -> Result<Pack, ArchiveError> {
    let unreadable = |error| ArchiveError::Read {
        path: source.to_owned(),
        source: error,
    };
    let mut entries = Vec::new();
    read::each(source, &mut |_, raw, content| {
        // A checksum that does not fit shows only at the end of the bytes.
        io::copy(content, &mut io::sink())?;
        entries.push(raw);
        Ok(())
    })
    .map_err(unreadable)?;
    let tree = tree::tree(&entries, shared).map_err(|faults| ArchiveError::Unsafe {
        path: source.to_owned(),
        faults: first_of(faults),
    })?;
    let unwritable = |error| ArchiveError::Write {
        path: source.to_owned(),
        folder: into.parent().unwrap_or(into).to_owned(),
        source: error,
    };
    let mut packer = Packer::new(into, sha256).map_err(unwritable)?;
    let written = packer.all(source, &tree);
    match (written, packer.fault.take()) {
        (Err(_), Some(error)) => Err(unwritable(error)),
        (Err(error), None) => Err(unreadable(error)),
        (Ok(()), _) => packer.finish().map_err(unwritable),
    }
    .map(|(size, manifest)| Pack {
        path: into.to_owned(),
        size,
        unpacked: tree.values().map(on_disk).sum(),
        manifest,
    })
}

fn first_of(mut faults: Vec<String>) -> Vec<String> {
    let more = faults.len().saturating_sub(SHOWN);
    faults.truncate(SHOWN);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    faults
}

fn on_disk(node: &Node) -> u64 {
    node.size.div_ceil(BLOCK).max(1).saturating_mul(BLOCK)
}

/// Writes the new archive and its list.
struct Packer {
    out: tar::Builder<GzEncoder<BufWriter<File>>>,
    list: String,
    /// What went wrong while writing, as against reading.
    fault: Option<io::Error>,
}

impl Packer {
    fn new(into: &Path, sha256: &Sha256) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 18, File::create(into)?);
        Ok(Self {
            out: tar::Builder::new(GzEncoder::new(file, Compression::new(LEVEL))),
            list: format!("rollgate 1 {sha256}\n"),
            fault: None,
        })
    }

    fn all(&mut self, source: &Path, tree: &Tree) -> io::Result<()> {
        for (path, node) in tree.iter().filter(|(_, node)| node.kind == Kind::Folder) {
            // Writing to a string cannot fail.
            let _never = writeln!(self.list, "d {:o} {path}", node.mode);
            self.entry(&format!("{path}/"), node, tar::EntryType::Directory, &[])?;
        }
        let files: BTreeMap<usize, (&String, &Node)> = tree
            .iter()
            .filter(|(_, node)| node.kind == Kind::File)
            .filter_map(|(path, node)| Some((node.index?, (path, node))))
            .collect();
        read::each(source, &mut |index, _, content| match files.get(&index) {
            Some((path, node)) => self.file(path, node, content),
            None => io::copy(content, &mut io::sink()).map(drop),
        })?;
        for (path, node) in tree {
            if let Kind::Link(target) = &node.kind {
                let _never = writeln!(self.list, "l {path}\t{target}");
                let mut header = header(node, tar::EntryType::Symlink);
                let done = self.out.append_link(&mut header, path, target);
                self.written(done)?;
            }
        }
        let count = self.list.lines().count();
        let _never = writeln!(self.list, "end {count}");
        let list = self.list.clone();
        let node = Node {
            kind: Kind::File,
            mode: 0o644,
            mtime: 0,
            size: list.len() as u64,
            index: None,
        };
        self.entry(LIST, &node, tar::EntryType::Regular, list.as_bytes())
    }

    fn file(&mut self, path: &str, node: &Node, content: &mut dyn Read) -> io::Result<()> {
        let mut hashing = Hashing {
            inner: content,
            hasher: Hasher::new(),
            fault: None,
            left: node.size,
        };
        let mut header = header(node, tar::EntryType::Regular);
        let done = self.out.append_data(&mut header, path, &mut hashing);
        if let Some(error) = hashing.fault.take() {
            return Err(error);
        }
        let sha256 = hex(hashing.hasher);
        self.written(done)?;
        let _never = writeln!(self.list, "f {:o} {} {sha256} {path}", node.mode, node.size);
        Ok(())
    }

    fn entry(
        &mut self,
        path: &str,
        node: &Node,
        kind: tar::EntryType,
        content: &[u8],
    ) -> io::Result<()> {
        let mut header = header(node, kind);
        let done = self.out.append_data(&mut header, path, content);
        self.written(done)
    }

    /// Remembers that it was the writing that failed.
    fn written(&mut self, done: io::Result<()>) -> io::Result<()> {
        done.map_err(|error| {
            let again = io::Error::new(error.kind(), error.to_string());
            self.fault = Some(error);
            again
        })
    }

    fn finish(self) -> io::Result<(u64, Sha256)> {
        let mut file = self.out.into_inner()?.finish()?;
        file.flush()?;
        let size = file.get_ref().metadata()?.len();
        let mut hasher = Hasher::new();
        hasher.update(self.list.as_bytes());
        let manifest = Sha256::new(&hex(hasher)).map_err(io::Error::other)?;
        Ok((size, manifest))
    }
}

fn header(node: &Node, kind: tar::EntryType) -> tar::Header {
    // Long names in the form of GNU, which busybox reads too; it passes over the extended headers of POSIX.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(node.mode);
    header.set_mtime(node.mtime);
    header.set_size(node.size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn hex(hasher: Hasher) -> String {
    hasher
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _never = write!(text, "{byte:02x}");
            text
        })
}

/// Hashes what is read, and tells failures of reading apart; a file that is shorter or longer than it said is one.
struct Hashing<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
    fault: Option<io::Error>,
    left: u64,
}

impl Hashing<'_> {
    fn fail(&mut self, error: io::Error) -> io::Error {
        let again = io::Error::new(error.kind(), error.to_string());
        self.fault = Some(error);
        again
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(into) {
            Ok(count) => count,
            Err(error) => return Err(self.fail(error)),
        };
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "a file has not its size");
        if count == 0 && self.left > 0 && !into.is_empty() {
            return Err(self.fail(odd()));
        }
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(self.fail(odd())),
        }
        self.hasher.update(into.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
