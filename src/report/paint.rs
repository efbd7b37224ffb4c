//! Colour: decided once a stream, asked for by meaning. Every text must be understandable without it.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It failed, or needs a person.
    Bad,
    /// Worth a look: a warning, something taken back.
    Careful,
    /// It went as wished.
    Good,
    /// A label or hint.
    Label,
    /// A heading.
    Strong,
    /// Less important than what stands around it.
    Quiet,
}

/// Whether one stream gets colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint(bool);

impl Paint {
    /// No colours.
    pub const PLAIN: Self = Self(false);

    /// Colours, or none.
    pub fn new(on: bool) -> Self {
        Self(on)
    }

    /// Whether standard output gets colours: it is a terminal, and `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` agree.
    /// `--no-color` is told to every user of that rule at once by [`Self::forbid`].
    pub fn for_stdout() -> Self {
        Self(anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never)
    }

    /// As [`Self::for_stdout`], for standard error.
    pub fn for_stderr() -> Self {
        Self(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never)
    }

    /// `--no-color`: no stream of this process gets colours any more. To be called before anything is printed.
    pub fn forbid() {
        anstream::ColorChoice::Never.write_global();
    }

    /// The text in the colour of its meaning, where there are colours.
    pub fn text(self, meaning: Meaning, text: impl Display) -> String {
        if !self.0 {
            return text.to_string();
        }
        let style = style(meaning);
        format!("{style}{text}{style:#}")
    }
}

fn style(meaning: Meaning) -> Style {
    match meaning {
        Meaning::Bad => AnsiColor::Red.on_default().bold(),
        Meaning::Careful => AnsiColor::Yellow.on_default(),
        Meaning::Good => AnsiColor::Green.on_default(),
        Meaning::Label => AnsiColor::Cyan.on_default(),
        Meaning::Strong => Style::new().bold(),
        Meaning::Quiet => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_add_nothing_but_escape_sequences() {
        assert_eq!(Paint::PLAIN.text(Meaning::Bad, "error"), "error");
        let coloured = Paint::new(true).text(Meaning::Bad, "error");
        assert_ne!(coloured, "error");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), "error");
    }
}
