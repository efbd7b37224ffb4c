use super::*;
use crate::model::{
    Command, HookPlace, HookPoint, HostName, ReleaseRef, Restart, Revision, Version,
};

fn release(revision: u64, version: Option<&str>) -> ReleaseRef {
    ReleaseRef {
        revision: Revision(revision),
        version: version.map(|version| Version::new(version).unwrap()),
        dir: format!("/opt/app/releases/{revision}"),
    }
}

#[test]
fn commands_are_rendered_for_the_release_that_is_asked_for() {
    let run = "start = [\"ctl\", \"{{ host }}\", \"{{ release_dir }} {{ version }}\"]\nstop = \"ctl stop '{{ root }}' {{ vars.w }}\"\nlogs = \"tail {{ revision }}\"";
    let inventory = INVENTORY.replace("port = 8080", "port = 8080, w = \"it's $HOME\"");
    let loaded = loaded(&inventory, &playbook_with("systemd = \"app.service\"", run));
    let host = HostName::new("web-02").unwrap();
    let run = loaded
        .recipes
        .run(&host, &release(7, Some("1.2.3")))
        .unwrap();
    let words = ["ctl", "web-02", "/opt/app/releases/7 1.2.3"]
        .map(str::to_owned)
        .to_vec();
    let restart = Restart::Commands {
        start: Some(Command::Argv(words)),
        stop: Some(Command::Shell(
            "ctl stop '/opt/app' 'it'\\''s $HOME'".to_owned(),
        )),
        restart: None,
    };
    assert_eq!(run.restart, restart);
    assert_eq!(run.logs, Some(Command::Shell("tail '7'".to_owned())));
    let found = loaded.recipes.run(&host, &release(0, None)).unwrap();
    let Restart::Commands {
        start: Some(Command::Argv(words)),
        ..
    } = found.restart
    else {
        panic!("{found:?}");
    };
    assert_eq!(words[2], "/opt/app/releases/0 found");
    assert!(
        loaded
            .recipes
            .run(&HostName::new("db").unwrap(), &release(1, None))
            .is_err()
    );
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one playbook, looked at from all points"
)]
fn hooks_know_when_where_and_what() {
    let hooks = "
[[hooks]]
at = \"before-rollout\"
run = [\"local\", \"{{ version }}\"]
[[hooks]]
at = \"before-rollout\"
on = \"once\"
run = [\"once\", \"{{ host }}\"]
timeout = \"1s\"
[[hooks]]
at = \"after-drain\"
run = [\"drained\", \"{{ host }}\"]
[[hooks]]
at = \"after-drain\"
run = [\"undo only\"]
commands = [\"undo\"]
";
    let loaded = loaded(INVENTORY, &format!("{PLAYBOOK}{hooks}"));
    let host = HostName::new("web-01").unwrap();
    let release = release(3, Some("1.2.3"));
    let of_host = Some((&host, &release));
    let hooks = |at, host, facts: &[(&str, String)]| loaded.recipes.hooks(at, host, facts).unwrap();

    let local = hooks(HookPoint::BeforeRollout, None, &[]);
    assert_eq!(
        (local.len(), local[0].number, local[0].on),
        (1, 1, HookPlace::Local)
    );
    let env: Vec<&str> = local[0].env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(env, ["ROLLGATE_SERVICE", "ROLLGATE_VERSION"]);

    let once = hooks(
        HookPoint::BeforeRollout,
        of_host,
        &[("BATCH", "1".to_owned()), ("HOST", "x".to_owned())],
    );
    assert_eq!(
        (once.len(), once[0].number, once[0].on),
        (1, 2, HookPlace::Once)
    );
    assert_eq!(
        once[0].run,
        Command::Argv(vec!["once".to_owned(), "web-01".to_owned()])
    );
    let env: Vec<String> = once[0]
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        env,
        [
            "ROLLGATE_SERVICE=app",
            "ROLLGATE_VERSION=1.2.3",
            "ROLLGATE_REVISION=3",
            "ROLLGATE_BATCH=1",
            "ROLLGATE_HOST=x"
        ]
    );

    let numbers = |facts: &[(&str, String)]| -> Vec<usize> {
        hooks(HookPoint::AfterDrain, of_host, facts)
            .iter()
            .map(|hook| hook.number)
            .collect()
    };
    assert_eq!(numbers(&[]), [3]);
    assert_eq!(numbers(&[("COMMAND", "undo".to_owned())]), [3, 4]);
    assert!(
        loaded
            .recipes
            .hooks(HookPoint::AfterDrain, None, &[])
            .is_err()
    );
    assert!(hooks(HookPoint::OnRevert, of_host, &[]).is_empty());
}
