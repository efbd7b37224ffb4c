//! What has to be run with privilege on a host, and whether that is allowed (F2).

use super::Become;

/// What one host has to allow, and what of it `sudo` would not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// Who rollgate logs in as.
    pub user: String,
    /// Everything that is run with privilege, as a line for `sudo` or `doas` has it.
    pub needed: Vec<String>,
    /// What of that `sudo` does not allow without a password. `doas` cannot be asked.
    pub lacking: Vec<String>,
}

impl Rights {
    /// The line that allows all of it: of `sudoers`, or several of `doas.conf`; `None` where nothing has to be allowed.
    pub fn line(&self, r#become: Become) -> Option<String> {
        if self.needed.is_empty() {
            return None;
        }
        match r#become {
            Become::Sudo => Some(self.sudoers(&self.needed)),
            Become::Doas => Some(self.needed.join("\n")),
            Become::None | Become::SudoAll => None,
        }
    }

    /// What is wrong, with the line that mends it; `None` where nothing is.
    pub fn complaint(&self) -> Option<(String, String)> {
        if self.lacking.is_empty() {
            return None;
        }
        let what = format!(
            "sudo does not let {} run all that is needed without a password",
            self.user
        );
        let line = self.sudoers(&self.lacking);
        Some((what, format!("add to a file in /etc/sudoers.d: {line}")))
    }

    fn sudoers(&self, commands: &[String]) -> String {
        format!("{} ALL=(root) NOPASSWD: {}", self.user, commands.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(lacking: &[&str]) -> Rights {
        Rights {
            user: "deploy".to_owned(),
            needed: vec!["/bin/a b".to_owned(), "/bin/c".to_owned()],
            lacking: lacking.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    #[test]
    fn one_line_allows_all_that_is_needed() {
        let line = |r#become| rights(&[]).line(r#become);
        assert_eq!(
            line(Become::Sudo).as_deref(),
            Some("deploy ALL=(root) NOPASSWD: /bin/a b, /bin/c")
        );
        assert_eq!(line(Become::Doas).as_deref(), Some("/bin/a b\n/bin/c"));
        assert_eq!(line(Become::None), None);
        assert_eq!(Rights::default().line(Become::Sudo), None);
    }

    #[test]
    fn what_is_lacking_is_said_with_the_line_that_mends_it() {
        assert_eq!(rights(&[]).complaint(), None);
        let (what, mend) = rights(&["/bin/c"]).complaint().unwrap();
        assert!(what.contains("deploy"), "{what}");
        assert!(
            mend.ends_with("deploy ALL=(root) NOPASSWD: /bin/c"),
            "{mend}"
        );
    }
}
