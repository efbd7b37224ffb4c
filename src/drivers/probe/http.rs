//! GET over a stream of our own: no proxy, no redirect, one limit over everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::answer::{BODY_LIMIT, Reply, nothing, wanted_header};
use super::target::Target;
use super::{Probe, ProbeError, ProbeOptions, fallback};
use crate::drivers::transport::{BoxStream, Transport, TransportError};
use crate::model::{ProbeAnswer, VersionCheck};

/// What a balancer's check or an access log sees.
pub(super) const AGENT: &str = concat!("rollgate/", env!("CARGO_PKG_VERSION"));

/// A readiness URL.
#[derive(Debug)]
pub(super) struct HttpProbe {
    target: Target,
    check: Option<VersionCheck>,
    header: Option<HeaderName>,
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

/// Why there is no connection.
enum NoStream {
    /// An answer of sorts: nobody listens there.
    Failed(String),
    /// Another way may lead there.
    TryTools,
}

impl HttpProbe {
    pub(super) fn new(
        options: ProbeOptions,
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self, ProbeError> {
        let target = Target::new(&options.url, options.ca.as_deref())?;
        let header = wanted_header(options.version.as_ref())?;
        let route = match (options.direct, transport) {
            (true, _) => Route::Direct,
            (false, Some(transport)) => Route::Host {
                transport,
                closed: AtomicBool::new(false),
            },
            (false, None) => return Err(ProbeError::NoTransport { url: options.url }),
        };
        Ok(Self {
            target,
            check: options.version,
            header,
            route,
        })
    }

    async fn reply(&self, timeout: Duration) -> Result<Reply, String> {
        let stream = match &self.route {
            Route::Direct => self.connect_here().await?,
            Route::Host { transport, closed } => {
                match self.connect_there(transport.as_ref(), closed).await {
                    Ok(stream) => stream,
                    Err(NoStream::Failed(why)) => return Err(why),
                    Err(NoStream::TryTools) => {
                        let header = self.header.as_ref();
                        return fallback::ask(transport.as_ref(), &self.target, header, timeout)
                            .await;
                    }
                }
            }
        };
        match &self.target.tls {
            None => self.get(TokioIo::new(stream)).await,
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                let secured = connector.connect(tls.name.clone(), stream).await;
                let secured = secured.map_err(|error| format!("TLS failed: {error}"))?;
                self.get(TokioIo::new(secured)).await
            }
        }
    }

    async fn connect_here(&self) -> Result<BoxStream, String> {
        let Target { host, port, .. } = &self.target;
        match TcpStream::connect((host.as_str(), *port)).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(format!("cannot connect: {error}")),
        }
    }

    async fn connect_there(
        &self,
        transport: &dyn Transport,
        closed: &AtomicBool,
    ) -> Result<BoxStream, NoStream> {
        if closed.load(Ordering::Relaxed) {
            return Err(NoStream::TryTools);
        }
        let opened = transport
            .open_tcp(&self.target.host, self.target.port)
            .await;
        opened.map_err(|error| match &error {
            TransportError::Forward {
                prohibited: true, ..
            } => {
                closed.store(true, Ordering::Relaxed);
                NoStream::TryTools
            }
            // What sshd says when it tried; any other words may mean that it did not.
            TransportError::Forward { reason, .. } if is_of_network(reason) => {
                NoStream::Failed(format!("cannot connect from the host: {reason}"))
            }
            TransportError::Forward { .. } => NoStream::TryTools,
            TransportError::Unreachable { .. }
            | TransportError::HostKey { .. }
            | TransportError::Auth { .. }
            | TransportError::Local { .. }
            | TransportError::Lost { .. }
            | TransportError::Timeout { .. }
            | TransportError::Killed { .. }
            | TransportError::NoCommands { .. }
            | TransportError::Payload { .. } => NoStream::Failed(error.to_string()),
        })
    }

    async fn get<S>(&self, stream: S) -> Result<Reply, String>
    where
        S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let failed = |error: hyper::Error| format!("no HTTP answer: {}", with_cause(&error));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(failed)?;
        // Nothing moves unless somebody drives the connection; nothing is left of it when the limit drops this.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::get(self.target.path.as_str())
            .header(HOST, self.target.authority.as_str())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(failed)?;
        self.take(response).await
    }

    async fn take(&self, response: Response<Incoming>) -> Result<Reply, String> {
        let status = response.status().as_u16();
        let header = self
            .header
            .as_ref()
            .and_then(|name| response.headers().get(name));
        let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let mut body = Limited::new(response.into_body(), BODY_LIMIT);
        let mut reply = Reply {
            status,
            header,
            ..Reply::default()
        };
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => reply
                    .body
                    .extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Err(error) if error.is::<LengthLimitError>() => {
                    reply.cut = true;
                    break;
                }
                Err(error) => {
                    return Err(format!(
                        "status {status}, then the answer broke off: {error}"
                    ));
                }
            }
        }
        Ok(reply)
    }
}

impl Probe for HttpProbe {
    fn url(&self) -> &str {
        &self.target.url
    }

    fn ask(&self, timeout: Duration) -> BoxFuture<'_, ProbeAnswer> {
        async move {
            match tokio::time::timeout(timeout, self.reply(timeout)).await {
                Ok(Ok(reply)) => reply.read(self.check.as_ref()),
                Ok(Err(why)) => nothing(&why),
                Err(_elapsed) => nothing(&format!("no answer within {timeout:?}")),
            }
        }
        .boxed()
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
