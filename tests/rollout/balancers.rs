//! What HAProxy does meanwhile: it is reloaded, clients stick to servers, one of two goes away, a pool has a floor.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::cli::TestLab;

/// Many keep-alive clients; one request of a hundred takes 3 s.
const HEAVY: [&str; 8] = [
    "--clients",
    "200",
    "--rate",
    "2000",
    "--slow",
    "1",
    "--slow-ms",
    "3000",
];

/// Asserts that nothing was lost, not even an idle connection that the reload closed while a request was on its way
/// (`option idle-close-on-response`).
#[track_caller]
fn assert_nothing_lost(summary: &Value) {
    assert_eq!(summary["failed"], 0, "{summary:#}");
    assert!(summary["sent"].as_u64() > Some(1000), "{summary:#}");
    eprintln!("{} requests, none failed", summary["sent"]);
}

/// One roll under heavy load, with a reload of the balancer while the first hosts are being drained.
fn roll_with_reload(lab: &TestLab, version: &str) {
    lab.make(version, &[]).unwrap();
    let load = lab.load_with(&HEAVY);
    let run = lab
        .deploy_until(&lab.playbook(), version, |_, event| {
            event["event"] == "host.draining"
        })
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    lab.reload("edge-a", |text| text).unwrap();
    let (code, events) = run.wait();
    let summary = load.stop().unwrap();
    assert_eq!(code, 0, "{events:#?}");
    assert_nothing_lost(&summary);
    assert!(lab.versions().iter().all(|seen| seen == version));
    assert!(lab.out_of_traffic().unwrap().is_empty());
}

#[test]
fn a_reload_while_requests_of_three_seconds_are_in_flight_costs_none_of_them() {
    let lab = TestLab::start(4);
    roll_with_reload(&lab, "2.0");
}

#[test]
fn twenty_rolls_under_heavy_load_with_a_reload_in_each_cost_no_request() {
    if std::env::var_os("ROLLGATE_TEST_FULL").is_none() {
        eprintln!("skipped: twenty rolls take minutes; ROLLGATE_TEST_FULL=1 runs them");
        return;
    }
    let lab = TestLab::start(4);
    for roll in 1..=20 {
        roll_with_reload(&lab, &format!("2.{roll}"));
    }
}

#[test]
fn a_floor_of_usable_servers_refuses_the_plan_with_the_numbers() {
    let lab = TestLab::start(4);
    let playbook = lab.playbook().and("min_usable = \"75%\"");
    let said = lab.deploy(&playbook, "2.0").expect(5);
    let reasons = said.finished()["reasons"].to_string();
    let numbers = "with 2 usable servers, and `min_usable` wants 3 (75% of its servers)";
    assert!(reasons.contains(numbers), "{said}");
    lab.assert_untouched(&said);
    let playbook = playbook.set("strategy", "batch", "1");
    let said = lab.deploy(&playbook, "2.0").expect(0);
    lab.assert_all_on("2.0", &said);
}

/// A client with a session on one server: what it got, and whether it still is to go on.
struct Sticky {
    ended: Arc<AtomicBool>,
    asking: std::thread::JoinHandle<(usize, usize)>,
}

impl Sticky {
    fn start(front: SocketAddr, server: &'static str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let asking = std::thread::spawn(move || {
            let (mut good, mut bad) = (0, 0);
            while !until.load(Ordering::Relaxed) {
                if ask(front, server) {
                    good += 1;
                } else {
                    bad += 1;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            (good, bad)
        });
        Self { ended, asking }
    }

    fn end(self) -> (usize, usize) {
        self.ended.store(true, Ordering::Relaxed);
        self.asking.join().unwrap()
    }
}

