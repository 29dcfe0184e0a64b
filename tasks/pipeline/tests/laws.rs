//! What holds for any picture and any sound.

use bridle_seed::{Seed, Stream};

use crate::media::image::tests::pattern;
use crate::pipeline::{
    ESC50, Filter, FixedPipeline, HALF, IMAGENET, Kaldi, Picture, Pipeline, PipelineError, Resize, Rounding,
    SpeechBrain, Video, Wave, own,
};
use crate::{Clip, Fbank, Region, Resizer};

fn stream(name: &str) -> Stream {
    Seed::root(11).child(name).stream()
}

fn noise(samples: usize, stream: &mut Stream) -> Vec<f32> {
    (0..samples).map(|_| 0.1 * stream.normal()).collect()
}

/// Bytes as they come out of resizing and cutting.
fn plain(resize: Resize, crop: Option<[usize; 2]>, rounding: Rounding) -> Picture {
    Picture {
        resize,
        filter: Filter::Bicubic,
        crop,
        rounding,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}

#[test]
fn a_picture_of_any_size_becomes_an_input_of_the_shape_that_was_promised() {
    let mut stream = stream("pictures");
    for _ in 0..60 {
        let (width, height) = (1 + stream.below(90), 1 + stream.below(90));
        let side = |stream: &mut Stream| 1 + stream.below(40);
        let resize = match stream.below(3) {
            0 => Resize::To([side(&mut stream), side(&mut stream)]),
            1 => Resize::ShorterSide(side(&mut stream)),
            _ => Resize::None,
        };
        let crop = [side(&mut stream), side(&mut stream)];
        for (crop, filter) in [(Some(crop), Filter::Bilinear), (None, Filter::Bicubic)] {
            let picture = Picture {
                filter,
                ..plain(resize, crop, Rounding::Even)
            };
            let rows = Pipeline::Picture(picture.clone())
                .picture(&pattern(width, height))
                .unwrap();
            assert_eq!(rows.data.len(), rows.shape.iter().product::<usize>());
            assert!(
                rows.data
                    .iter()
                    .all(|&value| (0.0..=255.0).contains(&value) && value.fract() == 0.0)
            );
            if let Ok(fixed) = FixedPipeline::new(Pipeline::Picture(picture), None) {
                assert_eq!(fixed.shape(), rows.shape);
            } else {
                assert!(crop.is_none() && !matches!(resize, Resize::To(_)));
            }
        }
    }
}

#[test]
fn a_crop_of_a_resized_picture_is_a_part_of_it() {
    let mut stream = stream("crops");
    for _ in 0..40 {
        let (width, height, side) = (1 + stream.below(70), 1 + stream.below(70), 1 + stream.below(30));
        let crop = [1 + stream.below(45), 1 + stream.below(45)];
        let source = pattern(width, height);
        for rounding in [Rounding::Down, Rounding::Even] {
            let rows = |crop| {
                let picture = plain(Resize::ShorterSide(side), crop, rounding);
                Pipeline::Picture(picture).picture(&source).unwrap()
            };
            let (whole, cut) = (rows(None), rows(Some(crop)));
            let [high, wide] = [whole.shape[1], whole.shape[2]];
            let begins = |edge: usize, crop: usize| {
                let half = (edge as f64 - crop as f64) / 2.0;
                match rounding {
                    Rounding::Down => half.floor() as isize,
                    Rounding::Even if half < 0.0 => half.ceil() as isize,
                    Rounding::Even => half.round_ties_even() as isize,
                }
            };
            let (top, left) = (begins(high, crop[0]), begins(wide, crop[1]));
            for (channel, y, x) in
                (0..3).flat_map(|c| (0..crop[0]).flat_map(move |y| (0..crop[1]).map(move |x| (c, y, x))))
            {
                let (row, column) = (top + y as isize, left + x as isize);
                let inside = (0..high as isize).contains(&row) && (0..wide as isize).contains(&column);
                let expected = match inside {
                    true => whole.data[(channel * high + row as usize) * wide + column as usize],
                    false => 0.0,
                };
                assert_eq!(
                    cut.data[(channel * crop[0] + y) * crop[1] + x],
                    expected,
                    "{width} x {height}, {crop:?}"
                );
            }
        }
    }
}

#[test]
fn pillow_and_the_library_of_our_own_views_differ_by_rounding_only() {
    let mut stream = stream("library");
    for _ in 0..20 {
        // of upright pictures, Pillow 13 shortens the columns first
        let [shorter, more, side] = [8 + stream.below(120), stream.below(60), 1 + stream.below(40)];
        let (width, height) = (shorter + more, shorter);
        let whole = Region {
            left: 0,
            top: 0,
            width,
            height,
        };
        let source = pattern(width, height);
        let theirs = Resizer::default().square(&source, whole, side).rgb;
        let picture = plain(Resize::To([side; 2]), None, Rounding::Down);
        let ours = Pipeline::Picture(picture).picture(&source).unwrap().data;
        for (index, &byte) in theirs.iter().enumerate() {
            let ours = ours[index % 3 * side * side + index / 3];
            assert!((ours - f32::from(byte)).abs() <= 2.0, "{width} x {height} to {side}");
        }
    }
}

#[test]
fn what_surrounds_a_small_picture_is_black_before_the_normalisation() {
    let picture = Picture {
        resize: Resize::None,
        ..Picture::evaluation(3, HALF)
    };
    let white = crate::Picture::filled(1, 1, [255; 3]);
    let rows = Pipeline::Picture(picture).picture(&white).unwrap();
    let expected = [-1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
    assert_eq!(rows.data, expected.repeat(3));
}

#[test]
fn very_long_pictures_cost_little() {
    let pipeline = Pipeline::Picture(Picture::evaluation(24, IMAGENET));
    for (width, height) in [(1, 60_000), (60_000, 1), (640, 3)] {
        let rows = pipeline
            .picture(&crate::Picture::filled(width, height, [7, 130, 255]))
            .unwrap();
        let (mean, std) = (IMAGENET[0], IMAGENET[1]);
        for (channel, byte) in [7.0, 130.0, 255.0].into_iter().enumerate() {
            let expected = (byte / 255.0 - mean[channel]) / std[channel];
            let found = rows.data[channel * 576..][..576].iter();
            assert!(
                found
                    .into_iter()
                    .all(|&value| (f64::from(value) - expected).abs() < 1e-6)
            );
        }
    }
    let whole = Pipeline::Picture(plain(Resize::ShorterSide(224), None, Rounding::Down));
    let error = whole.picture(&crate::Picture::filled(60_000, 1, [0; 3])).unwrap_err();
    assert!(matches!(error, PipelineError::TooLarge { .. }), "{error}");
}

#[test]
fn a_sound_of_any_length_becomes_an_input_of_the_shape_that_was_promised() {
    let mut stream = stream("sounds");
    let pipelines = [
        (Pipeline::Wave(Wave::fairseq(true)), Some(1_700)),
        (Pipeline::Wave(Wave::fairseq(false)), Some(1)),
        (Pipeline::Kaldi(Kaldi::spectrogram(ESC50, 9)), None),
        (Pipeline::Kaldi(Kaldi::spectrogram(ESC50, 9)), Some(900)),
        (Pipeline::Kaldi(Kaldi::beats()), Some(2_000)),
        (Pipeline::Kaldi(Kaldi::w2v_bert()), Some(2_001)),
        (Pipeline::SpeechBrain(SpeechBrain::best_rq()), Some(1_601)),
    ];
    for (pipeline, samples) in pipelines {
        let fixed = FixedPipeline::new(pipeline.clone(), samples).unwrap();
        for length in [0, 1, 160, 399, 400, 401, 1_599, 1_600, 1_999, 2_000, 2_001, 4_000] {
            let wave = noise(length, &mut stream);
            let rows = match fixed.sound(&wave) {
                Ok(rows) => rows,
                Err(error) => {
                    // only where no silence can be put behind it
                    assert!(
                        length < 400 && matches!(error, PipelineError::TooShort(_)),
                        "{length}: {error}"
                    );
                    continue;
                }
            };
            assert_eq!(rows.shape, fixed.shape());
            assert_eq!(rows.data.len(), rows.shape.iter().product::<usize>());
            assert!(own(&rows.data).iter().all(|value| value.is_finite()), "{length}");
            let free = pipeline.sound(&wave).ok();
            let is_whole = samples.is_none_or(|samples| length == samples);
            if let Some(free) = free.filter(|_| is_whole) {
                let alike = free.data.len().min(own(&rows.data).len());
                assert_eq!(
                    own(&rows.data),
                    &free.data[..alike],
                    "a sound of the right length needs nothing"
                );
                assert_eq!(rows.shape, free.shape);
            }
        }
    }
}

#[test]
fn the_input_of_a_shorter_sound_is_its_own_and_then_nothing() {
    let mut stream = stream("padding");
    // 47 frames, of which the last has no partner
    let wave = noise(7_900, &mut stream);
    for pipeline in [
        Pipeline::Wave(Wave::fairseq(true)),
        Pipeline::Kaldi(Kaldi::beats()),
        Pipeline::Kaldi(Kaldi::w2v_bert()),
        Pipeline::SpeechBrain(SpeechBrain::best_rq()),
    ] {
        let alone = pipeline.sound(&wave).unwrap();
        let fixed = FixedPipeline::new(pipeline.clone(), Some(16_000)).unwrap();
        let padded = fixed.sound(&wave).unwrap();
        assert_eq!(padded.heard, alone.heard);
        let numbers = match &pipeline {
            Pipeline::Kaldi(_) => alone.heard.unwrap() * alone.shape[1],
            _ => alone.data.len(),
        };
        assert_eq!(own(&padded.data), &alone.data[..numbers]);
        assert!(padded.data.len() > numbers);
        // of a sound without any frame, silence
        let short = fixed.sound(&wave[..100]).unwrap();
        let silenced = [&wave[..100], &[0.0; 3_100]].concat();
        let silenced = own(&fixed.sound(&silenced).unwrap().data).to_vec();
        assert_eq!(own(&short.data), silenced);
    }
    // a pipeline with a number of frames completes itself
    let rows = FixedPipeline::new(Pipeline::Kaldi(Kaldi::spectrogram(ESC50, 64)), None).unwrap();
    assert!(rows.sound(&wave).unwrap().data.iter().all(|value| value.is_finite()));
}

#[test]
fn a_spectrogram_is_that_of_our_own_tasks() {
    let wave = noise(5_000, &mut stream("spectrogram"));
    let kaldi = Kaldi::spectrogram(ESC50, 64);
    let ours = Fbank::new(16_000, 128)
        .model_input(&wave, 64, -6.6268077, 5.358466)
        .unwrap();
    assert_eq!(Pipeline::Kaldi(kaldi).sound(&wave).unwrap().data, ours);
}

#[test]
fn a_video_is_its_middle_frames_as_pictures() {
    let (width, height) = (30, 20);
    let frame = |number: u8| crate::Picture {
        rgb: pattern(width, height)
            .rgb
            .iter()
            .map(|byte| byte.wrapping_add(number * 17))
            .collect(),
        width,
        height,
    };
    let frames: Vec<crate::Picture> = (0..9).map(frame).collect();
    let clip = Clip {
        frames: frames.len(),
        width,
        height,
        rgb: frames.iter().flat_map(|frame| frame.rgb.clone()).collect(),
    };
    // of 9 frames, 3 that are 2 apart take 5; 4 are left, 2 on each side. Of 3 that are 8 apart, the
    // last is missing
    for (step, chosen) in [(2, [2, 4, 6]), (8, [0, 8, 8])] {
        let video = Video {
            step,
            ..Video::videomae(3, 16)
        };
        let rows = Pipeline::Video(video.clone()).video(&clip).unwrap();
        assert_eq!(rows.shape, [3, 3, 16, 16]);
        for (place, number) in chosen.into_iter().enumerate() {
            let picture = Pipeline::Picture(video.picture.clone())
                .picture(&frames[number])
                .unwrap();
            for channel in 0..3 {
                let ours = &rows.data[(channel * 3 + place) * 256..][..256];
                assert_eq!(ours, &picture.data[channel * 256..][..256], "frame {number}");
            }
        }
    }
}

#[test]
fn each_pipeline_takes_its_own_media_only() {
    let of_sounds = Pipeline::Kaldi(Kaldi::beats());
    let of_pictures = Pipeline::Picture(Picture::evaluation(8, HALF));
    let of_videos = Pipeline::Video(Video::videomae(2, 8));
    let white = crate::Picture::filled(4, 4, [255; 3]);
    let messages = [
        of_pictures.sound(&[0.0; 400]).unwrap_err(),
        of_sounds.picture(&white).unwrap_err(),
        of_videos.picture(&white).unwrap_err(),
    ];
    let messages: Vec<String> = messages.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    a sound is given to a pipeline of pictures
    a picture is given to a pipeline of sounds
    a picture is given to a pipeline of videos
    ");
    let cut_off = crate::Picture { height: 5, ..white };
    insta::assert_snapshot!(of_pictures.picture(&cut_off).unwrap_err(), @"48 bytes are no picture of 4 x 5 pixels");
    insta::assert_snapshot!(of_sounds.sound(&[0.0; 399]).unwrap_err(), @"the waveform has 399 samples, fewer than the 400 of one filterbank window");
}
