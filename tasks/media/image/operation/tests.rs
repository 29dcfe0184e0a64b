//! Every operation against Pillow's bytes.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use serde::Deserialize;

use super::*;
use crate::media::image::tests::{distance, pattern, unhex};

#[derive(Deserialize)]
struct Case {
    operation: String,
    width: usize,
    height: usize,
    rgb: String,
}

const OPERATIONS: [Operation; 20] = [
    Operation::AutoContrast,
    Operation::Equalize,
    Operation::Invert,
    Operation::Rotate(27.0),
    Operation::Rotate(-13.5),
    Operation::Posterize(1),
    Operation::Posterize(0),
    Operation::Solarize(26),
    Operation::SolarizeAdd(99),
    Operation::Colour(1.81),
    Operation::Colour(0.19),
    Operation::Contrast(1.81),
    Operation::Contrast(0.19),
    Operation::Brightness(1.81),
    Operation::Sharpness(1.81),
    Operation::Sharpness(0.19),
    Operation::ShearX(0.27),
    Operation::ShearY(-0.27),
    Operation::TranslateX(0.405),
    Operation::TranslateY(-0.405),
];

#[test]
fn every_operation_gives_the_bytes_of_pillow() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../reference/operations.json")).unwrap();
    assert_eq!(cases.len(), OPERATIONS.len());
    for (
        Case {
            operation,
            width,
            height,
            rgb,
        },
        ours,
    ) in cases.iter().zip(OPERATIONS)
    {
        assert_eq!(*operation, format!("{ours:?}"));
        let picture = match ours {
            Operation::AutoContrast => Operation::Contrast(0.4).apply(&pattern(*width, *height), [0; 3]),
            _ => pattern(*width, *height),
        };
        let (most, mean) = distance(&ours.apply(&picture, [124, 116, 104]).rgb, &unhex(rgb));
        assert_eq!(most, 0, "{operation}: mean difference {mean}");
    }
}
