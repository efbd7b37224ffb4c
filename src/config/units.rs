//! A unit of systemd as the playbook describes it, kept as checked templates: its text, and the drop-in with its limits.

use super::check::Text;
use super::check::scope::RELEASE;
use super::diagnostic::Report;
use super::template::{self, Context, Fault};
use crate::model::{Unit, UnitFiles};

/// Where a value is that was rendered late, and what is wrong with it.
type Misplaced<'a> = (&'a Text, Vec<Fault>);

/// A limit that systemd sets for a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `run.resources.memory_max`.
    MemoryMax,
    /// `run.resources.cpu_quota`.
    CpuQuota,
}

impl Limit {
    /// Source: systemd.resource-control(5).
    fn directive(self) -> &'static str {
        match self {
            Self::MemoryMax => "MemoryMax",
            Self::CpuQuota => "CPUQuota",
        }
    }

    fn allows(self, value: &str) -> bool {
        let number = |text: &str| {
            !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit())
        };
        let percent = |text: &str| text.strip_suffix('%').is_some_and(number);
        match self {
            Self::MemoryMax => {
                value == "infinity"
                    || percent(value)
                    || number(value.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(value))
            }
            Self::CpuQuota => percent(value),
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::MemoryMax => "write bytes such as \"512M\" or \"2G\", or \"25%\" of the machine",
            Self::CpuQuota => {
                "write a percentage of one processor: \"50%\", or \"200%\" for two of them"
            }
        }
    }
}

/// The unit with its templates.
#[derive(Debug, Clone)]
pub(crate) struct UnitRecipe {
    /// Its name.
    pub name: Text,
    /// Whether it belongs to the SSH user's own manager.
    pub user: bool,
    /// What the unit says; `None`: it is on the hosts.
    pub text: Option<Text>,
    /// Its limits.
    pub limits: Vec<(Limit, Text)>,
}

impl UnitRecipe {
    /// What can be told without a host.
    pub(crate) fn check(&self, report: &mut Report) {
        self.name.check(&RELEASE, report);
        for text in self
            .text
            .iter()
            .chain(self.limits.iter().map(|(_, text)| text))
        {
            text.check(&RELEASE, report);
        }
    }

    /// The unit of one host and release.
    pub(crate) fn render(&self, context: &Context) -> Result<Unit, Misplaced<'_>> {
        let text = self.text.as_ref();
        Ok(Unit {
            name: unit_name(&self.name, context)?,
            user: self.user,
            files: UnitFiles::Rendered {
                text: text.map(|text| unit_text(text, context)).transpose()?,
                drop_in: self.drop_in(context)?,
            },
        })
    }

    fn drop_in(&self, context: &Context) -> Result<Option<String>, Misplaced<'_>> {
        if self.limits.is_empty() {
            return Ok(None);
        }
        let mut drop_in = String::from("# Written by rollgate from [run.resources].\n[Service]\n");
        for (limit, text) in &self.limits {
            let value = rendered(text, context)?;
            if !limit.allows(&value) {
                let title = format!("`{value}` is not a value for {}", limit.directive());
                return Err(fault(text, title, limit.help()));
            }
            for part in [limit.directive(), "=", &value, "\n"] {
                drop_in.push_str(part);
            }
        }
        Ok(Some(drop_in))
    }
}

fn rendered<'a>(text: &'a Text, context: &Context) -> Result<String, Misplaced<'a>> {
    template::render(&text.text, &RELEASE, context).map_err(|faults| (text, faults))
}

fn fault<'a>(text: &'a Text, title: String, help: &str) -> Misplaced<'a> {
    let fault = Fault {
        title,
        help: help.to_owned(),
        range: None,
    };
    (text, vec![fault])
}

fn unit_text<'a>(text: &'a Text, context: &Context) -> Result<String, Misplaced<'a>> {
    let unit = rendered(text, context)?;
    if unit.contains('\0') {
        let title = "a unit cannot hold a zero byte".to_owned();
        return Err(fault(text, title, "take it out of the value"));
    }
    if !unit.lines().any(|line| line.trim() == "[Service]") {
        let title = "this unit has no [Service] section".to_owned();
        return Err(fault(
            text,
            title,
            "write the whole unit, as in /etc/systemd/system",
        ));
    }
    Ok(format!("{}\n", unit.trim_end_matches('\n')))
}

/// Source: systemd.unit(5), "valid unit names": letters, digits and `:-_.\@`, 255 characters at most.
fn unit_name<'a>(text: &'a Text, context: &Context) -> Result<String, Misplaced<'a>> {
    let name = rendered(text, context)?;
    let good = !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b));
    if good {
        return Ok(name);
    }
    let title = format!("`{name}` is not the name of a unit");
    Err(fault(text, title, "write one such as \"app.service\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_are_those_of_systemd() {
        for good in ["512M", "1024", "2G", "25%", "infinity"] {
            assert!(Limit::MemoryMax.allows(good), "{good}");
        }
        for bad in ["", "M", "512MB", "1.5G", "-1", "1\nExecStart=/bin/sh", "%"] {
            assert!(!Limit::MemoryMax.allows(bad), "{bad}");
        }
        assert!(Limit::CpuQuota.allows("200%"));
        for bad in ["50", "half", "%", "50 %"] {
            assert!(!Limit::CpuQuota.allows(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_limit_brings_a_line_of_its_own(value in ".*") {
            for limit in [Limit::MemoryMax, Limit::CpuQuota] {
                prop_assert!(!limit.allows(&value) || value.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
