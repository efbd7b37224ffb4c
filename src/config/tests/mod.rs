//! The configuration as a whole: what loads, what is found, and that nothing makes it panic.

mod apis;
mod by_command;
mod examples;
mod files;
mod findings;
mod inventory;
mod nginx;
mod playbook;
mod recipes;
mod units;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Findings, Loaded, Request, load};

/// The smallest inventory that serves.
pub(super) const INVENTORY: &str = r#"
[hosts."web-[01:02]"]
address = "10.0.0.{{ n }}"
vars = { port = 8080 }
[balancers.edge]
kind = "haproxy"
socket = "tcp://127.0.0.1:9999"
"#;

/// The smallest playbook that serves.
pub(super) const PLAYBOOK: &str = r#"
service = "app"
hosts = "web-*"
[release]
kind = "binary"
source = "dist/app"
[run]
systemd = "app.service"
[[traffic]]
balancer = "edge"
pool = "pool"
[ready]
http = "http://127.0.0.1:{{ vars.port }}/ready"
version = { header = "x-version" }
"#;

/// Files in a folder of their own.
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new(inventory: &str, playbook: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dist")).unwrap();
        fs::write(folder.path().join("dist/app"), "binary").unwrap();
        fs::write(folder.path().join("inventory.toml"), inventory).unwrap();
        fs::write(folder.path().join("playbook.toml"), playbook).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn request(&self) -> Request {
        Request {
            without_files: false,
            inventories: vec![self.path().join("inventory.toml")],
            playbook: self.path().join("playbook.toml"),
            version: Some("1.2.3".to_owned()),
            source_optional: false,
            limit: None,
            vars: Vec::new(),
        }
    }

    /// What is found, with the folder's name taken out.
    pub(super) fn findings(&self, request: &Request) -> String {
        let findings: Findings = load(request).err().expect("something should be wrong");
        findings
            .render(false)
            .replace(&format!("{}/", self.path().display()), "")
    }
}

/// Loads both texts, which must be right.
#[track_caller]
pub(super) fn loaded(inventory: &str, playbook: &str) -> Loaded {
    let files = Files::new(inventory, playbook);
    load(&files.request()).unwrap_or_else(|findings| panic!("{findings}"))
}

/// The titles of what is found in both texts.
#[track_caller]
pub(super) fn titles(inventory: &str, playbook: &str) -> Vec<String> {
    let files = Files::new(inventory, playbook);
    match load(&files.request()) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.titles().map(str::to_owned).collect(),
    }
}

/// The playbook with one text in it replaced.
#[track_caller]
pub(super) fn playbook_with(old: &str, new: &str) -> String {
    assert!(PLAYBOOK.contains(old), "{old}");
    PLAYBOOK.replace(old, new)
}
