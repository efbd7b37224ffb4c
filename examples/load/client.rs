//! One keep-alive client. It speaks HTTP/1.1 over the bare socket, because what is wanted is exact knowledge of when a connection
//! ended: before the request, before the answer, or in its middle. Libraries fold these into one error.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The limit of one request, connecting included.
const LIMIT: Duration = Duration::from_secs(15);
/// An answer longer than this is not one of ours.
const LONGEST: usize = 4 << 20;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer, whole.
    Answer {
        /// Its status.
        status: u16,
        /// Its `x-version`.
        version: Option<String>,
    },
    /// The connection could not be made.
    NotConnected,
    /// A connection that had been used before ended without a byte of an answer.
    LostReused,
    /// A fresh connection ended without a byte of an answer.
    LostFresh,
    /// It ended within an answer, or what came was no HTTP.
    CutOff,
    /// Nothing came in time.
    TimedOut,
}

/// A keep-alive client.
pub(crate) struct Client {
    target: SocketAddr,
    idle: Option<TcpStream>,
}

/// The text of a request.
pub(crate) fn request(target: SocketAddr, is_post: bool, slow_ms: Option<u32>) -> String {
    let body = if is_post { "ping=1234567890" } else { "" };
    let verb = if is_post { "POST" } else { "GET" };
    let path = slow_ms.map_or_else(|| "/".to_owned(), |ms| format!("/slow?ms={ms}"));
    format!(
        "{verb} {path} HTTP/1.1\r\nhost: {target}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Client {
    /// A client that is not connected yet.
    pub(crate) fn new(target: SocketAddr) -> Self {
        Self { target, idle: None }
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &str) -> End {
        timeout(LIMIT, self.try_ask(request))
            .await
            .unwrap_or(End::TimedOut)
    }

    async fn try_ask(&mut self, request: &str) -> End {
        let reused = self.idle.take().filter(is_open);
        let is_reused = reused.is_some();
        let mut stream = match reused {
            Some(stream) => stream,
            None => match connect(self.target).await {
                Ok(stream) => stream,
                Err(_) => return End::NotConnected,
            },
        };
        let lost = if is_reused {
            End::LostReused
        } else {
            End::LostFresh
        };
        if stream.write_all(request.as_bytes()).await.is_err() {
            return lost;
        }
        match read_answer(&mut stream).await {
            Reading::Nothing => lost,
            Reading::Part => End::CutOff,
            Reading::Whole(answer) => {
                if answer.keeps_alive {
                    self.idle = Some(stream);
                }
                End::Answer {
                    status: answer.status,
                    version: answer.version,
                }
            }
        }
    }
}

/// Whether the other end has neither closed nor reset the idle connection.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

enum Reading {
    Nothing,
    Part,
    Whole(Answer),
}

struct Answer {
    status: u16,
    version: Option<String>,
    /// Bytes of the body; without it the answer ends with the connection.
    length: Option<usize>,
    keeps_alive: bool,
}

async fn read_answer(stream: &mut TcpStream) -> Reading {
    let mut bytes = Vec::with_capacity(1024);
    let mut head = None;
    loop {
        if head.is_none()
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
            match parse_head(&text) {
                Some(answer) => head = Some((answer, end + 4)),
                None => return Reading::Part,
            }
        }
        if let Some((answer, start)) = &head
            && answer.length.is_some_and(|len| bytes.len() >= start + len)
        {
            break;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) if bytes.len() < LONGEST => {}
            _ if bytes.is_empty() => return Reading::Nothing,
            Ok(0) if head.as_ref().is_some_and(|(a, _)| a.length.is_none()) => break,
            _ => return Reading::Part,
        }
    }
    head.map_or(Reading::Part, |(answer, _)| Reading::Whole(answer))
}

fn parse_head(text: &str) -> Option<Answer> {
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?;
    let mut answer = Answer {
        status: status.parse().ok()?,
        version: None,
        length: None,
        keeps_alive: true,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => answer.length = Some(value.parse().ok()?),
            "connection" if value.eq_ignore_ascii_case("close") => answer.keeps_alive = false,
            "x-version" => answer.version = Some(value.to_owned()),
            _ => {}
        }
    }
    answer.keeps_alive &= answer.length.is_some();
    Some(answer)
}
