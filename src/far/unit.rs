//! The unit's part of a swap, and of a look ahead of it.

use super::draft::become_words;
use super::{Draft, ScriptError, Site};
use crate::model::{LOG_LINES, Revision, Unit, UnitFiles};

/// The functions of a unit's files and state.
pub(super) const UNIT: &str = include_str!("unit.sh");

/// What `unit.sh` needs: empty values where the service is no unit.
pub(super) fn set(
    draft: &mut Draft,
    site: &Site,
    unit: Option<&Unit>,
    (to, before): (Option<Revision>, Option<Revision>),
) -> Result<(), ScriptError> {
    // Where nothing is to run, the files are again what they were when nothing did.
    let (files, text, drop_in) = match unit.map(|unit| &unit.files).filter(|_| to.is_some()) {
        Some(UnitFiles::Rendered { text, drop_in }) => {
            ("rendered", text.as_deref(), drop_in.as_deref())
        }
        Some(UnitFiles::Kept) | None => ("kept", None, None),
    };
    let number = |revision: Option<Revision>| {
        revision.map_or_else(|| "none".to_owned(), |revision| revision.to_string())
    };
    // The script ends each text with a line end of its own.
    let whole = |text: Option<&str>| text.unwrap_or_default().trim_end_matches('\n').to_owned();
    draft.value("UNIT", unit.map_or("", |unit| unit.name.as_str()))?;
    let user = unit.is_some_and(|unit| unit.user);
    draft.value("USER_UNIT", if user { "yes" } else { "" })?;
    draft.value("BECOME", &become_words(site.r#become).join(" "))?;
    draft.value("FILES", files)?;
    draft.value("TEXT", &whole(text))?;
    draft.value("DROP_IN", &whole(drop_in))?;
    draft.value("TO", &number(to))?;
    draft.value("BEFORE", &number(before))
}

/// Words that ask the unit's manager for something.
pub(super) fn systemctl(unit: &Unit, verb: &str) -> Vec<String> {
    let user = unit.user.then_some("--user");
    let words = ["systemctl"].into_iter().chain(user);
    words
        .chain([verb, unit.name.as_str()])
        .map(str::to_owned)
        .collect()
}

/// Words that print its last log lines.
pub(super) fn journalctl(unit: &Unit, lines: &str) -> Vec<String> {
    let whose = if unit.user { "--user-unit" } else { "-u" };
    let name = unit.name.as_str();
    let words = [
        "journalctl",
        whose,
        name,
        "-n",
        lines,
        "--no-pager",
        "-o",
        "short-iso",
    ];
    words.map(str::to_owned).into()
}

/// What is run with privilege for it, each command behind how it is asked for; see `rights.sh`.
pub(super) fn needs(unit: &Unit, site: &Site) -> Result<Vec<Vec<String>>, ScriptError> {
    if unit.user {
        return Ok(Vec::new());
    }
    let name = &unit.name;
    let state = format!("{}/.rollgate", site.root()?);
    let mut needs: Vec<Vec<String>> = ["restart", "stop", "reset-failed"]
        .iter()
        .map(|verb| must(&["systemctl", verb, name]))
        .collect();
    let places = match &unit.files {
        UnitFiles::Rendered { text, drop_in } => {
            let drop_in = drop_in
                .as_ref()
                .map(|_| ("drop-in", format!("{name}.d/50-rollgate.conf")));
            [text.as_ref().map(|_| ("text", name.clone())), drop_in]
        }
        UnitFiles::Kept => [None, None],
    };
    for (file, place) in places.into_iter().flatten() {
        let file = format!("{state}/{file}");
        let place = format!("/etc/systemd/system/{place}");
        needs.push(must(&["install", "-D", "-m", "0644", &file, &place]));
        needs.push(must(&["rm", "-f", &place]));
    }
    if needs.len() > 3 {
        needs.push(must(&["systemctl", "daemon-reload"]));
    }
    let logs = journalctl(unit, &LOG_LINES.to_string());
    needs.push(std::iter::once("may".to_owned()).chain(logs).collect());
    Ok(needs)
}

fn must(words: &[&str]) -> Vec<String> {
    std::iter::once("must")
        .chain(words.iter().copied())
        .map(str::to_owned)
        .collect()
}
