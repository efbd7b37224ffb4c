//! How a script is put together.

use std::sync::Arc;

use crate::model::record::FORMAT;
use crate::model::{Become, Command, LockToken, RolloutId};

/// The functions that scripts share. Each needs those before it.
const BASE: &str = include_str!("base.sh");
const PROC: &str = include_str!("proc.sh");
const ACT: &str = include_str!("act.sh");
const COMMAND: &str = include_str!("command.sh");
const LOCK: &str = include_str!("lock.sh");

/// Why no script could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A value that no shell can hold.
    #[error("{what} contains a NUL byte, which no shell can pass on: {text:?}")]
    Nul {
        /// What it is.
        what: String,
        /// The value.
        text: String,
    },
    /// The root is no folder of its own.
    #[error("the release root `{root}` must be an absolute path below `/`")]
    Root {
        /// As it was given.
        root: String,
    },
    /// A name or path that would lead elsewhere.
    #[error("`{text}` is not {wanted}")]
    Name {
        /// As it was given.
        text: String,
        /// What it should have been.
        wanted: &'static str,
    },
    /// A text could not be made of a value.
    #[error("cannot write {what}: {reason}")]
    Text {
        /// Of what.
        what: &'static str,
        /// In words.
        reason: String,
    },
}

/// Where scripts run, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The folder of releases, absolute.
    pub root: String,
    /// How single privileged commands are run.
    pub r#become: Become,
    /// The rollout.
    pub rollout: RolloutId,
    /// This process of it: with the rollout's id the fence.
    pub token: LockToken,
}

impl Site {
    /// The root without slashes at its end.
    ///
    /// # Errors
    /// [`ScriptError::Root`] when it is relative, or `/` itself.
    pub fn root(&self) -> Result<&str, ScriptError> {
        let root = self.root.trim_end_matches('/');
        if root.len() > 1 && root.starts_with('/') {
            Ok(root)
        } else {
            Err(ScriptError::Root {
                root: self.root.clone(),
            })
        }
    }

    /// The owner file that is this process's lock.
    pub fn owner_file(&self) -> String {
        format!("owner.{}.{}", self.rollout, self.token)
    }

    /// The words that run a command of the user's.
    pub(crate) fn words(&self, command: &Command, privileged: Privileged) -> Vec<String> {
        words(self.r#become, command, privileged)
    }
}

/// The words in front of a privileged command.
pub(crate) fn become_words(r#become: Become) -> &'static [&'static str] {
    match r#become {
        Become::Sudo => &["sudo", "-n", "--"],
        Become::Doas => &["doas", "-n", "--"],
        // Under sudo-all the transport runs the whole script as root.
        Become::None | Become::SudoAll => &[],
    }
}

/// The words that run a command of the user's.
pub(crate) fn words(r#become: Become, command: &Command, privileged: Privileged) -> Vec<String> {
    let front = match privileged {
        Privileged::Yes => become_words(r#become),
        Privileged::No => &[],
    };
    let mut words: Vec<String> = front.iter().map(|&word| word.to_owned()).collect();
    match command {
        Command::Argv(argv) => words.extend(argv.iter().cloned()),
        Command::Shell(text) => words.extend(["sh".into(), "-c".into(), text.clone()]),
    }
    words
}

/// Whether a command is run through `become`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privileged {
    /// It is.
    Yes,
    /// As the SSH user.
    No,
}

/// Where a script's standard input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// Nothing: what follows the script is never read.
    Closed,
    /// The payload.
    Payload,
}

/// Which shared functions a script needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kit {
    /// How to answer, and the fence.
    Base,
    /// The same, with what tells whether a process is alive.
    Process,
    /// The same, with what takes locks.
    Lock,
    /// The same as the base, with what changes something.
    Act,
    /// The same, with what runs the user's commands.
    Command,
}

impl Kit {
    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Base => &[BASE],
            Self::Process => &[BASE, PROC],
            Self::Lock => &[BASE, PROC, LOCK],
            Self::Act => &[BASE, PROC, ACT],
            Self::Command => &[BASE, PROC, ACT, COMMAND],
        }
    }
}

/// A script in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    text: String,
}

impl Draft {
    /// Begins with the environment and the variables that every script has, within a brace that only a whole script closes: a
    /// shell runs nothing of a group that it could not read to its end.
    ///
    /// # Errors
    /// [`ScriptError::Root`] for a root in which nothing may be done.
    pub(crate) fn new(site: &Site) -> Result<Self, ScriptError> {
        let root = site.root()?;
        let mut draft = Self::rootless();
        draft.value("ROOT", root)?;
        draft.value("STATE", &format!("{root}/.rollgate"))?;
        draft.value("ID", site.rollout.as_str())?;
        draft.value("TOKEN", site.token.as_str())?;
        draft.value("FORMAT", &FORMAT.to_string())?;
        Ok(draft)
    }

    /// Begins a script that belongs to no folder of releases, and has no fence: whoever sends it has seen to that.
    pub(crate) fn rootless() -> Self {
        Self {
            text: String::from(
                "{\nLC_ALL=C; export LC_ALL; PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/sbin:/sbin; export PATH; umask 022\n\
                 TAB='\t'\nNL='\n'\n",
            ),
        }
    }

