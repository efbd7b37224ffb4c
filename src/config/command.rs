//! Commands given as a string go to `sh -c`; every value of a template is put in as one literal, wherever it stands (F11).
//!
//! The formatter keeps each value aside and writes a marker in its place; then one pass over the finished text follows the
//! shell's quoting and puts the values in: bare as `'…'`, between double quotes by closing and reopening them, between single
//! quotes with only `'` escaped. Where a literal cannot be placed surely it is refused: after a backslash or `$`, in a comment,
//! inside any expansion, and wherever this pass cannot tell what the shell would see.
//!
//! No filter can get around this: a value that holds a marker is refused, and nothing but a marker is ever taken as it is.

use std::str::Chars;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{Environment, Error, ErrorKind, Value};

use super::field::HELP_MARK;
use super::template::{Context, Fault, Scope, render_with, scalar_text, strict_environment};

/// A private-use character: no honest text holds it.
const MARK: char = '\u{f8f0}';

const USE_ARRAY: &str = "write the command as an array, whose elements no shell reads; trusted text may opt out with {{ x | raw }}";

/// A value that waits for its place.
#[derive(Debug, Clone)]
enum Kept {
    Literal(String),
    Raw(String),
}

type Shelf = Arc<Mutex<Vec<Kept>>>;

/// Renders a command for `sh -c`.
///
/// # Errors
/// As for texts, and when a value stands where it cannot become a literal.
pub(crate) fn render(source: &str, scope: &Scope, context: &Context) -> Result<String, Vec<Fault>> {
    if source.contains(['\0', MARK]) {
        return Err(refuse(
            "this command holds a character that no shell command can",
        ));
    }
    let shelf = Shelf::default();
    let environment = shell_environment(&shelf);
    let marked = render_with(&environment, source, scope, context)?;
    let kept = std::mem::take(&mut *shelf.lock().unwrap_or_else(PoisonError::into_inner));
    place(&marked, &kept).map_err(refuse)
}

fn refuse(title: &str) -> Vec<Fault> {
    vec![Fault {
        title: title.to_owned(),
        help: USE_ARRAY.to_owned(),
        range: None,
    }]
}

fn shell_environment(shelf: &Shelf) -> Environment<'static> {
    let mut environment = strict_environment();
    let raw_shelf = Arc::clone(shelf);
    environment.add_filter("raw", move |value: Value| -> Result<Value, Error> {
        let text = admissible(&value)?;
        Ok(Value::from(keep(&raw_shelf, Kept::Raw(text))))
    });
    let shelf = Arc::clone(shelf);
    environment.set_formatter(move |out, _, value| {
        let marker = match value.as_str() {
            Some(text) if is_raw_marker(text, &shelf) => text.to_owned(),
            _ => keep(&shelf, Kept::Literal(admissible(value)?)),
        };
        out.write_str(&marker).map_err(Error::from)
    });
    environment
}

fn admissible(value: &Value) -> Result<String, Error> {
    let text = scalar_text(value)?;
    if text.contains(['\0', MARK]) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "this value cannot become a literal for the shell{HELP_MARK}put values in directly (`raw` comes last, and a block that was set is no value), or {USE_ARRAY}"
            ),
        ));
    }
    Ok(text)
}

fn keep(shelf: &Shelf, kept: Kept) -> String {
    let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    shelf.push(kept);
    format!("{MARK}{}{MARK}", shelf.len() - 1)
}

fn is_raw_marker(text: &str, shelf: &Shelf) -> bool {
    let index = text
        .strip_prefix(MARK)
        .and_then(|rest| rest.strip_suffix(MARK))
        .and_then(|index| index.parse::<usize>().ok());
    let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    index.is_some_and(|index| matches!(shelf.get(index), Some(Kept::Raw(_))))
}

/// Where in the shell's grammar the pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    Bare,
    Single,
    Double,
}

/// The state of the pass.
struct Placer {
    out: String,
    quote: Quote,
    /// The next character begins a word, so `#` would begin a comment.
    word_start: bool,
    /// What came directly before.
    before: char,
    /// Set once the pass cannot tell any more what the shell would see: values are refused from there on.
    lost: Option<&'static str>,
}

const HERE_DOCUMENT: &str = "a value stands in, or after, a here-document";
const EXPANSION: &str = "a value stands inside, or after, an expansion (`$(…)`, `${…}`, backticks)";

fn place(marked: &str, kept: &[Kept]) -> Result<String, &'static str> {
    // Trusted text first, so that its quotes count like the command's own.
    let marked = put_raw(marked, kept)?;
    let mut placer = Placer {
        out: String::with_capacity(marked.len()),
        quote: Quote::Bare,
        word_start: true,
        before: '\n',
        lost: None,
    };
    let mut rest = marked.chars();
    let mut any_literal = false;
    while let Some(c) = rest.next() {
        if c == MARK {
            any_literal = true;
            placer.put_literal(literal_of(&mut rest, kept)?)?;
        } else {
            placer.step(c, &mut rest)?;
        }
    }
    if any_literal && placer.lost.is_none() && placer.quote != Quote::Bare {
        return Err("the quotes of this command are not closed");
    }
    Ok(placer.out)
}

const CHANGED: &str = "a value was changed after it was put in";

