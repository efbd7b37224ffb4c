//! `[release]`, of kind `binary`; of kind `container` in [`container`](super::container).

use std::path::PathBuf;

use crate::config::check::scope::{ARTIFACT, ROOT};
use crate::config::check::{Text, container, required};
use crate::config::diagnostic::{FileId, Place, Report, nearest};
use crate::config::field::{Field, Table};
use crate::config::paths;
use crate::config::schema::later;
use crate::config::schema::playbook::Release as Shape;
use crate::config::template::Context;

/// Revisions kept on each host, unless the playbook says otherwise.
const KEEP: u32 = 5;

/// The checked table.
pub(crate) struct Release {
    /// The local artifact.
    pub source: PathBuf,
    /// What it is called on the host.
    pub name: String,
    /// The template of the root.
    pub root: Text,
    /// Revisions kept.
    pub keep: usize,
    /// The container that it is; then there is no source.
    pub container: Option<container::Checked>,
}

/// Checks the table; `context` is that of [`ARTIFACT`]. Where the source is `optional` it may be missing.
pub(crate) fn check(
    field: &Field<Table<Shape>>,
    file: FileId,
    (context, optional): (&Context, bool),
    report: &mut Report,
) -> Option<Release> {
    if field.is_missing() {
        report.add(
            Place::whole(file),
            "[release] is missing",
            "add [release] with kind = \"binary\" and source = \"../dist/app\"",
        );
    }
    let table = field.spanned()?;
    let at = Place::at(file, &table.span());
    let shape = &table.get_ref().0;
    let keep = keep(&shape.keep, file, report);
    let is_container = shape.kind.get().is_some_and(|kind| kind == "container");
    let root = root(shape, is_container, file, &at);
    root.check(&ROOT, report);
    if is_container {
        let checked = container::check(shape, (file, &at), (context, optional), report)?;
        return Some(Release {
            source: PathBuf::new(),
            name: String::new(),
            root,
            keep,
            container: Some(checked),
        });
    }
    container::refuse_keys(shape, &at, report);
    let name = name(&shape.name, file, context, report);
    // What a source is depends on the kind, so of another kind its source is not looked at.
    kind(shape, file, &at, report)?;
    let source = required(
        &shape.source,
        (file, &at),
        "source",
        "\"../dist/app\"",
        report,
    )?;
    let path = local_file(&source, (context, optional), report)?;
    let name = match name {
        Name::Given(name) => name,
        Name::Wrong => return None,
        Name::OfSource => match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if is_file_name(name) => name.to_owned(),
            _ => {
                report.add(
                    source.at,
                    "the file's name is not one to use on hosts",
                    "add name = \"app\" to [release]",
                );
                return None;
            }
        },
    };
    Some(Release {
        source: path,
        name,
        root,
        keep,
        container: None,
    })
}

fn root(shape: &Shape, is_container: bool, file: FileId, at: &Place) -> Text {
    let default = if is_container {
        "/var/lib/rollgate/{{ service }}"
    } else {
        "/opt/{{ service }}"
    };
    match shape.root.spanned() {
        Some(root) => Text::of(file, root),
        None => Text {
            at: at.clone(),
            text: default.to_owned(),
        },
    }
}

fn kind(shape: &Shape, file: FileId, at: &Place, report: &mut Report) -> Option<()> {
    let kind = required(&shape.kind, (file, at), "kind", "\"binary\"", report)?;
    if kind.text == "binary" {
        return Some(());
    }
    if later::RELEASE_KINDS.contains(&kind.text.as_str()) {
        report.add(
            kind.at,
            format!("releases of kind `{}` are not supported yet", kind.text),
            "this version rolls kind = \"binary\" (one executable file) and kind = \"container\"",
        );
        return None;
    }
    let known = ["binary", "container"]
        .into_iter()
        .chain(later::RELEASE_KINDS.iter().copied());
    report.add(
        kind.at,
        format!("unknown kind of release `{}`", kind.text),
        nearest(&kind.text, known).map_or_else(
            || "write kind = \"binary\"".to_owned(),
            |near| format!("did you mean \"{near}\"?"),
        ),
    );
    None
}

fn keep(field: &Field<u32>, file: FileId, report: &mut Report) -> usize {
    let given = field.spanned();
    if let Some(given) = given.filter(|given| *given.get_ref() < 2) {
        report.add(
            Place::at(file, &given.span()),
            "with less than 2 revisions on a host there is nothing to go back to",
            "write keep = 2 or more",
        );
    }
    let keep = given.map_or(KEEP, |given| *given.get_ref());
    usize::try_from(keep).unwrap_or(usize::MAX)
}

enum Name {
    OfSource,
    Given(String),
    Wrong,
}

fn name(field: &Field<String>, file: FileId, context: &Context, report: &mut Report) -> Name {
    if field.is_missing() {
        return Name::OfSource;
    }
    let Some(text) = field.spanned().map(|text| Text::of(file, text)) else {
        return Name::Wrong;
    };
    match text.render(&ARTIFACT, context, "", report) {
        Some(name) if is_file_name(&name) => Name::Given(name),
        Some(name) => {
            report.add(
                text.at,
                format!("`{name}` is not the name of a file"),
                "use letters, digits and `._+@-`, no folder, and do not begin with `-`",
            );
            Name::Wrong
        }
        None => Name::Wrong,
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._+@-".contains(&b))
}

fn local_file(
    source: &Text,
    (context, optional): (&Context, bool),
    report: &mut Report,
) -> Option<PathBuf> {
    let text = source.render(&ARTIFACT, context, "", report)?;
    if text.starts_with("https://") || text.starts_with("http://") {
        report.add(
            source.at.clone(),
            "sources that are fetched are not supported yet",
            "fetch the file before the rollout and name the local one, relative to this file",
        );
        return None;
    }
    let file = source.at.file();
    let (title, help) = match paths::resolve(&text, report.folder(file)) {
        Err(help) => (format!("`{text}` is not a path that can be used"), help),
        Ok(path) => match std::fs::metadata(&path) {
            Ok(seen) if seen.is_file() => return Some(path),
            Ok(seen) if seen.is_dir() => (
                format!("{} is a folder", path.display()),
                "name the executable file; archives and folders are not supported yet".to_owned(),
            ),
            Ok(_) => (
                format!("{} is not a plain file", path.display()),
                "name the executable file".to_owned(),
            ),
            Err(_missing) if optional => return Some(path),
            Err(error) => (
                format!("{} cannot be read: {error}", path.display()),
                "build it first, or mend the path: it is relative to this file".to_owned(),
            ),
        },
    };
    report.add(source.at.clone(), title, help);
    None
}
