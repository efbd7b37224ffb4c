//! Choosing hosts: `web,&zone=a,!web-03`.
//!
//! Plain terms are added up (none: every host), `&term` keeps only what also matches, `!term` takes away, wherever in the list
//! they stand.

use std::collections::{BTreeMap, BTreeSet};

use wildmatch::WildMatch;

use super::diagnostic::nearest;
use super::ranges;

/// What selectors choose from. Names are plain text here: a host with a bad name was already reported.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// Hosts with their labels.
    pub hosts: BTreeMap<String, BTreeMap<String, String>>,
    /// Groups with their hosts.
    pub groups: BTreeMap<String, BTreeSet<String>>,
}

/// A term that names nothing: what is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong.
    pub title: String,
    /// What would be right.
    pub help: String,
}

impl Catalog {
    /// The hosts that `selector` chooses; may be none.
    ///
    /// # Errors
    /// One fault for each term that names nothing in the inventory.
    pub(crate) fn select(&self, selector: &str) -> Result<BTreeSet<String>, Vec<Fault>> {
        let mut chosen: Option<BTreeSet<String>> = None;
        let mut kept: Vec<BTreeSet<String>> = Vec::new();
        let mut taken = BTreeSet::new();
        let mut faults = Vec::new();
        for term in selector.split(',').map(str::trim) {
            let keep = term.strip_prefix('&');
            let take = term.strip_prefix('!');
            match self.term(keep.or(take).unwrap_or(term).trim()) {
                Err(fault) => faults.push(fault),
                Ok(hosts) if keep.is_some() => kept.push(hosts),
                Ok(hosts) if take.is_some() => taken.extend(hosts),
                Ok(hosts) => chosen.get_or_insert_default().extend(hosts),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut hosts = chosen.unwrap_or_else(|| self.hosts.keys().cloned().collect());
        hosts.retain(|host| kept.iter().all(|set| set.contains(host)) && !taken.contains(host));
        Ok(hosts)
    }

    /// The hosts of one term without its sign.
    ///
    /// # Errors
    /// When it names nothing in the inventory.
    pub(crate) fn term(&self, term: &str) -> Result<BTreeSet<String>, Fault> {
        if term.is_empty() {
            return Err(Fault {
                title: "a term of this selector is empty".to_owned(),
                help: "write terms with single commas between them, such as web,&zone=a,!web-03"
                    .to_owned(),
            });
        }
        if let Some((label, value)) = term.split_once('=') {
            return self.labelled(label.trim(), value.trim());
        }
        if let Some(hosts) = self.groups.get(term) {
            return Ok(hosts.clone());
        }
        if term.contains('[') || term.contains(']') {
            return self.range(term);
        }
        if term.contains(['*', '?']) {
            let glob = WildMatch::new(term);
            return Ok(self
                .hosts
                .keys()
                .filter(|host| glob.matches(host))
                .cloned()
                .collect());
        }
        self.named(term).map(|()| BTreeSet::from([term.to_owned()]))
    }

    fn range(&self, term: &str) -> Result<BTreeSet<String>, Fault> {
        let members = ranges::expand(term).map_err(|help| Fault {
            title: format!("`{term}` is not a range"),
            help,
        })?;
        members
            .into_iter()
            .map(|member| self.named(&member.name).map(|()| member.name))
            .collect()
    }

    fn named(&self, name: &str) -> Result<(), Fault> {
        if self.hosts.contains_key(name) {
            return Ok(());
        }
        let known = self
            .hosts
            .keys()
            .chain(self.groups.keys())
            .map(String::as_str);
        Err(Fault {
            title: format!("no host and no group of the inventory is called `{name}`"),
            help: nearest(name, known).map_or_else(
                || format!("groups there: {}", list(self.groups.keys())),
                |near| format!("did you mean `{near}`?"),
            ),
        })
    }

    fn labelled(&self, label: &str, value: &str) -> Result<BTreeSet<String>, Fault> {
        let labels: BTreeSet<&String> = self.hosts.values().flat_map(BTreeMap::keys).collect();
        if !labels.contains(&label.to_owned()) {
            return Err(Fault {
                title: format!("no host of the inventory has a label `{label}`"),
                help: nearest(label, labels.iter().map(|label| label.as_str())).map_or_else(
                    || format!("labels there: {}", list(labels.iter().copied())),
                    |near| format!("did you mean `{near}`?"),
                ),
            });
        }
        let hosts = self.hosts.iter();
        Ok(hosts
            .filter(|(_, labels)| labels.get(label).is_some_and(|is| is == value))
            .map(|(host, _)| host.clone())
            .collect())
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for n in 1..=6 {
            let zone = if n % 2 == 1 { "a" } else { "b" };
            let labels = BTreeMap::from([("zone".to_owned(), zone.to_owned())]);
            catalog.hosts.insert(format!("web-{n:02}"), labels);
        }
        catalog.hosts.insert("db-1".to_owned(), BTreeMap::new());
        let web = catalog
            .hosts
            .keys()
            .filter(|host| host.starts_with("web"))
            .cloned()
            .collect();
        catalog.groups.insert("web".to_owned(), web);
        catalog
    }

    fn chosen(selector: &str) -> String {
        let hosts = catalog().select(selector).unwrap();
        hosts.into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn terms_add_keep_and_take_away_in_any_order() {
        assert_eq!(chosen("web,&zone=a,!web-03"), "web-01 web-05");
        assert_eq!(chosen("!web-03,&zone=a,web"), "web-01 web-05");
        assert_eq!(chosen("db-1,web-[02:03]"), "db-1 web-02 web-03");
        assert_eq!(chosen("web-?1"), "web-01");
        assert_eq!(chosen("!web"), "db-1");
        assert_eq!(chosen("zone=c"), "");
    }

    #[test]
    fn a_term_that_names_nothing_is_a_fault_of_its_own() {
        let faults = catalog().select("wbe,web-[05:07],&zoen=a,").unwrap_err();
        let titles: Vec<_> = faults
            .iter()
            .map(|fault| format!("{} ({})", fault.title, fault.help))
            .collect();
        insta::assert_snapshot!(titles.join("\n"), @r"
        no host and no group of the inventory is called `wbe` (did you mean `web`?)
        no host and no group of the inventory is called `web-07` (did you mean `web-01`?)
        no host of the inventory has a label `zoen` (did you mean `zone`?)
        a term of this selector is empty (write terms with single commas between them, such as web,&zone=a,!web-03)
        ");
    }

    proptest! {
        #[test]
        fn a_selector_chooses_known_hosts_and_never_panics(selector in "[a-z0-9=&!,*?\\[\\]:é -]{0,30}") {
            let catalog = catalog();
            if let Ok(hosts) = catalog.select(&selector) {
                prop_assert!(hosts.iter().all(|host| catalog.hosts.contains_key(host)));
            }
        }

        #[test]
        fn taking_away_is_the_complement(picked in proptest::sample::subsequence(vec!["web-01", "web-02", "web-03", "db-1"], 1..=4)) {
            let catalog = catalog();
            let some = catalog.select(&picked.join(",")).unwrap();
            let rest = catalog.select(&picked.iter().map(|name| format!("!{name}")).collect::<Vec<_>>().join(",")).unwrap();
            prop_assert!(some.is_disjoint(&rest));
            prop_assert_eq!(some.len() + rest.len(), catalog.hosts.len());
        }
    }
}
