//! One vision transformer for pictures, sounds and videos.
//!
//! In this order: patches, tokens in front, positions, a first norm, blocks, a last norm, pooling. Each but patches and
//! blocks may be missing.

pub mod bias;
pub mod block;
pub mod config;
pub mod patches;
mod pool;
pub mod posconv;
pub mod positions;
pub mod words;

use crate::input::{Input, States};
use crate::layers::{Linear, Norm};
use crate::names::{EncoderError, Taker};
use bias::{bucket_index, looked_up, window_index, window_table};
use block::{Block, BranchFactors};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use config::{Head, Positions, ScoreBias, VitConfig};
use patches::{GridSize, PatchEmbedding};
use posconv::PositionalConvolution;
use words::Words;

/// The encoder. What its configuration lacks is none.
#[derive(Module, Debug)]
pub struct Vit<B: Backend> {
    pub patch: PatchEmbedding<B>,
    /// Tokens in front of the patches, [P, D]: cls, distillation token, registers.
    pub prefix: Option<Param<Tensor<B, 2>>>,
    /// A table of positions [rows, D]: of the first tokens in front, then of patches.
    pub positions: Option<Param<Tensor<B, 2>>>,
    pub convolution: Option<PositionalConvolution<B>>,
    pub first_norm: Option<Norm<B>>,
    /// The table of biases of scores that all blocks share, [rows, H].
    pub bias: Option<Param<Tensor<B, 2>>>,
    pub blocks: Vec<Block<B>>,
    pub final_norm: Option<Norm<B>>,
    pub pooled_norm: Option<Norm<B>>,
    pub pooler: Option<Linear<B>>,
    pub head_norm: Option<Norm<B>>,
    pub head: Option<Linear<B>>,
    #[module(skip)]
    pub config: VitConfig,
}

impl<B: Backend> Vit<B> {
    /// Takes the tensors that `scheme` names.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite, or the table of buckets is not one for all blocks.
    pub fn take(config: &VitConfig, scheme: &str, taker: &Taker, device: &B::Device) -> Result<Self, EncoderError> {
        let words = Words::of(scheme, taker);
        let dim = config.dim;
        let norm = |wanted: bool, name: &str| match wanted {
            true => Norm::take(taker, name, dim, config.epsilon, device).map(Some),
            false => Ok(None),
        };
        let convolution = match config.positions {
            Positions::Convolution { kernel, groups } => {
                let shape = [dim, dim / groups, kernel];
                Some(PositionalConvolution::take(taker, words.convolution, shape, device)?)
            }
            _ => None,
        };
        let pooler = || Linear::take(taker, words.pooler, [dim, dim], true, device);
        let head_norm = |head: Head| Norm::take(taker, words.head[0], dim, head.epsilon, device);
        let head = |head: Head| Linear::take(taker, words.head[1], [dim, head.classes], true, device);
        let blocks = (0..config.depth).map(|number| Block::take(config, &words, number, taker, device));
        Ok(Self {
            patch: PatchEmbedding::take(config, &words, taker, device)?,
            prefix: prefix(config, &words, taker, device)?,
            positions: table(config, &words, taker, device)?,
            convolution,
            first_norm: norm(config.first_norm, words.first_norm)?,
            bias: shared_bias(config, &words, taker, device)?,
            blocks: blocks.collect::<Result<_, _>>()?,
            final_norm: norm(config.final_norm, words.final_norm)?,
            pooled_norm: norm(config.pooled_norm, words.pooled_norm)?,
            pooler: config.pooler.then(pooler).transpose()?,
            head_norm: config.head.map(head_norm).transpose()?,
            head: config.head.map(head).transpose()?,
            config: config.clone(),
        })
    }
}

