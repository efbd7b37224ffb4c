//! What one look prints, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::address::Resolved;

/// A worker started this much later than the mark was left (hundredths of a second) has read the files that the mark is about.
const AFTER_MARK: u64 = 100;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its digest.
    pub(super) sha256: String,
    /// What is in it.
    pub(super) bytes: Arc<[u8]>,
    /// Where it really is, links followed.
    pub(super) real: String,
    /// Whether it can be replaced, owner kept.
    pub(super) writable: bool,
}

impl File {
    /// A file of these bytes.
    #[cfg(test)]
    pub(super) fn of(path: &str, bytes: &[u8]) -> Self {
        Self {
            sha256: digest(bytes),
            bytes: bytes.into(),
            real: path.to_owned(),
            writable: true,
        }
    }
}

/// The lower-case hexadecimal SHA-256 of some bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ok = write!(text, "{byte:02x}");
    }
    text
}

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The folder that relative includes belong to.
    pub(super) base: String,
    /// The named file, links followed.
    pub(super) real: String,
    /// Files of each pattern.
    pub(super) globs: BTreeMap<String, Vec<String>>,
    /// The files that may be read, by the paths that patterns give.
    pub(super) files: BTreeMap<String, File>,
    /// The folder that would have to be written and cannot be.
    pub(super) unwritable: Option<String>,
    /// Programs that are not there.
    pub(super) lacking: Vec<String>,
    /// The master process and its start.
    pub(super) master: Option<String>,
    /// Why there is none.
    pub(super) masterless: String,
    /// How many workers shut down, with requests still under way.
    pub(super) old: u64,
    /// Whether an edit may not be in force.
    pub(super) pending: bool,
    /// Whether there is a mark.
    pub(super) marked: bool,
    /// Whether old workers may answer requests by the old configuration.
    pub(super) lingering: bool,
    /// What names stand for.
    pub(super) resolved: Resolved,
    /// How many connections each address of the kernel's table has, as the kernel writes it.
    pub(super) connections: BTreeMap<String, u64>,
}

/// What tells whether a mark still says something.
#[derive(Default)]
struct Mark {
    boot: String,
    lines: Vec<String>,
    live: Vec<u64>,
}

impl Mark {
    /// Until every worker that takes requests is known to have read the files after they were put in place.
    fn is_pending(&self) -> bool {
        let field = |name: &str| {
            self.lines
                .iter()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        };
        if field("boot").is_some_and(|boot| boot != self.boot) {
            return false;
        }
        let Some(since) = field("since").and_then(|text| text.parse::<u64>().ok()) else {
            return true;
        };
        self.live.is_empty() || self.live.iter().any(|start| *start < since + AFTER_MARK)
    }
}

impl Snapshot {
    /// Reads an answer. `known` are the bytes that were not sent again, by their digest.
    ///
    /// # Errors
    /// A text for people, when it is cut, or a file changed while it was read.
    pub(super) fn read(answer: &[u8], known: &BTreeMap<String, Arc<[u8]>>) -> Result<Self, String> {
        let mut snapshot = Self::default();
        let (mut mark, mut pattern, mut whole) = (Mark::default(), String::new(), false);
        let mut rest = answer;
        while !rest.is_empty() {
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
            rest = rest.get(end + 1..).unwrap_or_default();
            let Some((key, value)) = line.split_once('\t') else {
                continue;
            };
            match key {
                "at" => {
                    value.clone_into(&mut pattern);
                    snapshot.globs.entry(pattern.clone()).or_default();
                }
                "same" => snapshot.add(&pattern, Listed::read(value)?, known)?,
                "file" => {
                    let listed = Listed::read_with_size(value)?;
                    let bytes = rest.get(..listed.size).ok_or("the answer was cut")?;
                    if digest(bytes) != listed.sha256 {
                        return Err(format!("{} changed while it was read", listed.path));
                    }
                    let sent = [(listed.sha256.clone(), Arc::from(bytes))].into();
                    rest = rest.get(listed.size..).unwrap_or_default();
                    snapshot.add(&pattern, listed, &sent)?;
                }
                "closed" => snapshot
                    .globs
                    .entry(pattern.clone())
                    .or_default()
                    .push(value.to_owned()),
                "mark" => mark.lines.push(value.to_owned()),
                "boot" => value.clone_into(&mut mark.boot),
                "live" => mark.live.extend(
                    value
                        .split_once(' ')
                        .and_then(|(_, start)| start.parse::<u64>().ok()),
                ),
                "done" => whole = true,
                _ => snapshot.take(key, value),
            }
        }
        if !whole {
            return Err("the answer was cut".to_owned());
        }
        snapshot.marked = !mark.lines.is_empty();
        snapshot.pending = snapshot.marked && mark.is_pending();
        Ok(snapshot)
    }

    fn take(&mut self, key: &str, value: &str) {
        let value = value.to_owned();
        match key {
            "base" => self.base = value,
            "config" => self.real = value,
            "unwritable" => self.unwritable = Some(value),
            "lacking" => self.lacking.push(value),
            "master" => self.master = Some(value),
            "masterless" => self.masterless = value,
            "old" => self.old += u64::from(!value.is_empty()),
            "lingering" => self.lingering = true,
            "name" => {
                if let Some((name, address)) = value.split_once('\t')
                    && let Ok(address) = address.parse::<IpAddr>()
                {
                    self.resolved
                        .entry(name.to_owned())
                        .or_default()
                        .insert(address);
                }
            }
            "conn" => {
                if let Some((address, count)) = value.split_once('\t') {
                    self.connections
                        .insert(address.to_owned(), count.parse().unwrap_or(u64::MAX));
                }
            }
            _ => {}
        }
    }

