//! Transcripts by connectionist temporal classification: a head over the encoder's frames learns
//! them, with the encoder frozen or trained too. The test utterances are recognised once, with the
//! weights of the last step.

mod augment;
mod decode;
mod listener;
mod symbols;
mod values;

use super::training::{Length, Training};
use super::{Judged, Outcome, Predicted, Prediction, Protocol, Subject, shared_part};
use crate::data::utterances::length;
use crate::data::{Part, TrainingData as _, UtteranceBatch, Utterances, valid_rows};
use crate::train::TrainError;
use crate::train::schedule::Schedule;
use augment::augment;
use bridle::codebook::index_rows;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::optimizer::Trained;
use bridle::speech::ctc::ctc_loss_mean;
use bridle::transformer::linear;
use bridle_backends::kernel::ranks;
use bridle_backends::{Ops, TrainBackend};
use bridle_ranks::part;
use bridle_tasks::{Progress, min_frames};
use burn::module::{AutodiffModule, Module, ModuleDisplay};
use burn::nn::Linear;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use listener::{ForeignListener, Inner, Listener, OwnListener};
use serde_json::{Map, json};
use std::marker::PhantomData;
use symbols::Inventory;
pub use values::{CtcTraining, Decoding, Symbols, Taught, decided, unmasked};

/// From an encoder's frames to logits of C symbols.
pub trait Head<B: Backend>: Module<B> + ModuleDisplay {
    /// Of all frames [B, T, D], padding included: [B, T, C].
    fn logits(&self, hidden: &Frames<B>) -> Tensor<B, 3>;

    /// Of the frames given by their rows of [B * T]: [M, C].
    fn row_logits(&self, hidden: &Frames<B>, rows: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        hidden.with(self.logits(hidden)).rows(rows)
    }
}

impl<B: Ops> Head<B> for Linear<B> {
    fn logits(&self, hidden: &Frames<B>) -> Tensor<B, 3> {
        let [batch, times, dim] = hidden.x.dims();
        let rows = linear(self, hidden.x.clone().reshape([batch * times, dim]));
        let [_, symbols] = rows.dims();
        rows.reshape([batch, times, symbols])
    }

    fn row_logits(&self, hidden: &Frames<B>, rows: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        linear(self, hidden.rows(rows))
    }
}

/// Encoder and head.
#[derive(Module, Debug)]
struct Recogniser<B: Backend, E, H> {
    encoder: E,
    head: H,
    backend: PhantomData<B>,
}

/// What a training with transcripts is.
pub struct Recipe<'a, N> {
    pub protocol: Protocol,
    pub values: &'a CtcTraining,
    pub encoder: EncoderUse,
    /// A new head from D numbers of a frame to C symbols.
    pub head: N,
}

/// What becomes of the encoder.
#[derive(Clone, Copy)]
pub enum EncoderUse {
    /// It stays as it is, and the head reads its tokens after so many layers; None: its output.
    Frozen { layer: Option<usize> },
    /// It is trained too, after the `head_epochs` of the values.
    Trained,
}

/// The linear head [D, C].
pub fn linear_head<B: Backend>(init: &Init<B>, dim: usize, symbols: usize) -> Linear<B> {
    init.linear("head", dim, symbols, true)
}

/// Trains with transcripts, then recognises the test utterances: the likeliest symbol of each
/// frame, and the best of a beam search if the plan has one.
///
/// # Errors
/// If training diverges, is interrupted, or cannot write; if an utterance cannot be read any more.
pub fn evaluate<B, H>(
    recipe: &Recipe<'_, impl Fn(&Init<B>, usize, usize) -> H>,
    subject: &Subject<'_, B, Utterances<'_>>,
) -> Result<Outcome, TrainError>
where
    B: TrainBackend,
    H: Head<B> + AutodiffModule<B, InnerModule: Head<B::InnerBackend>>,
{
    match subject.judged {
        Judged::Foreign(theirs) => evaluate_by(recipe, subject, &ForeignListener::new(recipe.values, subject, theirs)),
        _ => evaluate_by(recipe, subject, &OwnListener(subject)),
    }
}

