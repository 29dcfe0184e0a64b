//! Attentive probe: one learnt query attends to all tokens of the frozen encoder, and a linear
//! layer reads what it gathers (V-JEPA, arXiv 2404.08471, without the block's MLP and second
//! projection). Masked encoders often keep what matters in single tokens, which a mean would blur.
//!
//! Rates are chosen as for the linear probe. On speech the query gathers, for each frame, from the
//! [`REACH`] frames on either side, with a learnt weight of each distance; a linear CTC layer reads
//! the result. A query over the whole utterance could not say where a symbol is.

use super::features::{Choice, Features, has_several, quality};
use super::hold_out::HoldOut;
use super::training::{Length, Training};
use super::{Evaluate, Examples, Judged, Outcome, Protocol, Subject, Taught, ctc, shared_part};
use crate::data::{Fixed, Order, Part, Utterances, fixed};
use crate::foreign::{ForeignEncoder, Form};
use crate::plan::{Choices, Core, Encoder, Judging, Section, Stage, Takes};
use crate::train::TrainError;
use crate::train::schedule::Schedule;
use bridle::encoder::Vit;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::frame_linear;
use bridle::loss::{binary_cross_entropy, soft_cross_entropy};
use bridle::optimizer::{AdamWConfig, ParameterGroups, Trained};
use bridle::transformer::{NORM_EPSILON, Norm, linear};
use bridle_backends::kernel::ranks;
use bridle_backends::{Ops, TrainBackend};
use bridle_seed::Seed;
use bridle_tasks::{DataError, Dataset, Progress as _};
use bridle_values::check::{Checked, at_least_one, held_out, not_negative, positive, require};
use burn::module::{AutodiffModule as _, Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const NAME: &str = "attentive-probe";
/// Frames on either side that a frame's query attends to (speech).
const REACH: usize = 4;
/// Tokens of the training samples stay in memory up to this size; larger ones are computed at each
/// step.
const KEPT_BYTES: usize = 1 << 30;
/// Added to the score of a frame that does not exist: its weight is then 0.
const UNSEEN: f64 = -1e9;

/// Values on classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attentive {
    pub epochs: usize,
    /// Closed list of learning rates; one is chosen on held-out training samples, never on the test
    /// samples.
    pub rates: Vec<f64>,
    pub batch: usize,
    pub weight_decay: f64,
    /// Share of the training samples held out to choose the rate.
    pub holdout: f64,
}

impl Section for Taught<Attentive> {
    const STAGE: Stage = Stage::Judging;

    const DEFAULTS: &'static str = r#"
[attentive]
epochs = 20
rates = [1e-4, 3e-4, 1e-3, 3e-3]
batch = 64
weight_decay = 1e-2
holdout = 0.2
utterances = 400

[preset.smoke.attentive]
epochs = 8
batch = 16
utterances = 100

[preset.paper.attentive]
utterances = "none"

[modality.speech.attentive]
symbols = "characters"
rate = 3e-3
warmup_epochs = 1.0
batch = 16
beta1 = 0.9
beta2 = 0.98
epsilon = 1e-8
mask_start = 0.0
mask_span = 1
mel_mask = 0
warp = 0.0

[task.digits.attentive]
symbols = "words"
"#;

    fn left_out(choices: &Choices<'_>) -> Vec<(String, String)> {
        let (values, why) = if choices.is_speech() {
            (&["rates", "holdout"][..], "transcripts are learnt at a single rate")
        } else {
            (&["utterances"][..], "samples of classes are no utterances")
        };
        let named = values.iter().map(|&value| (value.to_owned(), why.to_owned()));
        named.collect()
    }

    fn decided(choices: &Choices<'_>) -> Value {
        ctc::decided(choices)
    }

    fn check(&self, plan: &Core) -> Checked {
        match self {
            Self::Classes(values) => values.check(),
            Self::Transcripts(training) => training.check("attentive", plan),
        }
    }
}

impl Judging for Taught<Attentive> {
    const TRAINS_ENCODER: bool = false;
    const TAKES: Takes = Takes::Any;
    const OVER_RANKS: bool = true;

    fn shared_batch(&self) -> Option<usize> {
        Some(match self {
            Self::Classes(values) => values.batch,
            Self::Transcripts(training) => training.batch,
        })
    }
}

