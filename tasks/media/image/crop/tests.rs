//! Crops and resizing: against Pillow's bytes, against a slow plain version, and the laws of random
//! regions.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod plain;

use bridle_seed::Seed;
use serde::Deserialize;

use self::plain::{cut, plain_centre, plainly};
use super::*;
use crate::media::image::tests::{distance, pattern, unhex};

/// The library's weights have 15 bits, so that each of the two passes may round the other way, and
/// weights add up to 1.3 at most when their signs are dropped.
const TOLERANCE: u8 = 2;

#[derive(Deserialize)]
struct Case {
    width: usize,
    height: usize,
    side: usize,
    region: [usize; 4],
    centre: String,
    square: String,
}

#[test]
fn both_views_are_those_of_torchvision() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../reference/resize.json")).unwrap();
    assert!(!cases.is_empty());
    for Case {
        width,
        height,
        side,
        region: [left, top, wide, high],
        centre,
        square,
    } in cases
    {
        let picture = pattern(width, height);
        let region = Region {
            left,
            top,
            width: wide,
            height: high,
        };
        let mut resizer = Resizer::default();
        for (what, ours, theirs) in [
            ("centre", resizer.centre(&picture, side), centre),
            ("square", resizer.square(&picture, region, side), square),
        ] {
            let (most, mean) = distance(&ours.rgb, &unhex(&theirs));
            println!("{width} x {height} to {side}, {what}: largest difference {most}, mean {mean:.4}");
            assert!(most <= TOLERANCE, "{width} x {height} to {side}, {what}: {most}");
        }
    }
}

#[test]
fn the_fast_views_are_those_of_the_plain_definition() {
    let mut stream = Seed::root(5).stream();
    for _ in 0..40 {
        let (width, height, side) = (8 + stream.below(120), 8 + stream.below(120), 1 + stream.below(40));
        let picture = pattern(width, height);
        let mut resizer = Resizer::default();
        let region = random_region(width, height, [0.08, 1.0], &mut stream);
        let expected = plainly(&cut(&picture, region), side, side);
        assert!(
            distance(&resizer.square(&picture, region, side).rgb, &expected.rgb).0 <= TOLERANCE,
            "{region:?}"
        );
        let expected = plain_centre(&picture, side);
        let (most, _) = distance(&resizer.centre(&picture, side).rgb, &expected.rgb);
        assert!(most <= TOLERANCE, "{width} x {height} to {side}: {most}");
    }
}

#[test]
fn a_picture_of_one_colour_stays_one_and_very_long_ones_cost_little() {
    for (width, height) in [(1, 1), (1, 60_000), (60_000, 1), (640, 3)] {
        let picture = Picture::filled(width, height, [7, 130, 255]);
        assert_eq!(
            Resizer::default().centre(&picture, 24),
            Picture::filled(24, 24, [7, 130, 255])
        );
        let region = random_region(width, height, [0.2, 1.0], &mut Seed::root(1).stream());
        assert_eq!(
            Resizer::default().square(&picture, region, 24),
            Picture::filled(24, 24, [7, 130, 255])
        );
    }
}

#[test]
fn random_regions_have_their_shares_and_aspects() {
    let (width, height) = (500, 375);
    let mut stream = Seed::root(3).stream();
    let mut areas = Vec::new();
    for _ in 0..4_000 {
        let Region {
            left,
            top,
            width: wide,
            height: high,
        } = random_region(width, height, [0.2, 1.0], &mut stream);
        assert!(left + wide <= width && top + high <= height);
        let (area, aspect) = (
            (wide * high) as f64 / (width * height) as f64,
            wide as f64 / high as f64,
        );
        assert!(
            (0.195..=1.0).contains(&area) && (0.74..1.35).contains(&aspect),
            "{area} {aspect}"
        );
        areas.push(area);
    }
    areas.sort_by(f64::total_cmp);
    assert!(areas[0] < 0.21 && areas[3_999] > 0.9);
    let same = |seed| random_region(width, height, [0.08, 1.0], &mut Seed::root(seed).stream());
    assert_eq!(same(9), same(9));
    assert_ne!(same(9), same(10));
}

#[test]
fn what_no_aspect_fits_gives_its_centre() {
    let mut stream = Seed::root(1).stream();
    // no region of half the area with an aspect up to 4/3 fits into a strip
    let strip = random_region(1_000, 30, [0.5, 1.0], &mut stream);
    assert_eq!(
        strip,
        Region {
            left: 480,
            top: 0,
            width: 40,
            height: 30
        }
    );
    let tower = random_region(30, 1_000, [0.5, 1.0], &mut stream);
    assert_eq!(
        tower,
        Region {
            left: 0,
            top: 480,
            width: 30,
            height: 40
        }
    );
}