fn evaluate_by<B, L, H>(
    recipe: &Recipe<'_, impl Fn(&Init<B>, usize, usize) -> H>,
    subject: &Subject<'_, B, Utterances<'_>>,
    listener: &L,
) -> Result<Outcome, TrainError>
where
    B: TrainBackend,
    L: Listener<B>,
    H: Head<B> + AutodiffModule<B, InnerModule: Head<B::InnerBackend>>,
{
    let symbols = Inventory::new(recipe.values.symbols, subject.data.set, subject.train);
    let drawn = with_transcripts(recipe.values, &symbols, subject, listener);
    let training = train(recipe, &symbols, &drawn.kept, subject, listener)?;
    let found = Recognised {
        log_probabilities: recognise(recipe, &symbols, &training.model.valid(), subject, listener)?,
        symbols: &symbols,
        protocol: recipe.protocol,
        progress: subject.progress,
    };
    let name = recipe.protocol.word();
    let greedy = Prediction {
        name: name.to_owned(),
        values: Predicted::Texts(found.greedily()?),
    };
    let beam = found.by_beam(subject.values.decoding.as_ref(), subject.lm)?;
    let beam = beam.map(|texts| Prediction {
        name: format!("{name}-beam"),
        values: Predicted::Texts(texts),
    });
    Ok(Outcome {
        predictions: std::iter::once(greedy).chain(beam).collect(),
        details: details(&symbols, &drawn, (training.steps(), training.loss()), subject, listener),
    })
}

/// What a trained recogniser says of the test utterances.
struct Recognised<'a> {
    symbols: &'a Inventory,
    /// Log-probabilities [T, C] of each utterance, in order.
    log_probabilities: Vec<Vec<f32>>,
    protocol: Protocol,
    progress: &'a dyn Progress,
}

/// A recogniser in training, whose encoder a listener hears with.
type InTraining<B, L, H> = Training<B, Recogniser<B, <L as Listener<B>>::Encoder, H>>;

fn train<B, L, H>(
    recipe: &Recipe<'_, impl Fn(&Init<B>, usize, usize) -> H>,
    symbols: &Inventory,
    drawn: &[usize],
    subject: &Subject<'_, B, Utterances<'_>>,
    listener: &L,
) -> Result<InTraining<B, L, H>, TrainError>
where
    B: TrainBackend,
    L: Listener<B>,
    H: Head<B> + AutodiffModule<B, InnerModule: Head<B::InnerBackend>>,
{
    let (values, name, set) = (recipe.values, recipe.protocol.word(), subject.data.set);
    let seed = subject.seed.child(name);
    let init = Init::<B>::new(seed.child("weights"), subject.device);
    let model = Recogniser {
        encoder: listener.trainable(),
        head: (recipe.head)(&init, subject.plan.model.dim(), symbols.count()),
        backend: PhantomData,
    };
    let mut training = Training::open(subject, name, Trained::new(model, values.adamw))?;
    let data = subject.data;
    let order = data.order(drawn, values.batch, seed.child("order"));
    let part = shared_part(recipe.protocol, order.batch())?;
    let length = Length {
        steps_per_epoch: order.steps_per_epoch(),
        batch: values.batch,
        schedule: Schedule {
            rate: values.rate,
            least: 0.0,
            warmup_epochs: values.warmup_epochs,
            epochs: values.epochs as f64,
        },
        share: part.share(),
    };
    let (frozen_epochs, layer) = match recipe.encoder {
        EncoderUse::Frozen { layer } => (values.epochs, layer),
        EncoderUse::Trained => (values.head_epochs.unwrap_or(0), None),
    };
    let frozen_steps = length.steps_per_epoch * frozen_epochs as u64;
    let seed = seed.child("augment");
    let (read, mels) = (listener.reader(), listener.mels());
    let inputs = |step| {
        let own = Part::placed(&[part], &order.at(step));
        let mut input = read(own.iter().map(|placed| placed.sample).collect())?;
        augment(&mut input, part.first, values, mels, &seed.indexed(step));
        Ok(input)
    };
    training.run(
        subject,
        &length,
        inputs,
        |model: &Recogniser<B, L::Encoder, H>, input: UtteranceBatch, step| {
            let texts = input.utterances.iter();
            let texts: Option<Vec<Vec<usize>>> = texts
                .map(|&index| symbols.encode(&set.utterances[index].text))
                .collect();
            let heard = if step < frozen_steps {
                listener.hear(listener.given(), input, layer).tracked()
            } else {
                listener.follow(&model.encoder, input)
            };
            let logits = model.head.logits(&heard.frames);
            let loss = texts.and_then(|texts| ctc_loss_mean(logits, &heard.lengths, &texts));
            loss.expect("utterances too short for their transcript are left out")
        },
    )?;
    Ok(training)
}

