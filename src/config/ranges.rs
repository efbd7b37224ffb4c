//! Names with a range: `web-[01:06]` is six hosts.

/// The most hosts that one range may make: a slip such as `[1:10000000]` should be an error and not an hour's wait.
const MOST: u64 = 10_000;

/// One host of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name, the number in place.
    pub name: String,
    /// The number, and the number as written; `None` where the name has no range.
    pub number: Option<(u64, String)>,
}

/// Makes every name that `text` stands for: itself, where there is no range in it.
///
/// # Errors
/// What would be right, when a bracket does not hold a range.
pub(crate) fn expand(text: &str) -> Result<Vec<Member>, String> {
    let Some((before, rest)) = text.split_once('[') else {
        if text.contains(']') {
            return Err("a range is written as [first:last], such as web-[01:06]".to_owned());
        }
        return Ok(vec![Member {
            name: text.to_owned(),
            number: None,
        }]);
    };
    let Some((range, after)) = rest.split_once(']') else {
        return Err("the range is not closed: write [first:last], such as web-[01:06]".to_owned());
    };
    if after.contains(['[', ']']) {
        return Err("a name holds one range at most: write one entry for each".to_owned());
    }
    let (first, last, width) = bounds(range)?;
    Ok((first..=last)
        .map(|number| {
            let written = format!("{number:0width$}");
            Member {
                name: format!("{before}{written}{after}"),
                number: Some((number, written)),
            }
        })
        .collect())
}

fn bounds(range: &str) -> Result<(u64, u64, usize), String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| digits)
    };
    let parsed = range
        .split_once(':')
        .and_then(|(first, last)| Some((number(first)?, number(last)?, first)));
    let Some((first, last, written)) = parsed else {
        return Err(format!(
            "`[{range}]` is not a range: write two numbers, such as [01:06]"
        ));
    };
    if last < first {
        return Err(format!(
            "`[{range}]` ends before it begins: write [{last}:{first}]"
        ));
    }
    if last - first >= MOST {
        return Err(format!("`[{range}]` is more than {MOST} hosts"));
    }
    // `[01:06]` counts 01, 02 …; `[1:12]` counts 1, 2 … 12.
    let width = if written.starts_with('0') {
        written.len()
    } else {
        0
    };
    Ok((first, last, width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Vec<String> {
        expand(text)
            .unwrap()
            .into_iter()
            .map(|member| member.name)
            .collect()
    }

    #[test]
    fn zeros_are_kept_as_written() {
        assert_eq!(
            names("web-[08:11]"),
            ["web-08", "web-09", "web-10", "web-11"]
        );
        assert_eq!(names("web-[9:10].a"), ["web-9.a", "web-10.a"]);
        assert_eq!(names("web"), ["web"]);
        assert_eq!(
            expand("w[07:07]").unwrap()[0].number,
            Some((7, "07".to_owned()))
        );
    }

    #[test]
    fn brackets_that_hold_no_range_are_refused() {
        for bad in [
            "w[1:",
            "w[1]",
            "w[a:c]",
            "w[3:1]",
            "w[1:2][1:2]",
            "w]",
            "w[:]",
            "w[+1:2]",
            "w[1:99999999]",
            "w[1:99999999999999999999999]",
        ] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_as_many_different_names_as_it_says(first in 0u64..500, more in 0u64..200, width in 1usize..5) {
            let names = names(&format!("n[{first:0width$}:{}]", first + more));
            let different: std::collections::BTreeSet<_> = names.iter().collect();
            prop_assert_eq!(different.len() as u64, more + 1);
            prop_assert!(names.iter().all(|name| !name.contains(['[', ':'])));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _any = expand(&text);
        }
    }
}
