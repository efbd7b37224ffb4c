//! The two scripts, put together.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::edit::Part;
use crate::far::draft::{self, Draft, Kit, Privileged, ScriptError, Stdin};
use crate::model::{Become, Command, NginxSpec};

const PROCESSES: &str = include_str!("processes.sh");
const LOOK: &str = include_str!("look.sh");
const LOCK: &str = include_str!("lock.sh");
const APPLY: &str = include_str!("apply.sh");

/// What one look asks for, besides the named file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Patterns of includes.
    pub(super) patterns: BTreeSet<String>,
    /// Names to resolve.
    pub(super) names: BTreeSet<String>,
    /// Addresses whose connections are to be counted.
    pub(super) addresses: BTreeSet<SocketAddr>,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewFile {
    /// Where it is.
    pub(super) path: String,
    /// What it becomes.
    pub(super) sha256: String,
    /// What it is made of.
    pub(super) parts: Vec<Part>,
}

/// The script that looks.
///
/// # Errors
/// A value that no shell can hold.
pub(super) fn look(
    spec: &NginxSpec,
    needs: &Needs,
    known: &[String],
) -> Result<Arc<str>, ScriptError> {
    let mut draft = begin(spec)?;
    draft.value("KNOWN", &known.join("\n"))?;
    draft.value("WANT", &wanted(&needs.addresses))?;
    draft.value("PROGRAM", program(&spec.test))?;
    let patterns = std::iter::once(&spec.config).chain(&needs.patterns);
    draft.words("patterns", &patterns.collect::<Vec<_>>())?;
    draft.words("names", &needs.names.iter().collect::<Vec<_>>())?;
    Ok(draft.finish(Kit::Act, &[PROCESSES, LOOK], Stdin::Closed))
}

/// What an edit is told.
#[derive(Debug)]
pub(super) struct Apply<'a> {
    /// How privileged commands are run.
    pub(super) r#become: Become,
    /// Digests and paths of all files that were read.
    pub(super) checks: BTreeSet<(&'a str, &'a str)>,
    /// What is written; nothing: only tested and loaded.
    pub(super) files: Vec<NewFile>,
    /// Whether a mark that is there says nothing any more.
    pub(super) moot: bool,
    /// For all of it.
    pub(super) span: Duration,
    /// For getting the lock.
    pub(super) patience: Duration,
}

