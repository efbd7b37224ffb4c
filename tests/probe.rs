//! The readiness probe against a small server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollgate::drivers::probe::{Probe, ProbeError, ProbeOptions, open};
use rollgate::drivers::transport::Transport;
use rollgate::model::{ProbeAnswer, VersionCheck};
use tokio_rustls::rustls;
use tokio_util::task::AbortOnDropHandle;

use crate::support::app::{App, serve};
use crate::support::shell_host::{Forwarding, ShellHost};

const LIMIT: Duration = Duration::from_secs(10);

fn header() -> VersionCheck {
    VersionCheck::Header("X-Version".to_owned())
}

fn json(pointer: &str) -> VersionCheck {
    VersionCheck::Json(pointer.to_owned())
}

fn probe(
    url: &str,
    version: Option<VersionCheck>,
    host: Option<Arc<dyn Transport>>,
) -> Arc<dyn Probe> {
    let options = ProbeOptions {
        url: url.to_owned(),
        direct: host.is_none(),
        ca: None,
        version,
    };
    open(options, host).unwrap()
}

async fn ask(app: &App, path: &str, version: Option<VersionCheck>) -> ProbeAnswer {
    probe(&app.url(path), version, None).ask(LIMIT).await
}

fn host(forwarding: Forwarding) -> Arc<ShellHost> {
    Arc::new(ShellHost::new(forwarding))
}

#[tokio::test]
async fn status_and_version_are_read() {
    let app = App::start().await;
    let answer = ask(&app, "/ready", Some(header())).await;
    assert_eq!(
        (answer.status, answer.version.as_deref()),
        (Some(200), Some("1.2.3"))
    );
    let version = async |pointer| ask(&app, "/ready", Some(json(pointer))).await.version;
    assert_eq!(version("/build/version").await.as_deref(), Some("1.2.3"));
    assert_eq!(version("/build/number").await.as_deref(), Some("7"));
    assert_eq!(version("/nothing").await, None);
    assert_eq!(ask(&app, "/ready", None).await.version, None);
    assert_eq!(ask(&app, "/", Some(header())).await.version, None);
}

#[tokio::test]
async fn a_bad_status_is_an_answer_with_its_body_as_note() {
    let app = App::start().await;
    let answer = ask(&app, "/warming", None).await;
    assert_eq!(
        (answer.status, answer.note.as_str()),
        (Some(503), "warming [1mup")
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let app = App::start().await;
    let answer = ask(&app, "/elsewhere", Some(header())).await;
    assert_eq!((answer.status, answer.version), (Some(302), None));
}

#[tokio::test]
async fn the_request_names_its_host_and_itself() {
    let app = App::start().await;
    // The note is too short for all of it, so the header comes first in what the server echoes.
    let answer = ask(&app, "/echo", None).await;
    assert!(
        answer.note.contains(&format!("host: {}", app.address)),
        "{}",
        answer.note
    );
    assert!(answer.note.contains("rollgate/"), "{}", answer.note);
}

#[tokio::test]
async fn a_huge_body_costs_neither_time_nor_the_status() {
    let app = App::start().await;
    let answer = ask(&app, "/huge", Some(header())).await;
    assert_eq!(
        (answer.status, answer.version.as_deref()),
        (Some(200), Some("9"))
    );
    let answer = ask(&app, "/huge", Some(json("/v"))).await;
    assert_eq!((answer.status, answer.version), (Some(200), None));
    assert!(answer.note.contains("64 KiB"), "{}", answer.note);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let app = App::start().await;
    let answer = ask(&app, "/cut", None).await;
    assert_eq!(answer.status, None);
    assert!(answer.note.contains("broke off"), "{}", answer.note);
}

#[tokio::test]
async fn a_hanging_server_is_left_after_the_limit() {
    let app = App::start().await;
    let start = Instant::now();
    let answer = probe(&app.url("/hang"), None, None)
        .ask(Duration::from_millis(200))
        .await;
    assert_eq!(
        (answer.status, answer.note.as_str()),
        (None, "no answer within 200ms")
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_closed_port_is_told_as_such_here_and_through_the_host() {
    let app = App::start().await;
    let url = app.url("/ready");
    drop(app);
    tokio::task::yield_now().await;
    let answer = probe(&url, None, None).ask(LIMIT).await;
    assert!(
        answer.status.is_none() && answer.note.contains("refused"),
        "{answer:?}"
    );
    let there = host(Forwarding::On);
    let answer = probe(&url, None, Some(Arc::clone(&there) as Arc<_>))
        .ask(LIMIT)
        .await;
    assert!(
        answer.status.is_none() && answer.note.contains("from the host"),
        "{answer:?}"
    );
    assert!(
        there.ran.lock().unwrap().is_empty(),
        "no tool is needed to know that"
    );
}

#[tokio::test]
async fn through_the_host_a_forwarded_connection_is_used() {
    let app = App::start().await;
    let there = host(Forwarding::On);
    let answer = probe(
        &app.url("/ready"),
        Some(header()),
        Some(Arc::clone(&there) as Arc<_>),
    )
    .ask(LIMIT)
    .await;
    assert_eq!(
        (answer.status, answer.version.as_deref()),
        (Some(200), Some("1.2.3"))
    );
    assert_eq!(*there.opened.lock().unwrap(), [app.address.to_string()]);
    assert!(there.ran.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_probe_through_a_host_needs_one() {
    let options = ProbeOptions {
        url: "http://x/".to_owned(),
        direct: false,
        ca: None,
        version: None,
    };
    assert!(matches!(
        open(options, None),
        Err(ProbeError::NoTransport { .. })
    ));
}

/// Makes `ca.pem` and a certificate of it for 127.0.0.1.
pub(crate) fn certificates(dir: &Path) -> (PathBuf, rustls::ServerConfig) {
    use rustls::pki_types::pem::PemObject;
    let script = "set -e
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 2 -out ca.pem
openssl ecparam -name prime256v1 -genkey -noout -out raw.key
openssl pkcs8 -topk8 -nocrypt -in raw.key -out leaf.key
openssl req -new -key leaf.key -subj /CN=leaf -out leaf.csr
echo subjectAltName=IP:127.0.0.1 >ext
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out leaf.pem";
    let made = std::process::Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(dir)
        .output();
    let made = made.unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let chain =
        vec![rustls::pki_types::CertificateDer::from_pem_file(dir.join("leaf.pem")).unwrap()];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(dir.join("leaf.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (dir.join("ca.pem"), config)
}

#[tokio::test]
async fn https_wants_a_certificate_of_the_named_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, config) = certificates(dir.path());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/ready", listener.local_addr().unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    }));
    let ask = async |ca: Option<PathBuf>, host: Option<Arc<dyn Transport>>| {
        let direct = host.is_none();
        let options = ProbeOptions {
            url: url.clone(),
            direct,
            ca,
            version: Some(header()),
        };
        open(options, host).unwrap().ask(LIMIT).await
    };
    for way in [None, Some(Forwarding::On), Some(Forwarding::Prohibited)] {
        let there = way.map(|forwarding| host(forwarding) as Arc<dyn Transport>);
        let answer = ask(Some(ca.clone()), there.clone()).await;
        assert_eq!(
            (answer.status, answer.version.as_deref()),
            (Some(200), Some("1.2.3")),
            "{way:?} {answer:?}"
        );
        let answer = ask(None, there).await;
        assert!(
            answer.status.is_none() && answer.note.contains("certificate"),
            "{way:?} {answer:?}"
        );
    }
}
