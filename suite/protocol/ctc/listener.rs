//! Who hears the utterances: this program's own encoder over its spectrograms, or an encoder of others over its own
//! inputs, each sound as long as it is.

use super::CtcTraining;
use crate::data::utterances::length;
use crate::data::{TrainingData as _, UtteranceBatch, Utterances};
use crate::foreign::{ForeignEncoder, padded};
use crate::protocol::{RequireGradients, Subject};
use bridle::frames::Frames;
use bridle::layered::LayeredEncoder as _;
use bridle::speech::conformer::Conformer;
use bridle_backends::{Ops, TrainBackend};
use bridle_encoders::{Encoder, FRONT_END};
use bridle_tasks::DataError;
use bridle_tasks::pipeline::{Kaldi, Pipeline, SpeechBrain};
use burn::module::{AutodiffModule, Module as _, ModuleDisplay};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

/// An encoder of utterances without gradients.
pub type Inner<B, L> = <<L as Listener<B>>::Encoder as AutodiffModule<B>>::InnerModule;

/// What an encoder makes of a batch.
pub struct Heard<B: Backend> {
    pub frames: Frames<B>,
    /// Frames of each utterance.
    pub lengths: Vec<usize>,
}

impl<B: Backend> Heard<B> {
    /// On the same backend with gradients, none of which reach the encoder.
    pub fn tracked<A: AutodiffBackend<InnerBackend = B>>(self) -> Heard<A> {
        let Frames { x, valid, scores } = self.frames;
        Heard {
            frames: Frames {
                x: Tensor::from_inner(x),
                valid: Tensor::from_inner(valid),
                scores: scores.map(Tensor::from_inner),
            },
            lengths: self.lengths,
        }
    }
}

/// An encoder, and how it reads utterances.
pub trait Listener<B: TrainBackend> {
    type Encoder: AutodiffModule<B, InnerModule: ModuleDisplay> + ModuleDisplay;

    /// The encoder as it was given.
    fn given(&self) -> &Inner<B, Self>
    where
        Self: Sized;

    /// The same, ready to be trained.
    fn trainable(&self) -> Self::Encoder;

    /// Frames that come of an utterance, or at least so many.
    fn frames(&self, utterance: usize) -> usize;

    /// Mel bands of which the numbers of a batch are rows; 1 for waves.
    fn mels(&self) -> usize;

    /// Reads utterances, on any thread; an error is of one that cannot be read any more, or gives no frame.
    fn reader(&self) -> impl Fn(Vec<usize>) -> Result<UtteranceBatch, DataError> + Send + Sync;

    /// What the encoder makes of them, with gradients.
    fn follow(&self, encoder: &Self::Encoder, batch: UtteranceBatch) -> Heard<B>;

    /// What the encoder makes of them after so many layers, or at its end.
    fn hear(&self, encoder: &Inner<B, Self>, batch: UtteranceBatch, layer: Option<usize>) -> Heard<B::InnerBackend>
    where
        Self: Sized;
}

