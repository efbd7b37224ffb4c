//! The example scripts for balancers: LVS, on a double of `ipvsadm` that keeps its table in a file, since the real one needs a kernel with
//! `ip_vs`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::shell_host::tools;

const VIP: &str = "10.0.0.1:80";
const ONE: &str = "10.0.4.1:8080";
const TWO: &str = "10.0.4.2:8080";
const TABLE: &str = "10.0.0.1:80 - - - - -
10.0.0.1:80 10.0.4.1:8080 Route 7 3 9
10.0.0.1:80 10.0.4.2:8080 Masq 2 0 0
10.0.0.2:80 10.0.4.1:8080 Tunnel 5 1 0
";

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

struct Lvs {
    dir: tempfile::TempDir,
    tools: tempfile::TempDir,
    shell: &'static [&'static str],
}

impl Lvs {
    fn each() -> [Self; 2] {
        [&["dash"][..], &["busybox", "sh"]].map(|shell| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("table"), TABLE).unwrap();
            let double = source("tests/support/ipvsadm.sh");
            let tools = tools(&[("ipvsadm", double.to_str().unwrap())]);
            Self { dir, tools, shell }
        })
    }

    fn script(&self, script: &str, arguments: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new(self.shell[0])
            .args(&self.shell[1..])
            .arg(source(script))
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.tools.path().display()))
            .env("IPVS_TABLE", self.dir.path().join("table"))
            .env("LVS_HOLD", self.dir.path().join("hold"))
            .output()
            .unwrap()
    }

    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.script("examples/balancers/lvs.sh", arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && error.is_empty(), "{said}{error}");
        said.trim().to_owned()
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.script("examples/balancers/lvs.sh", arguments);
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    fn table(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("table")).unwrap()
    }
}

#[test]
fn lvs_takes_a_server_out_and_puts_its_weight_back() {
    for lvs in Lvs::each() {
        assert_eq!(lvs.says(&["state", VIP, ONE]), "ready");
        assert_eq!(lvs.says(&["in_flight", VIP, ONE]), "3");
        for _ in 0..2 {
            lvs.says(&["drain", VIP, ONE]);
            assert_eq!(lvs.table(), TABLE.replace("Route 7", "Route 0"));
            assert_eq!(lvs.says(&["state", VIP, ONE]), "drain");
        }
        assert_eq!(lvs.says(&["in_flight", VIP, ONE]), "3");
        for _ in 0..2 {
            lvs.says(&["enable", VIP, ONE]);
            assert_eq!(lvs.table(), TABLE);
            assert_eq!(lvs.says(&["state", VIP, ONE]), "ready");
        }
        // The other forwarding methods.
        for (vip, server) in [(VIP, TWO), ("10.0.0.2:80", ONE)] {
            lvs.says(&["drain", vip, server]);
            assert_ne!(lvs.table(), TABLE);
            lvs.says(&["enable", vip, server]);
            assert_eq!(lvs.table(), TABLE);
        }
    }
}

#[test]
fn lvs_shows_a_weight_that_somebody_else_put_back() {
    for lvs in Lvs::each() {
        lvs.says(&["drain", VIP, ONE]);
        std::fs::write(
            lvs.dir.path().join("table"),
            TABLE.replace("Route 7", "Route 4"),
        )
        .unwrap();
        assert_eq!(lvs.says(&["state", VIP, ONE]), "ready");
        lvs.says(&["drain", VIP, ONE]);
        lvs.says(&["enable", VIP, ONE]);
        assert!(lvs.table().contains("Route 4"), "{}", lvs.table());
    }
}

#[test]
fn lvs_refuses_what_is_not_in_its_table() {
    for lvs in Lvs::each() {
        for verb in ["drain", "enable", "state", "in_flight"] {
            let (code, error) = lvs.refuses(&[verb, VIP, "10.0.4.9:1"]);
            assert_eq!(
                (code, error.contains("no such server")),
                (Some(1), true),
                "{error}"
            );
            let (code, error) = lvs.refuses(&[verb, "10.0.0.9:80", ONE]);
            assert_eq!(
                (code, error.contains("no such service")),
                (Some(1), true),
                "{error}"
            );
        }
        assert_eq!(lvs.refuses(&["state", VIP]).0, Some(2));
        assert_eq!(lvs.table(), TABLE);
    }
}

#[test]
fn keepalived_may_take_a_server_out_of_the_table_meanwhile() {
    for lvs in Lvs::each() {
        let without = TABLE.replace("10.0.0.1:80 10.0.4.1:8080 Route 7 3 9\n", "");
        let check = |server: &str| {
            let url = "http://127.0.0.1:9/";
            let output = lvs.script("examples/balancers/lvs-check.sh", &[VIP, server, url]);
            output.status.code()
        };
        lvs.says(&["--keepalived", "drain", VIP, ONE]);
        assert_eq!(check(ONE), Some(2), "held out: weight 0");
        assert_eq!(check(TWO), Some(1), "nobody listens there");
        std::fs::write(lvs.dir.path().join("table"), &without).unwrap();
        assert_eq!(lvs.says(&["--keepalived", "state", VIP, ONE]), "drain");
        assert_eq!(lvs.says(&["--keepalived", "in_flight", VIP, ONE]), "0");
        lvs.says(&["--keepalived", "drain", VIP, ONE]);
        lvs.says(&["--keepalived", "enable", VIP, ONE]);
        assert_eq!(lvs.says(&["--keepalived", "state", VIP, ONE]), "down");
        assert_eq!(check(ONE), Some(1));
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_examples() {
    let folder = std::fs::read_dir(source("examples/balancers")).unwrap();
    let files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    match Command::new("shellcheck")
        .args(["-s", "sh"])
        .args(&files)
        .output()
    {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => eprintln!("skipped: there is no shellcheck on this machine"),
    }
}
