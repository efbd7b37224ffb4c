//! Archives of every format as one stream of entries.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::tree::{Kind, Raw};

/// The largest window that a zstd frame may ask for: 2^27 bytes, what `zstd --long` makes at most by default.
const WINDOW_LOG: u32 = 27;
/// A link's target longer than that is none. Source: Linux, `PATH_MAX`.
const TARGET: u64 = 4096;

/// Sees each entry, in order, with the bytes of a file.
pub(super) type Visit<'a> = &'a mut dyn FnMut(usize, Raw, &mut dyn Read) -> io::Result<()>;

/// Reads the whole archive, to its last byte.
///
/// # Errors
/// It is none, is damaged, or cannot be read; or what `visit` says.
pub(super) fn each(path: &Path, visit: Visit<'_>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut head = [0_u8; 512];
    let length = fill(&mut file, &mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let head = head.get(..length).unwrap_or_default();
    let file = BufReader::with_capacity(1 << 16, file);
    if head.starts_with(&[0x1f, 0x8b]) {
        tar(flate2::bufread::MultiGzDecoder::new(file), visit)
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::Decoder::with_buffer(file)?;
        decoder.window_log_max(WINDOW_LOG)?;
        tar(decoder, visit)
    } else if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        tar(lzma_rust2::XzReader::new(file, true), visit)
    } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        zip(file, visit)
    } else if head.get(257..262) == Some(b"ustar") {
        tar(file, visit)
    } else {
        Err(damaged(
            "it is no archive that rollgate knows: .tar.gz, .tar.zst, .tar.xz, .tar or .zip",
        ))
    }
}

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn fill(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = into.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

fn tar(reader: impl Read, visit: Visit<'_>) -> io::Result<()> {
    let mut archive = ::tar::Archive::new(reader);
    for (index, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        let raw = of_tar(&mut entry)?;
        visit(index, raw, &mut entry)?;
    }
    // What follows the last entry tells whether the whole was whole: a checksum, or an end cut off.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop)
}

fn of_tar<R: Read>(entry: &mut ::tar::Entry<'_, R>) -> io::Result<Raw> {
    let is_sparse = match entry.pax_extensions()? {
        Some(extensions) => extensions
            .filter_map(Result::ok)
            .any(|extension| extension.key_bytes().starts_with(b"GNU.sparse")),
        None => false,
    };
    let header = entry.header();
    let entry_type = header.entry_type();
    let other = |what: &str| Err(what.to_owned());
    let kind = if is_sparse || entry_type.is_gnu_sparse() {
        other("a sparse file: pack it again without `--sparse`")
    } else if entry_type.is_dir() {
        Ok(Kind::Folder)
    } else if entry_type.is_symlink() {
        let target = entry.link_name_bytes().unwrap_or_default();
        String::from_utf8(target.into_owned())
            .map(Kind::Link)
            .map_err(|_not| "a link whose target is not UTF-8".to_owned())
    } else if entry_type.is_hard_link() {
        other("a hard link: pack it again with `tar --hard-dereference`")
    } else if entry_type.is_file() || entry_type.is_contiguous() {
        Ok(Kind::File)
    } else if entry_type.is_block_special() || entry_type.is_character_special() {
        other("a device")
    } else if entry_type.is_fifo() {
        other("a pipe")
    } else {
        other("neither file nor folder nor link")
    };
    // Some write folders as files whose names end with a slash. Source: POSIX, ustar, `typeflag`.
    let name = entry.path_bytes().into_owned();
    let kind = match kind {
        Ok(Kind::File) if name.ends_with(b"/") => Ok(Kind::Folder),
        kind => kind,
    };
    Ok(Raw {
        name,
        kind,
        mode: header.mode()?,
        mtime: header.mtime().unwrap_or_default(),
        size: entry.size(),
    })
}

fn zip(reader: BufReader<File>, visit: Visit<'_>) -> io::Result<()> {
    let mut archive = ::zip::ZipArchive::new(reader).map_err(|error| damaged(error.to_string()))?;
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| damaged(error.to_string()))?;
        let raw = of_zip(&mut entry)?;
        visit(index, raw, &mut entry)?;
    }
    Ok(())
}

fn of_zip<R: Read>(entry: &mut ::zip::read::ZipFile<'_, R>) -> io::Result<Raw> {
    let name = entry.name_raw().to_vec();
    let mode = entry.unix_mode();
    let kind = if entry.is_dir() {
        Ok(Kind::Folder)
    } else if entry.is_symlink() {
        let mut target = String::new();
        entry.take(TARGET).read_to_string(&mut target)?;
        Ok(Kind::Link(target))
    } else if mode.is_some_and(|mode| !matches!(mode & 0o170_000, 0 | 0o100_000)) {
        Err("neither file nor folder nor link".to_owned())
    } else if name.contains(&b'\\') {
        Err("a path with `\\`: pack it again with a program that writes `/`".to_owned())
    } else {
        Ok(Kind::File)
    };
    let by_default = if kind == Ok(Kind::Folder) {
        0o755
    } else {
        0o644
    };
    Ok(Raw {
        name,
        kind,
        mode: mode.unwrap_or(by_default),
        mtime: time_of(entry.last_modified()),
        size: entry.size(),
    })
}

/// Seconds since 1970. A zip file names no zone, so UTC is taken: the result must not depend on where rollgate runs.
fn time_of(time: Option<::zip::DateTime>) -> u64 {
    let seconds = time.and_then(|time| {
        let civil = jiff::civil::DateTime::new(
            i16::try_from(time.year()).ok()?,
            i8::try_from(time.month()).ok()?,
            i8::try_from(time.day()).ok()?,
            i8::try_from(time.hour()).ok()?,
            i8::try_from(time.minute()).ok()?,
            i8::try_from(time.second()).ok()?,
            0,
        );
        let stamp = jiff::tz::TimeZone::UTC.to_timestamp(civil.ok()?).ok()?;
        u64::try_from(stamp.as_second()).ok()
    });
    seconds.unwrap_or_default()
}
