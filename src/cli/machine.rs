//! This machine and this process, as records and locks name them.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::Processes;
use crate::event::Clock;
use crate::model::record::ProcessMark;
use crate::model::{InvalidName, LockToken, RolloutId};

/// The system's clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn since_boot(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let secs = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(secs, nanos)
    }
}

/// The system's processes.
#[derive(Debug, Clone)]
pub(super) struct SystemProcesses {
    me: ProcessMark,
}

impl SystemProcesses {
    pub(super) fn new(me: ProcessMark) -> Self {
        Self { me }
    }
}

impl Processes for SystemProcesses {
    fn alive(&self, mark: &ProcessMark) -> Option<bool> {
        let here = !mark.boot_id.is_empty()
            && mark.boot_id == self.me.boot_id
            && mark.pid_namespace == self.me.pid_namespace;
        here.then(|| start_of(mark.pid) == Some(mark.start))
    }
}

/// This process.
pub(super) fn this_process() -> ProcessMark {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    let namespace = std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default();
    let pid = std::process::id();
    ProcessMark {
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        pid_namespace: namespace,
        pid,
        start: start_of(pid).unwrap_or_default(),
    }
}

/// A process's start time in clock ticks since boot. Source: `proc(5)`, field 22 of `/proc/PID/stat`; the name before it may hold
/// spaces and brackets, so fields are counted from the last bracket.
fn start_of(pid: u32) -> Option<u64> {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has ended: nobody will hear from it any more.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// `user@machine`.
pub(super) fn who() -> String {
    let user = ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = user.unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    format!(
        "{user}@{}",
        rustix::system::uname().nodename().to_string_lossy()
    )
}

/// A new rollout's id: the time and four random digits.
pub(super) fn new_rollout(now: Timestamp) -> Result<RolloutId, String> {
    RolloutId::new(&format!(
        "{}-{}",
        now.strftime("%Y%m%dT%H%M%SZ"),
        random_hex::<2>()?
    ))
    .map_err(|error: InvalidName| error.to_string())
}

/// A new process's token.
pub(super) fn new_token() -> Result<LockToken, String> {
    LockToken::new(&random_hex::<8>()?).map_err(|error: InvalidName| error.to_string())
}

fn random_hex<const N: usize>() -> Result<String, String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _never = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_past_one_is_not() {
        let me = this_process();
        let system = SystemProcesses::new(me.clone());
        assert_eq!(system.alive(&me), Some(true));
        assert_eq!(
            system.alive(&ProcessMark {
                start: me.start + 1,
                ..me.clone()
            }),
            Some(false)
        );
        assert_eq!(
            system.alive(&ProcessMark {
                boot_id: "other".into(),
                ..me
            }),
            None
        );
    }

    #[test]
    fn ids_sort_by_time() {
        let at = |text: &str| new_rollout(text.parse().unwrap()).unwrap();
        assert!(at("2026-11-23T14:15:02Z") < at("2026-11-23T14:15:03Z"));
        assert!(
            at("2026-11-23T14:15:02Z")
                .as_str()
                .starts_with("20261123T141502Z-")
        );
    }
}
