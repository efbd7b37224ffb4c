//! The lab's `sshd`s: real ones, with their own configuration, host keys and authorised key.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::process::{Daemon, output};
use super::range::SSH;
use super::reaper::MARK;
use super::{Lab, LabHost};

/// As many addresses as one `sshd` listens on; with more it does not start.
/// Source: OpenSSH 9.2, `MAX_LISTEN_SOCKS` in `sshd.c`.
pub(crate) const ADDRESSES: usize = 16;

/// Makes the client's key, a host key for each `sshd`, and the file of known hosts.
pub(crate) fn make_keys(lab: &Lab) -> io::Result<()> {
    make_key(lab, "client")?;
    fs::copy(key(lab, "client.pub"), key(lab, "authorized_keys"))?;
    let mut known = String::new();
    for (number, hosts) in lab.hosts.chunks(ADDRESSES).enumerate() {
        make_key(lab, &format!("host-{number}"))?;
        let public = fs::read_to_string(key(lab, &format!("host-{number}.pub")))?;
        for host in hosts {
            known.push_str(&known_host(host, &public));
        }
    }
    fs::write(lab.dir().join("known_hosts"), known)
}

/// The line of `known_hosts` that says that `host` has the key.
pub(crate) fn known_host(host: &LabHost, public: &str) -> String {
    let words: Vec<&str> = public.split_whitespace().take(2).collect();
    format!("[{}]:{SSH} {}\n", host.app.ip(), words.join(" "))
}

/// Makes a key pair `keys/NAME`, `keys/NAME.pub`.
pub(crate) fn make_key(lab: &Lab, name: &str) -> io::Result<()> {
    output(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(key(lab, name)),
    )
    .map(drop)
}

fn key(lab: &Lab, name: &str) -> PathBuf {
    lab.dir().join("keys").join(name)
}

/// Starts `sshd` number `number`, which serves the hosts from `16 * number` on.
pub(crate) fn start(lab: &Lab, number: usize) -> io::Result<Daemon> {
    let name = format!("sshd-{number}");
    if rustix::process::geteuid().is_root() {
        // It refuses to start without, and nobody makes the folder where no service manager runs.
        fs::create_dir_all("/run/sshd")?;
    }
    let file = lab.dir().join(format!("{name}.conf"));
    fs::write(&file, configuration(lab, number))?;
    // It starts itself again for every connection, and so has to be called by its absolute path.
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(file);
    Daemon::start(
        &name,
        &mut command,
        &lab.dir().join("logs").join(format!("{name}.log")),
    )
}

/// The home folder is the lab's own and empty: a login shell would else read start-up files of whoever runs the lab, which take
/// time, and may hold locks when the lab ends.
fn configuration(lab: &Lab, number: usize) -> String {
    let dir = lab.dir().display();
    let mut text = format!(
        "Port {SSH}\n\
         HostKey {dir}/keys/host-{number}\n\
         AuthorizedKeysFile {dir}/keys/authorized_keys\n\
         PidFile none\n\
         UsePAM {}\n\
         StrictModes no\n\
         PermitRootLogin prohibit-password\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         UseDNS no\n\
         PrintMotd no\n\
         PrintLastLog no\n\
         MaxStartups 200\n\
         MaxSessions 50\n\
         PermitUserRC no\n\
         SetEnv {MARK}={dir} HOME={dir}/home\n",
        if needs_pam() { "yes" } else { "no" },
    );
    for host in lab.hosts.iter().skip(number * ADDRESSES).take(ADDRESSES) {
        // Writing to a String cannot fail.
        let _ok = writeln!(text, "ListenAddress {}", host.app.ip());
    }
    text
}

/// Whether this user's account counts as locked for an `sshd` without PAM: root's often is, on machines that are used through sudo.
fn needs_pam() -> bool {
    fs::read_to_string("/etc/shadow").is_ok_and(|shadow| {
        shadow
            .lines()
            .any(|line| rustix::process::geteuid().is_root() && line.starts_with("root:!"))
    })
}

/// Whether every host's `sshd` takes connections.
pub(crate) fn answer(lab: &Lab) -> bool {
    lab.hosts.iter().step_by(ADDRESSES).all(|host| {
        let address = (host.app.ip(), SSH).into();
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    })
}