/// Tokens in front of the patches, [P, D].
fn prefix<B: Backend>(
    config: &VitConfig,
    words: &Words,
    taker: &Taker,
    device: &B::Device,
) -> Result<Option<Param<Tensor<B, 2>>>, EncoderError> {
    let counts = [
        (words.cls, usize::from(config.cls)),
        (words.distillation, usize::from(config.distillation)),
        (words.registers, config.registers),
    ];
    let mut values = Vec::new();
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        values.extend(taker.values(name, &[1, count, config.dim])?);
    }
    Ok(parameter(values, config.dim, device))
}

/// The table of positions that the file holds.
fn table<B: Backend>(
    config: &VitConfig,
    words: &Words,
    taker: &Taker,
    device: &B::Device,
) -> Result<Option<Param<Tensor<B, 2>>>, EncoderError> {
    let rows = match config.positions {
        Positions::Table {
            prefix, rows, columns, ..
        } => prefix + rows * columns,
        Positions::FirstRows { rows } => rows,
        Positions::None | Positions::Sines { .. } | Positions::Convolution { .. } => return Ok(None),
    };
    let values = taker.values(words.positions, &[1, rows, config.dim])?;
    Ok(parameter(values, config.dim, device))
}

/// Rows of `dim` numbers, unless there are none.
fn parameter<B: Backend>(values: Vec<f32>, dim: usize, device: &B::Device) -> Option<Param<Tensor<B, 2>>> {
    let shape = [values.len() / dim, dim];
    let tensor = |values| Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device));
    (!values.is_empty()).then(|| tensor(values))
}

/// The table of biases that all blocks share.
fn shared_bias<B: Backend>(
    config: &VitConfig,
    words: &Words,
    taker: &Taker,
    device: &B::Device,
) -> Result<Option<Param<Tensor<B, 2>>>, EncoderError> {
    let values = match config.bias {
        ScoreBias::Window {
            rows,
            columns,
            shared: true,
        } => window_table(taker, words.window[0], [rows, columns], config.heads)?,
        ScoreBias::Buckets { count, .. } => {
            let name = |block| format!("{}{}.weight", words.block(block, taker), words.buckets);
            let first = taker.values(&name(0), &[count, config.heads])?;
            // every block names the first one's table
            for block in 1..config.depth {
                if taker.values(&name(block), &[count, config.heads])? != first {
                    let reason = "it is not the table of the first block, which all blocks use".to_owned();
                    return Err(EncoderError::Values {
                        name: taker.full(&name(block)),
                        reason,
                    });
                }
            }
            first
        }
        ScoreBias::None | ScoreBias::Window { shared: false, .. } => return Ok(None),
    };
    Ok(parameter(values, config.heads, device))
}

impl<B: Ops> Vit<B> {
    /// What enters the first block, and what leaves each block and the encoder.
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes.
    pub fn states(&self, input: Input<B>) -> Result<States<B>, EncoderError> {
        let mut hidden = Vec::with_capacity(self.blocks.len() + 1);
        let last = self.run(input, &[], |_, tokens| hidden.push(tokens.clone()))?;
        let [batch, tokens, _] = last.dims();
        Ok(States {
            hidden,
            last,
            lengths: vec![tokens; batch],
        })
    }

    /// The encoder's output [B, T, D]; `kept` are factors of each block's branches, none beyond its end; `seen` gets
    /// what enters the first block as 0, and what leaves block k as k.
    fn run(
        &self,
        input: Input<B>,
        kept: &[Option<BranchFactors<B>>],
        mut seen: impl FnMut(usize, &Tensor<B, 3>),
    ) -> Result<Tensor<B, 3>, EncoderError> {
        let mut tokens = self.embedded(input)?;
        seen(0, &tokens);
        let biases = self.biases(tokens.dims()[1]);
        for (number, block) in self.blocks.iter().enumerate() {
            let kept = kept.get(number).and_then(Option::as_ref);
            tokens = block.forward(tokens, biases.of(block).as_ref(), kept);
            seen(number + 1, &tokens);
        }
        Ok(self.finished(tokens))
    }

