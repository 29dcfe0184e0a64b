//! The attention of Conformers, with scores that know distances: as in Transformer-XL (arXiv
//! 1901.02860, section 3.3), by a table of distances, or by turned inputs (arXiv 2104.09864).

use super::distances::{Distances, by_key, turned};
use crate::layers::Linear;
use crate::speech::attention::{by_head, mixed, split};
use crate::speech::sequences::Sequences;
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, keys, values, [D, 3D].
    pub qkv: Linear<B>,
    /// [D, D].
    pub proj: Linear<B>,
    /// Where distances are sines.
    pub relative: Option<Relative<B>>,
    /// A vector of a head's numbers for each distance, [left + right + 1, D/H].
    pub distances: Option<Param<Tensor<B, 2>>>,
    pub(super) heads: usize,
    /// What scores are divided by.
    pub(super) divisor: f64,
}

/// What Transformer-XL's attention learns of distances.
#[derive(Module, Debug)]
pub struct Relative<B: Backend> {
    /// On the sines of distances, [D, D].
    pub map: Linear<B>,
    /// Added to the queries of keys' contents, [D].
    pub content: Param<Tensor<B, 1>>,
    /// Added to the queries of distances, [D].
    pub place: Param<Tensor<B, 1>>,
}

impl<B: Ops> Attention<B> {
    /// [B, T, D] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>, frames: &Sequences<B>, distances: &Distances<B>) -> Tensor<B, 3> {
        let qkv = self.joined(x, distances);
        let [queries, keys, values] = split(qkv.clone(), self.heads);
        let keys = keys.swap_dims(2, 3);
        let scores = match (distances, &self.relative, &self.distances) {
            (Distances::Sines(sines), Some(relative), _) => {
                let [_, _, wide] = qkv.dims();
                let queries = qkv.narrow(2, 0, wide / 3);
                let with = |bias: &Param<Tensor<B, 1>>| by_head(queries.clone() + bias.val().unsqueeze(), self.heads);
                let places = by_head(relative.map.forward(sines.clone().unsqueeze()), self.heads);
                let by_place = with(&relative.place).matmul(places.swap_dims(2, 3));
                with(&relative.content).matmul(keys) + by_key(by_place)
            }
            (Distances::Rows(rows), _, Some(table)) => {
                let vectors = table.val().select(0, rows.clone()); // [2T - 1, D/H]
                let by_place = queries.clone().matmul(vectors.transpose().unsqueeze());
                queries.matmul(keys) + by_key(by_place)
            }
            _ => queries.matmul(keys),
        };
        self.proj
            .forward(mixed(scores.div_scalar(self.divisor), values, frames))
    }

    /// Queries, keys and values, [B, T, 3D]. What turns, turns the input of queries and keys.
    fn joined(&self, x: Tensor<B, 3>, distances: &Distances<B>) -> Tensor<B, 3> {
        let Distances::Turns { cos, sin } = distances else {
            return self.qkv.forward(x);
        };
        let [_, _, dim] = x.dims();
        let moved = self.qkv.forward(turned(x.clone(), cos, sin)).narrow(2, 0, 2 * dim);
        let values = self.qkv.forward(x).narrow(2, 2 * dim, dim);
        Tensor::cat(vec![moved, values], 2)
    }
}
