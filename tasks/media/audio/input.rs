//! Waveforms and sound files as model inputs.

use bridle_seed::Stream;

use super::{FBANK_VERSION, Fbank, RESAMPLER_VERSION, Waveform, normalise, resample};
use crate::error::SampleError;
use crate::files::tree::Raw;
use crate::media::{Media, Views};
use crate::pipeline::FixedPipeline;
use crate::pipeline::media::PIPELINE_VERSION;
use crate::{DataError, InputSpec, Modality};

pub(crate) struct Sounds {
    sample_rate: u32,
    form: Form,
}

/// What a waveform becomes.
enum Form {
    LogMel {
        fbank: Box<Fbank>,
        frames: usize,
        mean: f64,
        std: f64,
    },
    Pipeline(FixedPipeline),
}

impl Sounds {
    /// `task` is for errors.
    pub fn new(task: &'static str, spec: &InputSpec) -> Result<Self, DataError> {
        let wrong = |reason: &str| DataError::wrong_input(task, reason.to_owned());
        let (frames, mels, sample_rate, mean, std) = match spec {
            InputSpec::Audio {
                frames,
                mels,
                sample_rate,
                mean,
                std,
            } => (*frames, *mels, *sample_rate, *mean, *std),
            InputSpec::Pipeline(fixed) if spec.modality() == Modality::Audio => {
                let sample_rate = fixed.pipeline().sample_rate().expect("sounds have a rate");
                let form = Form::Pipeline(fixed.clone());
                return Ok(Self { sample_rate, form });
            }
            _ => return Err(wrong("its clips are sound")),
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
        let fbank = Box::new(Fbank::new(sample_rate, mels));
        let form = Form::LogMel {
            fbank,
            frames,
            mean,
            std,
        };
        Ok(Self { sample_rate, form })
    }

    /// A waveform's input before the normalisation, padded or cut.
    pub fn values(&self, wave: Waveform) -> Result<Vec<f32>, String> {
        let samples = resample(wave.samples, wave.sample_rate, self.sample_rate);
        match &self.form {
            Form::LogMel { fbank, frames, .. } => fbank.padded(&samples, *frames).map_err(|error| error.to_string()),
            Form::Pipeline(fixed) => {
                let rows = fixed.sound(&samples).map_err(|error| error.to_string())?;
                Ok(rows.data)
            }
        }
    }
}

impl Media for Sounds {
    fn key(&self) -> String {
        let computed = format!("fbank {FBANK_VERSION} resampler {RESAMPLER_VERSION}");
        match &self.form {
            Form::LogMel { .. } => computed,
            Form::Pipeline(_) => format!("pipeline {PIPELINE_VERSION} {computed}"),
        }
    }

    fn work(&self) -> &'static str {
        match &self.form {
            Form::LogMel { .. } => "computing log-mel features",
            Form::Pipeline(_) => "computing inputs of sounds",
        }
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        Ok(self.values(Waveform::read(file)?)?)
    }

    fn normalise(&self, values: &mut [f32]) {
        match self.form {
            Form::LogMel { mean, std, .. } => normalise(values, mean, std),
            // its own part of the pipeline
            Form::Pipeline(_) => {}
        }
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