impl Apply<'_> {
    /// The script that edits, tests and loads.
    ///
    /// # Errors
    /// A value that no shell can hold.
    pub(super) fn script(&self, spec: &NginxSpec) -> Result<Arc<str>, ScriptError> {
        let mut draft = begin(spec)?;
        draft.value("SPAN", &hundredths(self.span))?;
        draft.value("PATIENCE", &hundredths(self.patience))?;
        draft.value("MOOT", if self.moot { "yes" } else { "" })?;
        let checks = self.checks.iter().flat_map(|(sha, path)| [*sha, *path]);
        draft.words("checks", &checks.collect::<Vec<_>>())?;
        let edits = self.files.iter().flat_map(NewFile::words);
        draft.words("edits", &edits.collect::<Vec<_>>())?;
        draft.words("test", &words(&spec.test, self.r#become))?;
        draft.words("reload", &words(&spec.reload, self.r#become))?;
        Ok(draft.finish(Kit::Act, &[PROCESSES, LOCK, APPLY], Stdin::Closed))
    }
}

impl NewFile {
    fn words(&self) -> Vec<String> {
        let mut words = vec!["file".to_owned(), self.path.clone(), self.sha256.clone()];
        for part in &self.parts {
            match part {
                Part::Keep(from, length) => {
                    words.extend(["keep".to_owned(), from.to_string(), length.to_string()]);
                }
                Part::Put(text) => words.extend(["put".to_owned(), (*text).to_owned()]),
            }
        }
        words
    }
}

fn begin(spec: &NginxSpec) -> Result<Draft, ScriptError> {
    let mut draft = Draft::rootless();
    draft.value("CONFIG", &spec.config)?;
    draft.value("PID_FILE", spec.pid.as_deref().unwrap_or_default())?;
    draft.value(
        "MAIN",
        &option(spec, "-c")
            .filter(|path| path.starts_with('/'))
            .unwrap_or_default(),
    )?;
    draft.value("PREFIX", &option(spec, "-p").unwrap_or_default())?;
    Ok(draft)
}

/// What follows an option of nginx in the commands, test first.
fn option(spec: &NginxSpec, name: &str) -> Option<String> {
    [&spec.test, &spec.reload].into_iter().find_map(|command| {
        let words = match command {
            Command::Argv(argv) => argv.clone(),
            Command::Shell(text) => shlex::split(text)?,
        };
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    })
}

/// The program of a command, where it can be told.
fn program(command: &Command) -> &str {
    match command {
        Command::Argv(argv) => argv.first().map(String::as_str).unwrap_or_default(),
        Command::Shell(_) => "",
    }
}

/// The words of a command, privileged.
pub(super) fn words(command: &Command, r#become: Become) -> Vec<String> {
    draft::words(r#become, command, Privileged::Yes)
}

fn hundredths(span: Duration) -> String {
    (span.as_millis() / 10).to_string()
}

/// The pattern of connections to these addresses that are made or being made. Source: Linux, `get_tcp4_sock` (`%08X:%04X` of the
/// peer, then the state) and `TCP_ESTABLISHED`, `TCP_SYN_SENT`.
fn wanted(addresses: &BTreeSet<SocketAddr>) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    let each: Vec<String> = addresses.iter().map(kernel_text).collect();
    format!(" ({}) 0[12] ", each.join("|"))
}

/// An address as `/proc/net/tcp` and `tcp6` write it on a little-endian machine: words of four bytes, each turned round.
pub(super) fn kernel_text(address: &SocketAddr) -> String {
    use std::fmt::Write as _;
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut text = String::new();
    for word in octets.chunks(4) {
        for byte in word.iter().rev() {
            // Writing to a String cannot fail.
            let _ok = write!(text, "{byte:02X}");
        }
    }
    let _ok = write!(text, ":{:04X}", address.port());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    fn spec() -> NginxSpec {
        NginxSpec {
            config: "/etc/nginx/it's.conf".to_owned(),
            test: Command::Shell("nginx -t -c '/srv/a b/nginx.conf' 2>&1".to_owned()),
            reload: Command::Argv(["nginx", "-p", "/srv"].map(str::to_owned).to_vec()),
            pid: None,
        }
    }

    #[test]
    fn addresses_are_written_as_the_kernel_writes_them() {
        let text = |address: &str| kernel_text(&address.parse().unwrap());
        assert_eq!(text("127.0.0.1:8080"), "0100007F:1F90");
        assert_eq!(text("[::1]:80"), "00000000000000000000000001000000:0050");
        assert_eq!(
            text("[2001:db8::2]:1"),
            "B80D0120000000000000000002000000:0001"
        );
        assert_eq!(
            wanted(&["1.2.3.4:5".parse().unwrap()].into()),
            " (04030201:0005) 0[12] "
        );
    }

    #[test]
    fn options_of_nginx_are_found_in_both_forms_of_a_command() {
        assert_eq!(
            option(&spec(), "-c").as_deref(),
            Some("/srv/a b/nginx.conf")
        );
        assert_eq!(option(&spec(), "-p").as_deref(), Some("/srv"));
        assert_eq!(option(&spec(), "-x"), None);
    }

    fn scripts() -> [Arc<str>; 2] {
        let needs = Needs {
            patterns: ["/etc/nginx/conf.d/*.conf".to_owned()].into(),
            names: ["app".to_owned()].into(),
            addresses: ["127.0.0.1:1".parse().unwrap()].into(),
        };
        let apply = Apply {
            r#become: Become::Sudo,
            checks: [("ab", "/x")].into(),
            files: vec![NewFile {
                path: "/x".to_owned(),
                sha256: "cd".to_owned(),
                parts: vec![Part::Keep(0, 1), Part::Put(" down")],
            }],
            moot: true,
            span: Duration::from_secs(9),
            patience: Duration::from_secs(3),
        };
        [
            look(&spec(), &needs, &["ef".to_owned()]).unwrap(),
            apply.script(&spec()).unwrap(),
        ]
    }

    #[test]
    fn a_script_that_is_cut_anywhere_does_nothing() {
        for script in scripts() {
            for shell in [&["dash"][..], &["busybox", "sh"]] {
                let mut command = Process::new(shell[0]);
                let Ok(mut child) = command
                    .args(&shell[1..])
                    .args(["-n", "-s"])
                    .stdin(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                else {
                    eprintln!("skipped: {} is not installed", shell[0]);
                    continue;
                };
                child
                    .stdin
                    .take()
                    .unwrap()
                    .write_all(script.as_bytes())
                    .unwrap();
                let done = child.wait_with_output().unwrap();
                assert!(
                    done.status.success(),
                    "{}",
                    String::from_utf8_lossy(&done.stderr)
                );
            }
            assert!(script.starts_with("{\n") && script.ends_with("main </dev/null\n}\n"));
        }
    }

    #[test]
    fn the_linter_of_shells_finds_nothing() {
        for script in scripts() {
            let child = Process::new("shellcheck")
                .args([
                    "-s",
                    "sh",
                    "-e",
                    "SC2034,SC2317,SC2329,SC3013,SC2013,SC2153",
                    "-",
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            let Ok(mut child) = child else {
                eprintln!("skipped: shellcheck is not installed");
                return;
            };
            child
                .stdin
                .take()
                .unwrap()
                .write_all(script.as_bytes())
                .unwrap();
            let done = child.wait_with_output().unwrap();
            assert!(
                done.status.success(),
                "{}",
                String::from_utf8_lossy(&done.stdout)
            );
        }
    }
}
