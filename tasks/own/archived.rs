//! Own data as a folder per class within a zip or tar file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::file::Kind;
use super::{ClassFiles, Layout, OwnFiles, Part, of_classes};
use crate::DataError;
use crate::files::folder::ends_in;
use crate::files::tree::Tree;

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
    let inner: Vec<&str> = within.iter().map(|member| &member[around..]).collect();
    let tops: BTreeSet<&str> = inner
        .iter()
        .filter_map(|member| Some(member.split_once('/')?.0))
        .collect();
    let layout = Layout::of(archive, tops.into_iter())?;
    let part = |top: &str| {
        layout
            .parts
            .iter()
            .flatten()
            .find(|(name, _)| *name == top)
            .map(|(_, part)| *part)
    };
    let mut classes: BTreeMap<(Part, &str), Vec<(String, String)>> = BTreeMap::new();
    for member in inner {
        let parts: Vec<&str> = member.split('/').collect();
        let place = match (parts[..].len(), layout.parts.is_none()) {
            (2, true) => Some((Part::Train, parts[0])),
            (3, false) => part(parts[0]).map(|part| (part, parts[1])),
            _ => None,
        };
        if let Some(place) = place.filter(|_| ends_in(member, kind.endings())) {
            let file = format!("{name}/{}{member}", &within[0][..around]);
            classes.entry(place).or_default().push((member.to_owned(), file));
        }
    }
    let of_class = |((part, class), files): ((Part, &str), _)| (part, class.to_owned(), files);
    let files: Vec<ClassFiles> = classes.into_iter().map(of_class).collect();
    of_classes(tree, archive, files, &layout)
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
