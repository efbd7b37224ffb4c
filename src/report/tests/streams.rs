//! Synthetic rollouts, said by the real emitter with a clock that gains 250 ms with each event.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use crate::event::{Clock, Emitter, EventKind, HostEnd, Journal, Level, Sink};
use crate::model::{
    BalancerName, Failure, HostName, HostResult, Outcome, PoolName, Revision, RolloutId,
    ServerName, TrafficSeen, TrafficState, Version,
};
use crate::report::stream::Stream;

/// What was written to a stream.
#[derive(Clone, Default)]
pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub(super) fn stream(&self) -> Stream {
        Stream::new(self.clone())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Steps(AtomicU64);

impl Clock for Steps {
    fn wall(&self) -> Timestamp {
        let start: Timestamp = "2026-11-23T14:15:02.113Z".parse().unwrap();
        let step = i64::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap();
        start + SignedDuration::from_millis(250 * step)
    }
    fn since_boot(&self) -> Duration {
        Duration::ZERO
    }
}

struct NoJournal;

impl Journal for NoJournal {
    fn append(&self, _: String, _: bool) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Says `kinds` to the sink, as a rollout would.
pub(super) fn play(kinds: Vec<EventKind>, sink: Box<dyn Sink>) {
    let id = RolloutId::new("20261123T141502Z-7f3a").unwrap();
    let emitter = Emitter::new(
        id,
        1,
        Arc::new(Steps::default()),
        Box::new(NoJournal),
        vec![sink],
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for kind in kinds {
            emitter.say(kind).await;
        }
    });
}

pub(super) fn host(number: u8) -> HostName {
    HostName::new(&format!("web-{number:02}")).unwrap()
}

fn hosts(numbers: &[u8]) -> Vec<HostName> {
    numbers.iter().map(|number| host(*number)).collect()
}

pub(super) fn traffic(number: u8, state: TrafficState) -> Vec<TrafficSeen> {
    vec![TrafficSeen {
        balancer: BalancerName::new("edge-a").unwrap(),
        pool: PoolName::new("shop").unwrap(),
        server: ServerName::new(host(number).as_str()).unwrap(),
        state,
    }]
}

fn started() -> EventKind {
    EventKind::RolloutStarted {
        command: "deploy".into(),
        service: "shop".into(),
        version: Version::new("2.0").unwrap(),
        hosts: hosts(&[1, 2, 3, 4]),
    }
}

fn planned(batches: &[&[u8]], skipped: &[(u8, &str)]) -> EventKind {
    EventKind::RolloutPlanned {
        revision: Revision(2),
        batches: batches.iter().map(|batch| hosts(batch)).collect(),
        skipped: skipped
            .iter()
            .map(|(number, why)| (host(*number), (*why).to_owned()))
            .collect(),
        least_usable: Some(2),
        warnings: vec!["no `ready.version`".into()],
    }
}

fn acquired() -> EventKind {
    EventKind::LockAcquired {
        hosts: hosts(&[1, 2, 3, 4]),
    }
}

fn released() -> EventKind {
    EventKind::LockReleased {
        hosts: hosts(&[1, 2, 3, 4]),
    }
}

fn begin() -> Vec<EventKind> {
    let mut kinds = vec![started(), acquired(), planned(&[&[1, 2], &[3, 4]], &[])];
    kinds.extend((1..=4).map(|number| EventKind::HostStaged {
        host: host(number),
        revision: Revision(2),
        sent_bytes: if number == 4 { 0 } else { 4_292_056 },
        seconds: 1.247,
    }));
    kinds
}

fn batch_started(batch: usize, numbers: &[u8]) -> EventKind {
    EventKind::BatchStarted {
        batch,
        batches: 2,
        hosts: hosts(numbers),
    }
}

/// From traffic to the first probe.
fn way_out(number: u8, batch: usize) -> Vec<EventKind> {
    let host = || host(number);
    vec![
        EventKind::HostDraining {
            host: host(),
            batch,
        },
        EventKind::HostDrained {
            host: host(),
            batch,
            seconds: 0.255,
        },
        EventKind::HostSwapping {
            host: host(),
            batch,
            revision: Revision(2),
        },
        EventKind::HostSwapped {
            host: host(),
            batch,
            revision: Revision(2),
            seconds: 0.222,
        },
        EventKind::HostProbing {
            host: host(),
            batch,
            url: format!("http://10.0.4.{number}:8080/health/ready"),
        },
    ]
}

fn way_back(number: u8, batch: usize) -> Vec<EventKind> {
    let host = || host(number);
    vec![
        EventKind::HostReady {
            host: host(),
            batch,
            probes: 7,
            version: Some("2.0".into()),
            seconds: 0.306,
        },
        EventKind::HostEnabling {
            host: host(),
            batch,
        },
        EventKind::HostEnabled {
            host: host(),
            batch,
            seconds: 0.278,
        },
        EventKind::HostSoaked {
            host: host(),
            batch,
            flaps: u32::from(number == 2),
            seconds: 10.0,
        },
    ]
}

fn not_ready() -> Failure {
    Failure {
        what: "was not ready within 4s after 81 probes".into(),
        causes: vec!["status 503 (\"warming cache\")".into()],
        hint: Some("asked http://10.0.4.3:8080/health/ready".into()),
    }
}

fn failed(number: u8, batch: usize) -> EventKind {
    EventKind::HostFailed {
        host: host(number),
        batch,
        step: "ready".into(),
        failure: not_ready(),
        logs: vec![
            "app: version 2.0 starts".into(),
            "app: \u{1b}[2Jcannot open cache".into(),
        ],
    }
}

pub(super) fn end(number: u8, result: HostResult) -> HostEnd {
    let is_new = matches!(result, HostResult::Updated | HostResult::Skipped);
    let durations = if matches!(result, HostResult::Untouched | HostResult::Skipped) {
        BTreeMap::new()
    } else {
        BTreeMap::from([("drain".to_owned(), 0.255), ("swap".to_owned(), 4.222)])
    };
    HostEnd {
        host: host(number),
        result,
        revision: Some(Revision(if is_new { 2 } else { 1 })),
        version: Some(if is_new { "2.0" } else { "1.0" }.to_owned()),
        traffic: traffic(
            number,
            if result == HostResult::Stranded {
                TrafficState::Drain
            } else {
                TrafficState::Ready
            },
        ),
        durations,
        failure: None,
        mend: Vec::new(),
    }
}

fn finished(outcome: Outcome, mixed: bool, reasons: &[&str], hosts: Vec<HostEnd>) -> EventKind {
    EventKind::RolloutFinished {
        outcome,
        exit_code: outcome.exit_status().code(),
        mixed,
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        hosts,
        seconds: 62.4,
    }
}

fn ends(results: [HostResult; 4]) -> Vec<HostEnd> {
    (1..)
        .zip(results)
        .map(|(number, result)| end(number, result))
        .collect()
}

pub(in crate::report) fn success() -> Vec<EventKind> {
    let mut kinds = begin();
    for (batch, numbers) in [(1, [1, 2]), (2, [3, 4])] {
        kinds.push(batch_started(batch, &numbers));
        for number in numbers {
            kinds.extend(way_out(number, batch));
            kinds.extend(way_back(number, batch));
        }
        kinds.push(EventKind::BatchFinished {
            batch,
            seconds: 12.3,
        });
    }
    kinds.push(released());
    kinds.push(finished(
        Outcome::Succeeded,
        false,
        &[],
        ends([HostResult::Updated; 4]),
    ));
    kinds
}

pub(super) fn nothing_to_do() -> Vec<EventKind> {
    let reason = "it runs 2.0 (revision 2) already";
    let skipped: Vec<(u8, &str)> = (1..=4).map(|number| (number, reason)).collect();
    let mut kinds = vec![started(), acquired(), planned(&[], &skipped)];
    kinds.extend((1..=4).map(|number| EventKind::HostSkipped {
        host: host(number),
        reason: reason.into(),
    }));
    kinds.push(finished(
        Outcome::Succeeded,
        false,
        &[],
        ends([HostResult::Skipped; 4]),
    ));
    kinds
}

fn taken_back(number: u8, batch: usize) -> Vec<EventKind> {
    let (host, revision) = (host(number), Some(Revision(1)));
    vec![
        EventKind::HostReverting {
            host: host.clone(),
            batch,
            revision,
        },
        EventKind::HostReverted {
            host,
            batch,
            revision,
            seconds: 0.643,
        },
    ]
}

/// The first batch passes, the second one fails: the fleet runs two releases.
pub(in crate::report) fn reverted() -> Vec<EventKind> {
    let mut kinds = begin();
    kinds.push(batch_started(1, &[1, 2]));
    kinds.push(EventKind::BatchFinished {
        batch: 1,
        seconds: 12.3,
    });
    kinds.push(batch_started(2, &[3, 4]));
    kinds.extend(way_out(3, 2));
    kinds.push(failed(3, 2));
    kinds.extend(taken_back(3, 2));
    kinds.push(EventKind::BatchFailed {
        batch: 2,
        reason: "host `web-03` failed".into(),
    });
    kinds.push(EventKind::RolloutHalted {
        reason: "host `web-03` failed".into(),
    });
    kinds.push(released());
    let results = [
        HostResult::Updated,
        HostResult::Updated,
        HostResult::Reverted,
        HostResult::Untouched,
    ];
    kinds.push(finished(
        Outcome::Reverted,
        true,
        &["host `web-03` failed"],
        ends(results),
    ));
    kinds
}

pub(in crate::report) fn stranded() -> Vec<EventKind> {
    let mut kinds = begin();
    kinds.push(batch_started(1, &[1, 2]));
    kinds.extend(way_out(1, 1));
    kinds.push(failed(1, 1));
    kinds.push(EventKind::HostReverting {
        host: host(1),
        batch: 1,
        revision: Some(Revision::FOUND),
    });
    kinds.push(EventKind::HostStranded {
        host: host(1),
        batch: 1,
        seen: "it did not answer after the swap was taken back: connection refused".into(),
        mend: vec![
            "look at the service on `web-01`, mend it, and check http://10.0.4.1:8080/health/ready"
                .into(),
            "echo 'set server shop/web-01 state ready' | socat stdio /run/haproxy/admin.sock"
                .into(),
        ],
    });
    kinds.push(EventKind::BatchFailed {
        batch: 1,
        reason: "host `web-01` failed".into(),
    });
    let results = [
        HostResult::Stranded,
        HostResult::Untouched,
        HostResult::Untouched,
        HostResult::Untouched,
    ];
    kinds.push(finished(
        Outcome::Stranded,
        false,
        &["host `web-01` failed"],
        ends(results),
    ));
    kinds
}

pub(super) fn refused() -> Vec<EventKind> {
    let reasons = [
        "host `web-02`: no route to host",
        "pool `shop` of balancer `edge-a` would be left with no usable server; add servers, or allow it by `strategy.allow_downtime = true` or `--allow-downtime`",
    ];
    vec![
        started(),
        acquired(),
        planned(&[], &[]),
        released(),
        finished(
            Outcome::Refused,
            false,
            &reasons,
            ends([HostResult::Untouched; 4]),
        ),
    ]
}

pub(super) fn locked() -> Vec<EventKind> {
    let reason = "host `web-01` (held by deploy 20261123T141400Z-11aa of shop by ann@ops since 2026-11-23T14:14:00Z, last renewed 4s ago); wait for it, queue behind it with `--lock-wait 10m`, or, if it is dead, run with `--take-over`";
    vec![
        started(),
        finished(Outcome::Locked, false, &[reason], Vec::new()),
    ]
}

pub(super) fn interrupted() -> Vec<EventKind> {
    let mut kinds = begin();
    kinds.push(batch_started(1, &[1, 2]));
    kinds.extend(way_out(1, 1));
    kinds.push(EventKind::Log {
        level: Level::Warning,
        text: "stopping: no new host starts, hosts under way are brought to a safe end; once more stops at once".into(),
        host: None,
    });
    kinds.extend(way_back(1, 1));
    kinds.push(EventKind::BatchFailed {
        batch: 1,
        reason: "interrupted".into(),
    });
    let results = [
        HostResult::Updated,
        HostResult::Untouched,
        HostResult::Untouched,
        HostResult::Untouched,
    ];
    kinds.push(finished(
        Outcome::Interrupted,
        true,
        &["interrupted"],
        ends(results),
    ));
    kinds
}

/// What none of the rollouts above says.
pub(super) fn rare() -> Vec<EventKind> {
    let hook = |host: Option<HostName>| EventKind::HookStarted {
        at: "before-rollout".into(),
        on: "once".into(),
        number: 1,
        host,
    };
    let done = |exit, output: &[&str]| EventKind::HookFinished {
        at: "before-rollout".into(),
        on: "once".into(),
        number: 1,
        host: Some(host(1)),
        exit,
        output: output.iter().map(|line| (*line).to_owned()).collect(),
        seconds: 3.2,
    };
    let log = |level, host| EventKind::Log {
        level,
        text: "something".into(),
        host,
    };
    vec![
        hook(None),
        hook(Some(host(1))),
        done(Some(0), &[]),
        done(Some(4), &["no such table"]),
        done(None, &[]),
        EventKind::BalancerReset {
            balancer: "edge-a".into(),
            host: host(1),
            pool: "shop".into(),
            server: "web-01".into(),
            seen: "ready".into(),
        },
        log(Level::Info, Some(host(2))),
        log(Level::Error, None),
    ]
}

/// A rollout that ended like that, with these hosts.
pub(super) fn ended(outcome: Outcome, mixed: bool, results: [HostResult; 4]) -> Vec<EventKind> {
    vec![
        started(),
        planned(&[&[1, 2], &[3, 4]], &[]),
        finished(outcome, mixed, &["a reason"], ends(results)),
    ]
}
