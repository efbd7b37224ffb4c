//! Journals without a file.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;

use crate::event::Journal;

/// Keeps nothing: for commands that change nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullJournal;

impl Journal for NullJournal {
    fn append(&self, _line: String, _durable: bool) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Keeps lines in memory: for tests. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    lines: Arc<Mutex<Vec<String>>>,
}

impl MemoryJournal {
    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn append(&self, line: String, _durable: bool) -> BoxFuture<'static, Result<(), String>> {
        self.lock().push(line);
        Box::pin(std::future::ready(Ok(())))
    }
}
