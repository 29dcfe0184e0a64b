//! Waveforms and sound files as model inputs.

use bridle_seed::Stream;

use super::{FBANK_VERSION, Fbank, RESAMPLER_VERSION, Waveform, normalise, resample};
use crate::error::SampleError;
use crate::files::tree::Raw;
use crate::media::{Media, Views};
use crate::{DataError, InputSpec};

pub(crate) struct LogMel {
    fbank: Fbank,
    frames: usize,
    sample_rate: u32,
    mean: f64,
    std: f64,
}

impl LogMel {
    /// `task` is for errors.
    pub fn new(task: &'static str, spec: &InputSpec) -> Result<Self, DataError> {
        let wrong = |reason: &str| DataError::wrong_input(task, reason.to_owned());
        let InputSpec::Audio {
            frames,
            mels,
            sample_rate,
            mean,
            std,
        } = *spec
        else {
            return Err(wrong("its clips are sound"));
        };
        if frames == 0 || mels == 0 || !(1_000..=768_000).contains(&sample_rate) {
            return Err(wrong(
                "it needs frames, mel bands and a sample rate from 1,000 to 768,000 Hz",
            ));
        }
        if !mean.is_finite() || !std.is_finite() || std <= 0.0 {
            return Err(wrong(
                "the normalisation needs a finite mean and a standard deviation above zero",
            ));
        }
        Ok(Self {
            fbank: Fbank::new(sample_rate, mels),
            frames,
            sample_rate,
            mean,
            std,
        })
    }

    /// A waveform's log-mel energies before the normalisation, padded or cut.
    pub fn energies(&self, wave: Waveform) -> Result<Vec<f32>, String> {
        let samples = resample(wave.samples, wave.sample_rate, self.sample_rate);
        self.fbank
            .padded(&samples, self.frames)
            .map_err(|error| error.to_string())
    }
}

impl Media for LogMel {
    fn key(&self) -> String {
        format!("fbank {FBANK_VERSION} resampler {RESAMPLER_VERSION}")
    }

    fn work(&self) -> &'static str {
        "computing log-mel features"
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        Ok(self.energies(Waveform::read(file)?)?)
    }

    fn normalise(&self, values: &mut [f32]) {
        normalise(values, self.mean, self.std);
    }

    /// Sound is augmented after its features are computed.
    fn augments(&self) -> bool {
        false
    }

    fn drawn(&self, file: Raw, _views: Views, _stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        let mut values = self.view(file)?;
        self.normalise(&mut values);
        Ok(values)
    }
}
