//! What was found: a known variant of ESC-50 that passes every check, or, if that is allowed, different data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::ThreadPool;

use super::packaging::{Form, Given};
use super::{FOLDS, NAME, table};
use crate::files::hashes::{KnownHashes, Stamp};
use crate::files::manifest::Manifest;
use crate::files::tree::Tree;
use crate::{DataError, OpenRequest, Progress};

pub(super) const TABLE: &str = "meta/esc50.csv";

/// A form of the data that is known.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    pub name: &'static str,
    pub form: Form,
    /// Every ending that its sound files have; none where its files have no names to rely on.
    pub endings: &'static [&'static str],
    pub clips: usize,
    /// Rate and number of samples of every clip; without them, a clip is as long as ESC-50's are.
    pub sound: Option<(u32, usize)>,
    /// Its files, where they were seen.
    pub manifest: Option<&'static str>,
}

pub(super) const VARIANTS: [Variant; 4] = [
    Variant {
        name: "16k-flac-ogg",
        form: Form::Folder,
        endings: &["flac", "ogg"],
        clips: 2_000,
        sound: Some((16_000, 80_000)),
        manifest: Some(include_str!("16k-flac-ogg.sha256")),
    },
    // of these three no hash is pinned: none of them was at hand when this was written
    Variant {
        name: "original-44k",
        form: Form::Folder,
        endings: &["wav"],
        clips: 2_000,
        sound: Some((44_100, 220_500)),
        manifest: None,
    },
    Variant {
        name: "original-44k-zip",
        form: Form::Packed,
        endings: &["wav"],
        clips: 2_000,
        sound: Some((44_100, 220_500)),
        manifest: None,
    },
    Variant {
        name: "hub-parquet",
        form: Form::Parquet,
        endings: &[],
        clips: 2_000,
        sound: None,
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
    /// As the tree names it; `None` only in different data.
    pub file: Option<String>,
}

/// What was found: known data, verified, or different data.
pub(super) struct Found {
    pub variant: Option<Variant>,
    pub tree: Tree,
    pub clips: Vec<Clip>,
    pub classes: Vec<String>,
    pub manifest: Manifest,
    /// Those of the archives, by name, when they were hashed.
    pub stamps: BTreeMap<String, Stamp>,
}

/// Known data if it passes every check; else, if that is allowed, different data.
pub(super) fn find(
    place: &Path,
    variants: &[Variant],
    request: &OpenRequest,
    pool: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Found, DataError> {
    let given = Given::look(place)?;
    let classes = table::classes(&given.table, &given.rows)?;
    let file = |row: &table::Row| given.files.get(&row.stem).cloned();
    let clips: Vec<Clip> = given
        .rows
        .iter()
        .map(|row| Clip {
            file: file(row),
            row: row.clone(),
        })
        .collect();
    let known = known_variant(&given, variants, &clips, &classes);
    let root = given.tree.root();
    let (manifest, stamps) = match given.form {
        Form::Folder => {
            let names = clips
                .iter()
                .filter_map(|clip| clip.file.clone())
                .chain([TABLE.to_owned()])
                .collect();
            (Manifest::of_files(root, names, pool, progress)?, BTreeMap::new())
        }
        Form::Packed | Form::Parquet => {
            let names: Vec<String> = given.tree.archives().cloned().collect();
            let remembered = KnownHashes::read(root, &request.cache.join(NAME));
            let (manifest, stamps) = remembered.manifest(names.clone(), pool, progress)?;
            (manifest, names.into_iter().zip(stamps).collect())
        }
    };
    let verified = known.and_then(|variant| {
        let pinned = variant.manifest.map(Manifest::parse);
        pinned
            .map_or(Ok(()), |pinned| pinned.verify(&manifest, root, variant.name))
            .map(|()| variant)
    });
    let variant = match verified {
        Ok(variant) => Some(variant),
        Err(_) if request.allow_different => None,
        Err(error) => return Err(error),
    };
    Ok(Found {
        variant,
        tree: given.tree,
        clips,
        classes,
        manifest,
        stamps,
    })
}

/// The variant whose layout this is, or the first thing that is against it.
fn known_variant(
    given: &Given,
    variants: &[Variant],
    clips: &[Clip],
    classes: &[String],
) -> Result<Variant, DataError> {
    let root = given.tree.root();
    let listed: BTreeSet<&String> = clips.iter().filter_map(|clip| clip.file.as_ref()).collect();
    if given.files.len() > clips.len()
        && let Some(extra) = given.files.values().find(|file| !listed.contains(file))
    {
        return Err(DataError::UnlistedFile {
            path: root.join(extra),
            not_in: TABLE.to_owned(),
        });
    }
    let ending = |name: &str| {
        name.rsplit_once('.')
            .map_or(String::new(), |(_, ending)| ending.to_owned())
    };
    let fits = |variant: &&Variant| {
        let ends = |file: &String| variant.endings.contains(&ending(file).as_str());
        variant.form == given.form && (variant.endings.is_empty() || given.files.values().all(ends))
    };
    let Some(variant) = variants.iter().find(fits) else {
        let known: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
        let reason = format!("the file endings in audio are those of none of {}", known.join(", "));
        return Err(DataError::UnknownVariant {
            task: NAME,
            path: given.place.clone(),
            reason,
        });
    };
    if let Some(clip) = clips.iter().find(|clip| clip.file.is_none()) {
        let path = root.join(format!("{}{}", given.within, expected_file(variant, &clip.row)));
        return Err(DataError::MissingFile {
            path,
            listed_in: format!("{TABLE}, line {},", clip.row.line),
        });
    }
    check_table(&given.table, clips, classes, variant.clips)?;
    Ok(*variant)
}

/// Where a clip lies in a variant, as far as that can be known; the table names every clip .wav.
pub(super) fn expected_file(variant: &Variant, row: &table::Row) -> String {
    let pinned = variant.manifest.map(Manifest::parse);
    let mut candidates = variant
        .endings
        .iter()
        .map(|ending| format!("audio/{}.{ending}", row.stem));
    let known = |name: &String| pinned.as_ref().is_none_or(|pinned| pinned.get(name).is_some());
    candidates
        .find(known)
        .unwrap_or_else(|| format!("audio/{}.wav", row.stem))
}

/// The official table: so many clips, evenly spread over classes and folds, named after their fold and class.
fn check_table(path: &Path, clips: &[Clip], classes: &[String], expected: usize) -> Result<(), DataError> {
    let count = |what: String, expected: usize, found: usize| match expected == found {
        true => Ok(()),
        false => Err(DataError::WrongCount {
            path: path.to_owned(),
            what,
            expected,
            found,
        }),
    };
    for Clip { row, .. } in clips {
        let bad = |reason| {
            Err(DataError::BadRow {
                path: path.to_owned(),
                line: row.line,
                reason,
            })
        };
        if row.fold > FOLDS {
            return bad(format!("the fold {} is not from 1 to {FOLDS}", row.fold));
        }
        if CLASSES.get(row.target) != Some(&row.category.as_str()) {
            return bad(format!("target {} is not '{}' in ESC-50", row.target, row.category));
        }
        let named_after =
            row.stem.starts_with(&format!("{}-", row.fold)) && row.stem.ends_with(&format!("-{}", row.target));
        if !named_after {
            return bad(format!(
                "the name '{}' is not that of fold {} and target {}",
                row.stem, row.fold, row.target
            ));
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
    clips
        .into_iter()
        .enumerate()
        .filter(|(index, _)| kept.contains(index))
        .map(|(_, clip)| clip)
        .collect()
}
