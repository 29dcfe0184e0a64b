//! The encoder E: a ViT over patch tokens. The tokenizer's body is the same network, over all
//! tokens.

use crate::config::{Geometry, StackConfig};
use crate::frames::Frames;
use crate::init::Init;
use crate::layered::{LayeredEncoder, frame_linear};
use crate::mask::MaskRows;
use crate::patch::PatchEmbed;
use crate::position;
use crate::transformer::{Block, NORM_EPSILON, Norm, add_to_each};
use bridle_backends::Ops;
use bridle_backends::kernel::Selection;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use std::ops::Range;

/// Patch embedding, fixed positions, cls token (audio, image), pre-norm blocks, final norm.
#[derive(Module, Debug)]
pub struct Vit<B: Backend> {
    pub patch_embed: PatchEmbed<B>,
    /// [1, 1, D]; its position row is zero. None for video.
    pub cls_token: Option<Param<Tensor<B, 3>>>,
    pub blocks: Vec<Block<B>>,
    /// After the last block.
    pub norm: Norm<B>,
    /// Position table [N, D], not trained.
    positions: Tensor<B, 2>,
    #[module(skip)]
    geometry: Geometry,
}

impl<B: Backend> Vit<B> {
    pub fn new(geometry: &Geometry, config: &StackConfig, init: &Init<B>) -> Self {
        let video = geometry.is_video();
        Self {
            patch_embed: PatchEmbed::new(geometry, config.dim, &init.child("patch_embed")),
            cls_token: (!video).then(|| init.normal("cls_token", [1, 1, config.dim], 0.02)),
            blocks: Block::stack(config, !video, &init.child("blocks")),
            norm: Norm::new(config.dim, NORM_EPSILON, init),
            positions: init.table([geometry.tokens(), config.dim], position::table(geometry, config.dim)),
            geometry: *geometry,
        }
    }

    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Width D.
    pub fn dim(&self) -> usize {
        self.positions.dims()[1]
    }

    /// Replaces the position table [N, D], by that of a foreign model, for example, which may be
    /// trained.
    pub fn set_positions(&mut self, table: Tensor<B, 2>) {
        self.positions = table;
    }

    /// The fixed position table [N, D].
    pub fn positions(&self) -> Tensor<B, 2> {
        self.positions.clone()
    }
}

impl<B: Ops> Vit<B> {
    /// Patch embedding plus positions: [B, C, T, H, W] to [B, N, D].
    pub fn tokens(&self, x: Tensor<B, 5>) -> Tensor<B, 3> {
        add_to_each(self.patch_embed.forward(x, &self.geometry), self.positions.clone())
    }

    /// Tokens [B, n, D] with cls (if any) put first: [B, n + 1, D].
    pub fn with_cls(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, _, dim] = tokens.dims();
        match &self.cls_token {
            Some(cls) => Tensor::cat(vec![cls.val().expand([batch, 1, dim]), tokens], 1),
            None => tokens,
        }
    }

    /// Blocks and norm over [B, n, D], cls (if any) put first: [B, n + 1, D].
    pub fn transform(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3> {
        let x = self.with_cls(tokens);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        self.norm.forward(x)
    }

    /// All tokens, unmasked: [B, T, D], cls first where there is one.
    pub fn embed(&self, x: Tensor<B, 5>) -> Tensor<B, 3> {
        self.transform(self.tokens(x))
    }

    /// All patch tokens without cls, unmasked: [B, N, D].
    pub fn embed_patches(&self, x: Tensor<B, 5>) -> Tensor<B, 3> {
        self.without_cls(self.embed(x))
    }

    /// Drops the cls token where there is one: [B, T, D] to [B, N, D].
    pub fn without_cls(&self, y: Tensor<B, 3>) -> Tensor<B, 3> {
        if self.cls_token.is_none() {
            return y;
        }
        let [_, tokens, _] = y.dims();
        y.narrow(1, 1, tokens - 1)
    }

    /// Only the kept tokens: [B, C, T, H, W] to [B, 1 + kept, D] (video: [B, kept, D]).
    pub fn embed_kept(&self, x: Tensor<B, 5>, mask: &MaskRows<B>) -> Tensor<B, 3> {
        self.transform(self.select(self.tokens(x), mask.kept.clone(), mask.batch))
    }

    /// Rows of flattened tokens [B, N, D], equally many per sample: [B, n, D].
    pub fn select(&self, tokens: Tensor<B, 3>, selection: Selection<B>, batch: usize) -> Tensor<B, 3> {
        let [samples, count, dim] = tokens.dims();
        let picked = selection.rows.dims()[0] / batch;
        B::select_rows(tokens.reshape([samples * count, dim]), selection).reshape([batch, picked, dim])
    }

    /// Linear-probe features: the mean of the patch tokens without cls, [B, D].
    pub fn features(&self, x: Tensor<B, 5>) -> Tensor<B, 2> {
        let [batch, ..] = x.dims();
        self.embed_patches(x).mean_dim(1).reshape([batch, self.dim()])
    }
}

/// Frames are the patches in the order of tokens, [B, N, C * patch].
impl<B: Ops> LayeredEncoder<B> for Vit<B> {
    fn layers(&self) -> usize {
        self.blocks.len()
    }

    fn enter(&self, frames: &Frames<B>) -> Tensor<B, 3> {
        let tokens = frame_linear(&self.patch_embed.proj, frames.x.clone());
        self.with_cls(tokens + self.positions.clone().unsqueeze())
    }

    fn pass(&self, hidden: Tensor<B, 3>, layers: Range<usize>, _frames: &Frames<B>) -> Tensor<B, 3> {
        let last = layers.end == self.blocks.len();
        let hidden = self.blocks[layers].iter().fold(hidden, |x, block| block.forward(x));
        if last { self.norm.forward(hidden) } else { hidden }
    }

    fn of_frames(&self, hidden: Tensor<B, 3>) -> Tensor<B, 3> {
        self.without_cls(hidden)
    }
}