impl Attentive {
    fn check(&self) -> Checked {
        at_least_one("attentive.epochs", self.epochs)?;
        at_least_one("attentive.batch", self.batch)?;
        require(!self.rates.is_empty(), "attentive.rates", || {
            "the list of rates is empty".to_owned()
        })?;
        let mut rates = self.rates.iter();
        rates.try_for_each(|&rate| positive("attentive.rates", rate))?;
        not_negative("attentive.weight_decay", self.weight_decay)?;
        held_out("attentive.holdout", self.holdout)
    }
}

impl<B: TrainBackend> Evaluate<B> for Taught<Attentive> {
    fn classes(&self, subject: &Subject<'_, B, Fixed<'_>>) -> Result<Outcome, TrainError> {
        let values = self.for_classes();
        let (epochs, rates) = (values.epochs, &values.rates);
        let what = format!("{NAME}: {epochs} epochs, {} rates", rates.len());
        subject.progress.say(&what);
        let probe = Probe {
            subject,
            values,
            train: Samples::new(subject)?,
            reader: Reader::of(subject),
            seed: subject.seed.child(NAME),
        };
        let known = &probe.train.known;
        let held_out = HoldOut::of(known, values.holdout, probe.seed.child("hold-out"));
        let qualities = if held_out.places.is_empty() || rates.len() == 1 {
            vec![0.0; rates.len()]
        } else {
            let heads = probe.fit("attentive-probe-rates", "choose", &held_out.kept, rates)?;
            probe.qualities(&heads, &held_out.places)?
        };
        let all: Vec<usize> = (0..known.len()).collect();
        let mut chosen = Choice::new("rate", rates, &qualities, known, held_out.in_words());
        let heads = probe.fit(NAME, "final", &all, &[chosen.best])?;
        let features = json!("all patch tokens after the final norm, gathered by one query");
        chosen.details.insert("features".to_owned(), features);
        Ok(Outcome::of_scores(NAME, probe.scores(&heads[0])?, chosen.details))
    }

    fn transcripts(&self, subject: &Subject<'_, B, Utterances<'_>>) -> Result<Outcome, TrainError> {
        let (_, heads) = width(subject);
        let recipe = ctc::Recipe {
            protocol: Protocol::AttentiveProbe,
            values: self.for_transcripts(),
            encoder: ctc::EncoderUse::Frozen { layer: None },
            head: |init: &Init<B>, dim, symbols| Head::new(init, dim, heads, symbols).with_distances(init),
        };
        ctc::evaluate(&recipe, subject)
    }
}

/// Width of the encoder's tokens, and its heads of attention: the query has as many.
fn width<B: TrainBackend, D: Examples>(subject: &Subject<'_, B, D>) -> (usize, usize) {
    match (&subject.judged, &subject.plan.model) {
        (Judged::Foreign(theirs), _) => (theirs.known.body.dim(), theirs.known.body.heads()),
        (_, Encoder::Vit(vit)) => (vit.sizes.dim, vit.sizes.heads),
        (_, Encoder::Conformer(sizes)) => (sizes.dim, sizes.heads),
        (_, Encoder::Given(_)) => unreachable!("plans of vectors have no attentive probe"),
    }
}

/// What gives the tokens of samples.
enum Reader<'a, B: TrainBackend> {
    Own(&'a Vit<B::InnerBackend>, &'a B::Device),
    Foreign(&'a ForeignEncoder<'a, B::InnerBackend>, Box<Form>, &'a B::Device),
}

impl<'a, B: TrainBackend> Reader<'a, B> {
    fn of(subject: &Subject<'a, B, Fixed<'_>>) -> Self {
        match subject.judged {
            Judged::Foreign(theirs) => Self::Foreign(theirs, Box::new(theirs.form()), subject.device),
            _ => Self::Own(subject.encoder(), subject.device),
        }
    }

    /// Of inputs that lie one after the other: the tokens of all, and how many each has.
    fn read(&self, values: Vec<f32>) -> Result<KeptTokens, DataError> {
        match self {
            &Self::Own(encoder, device) => {
                let geometry = encoder.geometry();
                let samples = values.len() / geometry.input_len();
                let x = fixed::on_device(values, samples, geometry, device);
                Ok(KeptTokens {
                    values: encoder.embed_patches(x).into_data().iter::<f32>().collect(),
                    lengths: vec![geometry.tokens(); samples],
                })
            }
            Self::Foreign(theirs, form, device) => {
                let device: &B::Device = device;
                form.check(&values)?;
                let mut kept = KeptTokens::default();
                for input in form.inputs(values, device)? {
                    let tokens = theirs.tokens(input, None)?;
                    kept.lengths.extend_from_slice(&tokens.lengths);
                    kept.values.extend(tokens.own());
                }
                Ok(kept)
            }
        }
    }
}

