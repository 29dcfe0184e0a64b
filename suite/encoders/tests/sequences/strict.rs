//! Encoders over waves and frames are read strictly: what is missing, renamed, of another shape or left over is named,
//! and so is a setting that contradicts the weights or is not supported.

use crate::fixture::Fixture;
use crate::fixtures;
use bridle_containers::Checkpoint;
use bridle_encoders::{EncoderError, Options, Pooling, Report, build, recognise};
use burn_flex::Flex;
use serde_json::{Value, json};

/// Reads the encoder of a checkpoint.
fn outcome(checkpoint: &Checkpoint) -> Result<Report, EncoderError> {
    let recognised = recognise(checkpoint, &Options::default())?;
    let (_, report) = build::<Flex>(&recognised, checkpoint, &Default::default())?;
    Ok(report)
}

fn refusal(fixture: &Fixture, what: &str, checkpoint: &Checkpoint) -> String {
    match outcome(checkpoint) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{}: it was read in spite of {what}", fixture.name),
    }
}

/// Does something to each tensor that an output depends on.
fn each_tensor(alter: impl Fn(&Fixture, Checkpoint, &str)) {
    for fixture in fixtures() {
        let report = outcome(&fixture.checkpoint()).unwrap();
        // the speeds of transformers' sines are computed where a file has none
        let needed = report
            .used
            .iter()
            .filter(|name| !name.ends_with("embed_positions.inv_freq"));
        needed.for_each(|name| alter(&fixture, fixture.checkpoint(), name));
    }
}

#[test]
fn a_missing_tensor_is_named() {
    each_tensor(|fixture, mut checkpoint, name| {
        checkpoint.tensors.remove(name);
        let error = refusal(fixture, &format!("{name} missing"), &checkpoint);
        assert!(
            error.contains(&format!("`{name}`")),
            "{}: without {name}: {error}",
            fixture.name
        );
    });
}

#[test]
fn a_renamed_tensor_is_named_with_its_other_name() {
    each_tensor(|fixture, mut checkpoint, name| {
        let entry = checkpoint.tensors.remove(name).unwrap();
        let other = format!("{name}_renamed");
        checkpoint.tensors.insert(other.clone(), entry);
        let error = refusal(fixture, &other, &checkpoint);
        let names_both = error.contains(&format!("`{name}`")) && error.contains(&other);
        assert!(names_both, "{}: {name} renamed: {error}", fixture.name);
    });
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    each_tensor(|fixture, mut checkpoint, name| {
        let entry = checkpoint.tensors.get_mut(name).unwrap();
        let expected = format!("{:?}", entry.shape);
        match entry.shape.first_mut() {
            Some(first) => *first += 1,
            None => entry.shape.push(2),
        }
        let found = format!("{:?}", entry.shape);
        let error = refusal(fixture, &found, &checkpoint);
        let tells = [name, &expected, &found].iter().all(|part| error.contains(*part));
        assert!(tells, "{}: {name} of shape {found}: {error}", fixture.name);
    });
}

#[test]
fn a_tensor_that_nothing_reads_is_named() {
    for fixture in fixtures() {
        let recognised = recognise(&fixture.checkpoint(), &Options::default()).unwrap();
        for name in ["encoder.layers.0.gate.weight", "feature_projection.scale"] {
            let mut checkpoint = fixture.checkpoint();
            let mut other = fixture.checkpoint();
            let (_, entry) = other.tensors.pop_first().unwrap();
            let name = format!("{}{name}", recognised.prefix);
            checkpoint.tensors.insert(name.clone(), entry);
            let error = refusal(&fixture, &name, &checkpoint);
            assert!(error.contains(&name), "{}: {error}", fixture.name);
        }
    }
}

#[test]
fn heads_are_passed_over_and_listed() {
    for fixture in fixtures() {
        let checkpoint = fixture.checkpoint();
        let report = outcome(&checkpoint).unwrap();
        for name in fixture.manifest["unused"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            let is_listed = report.passed_over.iter().any(|other| other == name);
            assert!(is_listed, "{}: {name}", fixture.name);
        }
        let all = report.used.len() + report.passed_over.len();
        assert_eq!(all, checkpoint.tensors.len(), "{}", fixture.name);
    }
}

/// The settings of a checkpoint: a folder's, or those in the file.
fn settings(checkpoint: &mut Checkpoint) -> &mut Value {
    let places = ["/cfg/model", "/cfg", "/args"];
    let has_sizes = |place: &&&str| {
        let settings = checkpoint.options.pointer(place);
        settings.is_some_and(|settings| settings.get("conv_feature_layers").is_some())
    };
    match places.iter().find(has_sizes) {
        Some(place) => checkpoint.options.pointer_mut(place).unwrap(),
        None => &mut checkpoint.config,
    }
}

fn refuses_settings(name: &str, wrong: &[(&str, Value)]) {
    // the core has some of them
    let Some(fixture) = fixtures().into_iter().find(|fixture| fixture.name == name) else {
        return;
    };
    for (key, value) in wrong {
        let mut checkpoint = fixture.checkpoint();
        settings(&mut checkpoint)[*key] = value.clone();
        let error = refusal(&fixture, &format!("{key}: {value}"), &checkpoint);
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let is_named = error.contains(&format!("`{key}`")) && (error.contains(&shown) || value.is_null());
        assert!(is_named, "{name}: {key} is {value}: {error}");
    }
}

