//! Sockets that are refused; those that work are part of the contract.

use std::time::{Duration, Instant};

use rollgate::drivers::transport::{Transport, TransportError};
use rollgate::model::JumpSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stdout;
use crate::support::sshd::Lab;

#[tokio::test]
async fn forwarding_that_is_switched_off_is_told_apart() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab.host("AllowTcpForwarding no\nAllowStreamLocalForwarding no");
    let error = transport.open_tcp("127.0.0.1", 1).await.err().unwrap();
    assert!(
        matches!(
            error,
            TransportError::Forward {
                prohibited: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("AllowTcpForwarding"), "{error}");
    let error = transport.open_unix("/no/such").await.err().unwrap();
    assert!(
        error.to_string().contains("AllowStreamLocalForwarding"),
        "{error}"
    );
    // Commands still run.
    assert_eq!(stdout(transport.as_ref(), "echo a").await, "a\n");
}

#[tokio::test]
async fn closed_port_on_the_host_is_named() {
    let Some(lab) = Lab::new() else { return };
    let (sshd, transport) = lab.host("");
    let error = transport.open_tcp("127.0.0.1", 1).await.err().unwrap();
    let text = error.to_string();
    assert_eq!(
        text, "cannot forward 127.0.0.1:1: Connection refused",
        "{}",
        sshd.port
    );
}

/// Time of 25 turns over a socket that the host forwards.
async fn turns(transport: &dyn Transport) -> Duration {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let mut stream = transport.open_tcp("127.0.0.1", port).await.unwrap();
    let started = Instant::now();
    let mut answer = [0; 4];
    for _ in 0..25 {
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
    }
    let spent = started.elapsed();
    drop(stream);
    echo.await.unwrap();
    spent
}

#[tokio::test]
async fn first_forwarded_socket_sends_without_delay_through_a_jump_host_too() {
    let Some(lab) = Lab::new() else { return };
    let (web, direct) = lab.host("");
    let bastion = lab.sshd("");
    lab.trust(&bastion);
    let mut target = lab.spec("web", &web);
    target.ssh.jump = vec![JumpSpec::Address {
        user: None,
        address: bastion.address.clone(),
        port: Some(bastion.port),
    }];
    // Without a first command on each connection: 44 ms a turn, more than a second in all.
    for transport in [direct, lab.open(&target)] {
        let spent = turns(transport.as_ref()).await;
        assert!(spent < Duration::from_millis(800), "{spent:?}");
    }
}
