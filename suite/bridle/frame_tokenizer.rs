//! BRIDLE's tokenizer and estimator over frames of speech: as over patches, with Conformers in place of the transformers,
//! and padding kept out of the quantizer.
//!
//! The paper has audio, image and video only; this is its method carried over, not a published form of it.

use crate::best_rq::{LayeredEncoder, Standard, frame_linear};
use crate::codebook::Picks;
use crate::config::QuantizerConfig;
use crate::conformer::{Conformer, ConformerConfig};
use crate::frames::Frames;
use crate::init::Init;
use crate::pretrain::{TokenizerLoss, estimation_loss};
use crate::quantizer::{AnyQuantizer, Mode, Quantizer};
use crate::tokenizer::Source;
use crate::transformer::linear;
use bridle_backends::Ops;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

/// Frames to codes. F numbers of a frame, D width, d length of a code vector.
#[derive(Module, Debug)]
pub struct FrameTokenizer<B: Backend> {
    /// The network's body.
    pub body: Conformer<B>,
    /// Before the cold start.
    pub standard: Standard<B>,
    /// [F, d], frozen in use.
    pub cold_start: Linear<B>,
    /// [D, D].
    pub project1: Linear<B>,
    /// [D, d].
    pub project2: Linear<B>,
    /// Latents to codes.
    pub quantizer: AnyQuantizer<B>,
}

impl<B: Backend> FrameTokenizer<B> {
    /// First weights; None if there is no quantizer of that name.
    pub fn new(
        body: &ConformerConfig,
        standard: Standard<B>,
        quantizer: &str,
        config: &QuantizerConfig,
        init: &Init<B>,
    ) -> Option<Self> {
        Some(Self {
            body: Conformer::new(body, &init.child("body")),
            standard,
            cold_start: init.linear("cold_start", body.inputs, config.dim, false),
            project1: init.linear("project1", body.dim, body.dim, true),
            project2: init.linear("project2", body.dim, config.dim, true),
            quantizer: AnyQuantizer::new(quantizer, config, &init.child("quantizer"))?,
        })
    }
}

impl<B: Ops> FrameTokenizer<B> {
    /// Latents of the frames whose rows of [B * T] are given, as one sequence: [1, M, d].
    pub fn latents(&self, frames: &Frames<B>, rows: Tensor<B, 1, Int>, source: Source) -> Tensor<B, 3> {
        let latents = match source {
            Source::ColdStart | Source::ColdStartContent => {
                linear(&self.cold_start, self.standard.apply(frames.rows(rows)))
            }
            Source::Network => {
                let hidden = frames.with(self.body.encode(frames)).rows(rows);
                linear(&self.project2, linear(&self.project1, hidden).tanh())
            }
        };
        latents.unsqueeze()
    }

    /// The codes of these frames in evaluation, [M, Q].
    pub fn codes(
        &mut self,
        frames: &Frames<B>,
        rows: Tensor<B, 1, Int>,
        source: Source,
        picks: &mut dyn Picks,
    ) -> Tensor<B, 2, Int> {
        let latents = self.latents(frames, rows, source);
        self.quantizer.codes(latents, picks).squeeze_dim(0)
    }
}

/// Recovers the encoder's output from the quantized vectors.
#[derive(Module, Debug)]
pub struct FrameEstimator<B: Backend> {
    /// From d to D.
    pub body: Conformer<B>,
    /// [D, D].
    pub pred: Linear<B>,
}

/// T with its quantizer, and TE: what a tokenizer phase trains.
#[derive(Module, Debug)]
pub struct FrameTeacher<B: Backend> {
    /// The tokenizer T.
    pub tokenizer: FrameTokenizer<B>,
    /// The estimator TE.
    pub estimator: FrameEstimator<B>,
}

impl<B: Backend> FrameTeacher<B> {
    /// First weights, with an estimator of `depth` blocks; None if there is no quantizer of that name.
    pub fn new(
        body: &ConformerConfig,
        depth: usize,
        standard: Standard<B>,
        quantizer: &str,
        config: &QuantizerConfig,
        init: &Init<B>,
    ) -> Option<Self> {
        let estimator = ConformerConfig {
            inputs: config.dim,
            depth,
            ..*body
        };
        Some(Self {
            tokenizer: FrameTokenizer::new(body, standard, quantizer, config, &init.child("tokenizer"))?,
            estimator: FrameEstimator {
                body: Conformer::new(&estimator, &init.child("estimator")),
                pred: init.child("estimator").linear("pred", body.dim, body.dim, true),
            },
        })
    }
}

/// Tokenizer phase: the loss of one batch, given what the frozen encoder makes of its valid frames, `target` [M, D], and
/// those frames' rows of [B * T]; codebooks move.
pub fn frame_tokenizer_loss<B: Ops>(
    teacher: &mut FrameTeacher<B>,
    frames: &Frames<B>,
    rows: Tensor<B, 1, Int>,
    target: Tensor<B, 2>,
    mode: Mode,
    picks: &mut dyn Picks,
) -> TokenizerLoss<B> {
    let latents = teacher.tokenizer.latents(frames, rows.clone(), Source::Network);
    let quantized = teacher.tokenizer.quantizer.forward(latents, mode, picks);
    let [_, _, dim] = quantized.values.dims();
    let [batch, times, _] = frames.x.dims();
    // back to their places, with nothing in the padding
    let places = Tensor::<B, 2>::zeros([batch * times, dim], &frames.x.device());
    let values = quantized.values.clone().squeeze_dim(0);
    let values = places.select_assign(0, rows.clone(), values, IndexingUpdateOp::Add);
    let frames = frames.with(values.reshape([batch, times, dim]));
    let estimate = frame_linear(&teacher.estimator.pred, teacher.estimator.body.encode(&frames));
    let estimate = frames.with(estimate).rows(rows);
    TokenizerLoss {
        estimation: estimation_loss(estimate.unsqueeze(), target.unsqueeze()),
        quantized,
    }
}
