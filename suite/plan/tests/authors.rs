//! The preset `paper` against the authors' public scripts (github.com/HoangNguyenM/bridle at
//! c83d1ac): each value with the script and the line that it was read in.

use super::*;

/// What to resolve, then values by their names: the value, and where the authors have it.
type Script = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

/// 8 GPUs on each of `--nodes` machines (submitit_pretrain.py:23).
const SCRIPTS: &[Script] = &[
    (
        "task=audioset",
        &[
            ("model.dim", "768", "model/encoder_decoder.py:25"),
            ("model.depth", "12", "model/encoder_decoder.py:25"),
            ("model.heads", "12", "model/encoder_decoder.py:25"),
            ("model.decoder.kind", "\"swin\"", "submit_pt_encoder.sh:27"),
            ("model.decoder.dim", "512", "model/encoder_decoder.py:26"),
            ("model.decoder.depth", "16", "model/encoder_decoder.py:74"),
            ("model.decoder.heads", "16", "model/encoder_decoder.py:86"),
            ("model.estimator.dim", "768", "model/tokenizer.py:24"),
            ("model.estimator.depth", "3", "model/tokenizer.py:24"),
            ("model.estimator.heads", "12", "model/tokenizer.py:24"),
            ("mask.ratio", "0.8", "submit_pt_encoder.sh:15"),
            (
                "init.patch",
                "\"pytorch\"",
                "model/encoder_decoder.py:129-148 (no bias of a convolution), model/tokenizer.py:166-182",
            ),
            ("augment.roll", "\"never\"", "dataset.py:177 (len of [1, n] is 1)"),
            (
                "augment.magnitude",
                "true",
                "submit_pt_encoder.sh:26, submit_pt_token.sh:26",
            ),
            ("quantizer.levels", "4", "submit_pt_encoder.sh:31"),
            ("quantizer.codes", "256", "submit_pt_encoder.sh:32"),
            ("quantizer.code_dim", "256", "main_pretrain.py:90"),
            ("quantizer.commitment", "0.25", "main_pretrain.py:93"),
            ("quantizer.decay", "0.99", "model/rq_quantizations.py:20"),
            ("quantizer.kmeans_iterations", "10", "model/rq_quantizations.py:202"),
            ("pretrain.batch", "1024", "submit_pt_encoder.sh:12-13"),
            ("pretrain.weight_decay", "1e-4", "submit_pt_encoder.sh:21"),
            ("pretrain.beta1", "0.9", "main_pretrain.py:352"),
            ("pretrain.beta2", "0.95", "main_pretrain.py:352"),
            ("pretrain.encoder.epochs", "140", "submit_pt_encoder.sh:16"),
            ("pretrain.encoder.rate", "5e-4", "submit_pt_encoder.sh:1"),
            ("pretrain.encoder.warmup_epochs", "10.0", "submit_pt_encoder.sh:17"),
            ("pretrain.encoder.start", "\"kmeans\"", "submit_pt_encoder.sh:33"),
            (
                "pretrain.encoder.restart",
                "\"off\"",
                "submit_pt_encoder.sh:37, main_pretrain.py:96 (store_false)",
            ),
            ("pretrain.encoder.soft_codes", "2", "submit_pt_encoder.sh:36"),
            ("quantizer.soft_pick", "\"farthest\"", "model/rq_quantizations.py:89"),
            (
                "quantizer.restart",
                "\"first-forward\"",
                "model/rq_quantizations.py:118",
            ),
            ("pretrain.tokenizer.epochs", "31", "submit_pt_token.sh:17"),
            ("pretrain.tokenizer.rate", "2e-4", "submit_pt_token.sh:1"),
            ("pretrain.tokenizer.warmup_epochs", "2.0", "submit_pt_token.sh:18"),
            (
                "pretrain.tokenizer.start",
                "\"uniform\"",
                "submit_pt_token.sh:35 (commented out)",
            ),
            (
                "pretrain.tokenizer.restart",
                "\"once\"",
                "main_pretrain.py:96 (its default)",
            ),
            (
                "pretrain.tokenizer.soft_codes",
                "1",
                "main_pretrain.py:99 (its default)",
            ),
        ],
    ),
    (
        "task=audioset method=bridle-joint",
        &[
            ("pretrain.batch", "1024", "submit_pt_dual.sh:11-12"),
            ("pretrain.encoder.epochs", "200", "submit_pt_dual.sh:15"),
            ("pretrain.encoder.rate", "5e-4", "submit_pt_dual.sh:1"),
            ("pretrain.encoder.warmup_epochs", "10.0", "submit_pt_dual.sh:16"),
            ("augment.magnitude", "true", "submit_pt_dual.sh:24"),
            ("pretrain.encoder.start", "\"kmeans\"", "submit_pt_dual.sh:34"),
            (
                "pretrain.encoder.restart",
                "\"on\"",
                "main_pretrain.py:96 (its default)",
            ),
            ("pretrain.encoder.soft_codes", "1", "main_pretrain.py:99 (its default)"),
            ("joint.weight", "0.2", "submit_pt_dual.sh:28"),
            ("joint.every", "4", "submit_pt_dual.sh:29"),
            ("joint.counted_from", "\"epoch\"", "unit_pretrain.py:61"),
        ],
    ),
    (
        "task=imagenet",
        &[
            (
                "model.decoder.kind",
                "\"global\"",
                "main_pretrain.py:272, model/encoder_decoder.py:29",
            ),
            ("model.decoder.dim", "512", "model/encoder_decoder.py:26"),
            ("model.decoder.depth", "16", "model/encoder_decoder.py:26"),
            ("model.decoder.heads", "16", "model/encoder_decoder.py:26"),
            ("model.estimator.dim", "768", "model/tokenizer.py:24"),
            ("model.estimator.depth", "3", "model/tokenizer.py:24"),
            ("model.estimator.heads", "12", "model/tokenizer.py:24"),
            ("mask.ratio", "0.8", "submit_pt_enc_img.sh:9"),
            ("pretrain.batch", "1024", "submit_pt_enc_img.sh:6-7"),
            ("pretrain.encoder.epochs", "200", "submit_pt_enc_img.sh:10"),
            ("pretrain.encoder.rate", "5e-4", "submit_pt_enc_img.sh:1"),
            ("pretrain.encoder.warmup_epochs", "10.0", "submit_pt_enc_img.sh:11"),
            ("pretrain.encoder.start", "\"kmeans\"", "submit_pt_enc_img.sh:24"),
            (
                "pretrain.encoder.restart",
                "\"on\"",
                "main_pretrain.py:96 (its default)",
            ),
            ("pretrain.encoder.soft_codes", "1", "main_pretrain.py:99 (its default)"),
            ("pretrain.tokenizer.start", "\"kmeans\"", "submit_pt_token_img.sh:24"),
            (
                "pretrain.tokenizer.restart",
                "\"once\"",
                "main_pretrain.py:96 (its default)",
            ),
            (
                "pretrain.tokenizer.soft_codes",
                "1",
                "main_pretrain.py:99 (its default)",
            ),
            ("init.patch", "\"pytorch\"", "model/encoder_decoder.py:129-148"),
            ("pretrain.tokenizer.epochs", "50", "submit_pt_token_img.sh:10"),
            ("pretrain.tokenizer.rate", "2e-4", "submit_pt_token_img.sh:1"),
            ("pretrain.tokenizer.warmup_epochs", "2.0", "submit_pt_token_img.sh:11"),
        ],
    ),
    (
        "task=kinetics",
        &[
            ("model.dim", "768", "model_video/encoder_decoder.py:300"),
            ("model.decoder.kind", "\"global\"", "model_video/encoder_decoder.py:296"),
            ("model.decoder.dim", "384", "model_video/encoder_decoder.py:304"),
            ("model.decoder.depth", "4", "submit_pt_enc_video.sh:25"),
            ("model.decoder.heads", "6", "model_video/encoder_decoder.py:305"),
            ("model.estimator.dim", "384", "model_video/tokenizer.py:357"),
            ("model.estimator.depth", "4", "main_pretrain.py:262"),
            ("model.estimator.heads", "6", "model_video/tokenizer.py:358"),
            ("mask.kind", "\"tube\"", "submit_pt_enc_video.sh:16"),
            ("mask.ratio", "0.9", "submit_pt_enc_video.sh:18"),
            ("data.frames", "16", "submit_pt_enc_video.sh:26"),
            ("pretrain.batch", "2048", "submit_pt_enc_video.sh:14-15"),
            ("pretrain.weight_decay", "1e-4", "submit_pt_enc_video.sh:24"),
            ("pretrain.encoder.epochs", "801", "submit_pt_enc_video.sh:19"),
            ("pretrain.encoder.rate", "1.2e-3", "submit_pt_enc_video.sh:1"),
            ("pretrain.encoder.warmup_epochs", "40.0", "submit_pt_enc_video.sh:20"),
            ("pretrain.encoder.start", "\"kmeans\"", "submit_pt_enc_video.sh:35"),
            (
                "pretrain.encoder.restart",
                "\"on\"",
                "main_pretrain.py:96 (its default)",
            ),
            ("pretrain.encoder.soft_codes", "1", "main_pretrain.py:99 (its default)"),
            (
                "init.patch",
                "\"pytorch\"",
                "model_video/encoder_decoder.py:60-67, vvit.py:154",
            ),
        ],
    ),
    (
        "task=audioset protocols=finetune",
        &[
            ("finetune.epochs", "200", "submit_ft_as.sh:35"),
            ("finetune.rate", "2e-4", "submit_ft_as.sh:3"),
            ("finetune.least_rate", "1e-6", "main_finetune.py:70"),
            ("finetune.warmup_epochs", "10.0", "submit_ft_as.sh:36"),
            ("finetune.batch", "256", "submit_ft_as.sh:20,30"),
            ("finetune.layer_decay", "0.75", "main_finetune.py:69"),
            ("finetune.weight_decay", "5e-4", "main_finetune.py:67"),
            ("finetune.drop_path", "0.1", "main_finetune.py:61"),
            (
                "finetune.label_smoothing",
                "0.0",
                "main_finetune.py:361-368 (built, never applied)",
            ),
            ("finetune.mixup", "0.5", "main_finetune.py:91"),
            ("finetune.mixup_alpha", "10.0", "dataset.py:211"),
            ("finetune.cutmix", "0.0", "main_finetune.py:92"),
            ("finetune.mel_mask", "48", "main_finetune.py:244"),
            ("finetune.frame_mask", "192", "main_finetune.py:245"),
            ("finetune.magnitude", "true", "submit_ft_as.sh:31"),
            ("finetune.sampler", "\"weighted-once\"", "submit_ft_as.sh:39,41"),
            ("finetune.epoch_samples", "200000", "main_finetune.py:160"),
        ],
    ),
    (
        "task=audioset-20k protocols=finetune",
        &[
            ("finetune.epochs", "150", "submit_ft_as20k.sh:33"),
            ("finetune.rate", "4e-4", "submit_ft_as20k.sh:3"),
            ("finetune.warmup_epochs", "10.0", "submit_ft_as20k.sh:34"),
            ("finetune.batch", "256", "submit_ft_as20k.sh:20,30"),
            ("finetune.magnitude", "true", "submit_ft_as20k.sh:31"),
            (
                "finetune.sampler",
                "\"shuffle\"",
                "submit_ft_as20k.sh (no --weight_sampler)",
            ),
        ],
    ),
    (
        "task=esc50 method=scratch protocols=finetune",
        &[
            ("finetune.epochs", "300", "submit_ft_esc.sh:34"),
            ("finetune.rate", "2e-3", "submit_ft_esc.sh:3"),
            ("finetune.warmup_epochs", "20.0", "submit_ft_esc.sh:35"),
            ("finetune.batch", "64", "submit_ft_esc.sh:20,31"),
            ("finetune.magnitude", "true", "submit_ft_esc.sh:32"),
            (
                "finetune.sampler",
                "\"shuffle\"",
                "submit_ft_esc.sh (no --weight_sampler)",
            ),
        ],
    ),
    (
        "task=imagenet protocols=finetune",
        &[
            ("finetune.epochs", "200", "submit_ft_img.sh:21"),
            ("finetune.rate", "5e-4", "submit_ft_img.sh:3"),
            ("finetune.warmup_epochs", "5.0", "submit_ft_img.sh:22"),
            ("finetune.batch", "1024", "submit_ft_img.sh:11,17"),
        ],
    ),
    (
        "task=kinetics protocols=finetune",
        &[
            ("finetune.epochs", "75", "submit_ft_video.sh:40"),
            ("finetune.rate", "7.5e-4", "submit_ft_video.sh:3"),
            ("finetune.warmup_epochs", "5.0", "submit_ft_video.sh:41"),
            ("finetune.batch", "384", "submit_ft_video.sh:23,29"),
        ],
    ),
    (
        "task=audioset protocols=linear-probe",
        &[("probe.epochs", "250", "submit_lp.sh:33")],
    ),
    (
        "task=audioset-20k protocols=linear-probe",
        &[("probe.epochs", "300", "submit_lp_as20k.sh:34")],
    ),
    (
        "task=imagenet protocols=linear-probe",
        &[("probe.epochs", "200", "submit_lp_img.sh:21")],
    ),
];

#[test]
fn what_the_authors_pretrain_elsewhere_needs_weights() {
    let paper = |set: &[&str]| Plan::resolve(&request("esc50", &[&["preset=paper"][..], set].concat()));
    assert_eq!(
        paper(&[]).unwrap_err().to_string(),
        "preset `paper` does not pretrain on `esc50`: its values are for pretraining on `audioset`, whose encoder \
         `esc50` then judges"
    );
    for method in ["scratch", "random-init"] {
        assert!(paper(&[&format!("method={method}")]).is_ok(), "{method}");
    }
}

#[test]
fn paper_has_the_values_of_the_authors_scripts() {
    let mut wrong = Vec::new();
    for (names, values) in SCRIPTS {
        let set: Vec<&str> = names.split(' ').chain(["preset=paper"]).collect();
        let plan = Plan::resolve(&request("", &set)).unwrap().to_flat();
        for (key, value, source) in *values {
            let theirs: serde_json::Value = serde_json::from_str(value).unwrap();
            let ours = plan.get(*key).cloned().or_else(|| flat::unwritten(&plan, key));
            if ours.as_ref() != Some(&theirs) {
                wrong.push(format!("{names}: {key} is {ours:?}, {theirs} in {source}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
