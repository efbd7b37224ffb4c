//! One host's passage, as a state machine: what next, given what happened so far.

use std::collections::VecDeque;

use super::{Action, Ending, Order, Step, Undo};
use crate::model::{Failure, HookPoint, OnFailure};

/// What decides a host's course and does not change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether it was in traffic when found: then what runs must be proven before it gets traffic again, and it may not be left in
    /// traffic without a service.
    pub was_in_traffic: bool,
    /// Whether there is a release to go back to.
    pub has_before: bool,
    /// What a failure of its own does.
    pub on_failure: OnFailure,
}

/// Which steps were begun, and so may have changed something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Begun {
    drain: bool,
    swap: bool,
    enable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Forward,
    Unwinding { queue: VecDeque<Undo>, end: Ending },
    Ended(Ending),
}

/// A host's passage. Ask [`HostCycle::next`], do it, and tell how it went by [`HostCycle::done`] or [`HostCycle::fail`]; hand on what the
/// batch orders by [`HostCycle::steer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCycle {
    traits: Traits,
    steps: VecDeque<Step>,
    begun: Begun,
    mode: Mode,
    failure: Option<Failure>,
}

impl HostCycle {
    /// A host at the beginning of its cycle. `hooks` are the host points at which the playbook has something to run.
    pub fn new(traits: Traits, hooks: &[HookPoint]) -> Self {
        let all = [
            Step::Hook(HookPoint::BeforeDrain),
            Step::Drain,
            Step::Hook(HookPoint::AfterDrain),
            Step::Swap,
            Step::Hook(HookPoint::AfterSwap),
            Step::Prove,
            Step::Hook(HookPoint::BeforeEnable),
            Step::Enable,
            Step::Hook(HookPoint::AfterEnable),
            Step::Soak,
        ];
        let wanted = |step: &Step| match step {
            Step::Hook(point) => hooks.contains(point),
            Step::Drain | Step::Swap | Step::Prove | Step::Enable | Step::Soak => true,
        };
        Self {
            traits,
            steps: all.into_iter().filter(wanted).collect(),
            begun: Begun::default(),
            mode: Mode::Forward,
            failure: None,
        }
    }

    /// A host of a rollout that was cut off after something was begun there: all steps again, and what an earlier attempt may have done is
    /// undone when they do not come to their end.
    pub fn begun_before(traits: Traits, hooks: &[HookPoint], swapped: bool) -> Self {
        let mut cycle = Self::new(traits, hooks);
        cycle.begun.drain = true;
        cycle.begun.swap = swapped;
        // It may even serve: then it is taken out before anything else is undone.
        cycle.begun.enable = swapped;
        cycle
    }

    /// A host of a rollout that was cut off, on which the new release runs: what is left from its proof on. Whether it was put back into
    /// traffic is not known, so it may have been.
    pub fn from_proof(traits: Traits, hooks: &[HookPoint]) -> Self {
        let mut cycle = Self::new(traits, hooks);
        let is_left = |step: &Step| {
            !matches!(
                step,
                Step::Drain
                    | Step::Swap
                    | Step::Hook(HookPoint::BeforeDrain | HookPoint::AfterDrain)
            )
        };
        cycle.steps.retain(is_left);
        cycle.begun = Begun {
            drain: true,
            swap: true,
            enable: true,
        };
        cycle
    }

    /// A host of a rollout that was cut off, on its way back. `swap`: the release before must be swapped in again; `reverted`: its swap
    /// is, or was before, taken back.
    pub fn back(traits: Traits, (swap, reverted): (bool, bool), cause: Failure) -> Self {
        if swap {
            return Self::passed_earlier(traits, cause);
        }
        let mut cycle = Self {
            traits,
            steps: VecDeque::new(),
            begun: Begun {
                drain: true,
                ..Begun::default()
            },
            mode: Mode::Forward,
            failure: Some(cause),
        };
        cycle.unwind();
        if let Mode::Unwinding { end, .. } = &mut cycle.mode
            && reverted
        {
            *end = Ending::Reverted;
            cycle.begun.swap = true;
        }
        cycle
    }

