//! What is written on a host before each act there.

use std::sync::atomic::Ordering;

use super::Job;
use super::context::{Context, HostContext};
use crate::model::record::{Before, FORMAT, StrandedNote};
use crate::model::{
    Admin, FoundTraffic, HostFacts, HostName, Record, RecordSeen, RecordStep, Revision,
    RevisionLine, RevisionOutcome, TrafficState, redact,
};

impl Job {
    /// What a host holds of the rollout that is gone on with.
    pub(super) fn earlier_record<'a>(&self, facts: &'a HostFacts) -> Option<&'a Record> {
        let resumes = self.resumes.as_ref()?;
        match &facts.record {
            RecordSeen::Read(record) if record.rollout == resumes.rollout => Some(record),
            RecordSeen::Read(_) | RecordSeen::Corrupt(_) | RecordSeen::Absent => None,
        }
    }
}

impl Context {
    /// The record of `host` at `step`.
    pub(super) fn record(&self, host: &HostContext, step: RecordStep) -> Record {
        let current = host.planned.current.as_ref();
        let swapped = {
            let mut ledger = host.ledger();
            ledger.step = step;
            ledger.swapped
        };
        Record {
            v: FORMAT,
            rollout: self.job.rollout.clone(),
            attempt: self.job.attempt,
            command: self.job.command.clone(),
            service: self.job.service.clone(),
            target: host.target.clone(),
            by: self.job.by.clone(),
            started: self
                .emitter
                .state()
                .started
                .unwrap_or_else(|| self.world.clock.wall()),
            options: self.job.options.clone(),
            keys: self.job.keys.clone(),
            batches: self.all_batches().to_vec(),
            failed: self.failed_hosts(),
            hooks: self
                .hooks
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone(),
            step,
            swapped,
            going_back: self.going_back.load(Ordering::Relaxed),
            undo: self.job.undo.is_some(),
            before: current.map(|current| Before {
                revision: current.revision,
                version: current.version.clone(),
                dir: current.dir.clone(),
            }),
            proof: host.planned.proof.clone(),
            found: host.found(),
            left: left_as(host, step),
            stranded: None,
        }
    }

    /// The batches of the whole rollout, also of what earlier attempts did.
    pub(super) fn all_batches(&self) -> &[Vec<HostName>] {
        let resumed = self.plan.resumed.as_ref();
        resumed.map_or(&self.plan.batches, |resumed| &resumed.batches)
    }

    /// The record of a host that is left for a person.
    pub(super) fn stranded_record(
        &self,
        host: &HostContext,
        seen: &str,
        mend: &[String],
        left: Vec<FoundTraffic>,
    ) -> Record {
        let note = StrandedNote {
            seen: redact(seen).into_owned(),
            mend: mend.iter().map(|line| redact(line).into_owned()).collect(),
            since: self.world.clock.wall(),
        };
        Record {
            left,
            stranded: Some(note),
            ..self.record(host, RecordStep::Stranded)
        }
    }

    /// `revisions.jsonl` with the target's line at `outcome`; what was found keeps, or gets, its line 0.
    pub(super) fn revisions(
        &self,
        name: &HostName,
        host: &HostContext,
        outcome: RevisionOutcome,
    ) -> Vec<RevisionLine> {
        let mut lines: Vec<RevisionLine> = host
            .facts
            .revisions
            .iter()
            .filter(|line| line.revision != self.revision())
            .cloned()
            .collect();
        if let Some(current) = host
            .planned
            .current
            .as_ref()
            .filter(|current| current.revision == Revision::FOUND)
            && !lines.iter().any(|line| line.revision == Revision::FOUND)
        {
            lines.insert(0, self.found_line(current));
        }
        let before = host
            .facts
            .revisions
            .iter()
            .find(|line| line.revision == self.revision());
        if self.job.undo.is_some() && outcome == RevisionOutcome::Succeeded {
            self.mark_undone(host, &mut lines);
        }
        lines.push(self.target_line(name, host, outcome, before));
        lines.sort_by_key(|line| line.revision);
        lines
    }

    /// What ran before an `undo` is not deployed again by itself (F4).
    fn mark_undone(&self, host: &HostContext, lines: &mut [RevisionLine]) {
        let undone = host
            .planned
            .current
            .as_ref()
            .map(|current| current.revision);
        let ran = lines
            .iter_mut()
            .filter(|line| Some(line.revision) == undone && line.revision != self.revision());
        for line in ran.filter(|line| line.outcome != RevisionOutcome::Found) {
            line.good |= was_good(line);
            line.outcome = RevisionOutcome::Undone;
            line.at = self.world.clock.wall();
            line.by.clone_from(&self.job.by);
            line.rollout = Some(self.job.rollout.clone());
        }
    }

    fn found_line(&self, current: &crate::model::ReleaseRef) -> RevisionLine {
        RevisionLine {
            v: FORMAT,
            revision: Revision::FOUND,
            version: current.version.clone(),
            sha256: None,
            config: None,
            dir: current.dir.clone(),
            by: String::new(),
            from: "found".to_owned(),
            at: self.world.clock.wall(),
            outcome: RevisionOutcome::Found,
            good: true,
            rollout: None,
        }
    }

    fn target_line(
        &self,
        _name: &HostName,
        host: &HostContext,
        outcome: RevisionOutcome,
        before: Option<&RevisionLine>,
    ) -> RevisionLine {
        // A release that was only staged again keeps what it had earned before.
        if outcome == RevisionOutcome::Staged
            && let Some(line) = before
        {
            return line.clone();
        }
        // What was found stays so, however often it is gone back to.
        if let Some(line) = before.filter(|line| line.revision == Revision::FOUND) {
            return line.clone();
        }
        RevisionLine {
            v: FORMAT,
            revision: host.target.revision,
            version: Some(host.target.version.clone()),
            sha256: Some(host.target.sha256.clone()),
            config: Some(host.target.config.clone()),
            dir: host
                .release
                .dir
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            by: self.job.by.clone(),
            from: self.job.artifact.from.clone(),
            at: self.world.clock.wall(),
            outcome,
            good: outcome == RevisionOutcome::Succeeded || before.is_some_and(was_good),
            rollout: Some(self.job.rollout.clone()),
        }
    }
}

fn was_good(line: &RevisionLine) -> bool {
    line.good
        || matches!(
            line.outcome,
            RevisionOutcome::Succeeded | RevisionOutcome::Undone
        )
}

/// In which state rollgate leaves the host's servers while it does not hold them out: before its turn as they were seen, at its end as
/// they were put back. What differs later was changed by somebody else.
fn left_as(host: &HostContext, step: RecordStep) -> Vec<FoundTraffic> {
    if step != RecordStep::Planned {
        let mut left = host.found();
        let cut = host.ledger().cut.clone();
        for entry in &mut left {
            if cut.iter().any(|cut| cut.is_same_server(entry)) {
                entry.admin = Admin::Maint;
            }
        }
        return left;
    }
    let seen = |entry: &FoundTraffic| {
        let now = host
            .planned
            .traffic
            .iter()
            .find(|now| entry.is_at(&now.balancer, &now.pool, &now.server))?;
        let admin = match now.state {
            TrafficState::Ready | TrafficState::Down => Admin::Ready,
            TrafficState::Drain => Admin::Drain,
            TrafficState::Maint => Admin::Maint,
        };
        Some(FoundTraffic {
            admin,
            ..entry.clone()
        })
    };
    host.planned.found.iter().filter_map(seen).collect()
}
