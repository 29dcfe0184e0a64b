//! What lies in a folder: a known variant of ESC-50 that passes every check, or, if that is allowed, different data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::ThreadPool;

use super::{FOLDS, NAME, table};
use crate::variant::Manifest;
use crate::{DataError, Progress};

pub(super) const TABLE: &str = "meta/esc50.csv";

/// A form of the data that is known.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    pub name: &'static str,
    /// Every ending that its sound files have.
    pub endings: &'static [&'static str],
    pub clips: usize,
    pub sample_rate: u32,
    pub samples: usize,
    /// Its files, where they were seen.
    pub manifest: Option<&'static str>,
}

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        name: "16k-flac-ogg",
        endings: &["flac", "ogg"],
        clips: 2_000,
        sample_rate: 16_000,
        samples: 80_000,
        manifest: Some(include_str!("16k-flac-ogg.sha256")),
    },
    // no hash is pinned: the archive's own was not at hand when this was written
    Variant {
        name: "original-44k",
        endings: &["wav"],
        clips: 2_000,
        sample_rate: 44_100,
        samples: 220_500,
        manifest: None,
    },
];

pub(super) const CLASSES: [&str; 50] = [
    "dog",
    "rooster",
    "pig",
    "cow",
    "frog",
    "cat",
    "hen",
    "insects",
    "sheep",
    "crow",
    "rain",
    "sea_waves",
    "crackling_fire",
    "crickets",
    "chirping_birds",
    "water_drops",
    "wind",
    "pouring_water",
    "toilet_flush",
    "thunderstorm",
    "crying_baby",
    "sneezing",
    "clapping",
    "breathing",
    "coughing",
    "footsteps",
    "laughing",
    "brushing_teeth",
    "snoring",
    "drinking_sipping",
    "door_wood_knock",
    "mouse_click",
    "keyboard_typing",
    "door_wood_creaks",
    "can_opening",
    "washing_machine",
    "vacuum_cleaner",
    "clock_alarm",
    "clock_tick",
    "glass_breaking",
    "helicopter",
    "chainsaw",
    "siren",
    "car_horn",
    "engine",
    "train",
    "church_bells",
    "airplane",
    "fireworks",
    "hand_saw",
];

/// A clip with the file it lies in.
pub(super) struct Clip {
    pub row: table::Row,
    /// Relative to the data set's folder; `None` only in different data.
    pub file: Option<String>,
}

/// What the folder holds: known data, verified, or different data.
pub(super) struct Found {
    pub variant: Option<Variant>,
    pub clips: Vec<Clip>,
    pub classes: Vec<String>,
    pub manifest: Manifest,
}

/// Known data if it passes every check; else, if that is allowed, different data.
pub(super) fn find(
    folder: &Path,
    variants: &[Variant],
    allow_different: bool,
    pool: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Found, DataError> {
    let table_path = folder.join(TABLE);
    let audio = folder.join("audio");
    for (path, missing) in [(&table_path, TABLE), (&audio, "audio folder")] {
        if !path.exists() {
            return Err(DataError::NotTheTask { task: NAME, path: folder.to_owned(), missing });
        }
    }
    let rows = table::read(&table_path)?;
    let classes = table::classes(&table_path, &rows)?;
    let files = table::files(&audio)?;
    let of_row = |row: table::Row| Clip { file: files.get(&row.stem).map(|name| format!("audio/{name}")), row };
    let clips: Vec<Clip> = rows.into_iter().map(of_row).collect();
    let known = known_variant(folder, variants, &clips, &classes, files.values());
    let names = clips.iter().filter_map(|clip| clip.file.clone()).chain([TABLE.to_owned()]).collect();
    let manifest = Manifest::of_files(folder, names, pool, progress)?;
    let verified = known.and_then(|variant| {
        let pinned = variant.manifest.map(Manifest::parse);
        pinned.map_or(Ok(()), |pinned| pinned.verify(&manifest, folder, variant.name)).map(|()| variant)
    });
    let variant = match verified {
        Ok(variant) => Some(variant),
        Err(_) if allow_different => None,
        Err(error) => return Err(error),
    };
    Ok(Found { variant, clips, classes, manifest })
}

/// The variant whose layout this is, or the first thing that is against it.
fn known_variant<'a>(
    folder: &Path,
    variants: &[Variant],
    clips: &[Clip],
    classes: &[String],
    files: impl Iterator<Item = &'a String> + Clone,
) -> Result<Variant, DataError> {
    let listed = |name: &&String| clips.iter().any(|clip| clip.file.as_ref().is_some_and(|file| file[6..] == **name));
    if files.clone().count() > clips.len()
        && let Some(extra) = files.clone().find(|name| !listed(name))
    {
        return Err(DataError::UnlistedFile { path: folder.join("audio").join(extra), not_in: TABLE.to_owned() });
    }
    let ending = |name: &'a String| name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let fits = |variant: &&Variant| files.clone().all(|name| variant.endings.contains(&ending(name)));
    let Some(variant) = variants.iter().find(fits) else {
        let known: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
        let reason = format!("the file endings in audio are those of none of {}", known.join(", "));
        return Err(DataError::UnknownVariant { task: NAME, path: folder.to_owned(), reason });
    };
    if let Some(clip) = clips.iter().find(|clip| clip.file.is_none()) {
        let path = folder.join(expected_file(variant, &clip.row));
        return Err(DataError::MissingFile { path, listed_in: format!("{TABLE}, line {},", clip.row.line) });
    }
    check_table(&folder.join(TABLE), clips, classes, variant.clips)?;
    Ok(*variant)
}