#[test]
fn settings_of_folders_that_do_not_fit_are_named() {
    let wrong = [
        ("hidden_size", json!(32)),
        ("intermediate_size", json!(96)),
        ("num_hidden_layers", json!(3)),
        ("num_hidden_layers", json!(1)),
        ("num_attention_heads", json!(5)),
        ("num_attention_heads", json!("four")),
        ("num_attention_heads", Value::Null),
        ("hidden_act", json!("gelu_new")),
        ("hidden_act", json!("relu")),
        ("feat_extract_activation", json!("relu")),
        ("feat_extract_norm", json!("batch")),
        ("conv_stride", json!([5, 2, 2])),
        ("conv_kernel", json!([10, 3, 3, 3, 3, 2, 0])),
        ("conv_kernel", json!([10, 3, 3, 4, 3, 2, 2])),
        ("conv_dim", json!([16, 16, 16, 16, 16, 16, 20])),
        ("conv_dim", json!([8, 8, 8, 8, 8, 8, 8])),
        ("num_feat_extract_layers", json!(6)),
        ("num_conv_pos_embedding_groups", json!(7)),
        ("layer_norm_eps", Value::Null),
        ("layer_norm_eps", json!(-0.5)),
        ("add_adapter", json!(true)),
        ("adapter_attn_dim", json!(16)),
        ("conv_pos_batch_norm", json!(true)),
        ("feat_proj_layer_norm", json!(false)),
        ("model_type", json!("unispeech")),
    ];
    refuses_settings("wav2vec2-large-hf", &wrong);
    refuses_settings("wav2vec2-base-hf", &wrong);
    refuses_settings("data2vec-audio-hf", &[("do_stable_layer_norm", json!(true))]);
    let buckets = [
        ("num_buckets", json!(7)),
        ("num_buckets", json!(2)),
        ("max_bucket_distance", json!(5)),
    ];
    refuses_settings("wavlm-hf", &buckets);
}

#[test]
fn settings_of_files_that_do_not_fit_are_named() {
    let wrong = [
        ("conv_feature_layers", json!("[(16, 10, 5)] * 7")),
        (
            "conv_feature_layers",
            json!("[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] + [(16,3,2)]"),
        ),
        ("conv_feature_layers", json!("[(16, 10, 5)] + [(16, 3, 2)]")),
        ("conv_feature_layers", json!("__import__('os').getpid()")),
        ("extractor_mode", json!("conv1d")),
        ("encoder_embed_dim", json!(32)),
        ("encoder_ffn_embed_dim", json!(20)),
        ("encoder_layers", json!(12)),
        ("encoder_attention_heads", json!(7)),
        ("activation_fn", json!("relu")),
        ("layer_norm_first", Value::Null),
        ("normalize", json!("yes")),
    ];
    for name in ["hubert-fairseq", "wav2vec2-fairseq", "wavlm-pt"] {
        refuses_settings(name, &wrong);
    }
    let fairseq = [
        ("layer_type", json!("conformer")),
        ("attn_type", json!("espnet")),
        ("pos_enc_type", json!("rope")),
    ];
    refuses_settings("hubert-fairseq", &fairseq);
    refuses_settings("wav2vec2-fairseq", &[("pos_conv_depth", json!(5))]);
    refuses_settings("wavlm-pt", &[("gru_rel_pos", json!(false)), ("num_buckets", json!(3))]);
}

#[test]
fn settings_of_conformers_that_do_not_fit_are_named() {
    let both = [
        ("hidden_size", json!(32)),
        ("intermediate_size", json!(30)),
        ("num_hidden_layers", json!(4)),
        ("num_attention_heads", json!(5)),
        ("hidden_act", json!("relu")),
        ("conv_depthwise_kernel_size", json!(6)),
        ("conv_depthwise_kernel_size", json!(9)),
        ("add_adapter", json!(true)),
        ("position_embeddings_type", json!("absolute")),
        ("position_embeddings_type", Value::Null),
    ];
    for name in ["wav2vec2-conformer-hf", "w2v-bert-hf"] {
        refuses_settings(name, &both);
    }
    let w2v_bert = [
        ("position_embeddings_type", json!("relative")),
        ("use_intermediate_ffn_before_adapter", json!(true)),
        ("feature_projection_input_dim", json!(80)),
    ];
    refuses_settings("w2v-bert-hf", &w2v_bert);
}

#[test]
fn options_that_contradict_the_file_are_refused() {
    for fixture in fixtures() {
        let recognised = recognise(&fixture.checkpoint(), &Options::default()).unwrap();
        let refused = [
            Options {
                heads: Some(recognised.body.heads() + 1),
                ..Options::default()
            },
            Options {
                pooling: Some(Pooling::Cls),
                ..Options::default()
            },
            Options {
                family: Some("mae".to_owned()),
                ..Options::default()
            },
        ];
        for options in refused {
            assert!(
                recognise(&fixture.checkpoint(), &options).is_err(),
                "{}: {options:?}",
                fixture.name
            );
        }
        let same = Options {
            pooling: Some(Pooling::Mean),
            family: Some(recognised.family),
            ..Options::default()
        };
        assert!(recognise(&fixture.checkpoint(), &same).is_ok(), "{}", fixture.name);
    }
}
