//! The transformer block: norms in front or behind, scores with a bias, layer scale, two kinds of MLP.

use super::bias::{Gate, window_table};
use super::config::{MlpKind, NormPlace, QkvBias, ScoreBias, VitConfig};
use super::words::{Qkv, Words};
use crate::layers::{Linear, Norm, each_row};
use crate::names::{EncoderError, Taker};
use crate::speech::attention::by_head;
use bridle_backends::Ops;
use bridle_backends::kernel::{BlockSizes, BlockTensors, MlpTensors, checkpoints};
use burn::module::{Module, Param};
use burn::tensor::activation::silu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Multi-head self-attention over all tokens.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, keys, values in one product, [D, 3D]; where keys have no bias, theirs is 0, which has no effect.
    pub qkv: Linear<B>,
    /// [D, D].
    pub proj: Linear<B>,
    /// A window's table of this block, [rows, H].
    pub window: Option<Param<Tensor<B, 2>>>,
    pub gate: Option<Gate<B>>,
    heads: usize,
}

impl<B: Backend> Attention<B> {
    fn take(
        config: &VitConfig,
        words: &Words,
        block: &str,
        taker: &Taker,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let (dim, heads) = (config.dim, config.heads);
        let full = |name: &str| format!("{block}{name}");
        let window = match config.bias {
            ScoreBias::Window {
                rows,
                columns,
                shared: false,
            } => {
                let values = window_table(taker, &full(words.window[1]), [rows, columns], heads)?;
                let shape = [values.len() / heads, heads];
                Some(Param::from_tensor(Tensor::from_data(
                    TensorData::new(values, shape),
                    device,
                )))
            }
            _ => None,
        };
        let gate = match config.bias {
            ScoreBias::Buckets { gated: true, .. } => {
                let names = words.gate.map(full);
                let names = [names[0].as_str(), names[1].as_str()];
                Some(Gate::take(taker, names, [heads, dim / heads], device)?)
            }
            _ => None,
        };
        Ok(Self {
            qkv: qkv(config, words, block, taker, device)?,
            proj: Linear::take(taker, &full(words.proj), [dim, dim], true, device)?,
            window,
            gate,
            heads,
        })
    }
}

/// Queries, keys and values as one layer.
fn qkv<B: Backend>(
    config: &VitConfig,
    words: &Words,
    block: &str,
    taker: &Taker,
    device: &B::Device,
) -> Result<Linear<B>, EncoderError> {
    let dim = config.dim;
    let full = |name: &str, part: &str| format!("{block}{name}{part}");
    let zeros = || vec![0.0; dim];
    let weight = match &words.qkv {
        Qkv::Joint(name) => taker.values(&full(name, ".weight"), &[3 * dim, dim])?,
        Qkv::Apart(names) => {
            let parts = names.map(|name| taker.values(&full(name, ".weight"), &[dim, dim]));
            let [q, k, v] = parts;
            [q?, k?, v?].concat()
        }
    };
    let bias = match (config.qkv_bias, &words.qkv, words.qv_bias) {
        (QkvBias::None, ..) | (QkvBias::QueryValue, Qkv::Joint(_), None) => vec![0.0; 3 * dim],
        (QkvBias::All, Qkv::Joint(name), _) => taker.values(&full(name, ".bias"), &[3 * dim])?,
        (QkvBias::All, Qkv::Apart(names), _) => {
            let [q, k, v] = names.map(|name| taker.values(&full(name, ".bias"), &[dim]));
            [q?, k?, v?].concat()
        }
        (QkvBias::QueryValue, _, Some([q, v])) => {
            let [q, v] = [q, v].map(|name| taker.values(&full(name, ""), &[dim]));
            [q?, zeros(), v?].concat()
        }
        (QkvBias::QueryValue, Qkv::Apart([q, _, v]), None) => {
            let [q, v] = [q, v].map(|name| taker.values(&full(name, ".bias"), &[dim]));
            [q?, zeros(), v?].concat()
        }
    };
    Ok(Linear::from_values(&weight, bias, [dim, 3 * dim], device))
}

