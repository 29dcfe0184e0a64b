//! What is measured: the peer's names and values, resolved and checked.

use crate::cli::BenchArgs;
use crate::cli::error::{Failure, Result};
use crate::compute::{self, Dtype};
use crate::plan::QuantizerKind;
use crate::quantizers::{ModelConfig, QuantizerConfig};
use bridle::config::{AudioRows, DecoderConfig, DecoderKind, Geometry, StackConfig};
use bridle::mask::kept_tokens;
use bridle::swin::WINDOW;
use bridle_backends::Choice;
use bridle_ranks::{Ranks, RanksError};
use bridle_values::choices;

choices! {
    /// Sizes of encoder, decoder and estimator.
    "size" Size {
        /// 12 blocks of width 192
        Tiny = "tiny",
        /// 12 blocks of width 384
        Small = "small",
        /// 12 blocks of width 768, the published sizes
        Base = "base",
    }
}

choices! {
    /// Shape of the input.
    "input" Input {
        /// 512 frames of 128 mel bins, 256 tokens
        Audio512 = "audio-512",
        /// 1024 frames of 128 mel bins, 512 tokens
        Audio1024 = "audio-1024",
        /// 224 by 224 pixels, 196 tokens
        Image224 = "image-224",
        /// 16 frames of 224 by 224 pixels, 1568 tokens
        Video16x224 = "video-16x224",
    }
}

choices! {
    /// What is timed.
    "task" Kind {
        /// labels from the frozen tokenizer, masked encoder and decoder, loss, gradients, optimizer
        EncoderStep = "encoder_step",
        /// targets from the frozen encoder, tokenizer, quantizer that learns, estimator, loss, gradients, optimizer
        TokenizerStep = "tokenizer_step",
        /// labels alone
        Tokenise = "tokenise",
        /// the mean of the frozen encoder's patch tokens, unmasked
        Features = "features",
        /// codes of given vectors
        Quantize = "quantize",
    }
}

impl Kind {
    /// Whether it is a step of training.
    pub fn is_step(self) -> bool {
        matches!(self, Self::EncoderStep | Self::TokenizerStep)
    }

    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Quantize => "vectors",
            _ => "samples",
        }
    }
}

impl Size {
    fn encoder(self) -> StackConfig {
        match self {
            Self::Tiny => stack(192, 12, 3),
            Self::Small => stack(384, 12, 6),
            Self::Base => stack(768, 12, 12),
        }
    }

    fn decoder(self) -> StackConfig {
        match self {
            Self::Tiny => stack(128, 4, 4),
            Self::Small => stack(256, 8, 8),
            Self::Base => stack(512, 16, 16),
        }
    }

    fn estimator(self) -> StackConfig {
        StackConfig {
            depth: 3,
            ..self.encoder()
        }
    }
}

fn stack(dim: usize, depth: usize, heads: usize) -> StackConfig {
    StackConfig {
        dim,
        depth,
        heads,
        mlp_ratio: 4,
    }
}

impl Input {
    fn geometry(self) -> Geometry {
        let audio = |frames| Geometry::Audio {
            frames,
            mels: 128,
            patch: 16,
            rows: AudioRows::Scrambled,
        };
        match self {
            Self::Audio512 => audio(512),
            Self::Audio1024 => audio(1024),
            Self::Image224 => Geometry::Image { side: 224, patch: 16 },
            Self::Video16x224 => Geometry::Video {
                frames: 16,
                side: 224,
                patch: 16,
                tubelet: 2,
            },
        }
    }
}

/// Everything that decides the work.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Named sizes.
    pub size: Size,
    /// Named input.
    pub input: Input,
    /// Sizes of every part.
    pub model: ModelConfig,
    /// Samples of a step that this rank computes.
    pub batch: usize,
    /// Samples of a step over all ranks.
    pub of: usize,
    /// Share of tokens that are removed.
    pub mask_ratio: f64,
    /// Vectors of the quantize task.
    pub vectors: usize,
    /// What is timed, in this order.
    pub kinds: Vec<Kind>,
    /// Runs before the timed ones.
    pub warmup: usize,
    /// Timed runs.
    pub repeats: usize,
    /// Where to compute.
    pub backend: Choice,
    /// Number type.
    pub dtype: Dtype,
}

