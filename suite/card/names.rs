//! An encoder's weights by the names and in the layouts of other programs, and back.
//!
//! PyTorch's linear weights are [out, in] and ours [in, out]; a patch embedding is a convolution there
//! [D, C, (pt,) ph, pw] and here its matrix [C * pt * ph * pw, D].

use bridle::weights::{Values, Weights};
use bridle_baselines::import;
use bridle_values::choices;

choices! {
    /// Whose names the weights of a folder have.
    "names" Names {
        /// timm's VisionTransformer: sounds and images
        Timm = "timm",
        /// transformers' VideoMAEModel: videos
        VideoMae = "videomae",
        /// ours, in PyTorch's layouts: speech
        Pytorch = "pytorch",
    }
}

impl Names {
    /// Their tensors that together are ours, row after row.
    fn of(self, ours: &str) -> Vec<String> {
        match self {
            Self::Timm | Self::Pytorch => vec![ours.to_owned()],
            Self::VideoMae => videomae(ours),
        }
    }
}

fn videomae(ours: &str) -> Vec<String> {
    if let Some(end) = ours.strip_prefix("patch_embed.proj.") {
        return vec![format!("embeddings.patch_embeddings.projection.{end}")];
    }
    let in_block = ours
        .strip_prefix("blocks.")
        .and_then(|rest| rest.split_once('.'))
        .map(|(block, rest)| (format!("encoder.layer.{block}"), rest));
    let Some((block, rest)) = in_block else {
        // the norm after the last block
        return vec![ours.replace("norm.", "layernorm.")];
    };
    let attention = format!("{block}.attention.attention");
    match rest {
        "attn.qkv.weight" => ["query", "key", "value"]
            .iter()
            .map(|part| format!("{attention}.{part}.weight"))
            .collect(),
        "attn.query_value_bias.query" => vec![format!("{attention}.q_bias")],
        "attn.query_value_bias.value" => vec![format!("{attention}.v_bias")],
        _ => {
            let rest = rest
                .replace("norm1.", "layernorm_before.")
                .replace("norm2.", "layernorm_after.")
                .replace("attn.proj.", "attention.output.dense.")
                .replace("mlp.fc1.", "intermediate.dense.")
                .replace("mlp.fc2.", "output.dense.");
            vec![format!("{block}.{rest}")]
        }
    }
}

/// The weights by their names; `patch` is the shape of a patch, [C, (pt,) ph, pw].
pub fn to(names: Names, weights: &Weights, patch: &[usize]) -> Weights {
    let mut theirs = Weights::new();
    for (ours, values) in weights {
        let data = import::to_authors(ours, values);
        let mut shape = values.shape.clone();
        if shape.len() == 2 && import::is_transposed(ours) {
            shape.reverse();
        }
        if ours == "patch_embed.proj.weight" {
            shape = [&shape[..1], patch].concat();
        }
        let parts = names.of(ours);
        shape[0] /= parts.len();
        let each = data.len() / parts.len();
        for (name, data) in parts.into_iter().zip(data.chunks_exact(each)) {
            let (shape, data) = (shape.clone(), data.to_vec());
            theirs.insert(name, Values { shape, data });
        }
    }
    theirs
}

/// Our weights from theirs, which may have more; `ours` are the names to look for. A tensor that is
/// missing is left out.
pub fn from<'a>(names: Names, theirs: &Weights, ours: impl Iterator<Item = &'a str>) -> Weights {
    let found = ours.filter_map(|ours| {
        let parts: Option<Vec<&Values>> = names.of(ours).iter().map(|name| theirs.get(name)).collect();
        let parts = parts?;
        let mut joined = Values {
            shape: parts[0].shape.clone(),
            data: parts.iter().flat_map(|part| &part.data).copied().collect(),
        };
        joined.shape[0] *= parts.len();
        if joined.shape.len() > 1 && import::is_transposed(ours) {
            let rows = joined.data.len() / joined.shape[0].max(1);
            let expected = [rows, joined.shape[0]];
            joined = import::from_authors(ours, &expected, &joined)?;
        }
        Some((ours.to_owned(), joined))
    });
    found.collect()
}
