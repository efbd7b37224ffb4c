//! What an archive would put on a host: pure, and strict. Every name is made one of the release's own, or refused.

use std::collections::{BTreeMap, BTreeSet};

/// The list that a release made of an archive carries: what lies in it, with digests.
pub(super) const LIST: &str = crate::far::stage::LIST;

/// Links followed at most before a chain counts as a circle. Source: Linux, `path_resolution(7)`: 40.
const LINKS: usize = 40;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// A plain file.
    File,
    /// A symbolic link with its target.
    Link(String),
}

/// One entry as the archive has it, its name not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    /// Its name.
    pub(super) name: Vec<u8>,
    /// What it is; else what it is called in a refusal.
    pub(super) kind: Result<Kind, String>,
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its time, in seconds since 1970.
    pub(super) mtime: u64,
    /// Bytes of a file.
    pub(super) size: u64,
}

/// One thing that is put on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// What it is.
    pub(super) kind: Kind,
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its time.
    pub(super) mtime: u64,
    /// Bytes of a file.
    pub(super) size: u64,
    /// Which entry of the archive it was; none made the folders above an entry that has no entry of their own.
    pub(super) index: Option<usize>,
}

/// Everything that is put on a host, by its path inside the release.
pub(super) type Tree = BTreeMap<String, Node>;

