//! What goes wrong leaves files and process as they were, or says what is still to be done.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use rollgate::drivers::balancer::{BalancerError, LoadBalancer};
use rollgate::model::{Admin, Command};
use rustix::process::Signal;

use super::tell;
use crate::support::haproxy::{change, pool, seen, until};
use crate::support::nginx::{Nginx, driver};

const TWO: &str = "upstream app {\n  server 127.0.0.1:9;\n  server 127.0.0.2:9;\n}\n";

/// Ends the script that runs this command, and all between, as the loss of a machine would: the command's parent is `timeout`, whose
/// parent is a part of the script.
const KILL: &str = "read -r _ _ _ part _ </proc/$PPID/stat; read -r _ _ _ whole _ </proc/$part/stat; kill -KILL $whole $part $PPID";

fn shell(text: &str) -> Command {
    Command::Shell(text.to_owned())
}

fn text_of(command: &Command) -> String {
    match command {
        Command::Argv(argv) => argv.join(" "),
        Command::Shell(text) => text.clone(),
    }
}

async fn drain(balancer: &dyn LoadBalancer) -> Result<(), BalancerError> {
    balancer
        .tell(&[change("app", "127.0.0.1:9", Admin::Drain)])
        .await
}

#[tokio::test]
async fn a_configuration_that_was_broken_before_is_not_touched() {
    let nginx = Nginx::start(TWO).await;
    std::fs::write(nginx.path("conf.d/other.conf"), "nonsense on;\n").unwrap();
    let workers = nginx.workers();
    let error = drain(&*nginx.driver()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("[emerg]")
            && text.contains("unknown directive \"nonsense\"")
            && text.contains("other.conf:1"),
        "{text}"
    );
    assert!(
        text.contains("nothing was touched") && !error.is_retriable(),
        "{text}"
    );
    assert_eq!(
        (nginx.text().as_str(), nginx.workers(), nginx.leftovers()),
        (TWO, workers, Vec::new())
    );
}

#[tokio::test]
async fn an_edit_that_the_test_refuses_is_taken_back() {
    let nginx = Nginx::start(TWO).await;
    let before = std::fs::metadata(nginx.file()).unwrap();
    let (mut spec, file) = (nginx.spec(), nginx.file());
    spec.test = shell(&format!(
        "if grep -q down {}; then echo 'nginx: [emerg] no' >&2; exit 1; fi",
        file.display()
    ));
    spec.pid = Some(nginx.path("nginx.pid").to_str().unwrap().to_owned());
    let workers = nginx.workers();
    let error = drain(&*driver(spec, None, &[])).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("nginx: [emerg] no")
            && text.contains("as they were")
            && !error.is_retriable(),
        "{text}"
    );
    assert_eq!(
        (nginx.text().as_str(), nginx.workers(), nginx.leftovers()),
        (TWO, workers, Vec::new())
    );
    assert_eq!(std::fs::metadata(nginx.file()).unwrap().ino(), before.ino());
}

#[tokio::test]
async fn an_edit_that_cannot_be_loaded_is_taken_back() {
    let nginx = Nginx::start(TWO).await;
    let mut spec = nginx.spec();
    spec.reload = shell("echo no power; exit 3");
    let workers = nginx.workers();
    let error = drain(&*driver(spec, None, &[])).await.unwrap_err();
    assert!(
        error.to_string().contains("no power") && !error.is_retriable(),
        "{error}"
    );
    assert_eq!(
        (nginx.text().as_str(), nginx.workers(), nginx.leftovers()),
        (TWO, workers, Vec::new())
    );
}

