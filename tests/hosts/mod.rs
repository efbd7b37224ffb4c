//! The built `rollgate` on hosts with systemd as PID 1, in containers. Where there can be none these tests say so, and pass.

mod containers;
mod engines;
mod systemd;
mod unit_cut_off;
mod unit_files;
mod user_units;

use crate::support::cli::TestLab;
use crate::support::lab::document::{Document, multiline, quoted};
use crate::support::lab::fleet::Kind;

/// Hosts with systemd, and the lab's playbook one host at a time, for the SSH user with sudo.
fn with_sudo(hosts: usize) -> Option<(TestLab, Document)> {
    let lab = TestLab::on_hosts(Kind::Systemd, hosts)?;
    let inventory = lab.inventory().set("ssh", "become", quoted("sudo"));
    lab.write_inventory(&inventory);
    let playbook =
        lab.playbook()
            .set("strategy", "batch", "1")
            .set("strategy", "max_unavailable", "1");
    Some((lab, playbook))
}

/// The playbook with a unit of its own, whose description is `mark`, and further lines of its section.
fn with_unit(playbook: Document, mark: &str, lines: &str) -> Document {
    let text = format!(
        "[Unit]\nDescription={mark} of {{{{ host }}}}\n\n[Service]\nUser=deploy\nRestart=always\n{lines}\n\
         ExecStart={{{{ root }}}}/current/app serve --listen {{{{ address }}}}:{{{{ vars.port }}}}\n"
    );
    playbook.set("run.unit", "text", multiline(&text))
}

/// A property of the unit, as systemd has it loaded.
fn shown(lab: &TestLab, number: usize, property: &str) -> String {
    let script = format!("systemctl show shop.service -P {property}");
    lab.exec(&lab.hosts[number], &script)
        .unwrap()
        .trim()
        .to_owned()
}

/// How often systemd has read its units anew on a host since it booted.
fn reloads(lab: &TestLab, number: usize) -> usize {
    let script = "journalctl _PID=1 --no-pager -o cat | grep -c '^Reloading' || true";
    let text = lab.exec(&lab.hosts[number], script).unwrap();
    text.trim().parse().unwrap()
}
