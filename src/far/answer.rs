//! Answers of scripts: lines of `key<TAB>value`, closed by `done<TAB>yes`.

use super::record;

/// The exit code of a script whose fence did not hold.
const FENCED: u32 = 91;
/// The exit code of a script that failed in a known way.
const FAILED: u32 = 92;

/// The lines of a whole answer, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    lines: Vec<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The lock is not ours.
    Fenced {
        /// Whose it is, for people.
        holder: Option<String>,
    },
    /// A failure that the script knew and named.
    Failed {
        /// In words.
        what: String,
        /// What the command printed, last lines.
        output: Vec<String>,
    },
    /// Anything else: what was done is unknown.
    Garbled(String),
}

impl Answer {
    /// Reads what a script left behind.
    ///
    /// # Errors
    /// [`Refusal`] unless it ended with 0 and a whole answer.
    pub fn read(code: u32, stdout: &[u8], stderr: &[u8]) -> Result<Self, Refusal> {
        let answer = Self::parse(stdout);
        match code {
            0 if answer.get("done").is_some() => Ok(answer),
            0 => Err(Refusal::Garbled(
                "the answer ends before its last line".to_owned(),
            )),
            FENCED if answer.get("fenced").is_some() => Err(Refusal::Fenced {
                holder: answer.holder(),
            }),
            FAILED if answer.get("failed").is_some() => Err(Refusal::Failed {
                what: answer.all("failed").collect::<Vec<_>>().join("; "),
                output: answer.output(),
            }),
            code => Err(Refusal::Garbled(format!(
                "the script ended with {code}{}",
                complaint(stderr)
            ))),
        }
    }

    /// The lines of `bytes`, whatever they are: lines without a tab say nothing.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let lines = text
            .split('\n')
            .filter_map(|line| line.split_once('\t'))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self { lines }
    }

    /// The first value under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Every value under `key`, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The value under `key`, which must be there.
    ///
    /// # Errors
    /// A text that names the key.
    pub fn need(&self, key: &str) -> Result<&str, String> {
        self.get(key).ok_or_else(|| format!("it has no `{key}`"))
    }

    /// What a command printed, without the empty lines at its end.
    pub fn output(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.all("out").map(str::to_owned).collect();
        while lines.last().is_some_and(|line| line.trim().is_empty()) {
            lines.pop();
        }
        lines
    }

    fn holder(&self) -> Option<String> {
        let file = self.get("holder")?;
        let owner = self
            .get("holder_text")
            .and_then(|text| record::read_owner(file, text));
        Some(match owner {
            Some(owner) => format!("{} ({} of {})", owner.rollout, owner.command, owner.by),
            None => file.strip_prefix("owner.").unwrap_or(file).to_owned(),
        })
    }
}

fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    match text.trim().lines().last() {
        Some(line) => format!(": {line}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_without_its_last_line_is_garbled() {
        assert!(matches!(
            Answer::read(0, b"code\t0\n", b""),
            Err(Refusal::Garbled(_))
        ));
        let answer = Answer::read(0, b"motd\ncode\t0\nout\ta\tb\nout\t\ndone\tyes\n", b"").unwrap();
        assert_eq!(answer.get("code"), Some("0"));
        assert_eq!(answer.output(), ["a\tb"]);
    }

    #[test]
    fn exit_codes_count_only_with_their_words() {
        assert!(matches!(
            Answer::read(91, b"", b""),
            Err(Refusal::Garbled(_))
        ));
        assert_eq!(
            Answer::read(91, b"holder\towner.r.t\nfenced\tyes\n", b""),
            Err(Refusal::Fenced {
                holder: Some("r.t".to_owned())
            })
        );
        assert_eq!(
            Answer::read(92, b"out\tboom\nfailed\tit broke\n", b""),
            Err(Refusal::Failed {
                what: "it broke".to_owned(),
                output: vec!["boom".to_owned()]
            })
        );
        assert_eq!(
            Answer::read(2, b"", b"sh: 1: Syntax error\n"),
            Err(Refusal::Garbled(
                "the script ended with 2: sh: 1: Syntax error".to_owned()
            ))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(code in 0u32..256, out: Vec<u8>, err: Vec<u8>) {
            let _answer = Answer::read(code, &out, &err);
        }
    }
}
