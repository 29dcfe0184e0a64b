//! The plan's values of fine-tuning on classes; those on transcripts are
//! [`CtcTraining`](crate::protocol::CtcTraining).

use crate::plan::{Choices, Core, Judging, LeftOut, Phase, Section, Stage, Takes, override_with};
use crate::protocol::{Taught, ctc};
use bridle::optimizer::AdamWConfig;
use bridle_tasks::pipeline::{Kaldi, Normalise, Pipeline};
use bridle_values::check::{Checked, at_least_one, not_negative, positive, require, share};
use bridle_values::choices;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Fine-tuning of the whole encoder with a linear head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finetune {
    pub epochs: usize,
    /// Learning rate of the head after the warm-up.
    pub rate: f64,
    /// Closed list of rates to choose from in place of `rate`: each is tried in full on the training
    /// samples less a held-out part, whose learning curve the record keeps. Plans omit an empty list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<f64>,
    /// Learning rate at the end of the cosine.
    pub least_rate: f64,
    /// Length of the linear warm-up, in epochs.
    pub warmup_epochs: f64,
    pub batch: usize,
    /// Factor on the rate from one layer to the next below.
    pub layer_decay: f64,
    /// Weight decay leaves the class token out.
    #[serde(flatten)]
    pub adamw: AdamWConfig,
    /// Stochastic depth: rate of the last block; earlier ones have less, the first none.
    pub drop_path: f64,
    pub loss: FinetuneLoss,
    /// Share of every target that is spread over all classes.
    pub label_smoothing: f64,
    pub sampler: Sampler,
    /// How many samples an epoch draws; absent: as many as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_samples: Option<usize>,
    /// Probability that a sample is mixed with another one.
    pub mixup: f64,
    /// The share in a mixture is Beta(alpha, alpha).
    pub mixup_alpha: f64,
    /// Probability that a sample that was not mixed gets a box of another one.
    pub cutmix: f64,
    /// The box's share is Beta(alpha, alpha).
    pub cutmix_alpha: f64,
    /// Whether mixing is applied (images, video): the authors build it and never do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_mixup: Option<bool>,
    /// Greatest number of mel bands hidden together (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mel_mask: Option<usize>,
    /// Greatest number of frames hidden together (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_mask: Option<usize>,
    /// Whether the waveform's magnitude is drawn anew, Beta(10, 10) + 0.5 (audio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magnitude: Option<bool>,
    /// Whether the convolutions of an encoder of others over waves stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_front: Option<bool>,
    /// Share of token rows in time, and of those in frequency, that training leaves out (audio); 0:
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_mask: Option<f64>,
}

choices! {
    /// The loss of fine-tuning.
    "loss" FinetuneLoss {
        /// one softmax over all classes
        CrossEntropy = "cross-entropy",
        /// each class by itself, for samples of several classes
        Binary = "binary",
    }
}

choices! {
    /// Which training samples an epoch of fine-tuning shows.
    "sampler" Sampler {
        /// every sample once, in a new order
        Shuffle = "shuffle",
        /// drawn with replacement, samples of rare classes more often
        Weighted = "weighted",
        /// drawn without replacement, samples of rare classes more often and earlier
        WeightedOnce = "weighted-once",
    }
}

impl Section for Taught<Finetune> {
    const STAGE: Stage = Stage::Judging;
    const UNWRITTEN: &'static [(&'static str, &'static str)] = &[("rates", "[]")];

    fn left_out(choices: &Choices<'_>) -> Vec<LeftOut> {
        let every =
            |why: String, values: &[&str]| values.iter().map(|&value| (value.to_owned(), why.clone())).collect();
        if let (Some(pipeline), false) = (choices.pipeline(), choices.is_speech()) {
            let why = format!(
                "the inputs of the encoder given with --init are {}",
                Mixes::of(pipeline).inputs()
            );
            return every(why, Mixes::of(pipeline).unused());
        }
        match choices.not_audio() {
            None => {
                let why = format!("task `{}` is audio, which always mixes", choices.task.name);
                every(why, &["batch_mixup"])
            }
            // training with transcripts has a `mel_mask` of its own
            Some(_) if choices.is_speech() => Vec::new(),
            Some(why) => every(why, &["mel_mask", "frame_mask", "magnitude", "token_mask"]),
        }
    }

    fn decided(choices: &Choices<'_>) -> Value {
        let mut values = json!({});
        if choices.task.several_classes {
            values["loss"] = json!(FinetuneLoss::Binary);
        }
        if let Some(foreign) = choices.foreign {
            let mixes = Mixes::of(foreign.input.pipeline());
            override_with(&mut values, mixes.decided(choices.is_speech()));
            if !choices.is_speech() && foreign.body.has_frames() {
                values["drop_path"] = json!(0.0);
            }
            if foreign.body.hears_waves() {
                values["freeze_front"] = json!(true);
            }
        }
        values
    }