impl<B: Ops> Attention<B> {
    /// Of rows [B * T, D] that are normed already; `bias` [H, T, T] is added to scores.
    fn rows(&self, rows: Tensor<B, 2>, tokens: usize, bias: Option<&Tensor<B, 3>>) -> Tensor<B, 2> {
        let [count, dim] = rows.dims();
        let qkv = self.qkv.rows(rows).reshape([count / tokens, tokens, 3 * dim]);
        let mixed = match bias {
            None => B::self_attention(qkv, self.heads),
            Some(bias) => self.biased(qkv, bias.clone()),
        };
        self.proj.rows(mixed.reshape([count, dim]))
    }

    fn biased(&self, qkv: Tensor<B, 3>, bias: Tensor<B, 3>) -> Tensor<B, 3> {
        let bias = match &self.gate {
            Some(gate) => gate.forward(by_head(qkv.clone().narrow(2, 0, qkv.dims()[2] / 3), self.heads), bias),
            None => bias.unsqueeze(),
        };
        B::biased_attention(qkv, bias, self.heads)
    }
}

/// Two linear layers with an activation between.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// [D, hidden], or [D, 2 hidden] for SwiGLU.
    pub fc1: Linear<B>,
    /// [hidden, D].
    pub fc2: Linear<B>,
    is_gated: bool,
}

impl<B: Backend> Mlp<B> {
    fn take(
        config: &VitConfig,
        words: &Words,
        block: &str,
        taker: &Taker,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let is_gated = config.mlp == MlpKind::SwiGlu;
        let [first, second] = if is_gated { words.swiglu } else { words.mlp };
        let (dim, hidden) = (config.dim, config.hidden);
        let inner = if is_gated { 2 * hidden } else { hidden };
        Ok(Self {
            fc1: Linear::take(taker, &format!("{block}{first}"), [dim, inner], true, device)?,
            fc2: Linear::take(taker, &format!("{block}{second}"), [hidden, dim], true, device)?,
            is_gated,
        })
    }
}

