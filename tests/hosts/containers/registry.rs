//! Images that the hosts pull from a registry with a login, whose password shows nowhere.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::*;
use crate::support::lab::wait_until;

const USER: &str = "ci";
/// What must be found nowhere; and what it looks like in a login file.
const PASSWORD: &str = "rollgate-marker-4711";
const IN_BASE64: &str = "Y2k6cm9sbGdhdGUtbWFya2VyLTQ3MTE=";
/// The same as `htpasswd -B` writes it.
const HTPASSWD: &str = "ci:$2y$05$Jt2tyEN1CkO2nKVApoG8nO4Y6uOYpG3SUHazCKVBeeRkiPAtlGL.e\n";

/// A registry on the lab's network, which ends with its test.
struct Registry {
    child: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn registry(lab: &TestLab) -> Option<Registry> {
    let own = lab.hosts[0].app.ip().to_string();
    let (net, _) = own.rsplit_once('.').unwrap();
    let (address, dir) = (format!("{net}.1:5000"), lab.dir().join("registry"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("htpasswd"), HTPASSWD).unwrap();
    let shown = dir.display();
    let config = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {shown}/data }} }}\n\
         http: {{ addr: '{address}' }}\nauth: {{ htpasswd: {{ realm: lab, path: {shown}/htpasswd }} }}\n"
    );
    fs::write(dir.join("config.yml"), config).unwrap();
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
        .arg(dir.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut registry = Registry { child, address };
    let is_up = || std::net::TcpStream::connect(&registry.address).is_ok();
    if wait_until(Duration::from_secs(5), is_up) {
        return Some(registry);
    }
    eprintln!(
        "skipped: docker-registry does not run here ({:?})",
        registry.child.try_wait()
    );
    None
}

/// Puts an image into the registry from the first host, and removes it there.
fn push(lab: &TestLab, kind: Kind, address: &str, version: &str) {
    let (host, engine) = (&lab.hosts[0], engine(kind));
    let tar = format!("dist/shop-{version}.tar");
    fs::copy(lab.dir().join(tar), host.home.join("srv/image.tar")).unwrap();
    let (login, flags) = match kind {
        Kind::Docker => (
            format!(
                "echo {PASSWORD} | docker login -u {USER} --password-stdin {address} 2>/dev/null"
            ),
            String::new(),
        ),
        Kind::Podman | Kind::Systemd => (
            "true".to_owned(),
            format!("--tls-verify=false --creds {USER}:{PASSWORD}"),
        ),
    };
    let script = format!(
        "set -e; {login} >/dev/null\n\
         name=$({engine} load -i /opt/shop/image.tar | sed -n 's/^Loaded image.*: //p')\n\
         {engine} tag $name {address}/team/shop:{version}\n\
         {engine} push {flags} {address}/team/shop:{version} >/dev/null 2>&1\n\
         {engine} rmi $name {address}/team/shop:{version} >/dev/null\n\
         rm -rf /root/.docker /opt/shop/image.tar"
    );
    lab.exec(host, &script).unwrap();
}

/// Watches every command line of a host for a while, and prints `seen` where the password stands in one.
const WATCH: &str = "n=0; while [ $n -lt 150 ]; do n=$((n + 1)); cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | \
     grep -q -a -e '[r]ollgate-marker-4711' -e '[Y]2k6cm9sbGdhdGUtbWFya2VyLTQ3MTE' && echo seen; sleep 0.02; done; true";

