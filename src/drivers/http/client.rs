//! The connection, the request, the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{AGENT, Target};
use crate::drivers::transport::{BoxStream, Transport, TransportError};

/// One server, and the way to it.
#[derive(Debug)]
pub(in crate::drivers) struct Client {
    target: Target,
    route: Route,
}

#[derive(Debug)]
enum Route {
    Direct,
    Host {
        transport: Arc<dyn Transport>,
        /// Its `sshd` said that it forwards nothing: it is not asked again.
        closed: AtomicBool,
    },
}

/// What is asked.
#[derive(Debug)]
pub(in crate::drivers) struct Question<'a> {
    pub(in crate::drivers) method: Method,
    /// Path and query.
    pub(in crate::drivers) path: &'a str,
    /// Besides `Host` and what names rollgate.
    pub(in crate::drivers) headers: HeaderMap,
    pub(in crate::drivers) body: Bytes,
    /// Bytes of the answer's body that are read.
    pub(in crate::drivers) most: usize,
}

/// What came back.
#[derive(Debug)]
pub(in crate::drivers) struct Answer {
    pub(in crate::drivers) status: u16,
    pub(in crate::drivers) headers: HeaderMap,
    pub(in crate::drivers) body: Vec<u8>,
    /// Whether there was more.
    pub(in crate::drivers) cut: bool,
}

/// Why nothing whole came back.
#[derive(Debug)]
pub(in crate::drivers) enum Failure {
    /// The host's `sshd` opened no connection and did not say that the network is why: nothing was sent, and another way may lead there.
    NoForward {
        reason: String,
        /// Whether it said that it never does.
        prohibited: bool,
    },
    /// No connection: nothing was sent.
    NoConnection(String),
    /// The server is not who it should be: nothing was sent.
    NoTrust(String),
    /// Whether the request was acted upon is unknown.
    Broken(String),
}

impl Client {
    /// A client for `target`, through `transport` where there is one. Contacts nothing.
    pub(in crate::drivers) fn new(target: Target, transport: Option<Arc<dyn Transport>>) -> Self {
        let route = match transport {
            None => Route::Direct,
            Some(transport) => Route::Host {
                transport,
                closed: AtomicBool::new(false),
            },
        };
        Self { target, route }
    }

    pub(in crate::drivers) fn target(&self) -> &Target {
        &self.target
    }

    /// The host's connection, where it leads through one.
    pub(in crate::drivers) fn host(&self) -> Option<&dyn Transport> {
        match &self.route {
            Route::Direct => None,
            Route::Host { transport, .. } => Some(transport.as_ref()),
        }
    }

    /// Asks once.
    pub(in crate::drivers) async fn ask(&self, question: Question<'_>) -> Result<Answer, Failure> {
        let stream = match &self.route {
            Route::Direct => self.connect_here().await?,
            Route::Host { transport, closed } => {
                self.connect_there(transport.as_ref(), closed).await?
            }
        };
        match &self.target.tls {
            None => self.exchange(TokioIo::new(stream), question).await,
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                let secured = connector.connect(tls.name.clone(), stream).await;
                let secured = secured.map_err(|error| untrusted(&error))?;
                self.exchange(TokioIo::new(secured), question).await
            }
        }
    }

    async fn connect_here(&self) -> Result<BoxStream, Failure> {
        let Target { host, port, .. } = &self.target;
        match TcpStream::connect((host.as_str(), *port)).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Failure::NoConnection(format!("cannot connect: {error}"))),
        }
    }

    async fn connect_there(
        &self,
        transport: &dyn Transport,
        closed: &AtomicBool,
    ) -> Result<BoxStream, Failure> {
        let no_forward = |reason: &str, prohibited| Failure::NoForward {
            reason: reason.to_owned(),
            prohibited,
        };
        if closed.load(Ordering::Relaxed) {
            return Err(no_forward("forwarding is switched off", true));
        }
        let opened = transport
            .open_tcp(&self.target.host, self.target.port)
            .await;
        opened.map_err(|error| match &error {
            TransportError::Forward {
                prohibited: true,
                reason,
                ..
            } => {
                closed.store(true, Ordering::Relaxed);
                no_forward(reason, true)
            }
            // What sshd says when it tried; any other words may mean that it did not.
            TransportError::Forward { reason, .. } if is_of_network(reason) => {
                Failure::NoConnection(format!("cannot connect from the host: {reason}"))
            }
            TransportError::Forward { reason, .. } => no_forward(reason, false),
            TransportError::Unreachable { .. }
            | TransportError::HostKey { .. }
            | TransportError::Auth { .. }
            | TransportError::Local { .. }
            | TransportError::Lost { .. }
            | TransportError::Timeout { .. }
            | TransportError::Killed { .. }
            | TransportError::NoCommands { .. }
            | TransportError::Payload { .. } => Failure::NoConnection(error.to_string()),
        })
    }

    async fn exchange<S>(&self, stream: S, question: Question<'_>) -> Result<Answer, Failure>
    where
        S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let failed = |error: hyper::Error| {
            Failure::Broken(format!("no HTTP answer: {}", with_cause(&error)))
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(failed)?;
        // Nothing moves unless somebody drives the connection; nothing is left of it when the limit drops this.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::builder()
            .method(question.method)
            .uri(question.path)
            .header(HOST, self.target.authority.as_str())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Full::new(question.body))
            .map_err(|error| Failure::NoConnection(error.to_string()))?;
        request.headers_mut().extend(question.headers);
        let response = sender.send_request(request).await.map_err(failed)?;
        take(response, question.most).await
    }
}

async fn take(response: Response<Incoming>, most: usize) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    let mut body = Limited::new(body, most);
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: Vec::new(),
        cut: false,
    };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => answer
                .body
                .extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Err(error) if error.is::<LengthLimitError>() => {
                answer.cut = true;
                break;
            }
            Err(error) => {
                return Err(Failure::Broken(format!(
                    "status {}, then the answer broke off: {error}",
                    answer.status
                )));
            }
        }
    }
    Ok(answer)
}

/// A certificate that is refused now is refused in a moment too; anything else may be the network.
fn untrusted(error: &std::io::Error) -> Failure {
    let reason = format!("TLS failed: {error}");
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => Failure::NoTrust(reason),
        _ => Failure::NoConnection(reason),
    }
}

/// Whether a refusal to open a channel tells of the network, as the C library words it.
fn is_of_network(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    [
        "refused",
        "timed out",
        "unreachable",
        "no route",
        "not known",
        "reset",
    ]
    .iter()
    .any(|word| reason.contains(word))
}

fn with_cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
