//! Where a copy keeps its clips: files named by YouTube id, in any folder below the data set's.

use std::collections::BTreeMap;
use std::path::Path;

use super::segments::ID;
use crate::DataError;
use crate::listed::{ends_in, names};

const ENDINGS: [&str; 5] = ["wav", "flac", "ogg", "oga", "wave"];
/// Folders within folders, so that a link to a folder above ends.
const DEPTH: usize = 4;

/// The clips by id, relative to `folder`. Of several files for one id, the first by name.
pub(super) fn find(folder: &Path) -> Result<BTreeMap<String, String>, DataError> {
    let mut clips = BTreeMap::new();
    let mut open = vec![(String::new(), DEPTH)];
    while let Some((within, depth)) = open.pop() {
        for (name, is_folder) in names(&folder.join(&within))? {
            let path = if within.is_empty() { name.clone() } else { format!("{within}/{name}") };
            match (is_folder, depth) {
                (true, 0) => {}
                (true, depth) => open.push((path, depth - 1)),
                (false, _) if ends_in(&name, &ENDINGS) => {
                    for id in ids(&name) {
                        let kept = clips.entry(id.to_owned()).or_insert_with(|| path.clone());
                        if path < *kept {
                            kept.clone_from(&path);
                        }
                    }
                }
                (false, _) => {}
            }
        }
    }
    Ok(clips)
}

/// The ids that a file may be named by: `<id>.wav`, `Y<id>.wav`, and both with times after the id (`<id>_30000_40000`,
/// `<id>_30.000`). An id may itself begin with Y and hold underscores, so that there can be two.
fn ids(name: &str) -> impl Iterator<Item = &str> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    [Some(stem), stem.strip_prefix('Y')].into_iter().flatten().filter_map(|stem| {
        let (id, rest) = stem.split_at_checked(ID)?;
        (rest.is_empty() || rest.starts_with(['_', '.', '-', ' '])).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_the_names_that_copies_use() {
        let of = |name| ids(name).collect::<Vec<_>>();
        assert_eq!(of("-0RWZT-miFs.wav"), ["-0RWZT-miFs"]);
        assert_eq!(of("Y-0RWZT-miFs.wav"), ["-0RWZT-miFs"]);
        assert_eq!(of("-0RWZT-miFs_420000_430000.flac"), ["-0RWZT-miFs"]);
        assert_eq!(of("Y-0RWZT-miFs_420.000.ogg"), ["-0RWZT-miFs"]);
        assert_eq!(of("YabcdefghiJ.wav"), ["YabcdefghiJ"]);
        assert_eq!(of("Yabcdefghij_30000.wav"), ["Yabcdefghij", "abcdefghij_"][..1]);
        assert_eq!(of("Yabcdefghi__.wav"), ["Yabcdefghi_", "abcdefghi__"]);
        assert!(of("notes.wav").is_empty() && of("éééééé.wav").is_empty());
    }
}
