//! One output stream, shared by everything that writes to it.
//!
//! Two things are kept here for all writers. A stream that cannot be written any more (a closed pager, a lost terminal) is silently
//! given up: a rollout never ends because nobody reads. And while a live display stands on the terminal, whoever else writes to the
//! stream does so above it: a write that went past the display would leave doubled lines.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;
use tracing_subscriber::fmt::MakeWriter;

use crate::model::{any_known, redact};

/// A handle on a stream; clones write to the same one.
#[derive(Clone)]
pub struct Stream {
    inner: Arc<Mutex<Inner>>,
    display: Arc<Mutex<Option<MultiProgress>>>,
}

struct Inner {
    writer: Box<dyn Write + Send>,
    gone: Option<io::Error>,
    /// The begin of a line whose end has not come yet; only while a display stands.
    begun: Vec<u8>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

static STDOUT: LazyLock<Stream> = LazyLock::new(|| Stream::new(io::stdout()));
static STDERR: LazyLock<Stream> = LazyLock::new(|| Stream::new(io::stderr()));

impl Stream {
    /// This process's standard output, the same for all who ask.
    pub fn stdout() -> Self {
        STDOUT.clone()
    }

    /// This process's standard error, the same for all who ask: so that logging, events and the live display keep out of each other's way.
    pub fn stderr() -> Self {
        STDERR.clone()
    }

    /// A stream over a writer, such as `std::io::stderr()`.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                writer: Box::new(writer),
                gone: None,
                begun: Vec::new(),
            })),
            display: Arc::default(),
        }
    }

    /// Writes one line and flushes it, above the live display if there is one.
    pub fn line(&self, text: &str) {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
        self.above(&bytes);
    }

    /// Writes lines and flushes them at once.
    pub fn lines<T: AsRef<str>>(&self, lines: &[T]) {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(line.as_ref().as_bytes());
            bytes.push(b'\n');
        }
        if !bytes.is_empty() {
            self.above(&bytes);
        }
    }

    /// Why the stream was given up, unless its reader simply went away: a full disk is worth telling, a closed pager is not.
    pub fn failure(&self) -> Option<String> {
        let inner = lock(&self.inner);
        let error = inner.gone.as_ref()?;
        (error.kind() != io::ErrorKind::BrokenPipe).then(|| error.to_string())
    }

    /// Writes past the live display: for the display itself.
    pub(super) fn raw(&self, bytes: &[u8]) {
        let mut inner = lock(&self.inner);
        if inner.gone.is_some() {
            return;
        }
        let Inner { writer, gone, .. } = &mut *inner;
        if let Err(error) = writer.write_all(bytes).and_then(|()| writer.flush()) {
            *gone = Some(error);
        }
    }

    /// From now on other writes go above this display; `None`: there is none any more.
    pub(super) fn set_display(&self, display: Option<MultiProgress>) {
        *lock(&self.display) = display;
        let begun = std::mem::take(&mut lock(&self.inner).begun);
        if !begun.is_empty() {
            self.above(&begun);
        }
    }

    /// Writes what `fmt` hands over in pieces: above a display only whole lines, or it would be drawn over the begin of one.
    fn pieces(&self, bytes: &[u8]) {
        if lock(&self.display).is_none() {
            return self.raw(bytes);
        }
        let mut inner = lock(&self.inner);
        inner.begun.extend_from_slice(bytes);
        let whole = inner.begun.iter().rposition(|byte| *byte == b'\n');
        let lines: Vec<u8> = whole.map_or_else(Vec::new, |end| inner.begun.drain(..=end).collect());
        drop(inner);
        if !lines.is_empty() {
            self.above(&lines);
        }
    }

    fn above(&self, bytes: &[u8]) {
        // Cloned, so that this lock is not held while the display's own one is waited for.
        let display = lock(&self.display).clone();
        match display {
            Some(display) => display.suspend(|| self.raw(bytes)),
            None => self.raw(bytes),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A writer that panicked in between has at worst left half a line.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if any_known() {
            self.pieces(redact(&String::from_utf8_lossy(bytes)).as_bytes());
        } else {
            self.pieces(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So that `tracing`'s lines stand above the live display: `tracing_subscriber::fmt().with_writer(stderr.clone())`. Each line comes as
/// one write.
impl MakeWriter<'_> for Stream {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind, Arc<Mutex<usize>>);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            *lock(&self.1) += 1;
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_that_broke_is_not_written_again() {
        let tries = Arc::new(Mutex::new(0));
        let mut stream = Stream::new(Broken(io::ErrorKind::BrokenPipe, Arc::clone(&tries)));
        stream.line("one");
        stream.lines(&["two", "three"]);
        stream.write_all(b"four").unwrap();
        assert_eq!(*lock(&tries), 1);
        assert_eq!(stream.failure(), None);
    }

    #[test]
    fn a_full_disk_is_remembered() {
        let stream = Stream::new(Broken(io::ErrorKind::StorageFull, Arc::default()));
        stream.line("one");
        assert!(stream.failure().is_some());
    }
}
