//! Values, gradients and descriptions of every fixture.

use crate::fixture::Fixture;
use crate::{core, fixtures, vision};
use bridle_encoders::{Encoder, Input, Options, Pooling, Recognised, recognise};
use bridle_tasks::pipeline::FixedPipeline;
use burn::backend::Autodiff;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_flex::Flex;
use serde_json::json;

#[test]
fn what_is_recognised_is_the_same_after_a_round_through_json_and_makes_a_blank_encoder() {
    for fixture in fixtures() {
        let recognised = fixture.recognised(&fixture.checkpoint());
        let text = serde_json::to_string(&recognised).unwrap();
        assert_eq!(
            serde_json::from_str::<Recognised>(&text).unwrap(),
            recognised,
            "{}",
            fixture.name
        );
        let device = Default::default();
        let blank = Encoder::<Flex>::blank(&recognised, &device).unwrap();
        let (_, encoder) = fixture.encoder::<Flex>(&device);
        assert_eq!(blank.num_params(), encoder.num_params(), "{}", fixture.name);
    }
}

#[test]
fn gradients_reach_the_patches_of_every_encoder() {
    for fixture in fixtures() {
        let device = Default::default();
        let (recognised, encoder) = fixture.encoder::<Autodiff<Flex>>(&device);
        let Encoder::Vit(vit) = &encoder else { continue };
        let input = vision::input(&fixture, vit, "input", &device).unwrap();
        let pooled = encoder.pooled(input, recognised.pooling).unwrap();
        // squares: sums of normed numbers do not move
        let gradients = pooled.powi_scalar(2).sum().backward();
        let gradient = vit
            .patch
            .map
            .weight
            .grad(&gradients)
            .expect("a gradient of the patches");
        let size = gradient.abs().sum().into_scalar();
        assert!(size.is_finite() && size > 0.0, "{}: {size}", fixture.name);
    }
}

#[test]
fn every_value_is_within_its_tolerance() {
    let mut failed = 0;
    for fixture in fixtures() {
        let device = Default::default();
        let (recognised, encoder) = fixture.encoder::<Flex>(&device);
        vision::check(&fixture, &recognised.pipeline, &encoder, &device);
        let name = &fixture.name;
        let failures = fixture.finish();
        println!(
            "{name}: {} {}",
            recognised.family,
            if failures.is_empty() { "equal" } else { "FAILED" }
        );
        failures.iter().for_each(|failure| println!("    {failure}"));
        failed += usize::from(!failures.is_empty());
    }
    assert_eq!(failed, 0);
}

#[test]
fn a_table_of_positions_is_that_of_the_picture_that_the_folder_names() {
    let fixture = Fixture::read(&core(), "vit-hf");
    let mut checkpoint = fixture.checkpoint();
    let patch = checkpoint.config["patch_size"].as_u64().unwrap() as usize;
    // 4 x 4 patches: the same table is that of 2 x 8
    checkpoint.config["image_size"] = json!([2 * patch, 8 * patch]);
    let recognised = recognise(&checkpoint, &Options::default()).unwrap();
    let (encoder, _) = bridle_encoders::build::<Flex>(&recognised, &checkpoint, &Default::default()).unwrap();
    let Encoder::Vit(vit) = &encoder else {
        panic!("no vision transformer")
    };
    let of = |grid| Ok::<_, bridle_encoders::EncoderError>(vit.positions(grid)?.unwrap().into_data());
    let table = vit.positions.as_ref().unwrap().val().into_data();
    assert_eq!(of([1, 2, 8]).unwrap(), table);
    assert!(of([1, 4, 4]).is_err(), "a table that is no square was resized");
    let picture = Input::Pictures(Tensor::zeros([1, 3, 2 * patch, 8 * patch], &Default::default()));
    assert!(encoder.states(picture).is_ok());
}

#[test]
fn a_window_that_is_no_square_is_refused_in_transformers_folders() {
    let fixture = Fixture::read(&core(), "data2vec-vision-hf");
    let mut checkpoint = fixture.checkpoint();
    let patch = checkpoint.config["patch_size"].as_u64().unwrap();
    checkpoint.config["image_size"] = json!([2 * patch, 8 * patch]);
    let error = recognise(&checkpoint, &Options::default()).unwrap_err().to_string();
    assert!(
        error.contains("`image_size`") && error.contains("no squares"),
        "{error}"
    );
}

#[test]
fn timms_architecture_says_what_its_tensors_do_not() {
    let fixture = Fixture::read(&core(), "timm-dinov2");
    let of = |architecture: &str, without: &str| {
        let mut checkpoint = fixture.checkpoint();
        checkpoint.config["architecture"] = json!(architecture);
        checkpoint.tensors.remove(without);
        recognise(&checkpoint, &Options::default()).map_err(|error| error.to_string())
    };
    let dinov2 = "vit_giant_patch14_reg4_dinov2";
    let recognised = of(dinov2, "").unwrap();
    assert_eq!(recognised.pooling, Pooling::Cls);
    // `pretrained_cfg` has the size of the published model
    let input = FixedPipeline::lasting(recognised.pipeline, 1.0).unwrap();
    assert_eq!(input.shape(), [3, 8, 12]);
    recognised.body.check_input(&input.shape()).unwrap();
    for shape in [&[3, 8, 8][..], &[3, 3, 3], &[98, 128]] {
        assert!(recognised.body.check_input(shape).is_err(), "{shape:?}");
    }
    // its positions have no row for cls, but it pools by that
    assert_eq!(of(dinov2, "cls_token").unwrap().pooling, Pooling::Cls);
    for other in [
        "vit_base_patch16_rpn_224",
        "beit3_base_patch16_224",
        "vit_base_patch16_224",
    ] {
        let error = of(other, "").unwrap_err();
        assert!(error.contains("`architecture`") && error.contains(other), "{error}");
    }
    assert_eq!(
        of("deit_base_distilled_dinov2", "").unwrap().pooling,
        Pooling::TwoTokens
    );
}
