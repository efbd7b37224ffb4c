//! The directives of a file, with the places of their words.

use std::ops::Range;

use super::lex::{self, Kind, Piece, Unreadable};

/// Deeper than any configuration, and shallower than the stack.
const DEEPEST: usize = 100;

/// One word of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Where it stands, quotes included.
    pub(super) range: Range<usize>,
    /// Space right before it on its line; empty where there is none.
    pub(super) gap: Range<usize>,
    /// What nginx understands.
    pub(super) value: Vec<u8>,
}

/// One directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// Its name and arguments; at least one.
    pub(super) words: Vec<Word>,
    /// What is between its braces, where it has some.
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// Its name.
    pub(super) fn name(&self) -> &[u8] {
        self.argument(0)
    }

    /// One of its words; empty where there are fewer.
    pub(super) fn argument(&self, number: usize) -> &[u8] {
        self.words
            .get(number)
            .map(|word| word.value.as_slice())
            .unwrap_or_default()
    }
}

/// Reads a whole file.
///
/// # Errors
/// What nginx would not accept either: braces that do not match, a directive without an end.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Directive>, Unreadable> {
    let pieces = lex::pieces(text)?;
    let mut open: Vec<(Vec<Directive>, Vec<Word>)> = Vec::new();
    let mut done: Vec<Directive> = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut last: Option<&Piece> = None;
    for piece in &pieces {
        let refuse = |what| Unreadable {
            at: piece.range.start,
            what,
        };
        match piece.kind {
            Kind::Space | Kind::Comment | Kind::Raw => {}
            Kind::Word => words.push(Word {
                gap: gap(text, last, piece),
                value: lex::value(text.get(piece.range.clone()).unwrap_or_default()),
                range: piece.range.clone(),
            }),
            Kind::End if words.is_empty() => return Err(refuse("a `;` that ends nothing")),
            Kind::End => done.push(Directive {
                words: std::mem::take(&mut words),
                block: None,
            }),
            Kind::Open if words.is_empty() => return Err(refuse("a `{` without a name")),
            Kind::Open if open.len() >= DEEPEST => return Err(refuse("blocks that lie too deep")),
            Kind::Open => open.push((std::mem::take(&mut done), std::mem::take(&mut words))),
            Kind::Close if !words.is_empty() => return Err(refuse("a directive without its `;`")),
            Kind::Close => {
                let (before, words) = open
                    .pop()
                    .ok_or_else(|| refuse("a `}` that closes nothing"))?;
                let block = Some(std::mem::replace(&mut done, before));
                done.push(Directive { words, block });
            }
        }
        last = Some(piece);
    }
    if !open.is_empty() || !words.is_empty() {
        return Err(Unreadable {
            at: text.len(),
            what: "its end, before a block or directive has one",
        });
    }
    Ok(done)
}

/// Blanks right before a word, as far as they are on its line.
fn gap(text: &[u8], before: Option<&Piece>, word: &Piece) -> Range<usize> {
    let end = word.range.start;
    let Some(space) = before.filter(|piece| piece.kind == Kind::Space) else {
        return end..end;
    };
    let bytes = text.get(space.range.clone()).unwrap_or_default();
    let blanks = bytes
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    end - blanks..end
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    before.split(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_their_directives() {
        let text = b"http{upstream a{server b  c;}}# x\nevents { }";
        let tree = parse(text).unwrap();
        assert_eq!(tree.len(), 2);
        let server = &tree[0].block.as_ref().unwrap()[0].block.as_ref().unwrap()[0];
        assert_eq!(
            (server.name(), server.argument(1), server.argument(9)),
            (&b"server"[..], &b"b"[..], &b""[..])
        );
        assert_eq!(server.words[2].gap.len(), 2);
        assert_eq!(tree[1].block, Some(Vec::new()));
    }

    #[test]
    fn what_nginx_refuses_is_refused_with_its_line() {
        for (bad, line) in [
            ("a;\n}", 2),
            ("a {\n", 2),
            ("a", 1),
            ("a {\nb }", 2),
            (";", 1),
            ("\n\n{", 3),
        ] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert_eq!(line_of(bad.as_bytes(), error.at), line, "{bad}: {error:?}");
        }
        let deep = "a{".repeat(101) + &"}".repeat(101);
        assert!(parse(deep.as_bytes()).is_err());
    }
}
