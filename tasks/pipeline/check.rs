//! Which values a pipeline can have.

use super::{Kaldi, Normalise, Picture, Pipeline, PipelineError, Resize, SpeechBrain, Video, Wave};
use crate::media::audio::speechbrain;

/// Side, frame or mel band that no encoder reaches; more is a typing error.
const MOST: usize = 4_096;
/// Rows of a spectrogram: three hours.
const MOST_ROWS: usize = 1 << 20;

type Checked = Result<(), PipelineError>;

impl Pipeline {
    /// Refuses values that make no input.
    ///
    /// # Errors
    /// Names the value.
    pub fn check(&self) -> Checked {
        match self {
            Self::Wave(wave) => wave.check(),
            Self::Kaldi(kaldi) => kaldi.check(),
            Self::SpeechBrain(speech) => speech.check(),
            Self::Picture(picture) => picture.check(),
            Self::Video(video) => video.check(),
        }
    }
}

impl Wave {
    fn check(&self) -> Checked {
        rate(self.sample_rate)?;
        self.normalise.map_or(Ok(()), |added| epsilon("normalise", added))
    }
}

impl Kaldi {
    fn check(&self) -> Checked {
        rate(self.sample_rate)?;
        within("mels", self.mels, MOST)?;
        above_zero("scale", self.scale)?;
        within("frames", self.frames.unwrap_or(1), MOST_ROWS)?;
        within("stack", self.stack, 2)?;
        finite("padding_value", self.padding_value)?;
        match self.normalise {
            Normalise::Constants { mean, std } => finite("mean", mean).and(above_zero("std", std)),
            Normalise::PerBand { epsilon: added } => epsilon("epsilon", added),
        }
    }
}

impl SpeechBrain {
    fn check(&self) -> Checked {
        if self.sample_rate != speechbrain::SAMPLE_RATE {
            let reason = "its spectrum of 400 points is 25 ms of 16,000 Hz";
            return Err(PipelineError::setting("sample_rate", self.sample_rate, reason));
        }
        within("mels", self.mels, MOST)?;
        within("multiple", self.multiple, MOST)
    }
}

impl Picture {
    fn check(&self) -> Checked {
        let sides = match self.resize {
            Resize::To(sides) => sides,
            Resize::ShorterSide(side) => [side; 2],
            Resize::None => [1; 2],
        };
        for side in sides {
            within("resize", side, MOST)?;
        }
        for side in self.crop.unwrap_or([1; 2]) {
            within("crop", side, MOST)?;
        }
        above_zero("scale", self.scale)?;
        self.mean.iter().try_for_each(|&mean| finite("mean", mean))?;
        self.std.iter().try_for_each(|&std| above_zero("std", std))
    }
}

impl Video {
    fn check(&self) -> Checked {
        within("frames", self.frames, MOST)?;
        within("step", self.step, MOST)?;
        self.picture.check()
    }
}

fn rate(hertz: u32) -> Checked {
    match hertz {
        1_000..=768_000 => Ok(()),
        _ => Err(PipelineError::setting(
            "sample_rate",
            hertz,
            "it is not from 1,000 to 768,000 Hz",
        )),
    }
}

pub(super) fn within(key: &str, value: usize, most: usize) -> Checked {
    match value {
        0 => Err(PipelineError::setting(key, value, "it must be at least 1")),
        _ if value > most => Err(PipelineError::setting(
            key,
            value,
            &format!("it must be at most {most}"),
        )),
        _ => Ok(()),
    }
}

/// Numbers are used as 32-bit ones.
fn finite(key: &str, value: f64) -> Checked {
    match (value as f32).is_finite() {
        true => Ok(()),
        false => Err(PipelineError::setting(key, value, "it must be a finite number")),
    }
}

fn above_zero(key: &str, value: f64) -> Checked {
    match (value as f32).is_finite() && value as f32 > 0.0 {
        true => Ok(()),
        false => Err(PipelineError::setting(key, value, "it must be a number above 0")),
    }
}

/// What keeps a variance of 0 from being divided by.
fn epsilon(key: &str, value: f64) -> Checked {
    above_zero(key, value)
}
