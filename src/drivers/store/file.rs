//! The journal's file and the thread that writes it.
//!
//! Many hosts announce their acts at one moment, and a sync costs milliseconds. So lines queue up while a sync is under way, and the
//! next one carries all of them: one write and at most one `fdatasync` for everything that waited.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::StoreError;
use crate::event::Journal;
use crate::model::RolloutId;

/// Bytes that are gathered for one write, unless a single line is longer.
const BATCH: usize = 1 << 20;

/// Opens the journal of `id` in [`default_dir`], making both where they are missing.
///
/// # Errors
/// [`StoreError`] when there is no home, or the folder or file cannot be made or written.
pub fn open(id: &RolloutId) -> Result<Box<dyn Journal>, StoreError> {
    open_in(&default_dir()?, id)
}

/// Opens the journal of `id` in `dir` (made with mode 0700 where it is missing); the file is made with mode 0600, and one that is
/// there, from an earlier attempt of the same rollout, is continued.
///
/// # Errors
/// As [`open`].
pub fn open_in(dir: &Path, id: &RolloutId) -> Result<Box<dyn Journal>, StoreError> {
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| StoreError::Io {
            what,
            path,
            reason: error.to_string(),
        }
    };
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(dir);
    made.map_err(failed("make the folder", dir))?;
    let path = path_in(dir, id);
    let file = open_file(&path).map_err(failed("open", &path))?;
    // A file whose name is lost in a power failure would be no journal. Where a folder cannot be synced, the name is on its own.
    File::open(dir).and_then(|dir| dir.sync_all()).ok();
    let (queue, lines) = channel();
    let writer = std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || Writer { file, broken: None }.run(&lines))
        .map_err(failed("start a thread for", &path))?;
    Ok(Box::new(FileJournal {
        queue: Some(queue),
        writer: Some(writer),
    }))
}

/// `$XDG_STATE_HOME/rollgate`, or `~/.local/state/rollgate`.
///
/// # Errors
/// [`StoreError::NoHome`] when neither is known.
pub fn default_dir() -> Result<PathBuf, StoreError> {
    let none = |reason: String| StoreError::NoHome { reason };
    let strategy = Xdg::new().map_err(|error| none(error.to_string()))?;
    let state = strategy.state_dir();
    Ok(state
        .ok_or_else(|| none("the system names none".to_owned()))?
        .join("rollgate"))
}

/// Where the journal of `id` lies in `dir`.
pub fn path_in(dir: &Path, id: &RolloutId) -> PathBuf {
    dir.join(format!("{id}.jsonl"))
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    // A line that a crash cut off stays for whoever looks, but must not swallow the next one.
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// One line that waits, and who waits for it.
struct Entry {
    line: String,
    durable: bool,
    done: oneshot::Sender<Result<(), String>>,
}

/// A handle to the thread. Dropping it waits until the queue is written.
struct FileJournal {
    queue: Option<Sender<Entry>>,
    writer: Option<JoinHandle<()>>,
}

impl Journal for FileJournal {
    fn append(&self, line: String, durable: bool) -> BoxFuture<'static, Result<(), String>> {
        let (done, written) = oneshot::channel();
        let entry = Entry {
            line,
            durable,
            done,
        };
        if let Some(queue) = &self.queue {
            // A thread that is gone drops the entry, which the future below tells.
            queue.send(entry).ok();
        }
        Box::pin(async move {
            let gone = |_gone| Err("the journal's thread has ended".to_owned());
            written.await.unwrap_or_else(gone)
        })
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

struct Writer {
    file: File,
    /// The first error. After it nothing more is written, so that what is there has no hole.
    broken: Option<String>,
}

impl Writer {
    fn run(mut self, lines: &Receiver<Entry>) {
        while let Ok(first) = lines.recv() {
            let mut size = first.line.len();
            let mut entries = vec![first];
            while size < BATCH
                && let Ok(next) = lines.try_recv()
            {
                size = size.saturating_add(next.line.len());
                entries.push(next);
            }
            let result = self.write(&entries);
            for entry in entries {
                // Nobody waits for what is not durable.
                entry.done.send(result.clone()).ok();
            }
        }
    }

    fn write(&mut self, entries: &[Entry]) -> Result<(), String> {
        if let Some(reason) = &self.broken {
            return Err(reason.clone());
        }
        let mut text = String::new();
        for entry in entries {
            text.push_str(&entry.line);
            text.push('\n');
        }
        let durable = entries.iter().any(|entry| entry.durable);
        let written = self.write_whole(text.as_bytes(), durable);
        written.map_err(|error| {
            let reason = error.to_string();
            self.broken = Some(reason.clone());
            reason
        })
    }

    fn write_whole(&mut self, bytes: &[u8], durable: bool) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(bytes) {
            // Takes back what a full disk let through; what cannot be taken back is a torn line, which readers bear.
            self.file.set_len(before).ok();
            return Err(error);
        }
        if durable {
            self.file.sync_data()?;
        }
        Ok(())
    }
}
