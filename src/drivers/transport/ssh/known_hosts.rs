//! What files of known hosts say about a host and its key. Pure: texts in, a verdict out.
//!
//! An own matcher, because the one of the SSH library ignores `@revoked`, wildcards and negation, and calls a host that is known under
//! another type of key unknown.
//! Source: sshd(8), section "`SSH_KNOWN_HOSTS` FILE FORMAT".

use std::path::PathBuf;

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;
use wildmatch::WildMatch;

/// The port whose number is left out of a host's name.
const PLAIN_PORT: u16 = 22;

/// A file of known hosts and its text.
#[derive(Debug, Clone)]
pub(super) struct KnownFile {
    /// Where it was read.
    pub(super) path: PathBuf,
    /// What it holds; empty when it does not exist.
    pub(super) text: String,
}

/// A line of a file, for messages: `path:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Which file.
    pub(super) path: PathBuf,
    /// Which line, from 1.
    pub(super) line: usize,
}

/// What the files say about a host that shows a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key is this host's.
    Known,
    /// No line names the host.
    Unknown,
    /// Lines name the host, each with another key.
    Changed(Place),
    /// The key may not be used any more, whatever other lines say.
    Revoked(Place),
}

/// Under which names a host is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostNames {
    /// `host`, or `[host]:port` for a port other than 22. Lower case.
    pub(super) name: String,
    /// The name without its port, where that differs: a line with the same key counts, one with another key does not, as in ssh(1).
    pub(super) portless: Option<String>,
}

impl HostNames {
    /// The names of a host as it was asked for.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let host = host.to_ascii_lowercase();
        if port == PLAIN_PORT {
            Self {
                name: host,
                portless: None,
            }
        } else {
            Self {
                name: format!("[{host}]:{port}"),
                portless: Some(host),
            }
        }
    }
}

/// One line of a file that names the host.
struct Line {
    place: Place,
    marker: Option<Marker>,
    key: PublicKey,
}

/// Every line that names `name`. Lines that cannot be read name nobody, as in ssh(1).
fn lines_about<'a>(files: &'a [KnownFile], name: &'a str) -> impl Iterator<Item = Line> + 'a {
    files.iter().flat_map(move |file| {
        file.text
            .lines()
            .enumerate()
            .filter_map(move |(index, text)| {
                let entry = parse(text)?;
                names(entry.host_patterns(), name).then(|| Line {
                    place: Place {
                        path: file.path.clone(),
                        line: index.saturating_add(1),
                    },
                    marker: entry.marker().copied(),
                    key: entry.public_key().clone(),
                })
            })
    })
}

/// Reads one line. Tabs and repeated spaces are allowed, and what follows the key is a comment.
fn parse(line: &str) -> Option<Entry> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let fields = if line.starts_with('@') { 4 } else { 3 };
    let words: Vec<&str> = line.split_whitespace().take(fields).collect();
    words.join(" ").parse().ok()
}

/// Whether the first field of a line names `name`.
fn names(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => hash_of(salt, name).as_ref() == Some(hash),
        HostPatterns::Patterns(patterns) => {
            let mut named = false;
            for pattern in patterns {
                let pattern = pattern.to_ascii_lowercase();
                match pattern.strip_prefix('!') {
                    // A negation that fits beats every other pattern of the line.
                    Some(negated) if WildMatch::new(negated).matches(name) => return false,
                    Some(_) => {}
                    None => named |= WildMatch::new(&pattern).matches(name),
                }
            }
            named
        }
    }
}

fn hash_of(salt: &[u8], name: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

/// What the files say about a host that shows `key`. Revoked beats known, known beats changed, and changed beats unknown.
pub(super) fn judge(files: &[KnownFile], host: &HostNames, key: &PublicKey) -> Verdict {
    let verdict = judge_name(files, &host.name, key);
    let Some(portless) = &host.portless else {
        return verdict;
    };
    match (verdict, judge_name(files, portless, key)) {
        (_, Verdict::Revoked(place)) => Verdict::Revoked(place),
        (Verdict::Unknown, Verdict::Known) => Verdict::Known,
        (verdict, _) => verdict,
    }
}

fn judge_name(files: &[KnownFile], name: &str, key: &PublicKey) -> Verdict {
    let mut verdict = Verdict::Unknown;
    for line in lines_about(files, name) {
        // Comments are part of the key's own comparison, so only its data is compared.
        let same = line.key.key_data() == key.key_data();
        match (line.marker, same) {
            (Some(Marker::Revoked), true) => return Verdict::Revoked(line.place),
            (None, true) => verdict = Verdict::Known,
            (None, false) if verdict == Verdict::Unknown => {
                verdict = Verdict::Changed(line.place);
            }
            // Authorities sign certificates of hosts, which are not asked for.
            (None | Some(Marker::Revoked | Marker::CertAuthority), _) => {}
        }
    }
    verdict
}

/// The types of key that the host is known by. They must be asked for first: a host known by its RSA key would else show its Ed25519
/// key, and look like another one.
pub(super) fn known_types(files: &[KnownFile], host: &HostNames) -> Vec<Algorithm> {
    let types = |name: &str| -> Vec<Algorithm> {
        lines_about(files, name)
            .filter(|line| line.marker.is_none())
            .map(|line| line.key.algorithm())
            .collect()
    };
    let named = types(&host.name);
    match &host.portless {
        Some(portless) if named.is_empty() => types(portless),
        Some(_) | None => named,
    }
}

/// Whether the names in a file are hashed, so that a new one must be, too.
pub(super) fn is_hashed(text: &str) -> bool {
    text.lines()
        .filter_map(parse)
        .any(|entry| matches!(entry.host_patterns(), HostPatterns::HashedName { .. }))
}

/// The line that makes `key` known for `name`, without its end. `salt` hashes the name.
///
/// `None` when the key cannot be written as text.
pub(super) fn line_for(name: &str, key: &PublicKey, salt: Option<[u8; 20]>) -> Option<String> {
    let name = match salt {
        None => name.to_owned(),
        Some(salt) => HostPatterns::HashedName {
            salt: salt.to_vec(),
            hash: hash_of(&salt, name)?,
        }
        .to_string(),
    };
    let key = PublicKey::new(key.key_data().clone(), "")
        .to_openssh()
        .ok()?;
    Some(format!("{name} {}", key.trim_end()))
}

#[cfg(test)]
#[path = "known_hosts_tests.rs"]
mod tests;
