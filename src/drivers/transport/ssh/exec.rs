//! One command on one channel: fed, read to its end, and never left half read.

use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::connect::Live;
use crate::drivers::transport::TransportError;
use crate::drivers::transport::collect::{Collected, Ending};
use crate::drivers::transport::jitter::pause_before;
use crate::drivers::transport::payload::{Fed, Source, feed};
use crate::drivers::transport::script::{Elevation, Framed, plain_shell};

/// How often a session is asked for when the server has none free: right after a command ended, its slot may still be taken.
const TRIES: u32 = 8;

/// The first wait between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// How long ending a command may take before its channel is closed.
const GRACE: Duration = Duration::from_secs(3);

/// How long SSH's own signal may take before a second command is sent after the first.
const SIGNAL_GRACE: Duration = Duration::from_millis(250);

/// Why no channel was opened. Nothing was sent to the host.
#[derive(Debug)]
pub(super) enum NoChannel {
    /// The connection had been lost, with the reason; a new one may work.
    Stale(String),
    /// The server refused it.
    Refused {
        /// In words.
        reason: String,
        /// Whether such channels are switched off.
        prohibited: bool,
    },
}

impl NoChannel {
    /// In words.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Stale(reason) | Self::Refused { reason, .. } => reason,
        }
    }
}

/// A command and what it is fed.
pub(super) struct Job<'a> {
    /// For errors.
    pub(super) purpose: &'a str,
    /// The script.
    pub(super) framed: &'a Framed,
    /// As whom it runs.
    pub(super) elevation: Elevation,
    /// What follows the script on its standard input.
    pub(super) source: Option<Source>,
    /// For errors.
    pub(super) limit: Duration,
    /// When the limit passes.
    pub(super) until: Instant,
}

/// Opens a channel for a command, again and again for a moment when the server has no session free.
pub(super) async fn open_session(live: &Live) -> Result<Channel<Msg>, NoChannel> {
    let mut tries = 0;
    loop {
        tries += 1;
        match live.handle.channel_open_session().await {
            Ok(channel) => return Ok(channel),
            Err(russh::Error::ChannelOpenFailure(
                ChannelOpenFailure::ConnectFailed | ChannelOpenFailure::ResourceShortage,
            )) if tries < TRIES => tokio::time::sleep(pause_before(tries, FIRST_PAUSE)).await,
            Err(russh::Error::ChannelOpenFailure(failure)) => {
                return Err(NoChannel::Refused {
                    reason: format!(
                        "it opens no session ({failure:?}); its MaxSessions may be 0 or used up"
                    ),
                    prohibited: true,
                });
            }
            Err(_) => return Err(NoChannel::Stale(live.told.end().await)),
        }
    }
}

/// Closes the channel of a command whose caller lost interest: its standard input ends, so that a script that watches it ends, too. One
/// that must finish goes on.
struct Closer(Option<Arc<ChannelWriteHalf<Msg>>>);

impl Drop for Closer {
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move { tokio::time::timeout(GRACE, writer.close()).await });
        }
    }
}

/// Runs a command and reads it to its end.
///
/// # Errors
/// [`TransportError::Timeout`] when the limit passed: the command's process group was told to end. [`TransportError::Payload`] when the
/// payload changed meanwhile.
pub(super) async fn exec(
    live: &Live,
    channel: Channel<Msg>,
    mut job: Job<'_>,
) -> Result<(Ending, Collected), TransportError> {
    let (mut reader, writer) = channel.split();
    let writer = Arc::new(writer);
    let mut closer = Closer(Some(Arc::clone(&writer)));
    let mut collected = Collected::default();
    let mut source = job.source.take();
    let line = job.framed.command_line(job.elevation);
    let ended = tokio::time::timeout_at(job.until, async {
        if writer.exec(true, line).await.is_err() {
            return Ok(Some(Ending::Gone(live.told.end().await)));
        }
        live.warm.set(()).ok();
        // Whoever is first: a writer whose reader is gone would wait for ever.
        tokio::select! {
            ending = read(live, &mut reader, &mut collected) => Ok(ending),
            error = feed_all(&writer, job.framed.text(), source.as_mut()) => Err(error),
        }
    })
    .await;
    if let Ok(Ok(Some(ending))) = ended {
        if matches!(ending, Ending::Code(_) | Ending::Signal(_)) {
            // The server has closed it.
            closer.0 = None;
        }
        return Ok((ending, collected));
    }
    let pid = collected.pid(job.framed.marker());
    terminate(live, &job, pid, &writer, &mut reader).await;
    match ended {
        Ok(Ok(_)) => Ok((Ending::Gone("it was ended".to_owned()), collected)),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Err(TransportError::Timeout {
            purpose: job.purpose.to_owned(),
            limit: job.limit,
        }),
    }
}

