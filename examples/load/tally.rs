//! What was counted, and how it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::End;

/// The width of a bucket of the timeline.
const BUCKET: Duration = Duration::from_millis(500);

/// One stretch of time.
#[derive(Debug, Clone, Default)]
struct Bucket {
    versions: BTreeMap<String, u64>,
    failed: u64,
}

impl Bucket {
    fn is_of_one_version_with(&self, other: &Self) -> bool {
        self.versions.len() == 1 && self.versions.keys().eq(other.versions.keys())
    }

    fn add(&mut self, other: &Self) {
        for (version, count) in &other.versions {
            *self.versions.entry(version.clone()).or_default() += count;
        }
        self.failed += other.failed;
    }

    fn line(&self) -> String {
        let mut parts: Vec<String> = self
            .versions
            .iter()
            .map(|(version, count)| format!("{version}: {count:<5}"))
            .collect();
        if self.failed > 0 {
            parts.push(format!("failed: {}", self.failed));
        }
        parts.join("  ").trim_end().to_owned()
    }
}

/// Everything that was counted.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    began: Instant,
    ended: Option<Instant>,
    sent: u64,
    ok: u64,
    statuses: BTreeMap<u16, u64>,
    lost_reused: u64,
    lost_fresh: u64,
    cut_off: u64,
    not_connected: u64,
    timed_out: u64,
    versions: BTreeMap<String, u64>,
    timeline: BTreeMap<u64, Bucket>,
    /// Milliseconds of each answered request.
    times: Vec<f64>,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new(began: Instant) -> Self {
        Self {
            began,
            ended: None,
            sent: 0,
            ok: 0,
            statuses: BTreeMap::new(),
            lost_reused: 0,
            lost_fresh: 0,
            cut_off: 0,
            not_connected: 0,
            timed_out: 0,
            versions: BTreeMap::new(),
            timeline: BTreeMap::new(),
            times: Vec::new(),
        }
    }

    /// Counts one request by its end.
    pub(crate) fn count(&mut self, began: Instant, ended: Instant, end: End) {
        self.sent += 1;
        let slot = ended.duration_since(self.began).as_millis() / BUCKET.as_millis();
        let bucket = self
            .timeline
            .entry(u64::try_from(slot).unwrap_or(u64::MAX))
            .or_default();
        let mut has_failed = true;
        match end {
            End::Answer { status, version } => {
                self.times
                    .push(ended.duration_since(began).as_secs_f64() * 1000.0);
                has_failed = status >= 400;
                *self.statuses.entry(status).or_default() += 1;
                if !has_failed {
                    self.ok += 1;
                    let version = version.unwrap_or_else(|| "?".to_owned());
                    *bucket.versions.entry(version.clone()).or_default() += 1;
                    *self.versions.entry(version).or_default() += 1;
                }
            }
            End::NotConnected => self.not_connected += 1,
            End::LostReused => self.lost_reused += 1,
            End::LostFresh => self.lost_fresh += 1,
            End::CutOff => self.cut_off += 1,
            End::TimedOut => self.timed_out += 1,
        }
        if has_failed {
            bucket.failed += 1;
        }
    }

    /// Nothing more comes.
    pub(crate) fn end(&mut self) {
        self.ended = Some(Instant::now());
        self.times.sort_by(f64::total_cmp);
    }

    fn seconds(&self) -> f64 {
        self.ended
            .unwrap_or_else(Instant::now)
            .duration_since(self.began)
            .as_secs_f64()
    }

    /// The value below which `percent` of the answers lie, in milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let at = self.times.len().saturating_sub(1) * percent / 100;
        self.times.get(at).copied().unwrap_or(0.0)
    }

    /// The summary; `failed` is the sum of the kinds that follow it.
    pub(crate) fn summary(&self) -> Value {
        let timeline: Vec<Value> = self
            .timeline
            .iter()
            .map(|(slot, bucket)| {
                json!({
                    "ms": slot * u64::try_from(BUCKET.as_millis()).unwrap_or(1),
                    "versions": bucket.versions,
                    "failed": bucket.failed,
                })
            })
            .collect();
        json!({
            "v": 1,
            "seconds": rounded(self.seconds()),
            "sent": self.sent,
            "ok": self.ok,
            "failed": self.sent - self.ok,
            "bad_status": self.statuses.iter().filter(|(s, _)| **s >= 400).map(|(_, n)| n).sum::<u64>(),
            "lost_on_reused": self.lost_reused,
            "lost_on_fresh": self.lost_fresh,
            "cut_off": self.cut_off,
            "not_connected": self.not_connected,
            "timed_out": self.timed_out,
            "statuses": self.statuses,
            "versions": self.versions,
            "ms": {
                "p50": rounded(self.percentile(50)),
                "p99": rounded(self.percentile(99)),
                "max": rounded(self.percentile(100)),
            },
            "timeline": timeline,
        })
    }

    /// Which versions answered when, for people: a line for each stretch in which that did not change.
    pub(crate) fn timeline(&self) -> String {
        let mut text = String::from("   seconds    answers by version\n");
        let mut buckets = self.timeline.iter().peekable();
        while let Some((first, bucket)) = buckets.next() {
            let mut sum = bucket.clone();
            let mut last = *first;
            // A stretch with one version goes on; where two share the requests, every half second is told.
            while let Some((slot, next)) =
                buckets.next_if(|(_, next)| sum.is_of_one_version_with(next))
            {
                sum.add(next);
                last = *slot;
            }
            let width = BUCKET.as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "a count of half seconds")]
            let (from, to) = (*first as f64 * width, (last + 1) as f64 * width);
            // Writing to a String cannot fail.
            let _ok = writeln!(text, "{from:6.1} - {to:6.1}  {}", sum.line());
        }
        text
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let mut line = format!(
            "{} requests in {:.1}s, {} failed; answered by",
            self.sent,
            self.seconds(),
            self.sent - self.ok
        );
        for (version, count) in &self.versions {
            // Writing to a String cannot fail.
            let _ok = write!(line, " {version}: {count}");
        }
        line
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
