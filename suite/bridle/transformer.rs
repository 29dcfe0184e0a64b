//! The pre-norm transformer block of ViT: x + attention(norm x), then x + MLP(norm x). Norms have
//! epsilon 1e-6.

use crate::config::StackConfig;
use crate::init::Init;
use bridle_backends::Ops;
use bridle_backends::kernel::{BlockSizes, BlockTensors, MlpTensors, checkpoints};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Epsilon of every norm outside the Swin blocks.
pub const NORM_EPSILON: f64 = 1e-6;

/// Layer normalisation with scale and shift.
#[derive(Module, Debug)]
pub struct Norm<B: Backend> {
    /// Scale [D].
    pub weight: Param<Tensor<B, 1>>,
    /// Shift [D].
    pub bias: Param<Tensor<B, 1>>,
    epsilon: f64,
}

impl<B: Backend> Norm<B> {
    pub fn new(dim: usize, epsilon: f64, init: &Init<B>) -> Self {
        Self {
            weight: init.constant([dim], 1.0),
            bias: init.constant([dim], 0.0),
            epsilon,
        }
    }
}

impl<B: Ops> Norm<B> {
    /// Normalises each row of [N, D].
    pub fn rows(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        B::norm_rows(rows, self.weight.val(), self.bias.val(), self.epsilon)
    }

    /// [B, T, D] to [B, T, D], over the last axis.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        each_row(x, |rows| self.rows(rows))
    }
}

/// Applies `map` to the rows of [B, T, D]. Backends compute plain matrix products fastest, forward
/// and backward.
pub fn each_row<B: Backend>(x: Tensor<B, 3>, map: impl FnOnce(Tensor<B, 2>) -> Tensor<B, 2>) -> Tensor<B, 3> {
    let [batch, tokens, dim] = x.dims();
    let y = map(x.reshape([batch * tokens, dim]));
    let [_, width] = y.dims();
    y.reshape([batch, tokens, width])
}

/// Adds one sample's tokens [N, D] to those of each sample, [B, N, D]: as rows of N * D numbers, whose sums backends
/// compute faster than those of the shapes as they are.
pub fn add_to_each<B: Backend>(x: Tensor<B, 3>, of_one: Tensor<B, 2>) -> Tensor<B, 3> {
    let [batch, tokens, dim] = x.dims();
    let flat = x.reshape([batch, tokens * dim]) + of_one.reshape([1, tokens * dim]);
    flat.reshape([batch, tokens, dim])
}

/// A linear layer on rows: [N, K] to [N, M].
pub fn linear<B: Ops>(layer: &Linear<B>, rows: Tensor<B, 2>) -> Tensor<B, 2> {
    match &layer.bias {
        Some(bias) => B::linear_rows(rows, layer.weight.val(), bias.val()),
        None => layer.forward(rows),
    }
}

/// Weight and bias of a layer that has both.
fn parameters<B: Backend>(layer: &Linear<B>) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let bias = layer.bias.as_ref().expect("the layer is made with a bias");
    (layer.weight.val(), bias.val())
}

/// The bias of queries, keys and values.
#[derive(Module, Debug)]
pub struct QueryValueBias<B: Backend> {
    /// Bias of the queries [D].
    pub query: Param<Tensor<B, 1>>,
    /// Bias of the values [D].
    pub value: Param<Tensor<B, 1>>,
}

impl<B: Backend> QueryValueBias<B> {
    /// With zeros for the keys, [3D].
    fn with_keys(&self) -> Tensor<B, 1> {
        let key = self.query.val().zeros_like();
        Tensor::cat(vec![self.query.val(), key, self.value.val()], 0)
    }
}

/// Multi-head self-attention over all tokens.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, keys, values in one product, [D, 3D].
    pub qkv: Linear<B>,
    /// The video model's form: no key bias (which has no effect on the output, and no gradient).
    pub query_value_bias: Option<QueryValueBias<B>>,
    /// [D, D].
    pub proj: Linear<B>,
    heads: usize,
}

impl<B: Backend> Attention<B> {
    fn new(config: &StackConfig, key_bias: bool, init: &Init<B>) -> Self {
        let dim = config.dim;
        Self {
            qkv: init.linear("qkv", dim, 3 * dim, key_bias),
            query_value_bias: (!key_bias).then(|| QueryValueBias {
                query: init.constant([dim], 0.0),
                value: init.constant([dim], 0.0),
            }),
            proj: init.linear("proj", dim, dim, true),
            heads: config.heads,
        }
    }
}

