//! Good and bad releases, settings alone, what is kept, and what a rollout costs.

use std::time::Instant;

use super::*;

fn rolls_under_load(kind: Kind) {
    let Some(lab) = started(kind, 4) else { return };
    let before = ids(&lab, kind);
    let load = lab.load();
    let said = lab.deploy(&playbook(&lab, kind), "2.0");
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    lab.assert_all_on("2.0", &said);
    assert_eq!(summary["failed"], 0, "{summary:#}");
    assert!(sent(&said) > 0, "{said}");
    for (host, old) in lab.hosts.iter().zip(&before) {
        // What served before is kept, stopped, under its number.
        assert_eq!(inspect(&lab, kind, host, "shop-1", "{{.Id}}"), *old);
        assert_eq!(
            inspect(&lab, kind, host, "shop-1", "{{.State.Running}}"),
            "false"
        );
    }
    // Twice changes nothing.
    let again = lab.deploy(&playbook(&lab, kind), "2.0").expect(0);
    assert_eq!(again.named("host.swapped").len(), 0, "{again}");
    // Back is a start of what is there.
    let undo = lab.rollgate(&[
        "undo",
        &lab.playbook_file(&playbook(&lab, kind)),
        "--output",
        "json",
    ]);
    let undo = undo.expect(0);
    lab.assert_all_on(FIRST, &undo);
    assert_eq!(ids(&lab, kind), before);
    assert_eq!(sent(&undo), 0);
}

#[test]
fn docker_rolls_under_load_and_goes_back() {
    rolls_under_load(Kind::Docker);
}

#[test]
fn podman_rolls_under_load_and_goes_back() {
    rolls_under_load(Kind::Podman);
}

fn bad_release_goes_back(kind: Kind) {
    let Some(lab) = started(kind, 2) else { return };
    let before = ids(&lab, kind);
    pack(&lab, "3.0", &["--behaviour", "crash"]);
    pack(&lab, "4.0", &["--behaviour", "not-ready"]);
    for version in ["3.0", "4.0"] {
        let load = lab.load();
        let said = lab.deploy(&playbook(&lab, kind), version);
        let summary = load.stop().unwrap();
        let said = said.expect(1);
        assert_eq!(said.finished()["outcome"], "reverted", "{said}");
        assert_eq!(summary["failed"], 0, "{summary:#}; {said}");
        lab.assert_all_on(FIRST, &said);
        // The very container that ran before runs again: nothing was pulled, loaded or made for it.
        assert_eq!(ids(&lab, kind), before, "{said}");
        if version == "3.0" {
            assert!(said.stdout.contains("exit code"), "no state: {said}");
        }
    }
    // The settings alone: a new revision, and no image is sent.
    let changed = playbook(&lab, kind).set("release", "env", "{ COLOUR = \"blue sky\" }");
    let said = lab.deploy(&changed, FIRST).expect(0);
    assert_eq!(sent(&said), 0, "{said}");
    assert_eq!(said.named("host.swapped").len(), 2, "{said}");
    let env = inspect(&lab, kind, &lab.hosts[0], NAME, "{{.Config.Env}}");
    assert!(env.contains("COLOUR=blue sky"), "{env}");
    // And back with `undo`.
    let file = lab.playbook_file(&changed);
    let undo = lab.rollgate(&["undo", &file, "--output", "json"]).expect(0);
    assert_eq!(ids(&lab, kind), before, "{undo}");
}

#[test]
fn docker_takes_a_bad_release_back() {
    bad_release_goes_back(Kind::Docker);
}

#[test]
fn podman_takes_a_bad_release_back() {
    bad_release_goes_back(Kind::Podman);
}

