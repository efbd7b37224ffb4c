//! rollgate: an agentless, SSH-based fleet rolling deployer.
//!
//! One minute's map. A reader goes from top to bottom: what was asked, what will happen, how one host moves, what was said, who does
//! it, with what, what runs on the far side, and how it looks.
//!
//! | module | owns | may use |
//! | --- | --- | --- |
//! | [`model`] | the domain's words as values: names, policies, what was seen, what hosts keep, outcomes | nothing of ours |
//! | [`config`] | inventory and playbook: read, checked all at once, rendered into `model` | model |
//! | [`plan`] | facts → batches, hosts to leave alone, what is refused and why. Pure | model |
//! | [`cycle`] | one host's steps, their undo, and when a wait is over. Pure | model, plan |
//! | [`event`] | what happened, numbered, written ahead, folded into state | model, plan, cycle |
//! | [`engine`] | the order of things: look, lock, stage, batches, finish; through traits only | all of the above, traits of drivers |
//! | [`drivers`] | SSH, balancers, probes, hosts, the journal. They do; they decide nothing | model, far |
//! | [`far`] | the POSIX `sh` scripts that run on hosts, their arguments and answers. Texts only | model |
//! | [`report`] | progress, JSON, summary, plan, errors: readers of events | model, plan, cycle, event |
//! | [`cli`] | arguments, wiring, exit codes: the only room that knows all the others | everything |
//!
//! A rollout in one breath: [`cli`] parses and calls [`config::load`]; [`cli`]'s wiring opens drivers and calls [`engine::deploy`]; that
//! looks at and locks every host, makes the [`plan::Plan`], stages the release everywhere, and takes batch after batch through the
//! [`cycle`]; each step says what it does through the [`event::Emitter`] before it does it; what fails is undone, last step first.
//!
//! Read next: [`cycle`] for the heart, [`engine`] for the order, [`drivers`] for how to add one. The rules that must always hold (R1
//! to R8) are in `docs/rules.md`; `tests/architecture.rs` keeps the table above true.

pub mod cli;
pub mod config;
pub mod cycle;
pub mod drivers;
pub mod engine;
pub mod event;
pub mod far;
pub mod model;
pub mod plan;
pub mod report;
