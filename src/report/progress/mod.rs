//! The live display of a terminal: a header, a line for each host under way, counts for the rest; redrawn ten times a second.
//!
//! What must not be lost (failures with causes and log lines, warnings, log events) is written above it, where it stays. Nothing of the
//! display itself is left at the end: the final table takes its place.
//!
//! All lines are one bar of `indicatif`, drawn by one thread: a bar for each host with a tick of its own flickers.
//!
//! * [`echo`]: what is typed meanwhile. * [`frame`]: the lines, as a function of state, size and time. * [`hosts`]: those of the hosts. * [`mod@line`]: one line in its width.
//! * [`screen`]: the terminal.

mod echo;
pub(super) mod frame;
mod hosts;
mod line;
pub(super) mod screen;

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::echo::NoEcho;
use self::screen::{Screen, SizeOf};
use super::paint::Paint;
use super::plain;
use super::stream::Stream;
use crate::event::{Event, EventKind, RolloutState, Sink};

/// Ten times a second: seconds are counted, and the eye sees each step.
const REDRAW: Duration = Duration::from_millis(100);

/// The time now.
pub(super) type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Whether standard error can carry a live display: a terminal on which the cursor can be moved.
pub fn is_possible() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stderr().is_terminal() && !is_dumb
}

/// A sink that keeps a live display on `err`, which must be standard error, with times of day in `zone`.
pub fn sink(err: Stream, paint: Paint, zone: TimeZone) -> Box<dyn Sink> {
    let parts = Parts {
        paint,
        size: Arc::new(screen::stderr_size),
        now: Box::new(Timestamp::now),
        by_thread: true,
        no_echo: NoEcho::on_stderr,
    };
    Box::new(Progress::new(err, zone, parts))
}

/// What a display needs to know from outside.
pub(super) struct Parts {
    /// Colours.
    pub(super) paint: Paint,
    /// The size of the terminal.
    pub(super) size: SizeOf,
    /// The time.
    pub(super) now: Now,
    /// Redrawn ten times a second; if not, or if no thread can be had, with each event.
    pub(super) by_thread: bool,
    /// Keeps what is typed off the screen.
    pub(super) no_echo: fn() -> Option<NoEcho>,
}

/// The sink.
pub(super) struct Progress {
    err: Stream,
    zone: TimeZone,
    display: Arc<Display>,
    ticker: Option<Ticker>,
    no_echo: Option<NoEcho>,
    ended: bool,
}

impl Progress {
    pub(super) fn new(err: Stream, zone: TimeZone, parts: Parts) -> Self {
        let display = Arc::new(Display::new(&err, parts));
        Self {
            err,
            zone,
            display,
            ticker: None,
            no_echo: None,
            ended: false,
        }
    }

    fn begin(&mut self) {
        self.no_echo = (self.display.parts.no_echo)();
        self.err.set_display(Some(self.display.multi.clone()));
        if self.display.parts.by_thread {
            self.ticker = Ticker::start(Arc::clone(&self.display));
        }
    }

    /// Takes the display away. Cleared before the stream forgets it, so that no other line is written onto it in between.
    fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        drop(self.ticker.take());
        self.display.bar.finish_and_clear();
        self.err.set_display(None);
        drop(self.no_echo.take());
    }
}

