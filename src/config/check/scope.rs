//! Which names a template may use, by where it stands, and why not others.

use minijinja::Value;

use crate::config::merge::Host;
use crate::config::template::{Context, Scope};

const NO_RELEASE: &str = "what stands in the inventory is the same for every release";
const NO_HOST: &str = "what stands here is the same for every host";

/// `address`, where the host's name has a range.
pub(crate) const ADDRESS_IN_RANGE: Scope = Scope {
    names: &["host", "n", "nn", "vars", "env"],
    refused: ADDRESS.refused,
};

/// `address`.
pub(crate) const ADDRESS: Scope = Scope {
    names: &["host", "vars", "env"],
    refused: &[
        ("n", "the host's name has no range: write the number out"),
        ("nn", "the host's name has no range: write the number out"),
        ("address", "the address itself is what is made here"),
        ("version", NO_RELEASE),
        ("revision", NO_RELEASE),
        ("release_dir", NO_RELEASE),
        ("service", NO_RELEASE),
    ],
};

/// Strings of balancers.
pub(crate) const BALANCER: Scope = Scope {
    names: &["vars", "env"],
    refused: &[
        ("host", NO_HOST),
        ("address", NO_HOST),
        ("version", NO_RELEASE),
        ("revision", NO_RELEASE),
        ("release_dir", NO_RELEASE),
        ("service", NO_RELEASE),
        ("pool", "a socket is the same for every pool"),
        ("server", "a socket is the same for every server"),
    ],
};

const NO_RELEASE_HERE: &str = "the balancer's commands are the same for every release: use pool, server, host, address, service, vars or env";

/// What belongs to one server of a balancer: its commands, and its file.
pub(crate) const BALANCER_SERVER: Scope = Scope {
    names: &[
        "pool", "server", "host", "address", "service", "vars", "env",
    ],
    refused: &[
        ("version", NO_RELEASE_HERE),
        ("revision", NO_RELEASE_HERE),
        ("release_dir", NO_RELEASE_HERE),
        ("root", NO_RELEASE_HERE),
    ],
};

const NO_RELEASE_YET: &str = "what is rolled out, and where, is the same for every release";

/// `service` and `hosts`.
pub(crate) const PLAYBOOK: Scope = Scope {
    names: &["vars", "env"],
    refused: &[
        ("host", NO_HOST),
        ("address", NO_HOST),
        ("version", NO_RELEASE_YET),
        ("revision", NO_RELEASE_YET),
        ("release_dir", NO_RELEASE_YET),
        ("service", "the service itself is made here"),
    ],
};

const ONE_ARTIFACT: &str = "the artifact is one file here, and the same for every host";
const NOT_NUMBERED: &str =
    "the artifact is found before the release gets its number: use `version`";

/// `release.source` and `release.name`.
pub(crate) const ARTIFACT: Scope = Scope {
    names: &["service", "version", "vars", "env"],
    refused: &[
        ("host", ONE_ARTIFACT),
        ("address", ONE_ARTIFACT),
        ("root", ONE_ARTIFACT),
        ("revision", NOT_NUMBERED),
        ("release_dir", NOT_NUMBERED),
    ],
};

/// Strings that are the same for every host and release, such as `ready.ca` and `strategy.zones`.
pub(crate) const LOCAL: Scope = Scope {
    names: &["service", "vars", "env"],
    refused: &[
        ("host", NO_HOST),
        ("address", NO_HOST),
        ("version", NO_RELEASE_YET),
        ("revision", NO_RELEASE_YET),
        ("release_dir", NO_RELEASE_YET),
    ],
};

const ROOT_REASON: &str =
    "`root` holds all releases, so it is the same for every one: use host, service, vars or env";

/// `release.root`.
pub(crate) const ROOT: Scope = Scope {
    names: &["host", "address", "service", "vars", "env"],
    refused: &[
        ("version", ROOT_REASON),
        ("revision", ROOT_REASON),
        ("release_dir", ROOT_REASON),
        ("root", "the root itself is made here"),
    ],
};

const TRAFFIC_REASON: &str =
    "the balancer's entry stays while releases change: use host, address, service, vars or env";

/// Strings of `[[traffic]]`.
pub(crate) const TRAFFIC: Scope = Scope {
    names: &["host", "address", "service", "vars", "env"],
    refused: &[
        ("version", TRAFFIC_REASON),
        ("revision", TRAFFIC_REASON),
        ("release_dir", TRAFFIC_REASON),
    ],
};

const READY_REASON: &str =
    "a revert asks the release before at the same URL; to check the version use `ready.version`";

/// `ready.http`.
pub(crate) const READY: Scope = Scope {
    names: &["host", "address", "service", "vars", "env"],
    refused: &[
        ("version", READY_REASON),
        ("revision", READY_REASON),
        ("release_dir", READY_REASON),
    ],
};

/// Strings of `[run]`, and of hooks that belong to a host.
pub(crate) const RELEASE: Scope = Scope {
    names: &[
        "host",
        "address",
        "version",
        "revision",
        "release_dir",
        "service",
        "root",
        "vars",
        "env",
    ],
    refused: &[],
};

/// Texts of `[[release.files]]`.
pub(crate) const FILE: Scope = Scope {
    names: &[
        "host",
        "address",
        "version",
        "revision",
        "release_dir",
        "service",
        "root",
        "vars",
        "env",
        "secret",
    ],
    refused: &[],
};

const WHOLE_ROLLOUT: &str = "this hook runs once for the rollout or batch, not for a host: use ROLLGATE_* of its environment";

/// Strings of `local` hooks at points of a rollout or batch.
pub(crate) const ROLLOUT: Scope = Scope {
    names: &["service", "version", "vars", "env"],
    refused: &[
        ("host", WHOLE_ROLLOUT),
        ("address", WHOLE_ROLLOUT),
        ("revision", WHOLE_ROLLOUT),
        ("release_dir", WHOLE_ROLLOUT),
        ("root", WHOLE_ROLLOUT),
    ],
};

/// What the command line and the process's environment give to every template.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// `--var`.
    pub vars: Vec<(String, String)>,
    /// The environment.
    pub env: Value,
}

impl Given {
    /// The environment of this process, as far as it is text, and variables of the command line.
    pub(crate) fn new(vars: &[(String, String)]) -> Self {
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            vars: vars.to_vec(),
            env: Value::from_pairs(env),
        }
    }

    /// For what belongs to no host.
    pub(crate) fn context(&self) -> Context {
        let vars = Value::from_pairs(self.vars.iter().cloned());
        Context::default()
            .with("vars", vars)
            .with("env", self.env.clone())
    }

    /// For one host; `--var` beats its variables.
    pub(crate) fn context_of(&self, host: &Host) -> Context {
        let mut vars = host.vars.clone();
        for (name, value) in &self.vars {
            vars.insert(name.clone(), Value::from(value.clone()));
        }
        let vars = Value::from_pairs(vars);
        Context::default()
            .with("vars", vars)
            .with("env", self.env.clone())
            .with("host", host.name.as_str())
    }
}
