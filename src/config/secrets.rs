//! Where secrets come from. Each is asked for when a template first needs it, and once.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use zeroize::Zeroizing;

use crate::model::{Command, MASK, Secret};

/// A secret longer than this is a mistake: a file that was meant to be another one.
const LONGEST: u64 = 64 * 1024;
/// For a command to end.
const LIMIT: Duration = Duration::from_secs(60);

/// Where one secret comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A variable of the environment.
    Env(String),
    /// A file here.
    File(PathBuf),
    /// What a command here prints.
    Run(Command),
}

/// What templates see of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reveal {
    /// The secrets themselves.
    Real,
    /// What stands for them; no origin is asked.
    Masked,
}

/// The secrets of a playbook.
#[derive(Debug, Default)]
pub(crate) struct Vault {
    origins: BTreeMap<String, Origin>,
    folder: PathBuf,
    known: Mutex<BTreeMap<String, Result<Secret, String>>>,
}

impl Vault {
    /// Those of `origins`; commands run in `folder`.
    pub(crate) fn new(origins: BTreeMap<String, Origin>, folder: &Path) -> Self {
        Self {
            origins,
            folder: folder.to_owned(),
            known: Mutex::default(),
        }
    }

    /// The secret of that name.
    ///
    /// # Errors
    /// Why there is none, without a word of it.
    pub(crate) fn get(&self, name: &str, reveal: Reveal) -> Result<Secret, String> {
        let origin = self.origins.get(name).ok_or_else(|| {
            format!("there is no secret `{name}`: add [secrets.{name}] with env, file or run")
        })?;
        if reveal == Reveal::Masked {
            return Ok(Secret::shown(MASK));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.entry(name.to_owned()).or_insert_with(|| {
            let text = read(origin, &self.folder);
            text.and_then(Secret::new)
                .map_err(|why| format!("the secret `{name}` ({}) {why}", said(origin)))
        });
        found.clone()
    }
}

fn said(origin: &Origin) -> String {
    match origin {
        Origin::Env(name) => format!("the environment variable {name}"),
        Origin::File(path) => format!("the file {}", path.display()),
        Origin::Run(Command::Argv(words)) => {
            format!("the command `{}`", words.first().map_or("", String::as_str))
        }
        Origin::Run(Command::Shell(_)) => "a command".to_owned(),
    }
}

fn read(origin: &Origin, folder: &Path) -> Result<Zeroizing<String>, String> {
    let text = match origin {
        Origin::Env(name) => std::env::var(name)
            .map(Zeroizing::new)
            .map_err(|_absent| "is not set, or is no text".to_owned())?,
        Origin::File(path) => {
            let file =
                std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
            all_of(file)?
        }
        Origin::Run(command) => output(command, folder)?,
    };
    // One line end is the file's or the command's, and no part of the secret.
    let kept = text.strip_suffix('\n').unwrap_or(&text);
    let kept = kept.strip_suffix('\r').unwrap_or(kept);
    Ok(Zeroizing::new(kept.to_owned()))
}

fn all_of(from: impl std::io::Read) -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let count = from.take(LONGEST + 1).read_to_end(&mut bytes);
    count.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("is longer than {} KiB", LONGEST / 1024));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_not) => Err("is no text in UTF-8".to_owned()),
    }
}

fn output(command: &Command, folder: &Path) -> Result<Zeroizing<String>, String> {
    let mut process = match command {
        Command::Argv(words) => {
            let mut process = Process::new(words.first().map_or("", String::as_str));
            process.args(words.iter().skip(1));
            process
        }
        Command::Shell(text) => {
            let mut process = Process::new("sh");
            process.arg("-c").arg(text);
            process
        }
    };
    process
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = process
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || drop(tell.send(child.wait_with_output())));
    let Ok(ended) = told.recv_timeout(LIMIT) else {
        if let Some(id) = id {
            // It may have ended by itself meanwhile.
            let _gone = kill_process(id, Signal::KILL);
        }
        return Err("did not end within a minute".to_owned());
    };
    let ended = ended.map_err(|error| format!("cannot be read: {error}"))?;
    let printed = Zeroizing::new(ended.stdout);
    let text = all_of(printed.as_slice());
    if ended.status.success() {
        return text;
    }
    let complaint = String::from_utf8_lossy(&ended.stderr);
    let last = complaint.trim().lines().last().unwrap_or_default();
    // Known before its last words are shown: they may quote it.
    if let Ok(text) = text {
        drop(Secret::new(text));
    }
    let code = ended
        .status
        .code()
        .map_or("a signal".to_owned(), |code| code.to_string());
    Err(format!("ended with {code}: {}", crate::model::redact(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(origin: Origin) -> Vault {
        let origins = BTreeMap::from([("X".to_owned(), origin)]);
        Vault::new(origins, Path::new("/"))
    }

    #[test]
    fn a_command_runs_once_and_its_line_end_is_no_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let script = format!("echo x >>'{}'; echo hunter-two", count.display());
        let vault = vault(Origin::Run(Command::Shell(script)));
        assert_eq!(vault.get("X", Reveal::Masked).unwrap().expose(), MASK);
        assert!(!count.exists());
        for _ in 0..2 {
            assert_eq!(vault.get("X", Reveal::Real).unwrap().expose(), "hunter-two");
        }
        assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n");
    }

    #[test]
    fn why_there_is_none_says_where_and_never_what() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc\n").unwrap();
        for (origin, word) in [
            (
                Origin::Env("ROLLGATE_NO_SUCH".to_owned()),
                "ROLLGATE_NO_SUCH) is not set",
            ),
            (Origin::File("/no/such".into()), "cannot be read"),
            (Origin::File(file.path().to_owned()), "has 3 bytes"),
            (
                Origin::Run(Command::Argv(vec!["/no/such".to_owned()])),
                "cannot be started",
            ),
            (
                Origin::Run(Command::Shell(
                    "echo s3cr3t-1; echo no s3cr3t-1 >&2; exit 3".to_owned(),
                )),
                "ended with 3: no ***",
            ),
        ] {
            let said = vault(origin).get("X", Reveal::Real).unwrap_err();
            assert!(said.contains(word), "{said}");
            assert!(
                !said.contains("abc") && !said.contains("s3cr3t-1"),
                "{said}"
            );
        }
        assert!(
            vault(Origin::Env("A".to_owned()))
                .get("Y", Reveal::Real)
                .is_err()
        );
    }
}
