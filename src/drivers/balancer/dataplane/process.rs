//! Which process answered, told from its id and its age. Pure, but for the clock that its caller hands in.

use std::time::{Duration, SystemTime};

/// What a process said of itself, and when.
#[derive(Debug, Clone)]
struct Seen {
    pid: i64,
    uptime: u64,
    started: SystemTime,
}

/// How far two estimates of one start may be apart: the age is told in whole seconds, and answers take time.
const SLACK: Duration = Duration::from_secs(3);

/// The process that answered last.
#[derive(Debug, Default)]
pub(super) struct Process(Option<Seen>);

impl Process {
    /// A text that stays while the same process answers. Its age counts beside its id, which a container gives again.
    pub(super) fn name(&mut self, pid: i64, uptime: u64, now: SystemTime) -> String {
        let started = now
            .checked_sub(Duration::from_secs(uptime))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let known = self.0.take();
        let same = known.filter(|known| {
            known.pid == pid && known.uptime <= uptime && distance(known.started, started) <= SLACK
        });
        let started = same.map_or(started, |known| known.started);
        self.0 = Some(Seen {
            pid,
            uptime,
            started,
        });
        let since = started
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        format!("pid {pid}, started {}", since.as_secs())
    }
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other)
        .unwrap_or_else(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000 + millis)
    }

    #[test]
    fn one_process_keeps_its_name_though_its_age_is_rounded() {
        let mut process = Process::default();
        let first = process.name(7, 10, at(0));
        for (uptime, now) in [(10, 900), (11, 950), (11, 1900), (40, 30_100)] {
            assert_eq!(process.name(7, uptime, at(now)), first);
        }
    }

    #[test]
    fn another_id_or_a_younger_process_is_another_one() {
        let mut process = Process::default();
        let first = process.name(7, 100, at(0));
        let other = process.name(8, 100, at(0));
        assert_ne!(first, other);
        let restarted = process.name(8, 1, at(2000));
        assert_ne!(restarted, other);
        let again = process.name(8, 2, at(60_000));
        assert_ne!(again, restarted);
    }
}
