//! From a file to its shape, whatever is in it.

use std::path::Path;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

use super::diagnostic::{FileId, Place, Report};
use super::field::{Family, Shape, Table, collect};

/// A file that was read. Its mistakes are in the report.
#[derive(Debug)]
pub(crate) struct Part<T> {
    /// Which file.
    pub file: FileId,
    /// What could be read of it.
    pub shape: T,
    /// Whether all of it was read: if not, what seems to be missing may be in the part that was not understood.
    pub whole: bool,
}

/// Syntax errors shown of one file: what follows the first few is mostly their echo.
const MOST_SYNTAX_ERRORS: usize = 5;

/// Reads a file; `family` are all tables of its kind.
pub(crate) fn read<T>(path: &Path, family: Family, report: &mut Report) -> Part<T>
where
    T: Shape + Default + for<'de> Deserialize<'de>,
{
    match text_of(path) {
        Ok(text) => parse(path, &text, family, report),
        Err((title, help)) => {
            let file = report.add_source(path, String::new());
            report.add(Place::whole(file), title, help);
            Part {
                file,
                shape: T::default(),
                whole: false,
            }
        }
    }
}

fn text_of(path: &Path) -> Result<String, (String, String)> {
    let bytes = std::fs::read(path).map_err(|error| {
        (
            format!("this file cannot be read: {error}"),
            "give the path of a TOML file".to_owned(),
        )
    })?;
    let ansible = path.extension().is_some_and(|extension| {
        ["ini", "yml", "yaml", "json"]
            .iter()
            .any(|known| extension == *known)
    });
    if ansible || (bytes.starts_with(b"#!") && path.extension().is_none_or(|known| known != "toml"))
    {
        return Err((
            "inventories of Ansible, and those that are run, are not supported yet".to_owned(),
            "write the hosts into a TOML file; inventory.example.toml shows every key".to_owned(),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error
            .as_bytes()
            .iter()
            .take(valid)
            .filter(|b| **b == b'\n')
            .count();
        (
            format!("line {line} of this file is not UTF-8"),
            "write a TOML file, in UTF-8".to_owned(),
        )
    })
}

fn parse<T>(path: &Path, text: &str, family: Family, report: &mut Report) -> Part<T>
where
    T: Shape + Default + for<'de> Deserialize<'de>,
{
    let file = report.add_source(path, text.to_owned());
    let (table, syntax) = DeTable::parse_recoverable(text);
    let whole = syntax.is_empty();
    note_syntax(file, text, &syntax, report);
    let (shape, notes) = collect(family, || {
        Table::<T>::deserialize(Deserializer::from(table))
    });
    let echoes_from = broken_header(text, &syntax).unwrap_or(usize::MAX);
    for note in notes {
        if note.span.start > echoes_from && note.title.starts_with("unknown key") {
            continue;
        }
        report.add(Place::at(file, &note.span), note.title, note.help);
    }
    let (shape, whole) = match shape {
        Ok(Table(shape)) => (shape, whole),
        Err(error) => {
            report.add(Place::whole(file), error.message(), "write a TOML file");
            (T::default(), false)
        }
    };
    Part { file, shape, whole }
}

/// Where a table's header was not understood: its keys then seem to stand in the table before.
fn broken_header(text: &str, errors: &[toml::de::Error]) -> Option<usize> {
    let starts = errors.iter().filter_map(|error| Some(error.span()?.start));
    starts
        .filter(|start| {
            let before = text.get(..*start).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            text.get(line_start..)
                .is_some_and(|line| line.trim_start().starts_with('['))
        })
        .min()
}

fn note_syntax(file: FileId, text: &str, errors: &[toml::de::Error], report: &mut Report) {
    let mut lines = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        let line = text
            .get(..span.start)
            .unwrap_or_default()
            .matches('\n')
            .count();
        if lines.contains(&line) {
            continue;
        }
        lines.push(line);
        if lines.len() > MOST_SYNTAX_ERRORS {
            return;
        }
        let help = if error.message().starts_with("duplicate key") {
            "keep one of the two"
        } else {
            "mend this first: what follows it in the file may not have been understood"
        };
        report.add(
            Place::at(file, &span),
            format!("this is not TOML: {}", error.message()),
            help,
        );
    }
}
