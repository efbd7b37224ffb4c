//! The terminal as `indicatif` wants it, over our stream.
//!
//! Not `indicatif`'s own: that one does not know when the stream was given up, and writes each line by itself. Here one frame is one
//! write, so that the eye never sees a frame half drawn.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::TermLike;

use crate::report::stream::Stream;

/// How large the terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) struct Size {
    /// Lines.
    pub(in crate::report) rows: u16,
    /// Columns.
    pub(in crate::report) columns: u16,
}

/// What a terminal that does not know its size is taken for.
const USUAL: Size = Size {
    rows: 24,
    columns: 80,
};

/// Asks for the size; it may change at any time.
pub(in crate::report) type SizeOf = Arc<dyn Fn() -> Size + Send + Sync>;

/// The size of the terminal that standard error is. Serial lines and some terminals in containers say 0.
pub(super) fn stderr_size() -> Size {
    rustix::termios::tcgetwinsize(io::stderr()).map_or(USUAL, |size| Size {
        rows: or_usual(size.ws_row, USUAL.rows),
        columns: or_usual(size.ws_col, USUAL.columns),
    })
}

fn or_usual(said: u16, usual: u16) -> u16 {
    if said == 0 { usual } else { said }
}

/// A terminal that keeps what it is told until it is flushed.
pub(super) struct Screen {
    err: Stream,
    size: SizeOf,
    pending: Mutex<String>,
}

impl Screen {
    pub(super) fn new(err: Stream, size: SizeOf) -> Self {
        Self {
            err,
            size,
            pending: Mutex::default(),
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the trait wants a result, and a stream that is gone is no error here"
    )]
    fn push(&self, text: &str) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push_str(text);
        Ok(())
    }

    /// Moves the cursor. Source: ECMA-48, 8.3.18 to 8.3.22 (CUB, CUD, CUF, CUU).
    fn step(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.push(&format!("\u{1b}[{count}{direction}"))
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        (self.size)().columns
    }

    fn height(&self) -> u16 {
        (self.size)().rows
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.step(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.push(s)?;
        self.push("\n")
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.push(s)
    }

    /// Source: ECMA-48, 8.3.41 (EL).
    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::mem::take(&mut *pending);
        if !text.is_empty() {
            self.err.raw(text.as_bytes());
        }
        Ok(())
    }
}
