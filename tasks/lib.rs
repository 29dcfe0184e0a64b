//! Tasks: what a model is trained and evaluated on. This crate finds, verifies and decodes data
//! sets, and computes model inputs. It knows nothing of the training framework.
//!
//! A [`Task`] describes itself with a [`TaskSpec`] and opens as a [`Dataset`]: samples with an id,
//! a target and a place in the splits, and their normalised inputs by random access. A
//! [`SpeechTask`] opens as a [`SpeechSet`].
//!
//! A new task is one file with a type that implements [`Task`], a `mod` line, and a line in
//! [`tasks`]. README.md walks through one.

mod audioset;
mod cache;
mod data;
mod digits;
mod error;
mod esc50;
mod files;
#[cfg(test)]
mod fixtures;
mod hub;
mod imagenet;
mod input;
mod kinetics;
mod librispeech;
mod media;
mod names;
mod own;
pub mod pipeline;
mod progress;
#[cfg(test)]
#[path = "../tests/fuzz/replay.rs"]
mod replay;
mod request;
mod sources;
mod speech_task;
mod synthetic;
mod task;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

pub use data::census::{Census, InputStatistics};
pub use data::dataset::{DataFacts, Dataset, FileSizes, Missing, Sample, Skipped, Split, Target, sampling_weights};
pub use data::prefetch::{Prefetch, prefetch};
pub use data::speech::{
    ALPHABET, BandStandardizer, Role, Span, SpeechInput, SpeechRequest, SpeechSet, UnknownSymbols, Utterance,
    decode_text, encode_text, min_frames, normalise_text,
};
pub use error::{DataError, UnknownTask};
pub use files::archive::panic_is_caught;
pub use files::tree::remove_abandoned_copies;
pub use hub::{
    FetchError, FetchPlan, FetchRequest, HubKind, HubModel, HubNameError, HubSource, LocalModel, PlannedFile, Proxies,
    fetch, fetched, plan_fetch,
};
pub use input::{InputSpec, Modality};
pub use media::Views;
pub use media::audio::{AudioError, FBANK_VERSION, Fbank, RESAMPLER_VERSION, TooShort, Waveform, decode, resample};
pub use media::image::{
    Erasing, ImageAugment, ImageError, MOST_PIXELS, Picture, RandAugment, Region, Resizer, decode as decode_image,
    random_region, to_input,
};
pub use media::video::{
    CLIP_VERSION, Clip, ClipView, Ffmpeg, Frames, Framing, VideoAugment, VideoError, VideoFacts, ViewPlace,
};
pub use names::is_same_name;
pub use own::speech::open_speech_file;
pub use own::{is_task_folder, open_files, open_task_file, open_task_folder};
pub use progress::Progress;
pub use request::{Limits, OpenRequest};
pub use sources::{TaskSource, data_hint, sources};
pub use speech_task::{SpeechSpec, SpeechTask};
pub use task::{MainMetric, Task, TaskSpec};

/// Every task, in a fixed order.
pub fn tasks() -> &'static [&'static dyn Task] {
    &[
        &audioset::AudioSet,
        &audioset::AudioSet20k,
        &esc50::Esc50,
        &imagenet::Imagenet,
        &kinetics::Kinetics,
        &synthetic::Synthetic,
        &synthetic::SyntheticImage,
        &synthetic::SyntheticVideo,
    ]
}

/// Every speech task, in a fixed order.
pub fn speech_tasks() -> &'static [&'static dyn SpeechTask] {
    &[&digits::Digits, &librispeech::LibriSpeech]
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
