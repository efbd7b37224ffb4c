//! One look at a host, and its lock.

use std::sync::Arc;
use std::time::Duration;

use super::draft::{Kit, Stdin, owner_name};
use super::{Answer, Draft, ScriptError, Site, record};
use crate::model::{Current, HostFacts, LockOwner, LockSeen, RecordSeen};

/// How long a takeover waits at most for a script of the earlier holder to end, in tenths of a second. It is asked to end at once and
/// killed after half of this. What it runs with privilege cannot be signalled, only waited for: `systemctl` is mostly done by then,
/// and where it is not the lock stays with its holder and the caller may try again.
const WAIT_TENTHS: u64 = 300;

/// What a look does.
pub(super) const SCRIPT: &str = include_str!("inspect.sh");

/// What a look does about the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish<'a> {
    /// Nothing.
    Look,
    /// Takes it if it is free.
    Take(&'a LockOwner),
    /// Takes it from the owner file that was seen; empty: from a lock without one.
    TakeOver(&'a LockOwner, &'a str),
}

/// Everything that one look tells, in one round trip.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// About the lock.
    pub wish: Wish<'a>,
}

impl Look<'_> {
    /// How long the host itself may take, locks waited for included.
    pub fn limit(&self) -> Duration {
        let wait = match self.wish {
            Wish::Look => Duration::ZERO,
            // Twice: before and after the rename.
            Wish::Take(_) | Wish::TakeOver(..) => Duration::from_millis(2 * WAIT_TENTHS * 100),
        };
        Duration::from_secs(30) + wait
    }

    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root, a name or an owner that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        Ok(self
            .draft(site)?
            .finish(Kit::Lock, &[SCRIPT], Stdin::Closed))
    }

    /// The variables of the script.
    pub(super) fn draft(&self, site: &Site) -> Result<Draft, ScriptError> {
        let (word, owner, seen) = match self.wish {
            Wish::Look => ("look", None, ""),
            Wish::Take(owner) => ("take", Some(owner), ""),
            Wish::TakeOver(owner, seen) => ("take-over", Some(owner), seen),
        };
        let mut draft = Draft::new(site)?;
        draft.value("WISH", word)?;
        draft.value("SEEN", owner_name(seen)?)?;
        draft.value("WAIT", &WAIT_TENTHS.to_string())?;
        let text = match owner {
            Some(owner) => record::write("the lock", checked(site, owner)?)?,
            None => String::new(),
        };
        draft.value("OWNER", &text)?;
        Ok(draft)
    }

    /// The facts in an answer.
    ///
    /// # Errors
    /// A text that says what is missing or odd.
    pub fn read(site: &Site, answer: &Answer) -> Result<HostFacts, String> {
        let clock = number(answer, "clock")?;
        let mut damaged = Vec::new();
        Ok(HostFacts {
            clock,
            boot_id: answer.need("boot")?.to_owned(),
            arch: answer.need("arch")?.to_owned(),
            free_kib: answer.get("free").and_then(|text| text.parse().ok()),
            root_writable: answer.need("writable")? == "yes",
            tools: answer.all("tool").map(str::to_owned).collect(),
            current: current(site, answer),
            releases: answer.all("release").map(str::to_owned).collect(),
            revisions: record::read_revisions(answer.all("revisions.jsonl"), &mut damaged),
            rollouts: record::read_rollouts(answer.all("rollouts.jsonl"), &mut damaged),
            damaged,
            record: record_seen(answer),
            lock: lock_seen(answer, clock)?,
            running: answer.need("running")? == "yes",
            troubles: Vec::new(),
        })
    }
}

/// An owner must be the process whose fence the other scripts look at.
fn checked<'a>(site: &Site, owner: &'a LockOwner) -> Result<&'a LockOwner, ScriptError> {
    if owner.rollout == site.rollout && owner.token == site.token {
        Ok(owner)
    } else {
        Err(ScriptError::Name {
            text: format!("owner.{}.{}", owner.rollout, owner.token),
            wanted: "the owner for whom this host was opened",
        })
    }
}

fn number(answer: &Answer, key: &str) -> Result<i64, String> {
    let text = answer.need(key)?;
    text.parse()
        .map_err(|error| format!("its `{key}` is no number (`{text}`): {error}"))
}

