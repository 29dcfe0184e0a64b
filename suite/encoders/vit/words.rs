//! What schemes of names call the parts of a vision transformer.
//!
//! Names are those behind the encoder's prefix; `../` leaves the last part of the prefix.

use crate::names::Taker;

/// Names of one scheme; those of a block without what stands in front of them.
pub struct Words {
    pub patch: &'static str,
    /// BEATs: the norm and the linear map behind narrower patches.
    pub patch_norm: &'static str,
    pub patch_projection: &'static str,
    pub cls: &'static str,
    pub distillation: &'static str,
    pub registers: &'static str,
    /// The table.
    pub positions: &'static str,
    /// The convolution.
    pub convolution: &'static str,
    pub first_norm: &'static str,
    pub final_norm: &'static str,
    pub pooled_norm: &'static str,
    pub pooler: &'static str,
    /// AST's head: norm and linear map.
    pub head: [&'static str; 2],
    /// What stands in front of a block's names, with `#` for its number.
    pub block: &'static str,
    pub norms: [&'static str; 2],
    pub qkv: Qkv,
    /// Biases of queries and values, where they have names of their own.
    pub qv_bias: Option<[&'static str; 2]>,
    pub proj: &'static str,
    pub mlp: [&'static str; 2],
    pub swiglu: [&'static str; 2],
    pub scales: [&'static str; 2],
    /// A window's table for all blocks, and one of a block.
    pub window: [&'static str; 2],
    /// A table of buckets, in every block.
    pub buckets: &'static str,
    /// The gate's linear map and its numbers of heads.
    pub gate: [&'static str; 2],
}

/// Names of queries, keys and values.
pub enum Qkv {
    Joint(&'static str),
    Apart([&'static str; 3]),
}

/// timm, and authors who built on it.
const TIMM: Words = Words {
    patch: "patch_embed.proj",
    patch_norm: "",
    patch_projection: "",
    cls: "cls_token",
    distillation: "dist_token",
    registers: "reg_token",
    positions: "pos_embed",
    convolution: "",
    first_norm: "norm_pre",
    final_norm: "norm",
    pooled_norm: "fc_norm",
    pooler: "",
    head: ["../mlp_head.0", "../mlp_head.1"],
    block: "blocks.#.",
    norms: ["norm1", "norm2"],
    qkv: Qkv::Joint("attn.qkv"),
    qv_bias: Some(["attn.q_bias", "attn.v_bias"]),
    proj: "attn.proj",
    mlp: ["mlp.fc1", "mlp.fc2"],
    swiglu: ["mlp.w12", "mlp.w3"],
    scales: ["ls1.gamma", "ls2.gamma"],
    window: [
        "rel_pos_bias.relative_position_bias_table",
        "attn.relative_position_bias_table",
    ],
    buckets: "",
    gate: ["", ""],
};

const TRANSFORMERS: Words = Words {
    patch: "embeddings.patch_embeddings.projection",
    cls: "embeddings.cls_token",
    distillation: "embeddings.distillation_token",
    registers: "embeddings.register_tokens",
    positions: "embeddings.position_embeddings",
    first_norm: "",
    final_norm: "layernorm",
    pooled_norm: "pooler.layernorm",
    pooler: "pooler.dense",
    head: ["../classifier.layernorm", "../classifier.dense"],
    block: "encoder.layer.#.",
    norms: ["layernorm_before", "layernorm_after"],
    qkv: Qkv::Apart([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    qv_bias: None,
    proj: "attention.output.dense",
    mlp: ["intermediate.dense", "output.dense"],
    swiglu: ["mlp.weights_in", "mlp.weights_out"],
    scales: ["lambda_1", "lambda_2"],
    window: [
        "encoder.relative_position_bias.relative_position_bias_table",
        "attention.attention.relative_position_bias.relative_position_bias_table",
    ],
    ..TIMM
};

/// EAT and SSLAM, in fairseq's files and in folders.
const EAT: Words = Words {
    patch: "modality_encoders.IMAGE.local_encoder.proj",
    cls: "modality_encoders.IMAGE.extra_tokens",
    positions: "modality_encoders.IMAGE.fixed_positional_encoder.positions",
    first_norm: "modality_encoders.IMAGE.context_encoder.norm",
    ..TIMM
};

const EAT_HUB: Words = Words {
    patch: "local_encoder.proj",
    cls: "extra_tokens",
    positions: "fixed_positional_encoder.positions",
    first_norm: "pre_norm",
    ..TIMM
};

const BEATS: Words = Words {
    patch: "patch_embedding",
    patch_norm: "layer_norm",
    patch_projection: "post_extract_proj",
    convolution: "encoder.pos_conv.0",
    first_norm: "encoder.layer_norm",
    block: "encoder.layers.#.",
    norms: ["self_attn_layer_norm", "final_layer_norm"],
    qkv: Qkv::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    qv_bias: None,
    proj: "self_attn.out_proj",
    mlp: ["fc1", "fc2"],
    buckets: "self_attn.relative_attention_bias",
    gate: ["self_attn.grep_linear", "self_attn.grep_a"],
    ..TIMM
};

/// Whether the first layers of MLPs are twice as wide as the second ones: both halves of a SwiGLU.
fn is_packed(taker: &Taker) -> bool {
    let [first, second] = TIMM.mlp.map(|name| format!("{name}.weight"));
    let is_twice = |name: &str| {
        let block = name.strip_prefix("blocks.")?.strip_suffix(&*first)?;
        let (wide, narrow) = (taker.shape(name)?, taker.shape(&format!("blocks.{block}{second}"))?);
        Some(*wide.first()? == 2 * narrow.get(1)?)
    };
    let (packed, plain): (Vec<_>, Vec<_>) = taker.names().filter_map(is_twice).partition(|twice| *twice);
    !packed.is_empty() && packed.len() >= plain.len()
}

impl Words {
    /// The names of a scheme as this file has them.
    pub fn of(scheme: &str, taker: &Taker) -> Self {
        let any = |part: &str| taker.names().any(|name| name.contains(part));
        match scheme {
            "transformers" => {
                let mut words = TRANSFORMERS;
                if any(".norm1.") || any(".layer_scale1.") {
                    // DINOv2
                    words.norms = TIMM.norms;
                    words.mlp = TIMM.mlp;
                    words.scales = ["layer_scale1.lambda1", "layer_scale2.lambda1"];
                }
                if any(".q_bias") || any(".v_bias") {
                    // VideoMAE, whose norm of the mean is the classifier's
                    words.qv_bias = Some(["attention.attention.q_bias", "attention.attention.v_bias"]);
                    words.pooled_norm = "../fc_norm";
                }
                words
            }
            "eat" => EAT,
            "eat-hub" => EAT_HUB,
            "beats" => BEATS,
            _ => {
                let mut words = TIMM;
                if any(".gamma_1") || any(".gamma_2") {
                    words.scales = ["gamma_1", "gamma_2"];
                }
                if any("register_tokens") {
                    words.registers = "register_tokens";
                }
                if is_packed(taker) {
                    // timm's DINOv2
                    words.swiglu = words.mlp;
                }
                words
            }
        }
    }

    /// What stands in front of the names of block `number`.
    pub fn block(&self, number: usize, taker: &Taker) -> String {
        let plain = self.block.replace('#', &number.to_string());
        // DINOv2 in chunks: a number of the chunk first, and the block's own over all chunks
        let chunked = |name: &str| {
            let (start, rest) = name.split_once('.').filter(|_| self.block == TIMM.block)?;
            let (chunk, rest) = rest.split_once('.')?;
            let (block, _) = rest.split_once('.')?;
            let is_number = |word: &str| word.parse::<usize>().is_ok();
            let fits = start == "blocks" && is_number(chunk) && block.parse() == Ok(number);
            fits.then(|| format!("{start}.{chunk}.{block}."))
        };
        taker.names().find_map(chunked).unwrap_or(plain)
    }
}