impl<B: Ops> Mlp<B> {
    /// [N, D] to [N, D].
    fn rows(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        if self.is_gated {
            let [gate, inner]: [Tensor<B, 2>; 2] = halves(self.fc1.rows(rows));
            return self.fc2.rows(silu(gate) * inner);
        }
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

/// Weight and bias of a layer that has both.
fn parameters<B: Backend>(layer: &Linear<B>) -> (Tensor<B, 2>, Tensor<B, 1>) {
    let bias = layer.bias.as_ref().expect("the layer is taken with a bias");
    (layer.weight.val(), bias.val())
}

fn halves<B: Backend>(rows: Tensor<B, 2>) -> [Tensor<B, 2>; 2] {
    let half = rows.dims()[1] / 2;
    [0, half].map(|start| rows.clone().narrow(1, start, half))
}

/// Stochastic depth (arXiv 1603.09382): what a batch's samples get of a block's attention and MLP, [B, 1, 1] each.
pub type BranchFactors<B> = [Tensor<B, 3>; 2];

/// One block.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    pub norm1: Norm<B>,
    pub attention: Attention<B>,
    pub norm2: Norm<B>,
    pub mlp: Mlp<B>,
    /// Layer scale of the two branches, [D] each.
    pub scale1: Option<Param<Tensor<B, 1>>>,
    pub scale2: Option<Param<Tensor<B, 1>>>,
    /// Factor on the tokens of a block whose norms are behind; none if they are in front.
    residual: Option<f64>,
}

impl<B: Backend> Block<B> {
    pub fn take(
        config: &VitConfig,
        words: &Words,
        number: usize,
        taker: &Taker,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let block = words.block(number, taker);
        let norm = |name: &str| Norm::take(taker, &format!("{block}{name}"), config.dim, config.epsilon, device);
        let scale = |name: &str| match config.layer_scale {
            true => taker
                .tensor(&format!("{block}{name}"), [config.dim], device)
                .map(|scale| Some(Param::from_tensor(scale))),
            false => Ok(None),
        };
        Ok(Self {
            norm1: norm(words.norms[0])?,
            attention: Attention::take(config, words, &block, taker, device)?,
            norm2: norm(words.norms[1])?,
            mlp: Mlp::take(config, words, &block, taker, device)?,
            scale1: scale(words.scales[0])?,
            scale2: scale(words.scales[1])?,
            residual: match config.norm {
                NormPlace::Pre => None,
                NormPlace::Post { residual } => Some(residual),
            },
        })
    }
}

impl<B: Ops> Block<B> {
    /// [B, T, D] to [B, T, D]; `bias` [H, T, T] is added to the scores of attention, and `kept` multiplies what each
    /// branch adds.
    pub fn forward(
        &self,
        x: Tensor<B, 3>,
        bias: Option<&Tensor<B, 3>>,
        kept: Option<&BranchFactors<B>>,
    ) -> Tensor<B, 3> {
        let [_, tokens, _] = x.dims();
        let [first, second] = [0, 1].map(|branch| kept.map(|kept| &kept[branch]));
        each_row(x, |rows| match self.residual {
            None if checkpoints() && bias.is_none() && kept.is_none() && self.is_plain() => {
                self.checkpoint(rows, tokens)
            }
            None => {
                let branch = self.attention.rows(self.norm1.rows(rows.clone()), tokens, bias);
                let rows = rows + kept_of(scaled(branch, self.scale1.as_ref()), first);
                let branch = self.mlp.rows(self.norm2.rows(rows.clone()));
                rows + kept_of(scaled(branch, self.scale2.as_ref()), second)
            }
            Some(residual) => {
                let branch = self.attention.rows(rows.clone(), tokens, bias);
                let rows = self.norm1.rows(rows * residual + kept_of(branch, first));
                let branch = self.mlp.rows(rows.clone());
                self.norm2.rows(rows * residual + kept_of(branch, second))
            }
        })
    }
}

impl<B: Ops> Block<B> {
    fn is_plain(&self) -> bool {
        self.scale1.is_none() && self.scale2.is_none() && !self.mlp.is_gated
    }

    /// A plain block as one operation, which stores only its input for the backward pass.
    fn checkpoint(&self, rows: Tensor<B, 2>, tokens: usize) -> Tensor<B, 2> {
        let norm = |norm: &Norm<B>| [norm.weight.val(), norm.bias.val()];
        let block = BlockTensors {
            norm1: norm(&self.norm1),
            qkv: parameters(&self.attention.qkv),
            proj: parameters(&self.attention.proj),
            norm2: norm(&self.norm2),
            mlp: self.mlp.tensors(),
        };
        let sizes = BlockSizes {
            tokens,
            heads: self.attention.heads,
            epsilon: self.norm1.epsilon,
        };
        B::block_rows(rows, block, sizes)
    }
}

/// A branch [B * T, D] times the factor of each sample, [B, 1, 1].
fn kept_of<B: Backend>(branch: Tensor<B, 2>, factor: Option<&Tensor<B, 3>>) -> Tensor<B, 2> {
    let Some(factor) = factor else { return branch };
    let ([count, dim], [batch, ..]) = (branch.dims(), factor.dims());
    let samples = branch.reshape([batch, count / batch, dim]);
    (samples * factor.clone()).reshape([count, dim])
}

fn scaled<B: Backend>(branch: Tensor<B, 2>, scale: Option<&Param<Tensor<B, 1>>>) -> Tensor<B, 2> {
    match scale {
        Some(scale) => branch * scale.val().unsqueeze(),
        None => branch,
    }
}
