//! The transports, on real parts.

mod contract;
mod forward;
mod host_keys;
mod login;
mod loss;
mod route;

use std::path::Path;
use std::time::Duration;

use rollgate::drivers::transport::{Call, Payload, Transport, TransportError};

/// A call without a payload; `body` is the inside of `main`.
fn call(body: &str) -> Call {
    Call {
        purpose: "test",
        script: format!("main() {{\n{body}\n}}\nmain").into(),
        payload: Payload::None,
        limit: Duration::from_secs(20),
        privileged: false,
    }
}

fn with_file(body: &str, path: &Path, size: u64) -> Call {
    Call {
        payload: Payload::File {
            path: path.to_owned(),
            size,
        },
        ..call(body)
    }
}

/// Standard output of a script that must succeed.
async fn stdout(transport: &dyn Transport, body: &str) -> String {
    let output = transport.run(call(body)).await.unwrap();
    assert_eq!(output.code, 0, "{}", output.complaint());
    String::from_utf8(output.stdout).unwrap()
}

/// The error of a script that cannot run.
async fn refusal(transport: &dyn Transport) -> TransportError {
    transport.run(call("echo ran")).await.unwrap_err()
}

/// Waits until a process is gone; false when it stays.
async fn is_gone(pid: &str) -> bool {
    let proc = Path::new("/proc").join(pid);
    for _ in 0..100 {
        if !proc.exists() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    false
}