/// Tokens of samples, one after the other, without padding.
#[derive(Default)]
struct KeptTokens {
    values: Vec<f32>,
    /// Tokens of each sample.
    lengths: Vec<usize>,
}

impl KeptTokens {
    /// Padded to the longest, with 0 where a sample has a token and very little where it has none, [B, T, 1, 1]; None if
    /// none is shorter.
    fn on<B: Backend>(self, dim: usize, device: &B::Device) -> (Tensor<B, 3>, Option<Tensor<B, 4>>) {
        let (samples, times) = (self.lengths.len(), self.lengths.iter().copied().max().unwrap_or(0));
        if self.lengths.iter().all(|&length| length == times) {
            let data = TensorData::new(self.values, [samples, times, dim]);
            return (Tensor::from_data(data, device), None);
        }
        let (mut padded, mut unseen) = (vec![0.0; samples * times * dim], vec![UNSEEN as f32; samples * times]);
        let mut rest = &self.values[..];
        for (place, &length) in self.lengths.iter().enumerate() {
            let (own, others) = rest.split_at(length * dim);
            padded[place * times * dim..][..own.len()].copy_from_slice(own);
            unseen[place * times..][..length].fill(0.0);
            rest = others;
        }
        (
            Tensor::from_data(TensorData::new(padded, [samples, times, dim]), device),
            Some(Tensor::from_data(
                TensorData::new(unseen, [samples, times, 1, 1]),
                device,
            )),
        )
    }
}

/// The query and what reads its answer.
#[derive(Module, Debug)]
struct Head<B: Backend> {
    norm: Norm<B>,
    /// A part for each of H attention heads, [H, D / H].
    query: Param<Tensor<B, 2>>,
    keys: Linear<B>,
    values: Linear<B>,
    /// Added to the scores by distance, [2 REACH + 1, H]; None where all tokens are in reach.
    distances: Option<Param<Tensor<B, 2>>>,
    /// [D, C].
    out: Linear<B>,
}

impl<B: Backend> Head<B> {
    fn new(init: &Init<B>, dim: usize, heads: usize, outputs: usize) -> Self {
        Self {
            norm: Norm::new(dim, NORM_EPSILON, init),
            query: init.normal("query", [heads, dim / heads], 0.02),
            keys: init.linear("keys", dim, dim, true),
            values: init.linear("values", dim, dim, true),
            distances: None,
            out: init.linear("out", dim, outputs, true),
        }
    }

    /// Attends to near frames only.
    fn with_distances(mut self, init: &Init<B>) -> Self {
        let [heads, _] = self.query.dims();
        self.distances = Some(init.constant([2 * REACH + 1, heads], 0.0));
        self
    }
}

impl<B: Ops> Head<B> {
    /// Scores [B, T, H, 1] and values [B, T, H, D / H] of tokens [B, T, D].
    fn scored(&self, tokens: Tensor<B, 3>) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let ([batch, times, _], [heads, width]) = (tokens.dims(), self.query.dims());
        let x = self.norm.forward(tokens);
        let split = |y: Tensor<B, 3>| y.reshape([batch, times, heads, width]);
        let keys = split(frame_linear(&self.keys, x.clone()));
        let scores = (keys * self.query.val().unsqueeze()).sum_dim(3);
        let scores = scores.mul_scalar((width as f64).powf(-0.5));
        (scores, split(frame_linear(&self.values, x)))
    }

    /// Class scores of samples [B, T, D]: [B, C]. `unseen` is added to the scores of tokens, [B, T, 1, 1].
    fn of_samples(&self, tokens: Tensor<B, 3>, unseen: Option<Tensor<B, 4>>) -> Tensor<B, 2> {
        let [batch, _, dim] = tokens.dims();
        let (scores, values) = self.scored(tokens);
        let scores = match unseen {
            Some(unseen) => scores + unseen,
            None => scores,
        };
        let gathered = (softmax(scores, 1) * values).sum_dim(1).reshape([batch, dim]);
        linear(&self.out, gathered)
    }
}

