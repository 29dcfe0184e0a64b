//! Names of wav2vec 2.0's tensors and those of its kin: transformers' and those of the authors.

use serde::{Deserialize, Serialize};

/// Whose names a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// Of transformers' folders.
    Transformers,
    /// Of fairseq and of WavLM's own code.
    Fairseq,
}

/// What the tensors of a block are called.
pub struct BlockNames {
    /// Queries, keys, values, and what comes after them.
    pub attention: [String; 4],
    /// After attention in post-norm blocks, before it in pre-norm ones.
    pub norm1: String,
    /// The maps of the feed-forward.
    pub feed_forward: [String; 2],
    /// After the feed-forward, or before it.
    pub norm2: String,
    /// The map to the gates of the position bias.
    pub gate: String,
    /// One number for each head.
    pub gate_constant: String,
    /// The table of the position bias; in the first block.
    pub buckets: String,
}

impl Names {
    pub fn convolution(self, index: usize) -> String {
        match self {
            Self::Transformers => format!("feature_extractor.conv_layers.{index}.conv"),
            Self::Fairseq => format!("feature_extractor.conv_layers.{index}.0"),
        }
    }

    /// The norm over time, after the first convolution.
    pub fn group_norm(self) -> &'static str {
        match self {
            Self::Transformers => "feature_extractor.conv_layers.0.layer_norm",
            Self::Fairseq => "feature_extractor.conv_layers.0.2",
        }
    }

    /// The norm over channels, after each convolution.
    pub fn layer_norm(self, index: usize) -> String {
        match self {
            Self::Transformers => format!("feature_extractor.conv_layers.{index}.layer_norm"),
            Self::Fairseq => format!("feature_extractor.conv_layers.{index}.2.1"),
        }
    }

    /// Norm and map to the encoder's width.
    pub fn projection(self) -> [&'static str; 2] {
        match self {
            Self::Transformers => ["feature_projection.layer_norm", "feature_projection.projection"],
            Self::Fairseq => ["layer_norm", "post_extract_proj"],
        }
    }

    pub fn positions(self) -> &'static str {
        match self {
            Self::Transformers => "encoder.pos_conv_embed.conv",
            Self::Fairseq => "encoder.pos_conv.0",
        }
    }

    /// One of a stack of positional convolutions.
    pub fn stacked_positions(self, index: usize) -> String {
        match self {
            Self::Transformers => format!("encoder.pos_conv_embed.layers.{index}.conv"),
            Self::Fairseq => format!("encoder.pos_conv.{index}.0"),
        }
    }

    /// The norm before the first block, or after the last.
    pub fn norm(self) -> &'static str {
        "encoder.layer_norm"
    }

    pub fn block(self, index: usize) -> BlockNames {
        let name = |part: &str| format!("encoder.layers.{index}.{part}");
        match self {
            Self::Transformers => BlockNames {
                attention: ["q_proj", "k_proj", "v_proj", "out_proj"].map(|part| name(&format!("attention.{part}"))),
                norm1: name("layer_norm"),
                feed_forward: ["intermediate_dense", "output_dense"].map(|part| name(&format!("feed_forward.{part}"))),
                norm2: name("final_layer_norm"),
                gate: name("attention.gru_rel_pos_linear"),
                gate_constant: name("attention.gru_rel_pos_const"),
                buckets: name("attention.rel_attn_embed.weight"),
            },
            Self::Fairseq => BlockNames {
                attention: ["q_proj", "k_proj", "v_proj", "out_proj"].map(|part| name(&format!("self_attn.{part}"))),
                norm1: name("self_attn_layer_norm"),
                feed_forward: ["fc1", "fc2"].map(name),
                norm2: name("final_layer_norm"),
                gate: name("self_attn.grep_linear"),
                gate_constant: name("self_attn.grep_a"),
                buckets: name("self_attn.relative_attention_bias.weight"),
            },
        }
    }
}
