//! Small tables: columns aligned with spaces, no frames, so that `grep`, `awk` and people read them alike.

use super::paint::{Meaning, Paint};
use super::text;

/// One cell: a text, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    meaning: Option<Meaning>,
}

impl Cell {
    /// A cell whose text is shown in a colour. Control characters are dropped.
    pub fn new(meaning: Meaning, content: &str) -> Self {
        Self {
            meaning: Some(meaning),
            ..Self::from(content)
        }
    }
}

impl<T: AsRef<str> + ?Sized> From<&T> for Cell {
    /// A cell; an empty one shows as `-`, so that columns can be counted.
    fn from(content: &T) -> Self {
        let cleaned = text::clean(content.as_ref());
        Self {
            text: if cleaned.is_empty() {
                "-".to_owned()
            } else {
                cleaned
            },
            meaning: None,
        }
    }
}

/// Rows under a heading.
#[derive(Debug, Clone)]
pub struct Table {
    head: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head
                .iter()
                .map(|name| Cell::new(Meaning::Strong, name))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells beyond the headings are kept.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, heading first, without spaces at their ends.
    pub fn lines(&self, paint: Paint) -> Vec<String> {
        let widths = self.widths();
        std::iter::once(&self.head)
            .chain(&self.rows)
            .map(|row| line(row, &widths, paint))
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in std::iter::once(&self.head).chain(&self.rows) {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(text::width(&cell.text));
            }
        }
        widths
    }
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut out = String::new();
    for (i, (cell, columns)) in row.iter().zip(widths).enumerate() {
        out.push_str(if i == 0 { "" } else { "  " });
        match cell.meaning {
            Some(meaning) => out.push_str(&paint.text(meaning, &cell.text)),
            None => out.push_str(&cell.text),
        }
        if i + 1 < row.len() {
            let missing = columns.saturating_sub(text::width(&cell.text));
            out.extend(std::iter::repeat_n(' ', missing));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["host", "result"]);
        table.row(vec!["web-01".into(), Cell::new(Meaning::Good, "updated")]);
        table.row(vec!["日本".into(), "\u{1b}[2Jx\ny".into()]);
        table.row(vec!["".into(), "".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows() {
        let lines = sample().lines(Paint::PLAIN);
        assert_eq!(
            lines,
            [
                "host    result",
                "web-01  updated",
                "日本    x y",
                "-       -"
            ]
        );
    }

    #[test]
    fn colours_do_not_change_the_alignment() {
        let plain = sample().lines(Paint::PLAIN);
        let coloured = sample().lines(Paint::new(true));
        assert_ne!(plain, coloured);
        for (plain, coloured) in plain.iter().zip(&coloured) {
            assert_eq!(&anstream::adapter::strip_str(coloured).to_string(), plain);
        }
    }
}
