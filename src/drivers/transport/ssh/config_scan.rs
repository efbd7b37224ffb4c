//! Whether ssh(1) need be asked about a host at all: most have nothing in `~/.ssh/config`, and a process for each costs time.
//! Source: `ssh_config(5)`.

use std::path::{Path, PathBuf};

use wildmatch::WildMatch;

/// How deep files may include each other, as in ssh(1).
const DEEPEST: u32 = 16;

/// Keywords that change how a host is reached. A file without them is not asked about, which saves a process for each host.
const KEYWORDS: [&str; 11] = [
    "hostname",
    "user",
    "port",
    "identityfile",
    "identitiesonly",
    "identityagent",
    "userknownhostsfile",
    "globalknownhostsfile",
    "hostkeyalias",
    "proxyjump",
    "proxycommand",
];

/// Whether a file holds a line that could change how `host` is reached. May say yes too often, never too seldom.
pub(super) fn may_matter(file: &Path, host: &str, home: Option<&Path>) -> bool {
    matters(file, host, home, DEEPEST)
}

fn matters(file: &Path, host: &str, home: Option<&Path>, depth: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else {
        // A file that exists and cannot be read is ssh(1)'s to complain about.
        return file.exists();
    };
    let mut applies = true;
    for line in text.lines() {
        let line = line.trim();
        let (keyword, value) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
        let value = value.trim_start_matches([' ', '\t', '=']).trim();
        match keyword.to_ascii_lowercase().as_str() {
            "match" => return true,
            "host" => applies = host_line_fits(value, host),
            "include" if depth == 0 => return true,
            "include" => {
                let included = includes(value, file, home);
                if included.is_none_or(|files| {
                    files
                        .iter()
                        .any(|file| matters(file, host, home, depth - 1))
                }) {
                    return true;
                }
            }
            other if applies && KEYWORDS.contains(&other) => return true,
            _ => {}
        }
    }
    false
}

fn host_line_fits(patterns: &str, host: &str) -> bool {
    let mut fits = false;
    for pattern in patterns.split_whitespace() {
        let pattern = pattern.trim_matches('"');
        match pattern.strip_prefix('!') {
            Some(negated) if WildMatch::new(negated).matches(host) => return false,
            Some(_) => {}
            None => fits |= WildMatch::new(pattern).matches(host),
        }
    }
    fits
}

/// The files of an `Include` line; `None` when they cannot be told without ssh(1): then the line may matter.
fn includes(value: &str, file: &Path, home: Option<&Path>) -> Option<Vec<PathBuf>> {
    let mut found = Vec::new();
    for word in value.split_whitespace() {
        let word = word.trim_matches('"');
        let path = match word.strip_prefix("~/") {
            Some(rest) => home?.join(rest),
            // Relative names are beside the including file, as in ssh(1): ~/.ssh or /etc/ssh.
            None => file.parent()?.join(word),
        };
        let name = path.file_name()?.to_str()?;
        let folder = path.parent()?;
        if folder.to_string_lossy().contains(['*', '?', '[']) || name.contains('[') {
            return None;
        }
        if !name.contains(['*', '?']) {
            found.push(path);
            continue;
        }
        let pattern = WildMatch::new(name);
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if pattern.matches(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_change_the_way_to_the_host_matter() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let included = folder.path().join("more.conf");
        let matter = |text: &str, more: &str| {
            std::fs::write(&file, text).unwrap();
            std::fs::write(&included, more).unwrap();
            may_matter(&file, "web-1", None)
        };
        for text in [
            "User me",
            "Host web-*\n  HostName 10.0.0.1",
            "Host web-1\nport=2222",
            "host \"web-?\"\n\tProxyJump b",
            "Match all\n  ForwardAgent no",
            "Include [a-z].conf",
        ] {
            assert!(matter(text, ""), "{text}");
        }
        for text in [
            "",
            "Host *\n  SendEnv LANG",
            "Host db-*\n  User x",
            "Host * !web-1\n  User x",
            "# User me",
            "Include *.conf",
            "Include absent.d/*.conf",
        ] {
            assert!(!matter(text, ""), "{text}");
        }
        assert!(matter("Include *.conf", "Host *\nUser x"));
        assert!(matter("Include more.conf", "Match host x"));
    }

    #[test]
    fn files_that_include_each_other_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "Include config").unwrap();
        assert!(may_matter(&file, "web-1", None));
    }
}