impl<B: Ops> Attention<B> {
    fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let qkv = each_row(x, |rows| {
            let qkv = linear(&self.qkv, rows);
            match &self.query_value_bias {
                Some(bias) => qkv + bias.with_keys().unsqueeze(),
                None => qkv,
            }
        });
        each_row(B::self_attention(qkv, self.heads), |rows| linear(&self.proj, rows))
    }
}

/// Two linear layers with an exact (erf) GELU between.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// [D, ratio * D].
    pub fc1: Linear<B>,
    /// [ratio * D, D].
    pub fc2: Linear<B>,
}

impl<B: Backend> Mlp<B> {
    pub fn new(dim: usize, hidden: usize, init: &Init<B>) -> Self {
        Self {
            fc1: init.linear("fc1", dim, hidden, true),
            fc2: init.linear("fc2", hidden, dim, true),
        }
    }
}

impl<B: Ops> Mlp<B> {
    /// [N, D] to [N, D].
    pub fn rows(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        B::mlp_rows(rows, self.tensors())
    }

    fn tensors(&self) -> MlpTensors<B> {
        let ((weight1, bias1), (weight2, bias2)) = (parameters(&self.fc1), parameters(&self.fc2));
        MlpTensors {
            weight1,
            bias1,
            weight2,
            bias2,
        }
    }
}

/// One pre-norm block.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Before attention.
    pub norm1: Norm<B>,
    pub attn: Attention<B>,
    /// Before the MLP.
    pub norm2: Norm<B>,
    pub mlp: Mlp<B>,
}

impl<B: Backend> Block<B> {
    /// `key_bias` is false in the video model.
    pub fn new(config: &StackConfig, key_bias: bool, init: &Init<B>) -> Self {
        let norm = || Norm::new(config.dim, NORM_EPSILON, init);
        Self {
            norm1: norm(),
            attn: Attention::new(config, key_bias, &init.child("attn")),
            norm2: norm(),
            mlp: Mlp::new(config.dim, config.mlp_ratio * config.dim, &init.child("mlp")),
        }
    }

    pub fn stack(config: &StackConfig, key_bias: bool, init: &Init<B>) -> Vec<Self> {
        (0..config.depth)
            .map(|index| Self::new(config, key_bias, &init.indexed(index)))
            .collect()
    }
}

/// Stochastic depth of one block (arXiv 1603.09382): factors on its two branches, one for each
/// sample, [B, 1, 1]; 0 where the branch is dropped, 1 / (1 - rate) where it is kept.
#[derive(Clone, Debug)]
pub struct BranchFactors<B: Backend> {
    /// On attention.
    pub attention: Tensor<B, 3>,
    /// On the MLP.
    pub mlp: Tensor<B, 3>,
}

impl<B: Ops> Block<B> {
    /// [B, T, D] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        if checkpoints() {
            return self.checkpoint(x);
        }
        let x = x.clone() + self.attn.forward(self.norm1.forward(x));
        x.clone() + self.mlp(x)
    }

    /// The same as one operation, which stores only its input for the backward pass.
    fn checkpoint(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [_, tokens, _] = x.dims();
        let norm = |norm: &Norm<B>| [norm.weight.val(), norm.bias.val()];
        let block = BlockTensors {
            norm1: norm(&self.norm1),
            qkv: match &self.attn.query_value_bias {
                Some(bias) => (self.attn.qkv.weight.val(), bias.with_keys()),
                None => parameters(&self.attn.qkv),
            },
            proj: parameters(&self.attn.proj),
            norm2: norm(&self.norm2),
            mlp: self.mlp.tensors(),
        };
        let sizes = BlockSizes {
            tokens,
            heads: self.attn.heads,
            epsilon: NORM_EPSILON,
        };
        each_row(x, |rows| B::block_rows(rows, block, sizes))
    }

    /// The same with stochastic depth.
    pub fn forward_dropped(&self, x: Tensor<B, 3>, factors: &BranchFactors<B>) -> Tensor<B, 3> {
        let x = x.clone() + self.attn.forward(self.norm1.forward(x)) * factors.attention.clone();
        x.clone() + self.mlp(x) * factors.mlp.clone()
    }

    fn mlp(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        each_row(x, |rows| self.mlp.rows(self.norm2.rows(rows)))
    }
}