#[tokio::test]
async fn what_is_not_proven_to_be_in_force_is_said_and_loaded_at_the_next_try() {
    let nginx = Nginx::start(TWO).await;
    let mut spec = nginx.spec();
    spec.reload = shell("true");
    let error = drain(&*driver(spec, None, &[])).await.unwrap_err();
    assert!(
        error.to_string().contains("still take requests") && error.is_retriable(),
        "{error}"
    );
    let balancer = nginx.driver();
    let now = seen(&*balancer, "app", "127.0.0.1:9").await;
    assert!(now.settling && !now.usable, "{now:?}");
    assert!(seen(&*balancer, "app", "127.0.0.2:9").await.settling);
    let workers = nginx.workers();
    drain(&*balancer).await.unwrap();
    assert!(
        nginx
            .workers()
            .iter()
            .all(|worker| !workers.contains(worker))
    );
    assert!(!seen(&*balancer, "app", "127.0.0.1:9").await.settling);
    assert_eq!(nginx.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_reload_by_somebody_else_settles_what_was_left_unproven() {
    let nginx = Nginx::start(TWO).await;
    let mut spec = nginx.spec();
    // Ended before it can prove anything, as by a lost machine.
    spec.reload = shell(KILL);
    drain(&*driver(spec, None, &[])).await.unwrap_err();
    let balancer = nginx.driver();
    assert!(nginx.text().contains("down"));
    assert!(seen(&*balancer, "app", "127.0.0.1:9").await.settling);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    nginx.signal(Signal::HUP);
    until("it is settled", async || {
        !seen(&*balancer, "app", "127.0.0.1:9").await.settling
    })
    .await;
    // Nothing is to be done; and the next edit takes the mark away, and what the dead script left.
    let workers = nginx.workers();
    drain(&*balancer).await.unwrap();
    assert_eq!(nginx.workers(), workers);
    tell(&*balancer, "127.0.0.1:9", Admin::Ready).await;
    assert_eq!(
        (nginx.text().as_str(), nginx.leftovers()),
        (TWO, Vec::new())
    );
}

#[tokio::test]
async fn killed_between_rename_and_reload_the_next_telling_loads() {
    let nginx = Nginx::start(TWO).await;
    let mut spec = nginx.spec();
    spec.reload = shell(KILL);
    drain(&*driver(spec, None, &[])).await.unwrap_err();
    assert!(nginx.text().contains("down"));
    let workers = nginx.workers();
    let balancer = nginx.driver();
    drain(&*balancer).await.unwrap();
    assert!(
        nginx
            .workers()
            .iter()
            .all(|worker| !workers.contains(worker))
    );
    assert!(!seen(&*balancer, "app", "127.0.0.1:9").await.settling);
    tell(&*balancer, "127.0.0.1:9", Admin::Ready).await;
    assert_eq!(
        (nginx.text().as_str(), nginx.leftovers()),
        (TWO, Vec::new())
    );
}

#[tokio::test]
async fn an_edit_by_somebody_else_between_read_and_write_is_noticed_and_kept() {
    let nginx = Nginx::start(TWO).await;
    let (mut spec, file) = (nginx.spec(), nginx.file());
    let flag = nginx.path("done");
    // The first test, before the edit, is where somebody else writes: once.
    spec.test = shell(&format!(
        "[ -e {flag} ] || {{ touch {flag}; echo '# mine' >>{file}; }}; {test}",
        flag = flag.display(),
        file = file.display(),
        test = text_of(&spec.test)
    ));
    drain(&*driver(spec, None, &[])).await.unwrap();
    let wanted = TWO.replace("127.0.0.1:9;", "127.0.0.1:9 down;") + "# mine\n";
    assert_eq!((nginx.text(), nginx.leftovers()), (wanted, Vec::new()));
}

#[tokio::test]
async fn two_rollouts_over_one_file_lose_no_edit_of_each_other() {
    let both =
        format!("{TWO}upstream other {{\n  server 127.0.0.3:9;\n  server 127.0.0.4:9;\n}}\n");
    let nginx = Arc::new(Nginx::start(&both).await);
    let one = |at: &'static str, name: &'static str| {
        let nginx = Arc::clone(&nginx);
        tokio::spawn(async move {
            let balancer = nginx.driver();
            for number in 0..25 {
                for admin in [Admin::Drain, Admin::Ready] {
                    let mut tries = 0;
                    while let Err(error) = balancer.tell(&[change(at, name, admin)]).await {
                        tries += 1;
                        assert!(error.is_retriable() && tries < 5, "{number}: {error}");
                    }
                    assert_eq!(seen(&*balancer, at, name).await.admin, admin, "{number}");
                }
            }
        })
    };
    let (first, second) = (one("app", "127.0.0.1:9"), one("other", "127.0.0.4:9"));
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!((nginx.text(), nginx.leftovers()), (both, Vec::new()));
}

#[tokio::test]
async fn a_lock_is_waited_for_and_broken_when_its_holder_is_gone_for_a_minute() {
    let nginx = Nginx::start(TWO).await;
    let lock = nginx.path("conf.d/.app.conf.rollgate-lock");
    std::fs::write(&lock, "").unwrap();
    let mut holder = std::process::Command::new("flock")
        .arg("-F")
        .arg(&lock)
        .args(["sleep", "30"])
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let balancer = nginx.driver();
    let error = drain(&*balancer).await.unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("rollgate-lock"),
        "{error}"
    );
    assert_eq!(nginx.text(), TWO);
    let old = std::time::SystemTime::now() - Duration::from_secs(61);
    std::fs::File::open(&lock)
        .unwrap()
        .set_modified(old)
        .unwrap();
    drain(&*balancer).await.unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(nginx.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_daemon_that_the_reload_starts_holds_neither_the_lock_nor_the_call() {
    let nginx = Nginx::start(TWO).await;
    let mut spec = nginx.spec();
    spec.reload = shell(&format!("sleep 15 & {}", text_of(&spec.reload)));
    let balancer = driver(spec, None, &[]);
    let started = std::time::Instant::now();
    drain(&*balancer).await.unwrap();
    tell(&*balancer, "127.0.0.2:9", Admin::Drain).await;
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn an_nginx_that_does_not_run_can_be_read_and_not_told() {
    let nginx = Nginx::start(TWO).await;
    let spec = nginx.spec();
    nginx.signal(Signal::TERM);
    until("it has ended", async || nginx.workers().is_empty()).await;
    let balancer = driver(spec, None, &[]);
    let seen = balancer.observe(&[pool("app")]).await.unwrap();
    assert_eq!(seen.pools[&pool("app")].servers.len(), 2);
    assert!(seen.read_only.is_some());
    drain(&*balancer).await.unwrap_err();
    assert_eq!(nginx.text(), TWO);
}