fn current(site: &Site, answer: &Answer) -> Current {
    if let Some(what) = answer.get("foreign") {
        return Current::Foreign(what.to_owned());
    }
    let Some(link) = answer.get("link") else {
        return Current::Absent;
    };
    let link = link.trim_end_matches('/');
    if link.starts_with('/') {
        return Current::Link(link.to_owned());
    }
    let root = site.root.trim_end_matches('/');
    let link = link.strip_prefix("./").unwrap_or(link);
    Current::Link(format!("{root}/{link}"))
}

fn record_seen(answer: &Answer) -> RecordSeen {
    if !answer.all("has").any(|name| name == "rollout.json") {
        return RecordSeen::Absent;
    }
    let text: Vec<&str> = answer.all("rollout.json").collect();
    record::read_record(text.join("\n").trim())
}

fn lock_seen(answer: &Answer, clock: i64) -> Result<LockSeen, String> {
    match answer.need("lock")? {
        "free" => Ok(LockSeen::Free),
        "ours" => Ok(LockSeen::Ours),
        "held" => {
            let file = answer.get("lock_file").unwrap_or_default();
            let text = answer.get("lock_text").unwrap_or_default();
            let renewed = number(answer, "lock_renewed")?;
            let age = clock.saturating_sub(renewed);
            Ok(LockSeen::Held {
                owner: record::read_owner(file, text).map(Box::new),
                file: file.to_owned(),
                age: Duration::from_secs(u64::try_from(age).unwrap_or(0)),
            })
        }
        other => Err(format!("its `lock` is `{other}`")),
    }
}

/// Confirms and renews the lock.
#[derive(Debug, Clone, Copy)]
pub struct Renew;

impl Renew {
    /// The script.
    ///
    /// # Errors
    /// [`ScriptError::Root`].
    pub fn script(self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let draft = Draft::new(site)?;
        Ok(draft.finish(Kit::Base, &[include_str!("renew.sh")], Stdin::Closed))
    }
}

/// Breaks a lock that was seen, whoever holds it.
#[derive(Debug, Clone, Copy)]
pub struct BreakLock<'a> {
    /// The owner file's name; empty: a lock without one.
    pub seen: &'a str,
}

impl BreakLock<'_> {
    /// The script.
    ///
    /// # Errors
    /// [`ScriptError`] for a root or a name that no script may be made of.
    pub fn script(&self, site: &Site) -> Result<Arc<str>, ScriptError> {
        let mut draft = Draft::new(site)?;
        draft.value("SEEN", owner_name(self.seen)?)?;
        Ok(draft.finish(Kit::Base, &[include_str!("break_lock.sh")], Stdin::Closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Become, LockToken, RolloutId};
    use proptest::prelude::*;

    fn site() -> Site {
        Site {
            root: "/opt/app/".to_owned(),
            r#become: Become::None,
            rollout: RolloutId::new("r-1").unwrap(),
            token: LockToken::new("ab").unwrap(),
        }
    }

    #[test]
    fn a_link_is_made_absolute() {
        for (link, wanted) in [
            ("releases/1-a", "/opt/app/releases/1-a"),
            ("./releases/1-a/", "/opt/app/releases/1-a"),
            ("/srv/old", "/srv/old"),
        ] {
            let answer = Answer::parse(format!("link\t{link}\n").as_bytes());
            assert_eq!(current(&site(), &answer), Current::Link(wanted.to_owned()));
        }
    }

    #[test]
    fn a_lock_from_the_future_is_no_older_than_now() {
        let answer = Answer::parse(b"lock\theld\nlock_renewed\t200\n");
        assert_eq!(
            lock_seen(&answer, 100),
            Ok(LockSeen::Held {
                owner: None,
                file: String::new(),
                age: Duration::ZERO
            })
        );
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(lines: Vec<(String, String)>, keys: Vec<usize>) {
            let known = ["lock", "clock", "boot", "arch", "writable", "running", "link", "has", "rollout.json", "lock_renewed"];
            let mut text = String::new();
            for ((key, value), pick) in lines.iter().zip(keys) {
                let key = known.get(pick % 12).copied().unwrap_or(key);
                for part in [key, "\t", value, "\n"] {
                    text.push_str(part);
                }
            }
            let _facts = Look::read(&site(), &Answer::parse(text.as_bytes()));
        }
    }
}
