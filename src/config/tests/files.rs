use std::fs;

use super::*;
use crate::model::{HostName, ReleaseRef, Revision};

const FILE: &str =
    "[[release.files]]\ncontent = \"A={{ host }} {{ revision }}\\n\"\npath = \"a.env\"\n";

fn digests(playbook: &str) -> Vec<String> {
    let loaded = loaded(INVENTORY, playbook);
    let of_host = |host: &crate::model::HostSpec| loaded.config_digests[&host.name].to_string();
    loaded.fleet.iter().map(of_host).collect()
}

fn found(more: &str) -> String {
    let files = Files::new(INVENTORY, &format!("{PLAYBOOK}{more}"));
    fs::write(files.path().join("bad.j2"), "fine\nX={{ vars.prot }}\n").unwrap();
    files.findings(&files.request())
}

#[test]
fn text_path_mode_owner_and_shared_folders_are_of_the_digest_and_numbers_are_not() {
    let plain = digests(PLAYBOOK);
    assert_eq!(plain[0], plain[1]);
    let with = |file: &str| digests(&format!("{PLAYBOOK}{file}"));
    let one = with(FILE);
    assert_ne!(one[0], one[1]);
    assert_eq!(one, with(FILE));
    let more = [
        with(&FILE.replace("A=", "B=")),
        with(&FILE.replace("a.env", "b.env")),
        with(&format!("{FILE}mode = \"0640\"\n")),
        with(&format!("{FILE}owner = \":app\"\n")),
        digests(&PLAYBOOK.replace("[run]", "shared = [\"log\"]\n[run]")),
        plain,
    ];
    for (number, other) in more.iter().enumerate() {
        assert_ne!(one[0], other[0], "{number}");
    }
}

#[test]
fn a_file_is_rendered_for_its_host_and_release() {
    let loaded = loaded(INVENTORY, &format!("{PLAYBOOK}{FILE}"));
    let release = ReleaseRef {
        revision: Revision(7),
        version: Some(loaded.version.clone()),
        dir: "/opt/app/releases/7-x".to_owned(),
    };
    let host = HostName::new("web-02").unwrap();
    let overlay = loaded.recipes.overlay(&host, &release).unwrap();
    assert_eq!(overlay.files[0].text.expose(), "A=web-02 7\n");
    assert_eq!(overlay.files[0].mode, 0o644);
    assert!(!format!("{overlay:?}").contains("web-02"));
}

#[test]
fn what_is_wrong_with_files_and_secrets_is_said_at_its_place() {
    for (more, words) in [
        (
            "[[release.files]]\nsource = \"no.j2\"\npath = \"a\"\n",
            "cannot be read",
        ),
        (
            "[[release.files]]\nsource = \"bad.j2\"\npath = \"a\"\n",
            "bad.j2:2",
        ),
        ("[[release.files]]\npath = \"a\"\n", "`source` is missing"),
        (
            "[[release.files]]\ncontent = \"\"\npath = \"../a\"\n",
            "`../a` has a part",
        ),
        (
            "[[release.files]]\ncontent = \"\"\npath = \"app/x\"\n",
            "since `app` is there",
        ),
        (
            "[[release.files]]\ncontent = \"\"\npath = \"x\"\nmode = \"888\"\n",
            "not a mode",
        ),
        (
            "[[release.files]]\ncontent = \"\"\npath = \"x\"\nowner = \"-R\"\n",
            "not an owner",
        ),
        (
            "[[release.files]]\ncontent = \"{{ secret('X') }}\"\npath = \"x\"\n",
            "no secret `X`",
        ),
        (
            "[[release.files]]\ncontent = \"{{ secret('X') }}\"\npath = \"x\"\nmode = \"0644\"\n[secrets]\nX = { env = \"PATH\" }\n",
            "everybody on the host",
        ),
        (
            "[secrets]\nX = { env = \"A\", file = \"b\" }\n",
            "comes from one place",
        ),
        (
            "[[hooks]]\nat = \"after-swap\"\nrun = [\"x\", \"{{ secret('X') }}\"]\n",
            "`secret` cannot be used here",
        ),
    ] {
        let said = found(more);
        assert!(said.contains(words), "{words}:\n{said}");
    }
}

#[test]
fn files_beside_a_container_are_refused() {
    let container = "service = \"app\"\nhosts = \"web\"\n[release]\nkind = \"container\"\nengine = \"docker\"\nimage = \"app:1\"\n";
    let files = Files::new(INVENTORY, &format!("{container}{FILE}"));
    let found = files.findings(&files.request());
    assert!(
        found.contains("files beside a container are not supported yet"),
        "{found}"
    );
}