impl<B: Ops> ctc::Head<B> for Head<B> {
    /// Each frame gathers from those in reach: logits [B, T, C] of frames [B, T, D].
    fn logits(&self, hidden: &Frames<B>) -> Tensor<B, 3> {
        let [batch, times, dim] = hidden.x.dims();
        let (scores, values) = self.scored(hidden.x.clone());
        let unseen = hidden.valid.clone().sub_scalar(1.0).mul_scalar(-UNSEEN); // [B, T, 1]
        let scores = scores + unseen.unsqueeze_dim(3);
        // frames t - REACH to t + REACH of frame t, one after the other along a new axis
        let near = |x: Tensor<B, 4>, beyond: f64| {
            let [_, _, heads, width] = x.dims();
            let border = Tensor::full([batch, REACH, heads, width], beyond, &x.device());
            let padded = Tensor::cat(vec![border.clone(), x, border], 1);
            let at = |distance| padded.clone().narrow(1, distance, times).unsqueeze_dim(4);
            Tensor::cat((0..=2 * REACH).map(at).collect(), 4) // [B, T, H, width, 2 REACH + 1]
        };
        let mut scores: Tensor<B, 5> = near(scores, UNSEEN);
        if let Some(distances) = &self.distances {
            let [reach, heads] = distances.dims();
            scores = scores + distances.val().transpose().reshape([1, 1, heads, 1, reach]);
        }
        let gathered = (softmax(scores, 4) * near(values, 0.0)).sum_dim(4);
        frame_linear(&self.out, gathered.reshape([batch, times, dim]))
    }
}

/// The rate of each head, as a factor on the first one's, by its place in the list of heads.
struct Rates(Vec<f64>);

impl ParameterGroups for Rates {
    fn rate_scale(&self, name: &str) -> f64 {
        let place = name.split('.').next().and_then(|place| place.parse::<usize>().ok());
        place.map_or(1.0, |place| self.0[place])
    }
}

/// Tokens [B, T, D], and what is added to their scores where some are padding.
type Tokens<B> = (Tensor<B, 3>, Option<Tensor<B, 4>>);

struct Probe<'a, 'd, B: TrainBackend> {
    subject: &'a Subject<'a, B, Fixed<'d>>,
    values: &'a Attentive,
    train: Samples<'a>,
    reader: Reader<'a, B>,
    seed: Seed,
}

/// The training samples.
struct Samples<'a> {
    dataset: &'a Dataset,
    samples: &'a [usize],
    /// Their targets and folds.
    known: Features,
    /// Their tokens, and where those of each begin; None if they are too many to keep.
    tokens: Option<(KeptTokens, Vec<usize>)>,
    /// Width D of a token.
    dim: usize,
}

/// The input of one step.
enum Input {
    Tokens(KeptTokens),
    /// Inputs of samples whose tokens are still to be computed.
    Samples(Vec<f32>),
}

impl<'a> Samples<'a> {
    fn new<B: TrainBackend>(subject: &Subject<'a, B, Fixed<'_>>) -> Result<Self, DataError> {
        let Subject { train, progress, .. } = *subject;
        let (ranks, dataset, (dim, _)) = (ranks(), subject.data.dataset, width(subject));
        let (reader, mut kept) = (Reader::of(subject), KeptTokens::default());
        let own = &train[ranks.part(train.len())];
        progress.start("tokens", own.len() as u64);
        for samples in own.chunks(16) {
            let found = reader.read(fixed::values(dataset, samples)?)?;
            // where samples have lengths of their own, ranks do not share the work
            let most = train.len() * found.values.len() / samples.len();
            if most * size_of::<f32>() > KEPT_BYTES {
                kept = KeptTokens::default();
                break;
            }
            kept.values.extend(found.values);
            kept.lengths.extend(found.lengths);
            progress.advance(samples.len() as u64);
        }
        progress.finish();
        let kept = KeptTokens {
            values: ranks.required(ranks.gather_values(kept.values)),
            lengths: ranks.required(ranks.gather_values(kept.lengths)),
        };
        let starts = kept.lengths.iter().scan(0, |next, length| {
            let start = *next;
            *next += length * dim;
            Some(start)
        });
        let starts = starts.collect();
        Ok(Self {
            dataset,
            samples: train,
            known: Features::without_values(dataset, train),
            tokens: (kept.lengths.len() == train.len()).then_some((kept, starts)),
            dim,
        })
    }

