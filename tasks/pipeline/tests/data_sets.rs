//! Data sets opened with a pipeline: the inputs are the pipeline's, stored under a key with all of
//! its values.

use std::path::Path;

use crate::fixtures::{outside_data, wav_bytes};
use crate::media::image::tests::{pattern, png_bytes};
use crate::media::video::programs;
use crate::pipeline::{
    AUDIOSET, ESC50, FixedPipeline, HALF, IMAGENET, Kaldi, Picture, Pipeline, SpeechBrain, Video, Wave, own,
};
use crate::{
    Dataset, Ffmpeg, Framing, InputSpec, Limits, OpenRequest, Views, decode, decode_image, find, open_files, resample,
};
use bridle_seed::Seed;

fn request(input: InputSpec, cache: &Path) -> OpenRequest {
    OpenRequest {
        data: None,
        offline: true,
        input,
        subset: None,
        allow_different: true,
        cache: cache.to_owned(),
        threads: 1,
        limits: Limits::default(),
    }
}

/// The files of a cache.
fn stored(cache: &Path) -> usize {
    let is_feature = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "features");
    let folders = std::fs::read_dir(cache).unwrap().map(|folder| folder.unwrap().path());
    let files = folders
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files.filter(|entry| is_feature(entry.as_ref().unwrap())).count()
}

fn opened(folder: &Path, fixed: &FixedPipeline, cache: &Path) -> Dataset {
    let data = open_files(folder, &request(InputSpec::Pipeline(fixed.clone()), cache), &()).unwrap();
    assert_eq!(data.shape(), fixed.shape());
    let is_sound = fixed.pipeline().sample_rate().is_some();
    assert_eq!(data.augments(), !is_sound);
    for index in 0..data.samples.len() {
        let view = |seed| data.view(index, Views::FineTuning, &Seed::root(seed)).unwrap();
        if is_sound {
            assert_eq!(own(&view(0)), own(&data.input(index).unwrap()));
        } else {
            assert_eq!(view(1), view(1));
            assert_ne!(view(1), view(2), "views are random");
            assert_eq!(view(1).len(), data.input(index).unwrap().len());
        }
    }
    data
}

#[test]
fn sounds_are_resampled_and_stored_by_every_value_of_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let (files, cache) = (folder.path().join("files"), folder.path().join("cache"));
    std::fs::create_dir_all(&files).unwrap();
    let tone = |rate: u32, samples: usize| -> Vec<f32> {
        (0..samples)
            .map(|n| 0.3 * (n as f32 * 2_000.0 / rate as f32).sin())
            .collect()
    };
    let sounds = [
        ("a.wav", 16_000, 9_000),
        ("b.wav", 44_100, 9_000),
        ("c.wav", 8_000, 12_000),
    ];
    for (name, rate, samples) in sounds {
        std::fs::write(files.join(name), wav_bytes(rate, 1, &tone(rate, samples))).unwrap();
    }
    let kaldi = Kaldi::spectrogram(ESC50, 64);
    let pipelines = [
        FixedPipeline::lasting(Pipeline::Wave(Wave::fairseq(true)), 0.5),
        FixedPipeline::lasting(Pipeline::Wave(Wave::fairseq(true)), 0.25),
        FixedPipeline::lasting(Pipeline::Wave(Wave::fairseq(false)), 0.25),
        FixedPipeline::new(Pipeline::Kaldi(kaldi.clone()), None),
        FixedPipeline::new(Pipeline::Kaldi(kaldi.clone()), Some(8_000)),
        FixedPipeline::new(Pipeline::Kaldi(Kaldi { centre: false, ..kaldi }), None),
        FixedPipeline::lasting(Pipeline::Kaldi(Kaldi::beats()), 0.5),
        FixedPipeline::lasting(Pipeline::Kaldi(Kaldi::w2v_bert()), 0.5),
        FixedPipeline::lasting(Pipeline::SpeechBrain(SpeechBrain::best_rq()), 0.5),
    ];
    for (number, fixed) in pipelines.into_iter().enumerate() {
        let fixed = fixed.unwrap();
        let data = opened(&files, &fixed, &cache);
        assert_eq!(stored(&cache), number + 1, "{fixed:?}");
        for (index, (_, rate, samples)) in sounds.into_iter().enumerate() {
            let expected = fixed.sound(&resample(tone(rate, samples), rate, 16_000)).unwrap();
            // bit by bit: what is no number is equal to none
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&data.input(index).unwrap()), bits(&expected.data), "{fixed:?}");
        }
        // from the cache
        let again = opened(&files, &fixed, &cache);
        assert_eq!((stored(&cache), again.facts), (number + 1, data.facts));
    }
}