/// This program's own encoder.
pub struct OwnListener<'a, 'd, B: TrainBackend>(pub &'a Subject<'a, B, Utterances<'d>>);

impl<B: TrainBackend> Listener<B> for OwnListener<'_, '_, B> {
    type Encoder = Conformer<B>;

    fn given(&self) -> &Conformer<B::InnerBackend> {
        self.0.encoder()
    }

    fn trainable(&self) -> Conformer<B> {
        self.0.trainable()
    }

    fn frames(&self, utterance: usize) -> usize {
        length(self.0.data.set, utterance)
    }

    fn mels(&self) -> usize {
        self.0.data.set.input_spec().mels
    }

    fn reader(&self) -> impl Fn(Vec<usize>) -> Result<UtteranceBatch, DataError> + Send + Sync {
        let data = self.0.data;
        |utterances| data.read(utterances)
    }

    fn follow(&self, encoder: &Conformer<B>, batch: UtteranceBatch) -> Heard<B> {
        let lengths = batch.lengths.clone();
        let frames = self.0.data.frames::<B>(batch, self.0.device);
        let hidden = encoder.encode(&frames);
        Heard {
            frames: frames.with(hidden),
            lengths,
        }
    }

    fn hear(
        &self,
        encoder: &Conformer<B::InnerBackend>,
        batch: UtteranceBatch,
        layer: Option<usize>,
    ) -> Heard<B::InnerBackend> {
        let lengths = batch.lengths.clone();
        let frames = self.0.data.frames::<B::InnerBackend>(batch, self.0.device);
        let layers = layer.unwrap_or(encoder.layers());
        let hidden = encoder.pass(encoder.enter(&frames), 0..layers, &frames);
        Heard {
            frames: frames.with(encoder.of_frames(hidden)),
            lengths,
        }
    }
}

/// An encoder of others.
pub struct ForeignListener<'a, 'd, B: TrainBackend> {
    data: &'a Utterances<'d>,
    theirs: &'a ForeignEncoder<'a, B::InnerBackend>,
    /// Whether its convolutions over waves stay as they are.
    freezes: bool,
    device: &'a B::Device,
}

impl<'a, 'd, B: TrainBackend> ForeignListener<'a, 'd, B> {
    pub fn new(
        values: &CtcTraining,
        subject: &'a Subject<'a, B, Utterances<'d>>,
        theirs: &'a ForeignEncoder<'a, B::InnerBackend>,
    ) -> Self {
        Self {
            data: subject.data,
            theirs,
            freezes: values.freeze_front.unwrap_or(false),
            device: subject.device,
        }
    }

    /// Numbers of a row of its inputs.
    fn width(&self) -> usize {
        match &self.theirs.known.pipeline {
            Pipeline::Kaldi(Kaldi { mels, stack, .. }) => mels * stack,
            Pipeline::SpeechBrain(SpeechBrain { mels, .. }) => *mels,
            Pipeline::Wave(_) | Pipeline::Picture(_) | Pipeline::Video(_) => 1,
        }
    }

    /// What an encoder on any backend makes of a batch.
    fn on<C: Ops>(
        &self,
        encoder: &Encoder<C>,
        batch: &UtteranceBatch,
        layer: Option<usize>,
        device: &C::Device,
    ) -> Heard<C> {
        let (width, mut rest, mut sounds) = (self.width(), &batch.values[..], Vec::new());
        for length in &batch.lengths {
            let (sound, others) = rest.split_at(length * width);
            sounds.push(sound);
            rest = others;
        }
        let states = encoder.states(padded(&sounds, width, device));
        let mut states = states.expect("utterances were checked when they were read");
        let hidden = layer.map_or(states.last, |layer| states.hidden.swap_remove(layer));
        let lengths = states.lengths;
        let times = lengths.iter().copied().max().unwrap_or(0);
        let valid = lengths
            .iter()
            .flat_map(|&length| (0..times).map(move |time| f32::from(u8::from(time < length))));
        let valid = TensorData::new(valid.collect::<Vec<f32>>(), [lengths.len(), times, 1]);
        let frames = Frames {
            x: hidden.narrow(1, 0, times),
            valid: Tensor::from_data(valid, device),
            scores: None,
        };
        Heard { frames, lengths }
    }
}

impl<B: TrainBackend> Listener<B> for ForeignListener<'_, '_, B> {
    type Encoder = Encoder<B>;

    fn given(&self) -> &Encoder<B::InnerBackend> {
        &self.theirs.encoder
    }

    fn trainable(&self) -> Encoder<B> {
        let mut gradients = RequireGradients {
            frozen: self.freezes.then_some(FRONT_END),
            ..RequireGradients::default()
        };
        Encoder::<B>::from_inner(self.theirs.encoder.clone()).map(&mut gradients)
    }

    /// By the fewest samples that give the utterance's 10 ms frames.
    fn frames(&self, utterance: usize) -> usize {
        let frames = self.data.set.frames(utterance);
        let known = &self.theirs.known;
        let rate = known.pipeline.sample_rate().unwrap_or_default() as usize;
        let samples = rate / 40 + rate / 100 * frames.saturating_sub(1);
        let rows = match &known.pipeline {
            Pipeline::Kaldi(kaldi) => frames / kaldi.stack,
            Pipeline::SpeechBrain(_) => 1 + samples / (rate / 100),
            Pipeline::Wave(_) | Pipeline::Picture(_) | Pipeline::Video(_) => samples,
        };
        known.body.frames(rows)
    }

    fn mels(&self) -> usize {
        match &self.theirs.known.pipeline {
            Pipeline::Kaldi(Kaldi { mels, .. }) | Pipeline::SpeechBrain(SpeechBrain { mels, .. }) => *mels,
            Pipeline::Wave(_) | Pipeline::Picture(_) | Pipeline::Video(_) => 1,
        }
    }

    fn reader(&self) -> impl Fn(Vec<usize>) -> Result<UtteranceBatch, DataError> + Send + Sync {
        let (set, known, width) = (self.data.set, self.theirs.known, self.width());
        move |utterances| {
            let (mut lengths, mut values) = (Vec::new(), Vec::new());
            for &utterance in &utterances {
                let wrong = |reason: String| DataError::WrongInput {
                    task: "the encoder's own input pipeline",
                    reason: format!("{}: {reason}", set.utterances[utterance].id),
                };
                let wave = set.wave(utterance)?;
                let mut rows = known.pipeline.sound(&wave).map_err(|error| wrong(error.to_string()))?;
                if let (Pipeline::Kaldi(_), Some(heard)) = (&known.pipeline, rows.heard) {
                    // a last frame without a partner is padding
                    rows.data.truncate(heard * width);
                }
                let length = rows.data.len() / width;
                if known.body.frames(length) == 0 {
                    return Err(wrong(format!("a sound of {length} is too short for a frame")));
                }
                lengths.push(length);
                values.extend(rows.data);
            }
            Ok(UtteranceBatch {
                utterances,
                lengths,
                values,
            })
        }
    }

    fn follow(&self, encoder: &Encoder<B>, batch: UtteranceBatch) -> Heard<B> {
        self.on(encoder, &batch, None, self.device)
    }

    fn hear(
        &self,
        encoder: &Encoder<B::InnerBackend>,
        batch: UtteranceBatch,
        layer: Option<usize>,
    ) -> Heard<B::InnerBackend> {
        self.on(encoder, &batch, layer, self.device)
    }
}