    /// Those at these places.
    fn input(&self, places: &[usize]) -> Result<Input, DataError> {
        let Some((kept, starts)) = &self.tokens else {
            let samples: Vec<usize> = places.iter().map(|&place| self.samples[place]).collect();
            return fixed::values(self.dataset, &samples).map(Input::Samples);
        };
        let mut found = KeptTokens::default();
        for &place in places {
            let (start, length) = (starts[place], kept.lengths[place]);
            found
                .values
                .extend_from_slice(&kept.values[start..start + length * self.dim]);
            found.lengths.push(length);
        }
        Ok(Input::Tokens(found))
    }

    /// 1 where the sample at a place is of a class, row-major [n, C].
    fn hot(&self, places: &[usize], classes: usize) -> Vec<f32> {
        let mut hot = vec![0.0; places.len() * classes];
        for (row, &place) in hot.chunks_exact_mut(classes).zip(places) {
            let targets = self.known.targets[place].classes();
            targets.iter().for_each(|&class| row[class] = 1.0);
        }
        hot
    }
}

impl<B: TrainBackend> Probe<'_, '_, B> {
    /// Tokens [B, T, D], and what is added to their scores.
    fn tokens(&self, input: Input) -> Result<Tokens<B::InnerBackend>, DataError> {
        let kept = match input {
            Input::Samples(values) => self.reader.read(values)?,
            Input::Tokens(kept) => kept,
        };
        Ok(kept.on(self.train.dim, self.subject.device))
    }

    /// Trains a head per rate side by side on the training samples at these places, as phase
    /// `phase`.
    fn fit(
        &self,
        phase: &'static str,
        seed: &str,
        places: &[usize],
        rates: &[f64],
    ) -> Result<Vec<Head<B::InnerBackend>>, TrainError> {
        let (subject, values, seed) = (self.subject, self.values, self.seed.child(seed));
        let ((dim, heads), classes, device) = (width(subject), subject.classes(), subject.device);
        let init = Init::<B>::new(seed.child("weights"), device);
        // equal, but no clones, which would share their first gradients
        let head = |_: &f64| Head::new(&init, dim, heads, classes);
        let probes: Vec<Head<B>> = rates.iter().map(head).collect();
        let adamw = AdamWConfig {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: values.weight_decay,
        };
        let factors = rates.iter().map(|rate| rate / rates[0]).collect();
        let model = Trained::with_groups(probes, adamw, Rates(factors));
        let mut training = Training::open(subject, phase, model)?;
        let order = Order::shuffled(places, values.batch, seed.child("order"));
        let part = shared_part(Protocol::AttentiveProbe, order.batch())?;
        let length = Length {
            steps_per_epoch: order.steps_per_epoch(),
            batch: values.batch,
            schedule: Schedule {
                rate: rates[0],
                least: 0.0,
                warmup_epochs: 0.0,
                epochs: values.epochs as f64,
            },
            share: part.share(),
        };
        let train = &self.train;
        let inputs = |step| {
            let own = Part::placed(&[part], &order.at(step)).into_iter();
            let places: Vec<usize> = own.map(|placed| placed.sample).collect();
            Ok((train.input(&places)?, train.hot(&places, classes)))
        };
        let several = has_several(&self.train.known.targets);
        training.run(subject, &length, inputs, |heads: &Vec<Head<B>>, (input, hot), _| {
            let found = self.tokens(input);
            let (tokens, unseen) = found.expect("samples were read in the same way before");
            let (tokens, unseen) = (Tensor::from_inner(tokens), unseen.map(Tensor::from_inner));
            let samples = hot.len() / classes;
            let hot: Tensor<B, 2> = Tensor::from_data(TensorData::new(hot, [samples, classes]), device);
            let losses = heads.iter().map(|head| {
                let logits = head.of_samples(tokens.clone(), unseen.clone());
                if several {
                    binary_cross_entropy(logits, hot.clone())
                } else {
                    soft_cross_entropy(logits, hot.clone())
                }
            });
            // heads share no parameter, so that the sum trains each as if it were alone
            Tensor::cat(losses.collect(), 0).sum()
        })?;
        Ok(training.model.iter().map(|head| head.valid()).collect())
    }

