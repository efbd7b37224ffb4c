//! Whether a host's key is accepted: the files of known hosts, and what is done about a key that is in none of them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use russh::keys::{Algorithm, HashAlg, PublicKey};

use super::known_hosts::{HostNames, KnownFile, Verdict, is_hashed, judge, known_types, line_for};
use crate::drivers::transport::TransportError;
use crate::model::HostKeyChecking;

/// How the key of one host is judged.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    /// `address:port`, for messages.
    pub(super) address: String,
    /// Under which names it is looked up.
    pub(super) names: HostNames,
    /// Which files; the first one is added to.
    pub(super) files: Vec<PathBuf>,
    /// What is done about a key that is not known.
    pub(super) checking: HostKeyChecking,
}

impl Trust {
    /// Reads all files. Blocks.
    ///
    /// # Errors
    /// [`TransportError::Local`] when a file exists but cannot be read: to go on without it could miss a revoked key.
    pub(super) fn read(&self) -> Result<Vec<KnownFile>, TransportError> {
        self.files
            .iter()
            .map(|path| {
                let text = match std::fs::read(path) {
                    Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                    Err(error) => {
                        return Err(TransportError::Local {
                            reason: format!(
                                "cannot read the known host keys in {}: {error}",
                                path.display()
                            ),
                        });
                    }
                };
                Ok(KnownFile {
                    path: path.clone(),
                    text,
                })
            })
            .collect()
    }