/// Where a clip lies in a variant, as far as that can be known; the table names every clip .wav.
pub(super) fn expected_file(variant: &Variant, row: &table::Row) -> String {
    let pinned = variant.manifest.map(Manifest::parse);
    let mut candidates = variant.endings.iter().map(|ending| format!("audio/{}.{ending}", row.stem));
    let known = |name: &String| pinned.as_ref().is_none_or(|pinned| pinned.get(name).is_some());
    candidates.find(known).unwrap_or_else(|| format!("audio/{}.wav", row.stem))
}

/// The official table: so many clips, evenly spread over classes and folds, named after their fold and class.
fn check_table(path: &Path, clips: &[Clip], classes: &[String], expected: usize) -> Result<(), DataError> {
    let count = |what: String, expected: usize, found: usize| match expected == found {
        true => Ok(()),
        false => Err(DataError::WrongCount { path: path.to_owned(), what, expected, found }),
    };
    for Clip { row, .. } in clips {
        let bad = |reason| Err(DataError::BadRow { path: path.to_owned(), line: row.line, reason });
        if row.fold > FOLDS {
            return bad(format!("the fold {} is not from 1 to {FOLDS}", row.fold));
        }
        if CLASSES.get(row.target) != Some(&row.category.as_str()) {
            return bad(format!("target {} is not '{}' in ESC-50", row.target, row.category));
        }
        let named_after = row.stem.starts_with(&format!("{}-", row.fold)) && row.stem.ends_with(&format!("-{}", row.target));
        if !named_after {
            return bad(format!("the name '{}' is not that of fold {} and target {}", row.stem, row.fold, row.target));
        }
    }
    count("clips".to_owned(), expected, clips.len())?;
    count("classes".to_owned(), CLASSES.len(), classes.len())?;
    for fold in 1..=FOLDS {
        let found = clips.iter().filter(|clip| clip.row.fold == fold).count();
        count(format!("clips in fold {fold}"), expected / usize::from(FOLDS), found)?;
    }
    for (target, class) in classes.iter().enumerate() {
        let found = clips.iter().filter(|clip| clip.row.target == target).count();
        count(format!("clips of class {class}"), expected / classes.len(), found)?;
    }
    Ok(())
}

/// The first `n` clips per class, taking the folds of a class in turn: the first of each fold, the second of each, and
/// so on.
pub(super) fn subset(clips: Vec<Clip>, n: usize) -> Vec<Clip> {
    let mut in_fold: BTreeMap<(usize, u8), usize> = BTreeMap::new();
    let mut of_class: BTreeMap<usize, Vec<(usize, u8, usize)>> = BTreeMap::new();
    for (index, Clip { row, .. }) in clips.iter().enumerate() {
        let turn = in_fold.entry((row.target, row.fold)).or_insert(0);
        of_class.entry(row.target).or_default().push((*turn, row.fold, index));
        *turn += 1;
    }
    let mut kept = BTreeSet::new();
    for mut turns in of_class.into_values() {
        turns.sort_unstable();
        kept.extend(turns.into_iter().take(n).map(|(_, _, index)| index));
    }
    clips.into_iter().enumerate().filter(|(index, _)| kept.contains(index)).map(|(_, clip)| clip).collect()
}