    /// The quality of each head on the training samples at these places.
    fn qualities(&self, heads: &[Head<B::InnerBackend>], places: &[usize]) -> Result<Vec<f64>, DataError> {
        let (ranks, mut scores) = (ranks(), vec![Vec::new(); heads.len()]);
        for places in places[ranks.part(places.len())].chunks(self.values.batch) {
            let (tokens, unseen) = self.tokens(self.train.input(places)?)?;
            for (head, scores) in heads.iter().zip(&mut scores) {
                let logits = head.of_samples(tokens.clone(), unseen.clone());
                scores.extend(logits.into_data().iter::<f32>());
            }
        }
        let (targets, classes) = (self.train.known.pick(places).targets, self.subject.classes());
        let all = scores
            .into_iter()
            .map(|scores| ranks.required(ranks.gather_values(scores)));
        Ok(all.map(|scores| quality(&scores, &targets, classes)).collect())
    }

    /// Class scores of the test samples, row-major [n, C]; of samples with several views the mean
    /// probabilities.
    fn scores(&self, head: &Head<B::InnerBackend>) -> Result<Vec<f32>, DataError> {
        let Subject { test, progress, .. } = *self.subject;
        let (ranks, dataset) = (ranks(), self.subject.data.dataset);
        let (clips, mut found) = (self.subject.plan.test_clips(), Vec::new());
        let test = &test[ranks.part(test.len())];
        progress.start("attentive-probe: test", test.len() as u64);
        for samples in test.chunks(if clips > 1 { 1 } else { self.values.batch }) {
            let values = match clips {
                1 => fixed::values(dataset, samples)?,
                clips => dataset.test_views(samples[0], clips)?.concat(),
            };
            let (tokens, unseen) = self.tokens(Input::Samples(values))?;
            let logits = head.of_samples(tokens, unseen);
            let scores = match (clips, has_several(&self.train.known.targets)) {
                (1, _) => logits,
                (_, true) => sigmoid(logits).mean_dim(0),
                (_, false) => softmax(logits, 1).mean_dim(0),
            };
            found.extend(scores.into_data().iter::<f32>());
            progress.advance(samples.len() as u64);
        }
        progress.finish();
        Ok(ranks.required(ranks.gather_values(found)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::ctc::Head as _;
    use super::*;
    use burn_flex::Flex;

    const DIM: usize = 8;

    fn head() -> Head<Flex> {
        let init = Init::new(Seed::root(0), &Default::default());
        let mut head = Head::new(&init, DIM, 2, 3).with_distances(&init);
        // a query that is far from 0, so that weights differ
        head.query = init.normal("query", [2, DIM / 2], 3.0);
        head
    }

    fn frames(lengths: &[usize]) -> Frames<Flex> {
        let mut stream = Seed::root(1).stream();
        let values: Vec<f32> = (0..lengths.iter().sum::<usize>() * DIM)
            .map(|_| stream.normal())
            .collect();
        Frames::new(&values, lengths, DIM, None, &Default::default())
    }

    fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn the_order_of_tokens_does_not_matter_to_a_sample() {
        let x = frames(&[6]).x;
        assert!(close(
            &values(head().of_samples(x.clone(), None)),
            &values(head().of_samples(x.flip([1]), None))
        ));
    }

    #[test]
    fn a_sample_reads_the_same_beside_a_longer_one() {
        let (short, both) = (frames(&[5]).x, frames(&[5, 9]));
        let kept = KeptTokens {
            values: values(short.clone().reshape([5, DIM]))
                .into_iter()
                .chain(vec![7.0; 9 * DIM])
                .collect(),
            lengths: vec![5, 9],
        };
        let (x, unseen) = kept.on::<Flex>(DIM, &Default::default());
        assert_eq!(x.dims(), both.x.dims());
        let found = head().of_samples(x, unseen).narrow(0, 0, 1);
        assert!(close(&values(found), &values(head().of_samples(short, None))));
    }

    #[test]
    fn a_short_utterance_is_read_as_the_query_reads_a_sample() {
        // all frames of 5 are in reach of the middle one
        let frames = frames(&[REACH + 1]);
        let logits = head().logits(&frames);
        let middle = values(logits.narrow(1, REACH / 2, 1));
        assert!(close(&middle, &values(head().of_samples(frames.x, None))));
    }

    #[test]
    fn padding_and_far_frames_say_nothing() {
        let (long, both) = (frames(&[20]), frames(&[20, 30]));
        let logits =
            |frames: &Frames<Flex>, first, count| values(head().logits(frames).narrow(0, 0, 1).narrow(1, first, count));
        assert!(close(&logits(&long, 0, 20), &logits(&both, 0, 20)));
        let cut = frames(&[20 - REACH]);
        assert!(close(
            &logits(&long, 0, 20 - 2 * REACH),
            &logits(&cut, 0, 20 - 2 * REACH)
        ));
    }
}
