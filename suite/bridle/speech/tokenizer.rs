//! BRIDLE's tokenizer and estimator over frames of speech: Conformers replace the transformers, and
//! the quantizer sees no padding.
//!
//! The paper has only audio, image and video. This is its method applied to speech, not a published
//! form of it.

use crate::codebook::Picks;
use crate::frames::Frames;
use crate::init::Init;
use crate::layered::{LayeredEncoder, frame_linear};
use crate::loss::estimation_loss;
use crate::pretrain::TokenizerLoss;
use crate::quantizer::{Mode, Quantizer, QuantizerValues};
use crate::speech::conformer::{Conformer, ConformerConfig};
use crate::standardizer::Standardizer;
use crate::tokenizer::Source;
use crate::transformer::linear;
use bridle_backends::Ops;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

/// Frames to codes. F numbers of a frame, D width, d length of a code vector.
#[derive(Module, Debug)]
pub struct FrameTokenizer<B: Backend, Q> {
    /// The network's body.
    pub body: Conformer<B>,
    /// Before the cold start.
    pub standard: Standardizer<B>,
    /// [F, d], frozen in use.
    pub cold_start: Linear<B>,
    /// [D, D].
    pub project1: Linear<B>,
    /// [D, d].
    pub project2: Linear<B>,
    pub quantizer: Q,
}

impl<B: Ops, Q: Quantizer<B>> FrameTokenizer<B, Q> {
    pub fn new(body: &ConformerConfig, standard: Standardizer<B>, quantizer: &Q::Config, init: &Init<B>) -> Self {
        let code_dim = quantizer.code_dim();
        Self {
            body: Conformer::new(body, &init.child("body")),
            standard,
            cold_start: init.linear("cold_start", body.inputs, code_dim, false),
            project1: init.linear("project1", body.dim, body.dim, true),
            project2: init.linear("project2", body.dim, code_dim, true),
            quantizer: Q::new(quantizer, &init.child("quantizer")),
        }
    }

    /// Latents of the frames with these rows of [B * T], as one sequence: [1, M, d].
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
pub struct FrameTeacher<B: Backend, Q> {
    /// The tokenizer T.
    pub tokenizer: FrameTokenizer<B, Q>,
    /// The estimator TE.
    pub estimator: FrameEstimator<B>,
}

impl<B: Ops, Q: Quantizer<B>> FrameTeacher<B, Q> {
    /// The estimator has `depth` blocks.
    pub fn new(
        body: &ConformerConfig,
        depth: usize,
        standard: Standardizer<B>,
        quantizer: &Q::Config,
        init: &Init<B>,
    ) -> Self {
        let estimator = ConformerConfig {
            inputs: quantizer.code_dim(),
            depth,
            ..*body
        };
        Self {
            tokenizer: FrameTokenizer::new(body, standard, quantizer, &init.child("tokenizer")),
            estimator: FrameEstimator {
                body: Conformer::new(&estimator, &init.child("estimator")),
                pred: init.child("estimator").linear("pred", body.dim, body.dim, true),
            },
        }
    }
}

/// Tokenizer phase: the loss of one batch whose valid frames have the rows `rows` of [B * T].
/// `target` [M, D] is the frozen encoder's output for them. Codebooks move.
pub fn frame_tokenizer_loss<B: Ops, Q: Quantizer<B>>(
    teacher: &mut FrameTeacher<B, Q>,
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
    // back to their places, with zeros in the padding
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