impl Setup {
    /// Checks all names and values of the command line.
    ///
    /// # Errors
    /// Wrong use: an unknown name, or values that make no model.
    pub fn new(args: &BenchArgs) -> Result<Self> {
        let (backend, dtype) = compute::choose(&args.compute)?;
        let (size, input): (Size, Input) = (args.size.parse()?, args.input.parse()?);
        let quantizer: QuantizerKind = args.quantizer.parse()?;
        let decoder = size.decoder();
        let decoder = StackConfig {
            dim: args.decoder_dim.map_or(decoder.dim, |dim| dim as usize),
            depth: args.decoder_depth.map_or(decoder.depth, |depth| depth as usize),
            heads: args.decoder_heads.map_or(decoder.heads, |heads| heads as usize),
            ..decoder
        };
        let [levels, codes, code_dim] = [args.levels, args.codes, args.code_dim].map(|size| size as usize);
        let video = input == Input::Video16x224;
        let setup = Self {
            size,
            input,
            model: ModelConfig {
                geometry: input.geometry(),
                encoder: size.encoder(),
                decoder: DecoderConfig {
                    kind: args.decoder.parse()?,
                    stack: decoder,
                },
                estimator: size.estimator(),
                quantizer: QuantizerConfig::sized(quantizer, levels, codes, code_dim).map_err(Failure::wrong_use)?,
            },
            batch: args.batch as usize,
            of: args.batch as usize,
            dtype,
            mask_ratio: args.mask_ratio.unwrap_or(if video { 0.9 } else { 0.8 }),
            vectors: args.vectors as usize,
            kinds: kinds(&args.tasks)?,
            warmup: args.warmup as usize,
            repeats: args.repeats as usize,
            backend,
        };
        setup.validate()
    }

    /// Whether the values fit each other; what is plainly wrong by itself, such as 0 samples, the command line refuses.
    fn validate(self) -> Result<Self> {
        let (tokens, decoder) = (self.model.geometry.tokens(), &self.model.decoder);
        let StackConfig { dim, heads, .. } = decoder.stack;
        let [_, rows, columns] = self.model.geometry.grid();
        let kept = kept_tokens(tokens, self.mask_ratio);
        let wrong = if !dim.is_multiple_of(4 * heads) {
            format!(
                "--decoder-dim {dim} with --decoder-heads {heads}: the width must be a multiple of 4 times the heads"
            )
        } else if kept == 0 || kept == tokens {
            format!("--mask-ratio {} leaves {kept} of {tokens} tokens", self.mask_ratio)
        } else if decoder.kind == DecoderKind::Swin
            && (self.model.geometry.is_video() || !rows.is_multiple_of(WINDOW) || !columns.is_multiple_of(WINDOW))
        {
            format!(
                "--decoder swin with --input {}: its windows of {WINDOW} x {WINDOW} tokens do not fit",
                self.input
            )
        } else {
            return Ok(self);
        };
        Err(Failure::wrong_use(wrong))
    }

    /// Leaves this rank its part of the batch. Only training steps are shared out.
    ///
    /// # Errors
    /// If another kind was asked for, or there are more ranks than samples.
    pub fn share(&mut self, ranks: &Ranks) -> Result<()> {
        ranks.can_share("samples of a step (--batch)", self.of)?;
        self.batch = ranks.part(self.of).len();
        if self.kinds.len() == Kind::ALL.len() {
            self.kinds.retain(|kind| kind.is_step());
        }
        match self.kinds.iter().find(|kind| !kind.is_step()) {
            None => Ok(()),
            Some(kind) => Err(RanksError::Unshared {
                what: format!("the task `{kind}`"),
                ranks: ranks.size(),
            }
            .into()),
        }
    }

    /// How many items one run of this kind handles, over all ranks.
    pub fn items(&self, kind: Kind) -> usize {
        if kind == Kind::Quantize { self.vectors } else { self.of }
    }
}

/// The kinds by name, each once; all if none is named.
fn kinds(names: &[String]) -> Result<Vec<Kind>> {
    if names.is_empty() {
        return Ok(Kind::ALL.to_vec());
    }
    let mut kinds = Vec::new();
    for name in names {
        let kind = name.parse()?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}