#[test]
fn pictures_go_through_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let (files, cache) = (folder.path().join("files"), folder.path().join("cache"));
    std::fs::create_dir_all(&files).unwrap();
    let pictures = [
        ("a.png", pattern(40, 31)),
        ("b.png", pattern(7, 90)),
        ("c.png", pattern(16, 16)),
    ];
    for (name, picture) in &pictures {
        std::fs::write(files.join(name), png_bytes(picture)).unwrap();
    }
    for (number, channels) in [HALF, IMAGENET].into_iter().enumerate() {
        let fixed = FixedPipeline::new(Pipeline::Picture(Picture::evaluation(14, channels)), None).unwrap();
        let data = opened(&files, &fixed, &cache);
        assert_eq!(stored(&cache), number + 1);
        for (index, (_, picture)) in pictures.iter().enumerate() {
            let expected = fixed.pipeline().picture(picture).unwrap();
            assert_eq!(data.input(index).unwrap()[..], expected.data[..]);
        }
    }
}

#[test]
fn a_pipeline_of_other_media_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fixed = FixedPipeline::new(Pipeline::Picture(Picture::evaluation(14, HALF)), None).unwrap();
    let mut request = request(InputSpec::Pipeline(fixed), folder.path());
    request.data = Some(folder.path().to_owned());
    let error = |task: &str| {
        find(task)
            .unwrap()
            .open(&request, &())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(error("esc50"), @"esc50 cannot give such an input: its clips are sound");
    insta::assert_snapshot!(error("synthetic"), @"synthetic cannot give such an input: it makes sound at 16000 Hz, with at least one frame and mel band");
}

#[test]
fn esc50_opens_with_every_pipeline_of_sounds() {
    let Some(root) = outside_data("esc50") else { return };
    let cache = tempfile::tempdir().unwrap();
    let pipelines = [
        FixedPipeline::new(Pipeline::Kaldi(Kaldi::spectrogram(AUDIOSET, 512)), None),
        FixedPipeline::lasting(Pipeline::Kaldi(Kaldi::beats()), 5.0),
        FixedPipeline::lasting(Pipeline::Wave(Wave::fairseq(true)), 5.0),
    ];
    for fixed in pipelines {
        let fixed = fixed.unwrap();
        let mut request = request(InputSpec::Pipeline(fixed.clone()), cache.path());
        (request.data, request.subset) = (Some(root.clone()), Some(1));
        let data = find("esc50").unwrap().open(&request, &()).unwrap();
        assert_eq!((data.samples.len(), data.shape()), (50, &fixed.shape()[..]));
        let name = data
            .samples
            .iter()
            .position(|sample| root.join(format!("audio/{}.flac", sample.id)).is_file());
        let index = name.unwrap();
        let file = root.join(format!("audio/{}.flac", data.samples[index].id));
        let wave = decode(std::fs::read(file).unwrap(), "flac").unwrap();
        assert_eq!(
            data.input(index).unwrap()[..],
            fixed.sound(&wave.samples).unwrap().data[..]
        );
    }
}

#[test]
fn photographs_open_with_a_pipeline() {
    let Some(root) = outside_data("imagenet-mini") else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let fixed = FixedPipeline::new(Pipeline::Picture(Picture::evaluation(56, IMAGENET)), None).unwrap();
    let mut request = request(InputSpec::Pipeline(fixed.clone()), cache.path());
    (request.data, request.subset) = (Some(root.clone()), Some(2));
    let data = find("imagenet").unwrap().open(&request, &()).unwrap();
    assert_eq!(data.samples.len(), 40);
    let file = std::fs::read(root.join(&data.samples[3].id)).unwrap();
    let expected = fixed.pipeline().picture(&decode_image(&file).unwrap()).unwrap();
    assert_eq!(data.input(3).unwrap()[..], expected.data[..]);
}

#[test]
fn videos_open_with_a_pipeline() {
    let (Some(root), Some(_)) = (outside_data("kinetics-mini"), programs()) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let fixed = FixedPipeline::new(Pipeline::Video(Video::videomae(4, 32)), None).unwrap();
    let mut request = request(InputSpec::Pipeline(fixed.clone()), cache.path());
    (request.data, request.subset) = (Some(root.clone()), Some(1));
    let data = find("kinetics").unwrap().open(&request, &()).unwrap();
    assert_eq!(data.shape(), [3, 4, 32, 32]);
    let (ffmpeg, path) = (Ffmpeg::find().unwrap(), root.join(&data.samples[0].id));
    let facts = ffmpeg.probe(&path).unwrap();
    let frames = crate::Frames {
        start: 0,
        count: facts.frames as usize,
        stride: 1,
    };
    let whole = ffmpeg.take(&path, &facts, frames, Framing::Whole).unwrap();
    let expected = fixed.pipeline().video(&whole).unwrap();
    assert_eq!(data.input(0).unwrap()[..], expected.data[..]);
}