    /// A host that passed its gate in an earlier batch and is now taken back (`on_failure = "revert-all"`).
    pub fn passed_earlier(traits: Traits, cause: Failure) -> Self {
        let begun = Begun {
            drain: true,
            swap: true,
            enable: true,
        };
        let mut cycle = Self {
            traits,
            steps: VecDeque::new(),
            begun,
            mode: Mode::Forward,
            failure: Some(cause),
        };
        cycle.unwind();
        cycle
    }

    /// What to do next. The same until something is told.
    pub fn next(&self) -> Action {
        match &self.mode {
            Mode::Forward => self
                .steps
                .front()
                .map_or(Action::AwaitGate, |step| Action::Do(*step)),
            Mode::Unwinding { queue, end } => queue
                .front()
                .map_or(Action::End(*end), |undo| Action::Undo(*undo)),
            Mode::Ended(end) => Action::End(*end),
        }
    }

    /// The step or undo that [`HostCycle::next`] named is about to act: from here on it may have changed something.
    pub fn begin(&mut self) {
        if let Action::Do(step) = self.next() {
            match step {
                Step::Drain => self.begun.drain = true,
                Step::Swap => self.begun.swap = true,
                Step::Enable => self.begun.enable = true,
                Step::Hook(_) | Step::Prove | Step::Soak => {}
            }
        }
    }

    /// It went well.
    pub fn done(&mut self) {
        match &mut self.mode {
            Mode::Forward => {
                self.steps.pop_front();
            }
            Mode::Unwinding { queue, .. } => {
                queue.pop_front();
            }
            Mode::Ended(_) => {}
        }
    }

    /// It failed. Forward: the host is taken back, or held out under `halt`. In an undo: the host is stranded; the first cause is kept.
    pub fn fail(&mut self, failure: Failure) {
        match self.mode {
            Mode::Forward => {
                self.failure.get_or_insert(failure);
                if self.traits.on_failure == OnFailure::Halt && self.begun.swap {
                    self.hold_out();
                } else {
                    self.unwind();
                }
            }
            Mode::Unwinding { .. } => {
                match &mut self.failure {
                    Some(first) => first
                        .causes
                        .push(format!("and going back failed: {}", failure.line())),
                    None => self.failure = Some(failure),
                }
                self.mode = Mode::Ended(Ending::Stranded);
            }
            Mode::Ended(_) => {}
        }
    }

    /// It cannot go on, for a reason that is none of its own: back, as after a failure, also under `halt`.
    pub fn turn_back(&mut self, why: Failure) {
        if self.mode == Mode::Forward {
            self.failure.get_or_insert(why);
            self.unwind();
        }
    }

    /// The host cannot be trusted with any further act, forward or back.
    pub fn strand(&mut self, failure: Failure) {
        match &mut self.failure {
            Some(first) => first.causes.push(failure.line()),
            None => self.failure = Some(failure),
        }
        self.mode = Mode::Ended(Ending::Stranded);
    }

    /// What the batch orders. Returns whether it changed the host's course.
    pub fn steer(&mut self, order: Order) -> bool {
        if self.mode != Mode::Forward {
            return false;
        }
        let at_gate = self.steps.is_empty();
        match order {
            Order::ReturnUnswapped if !self.begun.swap => self.unwind(),
            Order::Revert => self.unwind(),
            Order::Pass if at_gate => self.mode = Mode::Ended(Ending::Passed),
            Order::Go | Order::ReturnUnswapped | Order::Pass => return false,
        }
        true
    }

    /// Whether `order` would change the host's course now: what waits look at to know that they may end early.
    pub fn is_steered_by(&self, order: Order) -> bool {
        self.clone().steer(order)
    }

    /// The first thing that went wrong with this host, with what went wrong afterwards among its causes.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether the new release may run, or have run, on the host.
    pub fn was_swapped(&self) -> bool {
        self.begun.swap
    }

    /// Whether any step that changes something was begun.
    pub fn was_touched(&self) -> bool {
        self.begun.drain || self.begun.swap || self.begun.enable
    }