fn ask(front: SocketAddr, server: &str) -> bool {
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(front)?;
        let text = format!(
            "GET /slow?ms=20 HTTP/1.1\r\nhost: x\r\ncookie: SRV={server}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(text.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    exchange().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn with_sessions(before: &str) -> String {
    let mut text = before.replace(
        "balance roundrobin\n",
        "balance roundrobin\n  cookie SRV insert nocache\n",
    );
    for name in ["web-01", "web-02"] {
        let server = format!("server {name} ");
        let line = text
            .lines()
            .find(|line| line.contains(&server))
            .unwrap()
            .to_owned();
        text = text.replace(&line, &format!("{line} cookie {name}"));
    }
    text
}

#[test]
fn sessions_are_cut_off_when_the_drain_is_over_and_lose_no_request() {
    let lab = TestLab::start(2);
    lab.reload("edge-a", |text| with_sessions(&text)).unwrap();
    let playbook = lab
        .playbook()
        .set("strategy", "batch", "1")
        .set("drain", "timeout", "\"2s\"")
        .and("sticky = \"cut\"");
    let sessions = [
        Sticky::start(lab.balancers[0].front, "web-01"),
        Sticky::start(lab.balancers[0].front, "web-02"),
    ];
    let said = lab.deploy(&playbook, "2.0").expect(0);
    for session in sessions {
        let (good, bad) = session.end();
        assert_eq!(bad, 0, "{said}");
        assert!(good > 50, "{good} requests");
    }
    lab.assert_all_on("2.0", &said);
    let cut = said.named("log");
    let cut = cut
        .iter()
        .filter(|event| event["text"].as_str().unwrap().contains("sent elsewhere"));
    assert_eq!(cut.count(), 2, "{said}");
}

#[test]
fn one_of_two_balancers_that_goes_away_before_a_drain_leaves_the_host_unswapped() {
    let mut lab = TestLab::with_balancers(3, 2);
    let inventory = lab.inventory().set("balancers.edge-b", "timeout", "\"2s\"");
    lab.write_inventory(&inventory);
    let playbook = lab
        .playbook()
        .set("strategy", "batch", "1")
        .set("strategy", "pause", "\"1s\"");
    let run = lab
        .deploy_until(&playbook, "2.0", |_, event| {
            event["event"] == "batch.finished"
        })
        .unwrap();
    lab.lab_mut().stop_balancer("edge-b");
    let (code, events) = run.wait();
    let finished = events.last().unwrap();
    assert_eq!(finished["event"], "rollout.finished");
    // Nothing was begun on the second host: the run stops, and the first one is on the new release.
    assert!(code == 1 || code == 3, "{code} {events:#?}");
    assert_eq!(lab.versions(), ["2.0", "1.0", "1.0"]);
    let reasons = finished["reasons"].to_string();
    assert!(
        reasons.contains("edge-b") || finished.to_string().contains("edge-b"),
        "{finished:#}"
    );
}

#[test]
fn one_of_two_balancers_that_goes_away_in_the_middle_of_a_swap_leaves_a_host_that_is_named() {
    let mut lab = TestLab::with_balancers(3, 2);
    let inventory = lab.inventory().set("balancers.edge-b", "timeout", "\"2s\"");
    lab.write_inventory(&inventory);
    let playbook = lab.playbook().set("strategy", "batch", "1");
    let run = lab
        .deploy_until(&playbook, "2.0", |_, event| {
            event["event"] == "host.swapping"
        })
        .unwrap();
    lab.lab_mut().stop_balancer("edge-b");
    let (code, events) = run.wait();
    let finished = events.last().unwrap();
    assert_eq!(code, 3, "{finished:#}");
    let hosts = finished["hosts"].as_array().unwrap();
    let stranded: Vec<&Value> = hosts
        .iter()
        .filter(|host| host["result"] == "stranded")
        .collect();
    assert_eq!(stranded.len(), 1, "{finished:#}");
    let named = events
        .iter()
        .find(|event| event["event"] == "host.stranded")
        .unwrap();
    assert!(named["mend"].to_string().contains("edge-b"), "{named:#}");
    // The others serve as before.
    assert_eq!(
        lab.versions().iter().filter(|seen| *seen == "1.0").count(),
        3 - usize::from(lab.versions().contains(&"2.0".to_owned()))
    );
}
