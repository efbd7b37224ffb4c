//! The live display: what stands on a terminal at moments of a rollout. The terminal is one in memory; the time is the last event's.

use std::io::{self, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{InMemoryTerm, TermLike};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::streams;
use crate::event::{Event, EventKind, FORMAT, RolloutState, Sink};
use crate::model::{Failure, HostName, Revision, RolloutId, Version};
use crate::report::paint::Paint;
use crate::report::progress::frame::frame;
use crate::report::progress::screen::Size;
use crate::report::progress::{Parts, Progress};
use crate::report::stream::Stream;
use crate::report::text;

/// A writer onto the screen in memory, with the carriage returns that a terminal's driver adds. It counts writes.
struct Onto(InMemoryTerm, Arc<AtomicI64>);

impl Write for Onto {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let text = std::str::from_utf8(bytes).unwrap().replace('\n', "\r\n");
        self.0.write_str(&text)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn start() -> Timestamp {
    "2026-11-23T14:15:02.113Z".parse().unwrap()
}

fn at(millis: i64) -> Timestamp {
    start() + SignedDuration::from_millis(millis)
}

/// Whether an event is the last one of a moment.
type Last = fn(&EventKind) -> bool;

/// A display on a terminal in memory, and a rollout that tells it things.
struct Stage {
    term: InMemoryTerm,
    writes: Arc<AtomicI64>,
    err: Stream,
    millis: Arc<AtomicI64>,
    state: RolloutState,
    seq: u64,
    progress: Option<Progress>,
}

impl Stage {
    fn new(rows: u16, columns: u16, by_thread: bool) -> Self {
        let term = InMemoryTerm::new(rows, columns);
        let writes = Arc::new(AtomicI64::new(0));
        let err = Stream::new(Onto(term.clone(), Arc::clone(&writes)));
        let millis = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&millis);
        let parts = Parts {
            paint: Paint::PLAIN,
            size: Arc::new(move || Size { rows, columns }),
            now: Box::new(move || at(clock.load(Ordering::Relaxed))),
            by_thread,
            no_echo: || None,
        };
        let progress = Progress::new(err.clone(), TimeZone::UTC, parts);
        Self {
            term,
            writes,
            err,
            millis,
            state: RolloutState::default(),
            seq: 0,
            progress: Some(progress),
        }
    }

    fn say(&mut self, kind: EventKind) {
        self.seq += 1;
        let event = Event {
            v: FORMAT,
            time: at(self.millis.fetch_add(250, Ordering::Relaxed) + 250),
            rollout: RolloutId::new("20261123T141502Z-7f3a").unwrap(),
            attempt: 1,
            seq: self.seq,
            kind,
        };
        self.state.apply(&event);
        self.progress.as_mut().unwrap().event(&event, &self.state);
    }

    /// Says the events up to the first one that is `last`, and returns the others.
    fn until(&mut self, kinds: Vec<EventKind>, last: Last) -> Vec<EventKind> {
        let mut kinds = kinds.into_iter();
        loop {
            let kind = kinds.next().expect("the last event never came");
            let is_last = last(&kind);
            self.say(kind);
            if is_last {
                return kinds.collect();
            }
        }
    }

    fn screen(&self) -> String {
        self.term.contents()
    }
}

/// The moments of a rollout whose second batch fails.
fn moments(rows: u16, columns: u16) -> String {
    let mut stage = Stage::new(rows, columns, false);
    let mut said = String::new();
    let mut rest = streams::reverted();
    let lasts: [(&str, Last); 7] = [
        ("started", |kind| {
            matches!(kind, EventKind::RolloutStarted { .. })
        }),
        (
            "staging",
            |kind| matches!(kind, EventKind::HostStaged { host, .. } if host.as_str() == "web-02"),
        ),
        ("first batch", |kind| {
            matches!(kind, EventKind::BatchStarted { .. })
        }),
        ("second batch", |kind| {
            matches!(kind, EventKind::HostProbing { .. })
        }),
        ("failure with logs", |kind| {
            matches!(kind, EventKind::HostFailed { .. })
        }),
        ("reverting", |kind| {
            matches!(kind, EventKind::HostReverting { .. })
        }),
        ("halted", |kind| {
            matches!(kind, EventKind::RolloutHalted { .. })
        }),
    ];
    for (name, last) in lasts {
        rest = stage.until(rest, last);
        said.push_str(&format!("--- {name}\n{}\n", stage.screen()));
    }
    stage.until(rest, |kind| {
        matches!(kind, EventKind::RolloutFinished { .. })
    });
    stage.err.line("the summary stands here");
    said.push_str(&format!("--- end\n{}\n", stage.screen()));
    said
}

#[test]
fn a_rollout_on_a_usual_terminal() {
    insta::assert_snapshot!("progress_80x24", moments(24, 80));
}

#[test]
fn a_rollout_on_a_narrow_terminal() {
    insta::assert_snapshot!("progress_40x24", moments(24, 40));
}

fn names(count: usize) -> Vec<HostName> {
    (1..=count)
        .map(|number| HostName::new(&format!("web-{number:03}")).unwrap())
        .collect()
}

fn fleet(stage: &mut Stage, count: usize, batch: usize) {
    let hosts = names(count);
    let version = Version::new("2.0").unwrap();
    stage.say(EventKind::RolloutStarted {
        command: "deploy".into(),
        service: "shop".into(),
        version,
        hosts: hosts.clone(),
    });
    for host in &hosts {
        stage.say(EventKind::HostStaged {
            host: host.clone(),
            revision: Revision(2),
            sent_bytes: 0,
            seconds: 0.1,
        });
    }
    stage.say(EventKind::BatchStarted {
        batch: 1,
        batches: count.div_ceil(batch),
        hosts: hosts.iter().take(batch).cloned().collect(),
    });
}

#[test]
fn three_hundred_hosts_on_24_lines() {
    let mut stage = Stage::new(24, 80, false);
    fleet(&mut stage, 300, 150);
    let hosts = names(300);
    for host in hosts.iter().take(100).skip(60).cloned() {
        stage.say(EventKind::HostDraining { host, batch: 1 });
    }
    stage.say(EventKind::HostFailed {
        host: hosts[140].clone(),
        batch: 1,
        step: "drain".into(),
        failure: Failure {
            what: "was not drained within 5s".into(),
            causes: vec!["2 connections are left".into()],
            hint: None,
        },
        logs: Vec::new(),
    });
    let screen = stage.screen();
    assert!(screen.lines().count() <= 24, "{screen}");
    insta::assert_snapshot!("progress_300_hosts", screen);
}

/// The function alone, on every size: never wider, never higher, and the header always there.
#[test]
fn a_frame_fits_every_terminal() {
    let mut stage = Stage::new(24, 80, false);
    fleet(&mut stage, 30, 20);
    for rows in 1..40_u16 {
        for columns in 1..100_u16 {
            let size = Size { rows, columns };
            let lines = frame(&stage.state, size, at(600_000), Paint::PLAIN);
            assert!(
                lines.len()
                    <= usize::from(
                        rows.saturating_sub(rows / 4)
                            .saturating_sub(u16::from(rows < 4))
                            .max(1)
                    ),
                "{size:?}: {lines:#?}"
            );
            assert!(!lines.is_empty());
            for line in lines {
                assert!(
                    text::width(&line) <= usize::from(columns),
                    "{size:?}: {line}"
                );
            }
        }
    }
}

#[test]
fn colours_add_nothing_but_escape_sequences() {
    let mut stage = Stage::new(24, 80, false);
    fleet(&mut stage, 30, 20);
    let size = Size {
        rows: 24,
        columns: 80,
    };
    let plain = frame(&stage.state, size, at(9_000), Paint::PLAIN);
    let coloured = frame(&stage.state, size, at(9_000), Paint::new(true));
    assert_ne!(plain, coloured);
    let bare: Vec<String> = coloured
        .iter()
        .map(|line| {
            anstream::adapter::strip_str(line)
                .to_string()
                .trim_end()
                .to_owned()
        })
        .collect();
    assert_eq!(bare, plain);
}

/// Hooks, pauses between batches, a whole fleet taken back: as text.
#[test]
fn rare_moments() {
    let mut stage = Stage::new(24, 80, false);
    fleet(&mut stage, 4, 2);
    let hosts = names(4);
    let size = Size {
        rows: 24,
        columns: 80,
    };
    let mut said = String::new();
    let mut look = |stage: &Stage, name: &str| {
        let lines = frame(&stage.state, size, at(12_000), Paint::PLAIN).join("\n");
        said.push_str(&format!("--- {name}\n{lines}\n"));
    };
    stage.say(EventKind::HookStarted {
        at: "before-drain".into(),
        on: "host".into(),
        number: 1,
        host: Some(hosts[0].clone()),
    });
    look(&stage, "a hook on a host");
    for host in hosts.iter().take(2).cloned() {
        stage.say(EventKind::HostSoaked {
            host,
            batch: 1,
            flaps: 0,
            seconds: 1.0,
        });
    }
    stage.say(EventKind::BatchFinished {
        batch: 1,
        seconds: 2.0,
    });
    stage.say(EventKind::HookStarted {
        at: "after-batch".into(),
        on: "once".into(),
        number: 2,
        host: None,
    });
    look(&stage, "between batches, with a hook");
    stage.say(EventKind::BatchStarted {
        batch: 2,
        batches: 2,
        hosts: hosts[2..].to_vec(),
    });
    stage.say(EventKind::RolloutHalted {
        reason: "host `web-003` failed".into(),
    });
    stage.say(EventKind::BatchFailed {
        batch: 2,
        reason: "host `web-003` failed".into(),
    });
    stage.say(EventKind::HostReverting {
        host: hosts[0].clone(),
        batch: 1,
        revision: Some(Revision(1)),
    });
    look(&stage, "an earlier batch is taken back");
    insta::assert_snapshot!("progress_rare", said);
}

/// Lines of others while the display is up stand above it, each once, and so does the display.
#[test]
fn other_lines_stand_above_the_display() {
    let mut stage = Stage::new(24, 80, false);
    fleet(&mut stage, 4, 2);
    for number in 1..=5 {
        let mut other = stage.err.clone();
        writeln!(other, "WARN line {number} of a library").unwrap();
    }
    let screen = stage.screen();
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines[0], "WARN line 1 of a library");
    assert_eq!(lines[4], "WARN line 5 of a library");
    assert!(lines[5].starts_with("deploy shop 2.0"), "{screen}");
    assert_eq!(screen.matches("deploy shop").count(), 1, "{screen}");
    write!(stage.err, "a line without an end").unwrap();
    drop(stage.progress.take());
    assert_eq!(stage.screen().lines().last(), Some("a line without an end"));
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what} never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_thread_redraws_as_time_goes_by_and_stops_when_dropped() {
    let mut stage = Stage::new(24, 80, true);
    fleet(&mut stage, 4, 2);
    wait_for("the display", || stage.screen().contains("batch 1 of 2"));
    stage.millis.store(75_250, Ordering::Relaxed);
    wait_for("the time", || stage.screen().contains("1m15s"));
    drop(stage.progress.take());
    assert_eq!(stage.screen(), "", "something of the display is left");
    let writes = stage.writes.load(Ordering::Relaxed);
    stage.millis.store(90_000, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(
        stage.writes.load(Ordering::Relaxed),
        writes,
        "it still draws"
    );
    stage.err.line("the shell's prompt");
    assert_eq!(stage.screen(), "the shell's prompt");
}

/// What stands there already is not written again.
#[test]
fn an_unchanged_display_is_not_drawn_again() {
    let mut stage = Stage::new(24, 80, true);
    fleet(&mut stage, 4, 2);
    wait_for("the display", || stage.screen().contains("batch 1 of 2"));
    std::thread::sleep(Duration::from_millis(150));
    let writes = stage.writes.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(350));
    assert_eq!(stage.writes.load(Ordering::Relaxed), writes);
}

/// A terminal that went away ends the display and nothing else.
#[test]
fn a_lost_terminal_does_no_harm() {
    struct Gone(Arc<Mutex<usize>>);
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += 1;
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let tries = Arc::new(Mutex::new(0));
    let parts = Parts {
        paint: Paint::PLAIN,
        size: Arc::new(|| Size {
            rows: 24,
            columns: 80,
        }),
        now: Box::new(start),
        by_thread: true,
        no_echo: || None,
    };
    let progress = Progress::new(Stream::new(Gone(Arc::clone(&tries))), TimeZone::UTC, parts);
    streams::play(streams::reverted(), Box::new(progress));
    assert_eq!(*tries.lock().unwrap(), 1);
}
