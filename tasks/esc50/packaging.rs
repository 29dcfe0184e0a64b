//! How ESC-50 is packaged: a folder, the original zip, or the hub's parquet files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::NAME;
use super::table::{self, ClipRow, TABLE};
use crate::DataError;
use crate::files::archive::{Archive, ArchiveError, ParquetTable, Value};
use crate::files::folder::{ends_in, names};
use crate::files::tree::Tree;

/// Subfolders that may hold the data: the one in the original's archive, and the one on the hub.
const INNER: [&str; 2] = ["ESC-50-master", "data"];

/// The columns of a parquet file that say what a clip is.
const COLUMNS: [&str; 4] = ["filename", "fold", "target", "category"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packaging {
    /// `meta/esc50.csv` and `audio/`.
    Folder,
    /// The same within one zip or tar file.
    Archive,
    /// Tables with a column of files.
    Parquet,
}

/// What was found, before it is compared with any variant.
pub(super) struct Given {
    pub packaging: Packaging,
    /// The folder or archive, for messages.
    pub place: PathBuf,
    pub tree: Tree,
    /// Files that must be hashed beside the clips, or that hold them.
    pub lists: Vec<String>,
    /// The table of clips, for messages.
    pub table: PathBuf,
    pub clips: Vec<ClipRow>,
    /// The file of each clip, by stem.
    pub files: BTreeMap<String, String>,
    /// What precedes `audio/` in the names of files.
    pub prefix: String,
}

impl Given {
    /// `place` is a folder with the data set or its archive, or the archive itself.
    pub fn find(place: &Path) -> Result<Self, DataError> {
        if place.is_file() {
            let root = place.parent().unwrap_or(Path::new(""));
            let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return if ends_in(&name, &["parquet"]) {
                parquet(root, vec![name])
            } else {
                archive(root, name)
            };
        }
        let inner = INNER.iter().map(|inner| place.join(inner));
        for within in std::iter::once(place.to_owned()).chain(inner) {
            if within.join(TABLE).exists() || within.join("audio").exists() {
                return folder(&within);
            }
            if let Some(given) = archives(&within)? {
                return Ok(given);
            }
        }
        // names what the folder lacks
        folder(place)
    }
}

/// The archives in a folder that hold the data set; those of something else are left alone.
fn archives(folder: &Path) -> Result<Option<Given>, DataError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let files = names(folder)?.into_iter().filter(|(_, is_folder)| !is_folder);
    let files: Vec<String> = files.map(|(name, _)| name).collect();
    let (mut others, unopened) = of_clips(folder, &files, &["zip", "tar"], has_table);
    let (tables, damaged) = of_clips(folder, &files, &["parquet"], is_table_of_clips);
    match (others.len(), tables.is_empty()) {
        (1, true) => archive(folder, others.remove(0)).map(Some),
        // a damaged table may be one of the data set's
        (0, false) => damaged.map_or_else(|| parquet(folder, tables).map(Some), |error| Err(error.into())),
        (0, true) => unopened.or(damaged).map_or(Ok(None), |error| Err(error.into())),
        _ => {
            let archives = [others, tables].concat().join(", ");
            let reason = format!("it has several archives ({archives}); one of them must be given");
            Err(DataError::unknown_variant(NAME, folder, reason))
        }
    }
}

