//! `--output human`: the live display of a terminal.
//!
//! A heading, one line for each host of the batch under way, redrawn ten times a second, and the others as numbers. What must not be
//! lost (failures with the service's last lines, finished batches, warnings) is printed once, above the display, and stays.
//!
//! The drawing is a pure function ([`draw`]); what is here owns the terminal and one thread, and gives both back at the end, also when
//! it is dropped.

mod draw;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::draw::Screen;
use super::paint::Paint;
use super::plain;
use super::stream::Stream;
use crate::event::{Event, EventKind, Level, RolloutState, Sink};

/// Ten times a second: as fast as an eye follows numbers.
const REDRAW: Duration = Duration::from_millis(100);

/// What a terminal is taken for that does not tell its size.
const USUAL: Screen = Screen {
    columns: 80,
    rows: 24,
};

/// The display on standard error; `None` when that is no terminal.
pub fn sink(err: Stream, paint: Paint, zone: TimeZone) -> Option<Box<dyn Sink>> {
    std::io::stderr().is_terminal().then(|| {
        let target = ProgressDrawTarget::stderr_with_hz(10);
        Box::new(Progress::new(err, paint, zone, target)) as Box<dyn Sink>
    })
}

/// What the drawing thread looks at.
#[derive(Debug, Default)]
struct Shown {
    state: RolloutState,
    /// The last event's time, and when it was heard.
    heard: Option<(Timestamp, Instant)>,
}

impl Shown {
    fn now(&self) -> Timestamp {
        let Some((time, at)) = self.heard else {
            return Timestamp::UNIX_EPOCH;
        };
        time.checked_add(at.elapsed()).unwrap_or(time)
    }
}

struct Progress {
    err: Stream,
    paint: Paint,
    zone: TimeZone,
    shown: Arc<Mutex<Shown>>,
    display: Option<Display>,
}

/// The terminal's part: given back when dropped.
struct Display {
    err: Stream,
    bars: MultiProgress,
    bar: ProgressBar,
    /// Dropping it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A drawing that panicked has nothing more to say.
            drop(thread.join());
        }
        self.bar.finish_and_clear();
        // The terminal may be gone; then there is nothing to clear.
        drop(self.bars.clear());
        self.err.set_display(None);
    }
}

impl Progress {
    fn new(err: Stream, paint: Paint, zone: TimeZone, target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let bar = bars.add(ProgressBar::new_spinner());
        // The only template that this crate uses is a plain message, which every version of the library knows.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        err.set_display(Some(bars.clone()));
        let shown = Arc::new(Mutex::new(Shown::default()));
        let (stop, stopped) = mpsc::channel();
        let (seen, drawn) = (Arc::clone(&shown), bar.clone());
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                redraw(&seen, &drawn, paint, screen());
            }
        });
        let display = Display {
            err: err.clone(),
            bars,
            bar,
            stop: Some(stop),
            thread: Some(thread),
        };
        Self {
            err,
            paint,
            zone,
            shown,
            display: Some(display),
        }
    }
}

fn redraw(shown: &Mutex<Shown>, bar: &ProgressBar, paint: Paint, screen: Screen) {
    let lines = {
        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        draw::lines(&shown.state, shown.now(), screen, paint)
    };
    bar.set_message(lines.join("\n"));
    bar.tick();
}

fn screen() -> Screen {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    match size {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Screen {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
        },
        _ => USUAL,
    }
}

impl Sink for Progress {
    fn event(&mut self, event: &Event, state: &RolloutState) {
        {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.state = state.clone();
            shown.heard = Some((event.time, Instant::now()));
        }
        if matches!(event.kind, EventKind::RolloutFinished { .. }) {
            self.display = None;
        }
        if stays(&event.kind) {
            self.err
                .lines(&plain::lines(event, state, &self.zone, self.paint));
        }
    }
}

/// Whether an event is printed once and stays; the others only move the display.
fn stays(kind: &EventKind) -> bool {
    match kind {
        EventKind::RolloutPlanned { .. }
        | EventKind::RolloutHalted { .. }
        | EventKind::BatchFinished { .. }
        | EventKind::BatchFailed { .. }
        | EventKind::HostFailed { .. }
        | EventKind::HostReverted { .. }
        | EventKind::HostStranded { .. }
        | EventKind::HookFinished { .. }
        | EventKind::BalancerReset { .. } => true,
        EventKind::Log { level, .. } => *level != Level::Info,
        EventKind::RolloutStarted { .. }
        | EventKind::RolloutFinished { .. }
        | EventKind::BatchStarted { .. }
        | EventKind::HostStaged { .. }
        | EventKind::HostDraining { .. }
        | EventKind::HostDrained { .. }
        | EventKind::HostSwapping { .. }
        | EventKind::HostSwapped { .. }
        | EventKind::HostProbing { .. }
        | EventKind::HostReady { .. }
        | EventKind::HostEnabling { .. }
        | EventKind::HostEnabled { .. }
        | EventKind::HostSoaked { .. }
        | EventKind::HostSkipped { .. }
        | EventKind::HostReverting { .. }
        | EventKind::LockAcquired { .. }
        | EventKind::LockReleased { .. }
        | EventKind::HookStarted { .. } => false,
    }
}
