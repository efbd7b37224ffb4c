//! Paths inside a release: where files are put, and what is shared between releases.

use crate::config::check::Text;
use crate::config::check::scope::ARTIFACT;
use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::Field;
use crate::config::template::Context;

/// Begins the names that rollgate needs itself.
const OURS: &str = ".rollgate";

/// What is wrong with a path inside a release.
///
/// # Errors
/// In words.
pub(crate) fn inside(path: &str) -> Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.is_empty() || path.len() > 1000 || path.chars().any(char::is_control) {
        return Err("is no path");
    }
    let mut parts = path.split('/');
    if parts
        .clone()
        .any(|part| matches!(part, "" | "." | "..") || part.len() > 255)
    {
        return Err("has a part that is empty, `.`, `..` or too long");
    }
    if parts.next().is_some_and(|first| first.starts_with(OURS)) {
        return Err("begins with `.rollgate`, which is rollgate's own");
    }
    Ok(())
}

/// Whether one is the other, or lies below it.
pub(crate) fn collide(one: &str, other: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(one, other) || below(other, one)
}

/// `release.shared`.
pub(crate) fn shared(
    field: &Field<Vec<Field<String>>>,
    file: FileId,
    context: &Context,
    report: &mut Report,
) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    let list = field.spanned().map(toml::Spanned::get_ref);
    for item in list.into_iter().flatten().filter_map(Field::spanned) {
        let text = Text::of(file, item);
        let Some(path) = text.render(&ARTIFACT, context, "", report) else {
            continue;
        };
        let at = Place::at(file, &item.span());
        if let Err(why) = inside(&path) {
            report.add(
                at,
                format!("`{path}` {why}"),
                "write a path inside the release, such as \"log\" or \"data/uploads\"",
            );
        } else if let Some(other) = paths.iter().find(|other| collide(&path, other)) {
            report.add(
                at,
                format!("`{path}` and `{other}` cannot both be shared"),
                "name the outer one only",
            );
        } else {
            paths.push(path);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside() {
        for fine in ["a", "a/b c/.d", "..a", "a..", "...", "-x", "log/.rollgate"] {
            assert_eq!(inside(fine), Ok(()), "{fine}");
        }
        for bad in [
            "",
            "/a",
            "..",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\nb",
            ".rollgate-files",
        ] {
            assert!(inside(bad).is_err(), "{bad}");
        }
        assert!(collide("a", "a/b") && collide("a/b", "a") && collide("a", "a"));
        assert!(!collide("a", "ab") && !collide("a/b", "a/c"));
    }
}
