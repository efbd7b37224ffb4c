//! What an artifact is: the last line of its own file says so.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

const MARK: &str = "\nROLLGATE_APP ";
/// The trailer is looked for in this many last bytes.
const TAIL: u64 = 4096;

/// How a release behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Behaviour {
    /// As an application should.
    Good,
    /// Listens, and never becomes ready.
    NotReady,
    /// Is ready, and names another version than its own.
    Liar,
    /// Prints an error and exits 1 at its start.
    Crash,
    /// Good, with a long warm-up: `warmup_ms`.
    SlowStart,
    /// Ready for `flap_ms`, then not ready for as long, and so on.
    Flap,
    /// Is ready, and answers 500 to everything else.
    Errors,
    /// Good, but for SIGTERM, which it ignores.
    IgnoreTerm,
}

/// The appended line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trailer {
    /// The release's version.
    pub(crate) version: String,
    /// How it behaves.
    pub(crate) behaviour: Behaviour,
    /// What a liar names in place of its version.
    pub(crate) claims: String,
    /// Milliseconds from the start to the first ready answer.
    pub(crate) warmup_ms: u64,
    /// Half a period of a flapping release, in milliseconds.
    pub(crate) flap_ms: u64,
}

impl Trailer {
    /// Reads the trailer of the running program's own file.
    ///
    /// # Errors
    /// The file cannot be read, or nothing was appended to it.
    pub(crate) fn of_this_program() -> io::Result<Self> {
        let mut file = File::open("/proc/self/exe")?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let tail = String::from_utf8_lossy(&tail);
        let (_, line) = tail.rsplit_once(MARK).ok_or_else(|| {
            io::Error::other("this is the bare program; make an artifact with `app make`")
        })?;
        Ok(serde_json::from_str(line)?)
    }

    /// Writes an artifact to `out`, at least `size_mb` MB long.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_artifact(&self, out: &Path, size_mb: u64) -> io::Result<()> {
        let mut program = fs::read("/proc/self/exe")?;
        let wanted = usize::try_from(size_mb * 1_000_000).unwrap_or(usize::MAX);
        fill(&mut program, wanted, &self.version);
        let mut file = File::create(out)?;
        file.write_all(&program)?;
        file.write_all(MARK.as_bytes())?;
        serde_json::to_writer(&mut file, self)?;
        file.set_permissions(fs::Permissions::from_mode(0o755))
    }
}

/// Appends noise, another for each version, until `bytes` has the wanted length.
fn fill(bytes: &mut Vec<u8>, wanted: usize, version: &str) {
    let mut seed = version.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |seed, b| {
        seed.rotate_left(8) ^ u64::from(b)
    });
    while bytes.len() < wanted {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(seed ^ (seed >> 29)).to_le_bytes());
    }
}
