use std::time::Duration;

use super::*;
use crate::model::{
    BalancerName, DrainPolicy, OnDrainTimeout, OnFailure, Pause, PoolName, PoolPolicy, ReadyPolicy,
    Size, Strategy, TrafficPolicy, Unreachable, VersionCheck,
};

#[test]
fn defaults_are_those_of_the_contract() {
    let loaded = loaded(INVENTORY, PLAYBOOK);
    let seconds = Duration::from_secs;
    let strategy = Strategy {
        batch: vec![Size::Count(1), Size::Percent(25)],
        max_unavailable: Size::Percent(25),
        zones: None,
        pause: Pause::For(Duration::ZERO),
        soak: seconds(10),
        max_failures: 0,
        on_failure: OnFailure::RevertBatch,
        unreachable: Unreachable::Fail,
        deadline: seconds(1800),
        allow_downtime: false,
        traffic: TrafficPolicy {
            pools: [(
                (
                    BalancerName::new("edge").unwrap(),
                    PoolName::new("pool").unwrap(),
                ),
                PoolPolicy::default(),
            )]
            .into(),
            min_usable: None,
        },
    };
    let drain = DrainPolicy {
        timeout: seconds(30),
        on_timeout: OnDrainTimeout::Fail,
    };
    let ready = ReadyPolicy {
        status: vec![200],
        version: Some(VersionCheck::Header("x-version".to_owned())),
        initial_delay: Duration::ZERO,
        period: Duration::from_millis(500),
        timeout: seconds(2),
        success_threshold: 1,
        failure_threshold: 0,
        deadline: seconds(60),
    };
    assert_eq!(loaded.strategy, strategy);
    assert_eq!(loaded.drain, drain);
    assert_eq!(loaded.ready, ready);
    assert!(!loaded.ready_route.direct);
    assert_eq!(loaded.keep, 5);
    assert_eq!(loaded.artifact_name, "app");
    assert_eq!(loaded.fleet[0].root, "/opt/app");
    assert_eq!(loaded.fleet[0].traffic[0].server.as_str(), "web-01");
    assert_eq!(loaded.selected.len(), 2);
    assert_eq!(loaded.config_digests.len(), 2);
    assert!(loaded.keys.contains_key("release.source"));
}

#[test]
fn everything_can_be_said_otherwise() {
    let playbook = PLAYBOOK.replace("source = \"dist/app\"", "source = \"dist/{{ service }}\"\nname = \"srv\"\nkeep = 2\nroot = \"/tmp/lab/{{ host }}/opt/\"")
        + "via = \"direct\"\nstatus = [200, 204]\n
[strategy]\nbatch = \"50%\"\npause = \"manual\"\nmax_unavailable = 2\nsoak = \"0s\"\non_failure = \"halt\"\nunreachable = \"skip\"\nallow_downtime = true
[drain]\ntimeout = \"0s\"\non_timeout = \"continue\"\n";
    let loaded = loaded(INVENTORY, &playbook);
    assert_eq!(loaded.strategy.batch, [Size::Percent(50)]);
    assert_eq!(loaded.strategy.pause, Pause::Manual);
    assert_eq!(loaded.strategy.on_failure, OnFailure::Halt);
    assert!(loaded.strategy.allow_downtime && loaded.ready_route.direct);
    assert_eq!(loaded.ready.status, [200, 204]);
    assert_eq!((loaded.artifact_name.as_str(), loaded.keep), ("srv", 2));
    assert_eq!(loaded.fleet[1].root, "/tmp/lab/web-02/opt");
}

#[test]
fn the_command_line_beats_the_inventory_and_limits_the_fleet() {
    let files = Files::new(INVENTORY, PLAYBOOK);
    let mut request = files.request();
    request.limit = Some("!web-01".to_owned());
    request.vars = vec![("port".to_owned(), "7".to_owned())];
    let loaded = load(&request).unwrap();
    assert_eq!(loaded.fleet.len(), 2);
    let selected: Vec<&str> = loaded
        .selected
        .iter()
        .map(crate::model::HostName::as_str)
        .collect();
    assert_eq!(selected, ["web-02"]);
    assert_eq!(loaded.fleet[0].ready_url, "http://127.0.0.1:7/ready");
}