fn old_ones_are_pruned(kind: Kind) {
    let Some(lab) = started(kind, 2) else { return };
    let engine = engine(kind);
    let playbook = playbook(&lab, kind).set("release", "keep", "2");
    // Somebody else's container and image.
    let host = &lab.hosts[0];
    lab.exec(host, &format!("{engine} tag $({engine} inspect --format '{{{{.Image}}}}' shop) other:1 && {engine} create --name other other:1 >/dev/null"))
        .unwrap();
    let stranger = inspect(&lab, kind, host, "other", "{{.Id}}");
    for version in ["2.0", "5.0", "6.0"] {
        if version != "2.0" {
            pack(&lab, version, &[]);
        }
        lab.deploy(&playbook, version).expect(0);
    }
    assert_eq!(names(&lab, kind, host), ["other", "shop", "shop-3"]);
    assert_eq!(names(&lab, kind, &lab.hosts[1]), ["shop", "shop-3"]);
    assert_eq!(inspect(&lab, kind, host, "other", "{{.Id}}"), stranger);
    let list = format!("{engine} images --format '{{{{.Repository}}}}' | grep -c rollgate/shop");
    assert_eq!(lab.exec(host, &list).unwrap().trim(), "2");
    let list = format!("{engine} images --format '{{{{.Repository}}}}' | grep -c other");
    assert_eq!(lab.exec(host, &list).unwrap().trim(), "1");
    let all = format!("{engine} images -q | sort -u | wc -l");
    assert_eq!(lab.exec(&lab.hosts[1], &all).unwrap().trim(), "2");
}

#[test]
fn docker_keeps_what_is_kept_and_no_more() {
    old_ones_are_pruned(Kind::Docker);
}

#[test]
fn podman_keeps_what_is_kept_and_no_more() {
    old_ones_are_pruned(Kind::Podman);
}

/// Seconds from one event of a host to another one.
fn between(said: &Said, host: &str, from: &str, to: &str) -> f64 {
    let at = |name: &str| -> jiff::Timestamp {
        let events = said.named(name);
        let event = events.iter().find(|event| event["host"] == host).unwrap();
        event["time"].as_str().unwrap().parse().unwrap()
    };
    at(to).duration_since(at(from)).as_secs_f64()
}

/// 50 MB to hosts that do not have the image: between drain and enable nothing is transferred.
fn costs_what_the_application_costs(kind: Kind) {
    let Some(lab) = started(kind, 4) else { return };
    let dir = lab.dir().display().to_string();
    pack_of(&lab, "9.0", &[], 50);
    assert!(
        std::fs::metadata(format!("{dir}/dist/shop-9.0.tar"))
            .unwrap()
            .len()
            > 50_000_000
    );
    let said = lab.deploy(&playbook(&lab, kind), "9.0").expect(0);
    lab.assert_all_on("9.0", &said);
    // The application's own: the engine stops and starts it, and then it is warm. What the machine does besides takes its share of
    // either, so every host's is measured.
    let engine = engine(kind);
    let own = lab.hosts.iter().map(|host| {
        let begun = Instant::now();
        let script = format!("{engine} stop shop >/dev/null && {engine} start shop >/dev/null");
        lab.exec(host, &script).unwrap();
        begun.elapsed().as_secs_f64()
    });
    let restart = own.fold(0.0, f64::max);
    let warmup = 0.1;
    for host in &lab.hosts {
        let out = between(&said, &host.name, "host.drained", "host.enabling");
        let staged = said.named("host.staged");
        let staged = staged
            .iter()
            .find(|event| event["host"] == *host.name)
            .unwrap();
        eprintln!(
            "{}: sent {} in {} s ahead; out {out:.3} s, the application's own {restart:.3} s + {warmup} s",
            host.name, staged["sent_bytes"], staged["seconds"]
        );
        assert!(
            out < restart + warmup + 0.5,
            "{out} > {restart} + {warmup} + 0.5"
        );
    }
}

#[test]
fn docker_is_out_of_traffic_for_no_transfer() {
    costs_what_the_application_costs(Kind::Docker);
}

#[test]
fn podman_is_out_of_traffic_for_no_transfer() {
    costs_what_the_application_costs(Kind::Podman);
}
