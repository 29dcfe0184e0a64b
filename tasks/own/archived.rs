//! Own data as a folder per class within a zip or tar file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::file::Kind;
use super::{ClassFiles, OwnFiles, SPLITS, of_classes};
use crate::files::folder::ends_in;
use crate::files::tree::Tree;
use crate::{DataError, Split};

/// `<split>/<class>/<file>`, or `<class>/<file>`; a folder around all of it is skipped. Samples
/// have the names of the unpacked archive, and so the same splits.
pub(super) fn read(archive: &Path, kind: Kind) -> Result<OwnFiles, DataError> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let root = archive.parent().unwrap_or(Path::new(""));
    let tree = Tree::open(root, vec![name.clone()])?;
    let members: Vec<String> = tree.members(&name).collect();
    let hidden = |member: &str| member.split('/').any(|part| part.starts_with('.'));
    let within = members.iter().map(|member| &member[name.len() + 1..]);
    let mut within: Vec<&str> = within.filter(|member| !hidden(member)).collect();
    within.sort_unstable();
    let around = around(&within);
    let mut classes: BTreeMap<(&str, &str), Vec<(String, String)>> = BTreeMap::new();
    let inner: Vec<&str> = within.iter().map(|member| &member[around..]).collect();
    let splits = splits(&inner);
    for member in inner {
        let parts: Vec<&str> = member.split('/').collect();
        let place = match (parts[..].len(), splits.is_empty()) {
            (2, true) => ("", parts[0]),
            (3, false) if splits.contains_key(parts[0]) => (parts[0], parts[1]),
            _ => continue,
        };
        if ends_in(member, kind.endings()) {
            let file = format!("{name}/{}{member}", &within[0][..around]);
            classes.entry(place).or_default().push((member.to_owned(), file));
        }
    }
    let split = |name: &str| splits.get(name).copied().unwrap_or(Split::Train);
    let of_class = |((part, class), files): ((&str, &str), _)| (split(part), class.to_owned(), files);
    let mut files: Vec<ClassFiles> = classes.into_iter().map(of_class).collect();
    files.sort_by_key(|(split, ..)| *split);
    let both = !splits.is_empty();
    of_classes(tree, archive, files, both)
}

/// The length of the prefix `<folder>/` around everything, if there is one.
fn around(members: &[&str]) -> usize {
    let first = members.first().and_then(|member| member.split_once('/'));
    let Some((folder, _)) = first else { return 0 };
    let length = folder.len() + 1;
    let deep = members.iter().any(|member| member.matches('/').count() >= 2);
    let inside = members
        .iter()
        .all(|member| member.get(..length) == members[0].get(..length));
    if deep && inside { length } else { 0 }
}

/// The folders that are splits, if those for training and testing both exist.
fn splits<'a>(members: &[&'a str]) -> BTreeMap<&'a str, Split> {
    let tops: BTreeSet<&str> = members
        .iter()
        .filter_map(|member| Some(member.split_once('/')?.0))
        .collect();
    let known = |name: &str| SPLITS.iter().find(|(split, _)| *split == name).map(|(_, split)| *split);
    let found: BTreeMap<&str, Split> = tops.into_iter().filter_map(|top| Some((top, known(top)?))).collect();
    let has = |split: Split| found.values().any(|found| *found == split);
    if has(Split::Train) && has(Split::Test) {
        found
    } else {
        BTreeMap::new()
    }
}