    fn add(
        &mut self,
        pattern: &str,
        listed: Listed,
        known: &BTreeMap<String, Arc<[u8]>>,
    ) -> Result<(), String> {
        let bytes = known
            .get(&listed.sha256)
            .ok_or("it left out a file that is not known")?;
        self.globs
            .entry(pattern.to_owned())
            .or_default()
            .push(listed.path.clone());
        let file = File {
            sha256: listed.sha256,
            bytes: Arc::clone(bytes),
            real: listed.real,
            writable: listed.writable,
        };
        self.files.insert(listed.path, file);
        Ok(())
    }

    /// The path of an include.
    pub(super) fn absolute(&self, pattern: &str) -> String {
        if pattern.starts_with('/') {
            pattern.to_owned()
        } else {
            format!("{}/{pattern}", self.base)
        }
    }

    /// The bytes of all files by digest, for the next look.
    pub(super) fn known(&self) -> BTreeMap<String, Arc<[u8]>> {
        let files = self.files.values();
        files
            .map(|file| (file.sha256.clone(), Arc::clone(&file.bytes)))
            .collect()
    }

    /// What each file was when it was read.
    pub(super) fn digests(&self) -> BTreeSet<(&str, &str)> {
        let files = self.files.iter();
        files
            .map(|(path, file)| (file.sha256.as_str(), path.as_str()))
            .collect()
    }
}

/// A line about a file.
struct Listed {
    sha256: String,
    size: usize,
    writable: bool,
    real: String,
    path: String,
}

impl Listed {
    fn read(value: &str) -> Result<Self, String> {
        let mut fields = value.splitn(4, '\t');
        let mut field = || {
            fields
                .next()
                .map(str::to_owned)
                .ok_or_else(|| format!("`{value}` is no file"))
        };
        Ok(Self {
            sha256: field()?,
            size: 0,
            writable: field()? == "yes",
            real: field()?,
            path: field()?,
        })
    }

    fn read_with_size(value: &str) -> Result<Self, String> {
        let refuse = || format!("`{value}` is no file");
        let (sha256, rest) = value.split_once('\t').ok_or_else(refuse)?;
        let (size, rest) = rest.split_once('\t').ok_or_else(refuse)?;
        let listed = Self::read(&format!("{sha256}\t{rest}"))?;
        Ok(Self {
            size: size.parse().map_err(|_no_number| refuse())?,
            ..listed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Snapshot, String> {
        Snapshot::read(text.as_bytes(), &BTreeMap::new())
    }

    #[test]
    fn files_come_with_their_bytes_whatever_they_are() {
        let bytes = "done\tno\nserver";
        let sha = digest(bytes.as_bytes());
        let text = format!(
            "at\t/a*\nfile\t{sha}\t{}\tyes\t/r\t/a b\n{bytes}\nat\t/none\ndone\tyes\n",
            bytes.len()
        );
        let snapshot = read(&text).unwrap();
        assert_eq!(&*snapshot.files["/a b"].bytes, bytes.as_bytes());
        assert!(snapshot.files["/a b"].writable);
        assert_eq!(snapshot.globs["/a*"], ["/a b"]);
        assert!(snapshot.globs["/none"].is_empty());
        let again = format!("at\t/a*\nsame\t{sha}\tno\t/r\t/a b\ndone\tyes\n");
        let second = Snapshot::read(again.as_bytes(), &snapshot.known()).unwrap();
        assert_eq!(second.files["/a b"].bytes, snapshot.files["/a b"].bytes);
        assert!(read(&again).is_err());
        assert!(
            read(&text.replace("server", "sErver"))
                .unwrap_err()
                .contains("changed")
        );
    }

    #[test]
    fn a_mark_holds_until_every_worker_began_after_it() {
        let pending = |mark: &str, live: &str| {
            read(&format!(
                "boot\tb\nmark\tthere\n{mark}live\t\n{live}done\tyes\n"
            ))
            .unwrap()
            .pending
        };
        let mark = "mark\tboot b\nmark\tsince 1000\n";
        assert!(pending("", "live\t7 9999\n"));
        assert!(pending(mark, ""));
        assert!(pending(mark, "live\t7 900\n"));
        assert!(pending(mark, "live\t7 1050\nlive\t8 2000\n"));
        assert!(!pending(mark, "live\t7 1100\nlive\t8 2000\n"));
        assert!(!pending(
            "mark\tboot other\nmark\tsince 1000\n",
            "live\t7 9\n"
        ));
        assert!(!read("live\t7 9\ndone\tyes\n").unwrap().pending);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "((file|same|at|conn|name|mark|live)\\t[0-9a-z\\t ]{0,20}\\n){0,6}") {
            let _any = Snapshot::read(&bytes, &BTreeMap::new());
            let _any = Snapshot::read(text.as_bytes(), &BTreeMap::new());
        }
    }
}
