//! A folder to publish: an encoder's weights by the names of a program that loads them, that program's
//! settings, and a model card with what records say of it.
//!
//! ```text
//! names    weights by the names of others, and back
//! config   config.json and preprocessor_config.json
//! readme   README.md: metadata, use, inputs, results, origin
//! ```
//!
//! The header of `model.safetensors` also holds the card of an encoder file, so that `--init` takes the
//! folder as it takes such a file.

mod config;
pub mod names;
mod readme;

use crate::cli::error::{Failure, Result};
use crate::plan::{ConformerSizes, Flat, written};
use crate::run::checkpoint;
use crate::run::encoder_file::{self, EncoderCard};
use bridle::config::Geometry;
use bridle::weights::{Values, Weights};
use bridle_results::record::RunRecord;
use bridle_tasks::{BandStandardizer, SpeechInput};
use names::Names;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Weights in a folder.
pub const WEIGHTS: &str = "model.safetensors";
/// The file of Python that loads an encoder of speech.
const SPEECH: &str = "bridle_speech.py";

/// An encoder, and what is known of it.
pub struct Subject {
    pub encoder: Encoder,
    /// By our names.
    pub weights: Weights,
    /// The plan that trained it, if it was a run of this program.
    pub plan: Option<Flat>,
    /// Runs that judged these very weights.
    pub records: Vec<RunRecord>,
    /// Of the weights, as the hub spells it.
    pub licence: Option<String>,
}

/// What the weights are of.
pub enum Encoder {
    Vit(EncoderCard),
    Speech(SpeechCard),
}

/// An encoder of speech.
pub struct SpeechCard {
    pub input: SpeechInput,
    pub sizes: ConformerSizes,
    /// Over the sounds that it was trained on.
    pub standardizer: BandStandardizer,
}

impl Encoder {
    /// The weights by the names of who loads them, and the header of their file.
    fn published(&self, weights: &Weights) -> (Weights, HashMap<String, String>) {
        let names = config::names(self);
        // transformers loads no file that does not say so
        let mut header = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let Self::Vit(card) = self else {
            return (names::to(names, weights, &[]), header);
        };
        header.extend(encoder_file::header(card, Some(names)));
        let geometry = card.geometry();
        let [channels, ..] = geometry.input();
        let [depth, height, width] = geometry.patch();
        let patch = match geometry {
            Geometry::Video { .. } => vec![channels, depth, height, width],
            _ => vec![channels, height, width],
        };
        let mut theirs = names::to(names, weights, &patch);
        // VideoMAE makes the same table itself
        if names == Names::Timm {
            theirs.insert("pos_embed".to_owned(), positions(card, &geometry));
        }
        (theirs, header)
    }
}

/// The table of positions [1, 1 + N, D], the row of the cls token first: zeros.
fn positions(card: &EncoderCard, geometry: &Geometry) -> Values {
    let dim = card.model.dim;
    let mut data = vec![0.0; dim];
    data.extend(bridle::position::table(geometry, dim));
    Values {
        shape: vec![1, data.len() / dim, dim],
        data,
    }
}

/// Writes the folder, whole or not at all, and returns the names of its files.
///
/// # Errors
/// If the folder has files already, or the disk is full or cannot be written.
pub fn write(folder: &Path, subject: &Subject) -> Result<Vec<String>> {
    require_new(folder)?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let (weights, header) = subject.encoder.published(&subject.weights);
    let weights = checkpoint::to_bytes(&weights, header).map_err(|error| Failure::fault("weights", error))?;
    let sha256: String = Sha256::digest(&weights)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let readme = readme::text(&name.unwrap_or_default(), subject, &sha256);
    let mut files = vec![("README.md", readme.into_bytes())];
    for (name, value) in config::files(&subject.encoder) {
        let text = serde_json::to_string_pretty(&value).map_err(|error| Failure::fault(name, error))?;
        files.push((name, text.into_bytes()));
    }
    if let Some(plan) = &subject.plan {
        files.push(("plan.toml", written::to_toml(plan).into_bytes()));
    }
    if let Encoder::Speech(_) = subject.encoder {
        files.push((SPEECH, include_bytes!("card/bridle_speech.py").to_vec()));
    }
    files.push((WEIGHTS, weights));
    whole(folder, &files).map_err(|error| Failure::fault(format!("cannot write `{}`", folder.display()), error))?;
    Ok(files.into_iter().map(|(name, _)| name.to_owned()).collect())
}

/// Fails if the folder exists and holds anything.
///
/// # Errors
/// As said.
pub fn require_new(folder: &Path) -> Result<()> {
    let refused = |why: &str| {
        let failure = Failure::wrong_use(format!("`{}` cannot be written: {why}", folder.display()));
        Err(failure.with_hint("--card DIR with a folder that is new or empty"))
    };
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => refused("it has files already"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => refused(&error.to_string()),
    }
}

/// Writes all files to a folder beside it, which is then renamed.
fn whole(folder: &Path, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let guard = Unfinished(unfinished);
    fs::create_dir_all(&guard.0)?;
    for (name, bytes) in files {
        bridle_files::replace(&guard.0.join(name), bytes)?;
    }
    fs::rename(&guard.0, folder)
}

/// A folder that is removed unless it got its name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // after a rename there is nothing to remove; after a failure nothing more can be done
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The licence of the weights in one word, as the hub spells it.
///
/// # Errors
/// If it is no such word.
pub fn licence(text: &str) -> std::result::Result<String, String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+');
    match !text.is_empty() && text.len() <= 64 && text.chars().all(is_letter) {
        true => Ok(text.to_lowercase()),
        false => Err("a licence is one word, such as mit, apache-2.0 or cc-by-nc-4.0".to_owned()),
    }
}