impl Sink for Progress {
    fn event(&mut self, event: &Event, state: &RolloutState) {
        if self.ended {
            return;
        }
        lock(&self.display.state).apply(event);
        if matches!(event.kind, EventKind::RolloutFinished { .. }) {
            return self.end();
        }
        if matches!(event.kind, EventKind::RolloutStarted { .. }) {
            self.begin();
        }
        let time = plain::time_of_day(event.time, &self.zone);
        self.err.lines(&lasting(
            &event.kind,
            state,
            &time,
            self.display.parts.paint,
        ));
        if self.ticker.is_none() {
            self.display.draw();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// The lines of an event that stay on the screen; most events only change the display.
fn lasting(kind: &EventKind, state: &RolloutState, time: &str, paint: Paint) -> Vec<String> {
    let Some(said) = plain::said(kind, state) else {
        return Vec::new();
    };
    let has_warnings =
        matches!(kind, EventKind::RolloutPlanned { warnings, .. } if !warnings.is_empty());
    // Reverting is short, and its end is said.
    let is_trouble = said.is_trouble() && !matches!(kind, EventKind::HostReverting { .. });
    if is_trouble || has_warnings || matches!(kind, EventKind::Log { .. }) {
        said.lines(time, paint)
    } else {
        Vec::new()
    }
}

/// What is drawn, and on what.
struct Display {
    state: Mutex<RolloutState>,
    /// The lines drawn last.
    shown: Mutex<Vec<String>>,
    multi: MultiProgress,
    bar: ProgressBar,
    parts: Parts,
}

impl Display {
    fn new(err: &Stream, parts: Parts) -> Self {
        let screen = Screen::new(err.clone(), Arc::clone(&parts.size));
        // Without a rate of its own: nobody draws but the ticker, and lines that are written above.
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        let multi = MultiProgress::with_draw_target(target);
        let bar = multi.add(ProgressBar::no_length());
        // The template is a constant that a test draws with; a bar without it would show the counts of a plain one.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self {
            state: Mutex::default(),
            shown: Mutex::default(),
            multi,
            bar,
            parts,
        }
    }

    /// Draws the state as it is now, unless that stands there already.
    fn draw(&self) {
        let (now, size) = ((self.parts.now)(), (self.parts.size)());
        let lines = frame::frame(&lock(&self.state), size, now, self.parts.paint);
        let mut shown = lock(&self.shown);
        if *shown != lines {
            self.bar.set_message(lines.join("\n"));
            *shown = lines;
        }
    }
}

/// The thread that redraws; when this is dropped it clears the display and ends.
struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(display: Arc<Display>) -> Option<Self> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || redraw_until(&stopped, &display))
            .ok()?;
        Some(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

fn redraw_until(stopped: &Receiver<()>, display: &Display) {
    loop {
        display.draw();
        if stopped.recv_timeout(REDRAW) != Err(RecvTimeoutError::Timeout) {
            // Here, because `indicatif` draws nothing on a thread that panics, which may be the one that drops the display.
            return display.bar.finish_and_clear();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has drawn its last line as well.
            drop(thread.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use indicatif::{InMemoryTerm, TermLike};

    use super::screen::Size;
    use super::*;
    use crate::event::FORMAT;
    use crate::model::{HostName, RolloutId, Version};

    struct Onto(InMemoryTerm);

    impl Write for Onto {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).replace('\n', "\r\n");
            self.0.write_str(&text)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started() -> Event {
        Event {
            v: FORMAT,
            time: Timestamp::UNIX_EPOCH,
            rollout: RolloutId::new("20261123T141502Z-7f3a").unwrap(),
            attempt: 1,
            seq: 1,
            kind: EventKind::RolloutStarted {
                command: "deploy".to_owned(),
                service: "shop".to_owned(),
                version: Version::new("2.0").unwrap(),
                hosts: vec![HostName::new("web-01").unwrap()],
            },
        }
    }

    /// `indicatif` draws nothing on a thread that panics, not even to clear.
    #[test]
    fn a_panic_leaves_nothing_of_the_display() {
        let term = InMemoryTerm::new(24, 80);
        let err = Stream::new(Onto(term.clone()));
        let parts = Parts {
            paint: Paint::PLAIN,
            size: Arc::new(|| Size {
                rows: 24,
                columns: 80,
            }),
            now: Box::new(|| Timestamp::UNIX_EPOCH),
            by_thread: true,
            no_echo: || None,
        };
        let mut progress = Progress::new(err.clone(), TimeZone::UTC, parts);
        let (event, seen) = (started(), term.clone());
        let ended = catch_unwind(AssertUnwindSafe(move || {
            progress.event(&event, &RolloutState::default());
            // Drawn for certain, so that there is something to leave.
            progress.display.draw();
            let stood = seen.contents();
            std::panic::resume_unwind(Box::new(stood));
        }));
        let stood = ended.unwrap_err().downcast::<String>().unwrap();
        assert!(stood.starts_with("deploy shop 2.0"), "{stood}");
        err.line("the shell's prompt");
        assert_eq!(term.contents(), "the shell's prompt");
    }
}
