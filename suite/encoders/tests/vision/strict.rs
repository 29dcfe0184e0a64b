//! From each fixture of a vision transformer: a tensor that is missing, renamed, of another shape or too many, and a
//! setting that contradicts the weights, are errors that name them.

use crate::fixture::Fixture;
use crate::fixtures;
use bridle_containers::Checkpoint;
use bridle_encoders::{EncoderError, Report, build, recognise};
use burn_flex::Flex;
use serde_json::{Value, json};
use std::error::Error;

fn import(fixture: &Fixture, checkpoint: &Checkpoint) -> Result<Report, EncoderError> {
    let recognised = recognise(checkpoint, &fixture.options())?;
    let (_, report) = build::<Flex>(&recognised, checkpoint, &Default::default())?;
    Ok(report)
}

/// An error with all of its causes.
fn text(error: &EncoderError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Every way in which a changed checkpoint does not give an error that holds these words.
fn wrong(fixture: &Fixture, what: &str, checkpoint: &Checkpoint, words: &[String]) -> Option<String> {
    let name = &fixture.name;
    match import(fixture, checkpoint) {
        Ok(_) => Some(format!("{name}: {what}: no error")),
        Err(error) => {
            let text = text(&error);
            let holds = words.iter().all(|word| text.contains(word));
            (!holds).then(|| format!("{name}: {what}: {text}"))
        }
    }
}

/// Runs a change on each tensor that is used.
fn each_used(change: impl Fn(&Fixture, &str) -> Option<String>) {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        let report = import(&fixture, &fixture.checkpoint()).unwrap();
        failures.extend(report.used.iter().filter_map(|name| change(&fixture, name)));
    }
    assert!(
        failures.is_empty(),
        "{}\n{} in all",
        failures.join("\n"),
        failures.len()
    );
}

#[test]
fn what_is_not_used_is_known_to_be_no_part_of_the_encoder() {
    for fixture in fixtures() {
        let report = import(&fixture, &fixture.checkpoint()).unwrap();
        for unused in fixture.manifest["unused"].as_array().unwrap() {
            let name = unused.as_str().unwrap();
            assert!(
                report.passed_over.iter().any(|other| other == name),
                "{}: {name}",
                fixture.name
            );
        }
    }
}

#[test]
fn a_tensor_that_is_missing_is_named() {
    each_used(|fixture, name| {
        let mut checkpoint = fixture.checkpoint();
        checkpoint.tensors.remove(name).unwrap();
        wrong(fixture, &format!("{name} removed"), &checkpoint, &[name.to_owned()])
    });
}

#[test]
fn a_tensor_that_is_renamed_is_named_by_both_names() {
    each_used(|fixture, name| {
        let mut checkpoint = fixture.checkpoint();
        let entry = checkpoint.tensors.remove(name).unwrap();
        let renamed = format!("{name}_renamed");
        checkpoint.tensors.insert(renamed.clone(), entry);
        wrong(
            fixture,
            &format!("{name} renamed"),
            &checkpoint,
            &[format!("`{name}`"), renamed],
        )
    });
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    for axis in [0, usize::MAX] {
        each_used(|fixture, name| {
            let mut checkpoint = fixture.checkpoint();
            let entry = checkpoint.tensors.get_mut(name).unwrap();
            let shape = entry.shape.clone();
            let axis = axis.min(shape.len() - 1);
            entry.shape[axis] += 1;
            let words = [name.to_owned(), format!("{shape:?}"), format!("{:?}", entry.shape)];
            wrong(
                fixture,
                &format!("{name} of another shape, axis {axis}"),
                &checkpoint,
                &words,
            )
        });
    }
}

#[test]
fn a_tensor_that_nothing_reads_is_named() {
    let mut failures = Vec::new();
    for fixture in fixtures() {
        let report = import(&fixture, &fixture.checkpoint()).unwrap();
        let beside = report
            .used
            .iter()
            .filter(|name| name.contains("norm1") || name.contains("layernorm_before"));
        for name in beside {
            let mut checkpoint = fixture.checkpoint();
            let entry = fixture.checkpoint().tensors.remove(name).unwrap();
            let added = name.replace("norm1", "gate").replace("layernorm_before", "gate");
            checkpoint.tensors.insert(added.clone(), entry);
            failures.extend(wrong(&fixture, "one more", &checkpoint, &[added]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Settings that weights show, or that this program knows one value of.
const HELD: [&str; 16] = [
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "num_attention_heads",
    "patch_size",
    "tubelet_size",
    "num_channels",
    "image_size",
    "hidden_act",
    "model_type",
    "mlp_ratio",
    "use_swiglu_ffn",
    "embed_dim",
    "depth",
    "num_heads",
    "layer_norm_first",
];

/// Another value than the one of a setting, which the weights cannot have.
fn other(key: &str, value: &Value) -> Value {
    match value {
        // a prime that divides no width
        _ if key.ends_with("heads") => json!(1_009),
        Value::Number(number) if key == "image_size" => json!(2 * number.as_u64().unwrap()),
        Value::Number(number) => json!(number.as_f64().unwrap() as u64 + 1),
        Value::Array(sides) => sides.iter().map(|side| other(key, side)).collect(),
        Value::Bool(flag) => json!(!flag),
        _ => json!("another"),
    }
}

#[test]
fn a_setting_that_contradicts_the_weights_is_named_with_its_value() {
    let mut failures = Vec::new();
    for (fixture, key) in fixtures().iter().flat_map(|fixture| HELD.map(|key| (fixture, key))) {
        let mut checkpoint = fixture.checkpoint();
        // VideoMAE's weights say nothing of its size
        if key == "image_size" && checkpoint.config["model_type"] == "videomae" {
            continue;
        }
        let places = [key.to_owned(), format!("model_args/{key}")].map(|place| format!("/{place}"));
        let is_there = |place: &&String| checkpoint.config.pointer(place).is_some_and(|value| !value.is_null());
        let Some(place) = places.iter().find(is_there) else {
            continue;
        };
        let setting = checkpoint.config.pointer_mut(place).unwrap();
        *setting = other(key, setting);
        let first = setting.get(0).unwrap_or(setting);
        let word = first.as_str().map_or_else(|| first.to_string(), str::to_owned);
        failures.extend(wrong(fixture, key, &checkpoint, &[format!("`{key}`"), word]));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn two_encoders_in_one_file_are_refused_and_so_is_a_head() {
    let fixtures = fixtures();
    let fixture = &fixtures[0];
    let mut alone = fixture.checkpoint();
    alone
        .tensors
        .retain(|name, _| name.contains("head") || name.contains("classifier"));
    assert!(import(fixture, &alone).unwrap_err().to_string().contains("no encoder"));
    let mut both = fixture.checkpoint();
    for end in [
        "patch_embed.proj.weight",
        "blocks.0.norm1.weight",
        "blocks.0.attn.qkv.weight",
    ] {
        let entry = fixture.checkpoint().tensors.pop_first().unwrap().1;
        both.tensors.insert(format!("second.{end}"), entry);
    }
    let text = import(fixture, &both).unwrap_err().to_string();
    assert!(text.contains("several encoders"), "{text}");
}
