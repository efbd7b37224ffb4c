//! Two deploys that start together over overlapping hosts: one rolls, the other answers 4.

use std::thread;

use crate::support::cli::{Said, TestLab};

/// The contract's number in full; a few where time is short.
fn tries() -> usize {
    if std::env::var_os("ROLLGATE_TEST_FULL").is_some() {
        200
    } else {
        4
    }
}

#[test]
fn two_deploys_over_overlapping_hosts_never_interleave() {
    let lab = TestLab::start(4);
    let playbook = lab.playbook().set("strategy", "soak", "\"0s\"");
    let file = lab.playbook_file(&playbook);
    let mut exclusive = 0;
    for number in 0..tries() {
        let deploy = |limit: &'static str| {
            let arguments = [
                "deploy",
                &file,
                "--version",
                "2.0",
                "--force",
                "--limit",
                limit,
                "--output",
                "json",
            ];
            lab.rollgate_from(limit, &arguments)
        };
        let (first, second) = thread::scope(|scope| {
            let first = scope.spawn(|| deploy("web-[01:03]"));
            let second = scope.spawn(|| deploy("web-[02:04]"));
            (first.join().unwrap(), second.join().unwrap())
        });
        let mut codes = [first.code, second.code];
        codes.sort_unstable();
        if codes == [0, 0] {
            // One of the two was started late, and came when the other had ended.
            let apart = held(&first).1 <= held(&second).0 || held(&second).1 <= held(&first).0;
            assert!(apart, "try {number}: {first}\n{second}");
            continue;
        }
        exclusive += 1;
        assert_eq!(codes, [0, 4], "try {number}: {first}\n{second}");
        let loser = if first.code == 4 { &first } else { &second };
        for event in ["host.staged", "host.draining", "host.swapping"] {
            assert!(loser.named(event).is_empty(), "try {number}: {loser}");
        }
        lab.assert_no_locks(&first);
        assert_eq!(lab.out_of_traffic().unwrap(), Vec::<String>::new());
    }
    assert!(exclusive * 2 >= tries(), "only {exclusive} met");
}

/// From when to when a run held its locks.
fn held(said: &Said) -> (String, String) {
    let time = |name| said.named(name)[0]["time"].as_str().unwrap().to_owned();
    (time("lock.acquired"), time("lock.released"))
}