/// Feeds the command and then waits for ever. Returns only when the payload is bad.
async fn feed_all(
    writer: &ChannelWriteHalf<Msg>,
    text: &[u8],
    source: Option<&mut Source>,
) -> TransportError {
    let mut input = writer.make_writer();
    match feed(&mut input, text, source).await {
        Ok(Fed::Whole) => {
            if input.shutdown().await.is_err() {
                tracing::debug!("a command ended before its input did");
            }
        }
        Ok(Fed::Stopped) => {}
        Err(error) => return error,
    }
    std::future::pending().await
}

/// Reads until nothing comes any more: exit status, output and end of output come in any order. `None` when the command prints more
/// than may be kept.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "other messages, such as a larger window, say nothing about the command"
)]
async fn read(
    live: &Live,
    reader: &mut ChannelReadHalf,
    collected: &mut Collected,
) -> Option<Ending> {
    let mut ending = None;
    let mut is_whole = false;
    let mut fits = true;
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                fits = collected.push_stdout(&data);
            }
            ChannelMsg::ExtendedData { data, ext: 1 } => collected.push_stderr(&data),
            ChannelMsg::ExitStatus { exit_status } => ending = Some(Ending::Code(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                ending = Some(Ending::Signal(signal_text(&signal_name)));
            }
            ChannelMsg::Failure => return Some(Ending::Refused),
            ChannelMsg::Eof | ChannelMsg::Close => is_whole = true,
            _ => {}
        }
        if !fits {
            return None;
        }
    }
    match ending {
        // Without the end of the output a part of it may be missing.
        Some(ending) if is_whole => Some(ending),
        Some(_) | None => Some(Ending::Gone(live.told.end().await)),
    }
}

fn signal_text(signal: &Sig) -> String {
    if let Sig::Custom(name) = signal {
        name.clone()
    } else {
        format!("{signal:?}")
    }
}

/// Ends the command's process group, first by SSH's own signal, which reaches the children, too. OpenSSH refuses that to root, and
/// cannot do it for what runs under sudo: then by a second command.
async fn terminate(
    live: &Live,
    job: &Job<'_>,
    pid: Option<u32>,
    writer: &ChannelWriteHalf<Msg>,
    reader: &mut ChannelReadHalf,
) {
    // Reading goes on meanwhile: output that nobody takes would stop the whole connection, signals included.
    let drained = async { while reader.wait().await.is_some() {} };
    let ending = async {
        if let Err(error) = writer.signal(Sig::TERM).await {
            tracing::debug!(%error, "cannot signal a command");
        }
        tokio::time::sleep(SIGNAL_GRACE).await;
        if let Some(pid) = pid {
            run_quietly(live, plain_shell(job.elevation), &job.framed.killer(pid)).await;
        }
        std::future::pending::<()>().await;
    };
    let either = async {
        tokio::select! { () = drained => {}, () = ending => {} }
    };
    if tokio::time::timeout(GRACE, either).await.is_err() {
        tracing::debug!(address = %live.address, "a command did not end when told to");
    }
}

/// Runs a command whose outcome does not matter.
async fn run_quietly(live: &Live, line: String, input: &str) {
    let Ok(channel) = open_session(live).await else {
        return;
    };
    let (mut reader, writer) = channel.split();
    let writer = Arc::new(writer);
    let _closer = Closer(Some(Arc::clone(&writer)));
    if writer.exec(true, line).await.is_err() {
        return;
    }
    if !input.is_empty() && writer.data(input.as_bytes()).await.is_err()
        || writer.eof().await.is_err()
    {
        return;
    }
    while let Some(message) = reader.wait().await {
        if matches!(message, ChannelMsg::Failure) {
            break;
        }
    }
}

/// Runs a command that does nothing, once for a connection: only after a first command does OpenSSH's server send without delay.
/// Whether it may run does not matter, so neither does its outcome.
pub(super) async fn warm_up(live: &Live) {
    let warming = live
        .warm
        .get_or_init(|| run_quietly(live, "exec true".to_owned(), ""));
    if tokio::time::timeout(live.patience, warming).await.is_err() {
        tracing::debug!(address = %live.address, "the first command of a connection did not end");
    }
}
