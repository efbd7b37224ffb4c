//! Private keys: read once a run, and never asked a passphrase for. An encrypted one is used through the agent that holds it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{Certificate, Error, PrivateKey, PublicKey, decode_secret_key, load_public_key};

/// What a key file turned out to be.
#[derive(Debug, Clone)]
pub(super) enum KeyFile {
    /// A key that can sign.
    Usable {
        /// The key.
        key: Arc<PrivateKey>,
        /// The certificate beside it, `NAME-cert.pub`.
        certificate: Option<Box<Certificate>>,
    },
    /// Only the agent can sign for it: it is encrypted, on a security key, or this is the public part.
    AgentOnly {
        /// Its public part.
        public: PublicKey,
        /// Why, for messages: "it is encrypted".
        why: &'static str,
    },
    /// There is no such file.
    Missing,
    /// It cannot be used at all, and why.
    Unusable(String),
}

/// Reads a key file. Blocks.
pub(super) fn load(path: &Path) -> KeyFile {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return KeyFile::Missing,
        Err(error) => return KeyFile::Unusable(error.to_string()),
    };
    if !text.contains("PRIVATE KEY") && !text.starts_with("PuTTY-User-Key-File-") {
        return match load_public_key(path) {
            Ok(public) => KeyFile::AgentOnly {
                public,
                why: "it is only the public part",
            },
            Err(_) => KeyFile::Unusable("it is no private key".to_owned()),
        };
    }
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        // The library does not see that this format is encrypted.
        return encrypted(path, &text);
    }
    match decode_secret_key(&text, None) {
        Ok(key) if is_on_a_token(&key) => KeyFile::AgentOnly {
            public: key.public_key().clone(),
            why: "it is on a security key",
        },
        Ok(key) => KeyFile::Usable {
            key: Arc::new(key),
            certificate: certificate_beside(path).map(Box::new),
        },
        Err(Error::KeyIsEncrypted) => encrypted(path, &text),
        Err(error) => KeyFile::Unusable(error.to_string()),
    }
}

fn is_on_a_token(key: &PrivateKey) -> bool {
    key.algorithm().as_str().starts_with("sk-")
}

/// Finds the public part: inside the file where the format has it, else in `NAME.pub`.
fn encrypted(path: &Path, text: &str) -> KeyFile {
    let inside = PrivateKey::from_openssh(text).ok();
    let public = inside
        .map(|key| key.public_key().clone())
        .or_else(|| load_public_key(beside(path, ".pub")).ok());
    match public {
        Some(public) => KeyFile::AgentOnly {
            public,
            why: "it is encrypted",
        },
        None => KeyFile::Unusable(
            "it is encrypted, and its public part is not beside it as a .pub file".to_owned(),
        ),
    }
}

fn certificate_beside(path: &Path) -> Option<Certificate> {
    let text = std::fs::read_to_string(beside(path, "-cert.pub")).ok()?;
    Certificate::from_openssh(text.trim()).ok()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keygen(arguments: &[&str]) {
        let done = std::process::Command::new("ssh-keygen")
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    #[test]
    fn key_files_of_all_kinds_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let text = |name: &str| at(name).to_string_lossy().into_owned();
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &text("plain")]);
        keygen(&["-q", "-t", "ed25519", "-N", "secret", "-f", &text("locked")]);
        keygen(&[
            "-q",
            "-t",
            "ecdsa",
            "-m",
            "PKCS8",
            "-N",
            "secret",
            "-f",
            &text("pkcs8"),
        ]);
        std::fs::write(at("junk"), "not a key").unwrap();
        assert!(matches!(load(&at("plain")), KeyFile::Usable { .. }));
        assert!(matches!(load(&at("absent")), KeyFile::Missing));
        assert!(matches!(load(&at("junk")), KeyFile::Unusable(_)));
        for name in ["locked", "pkcs8", "plain.pub"] {
            let KeyFile::AgentOnly { public, .. } = load(&at(name)) else {
                panic!("{name}");
            };
            let pub_file = at(&format!("{}.pub", name.trim_end_matches(".pub")));
            let expected = load_public_key(pub_file).unwrap();
            assert_eq!(public.key_data(), expected.key_data());
        }
        std::fs::remove_file(at("locked.pub")).unwrap();
        assert!(matches!(load(&at("locked")), KeyFile::AgentOnly { .. }));
        std::fs::remove_file(at("pkcs8.pub")).unwrap();
        let KeyFile::Unusable(why) = load(&at("pkcs8")) else {
            panic!("a PKCS8 file has no public part in the clear");
        };
        assert!(why.contains(".pub"), "{why}");
    }
}
