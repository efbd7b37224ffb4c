//! Tar archives, as far as archives of images need them: an index of plain files, and writing some.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The size of a block, and of a header.
const BLOCK: u64 = 512;
/// No name or header of an archive of images is longer.
const LONGEST_NAME: u64 = 64 * 1024;

/// Where a file lies in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    start: u64,
    /// Its length.
    pub(super) size: u64,
}

/// An archive with the places of its files.
pub(super) struct Index {
    file: File,
    members: BTreeMap<String, Member>,
    links: BTreeMap<String, String>,
}

impl Index {
    /// Reads all headers.
    ///
    /// # Errors
    /// The file cannot be read, or is no tar archive.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut index = Self {
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            file: file.try_clone()?,
        };
        let mut magic = [0; 2];
        if file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b] {
            return Err(bad("it is compressed: unpack it with gunzip first"));
        }
        let length = file.metadata()?.len();
        let mut reader = BufReader::new(file);
        let (mut at, mut said): (u64, Said) = (0, Said::default());
        while at + BLOCK <= length {
            reader.seek(SeekFrom::Start(at))?;
            let mut header = [0_u8; 512];
            reader.read_exact(&mut header)?;
            if header.iter().all(|byte| *byte == 0) {
                break;
            }
            check_sum(&header)?;
            let size = said.size.unwrap_or(number(field(&header, 124, 12))?);
            let start = at + BLOCK;
            let end = start.checked_add(size).filter(|end| *end <= length);
            let end = end.ok_or_else(|| bad("it ends in the middle"))?;
            let kind = header.get(156).copied().unwrap_or_default();
            match kind {
                b'L' | b'x' => said.learn(kind, &mut reader, size)?,
                b'0' | 0 | b'7' | b'1' | b'2' => {
                    let name = said.name.take().unwrap_or_else(|| name(&header));
                    let target = text(field(&header, 157, 100));
                    index.add(kind, &name, &target, Member { start, size });
                    said = Said::default();
                }
                b'g' => {}
                _ => said = Said::default(),
            }
            at = end.div_ceil(BLOCK) * BLOCK;
        }
        Ok(index)
    }

    fn add(&mut self, kind: u8, name: &str, target: &str, member: Member) {
        let name = tidy(name);
        match kind {
            // A link within the archive leads to where its file is: hard ones by name, soft ones from their folder.
            b'1' => {
                self.links.insert(name, tidy(target));
            }
            b'2' => {
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                let target = tidy(&format!("{folder}/{target}"));
                self.links.insert(name, target);
            }
            _ => {
                self.members.insert(name, member);
            }
        }
    }

    /// The file of that name, links followed once.
    pub(super) fn member(&self, name: &str) -> Option<Member> {
        let name = tidy(name);
        let target = self.links.get(&name).unwrap_or(&name);
        self.members.get(target).copied()
    }

    /// A file's bytes, which must be few.
    pub(super) fn small(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(member) = self.member(name) else {
            return Ok(None);
        };
        if member.size > most {
            return Err(bad(&format!("`{name}` in it is too long")));
        }
        let mut bytes = Vec::new();
        self.reader(member)?.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Reads a file's bytes.
    pub(super) fn reader(&self, member: Member) -> io::Result<impl Read> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(member.start))?;
        Ok(BufReader::with_capacity(1 << 18, file).take(member.size))
    }
}

/// What a header says about the next one.
#[derive(Default)]
struct Said {
    name: Option<String>,
    size: Option<u64>,
}

