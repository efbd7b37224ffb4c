//! Whether a balancer has had time to notice that a host looks fit or unfit.

use std::time::Duration;

/// How long the host's file has been there, by the host's own clock, in its words (`drain 12`). `None`: it is not there, or cannot be told.
pub(super) fn age(printed: &str) -> Option<Duration> {
    let age = printed.strip_prefix("drain ")?.trim();
    // A clock that was set back makes it negative: then it is not known.
    age.parse().ok().map(Duration::from_secs)
}

/// Whether it has: since so long this process has known it so, and for so long the host says it has been so. Both clocks of the host are
/// cut to whole seconds, so its age is less certain by one.
pub(super) fn is_over(notice: Duration, known: Option<Duration>, age: Option<Duration>) -> bool {
    let by_host = age.is_some_and(|age| age >= notice.saturating_add(Duration::from_secs(1)));
    by_host || known.is_some_and(|known| known >= notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_age_is_told_only_of_a_file_that_is_there() {
        assert_eq!(age("drain 12"), Some(seconds(12)));
        for other in ["drain", "drain ", "drain -3", "ready", "", "12"] {
            assert_eq!(age(other), None, "{other}");
        }
    }

    #[test]
    fn the_host_and_this_process_may_both_know_and_neither_is_rounded_up() {
        let notice = seconds(6);
        assert!(is_over(notice, Some(seconds(6)), None));
        assert!(is_over(notice, Some(seconds(0)), Some(seconds(7))));
        assert!(!is_over(
            notice,
            Some(Duration::from_millis(5999)),
            Some(seconds(6))
        ));
        assert!(!is_over(notice, None, None));
    }
}
