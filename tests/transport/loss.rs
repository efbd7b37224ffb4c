//! Connections that do not come about, and connections that are lost.

use std::time::{Duration, Instant};

use rollgate::drivers::transport::TransportError;

use super::{call, refusal, stdout, with_file};
use crate::support::sshd::Lab;

#[tokio::test]
async fn lost_session_is_told_and_the_next_use_connects_again() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab.host("");
    let mark = lab.path("mark");
    let body = format!("echo x >> '{}'; kill -KILL $PPID; sleep 3", mark.display());
    let started = Instant::now();
    let error = transport.run(call(&body)).await.unwrap_err();
    assert!(matches!(error, TransportError::Lost { .. }), "{error}");
    assert!(error.outcome_unknown());
    assert!(
        error.to_string().contains("closed the connection"),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
    // The command was not repeated.
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "x\n");
}

#[tokio::test]
async fn session_that_ends_during_an_upload_does_not_hang() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab.host("");
    let file = lab.path("large");
    std::fs::write(&file, vec![7; 30_000_000]).unwrap();
    let upload = with_file("kill -KILL $PPID; sleep 3", &file, 30_000_000);
    let error = transport.run(upload).await.unwrap_err();
    assert!(matches!(error, TransportError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn connection_that_was_lost_while_idle_is_replaced_unnoticed() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab.host("");
    let session = stdout(transport.as_ref(), "echo $PPID").await;
    let again = stdout(transport.as_ref(), "echo $PPID").await;
    assert_eq!(session, again, "one connection is kept");
    stdout(
        transport.as_ref(),
        &format!(
            "(sleep 0.3; kill -KILL {}) >/dev/null 2>&1 </dev/null &",
            session.trim()
        ),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let other = stdout(transport.as_ref(), "echo $PPID").await;
    assert_ne!(session, other);
}

#[tokio::test]
async fn closed_port_and_unknown_name_are_unreachable() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    let mut spec = lab.spec("web", &sshd);
    drop(sshd);
    let error = refusal(lab.open(&spec).as_ref()).await;
    assert!(
        matches!(error, TransportError::Unreachable { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
    spec.address = "no-such-host.invalid".into();
    let error = refusal(lab.open(&spec).as_ref()).await;
    assert!(
        matches!(error, TransportError::Unreachable { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn listener_that_never_answers_is_given_up_in_time() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = lab.spec("web", &sshd);
    spec.address = "127.0.0.1".into();
    spec.ssh.port = Some(silent.local_addr().unwrap().port());
    spec.ssh.connect_timeout = Duration::from_millis(600);
    let started = Instant::now();
    let text = refusal(lab.open(&spec).as_ref()).await.to_string();
    assert!(
        text.contains("no answer within 600ms while waiting for its greeting"),
        "{text}"
    );
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn server_with_few_startups_is_tried_again() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("MaxStartups 2:100:3");
    lab.trust(&sshd);
    let mut spec = lab.spec("web", &sshd);
    spec.ssh.connect_timeout = Duration::from_secs(30);
    let connector = lab.connector();
    let connecting = (0..8).map(|_| async {
        let transport = rollgate::drivers::transport::open(
            &spec,
            &std::collections::BTreeMap::new(),
            &connector,
        );
        assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
    });
    futures::future::join_all(connecting).await;
    let log = std::fs::read_to_string(&sshd.log).unwrap();
    assert!(
        log.contains("MaxStartups"),
        "the server dropped none: {log}"
    );
}

async fn appears(path: &std::path::Path) -> bool {
    for _ in 0..500 {
        if path.exists() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn dropped_call_ends_the_input_of_a_script_that_watches_it() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab.host("");
    let (file, began, ended) = (lab.path("file"), lab.path("began"), lab.path("ended"));
    // A file with a hole: long to send, and nothing on the disk.
    std::fs::File::create(&file)
        .unwrap()
        .set_len(500 << 20)
        .unwrap();
    let body = format!(
        "trap '' PIPE; echo > '{}'; sleep 1; cat >/dev/null; echo > '{}'",
        began.display(),
        ended.display()
    );
    tokio::select! {
        early = transport.run(with_file(&body, &file, 500 << 20)) => panic!("{early:?}"),
        seen = appears(&began) => assert!(seen, "the script did not begin"),
    }
    assert!(
        appears(&ended).await,
        "the script still waits for its input"
    );
    assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
}

#[tokio::test]
async fn server_that_has_one_session_serves_many_calls() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab.host("MaxSessions 1");
    for _ in 0..20 {
        assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
    }
}

#[tokio::test]
async fn frozen_host_is_given_up_during_a_quiet_command_and_during_an_upload() {
    let Some(lab) = Lab::new() else { return };
    let sshd = lab.sshd("");
    lab.trust(&sshd);
    let file = lab.path("file");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(500 << 20)
        .unwrap();
    let spec = lab.spec("web", &sshd);
    let calls = [
        call("sleep 100"),
        with_file("cat >/dev/null", &file, 500 << 20),
    ];
    let frozen = calls.map(|mut call| {
        call.limit = Duration::from_secs(90);
        let transport = lab.open(&spec);
        async move {
            let session = stdout(transport.as_ref(), "echo $PPID").await;
            let signal = |name: &str| {
                let sent = std::process::Command::new("kill")
                    .args([name, session.trim()])
                    .status();
                assert!(sent.unwrap().success());
            };
            let freeze = async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                signal("-STOP");
            };
            let (ended, ()) = tokio::join!(transport.run(call), freeze);
            signal("-KILL");
            ended.unwrap_err()
        }
    });
    let started = Instant::now();
    for error in futures::future::join_all(frozen).await {
        assert!(matches!(error, TransportError::Lost { .. }), "{error}");
        assert!(error.to_string().contains("went silent"), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(45));
}
