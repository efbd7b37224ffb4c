//! Units of the SSH user's own manager.

use super::with_unit;
use crate::support::cli::TestLab;
use crate::support::lab::fleet::Kind;

#[test]
fn a_unit_of_the_users_own_wants_a_user_that_lingers() {
    let Some(lab) = TestLab::on_hosts(Kind::Systemd, 2) else {
        return;
    };
    for host in &lab.hosts {
        lab.exec(
            host,
            "systemctl disable -q --now shop; rm -f /etc/sudoers.d/shop",
        )
        .unwrap();
    }
    let playbook = lab
        .playbook()
        .set("strategy", "max_unavailable", "1")
        .set("run", "user_unit", "true")
        .set("run.resources", "memory_max", "\"256M\"");
    // Its manager already is the user's.
    let playbook = with_unit(playbook, "own", "");
    let playbook: String = playbook.to_string().replace("User=deploy\n", "");
    std::fs::write(lab.dir().join("own.toml"), playbook).unwrap();
    let file = lab.dir().join("own.toml").display().to_string();
    let deploy =
        |version: &str| lab.rollgate(&["deploy", &file, "--version", version, "--output", "json"]);
    let said = deploy("2.0").expect(5);
    assert!(
        said.stdout.contains("loginctl enable-linger deploy"),
        "{said}"
    );
    for host in &lab.hosts {
        lab.exec(host, "loginctl enable-linger deploy").unwrap();
    }
    let said = deploy("2.0").expect(0);
    lab.assert_all_on("2.0", &said);
    let shown = "su deploy -c 'XDG_RUNTIME_DIR=/run/user/1000 systemctl --user show shop.service -p Description -p MemoryMax'";
    let shown = lab.exec(&lab.hosts[0], shown).unwrap();
    assert!(shown.contains("Description=own of web-01"), "{shown}");
    assert!(shown.contains("MemoryMax=268435456"), "{shown}");
    lab.make("6.0", &["--behaviour", "crash"]).unwrap();
    let said = deploy("6.0").expect(1);
    lab.assert_all_on("2.0", &said);
    let logs = said.named("host.failed")[0]["logs"].to_string();
    assert!(logs.contains("cannot open the database"), "{said}");
}
