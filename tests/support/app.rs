//! A tiny HTTP server on loopback whose answers depend on the path.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A running server; ends when dropped.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl App {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        });
        Self {
            address,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Answers one connection's requests until it ends.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut head) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or("/").to_owned();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let answer = answer(&path, &head).await;
        if stream.write_all(answer.as_bytes()).await.is_err() || path == "/cut" {
            return;
        }
    }
}

async fn answer(path: &str, head: &str) -> String {
    let whole = |status: &str, headers: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    match path {
        "/ready" => whole(
            "200 OK",
            "x-version: 1.2.3\r\n",
            "{\"build\":{\"version\":\"1.2.3\",\"number\":7}}",
        ),
        "/warming" => whole("503 Service Unavailable", "", "warming \x1b[1mup\nmore"),
        "/elsewhere" => whole("302 Found", "location: /ready\r\n", ""),
        "/huge" => whole("200 OK", "x-version: 9\r\n", &"x".repeat(1 << 20)),
        "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_owned(),
        "/echo" => whole("200 OK", "", &head.replace("\r\n", "|")),
        "/hang" => std::future::pending().await,
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(700)).await;
            whole("200 OK", "", "slow")
        }
        "/slower" => {
            tokio::time::sleep(Duration::from_secs(3)).await;
            whole("200 OK", "", "slower")
        }
        _ => whole("200 OK", "", "ok"),
    }
}
