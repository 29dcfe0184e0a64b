//! Values, gradients and descriptions of every fixture.

use crate::{fixtures, vision};
use bridle_encoders::{Encoder, Recognised};
use burn::backend::Autodiff;
use burn::module::Module;
use burn_flex::Flex;

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
