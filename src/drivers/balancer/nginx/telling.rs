//! One edit, one test and one reload, for all that is told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::super::{BalancerError, Change};
use super::driver::{Nginx, View};
use super::edit::{self, Edits};
use super::script::{self, Apply, NewFile};
use super::seen::{self, Matched};
use super::snapshot::{Snapshot, digest};
use crate::drivers::transport::Output;
use crate::far::Answer;
use crate::model::{Admin, Become, PoolName, ServerName};

/// Of that, what is left for the way there and back when a script has to end by itself.
const SPARE: Duration = Duration::from_millis(800);
/// How long another edit of the same file is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often a file that changed between read and write is read again.
const TRIES: usize = 5;

/// How an edit ended.
enum Applied {
    Done,
    Changed(String),
}

impl Nginx {
    /// All changes by one edit, one test and one reload; again where somebody else changed a file in between.
    pub(super) async fn tell_all(
        &self,
        changes: &[Change],
        until: Instant,
    ) -> Result<(), BalancerError> {
        if changes.is_empty() {
            return Ok(());
        }
        let pools: BTreeSet<PoolName> = changes.iter().map(|change| change.pool.clone()).collect();
        let pools: Vec<PoolName> = pools.into_iter().collect();
        let mut why = String::new();
        for _ in 0..TRIES {
            let view = self.view(&pools, changes, false, until).await?;
            let edits = self.edits(&view, changes)?;
            if edits.is_empty() && !view.snapshot.pending {
                return Ok(());
            }
            match self.apply(&view.snapshot, &edits, until).await? {
                Applied::Done => return Ok(()),
                Applied::Changed(what) => why = what,
            }
            if until.saturating_duration_since(Instant::now()) < SPARE * 2 {
                break;
            }
        }
        Err(self.unreachable(format!("{why}, again and again")))
    }

    fn edits(&self, view: &View, changes: &[Change]) -> Result<Edits, BalancerError> {
        let mut last: BTreeMap<(&PoolName, &ServerName), Admin> = BTreeMap::new();
        for change in changes {
            last.insert((&change.pool, &change.server), change.admin);
        }
        let mut pools: BTreeMap<&PoolName, Matched<'_>> = BTreeMap::new();
        for (pool, entries) in &view.found.pools {
            pools.insert(
                pool,
                seen::matched(
                    entries,
                    &self.targets(pool, changes),
                    &view.snapshot.resolved,
                ),
            );
        }
        let mut edits = Edits::default();
        for ((pool, server), admin) in last {
            let matched = pools.get(pool).ok_or_else(|| {
                self.refused(
                    "edit",
                    format!("there is no upstream `{pool}` in it, nor in what it includes"),
                )
            })?;
            let entries = matched.servers.get(server).ok_or_else(|| {
                let shared = matched
                    .shared
                    .first()
                    .map(|why| format!(" ({why})"))
                    .unwrap_or_default();
                self.refused(
                    "edit",
                    format!("upstream `{pool}` has no server `{server}`{shared}"),
                )
            })?;
            let out = admin != Admin::Ready;
            for entry in entries {
                edits.set(entry, out);
                if out {
                    // So that the next look counts its connections without a second round trip.
                    let addresses = entry.address.sockets(&view.snapshot.resolved);
                    self.lock().needs.addresses.extend(addresses);
                }
            }
        }
        Ok(edits)
    }

    async fn apply(
        &self,
        snapshot: &Snapshot,
        edits: &Edits,
        until: Instant,
    ) -> Result<Applied, BalancerError> {
        let files = edits.0.iter().filter_map(|(path, edits)| {
            let old = snapshot.files.values().find(|file| file.real == *path)?;
            let parts = edit::parts(edits, old.bytes.len());
            Some(NewFile {
                path: path.clone(),
                sha256: digest(&edit::built(&parts, &old.bytes)),
                parts,
            })
        });
        let span = until
            .saturating_duration_since(Instant::now())
            .saturating_sub(SPARE);
        let apply = Apply {
            r#become: self
                .transport
                .as_ref()
                .map_or(Become::None, |transport| transport.r#become()),
            checks: snapshot.digests(),
            files: files.collect(),
            moot: snapshot.marked && !snapshot.pending,
            span,
            patience: LOCK_WAIT.min(span / 2),
        };
        let script = apply
            .script(&self.spec)
            .map_err(|error| self.unsayable(&error))?;
        let output = self
            .run("edit nginx's configuration", script, until)
            .await?;
        self.verdict(&output, apply.r#become)
    }

    fn verdict(&self, output: &Output, r#become: Become) -> Result<Applied, BalancerError> {
        let answer = Answer::parse(&output.stdout);
        let what = answer.get("what").unwrap_or_default().to_owned();
        let said = said(&answer.output());
        let command = |command| script::words(command, r#become).join(" ");
        let (test, reload) = (command(&self.spec.test), command(&self.spec.reload));
        match answer.get("verdict") {
            Some("done") => Ok(Applied::Done),
            Some("changed") => Ok(Applied::Changed(what)),
            Some("broken") => Err(self.said_no(test, format!("{said} (before any edit: the configuration was broken by somebody else; nothing was touched)"))),
            Some("untested") => Err(self.said_no(test, format!("{said} (with the edit; {what}the files are as they were)"))),
            Some("unloaded") => Err(self.said_no(reload, format!("{said} (with the edit; {what}the files are as they were)"))),
            Some("refused" | "unwritable") => Err(self.refused("edit", what)),
            Some("busy" | "late" | "unproven" | "masterless") => Err(self.unreachable(what)),
            Some(_) | None => Err(self.cut(output, "the answer was cut")),
        }
    }
}

/// The words that matter of what a command printed.
fn said(output: &[String]) -> String {
    let with = |words: &str| output.iter().find(|line| line.contains(words));
    let emergency = with("nginx: [emerg]").or_else(|| with("[emerg]"));
    let last = || output.iter().rev().find(|line| !line.trim().is_empty());
    emergency.or_else(last).map_or_else(
        || "it printed nothing".to_owned(),
        |line| line.trim().to_owned(),
    )
}
