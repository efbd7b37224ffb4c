//! What is wrong with the files and the command line, gathered and then shown all at once.
//!
//! A [`Report`] is filled while the files are read and checked; [`Findings`] is what is left of it when something was wrong.
//! Nothing here decides what is wrong.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

/// One file that was read, by its place in [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId(usize);

/// Where something stands: a file, and where known the bytes in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    file: FileId,
    /// Start and end; `Range` has no order.
    span: Option<(usize, usize)>,
}

impl Place {
    /// A place with a span.
    pub(crate) fn at(file: FileId, span: &Range<usize>) -> Self {
        Self {
            file,
            span: Some((span.start, span.end)),
        }
    }

    /// The file as a whole.
    pub(crate) fn whole(file: FileId) -> Self {
        Self { file, span: None }
    }

    /// The file it stands in.
    pub(crate) fn file(&self) -> FileId {
        self.file
    }

    /// The same file, other bytes of it.
    pub(crate) fn narrowed(&self, span: &Range<usize>) -> Self {
        Self::at(self.file, span)
    }

    /// The bytes, where known.
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        self.span.map(|(start, end)| start..end)
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// `None`: on the command line. Sorts first.
    place: Option<Place>,
    title: String,
    help: String,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    folder: PathBuf,
}

/// The files that were read, and what was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    sources: Vec<Source>,
    findings: Vec<Finding>,
}

impl Report {
    /// Takes in a file's text, for excerpts.
    pub(crate) fn add_source(&mut self, path: &Path, text: String) -> FileId {
        self.sources.push(Source {
            name: path.display().to_string(),
            text,
            folder: folder_of(path),
        });
        FileId(self.sources.len() - 1)
    }

    /// The text of a file.
    pub(crate) fn text(&self, file: FileId) -> &str {
        self.sources.get(file.0).map_or("", |source| &source.text)
    }

    /// The folder of a file, absolute: relative paths in the file belong there.
    pub(crate) fn folder(&self, file: FileId) -> &Path {
        self.sources
            .get(file.0)
            .map_or(Path::new("."), |source| &source.folder)
    }

    /// Where a part of a string of the file stands, when the string is written there as it is, without escapes.
    pub(crate) fn inside(&self, place: &Place, string: &str, part: &Range<usize>) -> Place {
        place
            .span()
            .and_then(|span| {
                let start = span.start + self.text(place.file).get(span)?.find(string)?;
                Some(place.narrowed(&(start + part.start..start + part.end)))
            })
            .unwrap_or_else(|| place.clone())
    }

    /// Adds a mistake in a file. `help` says what would be right.
    pub(crate) fn add(&mut self, place: Place, title: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding {
            place: Some(place),
            title: title.into(),
            help: help.into(),
        });
    }

    /// Adds a mistake on the command line.
    pub(crate) fn add_argument(&mut self, title: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding {
            place: None,
            title: title.into(),
            help: help.into(),
        });
    }

    /// Whether nothing was found so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Everything found, sorted by place, each once (the same mistake seen for every host is one mistake).
    pub(crate) fn into_findings(self) -> Findings {
        let mut list = self.findings;
        list.sort();
        list.dedup_by(|a, b| a.place == b.place && a.title == b.title);
        Findings {
            sources: self.sources,
            list,
        }
    }
}

/// Every mistake of both files and of the command line. Exit code 2.
#[derive(Debug)]
pub struct Findings {
    sources: Vec<Source>,
    list: Vec<Finding>,
}

impl Findings {
    /// How many there are; at least 1.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// The titles alone, in order, for outputs that are read by machines.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|finding| finding.title.as_str())
    }

    /// All of them for people: file, line, the line itself, what would be right; a count at the end.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        }
        .decor_style(DecorStyle::Ascii);
        let mut out = String::new();
        for finding in &self.list {
            out.push_str(&self.render_one(&renderer, finding));
            out.push_str("\n\n");
        }
        let errors = if self.list.len() == 1 {
            "error"
        } else {
            "errors"
        };
        let count = self.list.len();
        // Writing to a string cannot fail.
        let _never = writeln!(out, "{count} {errors}; nothing was contacted");
        out
    }

    fn render_one(&self, renderer: &Renderer, finding: &Finding) -> String {
        let title = Level::ERROR.primary_title(&finding.title);
        let source = finding
            .place
            .as_ref()
            .and_then(|place| Some((place, self.sources.get(place.file.0)?)));
        let group = match source {
            None => Group::with_title(title),
            Some((place, source)) => match place.span {
                None => title.element(Origin::path(&source.name)),
                Some((start, end)) => {
                    let snippet = Snippet::source(&source.text).path(&source.name).annotation(
                        AnnotationKind::Primary.span(visible_span(&source.text, start, end)),
                    );
                    title.element(snippet)
                }
            },
        };
        let mut report = vec![group];
        let help = normalize_untrusted_str(&finding.help);
        if !help.is_empty() {
            report.push(Group::with_title(Level::HELP.secondary_title(&help)));
        }
        renderer.render(&report)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Findings {}

fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .parent()
        .map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// A span that lies in the text, on character borders, and no longer than its first line: excerpts stay short, and a
/// renderer never sees a range that it cannot cut.
fn visible_span(text: &str, start: usize, end: usize) -> Range<usize> {
    let start = floor_border(text, start);
    let line_end = text
        .get(start..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |length| start + length);
    start..floor_border(text, end.min(line_end)).max(start)
}

fn floor_border(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The known word nearest to `word`, if one is near enough to be a slip of the finger.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= 1 + word.chars().count() / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_never_leaves_its_line_or_splits_a_character() {
        let text = "ä = 1\nb = 2";
        assert_eq!(visible_span(text, 1, 3), 0..3);
        assert_eq!(visible_span(text, 0, 99), 0..6);
        assert_eq!(visible_span(text, 99, 100), 12..12);
    }

    #[test]
    fn nearest_is_a_slip_and_not_a_guess() {
        assert_eq!(nearest("perod", ["period", "timeout"]), Some("period"));
        assert_eq!(nearest("color", ["period", "timeout"]), None);
    }

    #[test]
    fn the_same_mistake_is_shown_once_and_counted_once() {
        let mut report = Report::default();
        let file = report.add_source(Path::new("x.toml"), "a = 1\n".to_owned());
        report.add(Place::at(file, &(0..1)), "bad", "for web-01");
        report.add(Place::at(file, &(0..1)), "bad", "for web-02");
        report.add_argument("--version: bad", "write one");
        let findings = report.into_findings();
        assert_eq!(findings.count(), 2);
        insta::assert_snapshot!(findings.render(false), @r"
        error: --version: bad
         |
        help: write one

        error: bad
         --> x.toml:1:1
          |
        1 | a = 1
          | ^
          |
        help: for web-01

        2 errors; nothing was contacted
        ");
    }
}
