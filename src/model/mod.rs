//! The domain's words, as values.
//!
//! Everything here is plain data: checked once when it is made, then passed around. No I/O, no clock, no template.
//!
//! * [`id`]: names and numbers that identify things ([`HostName`], [`Version`], [`Revision`], …).
//! * [`policy`]: how a rollout behaves ([`Strategy`], [`Size`], [`DrainPolicy`], [`ReadyPolicy`]).
//! * [`fleet`]: who is rolled ([`HostSpec`], [`TrafficTarget`], [`SshOptions`]).
//! * [`balancer`]: how balancers are talked to ([`BalancerSpec`], one [`BalancerKind`] a driver).
//! * [`release`]: what is rolled ([`Artifact`], [`ReleaseRef`], [`Command`], [`Run`], [`Hook`]).
//! * [`mod@unit`]: a service that is a unit of systemd.
//! * [`container`]: what a container is made of, and where its image comes from.
//! * [`observed`]: what was seen on hosts and balancers, never what was wished for.
//! * [`record`]: what a host keeps about its revisions, its rollouts and its lock.
//! * [`secret`]: what is never shown.
//! * [`outcome`]: how a host and a rollout ended, with the exit codes.

pub mod balancer;
pub mod container;
pub mod fleet;
pub mod id;
pub mod observed;
pub mod outcome;
pub mod policy;
pub mod record;
pub mod release;
pub mod rights;
pub mod secret;
pub mod unit;

pub use balancer::{
    ApiSpec, BalancerKind, BalancerSpec, CommandSpec, CredentialNames, Endpoint, HealthServer,
    HealthSpec, HealthSwitch, NginxSpec, ServerCommands,
};
pub use container::{Container, Engine, ImageRef, ImageSpec, Login, Pull, RegistrySpec};
pub use fleet::{Become, HostKeyChecking, HostSpec, Identity, JumpSpec, SshOptions, TrafficTarget};
pub use id::{
    BalancerName, HostName, InvalidName, LockToken, PoolName, Revision, RolloutId, ServerName,
    ServiceName, Sha256, Version,
};
pub use observed::{
    Admin, BalancerSeen, Current, Health, HostFacts, LockSeen, PoolSeen, ProbeAnswer, RecordSeen,
    ServerSeen, TrafficSeen, TrafficState,
};
pub use outcome::{ExitStatus, Failure, HostResult, Outcome};
pub use policy::{
    DrainPolicy, Floor, OnDrainTimeout, OnFailure, Pause, PoolPolicy, Ramp, ReadyPolicy, Size,
    Strategy, TrafficPolicy, Unreachable, VersionCheck,
};
pub use record::{
    FoundTraffic, LockOwner, Proof, Record, RecordStep, RevisionLine, RevisionOutcome, RolloutLine,
    Target,
};
pub use release::{
    Artifact, Command, FileText, Form, Hook, HookPlace, HookPoint, LOG_LINES, Overlay, Pack,
    Recipes, ReleaseFile, ReleaseKind, ReleaseRef, Restart, Run,
};
pub use rights::Rights;
pub use secret::{MASK, Secret, any_known, redact, redact_json};
pub use unit::{Unit, UnitFiles};
