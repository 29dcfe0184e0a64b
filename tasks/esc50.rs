//! ESC-50: 2,000 clips of environmental sound, 5 s each, 50 classes in 5 official folds (Piczak
//! 2015).
//!
//! Known variants: the original archive (44.1 kHz wav), packed or unpacked; the hub's parquet
//! files; and the same clips at 16 kHz, the ESC-10 part as flac and the rest as Vorbis, whose files
//! are all pinned by size and sha256. In that variant the codec coincides with the ESC-10 flag.

mod packaging;
pub(crate) mod table;
mod variants;

use std::path::Path;

use bridle_seed::Stream;

use self::packaging::{Given, Packaging};
use self::table::ClipRow;
use self::variants::{CLASSES, VARIANTS, Variant, known_variant};
use crate::cache;
use crate::data::listing::{DIFFERENT, Entry, Listing};
use crate::error::SampleError;
use crate::files::locate::Origin;
use crate::files::manifest::Manifest;
use crate::files::tree::Raw;
use crate::media::audio::Sounds;
use crate::media::{Media, Views};
use crate::{
    DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Sample, Split, Target, Task, TaskSpec,
    Waveform,
};

const NAME: &str = "esc50";
const VERSION: u32 = 1;
const FOLDS: u8 = 5;
/// The length of every clip.
const SECONDS: usize = 5;
const ORIGINAL: &str = "https://github.com/karolpiczak/ESC-50 (https://github.com/karoldvl/ESC-50/archive/master.zip)";

pub(crate) struct Esc50;

impl Task for Esc50 {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: NAME,
            version: VERSION,
            summary: "environmental sound, 2,000 clips of 5 s, 50 classes, 5 folds",
            modality: Modality::Audio,
            // the authors' constants for this data set
            input: InputSpec::Audio {
                frames: 512,
                mels: 128,
                sample_rate: 16_000,
                mean: -6.6268077,
                std: 5.358466,
            },
            classes: CLASSES.map(str::to_owned).to_vec(),
            folds: Some(FOLDS),
            metric: MainMetric::Top1,
            source: ORIGINAL,
            licence: "CC BY-NC 3.0; the ESC-10 part CC BY 3.0; each clip's author is in the LICENSE file of the data",
            citation: "K. J. Piczak. ESC: Dataset for Environmental Sound Classification. ACM Multimedia 2015, 1015-1018",
        }
    }

    fn sections(&self) -> &'static [&'static str] {
        &["esc50"]
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        let place = Origin::hub(NAME, ORIGINAL).locate(request.data.as_deref(), request.offline, progress)?;
        open(&place, &VARIANTS, request, progress)
    }
}

/// Opens known data if it passes every check; otherwise, if the request allows it, different data.
fn open(
    place: &Path,
    variants: &[Variant],
    request: &OpenRequest,
    progress: &dyn Progress,
) -> Result<Dataset, DataError> {
    let sounds = Sounds::new(NAME, &request.input)?;
    let given = Given::find(place)?;
    let classes = table::classes(&given.table, &given.clips)?;
    let allowed = |outcome: Result<_, DataError>| match outcome {
        Err(_) if request.allow_different => Ok(None),
        outcome => outcome.map_err(DataError::not_allowed),
    };
    let variant = allowed(known_variant(&given, variants, &classes).map(Some))?;
    let is_folder = given.packaging == Packaging::Folder;
    let (table, empty) = (given.table.clone(), given.clips.is_empty());
    let mut listing = given.listing();
    let pool = cache::pool(request.threads)?;
    // a folder's files may be pinned, so they are hashed each time, all of them whatever the subset
    let hashed = listing.hash((!is_folder).then_some(&*request.cache), &pool, progress)?;
    let verified = |variant: Variant| {
        let pinned = variant.manifest.map(Manifest::parse);
        let root = listing.tree.root();
        pinned.map_or(Ok(()), |pinned| pinned.verify(&hashed.manifest, root, variant.name))?;
        Ok(Some(variant))
    };
    let variant = allowed(variant.map_or(Ok(None), verified))?;
    if empty {
        return Err(DataError::wrong_count(&table, "clips", 1, 0));
    }
    listing.variant = variant.map(|variant| variant.name);
    let clips = ClipAudio { sounds, variant };
    listing.open_hashed(classes, Box::new(clips), &hashed, request, &pool, progress)
}

impl Given {
    fn listing(self) -> Listing<Sample> {
        let entry = |ClipRow { stem, fold, target, .. }| {
            let file = self.files.get(&stem).cloned();
            let mut entry = Entry::new(stem, file, Target::Class(target), Split::Train);
            entry.sample.fold = Some(fold);
            entry
        };
        let entries = self.clips.into_iter().map(entry).collect();
        let mut listing = Listing::new(NAME, VERSION, ORIGINAL, self.tree, entries);
        listing.lists = self.lists;
        listing
    }
}

/// Clips as inputs; those of a known variant must have its sample rate and length.
struct ClipAudio {
    sounds: Sounds,
    variant: Option<Variant>,
}

impl ClipAudio {
    fn check(&self, wave: &Waveform) -> Result<(), String> {
        let Some(variant) = self.variant else { return Ok(()) };
        let as_found = (wave.sample_rate, SECONDS * wave.sample_rate as usize);
        let (rate, samples) = variant.sound.unwrap_or(as_found);
        if wave.sample_rate != rate {
            return Err(format!("its sample rate is {} Hz, not {rate}", wave.sample_rate));
        }
        if wave.samples.len() != samples {
            return Err(format!("it has {} samples, not {samples}", wave.samples.len()));
        }
        Ok(())
    }
}

impl Media for ClipAudio {
    fn key(&self) -> String {
        let variant = self.variant.map_or(DIFFERENT, |variant| variant.name);
        format!("{variant} {}", self.sounds.key())
    }

    fn work(&self) -> &'static str {
        self.sounds.work()
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        let wave = Waveform::read(file)?;
        self.check(&wave)?;
        Ok(self.sounds.values(wave)?)
    }

    fn normalise(&self, values: &mut [f32]) {
        self.sounds.normalise(values);
    }

    fn augments(&self) -> bool {
        false
    }

    fn drawn(&self, file: Raw, _views: Views, _stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        let mut values = self.view(file)?;
        self.normalise(&mut values);
        Ok(values)
    }
}

#[cfg(test)]
mod tests;
