//! `[ready]`, but for the URL, which is rendered for each host.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use hyper::http::uri::{Scheme, Uri};
use toml::Spanned;

use crate::config::ReadyRoute;
use crate::config::check::policy::{positive, span};
use crate::config::check::scope::{LOCAL, READY};
use crate::config::check::{Text, required};
use crate::config::diagnostic::{FileId, Place, Report};
use crate::config::field::{Field, Table};
use crate::config::paths;
use crate::config::schema::playbook::{Ready as Shape, VersionFrom};
use crate::config::template::Context;
use crate::config::words::Via;
use crate::model::{ReadyPolicy, VersionCheck};

/// The checked table.
pub(crate) struct Ready {
    /// The URL's template.
    pub http: Option<Text>,
    /// How the answer is judged.
    pub policy: ReadyPolicy,
    /// How the URL is reached.
    pub route: ReadyRoute,
}

/// Checks the table; `context` is that of [`LOCAL`].
pub(crate) fn check(
    field: &Field<Table<Shape>>,
    file: FileId,
    context: &Context,
    report: &mut Report,
) -> Option<Ready> {
    if field.is_missing() {
        report.add(
            Place::whole(file),
            "[ready] is missing",
            "add [ready] with http = \"http://127.0.0.1:8080/health/ready\"",
        );
    }
    let table = field.spanned()?;
    let at = Place::at(file, &table.span());
    let shape = &table.get_ref().0;
    let http = required(
        &shape.http,
        (file, &at),
        "http",
        "\"http://127.0.0.1:8080/health/ready\"",
        report,
    );
    if let Some(http) = &http {
        http.check(&READY, report);
    }
    Some(Ready {
        http,
        policy: ReadyPolicy {
            status: status(&shape.status, file, report),
            version: version(&shape.version, file, report),
            initial_delay: span(&shape.initial_delay, Duration::ZERO),
            period: positive(
                &shape.period,
                Duration::from_millis(500),
                (file, "probes without a pause would be a flood"),
                report,
            ),
            timeout: positive(
                &shape.timeout,
                Duration::from_secs(2),
                (file, "no probe is answered in no time"),
                report,
            ),
            success_threshold: success_threshold(&shape.success_threshold, file, report),
            failure_threshold: shape.failure_threshold.get().copied().unwrap_or(0),
            deadline: positive(
                &shape.deadline,
                Duration::from_secs(60),
                (file, "no host is ready in no time"),
                report,
            ),
        },
        route: ReadyRoute {
            direct: shape.via.get().is_some_and(|via| via.0 == Via::Direct),
            ca: ca(&shape.ca, file, context, report),
        },
    })
}

fn status(field: &Field<Vec<Field<u16>>>, file: FileId, report: &mut Report) -> Vec<u16> {
    let Some(list) = field.spanned() else {
        return vec![200];
    };
    if list.get_ref().is_empty() {
        report.add(
            Place::at(file, &list.span()),
            "with no status that counts no host is ever ready",
            "write status = [200]",
        );
    }
    let codes: Vec<&Spanned<u16>> = list.get_ref().iter().filter_map(Field::spanned).collect();
    for code in &codes {
        if !(100..=599).contains(code.get_ref()) {
            report.add(
                Place::at(file, &code.span()),
                format!("{} is not a status of HTTP", code.get_ref()),
                "write numbers from 100 to 599",
            );
        }
    }
    codes.into_iter().map(|code| *code.get_ref()).collect()
}

fn success_threshold(field: &Field<u32>, file: FileId, report: &mut Report) -> u32 {
    let Some(given) = field.spanned() else {
        return 1;
    };
    if *given.get_ref() == 0 {
        report.add(
            Place::at(file, &given.span()),
            "a host that never answered would count as ready",
            "write success_threshold = 1 or more",
        );
    }
    *given.get_ref()
}

fn version(
    field: &Field<Table<VersionFrom>>,
    file: FileId,
    report: &mut Report,
) -> Option<VersionCheck> {
    const HELP: &str =
        "write version = { header = \"x-version\" } or version = { json = \"/version\" }";
    let table = field.spanned()?;
    let VersionFrom { header, json } = &table.get_ref().0;
    match (header, json) {
        (Field::Ok(header), Field::Missing) => {
            if HeaderName::from_bytes(header.get_ref().as_bytes()).is_err() {
                report.add(
                    Place::at(file, &header.span()),
                    format!("`{}` is not the name of a header", header.get_ref()),
                    HELP,
                );
            }
            Some(VersionCheck::Header(header.get_ref().clone()))
        }
        (Field::Missing, Field::Ok(pointer)) => {
            if !pointer.get_ref().starts_with('/') {
                report.add(
                    Place::at(file, &pointer.span()),
                    "a JSON pointer begins with `/`",
                    format!("write json = \"/{}\"", pointer.get_ref().replace('.', "/")),
                );
            }
            Some(VersionCheck::Json(pointer.get_ref().clone()))
        }
        (Field::Bad, _) | (_, Field::Bad) => None,
        (Field::Missing, Field::Missing) | (Field::Ok(_), Field::Ok(_)) => {
            report.add(
                Place::at(file, &table.span()),
                "the version is read at exactly one place",
                HELP,
            );
            None
        }
    }
}

fn ca(
    field: &Field<String>,
    file: FileId,
    context: &Context,
    report: &mut Report,
) -> Option<PathBuf> {
    let text = Text::of(file, field.spanned()?);
    let rendered = text.render(&LOCAL, context, "", report)?;
    match paths::resolve(&rendered, report.folder(file)) {
        Ok(path) if path.is_file() => Some(path),
        Ok(path) => {
            report.add(
                text.at,
                format!("there is no file {}", path.display()),
                "write the path of the CA's certificate in PEM, relative to this file",
            );
            None
        }
        Err(help) => {
            report.add(
                text.at,
                format!("`{rendered}` is not a path that can be used"),
                help,
            );
            None
        }
    }
}

/// Checks a rendered URL.
///
/// # Errors
/// What would be right.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    const HELP: &str = "write a URL such as \"http://127.0.0.1:8080/health/ready\"";
    let uri: Uri = url.parse().map_err(|error| format!("{error}: {HELP}"))?;
    let known = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    match uri.authority() {
        Some(authority) if known && !authority.host().is_empty() => {
            if authority.as_str().contains('@') {
                return Err(
                    "a name and password in the URL are not supported: take them out".to_owned(),
                );
            }
            let after_host = authority.as_str().get(authority.host().len()..);
            let port = after_host.unwrap_or_default().strip_prefix(':');
            if port.is_some_and(|port| port.parse::<u16>().is_err() || port == "0") {
                return Err(format!("the port is not one: {HELP}"));
            }
            Ok(())
        }
        _ => Err(HELP.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_http_with_a_host() {
        for good in [
            "http://127.0.0.1:8080/x?y=1",
            "https://[::1]:443/",
            "http://h",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/health",
            "127.0.0.1:80/x",
            "ftp://h/",
            "http:///x",
            "http://u:p@h/",
            "http://h:x/",
            "http://h:99999/",
            "http://a b/",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