/// The tree of an archive; `shared` are paths that are links into the shared folder, so nothing may lie there.
///
/// # Errors
/// Everything that is wrong, each with the entry's name.
pub(super) fn tree(entries: &[Raw], shared: &[String]) -> Result<Tree, Vec<String>> {
    let mut faults = Vec::new();
    let mut named = Vec::new();
    for (index, raw) in entries.iter().enumerate() {
        match named_entry(raw) {
            Ok(Some((path, kind))) => named.push((path, kind, index)),
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
    }
    strip(&mut named);
    let mut tree = Tree::new();
    for (path, kind, index) in named {
        let Some(raw) = entries.get(index) else {
            continue;
        };
        let node = node(raw, kind, index);
        if let Err(fault) = insert(&mut tree, path, node) {
            faults.push(fault);
        }
    }
    faults.extend(below_links(&tree));
    faults.extend(links_out(&tree));
    for path in shared {
        faults.extend(make_room(&mut tree, path));
    }
    if faults.is_empty() && !tree.values().any(|node| node.kind == Kind::File) {
        faults.push("there is no file in it".to_owned());
    }
    if faults.is_empty() {
        Ok(tree)
    } else {
        Err(faults)
    }
}

fn named_entry(raw: &Raw) -> Result<Option<(String, Kind)>, String> {
    let said = || {
        String::from_utf8_lossy(&raw.name)
            .escape_debug()
            .to_string()
    };
    let path = clean(&raw.name).map_err(|why| format!("`{}` {why}", said()))?;
    let kind = raw
        .kind
        .clone()
        .map_err(|what| format!("`{}` is {what}", said()))?;
    match (path, kind) {
        (None, Kind::Folder) => Ok(None),
        (None, Kind::File | Kind::Link(_)) => Err(format!("`{}` has no name", said())),
        (Some(_), Kind::Link(target)) if !is_text(&target) || target.is_empty() => Err(format!(
            "`{}` is a link whose target is empty or has control characters",
            said()
        )),
        (Some(path), kind) => Ok(Some((path, kind))),
    }
}

/// A name as a path inside the release; `None` for the archive's own top.
///
/// # Errors
/// What is wrong with it.
pub(super) fn clean(name: &[u8]) -> Result<Option<String>, &'static str> {
    let text = std::str::from_utf8(name).map_err(|_not| "is not a name in UTF-8")?;
    if text.starts_with('/') {
        return Err("is an absolute path");
    }
    if !is_text(text) {
        return Err("has control characters in its name");
    }
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return Err("leads out of the release with `..`");
    }
    if parts.iter().any(|part| part.len() > 255) || text.len() > 4000 {
        return Err("has a name that is too long");
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn is_text(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Takes one folder away from the top, where everything lies in it.
fn strip(named: &mut Vec<(String, Kind, usize)>) {
    let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let tops: BTreeSet<String> = named.iter().map(|(path, _, _)| top(path)).collect();
    let Some(only) = tops.first().filter(|_| tops.len() == 1) else {
        return;
    };
    let is_folder = |(path, kind, _): &(String, Kind, usize)| path != only || *kind == Kind::Folder;
    if !named.iter().all(is_folder) {
        return;
    }
    named.retain(|(path, _, _)| path != only);
    for (path, _, _) in named {
        let inner = path.split_once('/').map(|(_, inner)| inner.to_owned());
        *path = inner.unwrap_or_default();
    }
}

fn node(raw: &Raw, kind: Kind, index: usize) -> Node {
    // A folder that its owner cannot write in could not be filled, nor removed; a file that he cannot read could not be checked.
    let mode = match kind {
        Kind::Folder => raw.mode & 0o777 | 0o700,
        Kind::File => raw.mode & 0o777 | 0o400,
        Kind::Link(_) => 0o777,
    };
    let size = if kind == Kind::File { raw.size } else { 0 };
    Node {
        kind,
        mode,
        mtime: raw.mtime,
        size,
        index: Some(index),
    }
}

fn insert(tree: &mut Tree, path: String, node: Node) -> Result<(), String> {
    let first = path.split('/').next().unwrap_or_default();
    if first == LIST {
        return Err(format!("`{path}` has a name that rollgate needs itself"));
    }
    for (at, _) in path.match_indices('/') {
        let above = path.get(..at).unwrap_or_default().to_owned();
        tree.entry(above).or_insert_with(|| Node {
            kind: Kind::Folder,
            mode: 0o755,
            mtime: node.mtime,
            size: 0,
            index: None,
        });
    }
    match tree.get(&path) {
        Some(there) if there.kind == Kind::Folder && node.kind == Kind::Folder => {}
        Some(_) => return Err(format!("`{path}` is there twice")),
        None => {}
    }
    tree.insert(path, node);
    Ok(())
}

/// Entries below something that is no folder: what is written there would go where a link points.
fn below_links(tree: &Tree) -> Vec<String> {
    tree.keys()
        .filter_map(|path| {
            let mut above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            above
                .find(|above| {
                    tree.get(*above)
                        .is_some_and(|node| node.kind != Kind::Folder)
                })
                .map(|above| format!("`{path}` lies below `{above}`, which is no folder"))
        })
        .collect()
}

fn links_out(tree: &Tree) -> Vec<String> {
    tree.iter()
        .filter_map(|(path, node)| match &node.kind {
            Kind::Link(target) if !stays_inside(tree, path, target) => Some(format!(
                "`{path}` is a link that leads out of the release, to `{target}`"
            )),
            Kind::Link(_) | Kind::Folder | Kind::File => None,
        })
        .collect()
}

/// Whether a link's target lies inside of the release, whatever other links it leads over.
fn stays_inside(tree: &Tree, path: &str, target: &str) -> bool {
    let mut place: Vec<String> = path.split('/').map(str::to_owned).collect();
    place.pop();
    // What is still to be walked, the next part last.
    let mut todo: Vec<String> = Vec::new();
    let push = |todo: &mut Vec<String>, target: &str| {
        todo.extend(target.split('/').rev().map(str::to_owned));
    };
    if target.starts_with('/') {
        return false;
    }
    push(&mut todo, target);
    let mut followed = 0;
    while let Some(part) = todo.pop() {
        match part.as_str() {
            "" | "." => {}
            ".." => {
                if place.pop().is_none() {
                    return false;
                }
            }
            _ => {
                place.push(part);
                if let Some(Kind::Link(next)) =
                    tree.get(&place.join("/")).map(|node| node.kind.clone())
                {
                    followed += 1;
                    if followed > LINKS || next.starts_with('/') {
                        return false;
                    }
                    place.pop();
                    push(&mut todo, &next);
                }
            }
        }
    }
    true
}

/// Takes an empty folder away where a link into the shared folder is to be; what a version control system needs to keep the folder
/// does not count.
fn make_room(tree: &mut Tree, shared: &str) -> Option<String> {
    let inside = format!("{shared}/");
    let is_keeper = |path: &str, node: &Node| {
        let name = path.rsplit('/').next().unwrap_or_default();
        node.kind == Kind::Folder || (node.size == 0 && matches!(name, ".gitkeep" | ".keep"))
    };
    let in_the_way = tree
        .iter()
        .find(|(path, node)| {
            (path.starts_with(&inside) && !is_keeper(path, node))
                || (**path == shared && node.kind != Kind::Folder)
        })
        .map(|(path, _)| path.clone());
    if let Some(path) = in_the_way {
        return Some(format!(
            "`{path}` would be hidden by the link of `shared = [\"{shared}\"]`: take it out of one of both"
        ));
    }
    tree.retain(|path, _| path != shared && !path.starts_with(&inside));
    None
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
