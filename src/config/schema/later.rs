//! Keys and kinds of the contract that this version knows and does not support: each is an error that says so, never ignored
//! and never "unknown". Whoever builds one takes its line out here and puts a field into the shape.

use crate::config::diagnostic::nearest;

const NGINX: &str =
    "it belongs to balancers of kind \"nginx\"; this version drives kind \"haproxy\" only";
const COMMAND_BALANCER: &str =
    "it belongs to balancers of kind \"command\"; this version drives kind \"haproxy\" only";
const CONTAINER: &str = "it belongs to releases of kind \"container\"; this version rolls kinds \"binary\" and \"archive\": take the key out";
const COMMAND_RELEASE: &str = "it belongs to releases of kind \"command\"; this version rolls kinds \"binary\" and \"archive\": take the key out";
const REMOTE: &str = "it belongs to sources that are fetched; fetch the file before the rollout and name the local one";

/// Table, key, and what to do instead.
const KEYS: &[(&str, &str, &str)] = &[
    ("balancers.<name>", "config", NGINX),
    ("balancers.<name>", "test", NGINX),
    ("balancers.<name>", "reload", NGINX),
    ("balancers.<name>", "drain", COMMAND_BALANCER),
    ("balancers.<name>", "enable", COMMAND_BALANCER),
    ("balancers.<name>", "state", COMMAND_BALANCER),
    ("balancers.<name>", "in_flight", COMMAND_BALANCER),
    (
        "balancers.<name>",
        "ca",
        "no kind of balancer that this version drives speaks TLS: take the key out",
    ),
    ("release", "sha256", REMOTE),
    ("release", "fetch", REMOTE),
    ("release", "ca", REMOTE),
    (
        "release",
        "verify",
        "check the signature before the rollout (the digest is checked on every host all the same) and take the key out",
    ),
    ("release", "engine", CONTAINER),
    ("release", "image", CONTAINER),
    ("release", "ports", CONTAINER),
    ("release", "env", CONTAINER),
    ("release", "env_file", CONTAINER),
    ("release", "volumes", CONTAINER),
    ("release", "network", CONTAINER),
    ("release", "user", CONTAINER),
    ("release", "command", CONTAINER),
    ("release", "memory", CONTAINER),
    ("release", "cpus", CONTAINER),
    ("release", "restart", CONTAINER),
    ("release", "labels", CONTAINER),
    ("release", "registry", CONTAINER),
    ("release", "pull", CONTAINER),
    ("release", "swap", COMMAND_RELEASE),
    ("release", "revert", COMMAND_RELEASE),
    ("release", "current", COMMAND_RELEASE),
    (
        "run",
        "unit",
        "install the unit before the rollout and name it with `systemd`",
    ),
    (
        "run",
        "resources",
        "put the limits into the unit itself, or into a drop-in, and take the table out",
    ),
    (
        "traffic",
        "sticky",
        "take the key out; `drain.on_timeout` says what happens when requests do not end",
    ),
    (
        "traffic",
        "ramp",
        "take the table out; HAProxy's own `slowstart` ramps a server up",
    ),
    (
        "traffic",
        "min_usable",
        "take the key out; `max_unavailable` bounds the hosts that are out at once",
    ),
    (
        "strategy",
        "min_usable",
        "take the key out; `max_unavailable` bounds the hosts that are out at once",
    ),
];

/// Kinds of balancers that come later.
pub(crate) const BALANCER_KINDS: &[&str] =
    &["nginx", "command", "dataplane", "nginx-plus", "health"];

/// Kinds of releases that come later.
pub(crate) const RELEASE_KINDS: &[&str] = &["container", "command"];

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
