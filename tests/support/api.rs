//! An HTTP API on loopback for doubles of products that cannot run here: credentials, TLS, faults to order, and a record of what was asked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What an API answers: status, and a body where there is one.
pub(crate) type Said = (u16, Option<Value>);

/// The product behind it.
pub(crate) trait Product: Send + Sync + 'static {
    /// Answers one request that was let through; `path` has the query.
    fn answer<'a>(&'a self, method: &'a Method, path: &'a str, body: Value) -> BoxFuture<'a, Said>;

    /// How it words an error that is not of the product's own making.
    fn error(&self, status: u16) -> Said;
}

/// What goes wrong with the next requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every request is answered so.
    Status(u16),
    /// Every answer comes this late.
    Slow(Duration),
    /// Requests are carried out, and the connection is cut before the answer.
    Cut,
    /// The answer is no JSON.
    Garbage,
    /// It points elsewhere.
    Redirect,
}

/// The settings that a test changes while it runs.
pub(crate) struct Controls {
    pub(crate) fault: Mutex<Fault>,
    /// Methods, paths and bodies, in the order in which they came.
    pub(crate) asked: Mutex<Vec<String>>,
    /// The `Authorization` header that is wanted, where one is.
    pub(crate) wanted: Mutex<Option<String>>,
}

/// A running API; ends when dropped.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) controls: Arc<Controls>,
    /// The private CA, where it speaks TLS.
    pub(crate) ca: Option<PathBuf>,
    /// Holds it.
    dir: Option<tempfile::TempDir>,
    _serving: AbortOnDropHandle<()>,
}

impl Api {
    pub(crate) async fn start<P: Product>(product: Arc<P>) -> Self {
        Self::listen(product, None).await
    }

    /// The same with a certificate of a private CA.
    pub(crate) async fn start_tls<P: Product>(product: Arc<P>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (ca, config) = crate::probe::certificates(dir.path());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let mut this = Self::listen(product, Some(acceptor)).await;
        this.ca = Some(ca);
        this.dir = Some(dir);
        this
    }

    async fn listen<P: Product>(product: Arc<P>, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let controls = Arc::new(Controls {
            fault: Mutex::new(Fault::None),
            asked: Mutex::default(),
            wanted: Mutex::default(),
        });
        let known = Arc::clone(&controls);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (product, known, tls) = (product.clone(), known.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, product, known).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, product, known).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            controls,
            ca: None,
            dir: None,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        *self.controls.fault.lock().unwrap() = fault;
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.controls.asked.lock().unwrap().clone()
    }
}

async fn serve<P: Product, S>(stream: S, product: Arc<P>, controls: Arc<Controls>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let (product, controls) = (product.clone(), controls.clone());
        async move { answer(request, &*product, &controls).await }
    });
    // A connection that a test cuts ends with an error.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn answer<P: Product>(
    request: Request<Incoming>,
    product: &P,
    controls: &Controls,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().as_str().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    let line = format!("{} {path} {text}", head.method);
    controls.asked.lock().unwrap().push(line.trim().to_owned());
    let sent = head.headers.get("authorization");
    let wanted = controls.wanted.lock().unwrap().clone();
    let fault = controls.fault.lock().unwrap().clone();
    if wanted.is_some() && sent.map(|value| value.to_str().unwrap()) != wanted.as_deref() {
        return Ok(response(product.error(401)));
    }
    match fault {
        Fault::Status(status) => return Ok(response(product.error(status))),
        Fault::Slow(pause) => tokio::time::sleep(pause).await,
        Fault::Garbage => return Ok(Response::new(Full::new(Bytes::from_static(b"<html>")))),
        Fault::Redirect => {
            let elsewhere = Response::builder().status(302).header("location", "/login");
            return Ok(elsewhere.body(Full::new(Bytes::new())).unwrap());
        }
        Fault::None | Fault::Cut => {}
    }
    let body = if body.is_empty() {
        Value::Null
    } else {
        let kind = head.headers.get("content-type");
        assert_eq!(
            kind.map(hyper::header::HeaderValue::as_bytes),
            Some(&b"application/json"[..])
        );
        serde_json::from_slice(&body).unwrap()
    };
    let said = product.answer(&head.method, &path, body).await;
    if fault == Fault::Cut {
        return Err(std::io::Error::other("cut"));
    }
    Ok(response(said))
}

fn response((status, body): Said) -> Response<Full<Bytes>> {
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let builder = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    builder.body(Full::new(body)).unwrap()
}
