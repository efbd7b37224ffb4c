//! Local paths as they are written in the files.

use std::path::{Path, PathBuf};

/// Makes a path of a text: `~` is the user's home, and relative paths belong to `folder`, that of the file they stand in.
///
/// # Errors
/// What would be right, for an empty path, another user's home, and `~` without a home.
pub(crate) fn resolve(text: &str, folder: &Path) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("write a path".to_owned());
    }
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(folder.join(text));
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err("`~` is your own home only: write the path out".to_owned());
    }
    let home = etcetera::home_dir().map_err(|_reason| {
        "your home is not known here (set HOME): write the path out".to_owned()
    })?;
    Ok(home.join(rest.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_belong_to_the_folder_and_home_is_expanded() {
        let folder = Path::new("/etc/x");
        let home = etcetera::home_dir().unwrap();
        assert_eq!(resolve("../a", folder).unwrap(), Path::new("/etc/x/../a"));
        assert_eq!(resolve("/a", folder).unwrap(), Path::new("/a"));
        assert_eq!(resolve("~/.ssh/k", folder).unwrap(), home.join(".ssh/k"));
        assert_eq!(resolve("~", folder).unwrap(), home);
        assert!(resolve("~other/x", folder).is_err());
        assert!(resolve("", folder).is_err());
    }
}
