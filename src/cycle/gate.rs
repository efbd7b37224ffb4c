//! When a wait is over: readiness and soak, judged answer by answer. Time comes in with each answer.

use std::time::Duration;

use crate::model::{ProbeAnswer, Proof, ReadyPolicy, Version};

/// What an answer must show to count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expectation {
    /// Statuses that count.
    pub status: Vec<u16>,
    /// The version that must be seen, byte for byte; `None`: it is not looked at.
    pub version: Option<String>,
    /// A version that must not be seen.
    pub not_version: Option<String>,
}

impl Expectation {
    /// What the new release must show.
    pub fn of_target(policy: &ReadyPolicy, version: &Version) -> Self {
        Self {
            status: policy.status.clone(),
            version: policy.version.is_some().then(|| version.to_string()),
            not_version: None,
        }
    }

    /// What a host that goes back must show: what it showed when it was found, and not the version that is taken back. `None` for a host
    /// that was not ready then: it goes back as it was, whatever it shows.
    pub fn of_before(policy: &ReadyPolicy, proof: &Proof, taken_back: &Version) -> Option<Self> {
        let differs = proof.version.as_deref() != Some(taken_back.as_str());
        proof.ready.then(|| Self {
            status: policy.status.clone(),
            version: proof.version.clone(),
            not_version: (policy.version.is_some() && differs).then(|| taken_back.to_string()),
        })
    }

    /// Whether `answer` counts; if not, why, for people.
    ///
    /// # Errors
    /// The reason why it does not count.
    pub fn judge(&self, answer: &ProbeAnswer) -> Result<(), String> {
        let Some(status) = answer.status else {
            return Err(answer.note.clone());
        };
        if !self.status.contains(&status) {
            let note = if answer.note.is_empty() {
                String::new()
            } else {
                format!(" (\"{}\")", answer.note)
            };
            return Err(format!("status {status}{note}"));
        }
        match (&self.version, &answer.version) {
            (Some(wanted), Some(seen)) if wanted != seen => Err(format!(
                "ready, but its version is `{seen}` and not `{wanted}`"
            )),
            (Some(wanted), None) => Err(format!(
                "ready, but it shows no version (`{wanted}` is wanted)"
            )),
            (Some(_) | None, seen) => match (&self.not_version, seen) {
                (Some(unwanted), Some(seen)) if unwanted == seen => {
                    Err(format!("ready, but still on `{seen}`"))
                }
                _ => Ok(()),
            },
        }
    }
}

/// What an answer means for the wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Ask again after the period.
    Wait,
    /// It is over, well.
    Pass,
    /// It is over, badly: the reason.
    GiveUp(String),
}

/// A wait for readiness, in Kubernetes' terms.
#[derive(Debug, Clone)]
pub struct ReadyGate {
    success_threshold: u32,
    failure_threshold: u32,
    deadline: Duration,
    good: u32,
    bad: u32,
    probes: u32,
    last: Option<String>,
}

impl ReadyGate {
    /// A wait that begins now.
    pub fn new(policy: &ReadyPolicy) -> Self {
        Self {
            success_threshold: policy.success_threshold.max(1),
            failure_threshold: policy.failure_threshold,
            deadline: policy.deadline,
            good: 0,
            bad: 0,
            probes: 0,
            last: None,
        }
    }

    /// Takes one judged answer, `elapsed` after the wait began.
    pub fn take(&mut self, judged: Result<(), String>, elapsed: Duration) -> Gate {
        self.probes += 1;
        match judged {
            Ok(()) => {
                self.good += 1;
                self.bad = 0;
            }
            Err(reason) => {
                self.good = 0;
                self.bad += 1;
                self.last = Some(reason);
            }
        }
        if self.good >= self.success_threshold {
            Gate::Pass
        } else if self.failure_threshold > 0 && self.bad >= self.failure_threshold {
            Gate::GiveUp(format!(
                "was not ready in {} probes in a row{}",
                self.bad,
                self.last_words()
            ))
        } else if elapsed >= self.deadline {
            Gate::GiveUp(self.overdue())
        } else {
            Gate::Wait
        }
    }

    /// The reason when the deadline passed.
    pub fn overdue(&self) -> String {
        format!(
            "was not ready within {} after {} probes{}",
            human(self.deadline),
            self.probes,
            self.last_words()
        )
    }

    /// How many answers were taken.
    pub fn probes(&self) -> u32 {
        self.probes
    }

    fn last_words(&self) -> String {
        self.last
            .as_ref()
            .map(|last| format!("; the last one: {last}"))
            .unwrap_or_default()
    }
}

/// A soak: the host must stay ready for a whole stretch; a flap starts it again; it must end within the stretch and the readiness
/// deadline together.
#[derive(Debug, Clone)]
pub struct SoakGate {
    stretch: Duration,
    limit: Duration,
    since: Duration,
    flaps: u32,
    last: Option<String>,
}

impl SoakGate {
    /// A soak that begins now.
    pub fn new(stretch: Duration, policy: &ReadyPolicy) -> Self {
        Self {
            stretch,
            limit: stretch + policy.deadline,
            since: Duration::ZERO,
            flaps: 0,
            last: None,
        }
    }

