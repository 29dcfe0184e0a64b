//! Labels of hidden frames that come from the input (BEST-RQ) or also from the encoder's own layers (BiRQ), and the hiding
//! itself: what all methods share that hide frames.

use crate::plan::{Birq, Mask};
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::{LayeredEncoder, layer_features};
use bridle::mask::spans;
use bridle::optimizer::Trained;
use bridle::standardizer::Standardizer;
use bridle_backends::{Ops, TrainBackend};
use bridle_baselines::best_rq::{MaskedModel, best_rq_loss};
use bridle_baselines::birq::{BirqConfig, BirqLabels, birq_loss};
use bridle_baselines::distilled::{DistilledBook, two_books_loss};
use bridle_baselines::random::{RandomBook, RandomConfig, RandomQuantizer};
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

/// What makes the labels.
#[derive(Clone, Debug)]
pub enum Labeller<B: Backend> {
    /// Fixed random codes of the input.
    BestRq(Box<RandomQuantizer<B>>),
    /// The same, and a book that learns from the encoder.
    Distilled(Box<RandomQuantizer<B>>, Trained<DistilledBook<B>>),
    /// The same, and codes of the encoder's first layers.
    Birq(Box<BirqLabels<B>>, BirqConfig),
}

/// Plans of methods that hide frames have no other quantizer.
pub const RANDOM_LABELS: &str = "a method that hides frames labels them by random codes";

