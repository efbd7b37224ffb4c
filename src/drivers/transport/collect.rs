//! What a command prints, kept within bounds, and what its end means.

use super::{Output, TransportError};

/// How much of standard error is kept: the end, where programs say why they give up.
const STDERR_KEPT: usize = 64 * 1024;

/// How much a script may print. Ours answer in kilobytes; more than this is a program gone wild.
const STDOUT_MOST: usize = 16 * 1024 * 1024;

/// How much of what was said instead of our output is shown in an error.
const SAID_SHOWN: usize = 600;

/// Both outputs of a command so far.
#[derive(Debug, Default)]
pub(super) struct Collected {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    overflow: bool,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this exit code.
    Code(u32),
    /// By a signal, named without `SIG`.
    Signal(String),
    /// It never began: the server runs no commands.
    Refused,
    /// Nobody knows: the connection was lost, with the reason.
    Gone(String),
}

impl Collected {
    /// Adds to standard output. Returns false once there is more than may be kept: the command must then be ended.
    pub(super) fn push_stdout(&mut self, bytes: &[u8]) -> bool {
        if self.stdout.len().saturating_add(bytes.len()) > STDOUT_MOST {
            self.overflow = true;
        } else {
            self.stdout.extend_from_slice(bytes);
        }
        !self.overflow
    }

    /// Adds to standard error, forgetting its beginning when it is long.
    pub(super) fn push_stderr(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(bytes);
        if self.stderr.len() > 2 * STDERR_KEPT {
            self.cut_stderr();
        }
    }

    /// The process id of the script's shell, once it has printed it.
    pub(super) fn pid(&self, marker: &str) -> Option<u32> {
        after_marker(&self.stdout, marker).map(|(pid, _output)| pid)
    }

    fn cut_stderr(&mut self) {
        let surplus = self.stderr.len().saturating_sub(STDERR_KEPT);
        self.stderr.drain(..surplus);
    }

    /// What was printed without having been asked for, as one line for people.
    fn said(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.stderr).into_owned();
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&self.stdout));
        let line = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" / ");
        line.chars().take(SAID_SHOWN).collect()
    }

    /// Turns the end of a command into the answer to its call.
    ///
    /// # Errors
    /// [`TransportError::Killed`], [`TransportError::Lost`] when the outcome is unknown; [`TransportError::NoCommands`] when the script
    /// never began, which the absent marker shows.
    pub(super) fn conclude(
        mut self,
        purpose: &str,
        marker: &str,
        ending: Ending,
    ) -> Result<Output, TransportError> {
        if self.overflow {
            return Err(TransportError::Lost {
                purpose: purpose.to_owned(),
                reason: format!("it was ended because it printed more than {STDOUT_MOST} bytes"),
            });
        }
        let code = match ending {
            Ending::Code(code) => code,
            Ending::Signal(signal) => {
                return Err(TransportError::Killed {
                    purpose: purpose.to_owned(),
                    signal,
                });
            }
            Ending::Refused => {
                return Err(TransportError::NoCommands {
                    reason: "it refused to start one".to_owned(),
                });
            }
            Ending::Gone(reason) => {
                return Err(TransportError::Lost {
                    purpose: purpose.to_owned(),
                    reason,
                });
            }
        };
        let Some((_pid, stdout)) = after_marker(&self.stdout, marker) else {
            let said = self.said();
            let reason = if said.is_empty() {
                format!("it ended with exit code {code} and said nothing")
            } else {
                format!("it ended with exit code {code} and said: {said}")
            };
            return Err(TransportError::NoCommands { reason });
        };
        let stdout = stdout.to_vec();
        self.cut_stderr();
        Ok(Output {
            code,
            stdout,
            stderr: self.stderr,
        })
    }
}

/// Splits what comes after the marker: the shell's process id, then, behind the end of that line, the script's own output.
fn after_marker<'a>(stdout: &'a [u8], marker: &str) -> Option<(u32, &'a [u8])> {
    let begin = format!("\n{marker} ").into_bytes();
    let at = stdout
        .windows(begin.len())
        .position(|window| window == begin)?;
    let rest = stdout.get(at.checked_add(begin.len())?..)?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let (pid, output) = rest.split_at_checked(end)?;
    let pid = std::str::from_utf8(pid).ok()?.parse().ok()?;
    Some((pid, output.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(stdout: &[u8], stderr: &[u8]) -> Collected {
        let mut collected = Collected::default();
        assert!(collected.push_stdout(stdout));
        collected.push_stderr(stderr);
        collected
    }

    #[test]
    fn noise_before_the_marker_is_dropped() {
        let output = collected(b"Welcome!\nno newline\nM 42\nmine\n", b"oops\n")
            .conclude("look", "M", Ending::Code(7))
            .unwrap();
        assert_eq!(output.stdout, b"mine\n");
        assert_eq!(output.complaint(), "oops");
        assert_eq!(output.code, 7);
    }

    #[test]
    fn absent_marker_means_that_the_script_never_began() {
        let error = collected(b"", b"sudo: a password is required\n")
            .conclude("look", "M", Ending::Code(1))
            .unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with("exit code 1 and said: sudo: a password is required"));
        assert!(!error.outcome_unknown());
        let silent = collected(b"", b"")
            .conclude("look", "M", Ending::Code(1))
            .unwrap_err();
        assert!(silent.to_string().ends_with("said nothing"));
    }

    #[test]
    fn standard_error_keeps_its_end() {
        let mut collected = collected(b"\nM 1\n", b"");
        for _ in 0..40 {
            collected.push_stderr(&[b'x'; 10_000]);
        }
        collected.push_stderr(b"the end");
        let output = collected.conclude("look", "M", Ending::Code(0)).unwrap();
        assert_eq!(output.stderr.len(), STDERR_KEPT);
        assert!(output.stderr.ends_with(b"xthe end"));
    }

    #[test]
    fn too_much_output_is_an_unknown_outcome() {
        let mut collected = Collected::default();
        let much = vec![b'x'; 1 << 20];
        while collected.push_stdout(&much) {}
        let error = collected
            .conclude("look", "M", Ending::Code(0))
            .unwrap_err();
        assert!(error.outcome_unknown());
        assert!(error.to_string().contains("more than 16777216 bytes"));
    }

    #[test]
    fn lost_and_killed_commands_have_an_unknown_outcome() {
        for ending in [
            Ending::Gone("the network fell".into()),
            Ending::Signal("KILL".into()),
        ] {
            let error = collected(b"\nM 1\nhalf", b"")
                .conclude("swap", "M", ending)
                .unwrap_err();
            assert!(error.outcome_unknown(), "{error}");
        }
        let refused = collected(b"", b"")
            .conclude("swap", "M", Ending::Refused)
            .unwrap_err();
        assert!(!refused.outcome_unknown());
    }
}