impl Said {
    fn learn(&mut self, kind: u8, reader: &mut impl Read, size: u64) -> io::Result<()> {
        if size > LONGEST_NAME {
            return Err(bad("a name in it is too long"));
        }
        let mut bytes = Vec::new();
        reader.take(size).read_to_end(&mut bytes)?;
        if kind == b'L' {
            self.name = Some(text(&bytes));
            return Ok(());
        }
        for record in String::from_utf8_lossy(&bytes).lines() {
            let said = record
                .split_once(' ')
                .and_then(|(_, said)| said.split_once('='));
            match said {
                Some(("path", path)) => self.name = Some(path.to_owned()),
                Some(("size", size)) => self.size = size.parse().ok(),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

fn bad(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

fn field(header: &[u8; 512], at: usize, length: usize) -> &[u8] {
    header.get(at..at + length).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

fn name(header: &[u8; 512]) -> String {
    let (name, prefix) = (text(field(header, 0, 100)), text(field(header, 345, 155)));
    let is_posix = field(header, 257, 6) == b"ustar\0";
    if is_posix && !prefix.is_empty() {
        format!("{prefix}/{name}")
    } else {
        name
    }
}

/// Without `.`, `..` and doubled slashes.
fn tidy(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Octal digits, or bytes where the first one's highest bit is set.
fn number(bytes: &[u8]) -> io::Result<u64> {
    if let Some((first, rest)) = bytes.split_first()
        && first & 0x80 != 0
    {
        let folded = rest.iter().try_fold(u64::from(first & 0x7f), |sum, byte| {
            sum.checked_mul(256).map(|sum| sum + u64::from(*byte))
        });
        return folded.ok_or_else(|| bad("a size in it is no number"));
    }
    let digits = text(bytes);
    let digits = digits.trim();
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_reason| bad("it is no tar archive"))
}

fn check_sum(header: &[u8; 512]) -> io::Result<()> {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            let in_sum = (148..156).contains(&at);
            u64::from(if in_sum { b' ' } else { *byte })
        })
        .sum();
    if number(field(header, 148, 8)).is_ok_and(|said| said == sum) {
        return Ok(());
    }
    Err(bad("it is no tar archive"))
}

/// Writes a plain file into an archive.
pub(super) fn write(
    out: &mut impl Write,
    name: &str,
    size: u64,
    content: &mut impl Read,
) -> io::Result<()> {
    let mut header = [0_u8; 512];
    put(&mut header, 0, name.as_bytes());
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    if size < 1 << 33 {
        put(&mut header, 124, format!("{size:011o}\0").as_bytes());
    } else {
        put(&mut header, 124, &[0x80]);
        put(&mut header, 128, &size.to_be_bytes());
    }
    put(&mut header, 136, b"00000000000\0");
    put(&mut header, 148, b"        ");
    put(&mut header, 156, b"0");
    put(&mut header, 257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&header)?;
    let written = io::copy(content, out)?;
    if written != size {
        return Err(bad("it changed while it was read"));
    }
    let padding = usize::try_from(written.next_multiple_of(BLOCK) - written).unwrap_or(0);
    out.write_all(&vec![0; padding])
}

/// Ends an archive.
pub(super) fn finish(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 1024])?;
    out.flush()
}

fn put(header: &mut [u8; 512], at: usize, bytes: &[u8]) {
    if let Some(place) = header.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn archive(members: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (name, bytes) in members {
            let size = bytes.len() as u64;
            write(&mut file, name, size, &mut Cursor::new(bytes)).unwrap();
        }
        finish(&mut file).unwrap();
        file
    }

    #[test]
    fn what_is_written_is_read_by_us_and_by_tar() {
        let file = archive(&[("a/b", b"one"), ("c", &[7; 1025])]);
        let index = Index::open(file.path()).unwrap();
        assert_eq!(index.small("./a/b", 10).unwrap().unwrap(), b"one");
        assert_eq!(index.small("c", 2000).unwrap().unwrap(), [7; 1025]);
        assert!(index.small("c", 3).is_err());
        assert!(index.small("d", 3).unwrap().is_none());
        let listed = std::process::Command::new("tar")
            .arg("-tf")
            .arg(file.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "a/b\nc\n");
    }

    #[test]
    fn archives_of_tar_are_read_with_long_names_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(120);
        std::fs::create_dir_all(dir.path().join("in/one")).unwrap();
        std::fs::write(dir.path().join("in").join(&long), "long").unwrap();
        std::fs::write(dir.path().join("in/one/layer.tar"), "layer").unwrap();
        std::os::unix::fs::symlink("../one/layer.tar", dir.path().join("in/soft")).unwrap();
        std::fs::create_dir_all(dir.path().join("in/two")).unwrap();
        std::os::unix::fs::symlink("../one/layer.tar", dir.path().join("in/two/soft")).unwrap();
        for format in ["gnu", "pax", "ustar"] {
            let out = dir.path().join(format);
            let names = if format == "ustar" { "one" } else { "." };
            let done = std::process::Command::new("tar")
                .args(["--format", format, "-C"])
                .arg(dir.path().join("in"))
                .arg("-cf")
                .arg(&out)
                .arg(names)
                .status()
                .unwrap();
            assert!(done.success());
            let index = Index::open(&out).unwrap();
            assert_eq!(index.small("one/layer.tar", 9).unwrap().unwrap(), b"layer");
            if names == "." {
                assert_eq!(index.small(&long, 9).unwrap().unwrap(), b"long");
                assert_eq!(index.small("two/soft", 9).unwrap().unwrap(), b"layer");
            }
        }
    }

    #[test]
    fn what_is_no_archive_is_said() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[b'x'; 2000]).unwrap();
        assert!(Index::open(file.path()).is_err());
        let file = archive(&[("c", &[7; 3000])]);
        file.as_file().set_len(1024).unwrap();
        let error = Index::open(file.path()).err().unwrap();
        assert!(error.to_string().contains("in the middle"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let _any = Index::open(file.path());
            let _any = number(&bytes);
        }
    }
}