/// A loss, and its parts without a graph, by their names in the log.
pub type NamedLoss<B> = (
    Tensor<B, 1>,
    Vec<(&'static str, Tensor<<B as AutodiffBackend>::InnerBackend, 1>)>,
);

impl<B: Backend> Labeller<B> {
    /// For an encoder of width `dim`; with a second book of `distilled` codes where there is no BiRQ.
    pub fn new(
        quantizer: &RandomConfig,
        birq: Option<&Birq>,
        distilled: Option<usize>,
        dim: usize,
        standard: Standardizer<B>,
        init: &Init<B>,
    ) -> Self {
        let RandomConfig {
            codebooks,
            codebook_size,
            code_dim,
        } = *quantizer;
        let random = |standard| Box::new(RandomQuantizer::new(standard, codebooks, codebook_size, code_dim, init));
        match (birq, distilled) {
            (None, None) => Self::BestRq(random(standard)),
            (None, Some(distilled)) => {
                let book = DistilledBook::new(distilled, code_dim, &init.child("distilled"));
                Self::Distilled(random(standard), Trained::new(book))
            }
            (Some(birq), _) => Self::Birq(
                Box::new(BirqLabels::new(standard, dim, codebook_size, code_dim, init)),
                BirqConfig {
                    layers: birq.layers,
                    tau: birq.tau,
                    enhanced: birq.enhanced,
                    anchor: birq.anchor,
                },
            ),
        }
    }

    /// Codes in each of the books that label a frame.
    pub fn sizes(&self) -> Vec<usize> {
        let own = |book: &RandomBook<B>| book.codes.dims()[0];
        match self {
            Self::BestRq(quantizer) => quantizer.books.iter().map(own).collect(),
            Self::Distilled(quantizer, second) => {
                let own = quantizer.books.iter().map(own);
                own.chain([second.codes.dims()[0]]).collect()
            }
            // the anchor label and the enhanced one
            Self::Birq(labels, _) => vec![own(&labels.book); 2],
        }
    }

    /// The fixed random books, of BEST-RQ alone.
    pub fn random_mut(&mut self) -> Option<&mut RandomQuantizer<B>> {
        match self {
            Self::BestRq(quantizer) | Self::Distilled(quantizer, _) => Some(quantizer),
            Self::Birq(..) => None,
        }
    }

    /// What brings frames to mean 0 and deviation 1.
    pub fn standard(&self) -> &Standardizer<B> {
        match self {
            Self::BestRq(quantizer) | Self::Distilled(quantizer, _) => &quantizer.standard,
            Self::Birq(labels, _) => &labels.standard,
        }
    }
}

impl<B: Ops> Labeller<B> {
    /// The labels of frames given by their rows of [B * T], [M, Q]: BEST-RQ's of each book, the one that learns last; BiRQ's
    /// anchor label, then the likeliest code of its enhanced label.
    pub fn codes<E: LayeredEncoder<B>>(
        &self,
        encoder: &E,
        frames: &Frames<B>,
        rows: Tensor<B, 1, Int>,
    ) -> Tensor<B, 2, Int> {
        match self {
            Self::BestRq(quantizer) => quantizer.labels(frames.rows(rows)),
            Self::Distilled(quantizer, second) => {
                let rows = frames.rows(rows);
                let labels = quantizer.labels(rows.clone());
                Tensor::cat(vec![labels, second.labels(quantizer.projected(rows))], 1)
            }
            Self::Birq(labels, config) => {
                let features = layer_features(encoder, config.layers, frames, rows.clone());
                Tensor::cat(vec![labels.anchor(frames.rows(rows)), labels.likeliest(features)], 1)
            }
        }
    }
}

impl<B: TrainBackend> Labeller<B> {
    /// The same without a graph.
    pub fn valid(&self) -> Labeller<B::InnerBackend> {
        match self {
            Self::BestRq(quantizer) => Labeller::BestRq(Box::new(quantizer.valid())),
            Self::Distilled(quantizer, second) => {
                Labeller::Distilled(Box::new(quantizer.valid()), Trained::new(second.valid()))
            }
            Self::Birq(labels, config) => Labeller::Birq(Box::new(labels.valid()), *config),
        }
    }

    /// The loss of one batch: `frames` as they are, `masked` with noise in place of the hidden ones, which `rows` of
    /// [B * T] name; `gumbel` is where BiRQ's noise is drawn.
    pub fn loss<E: LayeredEncoder<B>>(
        &self,
        model: &MaskedModel<B, E>,
        frames: &Frames<B>,
        masked: &Frames<B>,
        rows: Tensor<B, 1, Int>,
        gumbel: &Seed,
    ) -> NamedLoss<B> {
        match self {
            Self::BestRq(quantizer) => {
                let loss = best_rq_loss(model, quantizer, frames, masked, rows);
                (loss.clone(), vec![("loss", loss.inner())])
            }
            Self::Distilled(quantizer, second) => {
                let loss = two_books_loss(model, quantizer, second, frames, masked, rows);
                (loss.clone(), vec![("loss", loss.inner())])
            }
            Self::Birq(labels, config) => {
                let [codes, _] = labels.book.codes.val().dims();
                let noise = gumbel_noise(rows.dims()[0], codes, gumbel, &frames.x.device());
                let found = birq_loss(model, labels, config, frames, masked, rows, noise);
                let parts = vec![
                    ("loss", found.total.clone().inner()),
                    ("anchor", found.anchor.inner()),
                    ("enhanced", found.enhanced.inner()),
                ];
                (found.total, parts)
            }
        }
    }
}

/// Which frames of sequences of these lengths are hidden: their rows of [B * T], T being the greatest length.
pub fn hidden_rows(mask: &Mask, lengths: &[usize], seed: &Seed) -> Vec<usize> {
    let times = lengths.iter().copied().max().unwrap_or(0);
    let (start, span) = (mask.start.unwrap_or(0.0), mask.span.unwrap_or(1));
    let of = |(sample, &length): (usize, &usize)| {
        let mut stream = seed.indexed(sample as u64).stream();
        let hidden = spans(length, start, span, || stream.uniform_f64());
        let rows = hidden.into_iter().enumerate().filter(|(_, hidden)| *hidden);
        rows.map(move |(frame, _)| sample * times + frame).collect::<Vec<_>>()
    };
    lengths.iter().enumerate().flat_map(of).collect()
}

/// The frames with noise, of the mask's variance over that of the data, in place of those that `rows` of [B * T] name.
pub fn with_noise<B: Backend>(
    frames: &Frames<B>,
    mask: &Mask,
    rows: Tensor<B, 1, Int>,
    standard: &Standardizer<B>,
    seed: &Seed,
) -> Frames<B> {
    let ([batch, times, width], [count]) = (frames.x.dims(), rows.dims());
    let deviation = mask.noise.unwrap_or(0.0).sqrt() as f32;
    let mut stream = seed.stream();
    let noise: Vec<f32> = (0..count * width).map(|_| deviation * stream.normal()).collect();
    let noise = Tensor::from_data(TensorData::new(noise, [count, width]), &frames.x.device());
    let change = standard.undo(noise) - frames.rows(rows.clone());
    let x = frames.x.clone().reshape([batch * times, width]);
    let x = x.select_assign(0, rows, change, IndexingUpdateOp::Add);
    frames.with(x.reshape([batch, times, width]))
}

/// -ln(-ln U) for each hidden frame and code, [M, K].
fn gumbel_noise<B: Backend>(rows: usize, codes: usize, seed: &Seed, device: &B::Device) -> Tensor<B, 2> {
    let mut stream = seed.stream();
    // U lies strictly between 0 and 1
    let mut draw = || -(-(f64::from(stream.uniform()) + 2f64.powi(-25)).ln()).ln() as f32;
    let noise: Vec<f32> = (0..rows * codes).map(|_| draw()).collect();
    Tensor::from_data(TensorData::new(noise, [rows, codes]), device)
}
