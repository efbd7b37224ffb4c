//! Which keys are offered, and what is said when none is accepted.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rollgate::drivers::transport::TransportError;

use super::{call, refusal, stdout};
use crate::support::sshd::{Lab, keygen};

/// An `ssh-agent` that ends with this value.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Agent {
    async fn start(lab: &mut Lab) -> Self {
        let socket = lab.path("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !socket.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        lab.around.agent = Some(socket);
        Self(child)
    }

    /// Adds a key, answering for its passphrase.
    fn add(&mut self, lab: &Lab, key: &str, passphrase: &str) {
        let ended = self.0.try_wait().unwrap();
        assert!(ended.is_none(), "the agent ended: {ended:?}");
        let answer = lab.path("answer.sh");
        std::fs::write(&answer, format!("#!/bin/sh\necho '{passphrase}'\n")).unwrap();
        let made = Command::new("chmod").arg("755").arg(&answer).status();
        assert!(made.unwrap().success());
        let added = Command::new("setsid")
            .args(["-w", "ssh-add"])
            .arg(lab.path(key))
            .env("SSH_AUTH_SOCK", lab.path("agent"))
            .env("SSH_ASKPASS", &answer)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("DISPLAY", ":0")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(added.status.success(), "{added:?}");
    }
}

#[tokio::test]
async fn all_kinds_of_keys_log_in() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    lab.trust(&sshd);
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let name = format!("key-{kind}");
        keygen(&lab.path(&name), kind, "");
        lab.authorize(&lab.path(&format!("{name}.pub")));
        let mut spec = lab.spec("web", &sshd);
        spec.ssh.identity_files = vec![lab.identity(&name)];
        let transport = lab.open(&spec);
        assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n", "{kind}");
    }
}

#[tokio::test]
async fn refused_keys_are_named() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    lab.trust(&sshd);
    keygen(&lab.path("stranger"), "ed25519", "");
    let mut spec = lab.spec("web", &sshd);
    spec.ssh.identity_files = vec![lab.identity("stranger")];
    let error = refusal(lab.open(&spec).as_ref()).await;
    assert!(matches!(error, TransportError::Auth { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("offered ") && text.contains("stranger"),
        "{text}"
    );
    assert!(text.contains("no agent runs"), "{text}");
    spec.ssh.identity_files = vec![lab.identity("absent")];
    let error = refusal(lab.open(&spec).as_ref()).await;
    assert!(matches!(error, TransportError::Local { .. }), "{error}");
    assert!(error.to_string().contains("there is no such file"));
    spec.ssh.identity_files = Vec::new();
    let text = refusal(lab.open(&spec).as_ref()).await.to_string();
    assert!(text.contains("there is no key to offer"), "{text}");
    assert!(text.contains("id_ed25519 does not exist"), "{text}");
}

#[tokio::test]
async fn more_keys_than_the_server_takes_need_more_connections() {
    let Some(lab) = Lab::new() else { return };
    for extra in ["", "MaxAuthTries 3"] {
        let sshd = lab.sshd(extra);
        lab.trust(&sshd);
        let mut spec = lab.spec("web", &sshd);
        spec.ssh.identity_files.clear();
        for n in 0..8 {
            let name = format!("wrong-{}-{n}", sshd.port);
            keygen(&lab.path(&name), "ed25519", "");
            spec.ssh.identity_files.push(lab.identity(&name));
        }
        let error = refusal(lab.open(&spec).as_ref()).await;
        assert!(matches!(error, TransportError::Auth { .. }), "{error}");
        spec.ssh.identity_files.push(lab.identity("user"));
        let transport = lab.open(&spec);
        assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n", "{extra}");
    }
}

#[tokio::test]
async fn encrypted_key_works_only_through_the_agent() {
    let Some(mut lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    lab.trust(&sshd);
    keygen(&lab.path("locked"), "ed25519", "secret");
    lab.authorize(&lab.path("locked.pub"));
    std::fs::remove_file(lab.path("locked.pub")).unwrap();
    let mut spec = lab.spec("web", &sshd);
    spec.ssh.identity_files = vec![lab.identity("locked")];
    let text = refusal(lab.open(&spec).as_ref()).await.to_string();
    assert!(
        text.contains("it is encrypted and not in the agent"),
        "{text}"
    );
    assert!(text.contains("ssh-add "), "{text}");
    let mut agent = Agent::start(&mut lab).await;
    let text = refusal(lab.open(&spec).as_ref()).await.to_string();
    assert!(
        text.contains("it is encrypted and not in the agent"),
        "{text}"
    );
    agent.add(&lab, "locked", "secret");
    let transport = lab.open(&spec);
    assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
    // A key that only the agent knows is offered, too.
    spec.ssh.identity_files = Vec::new();
    let transport = lab.open(&spec);
    assert_eq!(stdout(transport.as_ref(), "echo b").await, "b\n");
}

#[tokio::test]
async fn rsa_key_in_the_agent_logs_in() {
    let Some(mut lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    lab.trust(&sshd);
    keygen(&lab.path("big"), "rsa", "");
    lab.authorize(&lab.path("big.pub"));
    let mut agent = Agent::start(&mut lab).await;
    agent.add(&lab, "big", "");
    let mut spec = lab.spec("web", &sshd);
    spec.ssh.identity_files = Vec::new();
    let transport = lab.open(&spec);
    assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
}

#[tokio::test]
async fn server_that_runs_another_command_is_told_apart() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) =
        lab.host("ForceCommand echo 'This account is currently not available.'; exit 1");
    let error = refusal(transport.as_ref()).await;
    assert!(
        matches!(error, TransportError::NoCommands { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("currently not available"));
    assert!(!error.outcome_unknown());
}

#[tokio::test]
async fn noise_of_login_scripts_is_dropped() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab
        .host("ForceCommand echo Welcome; printf 'no end'; exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
    assert_eq!(stdout(transport.as_ref(), "echo mine").await, "mine\n");
}

#[tokio::test]
async fn sudo_that_wants_a_password_runs_nothing() {
    let Some(lab) = Lab::new() else { return };
    // A sudo that refuses as the real one does; the test must not depend on the machine's own.
    let bin = lab.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(
        bin.join("sudo"),
        "#!/bin/sh\n[ \"$1\" = -n ] || exit 3\n[ -e \"$0.open\" ] || { echo 'sudo: a password is required' >&2; exit 1; }\nshift\nexec \"$@\"\n",
    )
    .unwrap();
    let made = Command::new("chmod")
        .arg("755")
        .arg(bin.join("sudo"))
        .status();
    assert!(made.unwrap().success());
    let sshd = lab.sshd(&format!("SetEnv PATH={}:/usr/bin:/bin", bin.display()));
    lab.trust(&sshd);
    let mut spec = lab.spec("web", &sshd);
    spec.ssh.r#become = rollgate::model::Become::Sudo;
    let transport = lab.open(&spec);
    let privileged = || rollgate::drivers::transport::Call {
        privileged: true,
        ..call("echo root")
    };
    let error = transport.run(privileged()).await.unwrap_err();
    assert!(
        matches!(error, TransportError::NoCommands { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("sudo: a password is required"));
    assert_eq!(stdout(transport.as_ref(), "echo me").await, "me\n");
    std::fs::write(bin.join("sudo.open"), "").unwrap();
    let output = transport.run(privileged()).await.unwrap();
    assert_eq!(output.stdout, b"root\n");
}
