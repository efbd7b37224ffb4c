//! Names and numbers that identify things, each checked when it is made.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that may not be used as the name it was meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct InvalidName {
    /// The refused text.
    pub text: String,
    /// What it should have been, such as `host name`.
    pub what: &'static str,
    /// What is allowed instead.
    pub rule: &'static str,
}

const NAME_RULE: &str = "use letters, digits and `._:@-`, and do not begin with `-`";

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:@-".contains(&b))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes it a name.
            ///
            /// # Errors
            /// [`InvalidName`] when the text holds something that the rule of this name does not allow.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(InvalidName { text: text.to_owned(), what: $what, rule: $rule })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name_type!(
    /// A host of the inventory, ranges already expanded.
    HostName, "host name", NAME_RULE, is_name
);
name_type!(
    /// A service: what one playbook rolls out.
    ServiceName, "service name", NAME_RULE, is_name
);
name_type!(
    /// A balancer of the inventory.
    BalancerName, "balancer name", NAME_RULE, is_name
);
name_type!(
    /// A pool of a balancer: an `HAProxy` backend or an nginx upstream.
    PoolName, "pool name", NAME_RULE, is_name
);
name_type!(
    /// A server of a pool: one host's entry there.
    ServerName, "server name", NAME_RULE, is_name
);
name_type!(
    /// The version of a release, as its users call it. Compared byte for byte.
    Version,
    "version",
    "begin with a letter or digit, then letters, digits and `._+-`, 128 characters at most",
    |text| text.len() <= 128
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
);
name_type!(
    /// The id of one rollout, such as `20261123T141502Z-7f3a`: sorts by the time at which it began.
    RolloutId,
    "rollout id",
    "a UTC time and four hexadecimal digits, such as 20261123T141502Z-7f3a",
    |text| text.len() <= 64 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
name_type!(
    /// What tells one process of a rollout from another one: part of the lock's file name, and so of the fence.
    LockToken,
    "lock token",
    "hexadecimal digits",
    |text| !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
);
name_type!(
    /// A SHA-256 digest: 64 lower-case hexadecimal digits.
    Sha256,
    "SHA-256 digest",
    "64 lower-case hexadecimal digits",
    |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

/// The number of a release on the fleet: 1, 2, 3 … ; 0 is what was found on a host before rollgate's first release there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// What was there before rollgate came.
    pub const FOUND: Self = Self(0);

    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet() {
        for good in ["web-01", "10.0.0.1:8080", "a@b", "_x"] {
            assert!(HostName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", "a b", "a/b", "ä", "a\n"] {
            assert!(HostName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_begin_with_a_letter_or_digit() {
        assert!(Version::new("1.4.2-rc1+build").is_ok());
        assert!(Version::new(&"a".repeat(128)).is_ok());
        for bad in ["", ".1", "-1", "a/b", "a:b", &"a".repeat(129)] {
            assert!(Version::new(bad).is_err(), "{bad}");
        }
    }
}
