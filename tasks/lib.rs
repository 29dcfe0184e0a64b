//! Tasks: what a model is trained and judged on. Data sets are found, verified, decoded and turned into model inputs
//! here.
//!
//! A [`Task`] describes itself with a [`TaskSpec`] and opens as a [`Dataset`]: samples with an id, a target and a place
//! in the splits, and their normalised inputs by random access. Nothing here knows the training framework.
//!
//! A new task is one file with a type that implements [`Task`], and one line in the list below.

mod alone;
mod archive;
mod audio;
mod copy;
mod dataset;
mod digits;
mod error;
mod hub;
mod image;
mod librispeech;
mod listed;
mod media;
mod obtain;
mod own;
mod pattern;
mod prefetch;
mod shelf;
mod source;
mod speech;
mod stamp;
mod store;
mod task;
mod variant;
mod video;

#[cfg(test)]
mod support;

pub use archive::{ArchiveError, Collection, Parts, Table, Value, panic_is_caught};
pub use audio::{AudioError, FBANK_VERSION, Fbank, RESAMPLER_VERSION, TooShort, Waveform, decode, resample};
pub use copy::{CopyReport, Measured, Sizes};
pub use dataset::{DataFacts, Dataset, Missing, Sample, Skipped, Split, Target, sampling_weights};
pub use digits::{DIGITS, DigitSizes, open_digits};
pub use error::{DataError, UnknownTask};
pub use hub::{FetchError, FetchPlan, FetchRequest, PlannedFile, Source, fetch, fetched, plan};
pub use image::{
    Erasing, ImageAugment, ImageError, MOST_PIXELS, Picture, RandAugment, Region as ImageRegion, Resizer,
    decode as decode_image, random_region, to_input,
};
pub use librispeech::open_librispeech;
pub use media::Views;
pub use own::open_task_file;
pub use prefetch::{Prefetch, prefetch};
pub use source::{TaskSource, remedy, sources};
pub use speech::{
    ALPHABET, Role, Span, SpeechInput, SpeechRequest, SpeechSet, SpeechSpec, SpeechTask, Standard, UnknownSymbols,
    Utterance, decode_text, encode_text, least_frames, normalise_text, open_speech_file, open_speech_table,
    speech_tasks,
};
pub use task::{InputSpec, Limits, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};
pub use video::{
    CLIP_VERSION, Clip, ClipView, Ffmpeg, Frames, Framing, Place, Region, VideoAugment, VideoError, VideoFacts,
};

/// Declares each task's file and puts its type on the list, in the order in which `tasks()` shows them.
macro_rules! tasks {
    ($($file:ident: $task:ident,)*) => {
        $(mod $file;)*

        /// Every task, in a fixed order.
        pub fn tasks() -> &'static [&'static dyn Task] {
            &[$(&$file::$task),*]
        }
    };
}

tasks! {
    audioset: AudioSet,
    audioset_20k: AudioSet20k,
    esc50: Esc50,
    imagenet: Imagenet,
    kinetics: Kinetics,
    synthetic: Synthetic,
    synthetic_image: SyntheticImage,
    synthetic_video: SyntheticVideo,
}

/// The task called `name`; the error lists all and suggests the nearest.
pub fn find(name: &str) -> Result<&'static dyn Task, UnknownTask> {
    let known = || tasks().iter().map(|task| task.spec().name);
    match tasks().iter().find(|task| task.spec().name == name) {
        Some(task) => Ok(*task),
        None => {
            let nearest = known()
                .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
                .filter(|(likeness, _)| *likeness > 0.75)
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, candidate)| candidate);
            Err(UnknownTask {
                name: name.to_owned(),
                nearest,
                known: known().collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    #[test]
    fn every_specification_is_complete_and_every_name_is_found() {
        for task in tasks() {
            let spec = task.spec();
            assert_eq!(find(spec.name).unwrap().spec().name, spec.name);
            assert!(spec.version > 0 && spec.classes.len() > 1, "{}", spec.name);
            let distinct: std::collections::BTreeSet<_> = spec.classes.iter().collect();
            assert_eq!(
                distinct.len(),
                spec.classes.len(),
                "{}: a class is named twice",
                spec.name
            );
            for text in [spec.summary, spec.source, spec.licence, spec.citation] {
                assert!(!text.is_empty(), "{}: an empty field", spec.name);
            }
            let written = serde_json::to_string(&spec.input).unwrap();
            assert_eq!(serde_json::from_str::<InputSpec>(&written).unwrap(), spec.input);
            assert_eq!(spec.input.modality(), spec.modality);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = |name: &str| find(name).map(|task| task.spec().name).unwrap_err().to_string();
        insta::assert_snapshot!(message("ecs50"), @"unknown task 'ecs50', did you mean 'esc50'? (known: audioset, audioset-20k, esc50, imagenet, kinetics, synthetic, synthetic-image, synthetic-video)");
        insta::assert_snapshot!(message("weather"), @"unknown task 'weather' (known: audioset, audioset-20k, esc50, imagenet, kinetics, synthetic, synthetic-image, synthetic-video)");
    }
}
