//! The decoder D: from the encoder's output and mask tokens to logits of every removed token, K for
//! each of Q codebooks.

use crate::config::{DecoderConfig, DecoderKind, Geometry};
use crate::init::Init;
use crate::mask::MaskRows;
use crate::position;
use crate::swin::{Dropout, LocalBlock};
use crate::transformer::{Block, NORM_EPSILON, Norm, add_to_each, each_row, linear};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Blocks with global or with local attention.
#[derive(Module, Debug)]
pub enum Blocks<B: Backend> {
    /// Every token to every token.
    Global(Vec<Block<B>>),
    /// Shifted windows.
    Swin(Vec<LocalBlock<B>>),
}

/// Embedding, mask token, positions, blocks, norm, prediction head.
#[derive(Module, Debug)]
pub struct Decoder<B: Backend> {
    /// [D, D'] from the encoder's width to the decoder's; no bias in the video model.
    pub embed: Linear<B>,
    /// [1, 1, D'].
    pub mask_token: Param<Tensor<B, 3>>,
    pub blocks: Blocks<B>,
    pub norm: Norm<B>,
    /// [D', Q * K].
    pub pred: Linear<B>,
    /// Position table [N, D'], not trained.
    positions: Tensor<B, 2>,
    cls: bool,
}

impl<B: Backend> Decoder<B> {
    /// `logits` is Q * K.
    pub fn new(geometry: &Geometry, encoder_dim: usize, config: &DecoderConfig, logits: usize, init: &Init<B>) -> Self {
        let (stack, video) = (&config.stack, geometry.is_video());
        let place = init.child("blocks");
        let blocks = match config.kind {
            DecoderKind::Global => Blocks::Global(Block::stack(stack, !video, &place)),
            DecoderKind::Swin => {
                let [_, rows, columns] = geometry.grid();
                let local = |index| LocalBlock::new(stack, [rows, columns], index, &place.indexed(index));
                Blocks::Swin((0..stack.depth).map(local).collect())
            }
        };
        Self {
            embed: init.linear("embed", encoder_dim, stack.dim, !video),
            mask_token: init.normal("mask_token", [1, 1, stack.dim], 0.02),
            blocks,
            norm: Norm::new(stack.dim, NORM_EPSILON, init),
            pred: init.linear("pred", stack.dim, logits, true),
            positions: init.table([geometry.tokens(), stack.dim], position::table(geometry, stack.dim)),
            cls: !video,
        }
    }

    /// The fixed position table [N, D'].
    pub fn positions(&self) -> Tensor<B, 2> {
        self.positions.clone()
    }
}

impl<B: Ops> Decoder<B> {
    /// Decoder tokens before the blocks: (cls [B, 1, D'] if any, all N tokens in place [B, N, D']).
    pub fn unshuffle(&self, encoded: Tensor<B, 3>, mask: &MaskRows<B>) -> (Option<Tensor<B, 3>>, Tensor<B, 3>) {
        let y = each_row(encoded, |rows| linear(&self.embed, rows)); // [B, 1 + kept, D']
        let [batch, length, dim] = y.dims();
        let (cls, kept) = if self.cls {
            (Some(y.clone().narrow(1, 0, 1)), y.narrow(1, 1, length - 1))
        } else {
            (None, y)
        };
        let [_, seen, _] = kept.dims();
        let removed = batch * (mask.tokens - seen);
        let mask_tokens = self.mask_token.val().reshape([1, dim]).expand([removed, dim]);
        let rows = Tensor::cat(vec![kept.reshape([batch * seen, dim]), mask_tokens], 0);
        let tokens = B::select_rows(rows, mask.restored.clone()).reshape([batch, mask.tokens, dim]);
        (cls, add_to_each(tokens, self.positions.clone()))
    }

    /// Every token after the blocks, before norm and head: [B, N, D'].
    ///
    /// Global attention lets cls take part and then drops it; local attention drops it first.
    pub fn hidden(&self, encoded: Tensor<B, 3>, mask: &MaskRows<B>, dropout: &mut Dropout) -> Tensor<B, 3> {
        let (cls, tokens) = self.unshuffle(encoded, mask);
        match &self.blocks {
            Blocks::Swin(blocks) => blocks
                .iter()
                .enumerate()
                .fold(tokens, |x, (index, block)| block.forward(x, index, dropout)),
            Blocks::Global(blocks) => {
                let front = usize::from(cls.is_some());
                let x = match cls {
                    Some(cls) => Tensor::cat(vec![cls, tokens], 1),
                    None => tokens,
                };
                let x = blocks.iter().fold(x, |x, block| block.forward(x));
                x.narrow(1, front, mask.tokens)
            }
        }
    }

    /// Logits of rows of hidden tokens: [n, D'] to [n, Q * K].
    pub fn predict(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(&self.pred, self.norm.rows(rows))
    }

    /// Logits of the removed tokens, [B * R, Q * K]; the others have no loss.
    pub fn removed_logits(&self, encoded: Tensor<B, 3>, mask: &MaskRows<B>, dropout: &mut Dropout) -> Tensor<B, 2> {
        let hidden = self.hidden(encoded, mask, dropout);
        let [batch, tokens, dim] = hidden.dims();
        self.predict(B::select_rows(
            hidden.reshape([batch * tokens, dim]),
            mask.removed.clone(),
        ))
    }
}
