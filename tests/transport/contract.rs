//! What every transport promises, run against each of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollgate::drivers::transport::{Call, LocalTransport, Transport, TransportError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{call, is_gone, stdout, with_file};
use crate::support::sshd::Lab;

async fn keeps(transport: Arc<dyn Transport>) {
    let transport = transport.as_ref();
    outputs_and_codes(transport).await;
    large_output(transport).await;
    signals(transport).await;
    payloads(transport).await;
    changed_payloads(transport).await;
    limits(transport).await;
    many_at_once(transport).await;
    sockets(transport).await;
    transport.close().await;
    assert_eq!(stdout(transport, "echo again").await, "again\n");
    transport.close().await;
}

async fn outputs_and_codes(transport: &dyn Transport) {
    let output = transport
        .run(call("echo out; echo err >&2; exit 7"))
        .await
        .unwrap();
    assert_eq!(output.code, 7);
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.complaint(), "err");
    assert_eq!(transport.run(call("exit 300")).await.unwrap().code, 44);
    assert_eq!(transport.run(call("/no/such")).await.unwrap().code, 127);
    // Nothing after the script is fed to what it runs.
    assert_eq!(stdout(transport, "cat").await, "");
    // Output of a child that outlives its parent still belongs to the command.
    let late = stdout(transport, "(sleep 0.3; echo late) & echo early").await;
    assert_eq!(late, "early\nlate\n");
}

async fn large_output(transport: &dyn Transport) {
    let text = stdout(transport, "head -c 3000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(text.len(), 3_000_000);
    let output = transport
        .run(call(
            "head -c 300000 /dev/zero | tr '\\0' e >&2; printf END >&2",
        ))
        .await
        .unwrap();
    assert_eq!(output.stderr.len(), 64 * 1024);
    assert!(output.stderr.ends_with(b"eEND"));
    let error = transport
        .run(call("head -c 20000000 /dev/zero; sleep 60"))
        .await
        .unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert!(error.to_string().contains("printed more"), "{error}");
}

async fn signals(transport: &dyn Transport) {
    let error = transport.run(call("kill -TERM $$")).await.unwrap_err();
    let expected = TransportError::Killed {
        purpose: "test".into(),
        signal: "TERM".into(),
    };
    assert_eq!(error, expected);
    let code = transport
        .run(call("sh -c 'kill -9 $$'; exit $?"))
        .await
        .unwrap()
        .code;
    assert_eq!(code, 137);
}

async fn payloads(transport: &dyn Transport) {
    let folder = tempfile::tempdir().unwrap();
    let (sent, received) = (folder.path().join("sent"), folder.path().join("received"));
    for size in [0_usize, 1, 300_000, 5_000_000] {
        let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
        std::fs::write(&sent, &bytes).unwrap();
        let body = format!("cat > '{}'; echo ä done", received.display());
        let output = transport
            .run(with_file(&body, &sent, size as u64))
            .await
            .unwrap();
        assert_eq!(output.code, 0, "{}", output.complaint());
        assert_eq!(output.stdout, "ä done\n".as_bytes());
        assert!(std::fs::read(&received).unwrap() == bytes, "{size} bytes");
    }
    // A command that ends before its input does not hang.
    let started = Instant::now();
    let output = transport
        .run(with_file("exit 9", &sent, 5_000_000))
        .await
        .unwrap();
    assert_eq!(output.code, 9);
    assert!(started.elapsed() < Duration::from_secs(10));
}

async fn changed_payloads(transport: &dyn Transport) {
    let folder = tempfile::tempdir().unwrap();
    let (file, mark) = (folder.path().join("file"), folder.path().join("mark"));
    std::fs::write(&file, "four").unwrap();
    let body = format!("echo ran > '{}'", mark.display());
    for (path, size) in [(file, 5), (folder.path().join("absent"), 1)] {
        let error = transport
            .run(with_file(&body, &path, size))
            .await
            .unwrap_err();
        assert!(matches!(error, TransportError::Payload { .. }), "{error}");
    }
    assert!(!mark.exists(), "nothing may run without its payload");
}

async fn limits(transport: &dyn Transport) {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let limit = Duration::from_millis(700);
    let hung = Call {
        limit,
        ..call(&format!(
            "sleep 1000 & echo $$ $! > '{}'; wait",
            pids.display()
        ))
    };
    let error = transport.run(hung).await.unwrap_err();
    let expected = TransportError::Timeout {
        purpose: "test".into(),
        limit,
    };
    assert_eq!(error, expected);
    for pid in std::fs::read_to_string(&pids).unwrap().split_whitespace() {
        assert!(is_gone(pid).await, "process {pid} is still there");
    }
}

async fn many_at_once(transport: &dyn Transport) {
    let calls = (0..12).map(|n| async move {
        let text = stdout(transport, &format!("sleep 0.1; echo {n}")).await;
        assert_eq!(text, format!("{n}\n"));
    });
    futures::future::join_all(calls).await;
}

/// Sends back what comes, until it ends.
async fn answer(stream: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::io::copy(&mut read, &mut write).await.unwrap();
}

async fn sockets(transport: &dyn Transport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let path = path.to_str().unwrap();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let unix = tokio::net::UnixListener::bind(path).unwrap();
    let echo = tokio::spawn(async move {
        answer(tcp.accept().await.unwrap().0).await;
        answer(unix.accept().await.unwrap().0).await;
    });
    let streams = [
        transport.open_tcp("127.0.0.1", port).await.unwrap(),
        transport.open_unix(path).await.unwrap(),
    ];
    for mut stream in streams {
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
    }
    echo.await.unwrap();
    for error in [
        transport.open_tcp("127.0.0.1", port).await.err().unwrap(),
        transport.open_unix("/no/such/socket").await.err().unwrap(),
    ] {
        assert!(
            matches!(
                error,
                TransportError::Forward {
                    prohibited: false,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn local_transport_keeps_the_contract() {
    keeps(Arc::new(LocalTransport::default())).await;
}

#[tokio::test]
async fn local_transport_keeps_the_contract_in_busybox() {
    if std::process::Command::new("busybox").output().is_err() {
        eprintln!("skipped: busybox is not installed");
        return;
    }
    keeps(Arc::new(LocalTransport::new(&["busybox", "sh"]))).await;
}

#[tokio::test]
async fn ssh_transport_keeps_the_contract() {
    let Some(lab) = Lab::new() else { return };
    let (_sshd, transport) = lab.host("");
    keeps(transport).await;
}
