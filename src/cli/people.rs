//! The person at the terminal.

use std::io::{BufRead, Write};

use futures::future::BoxFuture;

use crate::engine::People;

/// Asks on standard error and reads the answer from standard input.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtTerminal;

impl People for AtTerminal {
    fn approve<'a>(&'a self, question: &'a str) -> BoxFuture<'a, bool> {
        let question = question.to_owned();
        Box::pin(async move {
            let (say, heard) = tokio::sync::oneshot::channel();
            // Reading a terminal cannot be cancelled, so it has a thread of its own, which an interrupted run leaves behind.
            std::thread::spawn(move || {
                let approved = ask(&question);
                // Nobody listens any more when the run was interrupted.
                let _unheard = say.send(approved);
            });
            heard.await.unwrap_or(false)
        })
    }
}

fn ask(question: &str) -> bool {
    let mut screen = std::io::stderr();
    if write!(screen, "{question} [y/N] ")
        .and_then(|()| screen.flush())
        .is_err()
    {
        return false;
    }
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
