//! A configuration file as pieces: words, marks, comments and the space between them. Together they are the file, byte for byte.
//!
//! As nginx reads it (`ngx_conf_read_token`): a quote counts only where a word begins, `#` too; `}` ends a block only where a word
//! would begin; `${` does not open one; a backslash keeps the byte behind it in the word.

use std::ops::Range;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Space and line ends.
    Space,
    /// From `#` to the end of the line, that end left out.
    Comment,
    /// A word, quotes included.
    Word,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `;`
    End,
    /// What is between the braces of a Lua block: not nginx's language.
    Raw,
}

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// What cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The byte at which it begins.
    pub(super) at: usize,
    /// In words.
    pub(super) what: &'static str,
}

/// Takes a file apart.
///
/// # Errors
/// A quote or a Lua block that is never closed.
pub(super) fn pieces(text: &[u8]) -> Result<Vec<Piece>, Unreadable> {
    let mut found: Vec<Piece> = Vec::new();
    let mut at = 0;
    let mut directive = Directive::default();
    while let Some(&byte) = text.get(at) {
        let (kind, end) = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => (Kind::Space, skip(text, at, is_space)),
            b'#' => (Kind::Comment, skip(text, at, |byte| byte != b'\n')),
            b';' => (Kind::End, at + 1),
            b'{' => (Kind::Open, at + 1),
            b'}' => (Kind::Close, at + 1),
            _ => (Kind::Word, word_end(text, at)?),
        };
        found.push(Piece {
            kind,
            range: at..end,
        });
        at = end;
        if directive.opens_lua(
            kind,
            text.get(found.last().map_or(0..0, |piece| piece.range.clone())),
        ) {
            let end = lua_end(text, at).ok_or(Unreadable {
                at,
                what: "a Lua block that is never closed",
            })?;
            found.push(Piece {
                kind: Kind::Raw,
                range: at..end,
            });
            at = end;
        }
    }
    Ok(found)
}

/// The directive that is being read: only its last word matters, since a Lua block's name is the word before its brace or the first one.
#[derive(Default)]
struct Directive {
    is_lua: bool,
    begun: bool,
}

impl Directive {
    /// Whether this piece is the brace that opens a Lua block.
    fn opens_lua(&mut self, kind: Kind, piece: Option<&[u8]>) -> bool {
        match kind {
            Kind::Space | Kind::Comment | Kind::Raw => false,
            Kind::Word => {
                if !self.begun {
                    self.begun = true;
                    self.is_lua = piece.is_some_and(|word| word.ends_with(b"_by_lua_block"));
                }
                false
            }
            Kind::Open | Kind::Close | Kind::End => {
                let opens = kind == Kind::Open && self.is_lua;
                *self = Self::default();
                opens
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip(text: &[u8], from: usize, is_in: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest.iter().position(|byte| !is_in(*byte));
    from + length.unwrap_or(rest.len())
}

fn word_end(text: &[u8], start: usize) -> Result<usize, Unreadable> {
    let quote = text
        .get(start)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\''));
    let mut at = if quote.is_some() { start + 1 } else { start };
    let mut before = 0;
    while let Some(&byte) = text.get(at) {
        match (quote, byte) {
            (_, b'\\') => at += 1,
            (Some(quote), byte) if byte == quote => return Ok(at + 1),
            (None, b'{') if before == b'$' => {}
            (None, b';' | b'{') => return Ok(at),
            (None, byte) if is_space(byte) => return Ok(at),
            (Some(_) | None, _) => {}
        }
        before = byte;
        at += 1;
    }
    match quote {
        None => Ok(text.len()),
        Some(_) => Err(Unreadable {
            at: start,
            what: "a quote that is never closed",
        }),
    }
}

/// Where the brace is that closes a Lua block which begins at `at`. Strings and comments of Lua may hold braces.
fn lua_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        let rest = text.get(at..)?;
        match rest {
            [b'{', ..] => depth += 1,
            [b'}', ..] if depth == 0 => return Some(at),
            [b'}', ..] => depth -= 1,
            [b'-', b'-', comment @ ..] => {
                at = match long_bracket(comment) {
                    Some(length) => at + 2 + length?,
                    None => skip(text, at, |byte| byte != b'\n'),
                };
                continue;
            }
            [quote @ (b'"' | b'\''), ..] => {
                at = lua_string_end(text, at, *quote)?;
                continue;
            }
            [b'[', ..] => {
                if let Some(length) = long_bracket(rest) {
                    at += length?;
                    continue;
                }
            }
            [_, ..] => {}
            [] => return None,
        }
        at += 1;
    }
}

