//! `[release]` of the kinds `binary` and `archive`; of kind `container` in [`container`].

use std::path::{Path, PathBuf};

use crate::config::check::scope::{ARTIFACT, ROOT};
use crate::config::check::{Text, container, files, inside, required};
use crate::config::diagnostic::{FileId, Place, Report, nearest};
use crate::config::field::{Field, Table};
use crate::config::overlay::FileRecipe;
use crate::config::paths;
use crate::config::schema::later;
use crate::config::schema::playbook::Release as Shape;
use crate::config::template::Context;
use crate::model::ReleaseKind;

/// Revisions kept on each host, unless the playbook says otherwise.
const KEEP: u32 = 5;

/// The checked table.
pub(crate) struct Release {
    /// What is rolled.
    pub kind: ReleaseKind,
    /// The local artifact.
    pub source: PathBuf,
    /// What it is called on the host.
    pub name: String,
    /// The template of the root.
    pub root: Text,
    /// Revisions kept.
    pub keep: usize,
    /// Paths that are links into the shared folder.
    pub shared: Vec<String>,
    /// The container that it is; then there is no source.
    pub container: Option<container::Checked>,
    /// Rendered files.
    pub files: Vec<FileRecipe>,
}

/// Checks the table; `context` is that of [`ARTIFACT`]. Where the source is `optional` it may be missing.
pub(crate) fn check(
    field: &Field<Table<Shape>>,
    file: FileId,
    (context, optional): (&Context, bool),
    without_files: bool,
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
        return Some(of_container(checked, root, keep));
    }
    container::refuse_keys(shape, &at, report);
    let shared = inside::shared(&shape.shared, file, context, report);
    let name = name(&shape.name, file, context, report);
    // What a source is depends on the kind, so of another kind its source is not looked at.
    let kind = kind(shape, file, &at, report)?;
    no_name(kind, shape, file, report);
    let source = required(
        &shape.source,
        (file, &at),
        "source",
        match kind {
            ReleaseKind::Binary => "\"../dist/app\"",
            ReleaseKind::Archive | ReleaseKind::Container => "\"../dist/app.tar.gz\"",
        },
        report,
    )?;
    let path = local_file(kind, &source, (context, optional), report)?;
    let name = match name {
        Name::Given(name) => name,
        Name::Wrong => return None,
        Name::OfSource => name_of(&path, source, report)?,
    };
    let mut taken = shared.clone();
    if kind == ReleaseKind::Binary {
        taken.push(name.clone());
    }
    let files = files::files(&shape.files, file, (context, without_files), &taken, report);
    Some(Release {
        kind,
        source: path,
        name,
        root,
        keep,
        shared,
        container: None,
        files,
    })
}

fn of_container(checked: container::Checked, root: Text, keep: usize) -> Release {
    Release {
        kind: ReleaseKind::Container,
        source: PathBuf::new(),
        name: String::new(),
        root,
        keep,
        shared: Vec::new(),
        files: Vec::new(),
        container: Some(checked),
    }
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

/// Every kind with its name.
const KINDS: [(&str, ReleaseKind); 3] = [
    ("binary", ReleaseKind::Binary),
    ("archive", ReleaseKind::Archive),
    ("container", ReleaseKind::Container),
];

fn no_name(kind: ReleaseKind, shape: &Shape, file: FileId, report: &mut Report) {
    if let (ReleaseKind::Archive, Some(name)) = (kind, shape.name.spanned()) {
        report.add(
            Place::at(file, &name.span()),
            "`name` belongs to releases of kind \"binary\" and \"container\"",
            "take it out: what lies in an archive has its own names",
        );
    }
}

fn kind(shape: &Shape, file: FileId, at: &Place, report: &mut Report) -> Option<ReleaseKind> {
    let kind = required(&shape.kind, (file, at), "kind", "\"binary\"", report)?;
    if let Some((_, known)) = KINDS.iter().find(|(name, _)| *name == kind.text) {
        return Some(*known);
    }
    if later::RELEASE_KINDS.contains(&kind.text.as_str()) {
        report.add(
            kind.at,
            format!("releases of kind `{}` are not supported yet", kind.text),
            "this version rolls the kinds \"binary\" (one executable file), \"archive\" and \"container\"",
        );
        return None;
    }
    let ours = KINDS.iter().map(|(name, _)| *name);
    let known = ours.chain(later::RELEASE_KINDS.iter().copied());
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

/// What a local file is called on a host.
fn name_of(path: &Path, source: Text, report: &mut Report) -> Option<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    if let Some(name) = name.filter(|name| is_file_name(name)) {
        return Some(name.to_owned());
    }
    report.add(
        source.at,
        "the file's name is not one to use on hosts",
        "add name = \"app\" to [release]",
    );
    None
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
    kind: ReleaseKind,
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
    let what = match kind {
        ReleaseKind::Binary => "name the executable file",
        ReleaseKind::Archive | ReleaseKind::Container => "name the archive",
    };
    let file = source.at.file();
    let (title, help) = match paths::resolve(&text, report.folder(file)) {
        Err(help) => (format!("`{text}` is not a path that can be used"), help),
        Ok(path) => match std::fs::metadata(&path) {
            Ok(seen) if seen.is_file() => return Some(path),
            Ok(seen) if seen.is_dir() => (
                format!("{} is a folder", path.display()),
                format!("{what}; pack a folder with `tar`, for kind = \"archive\""),
            ),
            Ok(_) => (
                format!("{} is not a plain file", path.display()),
                what.to_owned(),
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