    fn check(&self, plan: &Core) -> Checked {
        match self {
            Self::Classes(finetune) => finetune.check(plan),
            Self::Transcripts(training) => training.check("finetune", plan),
        }
    }
}

impl Judging for Taught<Finetune> {
    const TRAINS_ENCODER: bool = true;
    const TAKES: Takes = Takes::Any;
    const OVER_RANKS: bool = true;

    fn shared_batch(&self) -> Option<usize> {
        Some(match self {
            Self::Classes(finetune) => finetune.batch,
            Self::Transcripts(training) => training.batch,
        })
    }
}

/// How inputs of an encoder of others can be mixed and masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixes {
    /// Log energies under constants: as the spectrograms of this program's own encoders.
    Energies,
    /// The sounds themselves: their amplitudes are mixed, and nothing is masked.
    Waves,
    /// Log energies of which each band is normalised over its sound: masked by their mean, 0, and not mixed.
    Bands,
    /// Pictures and videos.
    Pixels,
}

impl Mixes {
    pub fn of(pipeline: &Pipeline) -> Self {
        match pipeline {
            Pipeline::Wave(_) => Self::Waves,
            Pipeline::Kaldi(Kaldi {
                normalise: Normalise::Constants { .. },
                stack: 1,
                ..
            }) => Self::Energies,
            Pipeline::Kaldi(_) | Pipeline::SpeechBrain(_) => Self::Bands,
            Pipeline::Picture(_) | Pipeline::Video(_) => Self::Pixels,
        }
    }

    const fn inputs(self) -> &'static str {
        match self {
            Self::Energies => "spectrograms",
            Self::Waves => "waves",
            Self::Bands => "spectrograms normalised by band",
            Self::Pixels => "pictures or videos",
        }
    }

    /// Values of fine-tuning on classes that say nothing of such inputs.
    const fn unused(self) -> &'static [&'static str] {
        match self {
            Self::Energies => &["batch_mixup", "token_mask"],
            Self::Bands => &["batch_mixup", "token_mask", "magnitude"],
            Self::Waves => &["batch_mixup", "token_mask", "magnitude", "mel_mask", "frame_mask"],
            Self::Pixels => &["token_mask", "magnitude", "mel_mask", "frame_mask"],
        }
    }

    /// Values that such inputs have in place of a preset's: none where they cannot be mixed or masked.
    fn decided(self, is_speech: bool) -> Value {
        match (self, is_speech) {
            (Self::Waves, true) => ctc::unmasked(),
            (Self::Waves, false) => json!({"cutmix": 0.0}),
            (Self::Bands, false) => json!({"mixup": 0.0, "cutmix": 0.0}),
            _ => json!({}),
        }
    }
}

impl Finetune {
    fn check(&self, plan: &Core) -> Checked {
        if let Some(mixes) = plan.pipeline().map(Mixes::of) {
            let cannot = |key: &str, value: f64, whether: bool| {
                require(value == 0.0 || whether, key, || {
                    format!("{value}, but {} are not mixed so", mixes.inputs())
                })
            };
            cannot("finetune.mixup", self.mixup, mixes != Mixes::Bands)?;
            let by_place = matches!(mixes, Mixes::Energies | Mixes::Pixels);
            cannot("finetune.cutmix", self.cutmix, by_place)?;
            let body = plan.foreign.as_ref().and_then(|foreign| foreign.body.get("kind"));
            let drops = self.drop_path == 0.0 || body.is_some_and(|kind| kind == "vit");
            require(drops, "finetune.drop_path", || {
                "stochastic depth is for vision transformers here, and this encoder is none".to_owned()
            })?;
        }
        let length = Phase::of_length(self.epochs, self.rate, self.warmup_epochs);
        length.check("finetune")?;
        self.rates
            .iter()
            .try_for_each(|&rate| positive("finetune.rates", rate))?;
        not_negative("finetune.least_rate", self.least_rate)?;
        at_least_one("finetune.batch", self.batch)?;
        self.adamw.check("finetune")?;
        share("finetune.drop_path", self.drop_path)?;
        share("finetune.label_smoothing", self.label_smoothing)?;
        positive("finetune.mixup_alpha", self.mixup_alpha)?;
        positive("finetune.cutmix_alpha", self.cutmix_alpha)?;
        share("finetune.token_mask", self.token_mask.unwrap_or(0.0))?;
        let decay = self.layer_decay;
        require(decay > 0.0 && decay <= 1.0, "finetune.layer_decay", || {
            format!("{decay} is not above 0 and at most 1")
        })?;
        for (key, chance) in [("finetune.mixup", self.mixup), ("finetune.cutmix", self.cutmix)] {
            require((0.0..=1.0).contains(&chance), key, || {
                format!("{chance} is no probability")
            })?;
        }
        Ok(())
    }
}
