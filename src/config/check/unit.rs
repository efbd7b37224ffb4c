//! `run.unit`, `run.resources` and `run.user_unit`: from shapes to a recipe.

use std::path::Path;

use crate::config::check::Text;
use crate::config::check::scope::LOCAL;
use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::{Field, Table};
use crate::config::paths;
use crate::config::schema::playbook::{Resources, Run, UnitFile};
use crate::config::template::Context;
use crate::config::units::{Limit, UnitRecipe};

/// Checks a service that is a unit; `context` is that of [`LOCAL`].
pub(crate) fn unit(
    shape: &Run,
    name: Text,
    context: &Context,
    report: &mut Report,
) -> Option<UnitRecipe> {
    let file = name.at.file();
    Some(UnitRecipe {
        name,
        user: shape.user_unit.get().copied().unwrap_or_default(),
        text: text(&shape.unit, file, context, report)?,
        limits: limits(&shape.resources, file),
    })
}

/// Says which of the keys have no meaning for a service that is no unit.
pub(crate) fn refuse(shape: &Run, file: FileId, report: &mut Report) {
    let spans = [
        (shape.unit.spanned().map(toml::Spanned::span), "unit"),
        (
            shape.resources.spanned().map(toml::Spanned::span),
            "resources",
        ),
        (
            shape.user_unit.spanned().map(toml::Spanned::span),
            "user_unit",
        ),
    ];
    for (span, key) in spans {
        if let Some(span) = span {
            report.add(
                Place::at(file, &span),
                format!("`run.{key}` belongs to a service that is a unit of systemd"),
                "name the unit with systemd = \"app.service\", or take the key out",
            );
        }
    }
}

/// The outer `None`: a mistake. The inner one: the unit is there.
#[expect(clippy::option_option, reason = "the two mean different things")]
fn text(
    field: &Field<Table<UnitFile>>,
    file: FileId,
    context: &Context,
    report: &mut Report,
) -> Option<Option<Text>> {
    const HELP: &str = "write text = \"\"\"…\"\"\" with the unit itself, or template = \"app.service.j2\" with the name of a file here";
    if field.is_missing() {
        return Some(None);
    }
    let table = field.spanned()?;
    let shape = &table.get_ref().0;
    match (shape.text.spanned(), shape.template.spanned()) {
        (Some(text), None) => Some(Some(Text::of(file, text))),
        (None, Some(template)) => {
            let path = Text::of(file, template);
            Some(Some(read(&path, context, report)?))
        }
        (given, _) => {
            let title = if given.is_some() {
                "the unit is written in one place"
            } else {
                "[run.unit] has no text"
            };
            report.add(Place::at(file, &table.span()), title, HELP);
            None
        }
    }
}

fn read(path: &Text, context: &Context, report: &mut Report) -> Option<Text> {
    let text = path.render(&LOCAL, context, "", report)?;
    let folder = report.folder(path.at.file()).to_owned();
    let found = paths::resolve(&text, &folder)
        .map_err(|help| (format!("`{text}` is not a path that can be used"), help));
    let content = found.and_then(|found| Ok((content(&found)?, found)));
    match content {
        Ok((content, found)) => {
            let file = report.add_source(&found, content.clone());
            Some(Text::at(file, &(0..content.len()), &content))
        }
        Err((title, help)) => {
            report.add(path.at.clone(), title, help);
            None
        }
    }
}

fn content(path: &Path) -> Result<String, (String, String)> {
    std::fs::read_to_string(path).map_err(|error| {
        (
            format!("{} cannot be read: {error}", path.display()),
            "name a text file, relative to this one".to_owned(),
        )
    })
}

fn limits(field: &Field<Table<Resources>>, file: FileId) -> Vec<(Limit, Text)> {
    let Some(shape) = field.get().map(|table| &table.0) else {
        return Vec::new();
    };
    let all = [
        (Limit::MemoryMax, &shape.memory_max),
        (Limit::CpuQuota, &shape.cpu_quota),
    ];
    let given = all.into_iter();
    given
        .filter_map(|(limit, field)| Some((limit, Text::of(file, field.spanned()?))))
        .collect()
}