#[test]
fn a_missing_version_check_is_a_warning() {
    let loaded = loaded(
        INVENTORY,
        &playbook_with("version = { header = \"x-version\" }", ""),
    );
    assert_eq!(loaded.ready.version, None);
    assert_eq!(loaded.warnings.len(), 1);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a flat table of mistakes")]
fn mistakes_of_a_playbook_are_named() {
    for (old, new, title) in [
        ("service = \"app\"", "", "`service` is missing"),
        ("hosts = \"web-*\"", "", "`hosts` is missing"),
        (
            "\"web-*\"",
            "\"db-*\"",
            "`db-*` chooses no host of the inventory",
        ),
        ("kind = \"binary\"", "", "`kind` is missing"),
        (
            "kind = \"binary\"",
            "kind = \"binray\"",
            "unknown kind of release `binray`",
        ),
        ("source = \"dist/app\"", "", "`source` is missing"),
        (
            "dist/app",
            "https://x/app",
            "sources that are fetched are not supported yet",
        ),
        ("dist/app", "dist/{{ host }}", "`host` cannot be used here"),
        (
            "dist/app\"",
            "dist/app\"\nroot = \"opt\"",
            "`opt` is not a folder for releases",
        ),
        (
            "dist/app\"",
            "dist/app\"\nroot = \"/opt/{{ revision }}\"",
            "`revision` cannot be used here",
        ),
        (
            "dist/app\"",
            "dist/app\"\nname = \"a/b\"",
            "`a/b` is not the name of a file",
        ),
        (
            "dist/app\"",
            "dist/app\"\nkeep = 0",
            "with less than 2 revisions on a host there is nothing to go back to",
        ),
        (
            "systemd = \"app.service\"",
            "",
            "[run] does not say how the service is restarted",
        ),
        (
            "systemd = \"app.service\"",
            "stop = [\"x\"]",
            "[run] does not say how the service is restarted",
        ),
        (
            "systemd = \"app.service\"",
            "start = []",
            "this command is empty",
        ),
        (
            "systemd = \"app.service\"",
            "restart = \"x $(y {{ host }})\"",
            "a value stands inside, or after, an expansion (`$(…)`, `${…}`, backticks)",
        ),
        (
            "app.service",
            "a b.service",
            "`a b.service` is not the name of a unit",
        ),
        (
            "pool = \"pool\"",
            "pool = \"{{ version }}\"",
            "`version` cannot be used here",
        ),
        (
            "pool = \"pool\"",
            "pool = \"a/b\"",
            "`a/b` is not a pool name",
        ),
        (
            "pool = \"pool\"",
            "pool = \"pool\"\nserver = \"s\"",
            "two hosts are one server: `s`",
        ),
        (
            "[ready]",
            "[strategy]\nmax_unavailable = 0\n[ready]",
            "a rollout of 0 hosts at a time would never end",
        ),
        (
            "[ready]",
            "[strategy]\nbatch = []\n[ready]",
            "there is no size in this array",
        ),
        (
            "[ready]",
            "[strategy]\npause = \"manul\"\n[ready]",
            "`manul` is not a pause",
        ),
        (
            "[ready]",
            "[strategy]\ndeadline = \"0s\"\n[ready]",
            "a rollout cannot end in no time",
        ),
        (
            "[ready]",
            "[strategy]\nzones = \"zone\"\n[ready]",
            "web-01, web-02 have no label `zone`, so their zone is not known",
        ),
        (
            "http://127",
            "127",
            "`127.0.0.1:8080/ready` is not a URL that can be asked",
        ),
        ("[ready]", "[ready]\nca = \"no.pem\"", "there is no file "),
        (
            "[ready]",
            "[ready]\nsuccess_threshold = 0",
            "a host that never answered would count as ready",
        ),
        (
            "[ready]",
            "[ready]\nperiod = \"0s\"",
            "probes without a pause would be a flood",
        ),
        (
            "{ header = \"x-version\" }",
            "{}",
            "the version is read at exactly one place",
        ),
        (
            "[ready]",
            "[[hooks]]\nrun = \"x\"\n[ready]",
            "`at` is missing",
        ),
        (
            "[ready]",
            "[[hooks]]\nat = \"on-revert\"\n[ready]",
            "`run` is missing",
        ),
        (
            "[ready]",
            "[[hooks]]\nat = \"on-revert\"\nrun = \"x\"\ncommands = [\"plan\"]\n[ready]",
            "`plan` is not a command that runs hooks",
        ),
        (
            "[ready]",
            "[[hooks]]\nat = \"after-rollout\"\nrun = [\"x\", \"{{ host }}\"]\n[ready]",
            "`host` cannot be used here",
        ),
    ] {
        let found = titles(INVENTORY, &playbook_with(old, new));
        assert_eq!(found.len(), 1, "{new}: {found:?}");
        assert!(found[0].starts_with(title), "{new}: {found:?}");
    }
}

#[test]
fn a_folder_is_no_binary() {
    let found = titles(INVENTORY, &playbook_with("dist/app", "dist"));
    assert!(found[0].ends_with("dist is a folder"), "{found:?}");
}
