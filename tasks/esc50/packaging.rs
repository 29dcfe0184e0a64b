//! The forms in which ESC-50 is given: a folder, the original zip, and parquet files as the hub has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::known::TABLE;
use super::{NAME, table};
use crate::DataError;
use crate::files::archive::{Table, Value};
use crate::files::folder::{ends_in, names};
use crate::files::tree::Tree;

/// Folders that the data may lie in, below the one given: that of the original's archive, and that of the hub's files.
const INNER: [&str; 2] = ["ESC-50-master", "data"];

/// How clips and table lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `meta/esc50.csv` and `audio/`.
    Folder,
    /// The same within one zip or tar file.
    Packed,
    /// Tables with a column of files.
    Parquet,
}

/// What was given, before anything is held to a variant.
pub(super) struct Given {
    pub form: Form,
    /// What was looked at.
    pub place: PathBuf,
    pub tree: Tree,
    /// The table of clips, for messages.
    pub table: PathBuf,
    pub rows: Vec<table::Row>,
    /// The file of each clip, by stem.
    pub files: BTreeMap<String, String>,
    /// What stands before `audio/` in the names of files.
    pub within: String,
}

impl Given {
    /// A folder with the data set or its archive, or the archive itself.
    pub fn look(place: &Path) -> Result<Self, DataError> {
        if place.is_file() {
            let root = place.parent().unwrap_or(Path::new(""));
            let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return if ends_in(&name, &["parquet"]) {
                parquet(root, vec![name])
            } else {
                packed(root, name)
            };
        }
        let inner = INNER.iter().map(|inner| place.join(inner));
        for within in std::iter::once(place.to_owned()).chain(inner) {
            if has_layout(&within) {
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

fn has_layout(folder: &Path) -> bool {
    folder.join(TABLE).exists() || folder.join("audio").exists()
}

/// The archives that lie in a folder, if there are any that could be the data set.
fn archives(folder: &Path) -> Result<Option<Given>, DataError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let files = names(folder)?
        .into_iter()
        .filter(|(_, is_folder)| !is_folder)
        .map(|(name, _)| name);
    let (tables, others): (Vec<String>, Vec<String>) = files
        .filter(|name| ends_in(name, &["parquet", "zip", "tar"]))
        .partition(|name| ends_in(name, &["parquet"]));
    match (&others[..], tables.is_empty()) {
        ([], true) => Ok(None),
        ([], false) => parquet(folder, tables).map(Some),
        ([one], true) => packed(folder, one.clone()).map(Some),
        _ => {
            let reason = format!(
                "it has several archives ({}); one of them must be given",
                [others, tables].concat().join(", ")
            );
            Err(DataError::UnknownVariant {
                task: NAME,
                path: folder.to_owned(),
                reason,
            })
        }
    }
}

fn folder(root: &Path) -> Result<Given, DataError> {
    let (table, audio) = (root.join(TABLE), root.join("audio"));
    for (path, missing) in [(&table, TABLE), (&audio, "audio folder")] {
        if !path.exists() {
            return Err(DataError::NotTheTask {
                task: NAME,
                path: root.to_owned(),
                missing,
            });
        }
    }
    let rows = table::read(&table)?;
    let files = table::files(&audio)?
        .into_iter()
        .map(|(stem, name)| (stem, format!("audio/{name}")))
        .collect();
    let (tree, within) = (Tree::folder(root), String::new());
    Ok(Given {
        form: Form::Folder,
        place: root.to_owned(),
        tree,
        table,
        rows,
        files,
        within,
    })
}

/// The layout of the folder in an archive, below any folder.
fn packed(root: &Path, archive: String) -> Result<Given, DataError> {
    let place = root.join(&archive);
    let tree = Tree::open(root, vec![archive.clone()])?;
    let members: Vec<String> = tree.members(&archive).collect();
    let mut tables = members
        .iter()
        .filter(|name| name.strip_suffix(TABLE).is_some_and(|before| before.ends_with('/')));
    let Some(listed) = tables.next() else {
        return Err(DataError::NotTheTask {
            task: NAME,
            path: place,
            missing: TABLE,
        });
    };
    let within = listed.strip_suffix(TABLE).unwrap_or_default().to_owned();
    let table = root.join(listed);
    let rows = table::parse(&table, &tree.read(listed)?)?;
    let audio = format!("{within}audio/");
    let mut clips: Vec<&str> = members.iter().filter_map(|name| name.strip_prefix(&audio)).collect();
    clips.retain(|name| !name.starts_with('.') && !name.contains('/'));
    clips.sort_unstable();
    if clips.is_empty() {
        return Err(DataError::NotTheTask {
            task: NAME,
            path: place,
            missing: "audio folder",
        });
    }
    let names = clips.into_iter().map(str::to_owned).collect();
    let files = table::by_stem(&root.join(&audio), names)?;
    let files = files
        .into_iter()
        .map(|(stem, name)| (stem, format!("{audio}{name}")))
        .collect();
    Ok(Given {
        form: Form::Packed,
        place,
        tree,
        table,
        rows,
        files,
        within,
    })
}

/// One row per clip, with the columns of the original's table and one of files.
fn parquet(root: &Path, tables: Vec<String>) -> Result<Given, DataError> {
    let place = match &tables[..] {
        [one] => root.join(one),
        _ => root.to_owned(),
    };
    let (mut rows, mut files) = (Vec::new(), BTreeMap::new());
    let tree = Tree::open(root, tables.clone())?;
    for name in &tables {
        let path = root.join(name);
        let columns = Columns::read(&Table::open(&path)?)?;
        for (at, file) in tree.members(name).enumerate() {
            let row = columns.row(at).map_err(|reason| DataError::BadRow {
                path: path.clone(),
                line: at as u64 + 1,
                reason,
            });
            let row = row?;
            if files.insert(row.stem.clone(), file).is_some() {
                let reason = format!("the clip '{}' is there a second time", row.stem);
                return Err(DataError::BadRow {
                    path,
                    line: row.line,
                    reason,
                });
            }
            rows.push(row);
        }
    }
    let (table, within) = (place.clone(), String::new());
    Ok(Given {
        form: Form::Parquet,
        place,
        tree,
        table,
        rows,
        files,
        within,
    })
}

/// The columns that say what a clip is.
struct Columns([Vec<Value>; 4]);

impl Columns {
    fn read(table: &Table) -> Result<Self, DataError> {
        let column = |name| table.column(name);
        Ok(Self([
            column("filename")?,
            column("fold")?,
            column("target")?,
            column("category")?,
        ]))
    }

    /// A row of the table, numbered from 1.
    fn row(&self, at: usize) -> Result<table::Row, String> {
        let word = |column: usize| match &self.0[column][at] {
            Value::Text(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            other => Err(format!("{other:?} is no name or number")),
        };
        let words = [word(0)?, word(1)?, word(2)?, word(3)?];
        table::row(words.each_ref().map(String::as_str), at as u64 + 1)
    }
}