    /// Through the final norm, if there is one.
    fn finished(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3> {
        match &self.final_norm {
            Some(norm) => norm.forward(tokens),
            None => tokens,
        }
    }

    /// Patches as tokens, without positions or tokens in front, [B, T, D], and their grid.
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes.
    pub fn projected(&self, input: Input<B>) -> Result<(Tensor<B, 3>, GridSize), EncoderError> {
        self.patch.forward(input, &self.config.patches)
    }

    /// What enters the first block.
    fn embedded(&self, input: Input<B>) -> Result<Tensor<B, 3>, EncoderError> {
        let (patches, grid) = self.projected(input)?;
        let batch = patches.dims()[0];
        let mut tokens = match &self.prefix {
            Some(prefix) => {
                let prefix = prefix.val().unsqueeze::<3>().repeat_dim(0, batch);
                Tensor::cat(vec![prefix, patches], 1)
            }
            None => patches,
        };
        if let Some(positions) = self.positions(grid)? {
            tokens = tokens + positions.unsqueeze();
        }
        if let Some(convolution) = &self.convolution {
            tokens = tokens.clone() + convolution.forward(tokens);
        }
        if let Some(norm) = &self.first_norm {
            tokens = norm.forward(tokens);
        }
        Ok(tokens)
    }

    /// What is added to the tokens of a grid of patches, [P + T, D], with zeros for tokens in front that have no row.
    ///
    /// # Errors
    /// If the encoder has positions of another grid, and they are not to be resized.
    pub fn positions(&self, grid: GridSize) -> Result<Option<Tensor<B, 2>>, EncoderError> {
        self.config.check_grid(grid)?;
        let dim = self.config.dim;
        let device = self.patch.map.weight.device();
        let (front, patches) = match (self.config.positions, &self.positions) {
            (
                Positions::Table {
                    prefix,
                    rows,
                    columns,
                    other,
                },
                Some(table),
            ) => {
                let own = table.val().narrow(0, prefix, rows * columns);
                let own = match grid == [1, rows, columns] {
                    true => own,
                    false => positions::resized(own, other, grid[1], grid[2]),
                };
                ((prefix > 0).then(|| table.val().narrow(0, 0, prefix)), own)
            }
            (Positions::FirstRows { .. }, Some(table)) => (None, table.val().narrow(0, 0, grid.iter().product())),
            (Positions::Sines { grid: own }, _) => {
                let tokens = own.iter().product();
                let rows = TensorData::new(positions::sines(tokens, dim), [tokens, dim]);
                (None, Tensor::from_data(rows, &device))
            }
            _ => return Ok(None),
        };
        let bare = self.config.prefix() - front.as_ref().map_or(0, |front| front.dims()[0]);
        let zeros = (bare > 0).then(|| Tensor::zeros([bare, dim], &device));
        let parts = [front, zeros, Some(patches)].into_iter().flatten().collect();
        Ok(Some(Tensor::cat(parts, 0)))
    }

    /// Biases of scores for this many tokens.
    fn biases(&self, tokens: usize) -> Biases<B> {
        let table = self.bias.as_ref().map(Param::val);
        let index = match self.config.bias {
            ScoreBias::None => return Biases::None,
            ScoreBias::Window { rows, columns, .. } => window_index(rows, columns),
            ScoreBias::Buckets { count, largest, .. } => bucket_index(tokens, count, largest),
        };
        match table {
            Some(table) => Biases::Shared(looked_up(table, index, tokens)),
            None => Biases::Own { index, tokens },
        }
    }
}

/// Biases of scores, [H, T, T].
enum Biases<B: Backend> {
    None,
    Shared(Tensor<B, 3>),
    /// Each block has a table, in which these are the rows.
    Own {
        index: Vec<i64>,
        tokens: usize,
    },
}

impl<B: Backend> Biases<B> {
    fn of(&self, block: &Block<B>) -> Option<Tensor<B, 3>> {
        match self {
            Self::None => None,
            Self::Shared(bias) => Some(bias.clone()),
            Self::Own { index, tokens } => {
                let table = block.attention.window.as_ref()?.val();
                Some(looked_up(table, index.clone(), *tokens))
            }
        }
    }
}
