//! Keys and kinds of the contract that this version knows and does not support: each is an error that says so, never ignored
//! and never "unknown". Whoever builds one takes its line out here and puts a field into the shape.

use crate::config::diagnostic::nearest;

const COMMAND_RELEASE: &str = "it belongs to releases of kind \"command\"; this version rolls kinds \"binary\", \"archive\" and \"container\": take the key out";
const REMOTE: &str = "it belongs to sources that are fetched; fetch the file before the rollout and name the local one";

/// Table, key, and what to do instead.
const KEYS: &[(&str, &str, &str)] = &[
    ("release", "sha256", REMOTE),
    ("release", "fetch", REMOTE),
    ("release", "ca", REMOTE),
    (
        "release",
        "verify",
        "check the signature before the rollout (the digest is checked on every host all the same) and take the key out",
    ),
    (
        "release",
        "swap",
        "a container is stopped before its successor starts, and releases of kind \"command\" are not supported yet: take the key out",
    ),
    ("release", "revert", COMMAND_RELEASE),
    ("release", "current", COMMAND_RELEASE),
];

/// Kinds of releases that come later.
pub(crate) const RELEASE_KINDS: &[&str] = &["command"];

/// What to do about a key of a later version; `None` where it is none.
pub(crate) fn find(table: &str, key: &str) -> Option<&'static str> {
    KEYS.iter()
        .find(|(of, name, _)| *of == table && *name == key)
        .map(|(_, _, help)| *help)
}

/// The key of a later version that is nearest to `key` in this table.
pub(crate) fn nearest_key(table: &str, key: &str) -> Option<&'static str> {
    nearest(
        key,
        KEYS.iter()
            .filter(|(of, _, _)| *of == table)
            .map(|(_, name, _)| *name),
    )
}