    /// Sets a variable.
    pub(crate) fn value(&mut self, name: &str, value: &str) -> Result<(), ScriptError> {
        let quoted = quote(name, value)?;
        for part in [name, "=", &quoted, "\n"] {
            self.text.push_str(part);
        }
        Ok(())
    }

    /// Defines `with_NAME COMMAND…`: calls the command with `words` behind its own arguments.
    pub(crate) fn words<S: AsRef<str>>(
        &mut self,
        name: &str,
        words: &[S],
    ) -> Result<(), ScriptError> {
        let mut text = format!("with_{name}() {{ \"$@\"");
        for word in words {
            text.push(' ');
            text.push_str(&quote(name, word.as_ref())?);
        }
        text.push_str("; }\n");
        self.text.push_str(&text);
        Ok(())
    }

    /// Defines a function that calls each of `lines`, word by word.
    pub(crate) fn function(
        &mut self,
        name: &str,
        lines: &[Vec<String>],
    ) -> Result<(), ScriptError> {
        let mut text = format!("{name}() {{ :");
        for line in lines {
            text.push('\n');
            for word in line {
                text.push_str(&quote(name, word)?);
                text.push(' ');
            }
        }
        text.push_str("\n}\n");
        self.text.push_str(&text);
        Ok(())
    }

    /// Defines `NAME ARGUMENT…`: runs `words` with further arguments behind them. The words of `before` are shell text, and stay as
    /// they are.
    pub(crate) fn command<S: AsRef<str>>(
        &mut self,
        name: &str,
        before: &str,
        words: &[S],
    ) -> Result<(), ScriptError> {
        let mut text = format!("{name}() {{ {before}");
        for word in words {
            text.push_str(&quote(name, word.as_ref())?);
            text.push(' ');
        }
        text.push_str("\"$@\"; }\n");
        self.text.push_str(&text);
        Ok(())
    }

    /// Ends with the functions and the one call. Comments and indentation are left out: a host reads the script byte by byte.
    pub(crate) fn finish(mut self, kit: Kit, body: &[&str], stdin: Stdin) -> Arc<str> {
        for part in kit.parts().iter().chain(body) {
            for line in part.lines().map(str::trim_start) {
                // What tells the linter why a line is as it is stays: the linter reads what is sent.
                let comment = line.starts_with('#') && !line.starts_with("# shellcheck");
                if !line.is_empty() && !comment {
                    self.text.push_str(line);
                    self.text.push('\n');
                }
            }
        }
        self.text.push_str(match stdin {
            Stdin::Closed => "main </dev/null\n}\n",
            Stdin::Payload => "main\n}\n",
        });
        Arc::from(self.text)
    }
}

/// One shell word for `text`, whatever is in it.
fn quote(what: &str, text: &str) -> Result<String, ScriptError> {
    if text.contains('\0') {
        return Err(ScriptError::Nul {
            what: what.to_lowercase(),
            text: text.to_owned(),
        });
    }
    // Always in single quotes: the one form that every shell reads alike.
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

/// Checks a name of a folder under `releases/`.
pub(crate) fn folder_name(text: &str) -> Result<&str, ScriptError> {
    if text.is_empty() || text.starts_with('.') || text.contains(['/', '\n']) {
        return Err(ScriptError::Name {
            text: text.to_owned(),
            wanted: "the name of a folder under `releases/`",
        });
    }
    Ok(text)
}

/// Checks the name of an owner file that was seen; empty is allowed.
pub(crate) fn owner_name(text: &str) -> Result<&str, ScriptError> {
    let fine = text.is_empty() || (text.starts_with("owner.") && !text.contains(['/', '\n']));
    if fine {
        Ok(text)
    } else {
        Err(ScriptError::Name {
            text: text.to_owned(),
            wanted: "the name of an owner file",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn roots_that_are_no_folder_of_their_own_are_refused() {
        for bad in ["", "/", "//", "opt/x", "./x"] {
            let site = Site {
                root: bad.to_owned(),
                r#become: Become::None,
                rollout: RolloutId::new("r-1").unwrap(),
                token: LockToken::new("ab").unwrap(),
            };
            assert!(Draft::new(&site).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in ["", ".", "..", "a/b", ".part"] {
            assert!(folder_name(bad).is_err(), "{bad}");
        }
        assert!(owner_name("").is_ok() && owner_name("owner.a.b").is_ok());
        assert!(owner_name("../x").is_err() && owner_name("owner./../x").is_err());
    }

    #[test]
    fn a_nul_byte_is_refused() {
        assert!(matches!(
            quote("RECORD", "a\0b"),
            Err(ScriptError::Nul { .. })
        ));
    }

    proptest! {
        #[test]
        fn a_quoted_text_is_one_word_and_itself(text in "[^\0]*") {
            let quoted = quote("x", &text).unwrap();
            prop_assert_eq!(shlex::split(&quoted), Some(vec![text]));
        }
    }
}
