//! BEST-RQ (Chiu et al. 2022, arXiv 2202.01855): labels by a projection and a codebook that are drawn once and never
//! learn, predicted where the input was hidden.
//!
//! The label of a frame x is argmin over n of || unit(C_n) - unit(x A) ||. Frames are standardised before: without it most
//! codes are never used.

use crate::codebook::unit;
use crate::frames::Frames;
use crate::init::Init;
use crate::pretrain::prediction_loss;
use crate::transformer::{each_row, linear};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};
use std::ops::Range;

/// An encoder of sequences, layer by layer. F numbers of a frame, D width.
pub trait LayeredEncoder<B: Backend>: Module<B> {
    /// Number of layers.
    fn layers(&self) -> usize;

    /// What goes into the first layer: [B, T, F] to [B, T, D].
    fn enter(&self, frames: &Frames<B>) -> Tensor<B, 3>;

    /// These layers, of what `enter` or earlier layers gave; the last layer's end is the encoder's own.
    fn pass(&self, hidden: Tensor<B, 3>, layers: Range<usize>, frames: &Frames<B>) -> Tensor<B, 3>;

    /// What `enter` or `pass` gave, without tokens that stand for no frame: [B, T, D].
    fn of_frames(&self, hidden: Tensor<B, 3>) -> Tensor<B, 3> {
        hidden
    }

    /// All of it, [B, T, F] to [B, T, D].
    fn encode(&self, frames: &Frames<B>) -> Tensor<B, 3> {
        self.of_frames(self.pass(self.enter(frames), 0..self.layers(), frames))
    }
}

/// What the first `layers` layers make of frames given by their rows of [B * T]: [M, D].
pub fn layer_features<B: Backend, E: LayeredEncoder<B>>(
    encoder: &E,
    layers: usize,
    frames: &Frames<B>,
    rows: Tensor<B, 1, Int>,
) -> Tensor<B, 2> {
    let hidden = encoder.of_frames(encoder.pass(encoder.enter(frames), 0..layers, frames));
    frames.with(hidden).rows(rows)
}

/// A random projection A and a codebook C, both frozen.
#[derive(Module, Debug)]
pub struct RandomBook<B: Backend> {
    /// A [F, d].
    pub projection: Param<Tensor<B, 2>>,
    /// C, of unit rows [K, d].
    pub codes: Param<Tensor<B, 2>>,
}

impl<B: Backend> RandomBook<B> {
    /// A by Xavier's uniform, C standard normal before its rows are brought to unit length.
    pub fn new(inputs: usize, codes: usize, dim: usize, init: &Init<B>) -> Self {
        let bound = (6.0 / (inputs + dim) as f32).sqrt();
        Self {
            projection: init.uniform("projection", [inputs, dim], bound).set_require_grad(false),
            codes: init.frozen([codes, dim], init.unit_rows("codes", codes, dim)),
        }
    }

    /// Squared distances of projected rows [N, F] to the codes, both of unit length: [N, K].
    pub fn distances(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        unit_distances(rows.matmul(self.projection.val()), self.codes.val())
    }

    /// The labels of rows [N, F]: [N, 1]; the first of equally near codes.
    pub fn labels(&self, rows: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        self.distances(rows).argmin(1)
    }

    /// Another projection A [F, d] in place of the drawn one.
    pub fn set_projection(&mut self, projection: Tensor<B, 2>) {
        self.projection = Param::initialized(self.projection.id, projection).set_require_grad(false);
    }

    /// Moves each code to the centroid of its rows among [N, F], all of unit length (arXiv 2606.30671); a code without rows
    /// stays.
    pub fn move_to_centroids(&mut self, rows: Tensor<B, 2>) {
        let projected = unit(rows.matmul(self.projection.val()));
        let codes = self.codes.val();
        let ([count, dim], [_, _]) = (codes.dims(), projected.dims());
        let labels = unit_distances(projected.clone(), codes.clone()).argmin(1); // [N, 1]
        let [n, _] = labels.dims();
        let sums = Tensor::zeros([count, dim], &codes.device());
        let sums = sums.select_assign(0, labels.reshape([n]), projected, IndexingUpdateOp::Add);
        let has_rows = sums
            .clone()
            .powi_scalar(2)
            .sum_dim(1)
            .greater_elem(0.0)
            .expand([count, dim]);
        let moved = codes.mask_where(has_rows, unit(sums));
        self.codes = Param::initialized(self.codes.id, moved).set_require_grad(false);
    }
}

/// || unit(row) - code ||² = 2 - 2 unit(row) · code, for codes of unit length: [N, d] and [K, d] to [N, K].
pub(crate) fn unit_distances<B: Backend>(rows: Tensor<B, 2>, codes: Tensor<B, 2>) -> Tensor<B, 2> {
    unit(rows).matmul(codes.transpose()).mul_scalar(-2.0).add_scalar(2.0)
}

