//! Values that are one of a few words.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::diagnostic::nearest;
use super::field::HELP_MARK;
use crate::model::{
    Become, Engine, HookPlace, HookPoint, HostKeyChecking, OnDrainTimeout, OnFailure, Pull,
    Unreachable,
};

/// Which way the readiness URL is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// Through the host's `sshd`.
    Ssh,
    /// From this machine.
    Direct,
}

/// What happens to clients that stick to a draining server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sticky {
    /// They stay as long as the drain waits.
    Keep,
    /// They are sent elsewhere when its time is over.
    Cut,
}

/// A value that is written as one of a few words.
pub(crate) trait Vocabulary: Copy + 'static {
    /// Every word with what it means.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<T>(pub(crate) T);

fn all_words<T: Vocabulary>() -> String {
    let words: Vec<String> = T::WORDS
        .iter()
        .map(|(word, _)| format!("{word:?}"))
        .collect();
    words.join(", ")
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor<T>(PhantomData<T>);
        impl<T: Vocabulary> Visitor<'_> for WordVisitor<T> {
            type Value = Word<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "one of {}", all_words::<T>())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Word<T>, E> {
                if let Some((_, meaning)) = T::WORDS.iter().find(|(word, _)| *word == text) {
                    return Ok(Word(*meaning));
                }
                let help = match nearest(text, T::WORDS.iter().map(|(word, _)| *word)) {
                    Some(word) => {
                        format!("did you mean \"{word}\"? Words there: {}", all_words::<T>())
                    }
                    None => format!("write one of {}", all_words::<T>()),
                };
                Err(E::custom(format!("unknown word `{text}`{HELP_MARK}{help}")))
            }
        }
        deserializer.deserialize_any(WordVisitor(PhantomData))
    }
}

macro_rules! vocabulary {
    ($($type:ty { $($word:literal => $value:expr),+ $(,)? })+) => {
        $(impl Vocabulary for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $value)),+];
        })+
    };
}

vocabulary! {
    Sticky { "keep" => Self::Keep, "cut" => Self::Cut }
    Via { "ssh" => Self::Ssh, "direct" => Self::Direct }
    HostKeyChecking { "strict" => Self::Strict, "accept-new" => Self::AcceptNew }
    Become { "none" => Self::None, "sudo" => Self::Sudo, "doas" => Self::Doas, "sudo-all" => Self::SudoAll }
    Engine { "docker" => Self::Docker, "podman" => Self::Podman }
    Pull { "host" => Self::Host, "push" => Self::Push }
    OnFailure { "revert-batch" => Self::RevertBatch, "revert-all" => Self::RevertAll, "halt" => Self::Halt }
    Unreachable { "fail" => Self::Fail, "skip" => Self::Skip }
    OnDrainTimeout { "fail" => Self::Fail, "continue" => Self::Continue }
    HookPlace { "local" => Self::Local, "host" => Self::Host, "once" => Self::Once }
}

#[expect(
    clippy::indexing_slicing,
    reason = "in a constant, where a wrong index does not compile"
)]
impl Vocabulary for HookPoint {
    const WORDS: &'static [(&'static str, Self)] = &{
        let mut words = [("", Self::BeforeRollout); Self::ALL.len()];
        let mut at = 0;
        while at < words.len() {
            words[at] = (Self::ALL[at].1, Self::ALL[at].0);
            at += 1;
        }
        words
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_of_a_hook_has_its_word() {
        assert_eq!(HookPoint::WORDS.len(), HookPoint::ALL.len());
        assert!(HookPoint::WORDS.contains(&("on-revert", HookPoint::OnRevert)));
    }
}
