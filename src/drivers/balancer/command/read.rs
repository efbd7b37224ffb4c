//! What commands print, as values. Pure; never panics, whatever the text.

use crate::model::TrafficState;

/// What a `state` command says.
///
/// # Errors
/// What it should have said, and what it did.
pub(in super::super) fn state(text: &str) -> Result<TrafficState, String> {
    match text.trim() {
        "ready" => Ok(TrafficState::Ready),
        "drain" => Ok(TrafficState::Drain),
        "maint" => Ok(TrafficState::Maint),
        "down" => Ok(TrafficState::Down),
        "" => Err("it printed nothing, and not one of ready, drain, maint, down".to_owned()),
        other => Err(format!(
            "it printed `{}`, and not one of ready, drain, maint, down",
            shown(other)
        )),
    }
}

/// How many requests an `in_flight` command counts.
///
/// # Errors
/// What it should have said, and what it did.
pub(in super::super) fn in_flight(text: &str) -> Result<u64, String> {
    let text = text.trim();
    // `+1` is a number to the parser, and to nobody else.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        Ok(_) | Err(_) => Err(format!("it printed `{}`, and not one number", shown(text))),
    }
}

/// The first 200 characters, on one line.
pub(super) fn shown(text: &str) -> String {
    let visible = text.trim().chars().take(200);
    visible
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn states_are_four_words() {
        assert_eq!(state(" ready\n"), Ok(TrafficState::Ready));
        assert_eq!(state("drain"), Ok(TrafficState::Drain));
        assert_eq!(state("maint\r\n"), Ok(TrafficState::Maint));
        assert_eq!(state("down"), Ok(TrafficState::Down));
        for bad in ["", "Ready", "ready drain", "up", "ready\nready"] {
            assert!(state(bad).is_err(), "{bad}");
        }
        assert!(state("\u{1b}[31mred").unwrap_err().contains("` [31mred`"));
    }

    #[test]
    fn a_count_is_one_number_and_unknown_is_not_zero() {
        assert_eq!(in_flight(" 12\n"), Ok(12));
        for bad in ["", "-1", "+1", "1 2", "1.0", "none", "99999999999999999999"] {
            assert!(in_flight(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            drop((state(&text), in_flight(&text)));
        }

        #[test]
        fn every_number_is_itself(number: u64) {
            prop_assert_eq!(in_flight(&format!("{number}\n")), Ok(number));
        }
    }
}
