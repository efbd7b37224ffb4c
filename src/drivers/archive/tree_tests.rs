use std::path::Path;

use proptest::prelude::*;

use super::*;

fn raw(name: &str, kind: Kind) -> Raw {
    Raw {
        name: name.into(),
        kind: Ok(kind),
        mode: 0o4754,
        mtime: 7,
        size: 3,
    }
}

fn file(name: &str) -> Raw {
    raw(name, Kind::File)
}

fn link(name: &str, target: &str) -> Raw {
    raw(name, Kind::Link(target.to_owned()))
}

fn paths(entries: &[Raw]) -> Vec<String> {
    tree(entries, &[]).unwrap().into_keys().collect()
}

fn fault(entries: &[Raw]) -> String {
    tree(entries, &[]).unwrap_err().join("; ")
}

#[test]
fn one_top_folder_is_taken_away_and_none_is_needed() {
    let top = [
        raw("./app-1.0/", Kind::Folder),
        file("app-1.0/run"),
        file("./app-1.0/etc//x"),
    ];
    assert_eq!(paths(&top), ["etc", "etc/x", "run"]);
    assert_eq!(
        paths(&[file("./run"), file("etc/x")]),
        ["etc", "etc/x", "run"]
    );
    assert_eq!(paths(&[raw("./", Kind::Folder), file("run")]), ["run"]);
    // A file at the top is no folder.
    assert_eq!(paths(&[file("app-1.0")]), ["app-1.0"]);
    assert!(fault(&[raw("app-1.0", Kind::Folder)]).contains("no file"));
}

#[test]
fn what_leads_out_is_refused_with_its_name() {
    let bad = |kind: &str| Raw {
        kind: Err(kind.to_owned()),
        ..file("x")
    };
    for (entries, word) in [
        (vec![file("../x")], "`../x` leads out"),
        (vec![file("a/../../x")], "leads out"),
        (vec![file("/etc/passwd")], "absolute"),
        (vec![file("a\nb")], "control"),
        (vec![bad("a device")], "`x` is a device"),
        (vec![file("a"), file("./a")], "`a` is there twice"),
        (vec![file("a"), file("a/b"), file("c")], "lies below `a`"),
        (
            vec![link("l", "/etc"), file("x")],
            "leads out of the release, to `/etc`",
        ),
        (vec![link("l", ".."), file("x")], "leads out"),
        (vec![link("d/l", "../../x"), file("x")], "leads out"),
        (
            vec![link("l", "d"), file("l/x"), file("d/y")],
            "lies below `l`",
        ),
        // Each alone stays inside; one over the other does not.
        (
            vec![link("a/b/up", "../.."), link("out", "a/b/up/.."), file("x")],
            "`out`",
        ),
        (vec![link("a", "b"), link("b", "a"), file("x")], "leads out"),
        (vec![file(".rollgate-files")], "rollgate needs"),
        (vec![], "no file"),
    ] {
        let said = fault(&entries);
        assert!(said.contains(word), "{entries:?}: {said}");
    }
    assert!(
        tree(
            &[Raw {
                name: vec![0xff],
                ..file("")
            }],
            &[]
        )
        .is_err()
    );
}

#[test]
fn links_inside_stay_and_modes_are_those_of_the_archive() {
    let tree = tree(
        &[
            file("bin/app"),
            link("bin/now", "app"),
            link("lib/x", "../bin/now"),
            link("dangling", "nowhere/x"),
            Raw {
                mode: 0o000,
                ..raw("shut/", Kind::Folder)
            },
        ],
        &[],
    );
    let tree = tree.unwrap();
    assert_eq!(tree["bin/app"].mode, 0o754);
    assert_eq!(tree["shut"].mode, 0o700);
    assert_eq!(tree["lib/x"].kind, Kind::Link("../bin/now".to_owned()));
}

#[test]
fn nothing_may_be_hidden_by_a_shared_folder() {
    let entries = [
        file("app"),
        raw("log/", Kind::Folder),
        Raw {
            size: 0,
            ..file("log/.gitkeep")
        },
        file("data/uploads/one"),
    ];
    let shared = |path: &str| tree(&entries, &[path.to_owned()]);
    assert!(!shared("log").unwrap().contains_key("log"));
    assert!(shared("data/uploads").unwrap_err()[0].contains("hidden"));
    assert!(shared("app").unwrap_err()[0].contains("hidden"));
    assert!(shared("tmp").is_ok());
}

fn any_entry() -> impl Strategy<Value = Raw> {
    let part = prop_oneof![
        Just("a"),
        Just("b"),
        Just("c"),
        Just(".."),
        Just("."),
        Just(""),
    ];
    let path = prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"));
    (path.clone(), path, 0..3u8).prop_map(|(name, target, kind)| match kind {
        0 => file(&name),
        1 => raw(&name, Kind::Folder),
        _ => link(&name, &target),
    })
}

/// Makes the tree as a host would, and finds what lies outside.
fn made(tree: &Tree) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("r");
    std::fs::create_dir(&root).unwrap();
    let real = root.canonicalize().unwrap();
    for kind in 0..3 {
        for (path, node) in tree {
            let at = root.join(path);
            match (&node.kind, kind) {
                (Kind::Folder, 0) => std::fs::create_dir(&at).unwrap(),
                (Kind::File, 1) => std::fs::write(&at, path).unwrap(),
                (Kind::Link(target), 2) => std::os::unix::fs::symlink(target, &at).unwrap(),
                _ => {}
            }
        }
    }
    let leads_out = |path: &Path| path.canonicalize().is_ok_and(|end| !end.starts_with(&real));
    let mut out: Vec<String> = tree
        .keys()
        .filter(|path| leads_out(&root.join(path)))
        .cloned()
        .collect();
    let beside = std::fs::read_dir(place.path()).unwrap().count();
    if beside != 1 {
        out.push("something lies beside the release".to_owned());
    }
    out
}

proptest! {
    #[test]
    fn whatever_is_accepted_stays_inside(entries in prop::collection::vec(any_entry(), 1..8)) {
        if let Ok(tree) = tree(&entries, &[]) {
            prop_assert_eq!(made(&tree), Vec::<String>::new());
        }
    }

    #[test]
    fn any_name_is_cleaned_or_refused_without_a_panic(name: Vec<u8>) {
        if let Ok(Some(path)) = clean(&name) {
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert!(parts.iter().all(|part| !matches!(*part, "" | "." | "..")));
        }
    }
}
