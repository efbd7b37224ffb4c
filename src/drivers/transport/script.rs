//! How a script gets into a remote shell, and how its output is told apart from the noise of login scripts.
//!
//! Without a payload the script is the standard input of `sh -s`. With one, `sh -s` would read ahead and swallow data, so `dd bs=1`,
//! which is exact in every shell, reads the script's bytes and leaves the rest of the input to it. Nothing of the script is ever in a
//! command line, where `ps` would show it.

use super::{Call, Payload, TransportError};

/// Who the shell runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elevation {
    /// The login user.
    None,
    /// `sudo -n`.
    Sudo,
    /// `doas -n`.
    Doas,
}

impl Elevation {
    fn prefix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Sudo => "sudo -n ",
            Self::Doas => "doas -n ",
        }
    }
}

/// The line that starts a shell which reads its standard input.
pub(super) fn plain_shell(elevation: Elevation) -> String {
    format!("exec {}/bin/sh -s", elevation.prefix())
}

/// A script made ready to be sent.
pub(super) struct Framed {
    marker: String,
    text: Vec<u8>,
    has_payload: bool,
}

impl Framed {
    /// Puts a line that prints a random marker and the shell's process id before the call's script.
    ///
    /// The marker is an argument of the shell, too: who ends it later can tell it from a process that has its number by chance.
    ///
    /// # Errors
    /// [`TransportError::Local`] when the system has no randomness.
    pub(super) fn new(call: &Call) -> Result<Self, TransportError> {
        let random = getrandom::u64().map_err(|error| TransportError::Local {
            reason: format!("the system gives no random numbers: {error}"),
        })?;
        let marker = format!("rollgate-{random:016x}");
        // The empty line before it ends a line of noise that has no end of its own.
        let text = format!("printf '\\n%s %s\\n' {marker} $$\n{}\n", call.script).into_bytes();
        Ok(Self {
            marker,
            text,
            has_payload: matches!(call.payload, Payload::File { .. }),
        })
    }

    /// The line after which the script's own output begins.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// What goes to the shell's standard input first; the payload follows.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The program that takes the script off its standard input, for `sh -c`.
    fn reader(&self) -> String {
        format!("eval \"$(dd bs=1 count={} 2>/dev/null)\"", self.text.len())
    }

    /// What follows the shell's name, as arguments.
    pub(super) fn arguments(&self) -> Vec<String> {
        if self.has_payload {
            vec![
                "-c".to_owned(),
                self.reader(),
                "sh".to_owned(),
                self.marker.clone(),
            ]
        } else {
            vec!["-s".to_owned(), self.marker.clone()]
        }
    }

    /// The whole as one line for the login shell, whichever it is: dash, bash, busybox, fish and csh all take a single-quoted word
    /// without `!` and backslash, and nothing else was found that suits them all.
    pub(super) fn command_line(&self, elevation: Elevation) -> String {
        let (prefix, marker) = (elevation.prefix(), &self.marker);
        if self.has_payload {
            format!("exec {prefix}/bin/sh -c '{}' sh {marker}", self.reader())
        } else {
            format!("exec {prefix}/bin/sh -s {marker}")
        }
    }

    /// A script that ends the process group of process `pid`, if that is still the shell with this marker. To be fed to
    /// [`plain_shell`].
    pub(super) fn killer(&self, pid: u32) -> String {
        let marker = &self.marker;
        format!(
            "tr '\\0' ' ' </proc/{pid}/cmdline | grep -q {marker} || exit 0\n\
             s=$(cat /proc/{pid}/stat); s=${{s##*) }}; set -- $s\n\
             kill -s TERM -- \"-$3\"\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn call(payload: Payload) -> Call {
        Call {
            purpose: "test",
            script: "main() { :; }; main".into(),
            payload,
            limit: Duration::from_secs(1),
            privileged: false,
        }
    }

    #[test]
    fn script_alone_goes_to_the_standard_input_of_a_plain_shell() {
        let framed = Framed::new(&call(Payload::None)).unwrap();
        let marker = framed.marker();
        assert_eq!(
            framed.command_line(Elevation::None),
            format!("exec /bin/sh -s {marker}")
        );
        assert_eq!(
            framed.command_line(Elevation::Doas),
            format!("exec doas -n /bin/sh -s {marker}")
        );
        assert_eq!(framed.arguments(), ["-s", marker]);
    }

    #[test]
    fn script_with_payload_is_read_by_its_length_in_bytes() {
        let mut with = call(Payload::File {
            path: "/x".into(),
            size: 1,
        });
        with.script = "main() { echo ä; }; main".into();
        let framed = Framed::new(&with).unwrap();
        let (length, marker) = (framed.text().len(), framed.marker());
        assert_eq!(
            framed.command_line(Elevation::Sudo),
            format!(
                "exec sudo -n /bin/sh -c 'eval \"$(dd bs=1 count={length} 2>/dev/null)\"' sh {marker}"
            )
        );
    }

    #[test]
    fn every_call_has_its_own_marker() {
        let first = Framed::new(&call(Payload::None)).unwrap();
        let second = Framed::new(&call(Payload::None)).unwrap();
        assert_ne!(first.marker(), second.marker());
        let expected = format!("printf '\\n%s %s\\n' {} $$\n", first.marker());
        assert!(first.text().starts_with(expected.as_bytes()));
    }
}
