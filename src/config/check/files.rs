//! `[[release.files]]` and `[secrets]`.

use std::collections::BTreeMap;

use crate::config::check::inside::{collide, inside};
use crate::config::check::scope::{ARTIFACT, LOCAL};
use crate::config::check::{Text, required, run};
use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::{Entries, Field, Table};
use crate::config::overlay::FileRecipe;
use crate::config::paths;
use crate::config::schema::playbook::{ReleaseFile, Secret};
use crate::config::secrets::{Origin, Vault};
use crate::config::template::{self, Context};

/// A file that is sent within a script; what is larger belongs into the artifact.
const LARGEST: u64 = 1024 * 1024;

/// Checks the files, whose paths may not be any of the `taken` ones. Templates may be missing where they are `optional`.
pub(crate) fn files(
    field: &Field<Vec<Field<Table<ReleaseFile>>>>,
    file: FileId,
    (context, optional): (&Context, bool),
    taken: &[String],
    report: &mut Report,
) -> Vec<FileRecipe> {
    let list = field.get().map_or(&[][..], Vec::as_slice);
    let mut taken = taken.to_vec();
    let mut files = Vec::new();
    for table in list.iter().filter_map(Field::spanned) {
        let at = Place::at(file, &table.span());
        let shape = &table.get_ref().0;
        let path = path(shape, (file, &at), context, &mut taken, report);
        let text = text(shape, (file, &at), (context, optional), report);
        let owner = owner(&shape.owner, file, context, report);
        let (Some(path), Some(text)) = (path, text) else {
            continue;
        };
        let secret = template::names_secret(&text.text);
        if let Some(mode) = mode(&shape.mode, file, secret, report) {
            files.push(FileRecipe {
                path,
                text,
                mode,
                owner,
                secret,
            });
        }
    }
    files
}

fn path(
    shape: &ReleaseFile,
    at: (FileId, &Place),
    context: &Context,
    taken: &mut Vec<String>,
    report: &mut Report,
) -> Option<String> {
    let text = required(&shape.path, at, "path", "\"app.env\"", report)?;
    let path = text.render(&ARTIFACT, context, "", report)?;
    if let Err(why) = inside(&path) {
        report.add(
            text.at,
            format!("`{path}` {why}"),
            "write a path inside the release, such as \"conf/app.env\"",
        );
        return None;
    }
    if let Some(other) = taken.iter().find(|other| collide(&path, other)) {
        report.add(
            text.at,
            format!("`{path}` cannot be a file, since `{other}` is there"),
            "two files, a shared folder and the binary each need a path of their own",
        );
        return None;
    }
    taken.push(path.clone());
    Some(path)
}

/// The template: from its own file, so that mistakes are shown there, or as it stands in the playbook.
fn text(
    shape: &ReleaseFile,
    (file, at): (FileId, &Place),
    (context, optional): (&Context, bool),
    report: &mut Report,
) -> Option<Text> {
    let source = shape.source.spanned().map(|text| Text::of(file, text));
    let content = shape.content.spanned().map(|text| Text::of(file, text));
    let source = match (source, content) {
        (Some(source), None) => source,
        (None, Some(content)) => return Some(content),
        (Some(source), Some(_)) => {
            let help = "`source` names a template file, `content` is the template itself";
            report.add(source.at, "`source` and `content` are both given", help);
            return None;
        }
        (None, None) if shape.source.is_missing() && shape.content.is_missing() => {
            let help = "add source = \"app.env.j2\", a template file relative to this one, or content = \"…\"";
            report.add(at.clone(), "`source` is missing", help);
            return None;
        }
        (None, None) => return None,
    };
    let name = source.render(&ARTIFACT, context, "", report)?;
    let read = paths::resolve(&name, report.folder(file)).and_then(|path| {
        Ok((
            read(&path).map_err(|why| format!("{}: {why}", path.display()))?,
            path,
        ))
    });
    match read {
        Ok((text, path)) => {
            let id = report.add_source(&path, text.clone());
            let at = Place::at(id, &(0..text.len()));
            Some(Text { at, text })
        }
        Err(_missing) if optional => None,
        Err(why) => {
            let help = "name a template in UTF-8 of 1 MiB at most, relative to this file; larger ones belong into the artifact";
            report.add(
                source.at,
                format!("this template cannot be read: {why}"),
                help,
            );
            None
        }
    }
}