fn put_raw(marked: &str, kept: &[Kept]) -> Result<String, &'static str> {
    let mut out = String::with_capacity(marked.len());
    let mut rest = marked.chars();
    while let Some(c) = rest.next() {
        out.push(c);
        if c != MARK {
            continue;
        }
        let index: String = rest.by_ref().take_while(|c| *c != MARK).collect();
        match index.parse().ok().and_then(|index: usize| kept.get(index)) {
            Some(Kept::Literal(_)) => {
                out.push_str(&index);
                out.push(MARK);
            }
            Some(Kept::Raw(text)) => {
                out.pop();
                out.push_str(text);
            }
            None => return Err(CHANGED),
        }
    }
    Ok(out)
}

fn literal_of<'a>(rest: &mut Chars<'_>, kept: &'a [Kept]) -> Result<&'a str, &'static str> {
    let index: String = rest.by_ref().take_while(|c| *c != MARK).collect();
    match index.parse().ok().and_then(|index: usize| kept.get(index)) {
        Some(Kept::Literal(value)) => Ok(value),
        Some(Kept::Raw(_)) | None => Err(CHANGED),
    }
}

impl Placer {
    fn put_literal(&mut self, value: &str) -> Result<(), &'static str> {
        if let Some(reason) = self.lost {
            return Err(reason);
        }
        if self.before == '$' && self.quote != Quote::Single {
            return Err("a value stands directly after `$`");
        }
        let escaped = value.replace('\'', r"'\''");
        let (open, close) = match self.quote {
            Quote::Bare => ("'", "'"),
            Quote::Single => ("", ""),
            Quote::Double => ("\"'", "'\""),
        };
        self.out.push_str(open);
        self.out.push_str(&escaped);
        self.out.push_str(close);
        self.word_start = false;
        self.before = '\'';
        Ok(())
    }

    /// Takes one character of the command's own text, and those that belong to it.
    fn step(&mut self, c: char, rest: &mut Chars<'_>) -> Result<(), &'static str> {
        self.out.push(c);
        // `\` and a newline are nothing to the shell: what came before them still comes directly before.
        if self.quote != Quote::Single && c == '\\' {
            return self.escaped(rest);
        }
        let mut starts_word = self.quote == Quote::Bare && " \t\n;&|()<>".contains(c);
        match (self.quote, c) {
            (Quote::Single, '\'') | (Quote::Double, '"') => self.quote = Quote::Bare,
            (Quote::Single, _) => {}
            (_, '`') => self.expansion('`', rest),
            (_, '(') if self.before == '$' => {
                self.expansion(')', rest);
                starts_word = false;
            }
            (_, '{') if self.before == '$' => self.expansion('}', rest),
            // `$'…'` and `$"…"` are quotes of their own in some shells and not in others.
            (_, '[') | (Quote::Bare, '\'' | '"') if self.before == '$' => self.lose(EXPANSION),
            (Quote::Bare, '\'') => self.quote = Quote::Single,
            (Quote::Bare, '"') => self.quote = Quote::Double,
            // Arithmetic in some shells, subshells in others.
            (Quote::Bare, '(') if self.before == '(' => self.lose(EXPANSION),
            (Quote::Bare, '<') if self.before == '<' => self.lose(HERE_DOCUMENT),
            (Quote::Bare, '#') if self.word_start => {
                self.comment(rest)?;
                starts_word = true;
            }
            (Quote::Bare | Quote::Double, _) => {}
        }
        self.word_start = starts_word;
        // `$$` is an expansion of its own: its second `$` begins nothing.
        self.before = if c == '$' && self.before == '$' {
            ' '
        } else {
            c
        };
        Ok(())
    }

    fn lose(&mut self, reason: &'static str) {
        self.lost.get_or_insert(reason);
    }

    fn escaped(&mut self, rest: &mut Chars<'_>) -> Result<(), &'static str> {
        match rest.next() {
            Some(MARK) => return Err("a value stands after a backslash"),
            Some('\n') => self.out.push('\n'),
            Some(next) => {
                self.out.push(next);
                self.word_start = false;
                self.before = '\\';
            }
            None => {}
        }
        Ok(())
    }

    fn comment(&mut self, rest: &mut Chars<'_>) -> Result<(), &'static str> {
        for c in rest.by_ref() {
            if c == MARK {
                return Err("a value stands in a comment");
            }
            self.out.push(c);
            if c == '\n' {
                break;
            }
        }
        Ok(())
    }

    /// Follows an expansion to its end where that is beyond doubt: no quotes, escapes, further expansions, comments or values
    /// in it. Else the thread is lost.
    fn expansion(&mut self, close: char, rest: &mut Chars<'_>) {
        let ahead = rest.as_str();
        let end = ahead.find(|c| c == close || "'\"\\`$(){}[]<#;\n\u{f8f0}".contains(c));
        let inside = end
            .filter(|end| {
                ahead
                    .get(*end..)
                    .is_some_and(|tail| tail.starts_with(close))
            })
            .and_then(|end| ahead.get(..end))
            // The `)` of a `case` ends a pattern and not the expansion.
            .filter(|inside| !inside.contains("case"));
        let Some(inside) = inside else {
            self.lose(EXPANSION);
            return;
        };
        self.out.push_str(inside);
        self.out.push(close);
        *rest = ahead
            .get(inside.len() + close.len_utf8()..)
            .unwrap_or_default()
            .chars();
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