    /// Types of key to ask the host for, those that it is known by first. Blocks.
    ///
    /// # Errors
    /// As [`Trust::read`].
    pub(super) fn preferred_types(&self) -> Result<Vec<Algorithm>, TransportError> {
        let known = known_types(&self.read()?, &self.names);
        let is_known = |kind: &Algorithm| {
            known.iter().any(|known| match (known, kind) {
                // The key of an RSA host does not say which hash its signatures use.
                (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
                (known, kind) => known == kind,
            })
        };
        // Signatures with SHA-1 are left out, as ssh(1) does since 8.8.
        let all = russh::Preferred::DEFAULT.key;
        let usable = || {
            all.iter()
                .filter(|kind| !matches!(kind, Algorithm::Rsa { hash: None }))
        };
        Ok(usable()
            .filter(|kind| is_known(kind))
            .chain(usable().filter(|kind| !is_known(kind)))
            .cloned()
            .collect())
    }

    /// Judges the key that the host shows, and adds it where that is wanted. Blocks.
    ///
    /// # Errors
    /// [`TransportError::HostKey`] when it is not accepted; [`TransportError::Local`] when a file cannot be read or added to.
    pub(super) fn check(&self, key: &PublicKey) -> Result<(), TransportError> {
        match (judge(&self.read()?, &self.names, key), self.checking) {
            (Verdict::Unknown, HostKeyChecking::AcceptNew) => self.learn(key),
            (verdict, _) => self.accept(&verdict, key),
        }
    }

    fn accept(&self, verdict: &Verdict, key: &PublicKey) -> Result<(), TransportError> {
        let kind = key.algorithm();
        let print = key.fingerprint(HashAlg::Sha256);
        let name = &self.names.name;
        let (reason, hint) = match verdict {
            Verdict::Known => return Ok(()),
            Verdict::Unknown => (
                format!(
                    "it is not known ({kind}, {print}); looked in {}",
                    self.searched()
                ),
                format!(
                    "compare {print} with what the host's own console says, then connect once with ssh(1) to add it, \
                     or set host_key_checking = \"accept-new\""
                ),
            ),
            Verdict::Changed(place) => (
                format!(
                    "it changed: {}:{} has another key than the host shows ({kind}, {print})",
                    place.path.display(),
                    place.line
                ),
                format!(
                    "somebody may be listening in; if the host was installed anew, run `ssh-keygen -R '{name}' -f {}` \
                     and add its new key",
                    place.path.display()
                ),
            ),
            Verdict::Revoked(place) => (
                format!(
                    "it is revoked by {}:{} ({kind}, {print})",
                    place.path.display(),
                    place.line
                ),
                "give the host a new key; a revoked one is never accepted".to_owned(),
            ),
        };
        Err(TransportError::HostKey {
            address: self.address.clone(),
            reason,
            hint,
        })
    }

    fn searched(&self) -> String {
        let files: Vec<String> = self
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        if files.is_empty() {
            "no file: there is no home directory".to_owned()
        } else {
            files.join(", ")
        }
    }

    /// Adds the key to the first file. Under a lock, and after another look: several connections may find the same key at once.
    fn learn(&self, key: &PublicKey) -> Result<(), TransportError> {
        let Some(path) = self.files.first() else {
            return self.accept(&Verdict::Unknown, key);
        };
        let refuse = |error: io::Error| TransportError::Local {
            reason: format!(
                "cannot add the host key of {} to {}: {error}",
                self.address,
                path.display()
            ),
        };
        let mut file = open_for_adding(path).map_err(refuse)?;
        file.lock().map_err(refuse)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(refuse)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let now = [KnownFile {
            path: path.clone(),
            text,
        }];
        let verdict = judge(&now, &self.names, key);
        let [KnownFile { text, .. }] = &now;
        if verdict == Verdict::Unknown {
            let line = self.line(text, key)?;
            file.write_all(line.as_bytes()).map_err(refuse)?;
            tracing::info!(address = %self.address, file = %path.display(), "added a new host key");
            return Ok(());
        }
        self.accept(&verdict, key)
    }

    /// The line to add to `text`, with its end.
    fn line(&self, text: &str, key: &PublicKey) -> Result<String, TransportError> {
        let salt = if is_hashed(text) {
            let mut salt = [0; 20];
            getrandom::fill(&mut salt).map_err(|error| TransportError::Local {
                reason: format!("the system gives no random numbers: {error}"),
            })?;
            Some(salt)
        } else {
            None
        };
        let line = line_for(&self.names.name, key, salt).ok_or_else(|| TransportError::Local {
            reason: format!("the host key of {} cannot be written", self.address),
        })?;
        let begin = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        Ok(format!("{begin}{line}\n"))
    }
}

/// Opens a file of known hosts, making it and its folder readable by their owner only when they do not exist.
fn open_for_adding(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN+Wjn4+4Fcvl2JlKpggT+wCRxpSvtqqpVrQrKN1/A22";

    fn trust(folder: &Path, checking: HostKeyChecking) -> Trust {
        Trust {
            address: "web:22".into(),
            names: HostNames::new("web", 22),
            files: vec![folder.join("new/.ssh/known_hosts"), folder.join("second")],
            checking,
        }
    }

    #[test]
    fn accept_new_adds_once_and_refuses_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let trust = trust(folder.path(), HostKeyChecking::AcceptNew);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| trust.check(&KEY.parse().unwrap()).unwrap());
            }
        });
        let file = &trust.files[0];
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            format!("web {KEY}\n")
        );
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        let error = trust.check(&OTHER.parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("known_hosts:1 has another key"));
        assert!(error.hint().unwrap().contains("ssh-keygen -R 'web'"));
    }

    #[test]
    fn accept_new_hashes_where_names_are_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let trust = trust(folder.path(), HostKeyChecking::AcceptNew);
        let file = &trust.files[0];
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let first = line_for("db", &OTHER.parse().unwrap(), Some([1; 20])).unwrap();
        std::fs::write(file, &first).unwrap();
        trust.check(&KEY.parse().unwrap()).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], first, "a line without an end is kept whole");
        assert!(
            lines[1].starts_with("|1|") && lines[1].ends_with(KEY),
            "{text}"
        );
        trust.check(&KEY.parse().unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), text);
    }

    #[test]
    fn strict_refuses_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let trust = trust(folder.path(), HostKeyChecking::Strict);
        let error = trust.check(&KEY.parse().unwrap()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("it is not known (ssh-ed25519, SHA256:")
        );
        assert!(error.hint().unwrap().contains("accept-new"));
        assert!(!trust.files[0].exists());
    }

    #[test]
    fn types_known_for_the_host_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let trust = trust(folder.path(), HostKeyChecking::Strict);
        let line = "web ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=\n";
        std::fs::write(&trust.files[1], line).unwrap();
        let types = trust.preferred_types().unwrap();
        assert_eq!(types[0].as_str(), "ecdsa-sha2-nistp256");
        assert_eq!(types[1].as_str(), "ssh-ed25519");
        assert!(!types.iter().any(|kind| kind.as_str() == "ssh-rsa"));
    }
}
