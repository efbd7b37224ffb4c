//! `kind = "nginx"`.

use std::path::Path;

use super::Draft;
use crate::config::check::scope::BALANCER;
use crate::config::check::{Text, required};
use crate::config::command;
use crate::config::diagnostic::{Place, Report};
use crate::config::field::Field;
use crate::config::paths;
use crate::config::values::Words;
use crate::model::{BalancerKind, Command, NginxSpec};

pub(super) fn check(draft: &Draft<'_>, report: &mut Report) -> Option<BalancerKind> {
    let config = required(
        &draft.shape.config,
        (draft.file, draft.at),
        "config",
        "\"/etc/nginx/conf.d/app.conf\", the file that holds the upstream block",
        report,
    );
    let config = config.and_then(|text| path(&text, draft, report));
    let pid = match draft.shape.pid.spanned() {
        Some(text) => path(&Text::of(draft.file, text), draft, report).map(Some),
        None => Some(None),
    };
    let test = words(&draft.shape.test, &["nginx", "-t"], "test", draft, report);
    let reload = words(
        &draft.shape.reload,
        &["nginx", "-s", "reload"],
        "reload",
        draft,
        report,
    );
    Some(BalancerKind::Nginx(NginxSpec {
        config: config?,
        test: test?,
        reload: reload?,
        pid: pid?,
    }))
}

/// A path where nginx runs. Without `via` that is this machine, and paths are like all others; on another host they are absolute.
fn path(text: &Text, draft: &Draft<'_>, report: &mut Report) -> Option<String> {
    let written = text.render(&BALANCER, &draft.given.context(), "", report)?;
    let path = if draft.shape.via.is_missing() {
        paths::resolve(&written, report.folder(draft.file))
    } else if written.starts_with('/') {
        Ok(Path::new(&written).to_path_buf())
    } else {
        Err("it is a path on the host that `via` names: write it out, from `/`".to_owned())
    };
    let path = path.and_then(|path| match path.to_str() {
        Some(path) if path.starts_with('/') && !path.contains(['\0', '\n', '\t']) => {
            Ok(path.to_owned())
        }
        Some(_) | None => Err("write an absolute path, without tabs and line ends".to_owned()),
    });
    path.map_err(|help| report.add(text.at.clone(), format!("`{written}` is not a path"), help))
        .ok()
}

/// A command, rendered; the default where it is not given.
fn words(
    field: &Field<Words>,
    default: &[&str],
    key: &str,
    draft: &Draft<'_>,
    report: &mut Report,
) -> Option<Command> {
    if field.is_missing() {
        return Some(Command::Argv(
            default.iter().map(|word| (*word).to_owned()).collect(),
        ));
    }
    let words = field.spanned()?;
    let at = Place::at(draft.file, &words.span());
    let command = match words.get_ref() {
        Words::Argv(list) => {
            let texts = list.iter().map(|word| {
                let text = Text::of(draft.file, word.spanned()?);
                text.render(&BALANCER, &draft.given.context(), "", report)
            });
            let argv: Vec<Option<String>> = texts.collect();
            Command::Argv(argv.into_iter().collect::<Option<_>>()?)
        }
        Words::Shell(text) => {
            let text = Text::at(draft.file, &words.span(), text);
            match command::render(&text.text, &BALANCER, &draft.given.context()) {
                Ok(text) => Command::Shell(text),
                Err(faults) => {
                    text.report_faults(faults, "", report);
                    return None;
                }
            }
        }
    };
    let is_empty = match &command {
        Command::Argv(argv) => argv.first().is_none_or(String::is_empty),
        Command::Shell(text) => text.trim().is_empty(),
    };
    if is_empty {
        report.add(
            at,
            format!("`{key}` runs nothing"),
            format!("write {key} = {default:?}, or leave it out"),
        );
        return None;
    }
    Some(command)
}
