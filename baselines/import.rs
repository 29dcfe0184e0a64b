//! Converts the state dictionary of the authors' release to our names and layouts.
//!
//! Their linear weights are [out, in] and ours [in, out]; their patch embedding is a convolution
//! [D, C, (pt,) ph, pw] and ours its matrix [C * pt * ph * pw, D]; their residual codebooks have a
//! padding row that is never used.

use bridle::weights::{Values, Weights};
use bridle_values::choices;

choices! {
    /// The authors' code base that a state dictionary comes from.
    "release" Release {
        /// audio and image models
        AudioImage = "audio-image",
        /// video models
        Video = "video",
    }
}

/// Why a state dictionary cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A parameter of ours has no counterpart.
    #[error("the checkpoint has no {theirs} for {ours}")]
    Missing {
        ours: String,
        /// The name looked for.
        theirs: String,
    },
    /// A counterpart has another number of elements.
    #[error("{theirs} has shape {found:?}, which does not fit {ours} of shape {expected:?}")]
    Shape {
        ours: String,
        theirs: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
}

/// The authors' name of our parameter, without the prefix of the branch (`encoder_decoder.` for
/// encoder and decoder, `tokenizer.` for tokenizer and estimator).
pub fn authors_name(ours: &str, release: Release) -> String {
    let name = ours.replace(".Global.", ".");
    let (part, rest) = name.split_once('.').unwrap_or(("", &name));
    match (part, release) {
        ("encoder", Release::AudioImage) => block_name(rest),
        ("encoder", Release::Video) => format!("encoder.{}", block_name(rest)),
        ("decoder", Release::AudioImage) => match rest.strip_prefix("blocks.Swin.") {
            Some(rest) => format!("decoder_blocks.{}", swin_name(rest)),
            None if rest == "mask_token" => rest.to_owned(),
            None => format!("decoder_{}", block_name(rest)),
        },
        ("decoder", Release::Video) => video_decoder(rest),
        ("tokenizer", Release::AudioImage) => tokenizer_name(rest),
        ("tokenizer", Release::Video) => format!("encoder.{}", tokenizer_name(rest)),
        ("estimator", Release::AudioImage) => format!("estimator_{}", block_name(rest)),
        ("estimator", Release::Video) => video_decoder(rest),
        _ => name,
    }
}

fn block_name(ours: &str) -> String {
    ours.replace("query_value_bias.query", "q_bias")
        .replace("query_value_bias.value", "v_bias")
}

fn swin_name(ours: &str) -> String {
    let (block, rest) = ours.split_once('.').unwrap_or((ours, ""));
    let (layer, field) = rest.split_once('.').unwrap_or((rest, ""));
    let layer = match layer {
        "qkv" | "proj" => format!("attn.{layer}"),
        "tau" => return format!("{block}.attn.tau"),
        "meta1" => "attn.meta_mlp.model.0".to_owned(),
        "meta2" => "attn.meta_mlp.model.3".to_owned(),
        "mlp" => format!("mlp.{}", field.replace("fc1", "model.0").replace("fc2", "model.2")),
        other => other.to_owned(),
    };
    if layer.starts_with("mlp.") {
        format!("{block}.{layer}")
    } else {
        format!("{block}.{layer}.{field}")
    }
}

fn video_decoder(ours: &str) -> String {
    match ours.split_once('.') {
        Some(("embed", field)) => format!("encoder_to_decoder.{field}"),
        Some(("pred", field)) => format!("decoder.head.{field}"),
        Some(_) => format!("decoder.{}", block_name(ours)),
        None => ours.to_owned(),
    }
}

fn tokenizer_name(ours: &str) -> String {
    let (layer, rest) = ours.split_once('.').unwrap_or((ours, ""));
    match layer {
        "vit" => block_name(rest),
        "cold_start" => format!("cold_start_encoder.{rest}"),
        "project1" => format!("quantize_layer.0.{rest}"),
        "project2" => format!("quantize_layer.2.{rest}"),
        _ => match rest.strip_prefix("ResidualQuantizer.levels.") {
            Some(rest) => {
                let rest = rest
                    .replace("vectors", "weight")
                    .replace("usage", "cluster_size_ema")
                    .replace("sums", "embed_ema");
                format!("quantizer.codebooks.{rest}")
            }
            None if rest.ends_with("usage") => "quantizer.cluster_size".to_owned(),
            None => "quantizer.embedding.weight".to_owned(),
        },
    }
}

/// Whether our parameter is a matrix that the authors store transposed.
pub fn is_transposed(ours: &str) -> bool {
    ours.ends_with(".weight") && !ours.contains("norm")
}

/// Our values from theirs, for a parameter of ours of shape `expected`; None if the shapes do not
/// fit.
pub fn from_authors(ours: &str, expected: &[usize], theirs: &Values) -> Option<Values> {
    let count: usize = expected.iter().product();
    let mut data = theirs.data.clone();
    if expected.len() == 2 && is_transposed(ours) {
        let [rows, columns] = [expected[0], expected[1]];
        if theirs.shape.first() != Some(&columns) || data.len() != count {
            return None;
        }
        data = transpose(&data, columns, rows);
    } else if ours.ends_with("vectors") && theirs.shape.first().is_some_and(|&rows| rows == expected[0] + 1) {
        data.truncate(count);
    }
    (data.len() == count).then(|| Values {
        shape: expected.to_vec(),
        data,
    })
}

/// Their values from ours, flattened in their layout.
pub fn to_authors(ours: &str, values: &Values) -> Vec<f32> {
    match values.shape[..] {
        [rows, columns] if is_transposed(ours) => transpose(&values.data, rows, columns),
        _ => values.data.clone(),
    }
}

/// [rows, columns] to [columns, rows].
fn transpose(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns)
        .map(|index| data[index % rows * columns + index / rows])
        .collect()
}

/// Our weights for every parameter in `template` (names and shapes), from the authors' values by
/// their name.
///
/// # Errors
/// If a counterpart is missing or has another shape.
pub fn import<'a>(
    template: &Weights,
    release: Release,
    find: impl Fn(&str) -> Option<&'a Values>,
) -> Result<Weights, ImportError> {
    let convert = |(ours, values): (&String, &Values)| {
        let theirs = authors_name(ours, release);
        let found = find(&theirs).ok_or_else(|| ImportError::Missing {
            ours: ours.clone(),
            theirs: theirs.clone(),
        })?;
        let converted = from_authors(ours, &values.shape, found).ok_or_else(|| ImportError::Shape {
            ours: ours.clone(),
            theirs,
            expected: values.shape.clone(),
            found: found.shape.clone(),
        })?;
        Ok((ours.clone(), converted))
    };
    template.iter().map(convert).collect()
}
