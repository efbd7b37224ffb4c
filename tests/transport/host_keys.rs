//! Which host keys are accepted.

use rollgate::drivers::transport::TransportError;
use rollgate::model::HostKeyChecking;

use super::{refusal, stdout};
use crate::support::sshd::{Lab, keygen};

#[tokio::test]
async fn unknown_key_is_refused_and_nothing_is_written() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    let error = refusal(lab.open(&lab.spec("web", &sshd)).as_ref()).await;
    assert!(matches!(error, TransportError::HostKey { .. }), "{error}");
    assert!(error.to_string().contains("it is not known"), "{error}");
    assert!(error.hint().unwrap().contains("accept-new"));
    assert!(!lab.path("known_hosts").exists());
}

#[tokio::test]
async fn new_key_is_added_hashed_where_names_are_hashed() {
    let Some(lab) = Lab::new() else { return };
    let (known, other) = (lab.sshd(""), lab.sshd(""));
    lab.trust(&known);
    let hashed = std::process::Command::new("ssh-keygen")
        .args(["-H", "-f"])
        .arg(lab.path("known_hosts"))
        .output()
        .unwrap();
    assert!(hashed.status.success(), "{hashed:?}");
    for sshd in [&known, &other] {
        let mut spec = lab.spec("web", sshd);
        spec.ssh.host_key_checking = HostKeyChecking::AcceptNew;
        assert_eq!(stdout(lab.open(&spec).as_ref(), "echo a").await, "a\n");
    }
    let text = std::fs::read_to_string(lab.path("known_hosts")).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().all(|line| line.starts_with("|1|")), "{text}");
    // What was added must be found by strict checking, and by OpenSSH itself.
    let strict = lab.open(&lab.spec("web", &other));
    assert_eq!(stdout(strict.as_ref(), "echo b").await, "b\n");
    let found = std::process::Command::new("ssh-keygen")
        .args(["-F", &format!("[{}]:{}", other.address, other.port), "-f"])
        .arg(lab.path("known_hosts"))
        .output()
        .unwrap();
    assert!(found.status.success(), "{found:?}");
}

#[tokio::test]
async fn changed_key_is_refused_with_its_line_even_by_accept_new() {
    let Some(lab) = Lab::new() else { return };
    let mut sshd = lab.sshd("");
    keygen(&lab.path("forged"), "ed25519", "");
    sshd.host_key = std::fs::read_to_string(lab.path("forged.pub")).unwrap();
    std::fs::write(lab.path("known_hosts"), "# a comment\n\n").unwrap();
    lab.trust(&sshd);
    for checking in [HostKeyChecking::Strict, HostKeyChecking::AcceptNew] {
        let mut spec = lab.spec("web", &sshd);
        spec.ssh.host_key_checking = checking;
        let error = refusal(lab.open(&spec).as_ref()).await;
        let text = error.to_string();
        assert!(matches!(error, TransportError::HostKey { .. }), "{text}");
        assert!(text.contains("known_hosts:3 has another key"), "{text}");
        assert!(error.hint().unwrap().contains("ssh-keygen -R"));
    }
}

#[tokio::test]
async fn revoked_key_is_refused_although_it_is_known() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    lab.trust(&sshd);
    let mut text = std::fs::read_to_string(lab.path("known_hosts")).unwrap();
    text.extend(["@revoked * ", &sshd.host_key, "\n"]);
    std::fs::write(lab.path("known_hosts"), text).unwrap();
    let error = refusal(lab.open(&lab.spec("web", &sshd)).as_ref()).await;
    assert!(error.to_string().contains("revoked by"), "{error}");
}

#[tokio::test]
async fn key_type_that_is_known_is_asked_for_first() {
    let Some(lab) = Lab::new() else { return };
    keygen(&lab.path("host-rsa"), "rsa", "");
    let mut sshd = lab.sshd(&format!("HostKey {}", lab.path("host-rsa").display()));
    sshd.host_key = std::fs::read_to_string(lab.path("host-rsa.pub")).unwrap();
    lab.trust(&sshd);
    let transport = lab.open(&lab.spec("web", &sshd));
    assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
}
