//! The readiness probe by tools of the host.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::probe::{Probe, ProbeOptions, open};
use rollgate::drivers::transport::Transport;
use rollgate::model::{ProbeAnswer, VersionCheck};

use crate::support::app::App;
use crate::support::shell_host::{Forwarding, ShellHost, tools};

const LIMIT: Duration = Duration::from_secs(10);

fn header() -> VersionCheck {
    VersionCheck::Header("X-Version".to_owned())
}

fn json(pointer: &str) -> VersionCheck {
    VersionCheck::Json(pointer.to_owned())
}

fn probe(url: &str, version: Option<VersionCheck>, host: Arc<dyn Transport>) -> Arc<dyn Probe> {
    let options = ProbeOptions {
        url: url.to_owned(),
        direct: false,
        ca: None,
        version,
    };
    open(options, Some(host)).unwrap()
}

const BASICS: [(&str, &str); 3] = [
    ("head", "/usr/bin/head"),
    ("mktemp", "/usr/bin/mktemp"),
    ("rm", "/usr/bin/rm"),
];

async fn ask_by(tool: (&str, &str), url: &str, version: Option<VersionCheck>) -> ProbeAnswer {
    assert!(
        Path::new(tool.1).exists(),
        "{} must be installed to run this test",
        tool.1
    );
    let dir = tools(&[BASICS.as_slice(), &[tool]].concat());
    let mut there = ShellHost::new(Forwarding::Prohibited);
    there.shell = vec!["/bin/sh".to_owned()];
    there.path = Some(dir.path().to_str().unwrap().to_owned());
    probe(url, version, Arc::new(there)).ask(LIMIT).await
}

#[tokio::test]
async fn without_forwarding_each_tool_gives_the_same_answers() {
    let app = App::start().await;
    for tool in [
        ("curl", "/usr/bin/curl"),
        ("wget", "/usr/bin/wget"),
        ("wget", "/bin/busybox"),
    ] {
        let version = ask_by(tool, &app.url("/ready"), Some(header())).await;
        assert_eq!(
            (version.status, version.version.as_deref()),
            (Some(200), Some("1.2.3")),
            "{tool:?} {version:?}"
        );
        let version = ask_by(tool, &app.url("/ready"), Some(json("/build/version"))).await;
        assert_eq!(version.version.as_deref(), Some("1.2.3"), "{tool:?}");
        let warming = ask_by(tool, &app.url("/warming"), None).await;
        assert_eq!(warming.status, Some(503), "{tool:?} {warming:?}");
        let redirect = ask_by(tool, &app.url("/elsewhere"), Some(header())).await;
        assert_eq!(
            (redirect.status, redirect.version),
            (Some(302), None),
            "{tool:?}"
        );
        let huge = ask_by(tool, &app.url("/huge"), Some(json("/v"))).await;
        assert_eq!(huge.status, Some(200), "{tool:?}");
        assert!(huge.note.contains("64 KiB"), "{tool:?} {huge:?}");
    }
}

#[tokio::test]
async fn a_tool_says_in_its_own_words_why_there_is_no_answer() {
    let app = App::start().await;
    let url = app.url("/ready");
    drop(app);
    tokio::task::yield_now().await;
    for (tool, words) in [
        (("curl", "/usr/bin/curl"), "curl: (7)"),
        (("wget", "/usr/bin/wget"), "refused"),
        (("wget", "/bin/busybox"), "refused"),
    ] {
        let answer = ask_by(tool, &url, None).await;
        assert_eq!(answer.status, None);
        assert!(answer.note.contains(words), "{tool:?} {answer:?}");
    }
}

#[tokio::test]
async fn without_forwarding_and_without_tools_the_note_says_both() {
    let app = App::start().await;
    let answer = ask_by(("true", "/usr/bin/true"), &app.url("/ready"), None).await;
    assert_eq!(answer.status, None);
    assert!(answer.note.contains("neither curl nor wget"), "{answer:?}");
}

#[tokio::test]
async fn a_host_that_forwards_nothing_is_asked_to_once() {
    let app = App::start().await;
    let there = Arc::new(ShellHost::new(Forwarding::Prohibited));
    let probe = probe(&app.url("/ready"), None, Arc::clone(&there) as Arc<_>);
    for _ in 0..3 {
        assert_eq!(probe.ask(LIMIT).await.status, Some(200));
    }
    assert_eq!(there.opened.lock().unwrap().len(), 1);
    assert_eq!(there.ran.lock().unwrap().len(), 3);
}
