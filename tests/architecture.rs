//! Who may use whom, how long a file may be, and which words have no place in the sources.

use std::path::{Path, PathBuf};

/// What each module may use of the crate. Absent: everything.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("model", &["model"]),
    ("plan", &["plan", "model"]),
    ("cycle", &["cycle", "model", "plan"]),
    ("event", &["event", "model", "plan", "cycle"]),
    ("far", &["far", "model"]),
    // The journal file is written by the store, which knows events.
    ("drivers", &["drivers", "model", "far", "event"]),
    ("config", &["config", "model"]),
    (
        "engine",
        &["engine", "model", "plan", "cycle", "event", "drivers"],
    ),
    ("report", &["report", "model", "plan", "cycle", "event"]),
    (
        "cli",
        &[
            "cli", "config", "model", "plan", "cycle", "event", "drivers", "engine", "report",
            "far",
        ],
    ),
];

/// Modules that are decided values only: no runtime, no clock, no I/O.
const PURE: [&str; 5] = ["model", "plan", "cycle", "far", "config"];

/// A file beyond this is two rooms.
const LONGEST: usize = 400;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
        .into_iter()
        .map(|path| {
            (
                path.strip_prefix(&root).unwrap().display().to_string(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

/// The lines before a file's tests.
fn production(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(number, line)| (number + 1, line))
}

fn is_test_file(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("/tests/")
}

#[test]
fn modules_keep_to_those_below_them() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let module = file.split(['/', '.']).next().unwrap().to_owned();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        for (number, line) in
            production(&text).filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for place in line
                .match_indices("crate::")
                .map(|(at, _)| at + "crate::".len())
            {
                let used: String = line[place..]
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect();
                if MAY_USE.iter().any(|(name, _)| *name == used)
                    && !allowed.contains(&used.as_str())
                {
                    wrong.push(format!(
                        "src/{file}:{number}: `{module}` may not use `{used}`"
                    ));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn only_the_store_knows_events_among_the_drivers() {
    let wrong: Vec<String> = all()
        .into_iter()
        .filter(|(file, text)| {
            file.starts_with("drivers/")
                && !file.starts_with("drivers/store")
                && production(text).any(|(_, line)| line.contains("crate::event"))
        })
        .map(|(file, _)| file)
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn decisions_have_no_runtime_and_no_clock() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        if !PURE.contains(&file.split(['/', '.']).next().unwrap()) || is_test_file(&file) {
            continue;
        }
        for (number, line) in
            production(&text).filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for word in [
                "tokio::",
                "Instant::now",
                "SystemTime",
                "Timestamp::now",
                "async fn",
            ] {
                if line.contains(word) {
                    wrong.push(format!("src/{file}:{number}: `{word}`"));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn files_are_small_rooms() {
    let long: Vec<String> = all()
        .into_iter()
        .filter(|(file, _)| !is_test_file(file))
        .map(|(file, text)| (file, production(&text).count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(file, lines)| format!("src/{file}: {lines} lines"))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<String> = all()
        .into_iter()
        .filter(|(file, text)| !is_test_file(file) && !text.starts_with("//!"))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let marks = [
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        "for now",
    ];
    let mut wrong = Vec::new();
    for (file, text) in all() {
        for (number, line) in text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) {
                wrong.push(format!("src/{file}:{}: {mark}", number + 1));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
