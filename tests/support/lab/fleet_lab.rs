//! A lab whose hosts are those of a [`Fleet`], with the application as a unit of systemd.

use std::io;

use super::document::{Document, quoted};
use super::fleet::{Engine, Fleet, Kind, ROOT, USER, own};
use super::reaper::Reaper;
use super::{FIRST, Lab, LabHost, Options, balancers, range::Range, sshd, width};

/// The unit that each host runs.
pub(crate) const UNIT: &str = "shop.service";

/// What a sudoers file lets `deploy` do, for a service that is restarted by its unit alone.
pub(crate) const SUDOERS: &str = "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart shop.service, /usr/bin/systemctl stop shop.service, \
     /usr/bin/journalctl -u shop.service *";

impl Lab {
    /// Builds a lab of hosts in containers and waits until each serves release 1.0 through every balancer. The unit is there, the SSH
    /// user is `deploy`, and sudo lets him restart it.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub(crate) fn on_hosts(options: Options, engine: &Engine, kind: Kind) -> io::Result<Self> {
        let range = Range::claim()?;
        let reaper = Reaper::start(&options.dir)?;
        let fleet = Fleet::new(engine, kind)?;
        let mut lab = Self {
            hosts: hosts(&options, &fleet),
            balancers: balancers(&options, &range),
            user: USER.to_owned(),
            daemons: Vec::new(),
            fleet: None,
            options,
            reaper,
            range,
        };
        lab.prepare_folders()?;
        sshd::make_key(&lab, "client")?;
        for number in 0..lab.hosts.len() {
            sshd::make_key(&lab, &format!("host-{number}"))?;
        }
        lab.make(FIRST, &["--behaviour", "good"])?;
        for host in &lab.hosts {
            lab.place_first(host)?;
            own(&host.home)?;
        }
        fleet.start(lab.dir(), &lab.hosts)?;
        for host in &lab.hosts {
            let text = unit(host);
            let script = format!(
                "cat >/etc/systemd/system/{UNIT} <<'E'\n{text}E\n\
                 printf '%s\\n' '{SUDOERS}' >/etc/sudoers.d/shop\n\
                 systemctl daemon-reload && systemctl enable --quiet --now {UNIT}"
            );
            fleet.exec(host, &script)?;
        }
        lab.fleet = Some(fleet);
        lab.wait_until(|lab| lab.versions().iter().all(|version| version == FIRST))?;
        lab.open()?;
        Ok(lab)
    }

    /// Runs a script on a host, as root and past SSH; its stdout.
    ///
    /// # Errors
    /// The hosts are on loopback, or the script did not exit 0.
    pub(crate) fn exec(&self, host: &LabHost, script: &str) -> io::Result<String> {
        let none = || io::Error::other("these hosts are not in containers");
        self.fleet.as_ref().ok_or_else(none)?.exec(host, script)
    }

    /// `docker` of the machine that holds the hosts: `pause`, `kill`, `network disconnect` …
    ///
    /// # Errors
    /// The hosts are on loopback, or it did not exit 0.
    pub(crate) fn docker(&self, arguments: &[&str]) -> io::Result<String> {
        let none = || io::Error::other("these hosts are not in containers");
        let fleet = self.fleet.as_ref().ok_or_else(none)?;
        fleet.engine.docker(arguments)
    }

    /// The time at which a host's unit was started last, and how often it was started by itself since: it changes with every start.
    pub(crate) fn started(&self, host: &LabHost) -> io::Result<String> {
        self.exec(
            host,
            &format!("systemctl show {UNIT} -p ExecMainStartTimestampMonotonic -p NRestarts"),
        )
    }
}

/// The unit of a host, as an operator would have written it.
pub(crate) fn unit(host: &LabHost) -> String {
    format!(
        "[Unit]\nDescription=shop\n\n[Service]\nUser={USER}\nExecStart={ROOT}/current/app serve --listen {}\nRestart=on-failure\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        host.app
    )
}

/// A playbook of loopback, made into one for these hosts.
pub(crate) fn on_hosts(document: Document) -> Document {
    document
        .set("release", "root", quoted(ROOT))
        .without("run", "start")
        .without("run", "stop")
        .without("run", "logs")
        .set("run", "systemd", quoted(UNIT))
}

fn hosts(options: &Options, fleet: &Fleet) -> Vec<LabHost> {
    let width = width(options.hosts);
    (1..=options.hosts)
        .map(|number| {
            let name = format!("web-{number:0width$}");
            LabHost {
                app: fleet.app(number),
                home: options.dir.join("hosts").join(&name),
                name,
            }
        })
        .collect()
}
