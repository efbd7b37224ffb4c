//! What HTTP APIs need: `url`, `username_env` with `password_env`, `ca`.

use std::path::PathBuf;

use super::Draft;
use crate::config::check::ready::check_url;
use crate::config::check::scope::BALANCER;
use crate::config::check::{Text, required};
use crate::config::diagnostic::{Place, Report};
use crate::config::field::Field;
use crate::config::paths;
use crate::model::{ApiSpec, CredentialNames};

/// Checks all of it; `example` is a URL as this kind has it, and `version` says whether a segment of a path names a version, which
/// rollgate finds out by itself.
pub(super) fn check(
    draft: &Draft<'_>,
    example: &str,
    version: fn(&str) -> bool,
    report: &mut Report,
) -> Option<ApiSpec> {
    let quoted = format!("\"{example}\"");
    let at = (draft.file, draft.at);
    let url = required(&draft.shape.url, at, "url", &quoted, report);
    let url = url.and_then(|text| url_of(&text, draft, (example, version), report));
    let credentials = credentials(draft, report);
    let ca = ca(draft, report);
    if ca.is_none() && !draft.shape.ca.is_missing() {
        return None;
    }
    Some(ApiSpec {
        url: url?,
        credentials: credentials.ok()?,
        ca,
    })
}

fn url_of(
    text: &Text,
    draft: &Draft<'_>,
    (example, version): (&str, fn(&str) -> bool),
    report: &mut Report,
) -> Option<String> {
    let url = text.render(&BALANCER, &draft.given.context(), "", report)?;
    let url = url.trim_end_matches('/');
    let help = if let Err(help) = check_url(url) {
        help
    } else if url.contains(['?', '#']) {
        format!("leave the query out: write a URL such as \"{example}\"")
    } else if let Some((base, last)) = url.rsplit_once('/')
        && version(last)
    {
        format!("leave the version out, rollgate finds it: write \"{base}\"")
    } else {
        return Some(url.to_owned());
    };
    let title = format!("`{url}` is not where an API is");
    report.add(text.at.clone(), title, help);
    None
}

/// Where the CA's file is. Whether it is there is looked at when the balancer is used: a playbook need not know all of them.
fn ca(draft: &Draft<'_>, report: &mut Report) -> Option<PathBuf> {
    let text = Text::of(draft.file, draft.shape.ca.spanned()?);
    let path = text.render(&BALANCER, &draft.given.context(), "", report)?;
    paths::resolve(&path, report.folder(draft.file))
        .map_err(|help| {
            report.add(
                text.at,
                format!("`{path}` is not a path that can be used"),
                help,
            );
        })
        .ok()
}

/// Both or none; `Err` where something is wrong.
fn credentials(draft: &Draft<'_>, report: &mut Report) -> Result<Option<CredentialNames>, ()> {
    let (user, password) = (&draft.shape.username_env, &draft.shape.password_env);
    for (present, missing, key) in [
        (user, password, "password_env"),
        (password, user, "username_env"),
    ] {
        if let (Some(there), true) = (present.spanned(), missing.is_missing()) {
            report.add(
                Place::at(draft.file, &there.span()),
                format!("`{key}` is missing"),
                "name both variables, or neither for an API without a login",
            );
            return Err(());
        }
    }
    if user.is_missing() {
        return Ok(None);
    }
    let user = variable(user, draft, report);
    let password = variable(password, draft, report);
    Ok(Some(CredentialNames {
        username_env: user.ok_or(())?,
        password_env: password.ok_or(())?,
    }))
}

/// The name of a variable. Whether it is set is looked at when the balancer is used.
fn variable(field: &Field<String>, draft: &Draft<'_>, report: &mut Report) -> Option<String> {
    let text = Text::of(draft.file, field.spanned()?);
    let name = text.render(&BALANCER, &draft.given.context(), "", report)?;
    if !is_variable(&name) {
        report.add(
            text.at,
            format!("`{name}` is not the name of an environment variable"),
            "write the name of a variable, never the secret itself",
        );
        return None;
    }
    Some(name)
}

/// Source: POSIX, Base Definitions, 8.1.
fn is_variable(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `v2`, `v3`.
pub(super) fn dataplane_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(plus_version)
}

/// `9`.
pub(super) fn plus_version(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_variables_are_known_by_their_letters() {
        assert!(dataplane_version("v3") && !dataplane_version("v") && !dataplane_version("api"));
        assert!(plus_version("9") && !plus_version("") && !plus_version("api"));
        assert!(is_variable("API_USER2") && is_variable("_x"));
        assert!(!is_variable("2X") && !is_variable("s3cret!") && !is_variable(""));
    }
}