/// What brings frames to mean 0 and deviation 1 in each of their numbers, as measured over the data.
#[derive(Module, Debug)]
pub struct Standard<B: Backend> {
    /// [F].
    pub mean: Param<Tensor<B, 1>>,
    /// One over the deviation, [F].
    pub factor: Param<Tensor<B, 1>>,
}

impl<B: Backend> Standard<B> {
    /// For frames that are standardised already.
    pub fn none(width: usize, init: &Init<B>) -> Self {
        Self::new(&vec![0.0; width], &vec![1.0; width], init)
    }

    /// By measured means and deviations; a number that never varies stays as it is.
    pub fn new(mean: &[f32], deviation: &[f32], init: &Init<B>) -> Self {
        let factor = |deviation: &f32| if *deviation > 0.0 { 1.0 / deviation } else { 1.0 };
        Self {
            mean: init.frozen([mean.len()], mean.to_vec()),
            factor: init.frozen([mean.len()], deviation.iter().map(factor).collect()),
        }
    }

    /// [N, F] to [N, F].
    pub fn apply(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        (rows - self.mean.val().unsqueeze()) * self.factor.val().unsqueeze()
    }

    /// Back again, [N, F] to [N, F].
    pub fn undo(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        rows / self.factor.val().unsqueeze() + self.mean.val().unsqueeze()
    }
}

/// Several random books; losses are averaged over them.
#[derive(Module, Debug)]
pub struct RandomQuantizer<B: Backend> {
    /// Before the projections.
    pub standard: Standard<B>,
    /// The books, Q of them, each with a projection of its own.
    pub books: Vec<RandomBook<B>>,
}

impl<B: Backend> RandomQuantizer<B> {
    /// `books` books of `codes` codes of `dim` numbers.
    pub fn new(standard: Standard<B>, books: usize, codes: usize, dim: usize, init: &Init<B>) -> Self {
        let [inputs] = standard.mean.dims();
        let book = |index| RandomBook::new(inputs, codes, dim, &init.indexed(index));
        Self {
            standard,
            books: (0..books).map(book).collect(),
        }
    }

    /// Rows [N, F] as the first book sees them: [N, d].
    pub fn projected(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        self.standard.apply(rows).matmul(self.books[0].projection.val())
    }

    /// The labels of rows [N, F]: [N, Q].
    pub fn labels(&self, rows: Tensor<B, 2>) -> Tensor<B, 2, Int> {
        let rows = self.standard.apply(rows);
        Tensor::cat(self.books.iter().map(|book| book.labels(rows.clone())).collect(), 1)
    }
}

/// An encoder and the head that predicts labels: what BEST-RQ trains.
#[derive(Module, Debug)]
pub struct MaskedModel<B: Backend, E> {
    /// The encoder.
    pub encoder: E,
    /// [D, Q * K].
    pub head: Linear<B>,
}

impl<B: Ops, E: LayeredEncoder<B>> MaskedModel<B, E> {
    /// An encoder of width `dim` with a fresh head for `logits` logits.
    pub fn new(encoder: E, dim: usize, logits: usize, init: &Init<B>) -> Self {
        Self {
            encoder,
            head: init.linear("head", dim, logits, true),
        }
    }

    /// Logits of the hidden frames, given by their rows of [B * T]: [M, Q * K].
    pub fn logits(&self, masked: &Frames<B>, rows: Tensor<B, 1, Int>) -> Tensor<B, 2> {
        let hidden = self.encoder.encode(masked);
        let [batch, times, dim] = hidden.dims();
        linear(&self.head, hidden.reshape([batch * times, dim]).select(0, rows))
    }
}

/// BEST-RQ's loss: the hidden frames' labels, made from the frames as they are, against what the model predicts from the
/// frames with noise in their place, [1].
pub fn best_rq_loss<B: Ops, E: LayeredEncoder<B>>(
    model: &MaskedModel<B, E>,
    quantizer: &RandomQuantizer<B>,
    frames: &Frames<B>,
    masked: &Frames<B>,
    rows: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    let labels = quantizer.labels(frames.rows(rows.clone()));
    prediction_loss(model.logits(masked, rows), labels)
}

/// The mean over the valid frames, [B, T, D] to [B, D].
pub fn pooled<B: Backend>(hidden: Tensor<B, 3>, frames: &Frames<B>) -> Tensor<B, 2> {
    let [batch, _, dim] = hidden.dims();
    let kept = hidden * frames.valid.clone();
    let counts = frames.valid.clone().sum_dim(1); // [B, 1, 1]
    (kept.sum_dim(1) / counts).reshape([batch, dim])
}

/// A linear map of frames [B, T, F] to [B, T, D], padding included.
pub(crate) fn frame_linear<B: Ops>(layer: &Linear<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    each_row(x, |rows| linear(layer, rows))
}
