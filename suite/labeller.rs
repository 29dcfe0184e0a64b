//! Labels of hidden frames that come from the input (BEST-RQ) or also from the encoder's own layers (BiRQ), and the hiding
//! itself: what all methods share that hide frames.

use crate::plan::{Birq, Quantizer};
use crate::train::steps::BatchLoss;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::{LayeredEncoder, layer_features};
use bridle::standardizer::Standardizer;
use bridle_backends::{Ops, TrainBackend};
use bridle_baselines::best_rq::{MaskedModel, best_rq_loss};
use bridle_baselines::birq::{BirqConfig, BirqLabels, birq_loss};
use bridle_baselines::distilled::{DistilledBook, two_books_loss};
use bridle_baselines::random::{RandomBook, RandomQuantizer};
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// What makes the labels.
#[derive(Clone, Debug)]
pub enum Labeller<B: Backend> {
    /// Fixed random codes of the input.
    BestRq(Box<RandomQuantizer<B>>),
    /// The same, and codes of the encoder's first layers.
    Birq(Box<BirqLabels<B>>, BirqConfig),
}

impl<B: Backend> Labeller<B> {
    /// For an encoder of width `dim`.
    pub fn new(
        quantizer: &Quantizer,
        birq: Option<&Birq>,
        dim: usize,
        standard: Standardizer<B>,
        init: &Init<B>,
    ) -> Self {
        let Quantizer {
            levels,
            codes,
            code_dim,
            ..
        } = *quantizer;
        match birq {
            None => Self::BestRq(Box::new(RandomQuantizer::new(standard, levels, codes, code_dim, init))),
            Some(birq) => Self::Birq(
                Box::new(BirqLabels::new(standard, dim, codes, code_dim, init)),
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
            // the anchor label and the enhanced one
            Self::Birq(labels, _) => vec![own(&labels.book); 2],
        }
    }

    /// The fixed random books, of BEST-RQ alone.
    pub fn random_mut(&mut self) -> Option<&mut RandomQuantizer<B>> {
        match self {
            Self::BestRq(quantizer) => Some(quantizer),
            Self::Birq(..) => None,
        }
    }

    /// What brings frames to mean 0 and deviation 1.
    pub fn standard(&self) -> &Standardizer<B> {
        match self {
            Self::BestRq(quantizer) => &quantizer.standard,
            Self::Birq(labels, _) => &labels.standard,
        }
    }
}

impl<B: Ops> Labeller<B> {
    /// The labels of frames given by their rows of [B * T], [M, Q]: BEST-RQ's of each book, the `second` one that learns
    /// last; BiRQ's anchor label, then the likeliest code of its enhanced label.
    pub fn codes<E: LayeredEncoder<B>>(
        &self,
        second: Option<&DistilledBook<B>>,
        encoder: &E,
        frames: &Frames<B>,
        rows: Tensor<B, 1, Int>,
    ) -> Tensor<B, 2, Int> {
        match self {
            Self::BestRq(quantizer) => {
                let rows = frames.rows(rows);
                let labels = quantizer.labels(rows.clone());
                match second {
                    Some(second) => Tensor::cat(vec![labels, second.labels(quantizer.projected(rows))], 1),
                    None => labels,
                }
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
            Self::Birq(labels, config) => Labeller::Birq(Box::new(labels.valid()), *config),
        }
    }

    /// The loss of one batch: `frames` as they are, `masked` with noise in place of the hidden ones, which `rows` of
    /// [B * T] name; `gumbel` is where BiRQ's noise is drawn.
    pub fn loss<E: LayeredEncoder<B>>(
        &self,
        second: Option<&DistilledBook<B>>,
        model: &MaskedModel<B, E>,
        frames: &Frames<B>,
        masked: &Frames<B>,
        rows: Tensor<B, 1, Int>,
        gumbel: &Seed,
    ) -> BatchLoss<B> {
        match self {
            Self::BestRq(quantizer) => BatchLoss::new(match second {
                Some(second) => two_books_loss(model, quantizer, second, frames, masked, rows),
                None => best_rq_loss(model, quantizer, frames, masked, rows),
            }),
            Self::Birq(labels, config) => {
                let [codes, _] = labels.book.codes.val().dims();
                let noise = gumbel_noise(rows.dims()[0], codes, gumbel, &frames.x.device());
                let found = birq_loss(model, labels, config, frames, masked, rows, noise);
                let mut loss = BatchLoss::new(found.total);
                loss.values.push(("anchor", found.anchor.inner()));
                loss.values.push(("enhanced", found.enhanced.inner()));
                loss
            }
        }
    }
}

/// -ln(-ln U) for each hidden frame and code, [M, K].
fn gumbel_noise<B: Backend>(rows: usize, codes: usize, seed: &Seed, device: &B::Device) -> Tensor<B, 2> {
    let mut stream = seed.stream();
    // U lies strictly between 0 and 1
    let mut draw = || -(-(f64::from(stream.uniform()) + 2f64.powi(-25)).ln()).ln() as f32;
    let noise: Vec<f32> = (0..rows * codes).map(|_| draw()).collect();
    Tensor::from_data(TensorData::new(noise, [rows, codes]), device)
}
