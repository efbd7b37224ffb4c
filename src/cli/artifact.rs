//! The artifact here: found, and read once for its digest; an archive is checked and packed for the hosts.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256 as Hasher};

use tempfile::TempDir;

use super::ask::Bits;
use super::wiring::Refusal;
use crate::config::Loaded;
use crate::drivers::archive::{self, ArchiveError};
use crate::model::{Artifact, ExitStatus, Form, ReleaseKind, Sha256};

/// Stands for the digest of what has none, 64 times.
const NONE: &str = "0";

/// The artifact that the command needs, and the folder of what is made of it, which goes when it is dropped.
///
/// # Errors
/// It cannot be read, is another one than the hosts have, or may not be put on a host.
pub(super) fn artifact(
    loaded: &Loaded,
    bits: Bits,
) -> Result<(Artifact, Option<TempDir>), Refusal> {
    let found = found(loaded, bits)?;
    match loaded.kind {
        ReleaseKind::Binary | ReleaseKind::Container => Ok((found, None)),
        // Nothing here is, or has to be, the archive.
        ReleaseKind::Archive if found.size == 0 => {
            let form = Form::Tree(None);
            Ok((Artifact { form, ..found }, None))
        }
        ReleaseKind::Archive => packed(loaded, found),
    }
}

fn packed(loaded: &Loaded, found: Artifact) -> Result<(Artifact, Option<TempDir>), Refusal> {
    let folder = tempfile::Builder::new().prefix("rollgate-").tempdir();
    let folder = folder.map_err(|error| Refusal {
        status: ExitStatus::Refused,
        reason: format!(
            "cannot make a folder for what is sent: {error}; TMPDIR names another place"
        ),
    })?;
    let into = folder.path().join("pack.tar.gz");
    let pack = archive::pack(&found.path, &found.sha256, &loaded.shared, &into);
    let pack = pack.map_err(|error| Refusal {
        status: ExitStatus::Refused,
        reason: match &error {
            ArchiveError::Write { .. } => format!("{error}; TMPDIR names another place"),
            ArchiveError::Read { .. } | ArchiveError::Unsafe { .. } => error.to_string(),
        },
    })?;
    let artifact = Artifact {
        size: pack.unpacked,
        form: Form::Tree(Some(pack)),
        ..found
    };
    Ok((artifact, Some(folder)))
}

fn found(loaded: &Loaded, bits: Bits) -> Result<Artifact, String> {
    let path = &loaded.source;
    let complain = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
    let made = |(sha256, size): (String, u64)| {
        Ok::<_, String>(Artifact {
            path: path.clone(),
            name: loaded.artifact_name.clone(),
            sha256: Sha256::new(&sha256).map_err(|error| error.to_string())?,
            size,
            from: path.display().to_string(),
            form: Form::File,
        })
    };
    match bits {
        Bits::Image(image) => Ok(image.artifact.clone()),
        Bits::None => made((NONE.repeat(64), 0)),
        Bits::Untouched(sha256) => made((sha256.to_string(), 0)),
        Bits::Fetched { file, from } => {
            let (sha256, size) = digest(&file).map_err(|error| error.to_string())?;
            Ok(Artifact {
                path: file,
                from,
                ..made((sha256, size))?
            })
        }
        Bits::Old { sha256, from } => {
            let sha256 = sha256.map_or_else(|| NONE.repeat(64), |sha256| sha256.to_string());
            match digest(path) {
                Ok((here, size)) if here == sha256 => made((here, size)),
                Ok(_) | Err(_) => Ok(Artifact {
                    from,
                    ..made((sha256, 0))?
                }),
            }
        }
        Bits::Read => made(digest(path).map_err(complain)?),
        Bits::Known { sha256, from } if !path.exists() => Ok(Artifact {
            from,
            ..made((sha256.to_string(), 0))?
        }),
        Bits::Known { sha256, .. } => {
            let artifact = made(digest(path).map_err(complain)?)?;
            if artifact.sha256 == sha256 {
                return Ok(artifact);
            }
            Err(format!(
                "`{}` has sha256 {} now, and what was staged has {sha256}; put the artifact of that time back, or move this one away where every host has it already",
                path.display(),
                artifact.sha256
            ))
        }
    }
}

/// The digest of a file, in hexadecimal.
pub(super) fn sha256_of(path: &Path) -> std::io::Result<String> {
    digest(path).map(|(sha256, _size)| sha256)
}

/// Reads the file once, whatever its size, in pieces.
fn digest(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0_u8; 1 << 18];
    let mut size = 0_u64;
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        hasher.update(read);
        size += u64::try_from(count).unwrap_or_default();
    }
    let hex = hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _never = write!(text, "{byte:02x}");
            text
        });
    Ok((hex, size))
}
