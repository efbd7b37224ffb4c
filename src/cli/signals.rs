//! Signals to wishes: the first one ends the run gently, the second one at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::engine::StopWish;

/// Begins to listen; a signal that came before is not seen, so this is called before the first change. The task ends with the process.
///
/// # Errors
/// When the system refuses a handler.
pub(super) fn listen() -> io::Result<watch::Receiver<StopWish>> {
    let streams = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    let (say, wishes) = watch::channel(StopWish::None);
    tokio::spawn(async move {
        let [mut interrupt, mut terminate, mut hangup] = streams;
        let mut next = async || {
            tokio::select! {
                () = came(&mut interrupt) => {}
                () = came(&mut terminate) => {}
                () = came(&mut hangup) => {}
            }
        };
        next().await;
        say.send_replace(StopWish::Gently);
        next().await;
        say.send_replace(StopWish::Now);
        // Further signals find the run at its end.
        say.closed().await;
    });
    Ok(wishes)
}

async fn came(stream: &mut Signal) {
    if stream.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}
