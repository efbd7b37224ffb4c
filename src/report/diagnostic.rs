//! Errors at the edge, and the diagnostics of the libraries.

use tracing_subscriber::EnvFilter;

use super::paint::{Meaning, Paint};
use super::stream::Stream;
use super::text;

/// `error: …`, with `hint: …` where there is a hint. Further lines of a text are indented below its first one. No line feed at the end.
pub(super) fn error(reason: &str, hint: &str, paint: Paint) -> String {
    let mut lines = labelled(paint.text(Meaning::Bad, "error"), reason);
    if !hint.trim().is_empty() {
        lines.extend(labelled(paint.text(Meaning::Label, "hint"), hint));
    }
    lines.join("\n")
}

/// `label: …`, further lines of `content` indented. The label is shown as it is, the content is cleaned.
pub(super) fn labelled(label: String, content: &str) -> Vec<String> {
    let mut label = Some(label);
    let lines = content.trim_end().split('\n').map(|line| {
        let line = text::clean(line);
        match label.take() {
            Some(label) => format!("{label}: {line}"),
            None => format!("  {line}"),
        }
    });
    lines.collect()
}

/// Sends `tracing`'s lines to `err`, above a live display if there is one. A second call changes nothing.
pub(super) fn init_logging(verbose: u8, err: Stream) {
    let started = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives(verbose)))
        .with_writer(err)
        // Its colours are a feature that is not compiled in; asking for them would panic.
        .with_ansi(false)
        .with_target(verbose > 1)
        .try_init();
    // Only a program that uses this library and has logging of its own gets here.
    drop(started);
}

/// What is let through. Other people's warnings are not for the one who deploys: what they lead to is said as an error of ours.
fn directives(verbose: u8) -> &'static str {
    match verbose {
        0 => "rollgate=warn",
        1 => "rollgate=debug",
        _ => "info,rollgate=trace,russh=debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_hint_is_not_shown() {
        assert_eq!(error("it broke", "", Paint::PLAIN), "error: it broke");
    }

    #[test]
    fn further_lines_are_indented_and_foreign_text_is_harmless() {
        assert_eq!(
            error("it broke:\n\u{1b}[2Jhere", "mend it", Paint::PLAIN),
            "error: it broke:\n  here\nhint: mend it"
        );
    }

    #[test]
    fn colours_are_on_the_labels_only() {
        let said = error("it broke", "mend it", Paint::new(true));
        assert!(said.contains("\u{1b}["), "{said:?}");
        assert_eq!(
            anstream::adapter::strip_str(&said).to_string(),
            "error: it broke\nhint: mend it"
        );
        assert!(said.contains("\u{1b}[0m: it broke"), "{said:?}");
    }

    #[test]
    fn more_verbose_lets_more_through() {
        for verbose in 0..=3 {
            // What is not understood would silently become nothing.
            assert!(directives(verbose).parse::<EnvFilter>().is_ok());
        }
        assert!(!directives(0).contains("russh") && directives(2).contains("russh"));
    }
}
