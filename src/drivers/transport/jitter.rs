//! Waiting a little longer at each try, and never in step with others.

use std::time::Duration;

/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(1);

/// How long to wait before try number `next` (1 is the first repetition): a random part, at least half, of `first` doubled at each try,
/// one second at most. Random because hosts that were refused together would otherwise come back together.
pub(super) fn pause_before(next: u32, first: Duration) -> Duration {
    let full = first
        .saturating_mul(2_u32.saturating_pow(next.saturating_sub(1)))
        .min(LONGEST);
    // Without randomness the wait is merely in step with others, which does no harm.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    full / 2 + (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_bounds() {
        let first = Duration::from_millis(100);
        for (next, full) in [(1, 100), (2, 200), (3, 400), (9, 1000), (100, 1000)] {
            let pause = pause_before(next, first);
            let full = Duration::from_millis(full);
            assert!(pause >= full / 2 && pause <= full, "{next}: {pause:?}");
        }
    }
}