/// Log-probabilities [T, C] of the test utterances, in order. Each rank computes its part of every
/// batch, whose utterances have like lengths, and knows all in the end.
fn recognise<B: TrainBackend, L: Listener<B>, H: Head<B::InnerBackend>, N>(
    recipe: &Recipe<'_, N>,
    symbols: &Inventory,
    model: &Recogniser<B::InnerBackend, Inner<B, L>, H>,
    subject: &Subject<'_, B, Utterances<'_>>,
    listener: &L,
) -> Result<Vec<Vec<f32>>, TrainError> {
    let Subject {
        data,
        test,
        progress,
        device,
        ..
    } = *subject;
    let mut places: Vec<usize> = (0..test.len()).collect();
    places.sort_by_key(|&place| length(data.set, test[place]));
    let (ranks, read) = (ranks(), listener.reader());
    let (mut mine, mut lengths) = (Vec::new(), Vec::new());
    progress.start(&format!("{}: test", recipe.protocol), test.len() as u64);
    for batch in places.chunks(recipe.values.batch) {
        progress.advance(batch.len() as u64);
        let places = &batch[ranks.part(batch.len())];
        if places.is_empty() {
            continue;
        }
        let input = read(places.iter().map(|&place| test[place]).collect())?;
        let heard = match recipe.encoder {
            EncoderUse::Frozen { layer } => listener.hear(listener.given(), input, layer),
            EncoderUse::Trained => listener.hear(&model.encoder, input, None),
        };
        let rows = index_rows(&valid_rows(&heard.lengths), device);
        let log_p = log_softmax(model.head.row_logits(&heard.frames, rows), 1);
        mine.extend(log_p.into_data().iter::<f32>());
        lengths.extend(heard.lengths);
    }
    progress.finish();
    let mut values = ranks.gather_values(mine)?.into_iter();
    let mut lengths = ranks.gather_values(lengths)?.into_iter();
    let mut found = vec![Vec::new(); test.len()];
    for rank in 0..ranks.size() {
        for batch in places.chunks(recipe.values.batch) {
            for (&place, frames) in batch[part(batch.len(), rank, ranks.size())].iter().zip(&mut lengths) {
                found[place] = values.by_ref().take(frames * symbols.count()).collect();
            }
        }
    }
    Ok(found)
}

/// Training utterances that have transcripts.
struct Drawn {
    kept: Vec<usize>,
    /// How many of those drawn are too short for their transcript, and left out.
    too_short: usize,
}

/// Draws utterances by the run's seed: the same ones for every protocol.
fn with_transcripts<B: TrainBackend>(
    values: &CtcTraining,
    symbols: &Inventory,
    subject: &Subject<'_, B, Utterances<'_>>,
    listener: &impl Listener<B>,
) -> Drawn {
    let mut kept = subject.train.to_vec();
    subject.seed.child("transcripts").stream().shuffle(&mut kept);
    kept.truncate(values.utterances.unwrap_or(kept.len()));
    let count = kept.len();
    kept.retain(|&index| {
        let needed = symbols.frames_needed(&subject.data.set.utterances[index].text);
        needed.is_some_and(|needed| needed <= listener.frames(index))
    });
    Drawn {
        too_short: count - kept.len(),
        kept,
    }
}

fn details<B: TrainBackend>(
    symbols: &Inventory,
    drawn: &Drawn,
    (steps, (loss_first, loss_last)): (u64, (f64, f64)),
    subject: &Subject<'_, B, Utterances<'_>>,
    listener: &impl Listener<B>,
) -> Map<String, serde_json::Value> {
    let (data, test) = (subject.data.set, subject.test);
    let text = |index: usize| &data.utterances[index].text;
    let too_short = |index: &&usize| {
        let needed = symbols.frames_needed(text(**index));
        needed.unwrap_or_else(|| min_frames(text(**index))) > listener.frames(**index)
    };
    let unknown = |index: &&usize| symbols.encode(text(**index)).is_none();
    let details = [
        ("train_n", json!(drawn.kept.len())),
        ("train_too_short", json!(drawn.too_short)),
        ("test_too_short", json!(test.iter().filter(too_short).count())),
        ("test_with_unknown_symbols", json!(test.iter().filter(unknown).count())),
        ("symbols", json!(symbols.count())),
        ("steps", json!(steps)),
        ("loss_first", json!(loss_first)),
        ("loss_last", json!(loss_last)),
        ("weights", json!("those of the last step")),
    ];
    Map::from_iter(details.map(|(name, value)| (name.to_owned(), value)))
}