/// The files with these endings of which `holds` is true, and the first error of one that cannot be
/// opened.
fn of_clips(
    folder: &Path,
    files: &[String],
    endings: &[&str],
    holds: impl Fn(&Path) -> Result<bool, ArchiveError>,
) -> (Vec<String>, Option<ArchiveError>) {
    let (mut found, mut first_error) = (Vec::new(), None);
    for name in files.iter().filter(|name| ends_in(name, endings)) {
        match holds(&folder.join(name)) {
            Ok(true) => found.push(name.clone()),
            Ok(false) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    (found, first_error)
}

/// Whether an archive holds the table of clips.
fn has_table(path: &Path) -> Result<bool, ArchiveError> {
    let archive = Archive::open(path)?;
    Ok((0..archive.len()).any(|index| is_listed_table(archive.name(index))))
}

fn is_listed_table(member: &str) -> bool {
    member
        .strip_suffix(TABLE)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// Whether a table has the columns of clips.
fn is_table_of_clips(path: &Path) -> Result<bool, ArchiveError> {
    let table = ParquetTable::open(path)?;
    let columns = table.columns();
    Ok(table.has_files() && COLUMNS.iter().all(|column| columns.contains(column)))
}

fn folder(root: &Path) -> Result<Given, DataError> {
    let (table, audio) = (root.join(TABLE), root.join("audio"));
    for (path, missing) in [(&table, TABLE), (&audio, "audio folder")] {
        if !path.exists() {
            return Err(DataError::not_the_task(NAME, root, missing));
        }
    }
    let content = bridle_files::read(&table, bridle_files::TEXT).map_err(DataError::unreadable(&table))?;
    let clips = table::parse(&table, &content)?;
    let files = names(&audio)?.into_iter().map(|(name, _)| name);
    let files = table::by_stem(root, "audio/", files)?;
    Ok(Given {
        packaging: Packaging::Folder,
        place: root.to_owned(),
        tree: Tree::folder(root),
        lists: vec![TABLE.to_owned()],
        table,
        clips,
        files,
        prefix: String::new(),
    })
}

/// The folder's layout in an archive, below any folder.
fn archive(root: &Path, archive: String) -> Result<Given, DataError> {
    let place = root.join(&archive);
    let tree = Tree::open(root, vec![archive.clone()])?;
    let members: Vec<String> = tree.members(&archive).collect();
    let prefix = |name: &String| {
        Some(
            name.strip_suffix(TABLE)
                .filter(|prefix| prefix.ends_with('/'))?
                .to_owned(),
        )
    };
    let Some(prefix) = members.iter().find_map(prefix) else {
        return Err(DataError::not_the_task(NAME, &place, TABLE));
    };
    let listed = format!("{prefix}{TABLE}");
    let table = root.join(&listed);
    let clips = table::parse(&table, &tree.read(&listed)?)?;
    let audio = format!("{prefix}audio/");
    let names = members.iter().filter_map(|name| name.strip_prefix(&audio));
    let mut names: Vec<String> = names.filter(|name| !name.contains('/')).map(str::to_owned).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    if names.is_empty() {
        return Err(DataError::not_the_task(NAME, &place, "audio folder"));
    }
    let files = table::by_stem(root, &audio, names.into_iter())?;
    Ok(Given {
        packaging: Packaging::Archive,
        place,
        tree,
        lists: vec![archive],
        table,
        clips,
        files,
        prefix,
    })
}

/// One row per clip, with the columns of the original's table and one of files.
fn parquet(root: &Path, tables: Vec<String>) -> Result<Given, DataError> {
    let place = match &tables[..] {
        [one] => root.join(one),
        _ => root.to_owned(),
    };
    let (mut clips, mut files) = (Vec::new(), BTreeMap::new());
    let tree = Tree::open(root, tables.clone())?;
    for name in &tables {
        let path = root.join(name);
        let table = ParquetTable::open(&path)?;
        let column = |name| table.column(name);
        let [filename, fold, target, category] = COLUMNS;
        let columns = [column(filename)?, column(fold)?, column(target)?, column(category)?];
        for (at, file) in tree.members(name).enumerate() {
            let line = at as u64 + 1;
            let clip = clip(&columns, at).map_err(|reason| DataError::bad_row(&path, line, reason))?;
            if files.insert(clip.stem.clone(), file).is_some() {
                let reason = format!("the clip '{}' is there a second time", clip.stem);
                return Err(DataError::bad_row(&path, line, reason));
            }
            clips.push(clip);
        }
    }
    Ok(Given {
        packaging: Packaging::Parquet,
        table: place.clone(),
        place,
        tree,
        lists: tables,
        clips,
        files,
        prefix: String::new(),
    })
}

/// A row of the four columns that say what a clip is.
fn clip(columns: &[Vec<Value>; 4], at: usize) -> Result<ClipRow, String> {
    let word = |column: usize| match &columns[column][at] {
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        other => Err(format!("{other:?} is no name or number")),
    };
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    ClipRow::new(words.each_ref().map(String::as_str), at as u64 + 1)
}