    /// Takes one judged answer, `elapsed` after the soak began.
    pub fn take(&mut self, judged: Result<(), String>, elapsed: Duration) -> Gate {
        if let Err(reason) = judged {
            self.flaps += 1;
            self.since = elapsed;
            self.last = Some(reason);
        }
        if elapsed.saturating_sub(self.since) >= self.stretch && self.last_was_good(elapsed) {
            Gate::Pass
        } else if elapsed >= self.limit {
            let last = self.last.clone().unwrap_or_default();
            Gate::GiveUp(format!(
                "did not stay ready for {} ({} flaps); the last one: {last}",
                human(self.stretch),
                self.flaps
            ))
        } else {
            Gate::Wait
        }
    }

    /// How often it was not ready.
    pub fn flaps(&self) -> u32 {
        self.flaps
    }

    fn last_was_good(&self, elapsed: Duration) -> bool {
        self.stretch.is_zero() || elapsed > self.since || self.flaps == 0
    }
}

/// A duration for people: `45s`, `1m 30s`, `500ms`.
pub fn human(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    if millis < 10_000 && !millis.is_multiple_of(1000) {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    let secs = duration.as_secs();
    let parts = [
        (secs / 3600, "h"),
        (secs % 3600 / 60, "m"),
        (secs % 60, "s"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VersionCheck;

    fn policy() -> ReadyPolicy {
        ReadyPolicy {
            status: vec![200],
            version: Some(VersionCheck::Header("x-version".into())),
            initial_delay: Duration::ZERO,
            period: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            success_threshold: 2,
            failure_threshold: 3,
            deadline: Duration::from_secs(10),
        }
    }

    fn answer(status: u16, version: Option<&str>) -> ProbeAnswer {
        ProbeAnswer {
            status: Some(status),
            version: version.map(str::to_owned),
            note: String::new(),
        }
    }

    #[test]
    fn a_liar_is_not_ready() {
        let want = Expectation::of_target(&policy(), &Version::new("2").unwrap());
        assert_eq!(want.judge(&answer(200, Some("2"))), Ok(()));
        assert!(want.judge(&answer(200, Some("1"))).is_err());
        assert!(want.judge(&answer(200, None)).is_err());
        assert!(want.judge(&answer(503, Some("2"))).is_err());
        assert!(want.judge(&ProbeAnswer::default()).is_err());
    }

    #[test]
    fn a_host_goes_back_to_what_it_showed() {
        let target = Version::new("2").unwrap();
        let proof = Proof {
            ready: true,
            status: Some(200),
            version: Some("1".into()),
        };
        let want = Expectation::of_before(&policy(), &proof, &target).unwrap();
        assert_eq!(want.judge(&answer(200, Some("1"))), Ok(()));
        assert!(want.judge(&answer(200, Some("2"))).is_err());
        let silent = Proof {
            version: None,
            ..proof
        };
        let want = Expectation::of_before(&policy(), &silent, &target).unwrap();
        assert_eq!(want.judge(&answer(200, None)), Ok(()));
        assert!(want.judge(&answer(200, Some("2"))).is_err());
        assert_eq!(
            Expectation::of_before(&policy(), &Proof::default(), &target),
            None
        );
    }

    #[test]
    fn thresholds_count_in_a_row() {
        let mut gate = ReadyGate::new(&policy());
        let at = Duration::from_secs(1);
        assert_eq!(gate.take(Ok(()), at), Gate::Wait);
        assert_eq!(gate.take(Err("x".into()), at), Gate::Wait);
        assert_eq!(gate.take(Ok(()), at), Gate::Wait);
        assert_eq!(gate.take(Ok(()), at), Gate::Pass);
        let mut gate = ReadyGate::new(&policy());
        assert_eq!(gate.take(Err("a".into()), at), Gate::Wait);
        assert_eq!(gate.take(Err("b".into()), at), Gate::Wait);
        assert!(
            matches!(gate.take(Err("c".into()), at), Gate::GiveUp(reason) if reason.contains("3 probes in a row; the last one: c"))
        );
    }

    #[test]
    fn the_deadline_gives_up_and_says_the_last_answer() {
        let mut gate = ReadyGate::new(&ReadyPolicy {
            failure_threshold: 0,
            ..policy()
        });
        assert_eq!(
            gate.take(Err("a".into()), Duration::from_secs(9)),
            Gate::Wait
        );
        assert!(
            matches!(gate.take(Err("b".into()), Duration::from_secs(10)), Gate::GiveUp(reason) if reason.contains("within 10s"))
        );
    }

    #[test]
    fn a_flap_starts_the_soak_again_and_it_ends_some_time() {
        let mut soak = SoakGate::new(Duration::from_secs(5), &policy());
        let at = Duration::from_secs;
        assert_eq!(soak.take(Ok(()), at(4)), Gate::Wait);
        assert_eq!(soak.take(Err("x".into()), at(5)), Gate::Wait);
        assert_eq!(soak.take(Ok(()), at(9)), Gate::Wait);
        assert_eq!(soak.take(Ok(()), at(10)), Gate::Pass);
        let mut soak = SoakGate::new(Duration::from_secs(5), &policy());
        assert_eq!(soak.take(Err("x".into()), at(14)), Gate::Wait);
        assert!(matches!(
            soak.take(Err("y".into()), at(15)),
            Gate::GiveUp(_)
        ));
    }

    #[test]
    fn durations_for_people() {
        let shown = |millis| human(Duration::from_millis(millis));
        assert_eq!(
            [
                shown(500),
                shown(1500),
                shown(45_000),
                shown(90_000),
                shown(3_600_000)
            ],
            ["500ms", "1.5s", "45s", "1m 30s", "1h"]
        );
    }
}