#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn pulls_with_a_login(kind: Kind) {
    let Some(lab) = started(kind, 2) else { return };
    let Some(registry) = registry(&lab) else {
        return;
    };
    let address = registry.address.clone();
    if kind == Kind::Docker {
        for host in &lab.hosts {
            let script = format!(
                "echo '{{\"insecure-registries\": [\"{address}\"]}}' >/etc/docker/daemon.json && systemctl restart docker"
            );
            lab.exec(host, &script).unwrap();
        }
        wait_until(Duration::from_secs(10), || {
            lab.versions().iter().all(|version| version == FIRST)
        });
        wait_until(Duration::from_secs(10), || {
            lab.out_of_traffic().is_ok_and(|out| out.is_empty())
        });
    }
    push(&lab, kind, &address, "2.0");
    let playbook = playbook(&lab, kind)
        .without("release", "source")
        .set(
            "release",
            "image",
            quoted(format!("{address}/team/shop:{{{{ version }}}}")),
        )
        .set(
            "release",
            "registry",
            "{ username_env = \"LAB_USER\", password_env = \"LAB_PASSWORD\", insecure = true }",
        );
    let file = lab.playbook_file(&playbook);
    let deploy = |password: &str, version: &str| {
        let mut command = lab.command(
            "state",
            &[
                "deploy",
                &file,
                "--version",
                version,
                "--output",
                "json",
                "-vv",
            ],
        );
        command.env("LAB_USER", USER).env("LAB_PASSWORD", password);
        lab.finish(&mut command)
    };
    // Without the variables: nothing is contacted.
    let said = lab
        .rollgate(&["deploy", &file, "--version", "2.0"])
        .expect(2);
    assert!(said.stderr.contains("LAB_USER"), "{said}");
    // A wrong password, and an image that is not there.
    let said = deploy("wrong-marker-4712", "2.0").expect(5);
    assert!(
        said.stderr
            .contains("does not take this user name and password"),
        "{said}"
    );
    assert!(!said.stderr.contains("wrong-marker"), "{said}");
    let said = deploy(PASSWORD, "6.6").expect(5);
    assert!(said.stderr.contains("no such image or tag"), "{said}");
    // With a pinned digest the hosts find out, before anything is drained.
    let pinned = format!("{address}/team/shop@sha256:{}", "0".repeat(64));
    let wrong = playbook.clone().set("release", "image", quoted(pinned));
    fs::write(lab.dir().join("wrong.toml"), wrong.to_string()).unwrap();
    let wrong = lab.dir().join("wrong.toml").display().to_string();
    let mut command = lab.command(
        "state",
        &["deploy", &wrong, "--version", "2.1", "--output", "json"],
    );
    let said = lab.finish(
        command
            .env("LAB_USER", USER)
            .env("LAB_PASSWORD", "wrong-marker-4712"),
    );
    let said = said.expect(5);
    assert!(said.stdout.contains("the image cannot be pulled"), "{said}");
    assert!(!said.stdout.contains("wrong-marker"), "{said}");
    lab.assert_all_on(FIRST, &said);

    let load = lab.load();
    let (said, seen) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| lab.exec(&lab.hosts[1], WATCH).unwrap());
        (deploy(PASSWORD, "2.0"), watch.join().unwrap())
    });
    let summary = load.stop().unwrap();
    let said = said.expect(0);
    assert_eq!(summary["failed"], 0, "{summary:#}");
    lab.assert_all_on("2.0", &said);
    assert_eq!(seen, "", "the password was seen in a process");
    let digest = |host| {
        inspect(
            &lab,
            kind,
            host,
            NAME,
            "{{index .Config.Labels \"rollgate.image\"}}",
        )
    };
    assert_eq!(digest(&lab.hosts[0]), digest(&lab.hosts[1]));
    assert!(
        !said.stdout.contains(PASSWORD) && !said.stderr.contains(PASSWORD),
        "{said}"
    );
    let state = lab.dir().join("state").display().to_string();
    let grep = format!("grep -r -l -a -e {PASSWORD} -e {IN_BASE64} {state} || true");
    let found = Command::new("sh").args(["-c", &grep]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    for host in &lab.hosts {
        let grep = format!(
            "grep -r -l -a -s -e {PASSWORD} -e {IN_BASE64} /opt /root /home /tmp /run /etc /var/log /var/lib/rollgate || true"
        );
        assert_eq!(lab.exec(host, &grep).unwrap(), "", "on {}", host.name);
    }
    // Back, which pulls nothing: the registry is gone.
    drop(registry);
    let undo = lab.rollgate(&["undo", &file, "--output", "json"]).expect(0);
    lab.assert_all_on(FIRST, &undo);
}

#[test]
fn docker_pulls_with_a_login_that_shows_nowhere() {
    pulls_with_a_login(Kind::Docker);
}

#[test]
fn podman_pulls_with_a_login_that_shows_nowhere() {
    pulls_with_a_login(Kind::Podman);
}
