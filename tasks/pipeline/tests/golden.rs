//! `golden.json`: transformers' processors on patterns, whose bytes must be equal, and on real files.

use serde::Deserialize;
use serde_json::Value;

use super::core;
use crate::decode;
use crate::files::sha256::sha256;
use crate::fixtures::outside_data;
use crate::media::image::tests::pattern;
use crate::pipeline::Pipeline;

#[derive(Deserialize)]
struct Golden {
    pictures: Vec<PictureCase>,
    sounds: Vec<SoundCase>,
}

#[derive(Deserialize)]
struct PictureCase {
    size: [usize; 2],
    config: Value,
    shape: Vec<usize>,
    sha256: String,
}

#[derive(Deserialize)]
struct SoundCase {
    file: String,
    samples: usize,
    config: Value,
    tolerance: f64,
    shape: Vec<usize>,
    mean: f64,
    std: f64,
    /// Spread evenly.
    numbers: Vec<f64>,
    heard: usize,
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(core().join("golden.json")).unwrap()).unwrap()
}

#[test]
fn resized_and_cut_pictures_are_those_of_pillow_and_transformers_byte_for_byte() {
    let cases = golden().pictures;
    assert!(!cases.is_empty());
    for PictureCase {
        size: [width, height],
        config,
        shape,
        sha256: expected,
    } in cases
    {
        let of_picture = match Pipeline::from_preprocessor(&config).unwrap() {
            Pipeline::Video(video) => Pipeline::Picture(video.picture),
            other => other,
        };
        let rows = of_picture.picture(&pattern(width, height)).unwrap();
        assert_eq!(rows.shape, shape, "{width} x {height}: {config}");
        let bytes: Vec<u8> = rows.data.iter().map(|&value| value as u8).collect();
        assert_eq!(sha256(&bytes), expected, "{width} x {height}: {config}");
    }
}

#[test]
fn inputs_of_real_sounds_are_those_of_transformers() {
    let Some(root) = outside_data("esc50") else { return };
    let cases = golden().sounds;
    assert!(!cases.is_empty());
    for case in cases {
        let path = root.join("audio").join(&case.file);
        let wave = decode(std::fs::read(&path).unwrap(), "flac").unwrap();
        let pipeline = Pipeline::from_preprocessor(&case.config).unwrap();
        assert_eq!(pipeline.sample_rate(), Some(wave.sample_rate));
        let rows = pipeline.sound(&wave.samples[..case.samples]).unwrap();
        assert_eq!(
            (&rows.shape, rows.heard),
            (&case.shape, Some(case.heard)),
            "{}",
            case.config
        );
        let n = rows.data.len();
        let numbers = (0..case.numbers.len()).map(|number| f64::from(rows.data[number * n / case.numbers.len()]));
        let worst = numbers
            .zip(&case.numbers)
            .map(|(ours, theirs)| (ours - theirs).abs())
            .fold(0.0, f64::max);
        let each = || rows.data.iter().map(|&value| f64::from(value));
        let mean = each().sum::<f64>() / n as f64;
        let std = (each().map(|value| (value - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        println!(
            "{} {:?}: off by {worst:.1e} of {:.1e}",
            case.file, case.shape, case.tolerance
        );
        let off = worst.max((mean - case.mean).abs()).max((std - case.std).abs());
        // numbers are committed with six decimals
        assert!(
            off <= case.tolerance + 1e-6,
            "{} {}: off by {off}",
            case.file,
            case.config
        );
    }
}
