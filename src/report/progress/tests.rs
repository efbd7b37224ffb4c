use indicatif::{InMemoryTerm, TermLike};
use jiff::Timestamp;

use super::super::tests::streams;
use super::*;
use crate::event::fold::HostState;
use crate::event::{FORMAT, HostPhase};
use crate::model::{HostName, RolloutId};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The state after each of the first `count` events, one a second.
fn after(kinds: &[EventKind], count: usize) -> RolloutState {
    let mut state = RolloutState::default();
    for (number, kind) in kinds.iter().take(count).enumerate() {
        state.apply(&event(number, kind.clone()));
    }
    state
}

fn event(number: usize, kind: EventKind) -> Event {
    Event {
        v: FORMAT,
        time: at(number.try_into().unwrap()),
        rollout: RolloutId::new("20260202T000000Z-0002").unwrap(),
        attempt: 1,
        seq: number as u64 + 1,
        kind,
    }
}

fn shown(kinds: &[EventKind], count: usize, screen: Screen) -> String {
    let now = at(i64::try_from(count).unwrap() + 1);
    draw::lines(&after(kinds, count), now, screen, Paint::PLAIN).join("\n")
}

#[test]
fn the_display_follows_a_rollout() {
    let kinds = streams::reverted();
    let mut moments = String::new();
    for count in (1..kinds.len()).step_by(3) {
        moments += &format!(
            "--- after {count} events\n{}\n",
            shown(&kinds, count, USUAL)
        );
    }
    insta::assert_snapshot!(moments);
}

#[test]
fn a_narrow_terminal_cuts_lines_and_never_wraps() {
    let kinds = streams::reverted();
    for count in 1..kinds.len() {
        let narrow = Screen {
            columns: 30,
            rows: 10,
        };
        for line in shown(&kinds, count, narrow).lines() {
            assert!(crate::report::text::width(line) < 30, "{line}");
        }
    }
}

#[test]
fn hundreds_of_hosts_fit_on_a_screen() {
    let mut state = RolloutState {
        batch: 1,
        batches: 2,
        started: Some(at(0)),
        ..RolloutState::default()
    };
    for n in 0..300 {
        let host = HostState {
            phase: HostPhase::Draining,
            batch: usize::from(n < 200),
            since: Some(at(0)),
            ..HostState::default()
        };
        state
            .hosts
            .insert(HostName::new(&format!("web-{n:03}")).unwrap(), host);
    }
    let lines = draw::lines(&state, at(3), USUAL, Paint::PLAIN);
    assert!(lines.len() < USUAL.rows, "{} lines", lines.len());
    assert_eq!(
        lines.last().unwrap(),
        "  179 more in this batch, 100 waiting"
    );
}

#[test]
fn what_a_host_says_cannot_move_the_cursor() {
    let mut state = RolloutState {
        batch: 1,
        batches: 1,
        ..RolloutState::default()
    };
    let note = "\u{1b}[2Jgone\nline".to_owned();
    let host = HostState {
        phase: HostPhase::Failed,
        batch: 1,
        note,
        ..HostState::default()
    };
    state.hosts.insert(HostName::new("web-01").unwrap(), host);
    let lines = draw::lines(&state, at(3), USUAL, Paint::PLAIN);
    assert!(
        lines.iter().all(|line| !line.contains(['\u{1b}', '\n'])),
        "{lines:?}"
    );
}

#[test]
fn what_stays_is_on_the_screen_and_the_display_is_gone_at_the_end() {
    let term = InMemoryTerm::new(40, 100);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 20);
    let above = Stream::new(Above(term.clone()));
    let mut progress = Progress::new(above, Paint::PLAIN, TimeZone::UTC, target);
    let mut state = RolloutState::default();
    let kinds = streams::reverted();
    for (number, kind) in kinds.iter().enumerate() {
        let event = event(number, kind.clone());
        state.apply(&event);
        progress.event(&event, &state);
        redraw(
            &progress.shown,
            &progress
                .display
                .as_ref()
                .map_or_else(ProgressBar::hidden, |display| display.bar.clone()),
            Paint::PLAIN,
            USUAL,
        );
    }
    assert!(progress.display.is_none());
    insta::assert_snapshot!(term.contents());
}

/// The same screen for what is written above the display.
struct Above(InMemoryTerm);

impl std::io::Write for Above {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.0.write_line(line)?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
