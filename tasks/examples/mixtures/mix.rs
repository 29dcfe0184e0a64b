//! Mixtures of two clips of ESC-50 in AudioSet's own layout: class index, segment lists, clips
//! under their ids.

use bridle_tasks::decode;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The lists of AudioSet's balanced part, training first.
pub const LISTS: [&str; 2] = ["balanced_train_segments.csv", "eval_segments.csv"];
/// The second clip of a mixture is listed so many after the first, which lies in another recording
/// and mostly in another class.
const STEP: usize = 7;
/// The rate of ESC-50's 16 kHz form.
const RATE: u32 = 16_000;

/// Which clips are mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "whoever includes this file needs one of them")]
pub enum Classes {
    /// All 50 classes.
    All,
    /// The ten of ESC-10.
    Ten,
}

/// A clip of ESC-50 and its class.
struct Clip {
    stem: String,
    class: usize,
    fold: u8,
}

/// Makes the set in the folder `to` out of the folder of ESC-50: fold 1 is for judging, the others
/// are for training.
///
/// # Errors
/// If a file cannot be read, decoded or written.
pub fn write(esc50: &Path, to: &Path, which: Classes) -> Result<(), Box<dyn Error>> {
    let (clips, classes) = listed(esc50, which)?;
    let mut index = "index,mid,display_name\n".to_owned();
    for (number, name) in classes.iter().enumerate() {
        writeln!(index, "{number},{},\"{name}, mixed\"", mid(number))?;
    }
    fs::create_dir_all(to.join("clips"))?;
    fs::write(to.join("class_labels_indices.csv"), index)?;
    for (part, list) in LISTS.iter().enumerate() {
        let clips: Vec<&Clip> = clips.iter().filter(|clip| (clip.fold == 1) == (part == 1)).collect();
        let count = clips.len();
        let mut rows = format!(
            "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids={count}, num_segs={count}, num_unique_labels={}, num_positive_labels={count}\n# YTID, start_seconds, end_seconds, positive_labels\n",
            classes.len()
        );
        for (number, first) in clips.iter().enumerate() {
            let (id, second) = (format!("{part}{number:010}"), clips[(number + STEP) % count]);
            let mut both = vec![mid(first.class), mid(second.class)];
            both.sort_unstable();
            both.dedup();
            writeln!(rows, "{id}, 0.000, 5.000, \"{}\"", both.join(","))?;
            let (first, second) = (samples(esc50, first)?, samples(esc50, second)?);
            let sum: Vec<f32> = first.iter().zip(second).map(|(a, b)| 0.5 * (a + b)).collect();
            write_wav(&to.join(format!("clips/{id}.wav")), &sum)?;
        }
        fs::write(to.join(list), rows)?;
    }
    Ok(())
}

/// How AudioSet would name a class.
fn mid(class: usize) -> String {
    format!("/m/{class:04}")
}

/// The clips in the order of ESC-50's table, and the names of their classes in the order in which
/// they come there.
fn listed(folder: &Path, which: Classes) -> Result<(Vec<Clip>, Vec<String>), Box<dyn Error>> {
    let text = fs::read_to_string(folder.join("meta/esc50.csv"))?;
    let (mut clips, mut classes) = (Vec::new(), Vec::new());
    for line in text.lines().skip(1) {
        let [file, fold, _, category, esc10, ..] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("meta/esc50.csv: `{line}` has too few fields").into());
        };
        if which == Classes::Ten && esc10 != "True" {
            continue;
        }
        let class = classes.iter().position(|class| class == category).unwrap_or_else(|| {
            classes.push(category.to_owned());
            classes.len() - 1
        });
        clips.push(Clip {
            stem: file.trim_end_matches(".wav").to_owned(),
            class,
            fold: fold.parse()?,
        });
    }
    Ok((clips, classes))
}

/// What a clip sounds like; the table names wav files, which copies may hold in other formats.
fn samples(folder: &Path, clip: &Clip) -> Result<Vec<f32>, Box<dyn Error>> {
    let path = |ending: &str| folder.join("audio").join(format!("{}.{ending}", clip.stem));
    let ending = ["wav", "flac", "ogg"].into_iter().find(|ending| path(ending).is_file());
    let ending = ending.ok_or_else(|| format!("audio/{} is not there", clip.stem))?;
    let sound = decode(fs::read(path(ending))?, ending).map_err(|error| format!("{}: {error}", clip.stem))?;
    match sound.sample_rate {
        RATE => Ok(sound.samples),
        other => Err(format!("{} has {other} samples per second, not {RATE}", clip.stem).into()),
    }
}

fn write_wav(path: &Path, samples: &[f32]) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec)?;
    for sample in samples {
        writer.write_sample((sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16)?;
    }
    writer.finalize()
}
