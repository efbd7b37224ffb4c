//! The server: accept, answer, and end without losing a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::state::State;
use crate::trailer::{Behaviour, Trailer};

/// How long requests in flight may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(20);
/// The longest answer to `/slow`.
const SLOWEST: Duration = Duration::from_secs(30);
/// The largest body that is echoed, in bytes.
const LARGEST: usize = 1 << 20;

struct App {
    state: State,
    listen: SocketAddr,
    started: Instant,
}

/// Serves until SIGTERM, then closes the listener, ends what is in flight, and returns.
///
/// # Errors
/// The address cannot be bound, or the release is one that crashes.
pub(crate) async fn serve(
    listen: SocketAddr,
    trailer: Trailer,
) -> Result<(), Box<dyn std::error::Error>> {
    let behaviour = trailer.behaviour;
    log(&format!(
        "version {} ({behaviour:?}) starts on {listen}",
        trailer.version
    ));
    if behaviour == Behaviour::Crash {
        return Err("cannot open the database: connection refused".into());
    }
    let mut term = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(listen).await?;
    let app = Arc::new(App {
        state: State::new(trailer),
        listen,
        started: Instant::now(),
    });
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&app), stopped.clone()));
                }
                Err(error) => log(&format!("accept: {error}")),
            },
            Some(_) = connections.join_next() => {}
            _ = term.recv() => {
                if behaviour != Behaviour::IgnoreTerm {
                    break;
                }
                log("SIGTERM is ignored");
            }
        }
    }
    drop(listener);
    log(&format!(
        "SIGTERM: {} connections to end",
        connections.len()
    ));
    drop(stop);
    if timeout(GRACE, async {
        while connections.join_next().await.is_some() {}
    })
    .await
    .is_err()
    {
        log("some requests did not end in time");
    }
    log("bye");
    Ok(())
}

async fn connection(stream: TcpStream, app: Arc<App>, mut stopped: watch::Receiver<()>) {
    if let Err(error) = stream.set_nodelay(true) {
        log(&format!("nodelay: {error}"));
    }
    let service = service_fn(move |request| answer(request, Arc::clone(&app)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        // The sender never sends: this is its drop, on SIGTERM.
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended
        && !error.is_incomplete_message()
    {
        log(&format!("connection: {error}"));
    }
}

async fn answer(
    request: Request<Incoming>,
    app: Arc<App>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/health/ready" {
        return Ok(readiness(&app));
    }
    if path == "/health/traffic" {
        return Ok(fitness(&app));
    }
    let status = app.state.status(app.started.elapsed());
    if status != 200 {
        return Ok(app.respond(status, "text/plain", "not now\n"));
    }
    if request.method() == Method::POST {
        return Ok(echo(request, &app).await);
    }
    if path == "/slow" {
        sleep(delay(request.uri().query())).await;
    }
    let text = format!("version {} on {}\n", app.state.version(), app.listen);
    Ok(app.respond(200, "text/plain", text))
}

fn readiness(app: &App) -> Response<Full<Bytes>> {
    let ready = app.state.is_ready(app.started.elapsed());
    let version = app.state.version();
    let body = serde_json::json!({ "ready": ready, "version": version });
    let status = if ready { 200 } else { 503 };
    app.respond(status, "application/json", body.to_string())
}

/// What a balancer asks that nobody may touch: ready, and not held out by the file `out` where the application was started.
fn fitness(app: &App) -> Response<Full<Bytes>> {
    let held_out = std::path::Path::new("out").exists();
    if !held_out && app.state.is_ready(app.started.elapsed()) {
        app.respond(200, "text/plain", "fit\n")
    } else {
        app.respond(503, "text/plain", "not now\n")
    }
}

async fn echo(request: Request<Incoming>, app: &App) -> Response<Full<Bytes>> {
    match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(body) => app.respond(200, "application/octet-stream", body.to_bytes()),
        Err(error) => app.respond(400, "text/plain", format!("{error}\n")),
    }
}

impl App {
    fn respond(
        &self,
        status: u16,
        kind: &'static str,
        body: impl Into<Bytes>,
    ) -> Response<Full<Bytes>> {
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .header("x-version", self.state.version())
            .header("x-server", self.listen.to_string())
            .body(Full::new(body.into()))
            .unwrap_or_default()
    }
}

/// `ms=` of a query, bounded; without it, 500 ms.
fn delay(query: Option<&str>) -> Duration {
    query
        .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("ms=")))
        .and_then(|ms| ms.parse().ok())
        .map_or(Duration::from_millis(500), Duration::from_millis)
        .min(SLOWEST)
}

#[expect(clippy::print_stderr, reason = "the application's log is its stderr")]
fn log(text: &str) {
    eprintln!("{} app: {text}", jiff::Timestamp::now());
}
