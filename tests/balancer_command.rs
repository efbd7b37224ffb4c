//! Balancers that are driven by the user's commands: dash and busybox, here and over SSH.

use std::time::{Duration, Instant};

use rollgate::drivers::balancer::{BalancerError, Change, LoadBalancer};
use rollgate::model::{Admin, Become, CommandSpec};

use crate::support::by_command::{argv, command_driver, commands, shells};
use crate::support::haproxy::{change, pool, seen};
use crate::support::sshd::Lab;

/// A balancer that is a folder: a server is out while a file of its name lies there; `wish` holds what else it says.
const FOLDER: [&str; 4] = [
    "echo \"drain SERVER\" >>log; : >'SERVER'",
    "echo \"enable SERVER\" >>log; rm -f 'SERVER'",
    "if [ -e 'SERVER.wish' ]; then cat 'SERVER.wish'; elif [ -e 'SERVER' ]; then echo drain; else echo ready; fi",
    "cat 'SERVER.count' 2>/dev/null || echo 0",
];

struct Rig {
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn spec(&self, servers: &[&str]) -> CommandSpec {
        let texts = FOLDER.map(|text| format!("cd '{}'; {text}", self.dir.path().display()));
        commands(servers, texts.each_ref().map(String::as_str))
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

fn to(server: &str, admin: Admin) -> Change {
    change("app", server, admin)
}

async fn garbled(driver: &dyn LoadBalancer) -> String {
    let error = driver.observe(&[pool("app")]).await.unwrap_err();
    assert!(matches!(error, BalancerError::Garbled { .. }), "{error}");
    error.to_string()
}

#[tokio::test]
async fn every_state_is_read_in_both_shells() {
    let (_tools, shells) = shells();
    for shell in shells {
        let rig = Rig::new();
        let driver = command_driver(rig.spec(&["s1"]), Some(shell));
        for (wish, admin, usable) in [
            ("ready\n", Admin::Ready, true),
            (" drain \n\n", Admin::Drain, false),
            ("maint", Admin::Maint, false),
            ("down\r\n", Admin::Ready, false),
        ] {
            rig.put("s1.wish", wish);
            rig.put("s1.count", " 12\n");
            let server = seen(&*driver, "app", "s1").await;
            assert_eq!((server.admin, server.usable), (admin, usable), "{wish:?}");
            assert_eq!(server.in_flight, 12);
        }
        rig.put("s1.wish", "up\tand \u{1b}[1mrunning\n");
        let said = garbled(&*driver).await;
        assert!(
            said.contains("`up and  [1mrunning`") && said.contains("state app/s1"),
            "{said}"
        );
        rig.put("s1.wish", "ready\n");
        rig.put("s1.count", "none\n");
        let said = garbled(&*driver).await;
        assert!(
            said.contains("in_flight app/s1") && said.contains("`none`"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn all_servers_are_told_and_read_in_one_script_each_to_its_own() {
    let (_tools, shells) = shells();
    let names: Vec<String> = (1..=20).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for shell in shells {
        let rig = Rig::new();
        for (number, name) in (1..).zip(&names) {
            rig.put(&format!("{name}.count"), &number.to_string());
        }
        let driver = command_driver(rig.spec(&names), Some(shell));
        let out = [to("s3", Admin::Drain), to("s20", Admin::Maint)];
        driver.tell(&out).await.unwrap();
        let look = driver.observe(&[pool("app"), pool("other")]).await.unwrap();
        assert_eq!(look.pools.len(), 1);
        assert_eq!(look.read_only, None);
        for (number, name) in (1..).zip(&names) {
            let server = &look.pools[&pool("app")].servers[&crate::support::haproxy::server(name)];
            let is_out = *name == "s3" || *name == "s20";
            assert_eq!(server.admin == Admin::Drain, is_out, "{name}");
            assert_eq!(server.in_flight, number, "{name}");
        }
        driver.tell(&[to("s3", Admin::Ready)]).await.unwrap();
        assert_eq!(seen(&*driver, "app", "s3").await.admin, Admin::Ready);
        assert_eq!(seen(&*driver, "app", "s20").await.admin, Admin::Drain);
    }
}

#[tokio::test]
async fn changes_of_one_server_keep_their_order() {
    let rig = Rig::new();
    let driver = command_driver(rig.spec(&["s1"]), None);
    let changes = [Admin::Drain, Admin::Ready, Admin::Drain].map(|admin| to("s1", admin));
    driver.tell(&changes).await.unwrap();
    assert_eq!(rig.log(), "drain s1\nenable s1\ndrain s1\n");
}

#[tokio::test]
async fn all_are_tried_and_the_first_refusal_is_told_with_its_last_words() {
    let (_tools, shells) = shells();
    for shell in shells {
        let rig = Rig::new();
        let mut spec = rig.spec(&["s1", "s2", "s3"]);
        spec.servers[0].drain = argv(&[
            "sh",
            "-c",
            "echo starting >&2; echo 'no such member' >&2; exit 3",
        ]);
        let driver = command_driver(spec, Some(shell));
        let changes = ["s1", "s2", "s3"].map(|name| to(name, Admin::Drain));
        let error = driver.tell(&changes).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "balancer `custom` refused `drain app/s1`: exit 3: no such member"
        );
        assert!(!error.is_retriable());
        for name in ["s2", "s3"] {
            assert_eq!(seen(&*driver, "app", name).await.admin, Admin::Drain);
        }
    }
}

#[tokio::test]
async fn exit_75_asks_to_be_tried_again() {
    let rig = Rig::new();
    let mut spec = rig.spec(&["s1"]);
    spec.servers[0].state = argv(&["sh", "-c", "echo 'locked by another' >&2; exit 75"]);
    let error = command_driver(spec, None)
        .observe(&[pool("app")])
        .await
        .unwrap_err();
    assert!(error.is_retriable(), "{error}");
    assert!(error.to_string().contains("locked by another"), "{error}");
}

#[tokio::test]
async fn words_reach_commands_as_they_are() {
    let (_tools, shells) = shells();
    let odd = "it's a \"b\" $HOME `id` \\ *\n;#é";
    for shell in shells {
        let rig = Rig::new();
        let mut spec = rig.spec(&["s1"]);
        let file = rig.dir.path().join("got");
        let script = r#"printf '%s' "$2" >"$1""#;
        spec.servers[0].drain = argv(&["sh", "-c", script, "x", file.to_str().unwrap(), odd]);
        command_driver(spec, Some(shell))
            .tell(&[to("s1", Admin::Drain)])
            .await
            .unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), odd);
    }
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_its_children_and_may_be_tried_again() {
    let (_tools, shells) = shells();
    let [dash, busybox] = shells.map(|shell| {
        tokio::spawn(async move {
            let rig = Rig::new();
            let pid = rig.dir.path().join("pid");
            let mut spec = rig.spec(&["s1", "s2"]);
            // It does not let itself be asked, and has a child that holds its output.
            let text = format!(
                "trap '' TERM; sleep 60 & echo $! >'{}'; wait; sleep 60",
                pid.display()
            );
            spec.servers[0].drain = argv(&["sh", "-c", &text]);
            let driver = command_driver(spec, Some(shell));
            let began = Instant::now();
            let changes = ["s1", "s2"].map(|name| to(name, Admin::Drain));
            let error = driver.tell(&changes).await.unwrap_err();
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{:?}",
                began.elapsed()
            );
            assert!(error.is_retriable(), "{error}");
            assert!(
                error.to_string().contains("`drain app/s1` did not end"),
                "{error}"
            );
            let child = std::fs::read_to_string(&pid).unwrap();
            let stat = format!("/proc/{}/stat", child.trim());
            let stat = std::fs::read_to_string(stat).unwrap_or_default();
            assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
            assert_eq!(seen(&*driver, "app", "s2").await.admin, Admin::Drain);
        })
    });
    dash.await.unwrap();
    busybox.await.unwrap();
}

#[tokio::test]
async fn what_a_command_leaves_running_holds_nothing_up() {
    let rig = Rig::new();
    let mut spec = rig.spec(&["s1"]);
    spec.servers[0].drain = argv(&["sh", "-c", "sleep 3 & exit 0"]);
    let began = Instant::now();
    command_driver(spec, None)
        .tell(&[to("s1", Admin::Drain)])
        .await
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_missing_program_is_found_before_it_is_needed() {
    let rig = Rig::new();
    let mut spec = rig.spec(&["s1"]);
    spec.servers[0].drain = argv(&["/nowhere/lb", "drain"]);
    let look = command_driver(spec, None)
        .observe(&[pool("app")])
        .await
        .unwrap();
    let why = look.read_only.unwrap();
    assert!(
        why.contains("`/nowhere/lb`") && why.contains("this machine"),
        "{why}"
    );
}

#[tokio::test]
async fn commands_run_in_the_inventorys_folder() {
    let rig = Rig::new();
    rig.put("lb", "#!/bin/sh\necho $1 >told\n");
    let file = rig.dir.path().join("lb");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut spec = rig.spec(&["s1"]);
    spec.dir = Some(rig.dir.path().to_str().unwrap().to_owned());
    spec.servers[0].drain = argv(&["./lb", "out"]);
    spec.servers[0].enable = argv(&["./lb", "it's in"]);
    let driver = command_driver(spec.clone(), None);
    assert_eq!(
        driver.observe(&[pool("app")]).await.unwrap().read_only,
        None
    );
    driver.tell(&[to("s1", Admin::Drain)]).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(rig.dir.path().join("told")).unwrap(),
        "out\n"
    );
    let line = driver.enable_by_hand(&pool("app"), &crate::support::haproxy::server("s1"));
    let folder = rig.dir.path().display();
    assert_eq!(line, format!("cd {folder} && ./lb \"it's in\""));
    spec.dir = Some("/nowhere/at all".to_owned());
    let error = command_driver(spec, None)
        .observe(&[pool("app")])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nowhere/at all"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_counts_a_drained_server_settles_for_a_while() {
    let rig = Rig::new();
    rig.put("s1", "");
    let mut spec = rig.spec(&["s1", "s2"]);
    spec.settle = Duration::from_secs(5);
    spec.servers
        .iter_mut()
        .for_each(|server| server.in_flight = None);
    let driver = Paused(command_driver(spec, None));
    // It was out before: nobody knows since when.
    assert!(driver.settles("s1").await);
    assert!(!driver.settles("s2").await);
    tokio::time::advance(Duration::from_secs(3)).await;
    driver.tell(to("s2", Admin::Drain)).await;
    assert!(driver.settles("s1").await && driver.settles("s2").await);
    tokio::time::advance(Duration::from_secs(3)).await;
    // Told again, it does not begin again.
    driver.tell(to("s2", Admin::Drain)).await;
    assert!(!driver.settles("s1").await && driver.settles("s2").await);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(!driver.settles("s2").await);
    driver.tell(to("s2", Admin::Ready)).await;
    assert!(!driver.settles("s2").await);
    driver.tell(to("s2", Admin::Drain)).await;
    assert!(driver.settles("s2").await);
}

/// A driver under a clock that only the test moves: while a command runs, the clock must not jump to the next limit.
struct Paused(std::sync::Arc<dyn LoadBalancer>);

impl Paused {
    async fn tell(&self, change: Change) {
        let told = self.0.tell(std::slice::from_ref(&change));
        awake(told).await.unwrap();
    }

    async fn settles(&self, name: &str) -> bool {
        awake(seen(&*self.0, "app", name)).await.settling
    }
}

/// Runs something while the runtime always has a reason to be awake, so that a stopped clock does not move by itself.
async fn awake<T>(act: impl Future<Output = T>) -> T {
    let busy = async {
        loop {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = act => done,
        () = busy => unreachable!("it never ends"),
    }
}

#[tokio::test]
async fn over_ssh_commands_run_on_the_host_with_its_privilege() {
    let Some(lab) = Lab::new() else { return };
    let rig = Rig::new();
    // Stands for sudo, and says what it was asked to run.
    let tools = rig.dir.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let log = rig.dir.path().join("sudo.log");
    let text = format!(
        "#!/bin/sh\n[ \"$1 $2\" = '-n --' ] || exit 9\nshift 2\necho \"$*\" >>'{}'\nexec \"$@\"\n",
        log.display()
    );
    rig.put("tools/sudo", &text);
    let sudo = tools.join("sudo");
    std::fs::set_permissions(&sudo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let sshd = lab.sshd(&format!("SetEnv PATH={}:/usr/bin:/bin", tools.display()));
    lab.trust(&sshd);
    let mut host = lab.spec("lb-1", &sshd);
    host.ssh.r#become = Become::Sudo;
    let mut spec = rig.spec(&["s1"]);
    spec.servers[0].drain = argv(&["touch", rig.dir.path().join("s1").to_str().unwrap()]);
    let transport = lab.open(&host);
    let driver = command_driver(spec, Some(transport.clone()));
    assert!(seen(&*driver, "app", "s1").await.usable);
    driver.tell(&[to("s1", Admin::Drain)]).await.unwrap();
    assert_eq!(seen(&*driver, "app", "s1").await.admin, Admin::Drain);
    let asked = std::fs::read_to_string(log).unwrap();
    assert!(
        asked.contains("touch ") && asked.contains("sh -c cd "),
        "{asked}"
    );
    let line = driver.enable_by_hand(&pool("app"), &crate::support::haproxy::server("s1"));
    let start = format!("ssh -p {} {}@{} ", sshd.port, lab.user(), sshd.address);
    assert!(
        line.starts_with(&start) && line.contains("sudo sh -c"),
        "{line}"
    );
    drop(sshd);
    // Its children live on with the connections that they serve.
    transport.close().await;
    let error = driver.observe(&[pool("app")]).await.unwrap_err();
    assert!(
        error.is_retriable() && error.to_string().contains("lb-1"),
        "{error}"
    );
}