fn read(path: &std::path::Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if size.len() > LARGEST {
        return Err("it is larger than 1 MiB".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if text.contains('\0') {
        return Err("it has a zero byte".to_owned());
    }
    Ok(text)
}

fn mode(field: &Field<String>, file: FileId, secret: bool, report: &mut Report) -> Option<u32> {
    if field.is_missing() {
        return Some(if secret { 0o600 } else { 0o644 });
    }
    let given = field.spanned()?;
    let at = Place::at(file, &given.span());
    let text = given.get_ref();
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && (3..=4).contains(&text.len()) && *mode & 0o400 != 0);
    match mode {
        None => {
            let help =
                "write it in octal digits, such as \"0640\"; its owner must be able to read it";
            report.add(at, format!("`{text}` is not a mode"), help);
            None
        }
        Some(mode) if secret && mode & 0o007 != 0 => {
            let title = format!(
                "with mode {text} everybody on the host could read the secrets in this file"
            );
            report.add(
                at,
                title,
                "write \"0600\", or \"0640\" with owner = \":group\"",
            );
            None
        }
        Some(mode) => Some(mode),
    }
}

fn owner(
    field: &Field<String>,
    file: FileId,
    context: &Context,
    report: &mut Report,
) -> Option<String> {
    let text = Text::of(file, field.spanned()?);
    let owner = text.render(&ARTIFACT, context, "", report)?;
    let is_name = |name: &str| {
        !name.starts_with('-')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let (user, group) = owner.split_once(':').unwrap_or((&owner, ""));
    if !owner.is_empty() && owner != ":" && is_name(user) && is_name(group) {
        return Some(owner);
    }
    report.add(
        text.at,
        format!("`{owner}` is not an owner"),
        "write a user, a user and a group, or a group: \"app\", \"app:app\", \":app\"",
    );
    None
}

/// Checks `[secrets]`.
pub(crate) fn secrets(
    field: &Field<Entries<Field<Table<Secret>>>>,
    file: FileId,
    context: &Context,
    report: &mut Report,
) -> Vault {
    let mut origins = BTreeMap::new();
    let entries = field.get().map_or(&[][..], |entries| &entries.0);
    for (name, table) in entries {
        let Some(table) = table.spanned() else {
            continue;
        };
        let at = Place::at(file, &table.span());
        if let Some(origin) = origin(&table.get_ref().0, (file, &at), context, report) {
            origins.insert(name.get_ref().clone(), origin);
        }
    }
    Vault::new(origins, report.folder(file))
}

fn origin(
    shape: &Secret,
    (file, at): (FileId, &Place),
    context: &Context,
    report: &mut Report,
) -> Option<Origin> {
    let missing = [
        shape.env.is_missing(),
        shape.file.is_missing(),
        shape.run.is_missing(),
    ];
    if missing.iter().filter(|missing| !**missing).count() != 1 {
        let help =
            "write one of env = \"NAME\", file = \"path\" and run = [\"pass\", \"show\", \"name\"]";
        report.add(at.clone(), "a secret comes from one place", help);
        return None;
    }
    let mut rendered = |field: &Field<String>| {
        let text = Text::of(file, field.spanned()?);
        let value = text.render(&LOCAL, context, "", report)?;
        Some((text.at, value))
    };
    if !shape.env.is_missing() {
        return rendered(&shape.env).map(|(_, name)| Origin::Env(name));
    }
    if !shape.file.is_missing() {
        let (at, name) = rendered(&shape.file)?;
        return match paths::resolve(&name, report.folder(file)) {
            Ok(path) => Some(Origin::File(path)),
            Err(help) => {
                report.add(at, format!("`{name}` is not a path that can be used"), help);
                None
            }
        };
    }
    let command = run::command(&shape.run, file)?;
    match command.render(&LOCAL, context) {
        Ok(command) => Some(Origin::Run(command)),
        Err((text, faults)) => {
            text.report_faults(faults, "", report);
            None
        }
    }
}
