//! The servers of the wanted pools, wherever includes have put them.

use std::collections::{BTreeMap, BTreeSet};

use super::address::Address;
use super::snapshot::Snapshot;
use super::tree::{self, Directive, Word};
use crate::model::PoolName;

/// Includes that lie deeper include themselves.
const DEEPEST: usize = 20;

/// One `server` directive of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The file that it stands in, links followed.
    pub(super) path: String,
    /// Its words, `server` included.
    pub(super) words: Vec<Word>,
    /// Where its server is.
    pub(super) address: Address,
}

impl Entry {
    /// Its address as it is written.
    pub(super) fn text(&self) -> String {
        self.parameter(1)
    }

    /// Whether nginx sends no new requests there. `drain` is known to nginx 1.29.6 and later.
    pub(super) fn is_out(&self) -> bool {
        let mut parameters = self.words.iter().skip(2);
        parameters.any(|word| word.value == b"down" || word.value == b"drain")
    }

    /// What `weight=` says, else what nginx takes.
    pub(super) fn weight(&self) -> u32 {
        let texts = (2..self.words.len()).map(|number| self.parameter(number));
        let mut weights = texts.filter_map(|text| text.strip_prefix("weight=")?.parse().ok());
        weights.next_back().unwrap_or(1)
    }

    fn parameter(&self, number: usize) -> String {
        let word = self.words.get(number);
        word.map(|word| String::from_utf8_lossy(&word.value).into_owned())
            .unwrap_or_default()
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The servers of each wanted pool that is there, in the order of the file.
    pub(super) pools: BTreeMap<PoolName, Vec<Entry>>,
    /// Patterns of includes that the snapshot says nothing about.
    pub(super) unseen: BTreeSet<String>,
}

/// Looks through the file that the configuration names, and what it includes.
///
/// # Errors
/// A file that cannot be understood, with its line.
pub(super) fn find(
    snapshot: &Snapshot,
    config: &str,
    wanted: &[PoolName],
) -> Result<Found, String> {
    let mut search = Search {
        snapshot,
        wanted,
        found: Found::default(),
    };
    search.pattern(config, None, 0)?;
    Ok(search.found)
}

struct Search<'a> {
    snapshot: &'a Snapshot,
    wanted: &'a [PoolName],
    found: Found,
}

impl Search<'_> {
    /// Every file of an include; within `pool`, or outside of all.
    fn pattern(
        &mut self,
        pattern: &str,
        pool: Option<&PoolName>,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("{pattern}: its includes lie too deep"));
        }
        let Some(paths) = self.snapshot.globs.get(pattern) else {
            self.found.unseen.insert(pattern.to_owned());
            return Ok(());
        };
        for path in paths {
            let Some(file) = self.snapshot.files.get(path) else {
                if pool.is_some() {
                    return Err(format!("{path} belongs to the pool and may not be read"));
                }
                continue;
            };
            let tree = tree::parse(&file.bytes).map_err(|error| {
                let line = tree::line_of(&file.bytes, error.at);
                format!("{path}:{line}: {}", error.what)
            })?;
            self.directives(&tree, &file.real, pool, depth)?;
        }
        Ok(())
    }

    fn directives(
        &mut self,
        tree: &[Directive],
        path: &str,
        pool: Option<&PoolName>,
        depth: usize,
    ) -> Result<(), String> {
        for directive in tree {
            match (directive.name(), &directive.block, pool) {
                (b"include", None, _) => {
                    let pattern = String::from_utf8_lossy(directive.argument(1)).into_owned();
                    self.pattern(&self.snapshot.absolute(&pattern), pool, depth + 1)?;
                }
                (b"http" | b"stream", Some(block), None) => {
                    self.directives(block, path, None, depth)?;
                }
                (b"upstream", Some(block), None) => {
                    let name = String::from_utf8_lossy(directive.argument(1)).into_owned();
                    let Some(pool) = self.wanted.iter().find(|pool| pool.as_str() == name) else {
                        continue;
                    };
                    self.found.pools.entry(pool.clone()).or_default();
                    self.directives(block, path, Some(pool), depth)?;
                }
                (b"server", None, Some(pool)) if directive.words.len() > 1 => {
                    let entry = Entry {
                        path: path.to_owned(),
                        address: Address::read(&String::from_utf8_lossy(directive.argument(1))),
                        words: directive.words.clone(),
                    };
                    self.found
                        .pools
                        .entry(pool.clone())
                        .or_default()
                        .push(entry);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::File;
    use super::*;

    fn snapshot(files: &[(&str, &str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot {
            base: "/etc/nginx".to_owned(),
            ..Snapshot::default()
        };
        for (pattern, path, text) in files {
            snapshot
                .globs
                .entry((*pattern).to_owned())
                .or_default()
                .push((*path).to_owned());
            snapshot
                .files
                .insert((*path).to_owned(), File::of(path, text.as_bytes()));
        }
        snapshot
    }

    fn texts(found: &Found, pool: &str) -> Vec<String> {
        found.pools[&PoolName::new(pool).unwrap()]
            .iter()
            .map(Entry::text)
            .collect()
    }

    #[test]
    fn servers_of_the_named_pool_are_found_in_http_in_stream_and_in_what_is_included() {
        let main = "/etc/nginx/nginx.conf";
        let config = "http { include conf.d/*.conf; server { location / { upstream app { server no:1; } } }\n\
                      upstream other { server no:2; } } stream { upstream app { server c; } }";
        let snapshot = snapshot(&[
            (main, main, config),
            (
                "/etc/nginx/conf.d/*.conf",
                "/etc/nginx/conf.d/a.conf",
                "upstream \"app\" { server a:1; include servers; }",
            ),
            (
                "/etc/nginx/servers",
                "/etc/nginx/servers",
                "server b weight=3 down;",
            ),
        ]);
        let wanted = [
            PoolName::new("app").unwrap(),
            PoolName::new("nope").unwrap(),
        ];
        let found = find(&snapshot, main, &wanted).unwrap();
        assert_eq!(texts(&found, "app"), ["a:1", "b", "c"]);
        assert_eq!((found.pools.len(), found.unseen.len()), (1, 0));
        let b = &found.pools[&wanted[0]][1];
        assert_eq!(
            (b.is_out(), b.weight(), b.path.as_str()),
            (true, 3, "/etc/nginx/servers")
        );
        assert_eq!(found.pools[&wanted[0]][0].weight(), 1);
    }

    #[test]
    fn what_is_not_known_yet_is_asked_for_and_what_never_ends_is_refused() {
        let main = "/etc/nginx/nginx.conf";
        let first = snapshot(&[(main, main, "include x/*.conf; include /abs;")]);
        let found = find(&first, main, &[]).unwrap();
        assert_eq!(
            found.unseen.into_iter().collect::<Vec<_>>(),
            ["/abs", "/etc/nginx/x/*.conf"]
        );
        let circle = snapshot(&[(main, main, "include nginx.conf;")]);
        assert!(find(&circle, main, &[]).unwrap_err().contains("too deep"));
        let broken = snapshot(&[(main, main, "a;\nb {")]);
        assert!(
            find(&broken, main, &[])
                .unwrap_err()
                .starts_with("/etc/nginx/nginx.conf:2: ")
        );
    }
}
