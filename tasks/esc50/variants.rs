//! The known variants of ESC-50, and what must be true of data to be one of them.

use std::collections::BTreeSet;
use std::path::Path;

use super::packaging::{Given, Packaging};
use super::table::{ClipRow, TABLE};
use super::{FOLDS, NAME};
use crate::DataError;
use crate::files::manifest::Manifest;

#[derive(Clone, Copy)]
pub(super) struct Variant {
    pub name: &'static str,
    pub packaging: Packaging,
    /// The extensions of all its sound files; none if its files have no reliable names.
    pub endings: &'static [&'static str],
    pub clips: usize,
    /// Sample rate and number of samples of every clip; without them, a clip lasts 5 s.
    pub sound: Option<(u32, usize)>,
    /// Its files, if they were ever available.
    pub manifest: Option<&'static str>,
}

pub(super) const VARIANTS: [Variant; 4] = [
    Variant {
        name: "16k-flac-ogg",
        packaging: Packaging::Folder,
        endings: &["flac", "ogg"],
        clips: 2_000,
        sound: Some((16_000, 80_000)),
        manifest: Some(include_str!("16k-flac-ogg.sha256")),
    },
    // no hash of these three is pinned: none of them was available when this was written
    Variant {
        name: "original-44k",
        packaging: Packaging::Folder,
        endings: &["wav"],
        clips: 2_000,
        sound: Some((44_100, 220_500)),
        manifest: None,
    },
    Variant {
        name: "original-44k-zip",
        packaging: Packaging::Archive,
        endings: &["wav"],
        clips: 2_000,
        sound: Some((44_100, 220_500)),
        manifest: None,
    },
    Variant {
        name: "hub-parquet",
        packaging: Packaging::Parquet,
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

/// The variant that this data must be, or the first thing that contradicts it. Pinned files are not
/// checked here.
pub(super) fn known_variant(given: &Given, variants: &[Variant], classes: &[String]) -> Result<Variant, DataError> {
    let root = given.tree.root();
    let listed: BTreeSet<&String> = given.clips.iter().map(|clip| &clip.stem).collect();
    if given.files.len() > given.clips.len()
        && let Some((_, extra)) = given.files.iter().find(|(stem, _)| !listed.contains(stem))
    {
        let (path, not_in) = (root.join(extra), TABLE.to_owned());
        return Err(DataError::UnlistedFile { path, not_in });
    }
    let ending = |name: &str| {
        name.rsplit_once('.')
            .map_or(String::new(), |(_, ending)| ending.to_owned())
    };
    let fits = |variant: &&Variant| {
        let ends = |file: &String| variant.endings.contains(&ending(file).as_str());
        variant.packaging == given.packaging && (variant.endings.is_empty() || given.files.values().all(ends))
    };
    let Some(variant) = variants.iter().find(fits) else {
        let known: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
        let reason = format!("the file endings in audio are those of none of {}", known.join(", "));
        return Err(DataError::unknown_variant(NAME, &given.place, reason));
    };
    if let Some(clip) = given.clips.iter().find(|clip| !given.files.contains_key(&clip.stem)) {
        return Err(DataError::MissingFile {
            path: root.join(format!("{}{}", given.prefix, expected_file(variant, &clip.stem))),
            listed_in: format!("{TABLE}, line {},", clip.line),
        });
    }
    check_table(&given.table, &given.clips, classes, variant.clips)?;
    Ok(*variant)
}

/// The file of a clip in a variant, as far as it can be known; the table calls every clip .wav.
pub(super) fn expected_file(variant: &Variant, stem: &str) -> String {
    let pinned = variant.manifest.map(Manifest::parse);
    let mut candidates = variant.endings.iter().map(|ending| format!("audio/{stem}.{ending}"));
    let known = |name: &String| pinned.as_ref().is_none_or(|pinned| pinned.get(name).is_some());
    candidates.find(known).unwrap_or_else(|| format!("audio/{stem}.wav"))
}

/// Checks the official table: so many clips, evenly spread over classes and folds, named after
/// their fold and class.
fn check_table(path: &Path, clips: &[ClipRow], classes: &[String], expected: usize) -> Result<(), DataError> {
    let count = |what: &str, expected: usize, found: usize| match found {
        _ if found == expected => Ok(()),
        _ => Err(DataError::wrong_count(path, what, expected, found)),
    };
    for ClipRow {
        stem,
        fold,
        target,
        category,
        line,
    } in clips
    {
        let bad = |reason| Err(DataError::bad_row(path, *line, reason));
        if *fold > FOLDS {
            return bad(format!("the fold {fold} is not from 1 to {FOLDS}"));
        }
        if CLASSES.get(*target) != Some(&category.as_str()) {
            return bad(format!("target {target} is not '{category}' in ESC-50"));
        }
        if !stem.starts_with(&format!("{fold}-")) || !stem.ends_with(&format!("-{target}")) {
            return bad(format!(
                "the name '{stem}' is not that of fold {fold} and target {target}"
            ));
        }
    }
    count("clips", expected, clips.len())?;
    count("classes", CLASSES.len(), classes.len())?;
    for fold in 1..=FOLDS {
        let found = clips.iter().filter(|clip| clip.fold == fold).count();
        count(&format!("clips in fold {fold}"), expected / usize::from(FOLDS), found)?;
    }
    for (target, class) in classes.iter().enumerate() {
        let found = clips.iter().filter(|clip| clip.target == target).count();
        count(&format!("clips of class {class}"), expected / classes.len(), found)?;
    }
    Ok(())
}
