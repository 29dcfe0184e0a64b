//! Pictures and model inputs, and what the tests of the parts share: patterns and reference values.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::picture::to_values;
use super::*;

/// The pattern of `reference.py`.
pub(crate) fn pattern(width: usize, height: usize) -> Picture {
    let pixel = |x: usize, y: usize| {
        let blue = if (x / 5 + y / 4).is_multiple_of(2) { 220 } else { 30 };
        [(x * 7 + y * 3) as u8, ((x * x + y * y) / 5) as u8, blue]
    };
    let rgb = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)))
        .collect();
    Picture { width, height, rgb }
}

/// Bytes written in hexadecimal.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// A picture as png file.
pub(crate) fn png_bytes(picture: &Picture) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&picture.rgb).unwrap();
    file
}

/// How far two pictures are apart: (largest difference of a byte, mean).
pub(super) fn distance(ours: &[u8], theirs: &[u8]) -> (u8, f64) {
    assert_eq!(ours.len(), theirs.len());
    let each = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    (
        each().max().unwrap(),
        each().map(f64::from).sum::<f64>() / ours.len() as f64,
    )
}

#[test]
fn a_flip_mirrors_and_two_are_none() {
    let picture = pattern(5, 3);
    let mut flipped = picture.clone();
    flipped.flip();
    for (y, x) in (0..3).flat_map(|y| (0..5).map(move |x| (y, x))) {
        let at = |picture: &Picture, x: usize| picture.rgb[3 * (5 * y + x)..][..3].to_vec();
        assert_eq!(at(&flipped, x), at(&picture, 4 - x));
    }
    flipped.flip();
    assert_eq!(flipped, picture);
}

#[test]
fn inputs_are_normalised_and_channels_come_first() {
    let picture = Picture {
        width: 2,
        height: 1,
        rgb: vec![0, 51, 102, 255, 204, 153],
    };
    assert_eq!(to_values(&picture), [0.0, 1.0, 0.2, 0.8, 0.4, 0.6]);
    let input = to_input(&picture, [0.5, 0.2, 0.0], [0.5, 0.1, 2.0]);
    let expected = [-1.0, 1.0, 0.0, 6.0, 0.2, 0.3];
    assert!(
        input
            .iter()
            .zip(expected)
            .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
        "{input:?}"
    );
}