fn lua_string_end(text: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match *text.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of a long bracket (`[[…]]`, `[=[…]=]`) that begins here: `None` where none does, `Some(None)` where it never ends.
#[expect(
    clippy::option_option,
    reason = "two different absences, told apart at once"
)]
fn long_bracket(rest: &[u8]) -> Option<Option<usize>> {
    let inner = rest.strip_prefix(b"[")?;
    let level = inner.iter().take_while(|byte| **byte == b'=').count();
    if inner.get(level) != Some(&b'[') {
        return None;
    }
    let mut close = vec![b'='; level + 2];
    close.first_mut().into_iter().for_each(|byte| *byte = b']');
    close.last_mut().into_iter().for_each(|byte| *byte = b']');
    let found = rest
        .windows(close.len())
        .skip(level + 2)
        .position(|window| window == close);
    Some(found.map(|at| at + level + 2 + close.len()))
}

/// A word as nginx understands it: quotes off, escapes undone.
pub(super) fn value(word: &[u8]) -> Vec<u8> {
    let inner = match word {
        [open @ (b'"' | b'\''), inner @ .., close] if open == close => inner,
        whole => whole,
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(next @ (b'"' | b'\'' | b'\\')) => out.push(next),
            Some(next) => out.extend([b'\\', next]),
            None => out.push(b'\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        let bytes = text.as_bytes();
        let found = pieces(bytes).unwrap();
        let words = found.iter().filter(|piece| piece.kind == Kind::Word);
        words
            .map(|piece| String::from_utf8(value(&bytes[piece.range.clone()])).unwrap())
            .collect()
    }

    #[test]
    fn words_end_where_nginx_ends_them() {
        assert_eq!(words("a b;c{d}e}"), ["a", "b", "c", "d}e}"]);
        assert_eq!(
            words("set $x ${y}z#no; # yes { } ; \"\n"),
            ["set", "$x", "${y}z#no"]
        );
        assert_eq!(
            words(r#"a "b ; { \" c" 'd"e' f\;g;"#),
            ["a", "b ; { \" c", "d\"e", "f\\;g"]
        );
        assert_eq!(
            words("server\r\n a:1 # x\r\n down;\r\n"),
            ["server", "a:1", "down"]
        );
        assert_eq!(words("don't;"), ["don't"]);
    }

    #[test]
    fn lua_is_passed_over_whatever_braces_its_strings_and_comments_hold() {
        let lua = "content_by_lua_block { local a = { '}', \"}\\\"}\", [[ } ]], [=[ ]] } ]=] } -- }\n --[[ } ]] }\nupstream u {}";
        assert_eq!(words(lua), ["content_by_lua_block", "upstream", "u"]);
        assert_eq!(
            words("set_by_lua_block $x { return a[b[1]] } y;"),
            ["set_by_lua_block", "$x", "y"]
        );
        assert!(pieces(b"x_by_lua_block { [[ } ").is_err());
        assert!(pieces(b"x_by_lua_block { ' ").is_err());
        assert_eq!(
            words("a x_by_lua_block { b }"),
            ["a", "x_by_lua_block", "b"]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error() {
        assert_eq!(pieces(b"a; 'b").unwrap_err().at, 3);
        assert!(pieces(b"\"a\\\"").is_err());
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_file(text in "([a-d \\\\t\\r\\n;{}#\"'$\\[\\]=-]|server|_by_lua_block|\\\\.){0,60}") {
            if let Ok(pieces) = pieces(text.as_bytes()) {
                let mut at = 0;
                for piece in pieces {
                    prop_assert_eq!(piece.range.start, at);
                    prop_assert!(piece.range.end >= at);
                    at = piece.range.end;
                }
                prop_assert_eq!(at, text.len());
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(text: Vec<u8>) {
            let _pieces = pieces(&text);
            let _value = value(&text);
        }
    }
}