    fn unwind(&mut self) {
        let Begun {
            drain,
            swap,
            enable,
        } = self.begun;
        let mut queue = VecDeque::new();
        if enable {
            queue.push_back(Undo::DrainAgain);
        }
        if swap {
            queue.push_back(Undo::SwapBack);
        }
        let mut end = if swap {
            Ending::Reverted
        } else {
            Ending::Returned
        };
        if swap && !self.traits.has_before && self.traits.was_in_traffic {
            // Stopped, and nothing to put in its place: a server that gets traffic again would answer nobody.
            end = Ending::Stranded;
        } else if drain {
            if self.traits.has_before || !swap {
                queue.push_back(Undo::ProveBefore);
            }
            queue.push_back(Undo::Restore);
        }
        self.mode = Mode::Unwinding { queue, end };
    }

    fn hold_out(&mut self) {
        let queue = if self.begun.enable {
            VecDeque::from([Undo::DrainAgain])
        } else {
            VecDeque::new()
        };
        self.mode = Mode::Unwinding {
            queue,
            end: Ending::HeldOut,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRAITS: Traits = Traits {
        was_in_traffic: true,
        has_before: true,
        on_failure: OnFailure::RevertBatch,
    };

    /// Runs a cycle to its end: step number `fails` fails, before or after it began; `orders` comes before step number `ordered`.
    fn run(
        traits: Traits,
        fails: usize,
        begun: bool,
        ordered: usize,
        order: Order,
        undo_fails: Option<usize>,
    ) -> (Vec<Action>, Ending) {
        let mut cycle = HostCycle::new(traits, &[]);
        let mut seen = Vec::new();
        let (mut forward, mut undos) = (0, 0);
        loop {
            if forward == ordered {
                cycle.steer(order);
            }
            let action = cycle.next();
            seen.push(action);
            assert!(seen.len() < 50, "no end: {seen:?}");
            match action {
                Action::End(end) => return (seen, end),
                Action::AwaitGate => assert!(cycle.steer(Order::Pass)),
                Action::Do(_) => {
                    if forward != fails || begun {
                        cycle.begin();
                    }
                    if forward == fails {
                        cycle.fail(Failure::new("broke"));
                    } else {
                        cycle.done();
                    }
                    forward += 1;
                }
                Action::Undo(_) => {
                    cycle.begin();
                    if Some(undos) == undo_fails {
                        cycle.fail(Failure::new("undo broke"));
                    } else {
                        cycle.done();
                    }
                    undos += 1;
                }
            }
        }
    }

    fn undos(seen: &[Action]) -> Vec<Undo> {
        seen.iter()
            .filter_map(|action| {
                if let Action::Undo(undo) = action {
                    Some(*undo)
                } else {
                    None
                }
            })
            .collect()
    }

    #[test]
    fn a_good_host_goes_through_every_step_and_passes() {
        let (seen, end) = run(TRAITS, 99, true, 99, Order::Go, None);
        assert_eq!(end, Ending::Passed);
        assert_eq!(undos(&seen), []);
    }

    #[test]
    fn a_failed_proof_swaps_back_proves_and_restores() {
        let (seen, end) = run(TRAITS, 2, true, 99, Order::Go, None);
        assert_eq!(end, Ending::Reverted);
        assert_eq!(
            undos(&seen),
            [Undo::SwapBack, Undo::ProveBefore, Undo::Restore]
        );
    }

    #[test]
    fn a_failed_soak_drains_again_first() {
        let (seen, _) = run(TRAITS, 4, true, 99, Order::Go, None);
        assert_eq!(
            undos(&seen),
            [
                Undo::DrainAgain,
                Undo::SwapBack,
                Undo::ProveBefore,
                Undo::Restore
            ]
        );
    }

    #[test]
    fn a_swap_that_failed_is_undone_all_the_same() {
        let (seen, end) = run(TRAITS, 1, true, 99, Order::Go, None);
        assert_eq!(
            (undos(&seen), end),
            (
                vec![Undo::SwapBack, Undo::ProveBefore, Undo::Restore],
                Ending::Reverted
            )
        );
    }

    #[test]
    fn a_drain_that_never_began_leaves_nothing_to_undo() {
        let (seen, end) = run(TRAITS, 0, false, 99, Order::Go, None);
        assert_eq!((undos(&seen), end), (vec![], Ending::Returned));
    }

    #[test]
    fn a_neighbours_failure_takes_back_a_host_at_its_gate() {
        let (seen, end) = run(TRAITS, 99, true, 5, Order::Revert, None);
        assert_eq!(end, Ending::Reverted);
        assert_eq!(
            undos(&seen),
            [
                Undo::DrainAgain,
                Undo::SwapBack,
                Undo::ProveBefore,
                Undo::Restore
            ]
        );
    }

    #[test]
    fn an_interrupt_returns_only_hosts_that_were_not_swapped() {
        let (seen, end) = run(TRAITS, 99, true, 1, Order::ReturnUnswapped, None);
        assert_eq!(
            (undos(&seen), end),
            (vec![Undo::ProveBefore, Undo::Restore], Ending::Returned)
        );
        assert_eq!(
            run(TRAITS, 99, true, 2, Order::ReturnUnswapped, None).1,
            Ending::Passed
        );
    }

    #[test]
    fn halt_leaves_the_failed_host_out_of_traffic() {
        let traits = Traits {
            on_failure: OnFailure::Halt,
            ..TRAITS
        };
        assert_eq!(run(traits, 2, true, 99, Order::Go, None).1, Ending::HeldOut);
        let (seen, end) = run(traits, 4, true, 99, Order::Go, None);
        assert_eq!(
            (undos(&seen), end),
            (vec![Undo::DrainAgain], Ending::HeldOut)
        );
        assert_eq!(
            run(traits, 0, true, 99, Order::Go, None).1,
            Ending::Returned
        );
    }

    #[test]
    fn a_first_release_that_fails_is_stopped_and_gets_no_traffic_without_a_service() {
        let first = Traits {
            has_before: false,
            ..TRAITS
        };
        let (seen, end) = run(first, 2, true, 99, Order::Go, None);
        assert_eq!(
            (undos(&seen), end),
            (vec![Undo::SwapBack], Ending::Stranded)
        );
        let never_served = Traits {
            was_in_traffic: false,
            ..first
        };
        let (seen, end) = run(never_served, 2, true, 99, Order::Go, None);
        assert_eq!(
            (undos(&seen), end),
            (vec![Undo::SwapBack, Undo::Restore], Ending::Reverted)
        );
    }

    proptest! {
        /// Whatever fails and whatever is ordered: it ends; what is put back was proven first; a failed undo strands; nothing is swapped
        /// back that was not swapped.
        #[test]
        fn every_course_ends_within_the_rules(
            was_in_traffic: bool, has_before: bool, policy in 0u8..3, fails in 0usize..7, begun: bool, ordered in 0usize..7, which in 0u8..3,
            undo_fails in proptest::option::of(0usize..4),
        ) {
            let on_failure = [OnFailure::RevertBatch, OnFailure::RevertAll, OnFailure::Halt][usize::from(policy)];
            let order = [Order::Go, Order::ReturnUnswapped, Order::Revert][usize::from(which)];
            let traits = Traits { was_in_traffic, has_before, on_failure };
            let (seen, end) = run(traits, fails, begun, ordered, order, undo_fails);
            let undone = undos(&seen);
            if let Some(restore) = undone.iter().position(|undo| *undo == Undo::Restore)
                && (has_before || !seen.contains(&Action::Do(Step::Swap)))
            {
                prop_assert!(undone[..restore].contains(&Undo::ProveBefore));
            }
            if undone.contains(&Undo::SwapBack) {
                prop_assert!(seen.contains(&Action::Do(Step::Swap)));
            }
            if undo_fails.is_some_and(|nth| nth < undone.len()) {
                prop_assert_eq!(end, Ending::Stranded);
            }
            if end == Ending::Passed {
                prop_assert!(undone.is_empty());
            }
        }
    }
}
