//! What `preprocessor_config.json` and timm's `pretrained_cfg` say, and what they cannot say.

use serde_json::{Value, json};

use crate::InputSpec;
use crate::pipeline::{
    AUDIOSET, Filter, FixedPipeline, HALF, IMAGENET, Kaldi, Picture, Pipeline, PipelineError, Resize, Rounding, Video,
    Wave,
};

fn read(config: &Value) -> Result<Pipeline, PipelineError> {
    Pipeline::from_preprocessor(config)
}

fn picture(config: &Value) -> Picture {
    match read(config).unwrap() {
        Pipeline::Picture(picture) | Pipeline::Video(Video { picture, .. }) => picture,
        other => panic!("{other:?} is of no picture"),
    }
}

/// The files of released models, as they lie on the hub.
#[test]
fn old_and_new_files_are_read() {
    let [mean, std] = IMAGENET;
    let old = json!({"do_normalize": true, "do_resize": true, "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": mean, "image_std": std, "resample": 3, "size": 224});
    let expected = Picture {
        resize: Resize::To([224; 2]),
        filter: Filter::Bicubic,
        crop: None,
        rounding: Rounding::Down,
        scale: 1.0 / 255.0,
        mean,
        std,
    };
    assert_eq!(picture(&old), expected);
    let beit = json!({"crop_size": 224, "do_center_crop": false, "do_normalize": true, "do_resize": true,
        "feature_extractor_type": "BeitFeatureExtractor", "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "resample": 2, "size": 224});
    let [half, spread] = HALF;
    let expected_beit = Picture {
        filter: Filter::Bilinear,
        mean: half,
        std: spread,
        ..expected.clone()
    };
    assert_eq!(picture(&beit), expected_beit);
    let dinov2 = json!({"crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "do_convert_rgb": true,
        "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": mean,
        "image_processor_type": "BitImageProcessor", "image_std": std, "resample": 3,
        "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256}});
    let expected_dino = Picture {
        resize: Resize::ShorterSide(256),
        crop: Some([224; 2]),
        ..expected
    };
    assert_eq!(picture(&dinov2), expected_dino);
    let video = json!({"do_center_crop": true, "do_normalize": true, "do_resize": true,
        "feature_extractor_type": "VideoMAEFeatureExtractor", "image_mean": mean, "image_std": std, "resample": 2,
        "size": 224});
    assert_eq!(read(&video).unwrap(), Pipeline::Video(Video::videomae(16, 224)));
    // a class's own defaults
    let bare = picture(&json!({"image_processor_type": "VideoMAEImageProcessor"}));
    assert_eq!((bare.resize, bare.crop), (Resize::ShorterSide(224), Some([224; 2])));
    let bare = picture(&json!({"image_processor_type": "DeiTImageProcessorFast"}));
    assert_eq!((bare.resize, bare.crop), (Resize::To([256; 2]), Some([224; 2])));
    let nothing = picture(&json!({"image_processor_type": "BitImageProcessor", "do_resize": false,
        "do_center_crop": false, "do_rescale": false, "do_normalize": false}));
    assert_eq!((nothing.resize, nothing.crop, nothing.scale), (Resize::None, None, 1.0));
    assert_eq!((nothing.mean, nothing.std), ([0.0; 3], [1.0; 3]));
}

#[test]
fn extractors_of_sounds_are_read() {
    let ast = json!({"do_normalize": true, "feature_extractor_type": "ASTFeatureExtractor", "feature_size": 1,
        "max_length": 1024, "mean": -4.2677393, "num_mel_bins": 128, "padding_side": "right", "padding_value": 0.0,
        "return_attention_mask": false, "sampling_rate": 16000, "std": 4.5689974});
    let expected = Kaldi {
        centre: false,
        ..Kaldi::spectrogram(AUDIOSET, 1_024)
    };
    assert_eq!(read(&ast).unwrap(), Pipeline::Kaldi(expected));
    let seamless = json!({"feature_extractor_type": "SeamlessM4TFeatureExtractor", "feature_size": 80,
        "num_mel_bins": 80, "padding_side": "right", "padding_value": 1, "return_attention_mask": true,
        "sampling_rate": 16000, "stride": 2});
    assert_eq!(read(&seamless).unwrap(), Pipeline::Kaldi(Kaldi::w2v_bert()));
    let wave = |normalises: bool| {
        read(
            &json!({"do_normalize": normalises, "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1, "padding_side": "right", "padding_value": 0.0, "sampling_rate": 16000}),
        )
    };
    let of = |normalise| {
        let sample_rate = 16_000;
        Ok(Pipeline::Wave(Wave { sample_rate, normalise }))
    };
    assert_eq!(wave(true), of(Some(1e-7)));
    assert_eq!(wave(false), of(None));
}

/// A sound configuration with one setting more or changed.
#[test]
fn what_is_not_supported_is_named_with_its_value() {
    let with = |class: &str, key: &str, value: Value| {
        let mut config = json!({"feature_extractor_type": class});
        config[key] = value;
        read(&config)
            .map(|found| format!("{found:?}"))
            .unwrap_or_else(|error| error.to_string())
    };
    let (vit, bit, ast, wave, seamless) = (
        "ViTImageProcessor",
        "BitImageProcessor",
        "ASTFeatureExtractor",
        "Wav2Vec2FeatureExtractor",
        "SeamlessM4TFeatureExtractor",
    );
    let messages = [
        with("CLIPImageProcessor", "size", json!(224)),
        with(vit, "size", json!({"longest_edge": 224})),
        with(vit, "size", json!({"height": 224})),
        with(vit, "size", json!({"height": 0, "width": 4})),
        with(vit, "size", json!(9_000)),
        with(vit, "size", json!(-1)),
        with(vit, "do_center_crop", json!(true)),
        with(vit, "do_resize", json!("yes")),
        with(vit, "resample", json!(1)),
        with(vit, "image_mean", json!(0.5)),
        with(vit, "image_std", json!([0.5, 0.5, 0.0])),
        with(vit, "rescale_offset", json!(true)),
        with(vit, "rescale_factor", json!(-1)),
        with(vit, "data_format", json!("channels_last")),
        with(bit, "crop_size", json!({"shortest_edge": 224})),
        with(ast, "do_normalize", json!(false)),
        with(ast, "std", json!(0)),
        with(ast, "max_length", json!(2.5)),
        with(wave, "padding_side", json!("left")),
        with(wave, "padding_value", json!(1)),
        with(wave, "feature_size", json!(2)),
        with(wave, "sampling_rate", json!(90)),
        with(seamless, "stride", json!(3)),
        with(seamless, "feature_size", json!(160)),
        read(&json!({"size": 224})).unwrap_err().to_string(),
        read(&json!([224])).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn settings_that_switch_nothing_on_are_passed_over() {
    let config = json!({"image_processor_type": "ViTImageProcessor", "do_pad": false, "crop_size": null,
        "do_center_crop": null, "do_convert_rgb": null, "data_format": "channels_first", "processor_class": "X",
        "default_to_square": true, "size": {"height": 224, "width": 224, "shortest_edge": null}});
    assert_eq!(picture(&config).resize, Resize::To([224; 2]));
}

#[test]
fn timm_configurations_are_read() {
    let with = |key: &str, value: Value| {
        let mut own = json!({"tag": "augreg", "input_size": [3, 224, 224], "fixed_input_size": true,
            "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5], "num_classes": 5, "license": "apache-2.0"});
        own[key] = value;
        Pipeline::from_timm(&json!({"architecture": "vit_base_patch16_224", "pretrained_cfg": own}))
    };
    let [mean, std] = HALF;
    let expected = Picture {
        resize: Resize::ShorterSide(248),
        filter: Filter::Bicubic,
        crop: Some([224; 2]),
        rounding: Rounding::Even,
        scale: 1.0 / 255.0,
        mean,
        std,
    };
    assert_eq!(with("url", json!("")), Ok(Pipeline::Picture(expected.clone())));
    let squashed = Picture {
        resize: Resize::To([248; 2]),
        ..expected
    };
    assert_eq!(with("crop_mode", json!("squash")), Ok(Pipeline::Picture(squashed)));
    let messages = [
        with("crop_mode", json!("border")),
        with("interpolation", json!("lanczos")),
        with("input_size", json!([1, 224, 224])),
        with("input_size", json!([3, 224, 192])),
        with("crop_pct", json!(0)),
        with("mean", json!([0.5])),
    ];
    let messages: Vec<String> = messages.map(|found| found.unwrap_err().to_string()).to_vec();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_pipeline_of_inputs_of_several_shapes_opens_no_data_set() {
    let whole = Picture {
        crop: None,
        ..Picture::evaluation(224, HALF)
    };
    let messages = [
        FixedPipeline::new(Pipeline::Wave(Wave::fairseq(true)), None),
        FixedPipeline::new(Pipeline::Kaldi(Kaldi::beats()), Some(399)),
        FixedPipeline::new(Pipeline::Kaldi(Kaldi::beats()), Some(0)),
        FixedPipeline::new(Pipeline::Picture(whole), None),
        FixedPipeline::new(Pipeline::Picture(Picture::evaluation(224, HALF)), Some(16_000)),
        FixedPipeline::lasting(Pipeline::Wave(Wave::fairseq(true)), f64::NAN),
    ];
    let messages: Vec<String> = messages.map(|found| found.unwrap_err().to_string()).to_vec();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn an_input_is_written_and_read_again_and_a_wrong_one_is_not_read() {
    let pipelines = [
        FixedPipeline::lasting(Pipeline::Kaldi(Kaldi::w2v_bert()), 5.0),
        FixedPipeline::lasting(Pipeline::Wave(Wave::fairseq(true)), 0.25),
        FixedPipeline::new(Pipeline::Kaldi(Kaldi::spectrogram(AUDIOSET, 1_024)), None),
        FixedPipeline::new(Pipeline::Picture(Picture::evaluation(224, IMAGENET)), None),
        FixedPipeline::new(Pipeline::Video(Video::videomae(16, 224)), None),
    ];
    for fixed in pipelines {
        let spec = InputSpec::Pipeline(fixed.unwrap());
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<InputSpec>(&text).unwrap(), spec, "{text}");
    }
    let spec = InputSpec::Pipeline(FixedPipeline::lasting(Pipeline::Wave(Wave::fairseq(true)), 0.25).unwrap());
    let text = serde_json::to_string(&spec).unwrap();
    insta::assert_snapshot!(text, @r#"{"kind":"pipeline","pipeline":{"kind":"wave","sample_rate":16000,"normalise":0.00001},"samples":4000}"#);
    for (from, to) in [
        ("4000", "0"),
        ("16000", "1"),
        ("\"samples\":4000", "\"other\":4000"),
        ("0.00001", "-1"),
    ] {
        assert!(
            serde_json::from_str::<InputSpec>(&text.replace(from, to)).is_err(),
            "{from} as {to}"
        );
    }
}
