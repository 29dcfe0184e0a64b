//! The models and losses of both phases, and of joint training (paper section 3; authors' code).
//!
//! Encoder phase: T frozen, labels of all tokens; E sees the kept tokens, D predicts the codes of
//! the removed ones. Tokenizer phase: E frozen and unmasked; T, its quantizer and TE learn to
//! recover E's output.

use crate::codebook::Picks;
use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::encoder::Vit;
use crate::estimator::Estimator;
use crate::init::Init;
use crate::loss::{estimation_loss, prediction_loss};
use crate::mask::MaskRows;
use crate::quantizer::{Mode, Quantized, Quantizer, QuantizerValues};
use crate::swin::Dropout;
use crate::tokenizer::{Source, Tokenizer};
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// E and D: what an encoder phase trains.
#[derive(Module, Debug)]
pub struct Student<B: Backend> {
    pub encoder: Vit<B>,
    pub decoder: Decoder<B>,
}

impl<B: Backend> Student<B> {
    pub fn new(config: &ModelConfig<impl QuantizerValues>, init: &Init<B>) -> Self {
        let (geometry, dim) = (&config.geometry, config.encoder.dim);
        let logits = config.quantizer.label_codes() * config.quantizer.codebook_size();
        Self {
            encoder: Vit::new(geometry, &config.encoder, &init.child("encoder")),
            decoder: Decoder::new(geometry, dim, &config.decoder, logits, &init.child("decoder")),
        }
    }
}

/// T with its quantizer, and TE: what a tokenizer phase trains.
#[derive(Module, Debug)]
pub struct Teacher<B: Backend, Q> {
    pub tokenizer: Tokenizer<B, Q>,
    pub estimator: Estimator<B>,
}

impl<B: Ops, Q: Quantizer<B>> Teacher<B, Q> {
    pub fn new(config: &ModelConfig<Q::Config>, init: &Init<B>) -> Self {
        let (geometry, code_dim) = (&config.geometry, config.quantizer.code_dim());
        let (dim, estimator) = (config.encoder.dim, init.child("estimator"));
        Self {
            tokenizer: Tokenizer::new(geometry, &config.encoder, &config.quantizer, &init.child("tokenizer")),
            estimator: Estimator::new(geometry, code_dim, &config.estimator, dim, &estimator),
        }
    }
}

/// The codes of the removed tokens, [B * R, Q], from codes of all tokens [B, N, Q]; with S codes per
/// level, Q * S of them.
pub fn removed_codes<B: Backend>(codes: Tensor<B, 3, Int>, mask: &MaskRows<B>) -> Tensor<B, 2, Int> {
    let [batch, tokens, levels] = codes.dims();
    codes
        .reshape([batch * tokens, levels])
        .select(0, mask.removed.rows.clone())
}

/// Labels of all tokens [B, N, Q] from the frozen tokenizer. The first call of a phase may start
/// its codebooks.
///
/// Video labels cover only the removed tokens, [B, R, Q]: its tokenizer sees no others (authors'
/// code).
pub fn labels<B: Ops, Q: Quantizer<B>>(
    tokenizer: &mut Tokenizer<B, Q>,
    x: Tensor<B, 5>,
    source: Source,
    mask: &MaskRows<B>,
    picks: &mut dyn Picks,
) -> Tensor<B, 2, Int> {
    if tokenizer.vit.geometry().is_video() {
        let latents = tokenizer.latents(x, source, Some(mask.removed.clone()));
        let codes = tokenizer.quantizer.codes(latents, picks);
        let [batch, removed, levels] = codes.dims();
        return codes.reshape([batch * removed, levels]);
    }
    removed_codes(tokenizer.codes(x, source, picks), mask)
}

/// Encoder phase: the loss of one batch, whose removed tokens have the codes [B * R, Q].
pub fn encoder_loss<B: Ops>(
    student: &Student<B>,
    x: Tensor<B, 5>,
    mask: &MaskRows<B>,
    codes: Tensor<B, 2, Int>,
    dropout: &mut Dropout,
) -> Tensor<B, 1> {
    let encoded = student.encoder.embed_kept(x, mask);
    prediction_loss(student.decoder.removed_logits(encoded, mask, dropout), codes)
}

/// Tokenizer phase: the two terms of one batch's loss.
#[derive(Clone, Debug)]
pub struct TokenizerLoss<B: Backend> {
    /// mean(1 - cosine), [1].
    pub estimation: Tensor<B, 1>,
    /// Codes, vectors and the quantizer's loss.
    pub quantized: Quantized<B>,
}

impl<B: Backend> TokenizerLoss<B> {
    /// The sum of both terms, [1].
    pub fn total(&self) -> Tensor<B, 1> {
        self.estimation.clone() + self.quantized.loss.clone()
    }
}

/// Tokenizer phase: the loss of one batch. `target` [B, N, D] are the frozen encoder's patch
/// tokens. Codebooks move.
pub fn tokenizer_loss<B: Ops, Q: Quantizer<B>>(
    teacher: &mut Teacher<B, Q>,
    x: Tensor<B, 5>,
    target: Tensor<B, 3>,
    mode: Mode,
    picks: &mut dyn Picks,
) -> TokenizerLoss<B> {
    let quantized = teacher.tokenizer.quantize(x, Source::Network, mode, picks);
    let estimation = estimation_loss(teacher.estimator.forward(quantized.values.clone()), target);
    TokenizerLoss { estimation, quantized }
}
