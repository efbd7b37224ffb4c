//! `--output json`: one event a line on standard output, each line flushed.

use super::stream::Stream;
use crate::event::{Event, EventKind, RolloutState, Sink};

/// A sink that writes every event to `out` as one line of JSON. When `out` could not be written although somebody still reads it (a full
/// disk), that is said on `err` at the end.
pub fn sink(out: Stream, err: Stream) -> Box<dyn Sink> {
    Box::new(Json { out, err })
}

struct Json {
    out: Stream,
    err: Stream,
}

impl Sink for Json {
    fn event(&mut self, event: &Event, _: &RolloutState) {
        match serde_json::to_string(event) {
            Ok(line) => self.out.line(&line),
            Err(error) => self.err.line(&format!(
                "warning: event {} could not be written as JSON: {error}",
                event.seq
            )),
        }
        if matches!(event.kind, EventKind::RolloutFinished { .. })
            && let Some(reason) = self.out.failure()
        {
            self.err.line(&format!(
                "warning: standard output could not be written: {reason}; the events there are not complete"
            ));
        }
    }
}
