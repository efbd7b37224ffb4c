//! What cannot work is said before anything is drained; what was there before is taken over only when that is asked for.

use super::*;

/// Asserts a refusal with those words before anything was touched.
#[track_caller]
fn refused(lab: &TestLab, said: Said, words: &[&str]) {
    let said = said.expect(5);
    let all = format!("{}{}", said.stdout, said.stderr);
    for word in words {
        assert!(all.contains(word), "`{word}` is missing; {said}");
    }
    assert_eq!(said.stdout.matches("host.draining").count(), 0, "{said}");
    lab.assert_no_locks(&said);
}

#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn troubles(kind: Kind) {
    let Some(lab) = started(kind, 2) else { return };
    let engine = engine(kind);
    let (host, playbook) = (&lab.hosts[0], playbook(&lab, kind));
    let before = ids(&lab, kind);
    // A setting that the engine refuses shows while the container is made.
    let odd = playbook
        .clone()
        .set("release", "network", quoted("nowhere"));
    refused(
        &lab,
        lab.deploy(&odd, "2.0"),
        &["nowhere", "the release could not be staged"],
    );
    // An archive that is none.
    std::fs::write(lab.dir().join("dist/shop-8.0.tar"), vec![b'x'; 5000]).unwrap();
    refused(&lab, lab.deploy(&playbook, "8.0"), &["is no tar archive"]);
    // A version whose image is another one than before.
    let kept = lab.dir().join("dist/kept.tar");
    std::fs::rename(lab.dir().join("dist/shop-1.0.tar"), &kept).unwrap();
    pack(&lab, FIRST, &["--warmup-ms", "1"]);
    refused(&lab, lab.deploy(&playbook, FIRST), &["--replace-artifact"]);
    std::fs::rename(&kept, lab.dir().join("dist/shop-1.0.tar")).unwrap();
    // The SSH user may not use the engine.
    let (deny, allow) = match kind {
        Kind::Docker => ("gpasswd -d deploy docker", "gpasswd -a deploy docker"),
        Kind::Podman | Kind::Systemd => (
            "mv /etc/sudoers.d/engine /root/",
            "mv /root/engine /etc/sudoers.d/",
        ),
    };
    lab.exec(host, deny).unwrap();
    let word = if kind == Kind::Docker {
        "usermod -aG docker"
    } else {
        "NOPASSWD"
    };
    refused(
        &lab,
        lab.deploy(&playbook, "2.0"),
        &["does not answer", word],
    );
    lab.exec(host, allow).unwrap();
    // The engine is missing.
    lab.exec(
        host,
        &format!("mv /usr/bin/{engine} /usr/bin/{engine}.away"),
    )
    .unwrap();
    refused(
        &lab,
        lab.deploy(&playbook, "2.0"),
        &["is not installed there"],
    );
    lab.exec(
        host,
        &format!("mv /usr/bin/{engine}.away /usr/bin/{engine}"),
    )
    .unwrap();
    if kind == Kind::Docker {
        // The engine is down: its containers too, so the balancer sees one host less.
        lab.exec(host, "systemctl stop docker.socket docker")
            .unwrap();
        refused(
            &lab,
            lab.deploy(&playbook, "2.0"),
            &["systemctl status docker"],
        );
        lab.exec(host, "systemctl start docker").unwrap();
    }
    assert_eq!(ids(&lab, kind), before);
}

#[test]
fn docker_troubles_are_said_before_anything_is_touched() {
    troubles(Kind::Docker);
}

#[test]
fn podman_troubles_are_said_before_anything_is_touched() {
    troubles(Kind::Podman);
}

/// A container that its engine would remove, or bring back by itself, is refused even when it is asked for.
fn fleeting_ones_are_not_taken_over(lab: &TestLab, kind: Kind, playbook: &Document) {
    let (engine, before) = (engine(kind), ids(lab, kind));
    for (flag, word) in [
        ("--rm", "`--rm`"),
        ("--restart=always", "`--restart=always`"),
    ] {
        let host = &lab.hosts[1];
        let script = format!(
            "set -e; {engine} rename shop kept; {engine} stop kept >/dev/null\n\
             image=$({engine} inspect --format '{{{{.Image}}}}' kept)\n\
             {engine} run -d {flag} --name shop --network host $image serve --listen {} >/dev/null",
            host.app
        );
        lab.exec(host, &script).unwrap();
        refused(
            lab,
            lab.deploy_with(playbook, "2.0", &["--adopt"]),
            &["cannot be taken over", word, "unless-stopped"],
        );
        let back = format!(
            "{engine} rm -f shop >/dev/null 2>&1; {engine} rename kept shop && {engine} start shop >/dev/null"
        );
        lab.exec(host, &back).unwrap();
    }
    assert_eq!(ids(lab, kind), before);
    crate::support::lab::wait_until(std::time::Duration::from_secs(10), || {
        lab.versions().iter().all(|version| version == FIRST)
            && lab.out_of_traffic().is_ok_and(|out| out.is_empty())
    });
}

fn strangers(kind: Kind) {
    let Some(lab) = started(kind, 2) else { return };
    let (engine, playbook) = (engine(kind), playbook(&lab, kind));
    // The same containers, made by a person: without marks.
    for host in &lab.hosts {
        let script = format!(
            "set -e; image=$({engine} inspect --format '{{{{.Image}}}}' shop)\n\
             {engine} rm -f shop >/dev/null\n\
             rm -rf /opt/shop/.rollgate\n\
             {engine} run -d --name shop --network host $image serve --listen {} >/dev/null",
            host.app
        );
        lab.exec(host, &script).unwrap();
    }
    let before = ids(&lab, kind);
    crate::support::lab::wait_until(std::time::Duration::from_secs(10), || {
        lab.versions().iter().all(|version| version == FIRST)
            && lab.out_of_traffic().is_ok_and(|out| out.is_empty())
    });
    refused(
        &lab,
        lab.deploy(&playbook, "2.0"),
        &[
            "which rollgate did not start",
            "--adopt",
            "rename shop shop-other",
        ],
    );
    assert_eq!(ids(&lab, kind), before);
    fleeting_ones_are_not_taken_over(&lab, kind, &playbook);
    let said = lab.deploy_with(&playbook, "2.0", &["--adopt"]).expect(0);
    lab.assert_all_on("2.0", &said);
    let host = &lab.hosts[0];
    assert_eq!(inspect(&lab, kind, host, "shop-0", "{{.Id}}"), before[0]);
    // It is revision 0, and one goes back to it without a word.
    let file = lab.playbook_file(&playbook);
    let undo = lab.rollgate(&["undo", &file, "--to-revision", "0", "--output", "json"]);
    let undo = undo.expect(0);
    lab.assert_all_on(FIRST, &undo);
    assert_eq!(ids(&lab, kind), before);
    // From then on it is known.
    let said = lab.deploy_with(&playbook, "2.0", &["--again"]).expect(0);
    lab.assert_all_on("2.0", &said);
}

#[test]
fn docker_containers_of_others_are_taken_over_when_that_is_asked_for() {
    strangers(Kind::Docker);
}

#[test]
fn podman_containers_of_others_are_taken_over_when_that_is_asked_for() {
    strangers(Kind::Podman);
}
