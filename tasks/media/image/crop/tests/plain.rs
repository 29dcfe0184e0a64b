//! Crops and resizing as they are defined: slow, in double precision, to hold the fast ones to.

use super::{Picture, Region};

/// One axis of Pillow's resize in double precision: (first pixel, weights) of each of the pixels
/// wanted.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f64>)> {
    let cubic = |x: f64| match x.abs() {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    };
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let weights_at = |out: usize| {
        let centre = (out as f64 + 0.5) * scale;
        let first = (centre - 2.0 * stretch).floor().max(0.0) as usize;
        let last = ((centre + 2.0 * stretch).ceil() as usize).min(from);
        let raw: Vec<f64> = (first..last)
            .map(|x| cubic((x as f64 + 0.5 - centre) / stretch))
            .collect();
        let sum: f64 = raw.iter().sum();
        (first, raw.iter().map(|weight| weight / sum).collect())
    };
    (0..to).map(weights_at).collect()
}

/// Resizes the whole picture, rows first, rounding between the two as Pillow does.
pub fn plainly(picture: &Picture, width: usize, height: usize) -> Picture {
    let rounded = |sum: f64| (sum + 0.5).floor().clamp(0.0, 255.0) as u8;
    let mut narrow = Picture::filled(width, picture.height, [0; 3]);
    for (out, (first, weights)) in weights(picture.width, width).iter().enumerate() {
        for (y, c) in (0..picture.height).flat_map(|y| (0..3).map(move |c| (y, c))) {
            let byte = |k: usize| f64::from(picture.rgb[3 * (y * picture.width + first + k) + c]);
            narrow.rgb[3 * (y * width + out) + c] = rounded(weights.iter().enumerate().map(|(k, w)| w * byte(k)).sum());
        }
    }
    let mut resized = Picture::filled(width, height, [0; 3]);
    for (out, (first, weights)) in weights(picture.height, height).iter().enumerate() {
        for at in 0..3 * width {
            let byte = |k: usize| f64::from(narrow.rgb[3 * width * (first + k) + at]);
            resized.rgb[3 * width * out + at] = rounded(weights.iter().enumerate().map(|(k, w)| w * byte(k)).sum());
        }
    }
    resized
}

/// What lies in a region.
pub fn cut(picture: &Picture, region: Region) -> Picture {
    let row = |y: usize| &picture.rgb[3 * (y * picture.width + region.left)..][..3 * region.width];
    let rgb = (region.top..region.top + region.height)
        .flat_map(row)
        .copied()
        .collect();
    Picture {
        width: region.width,
        height: region.height,
        rgb,
    }
}

/// The centre for judging: the whole picture is resized, then its edges are cut off.
pub fn plain_centre(picture: &Picture, side: usize) -> Picture {
    let (width, height) = (picture.width, picture.height);
    let short = (side as f64 * 256.0 / 224.0).round_ties_even() as usize;
    let (wide, high) = match width <= height {
        true => (short, short * height / width),
        false => (short * width / height, short),
    };
    let half = |n: usize| ((n - side) as f64 / 2.0).round_ties_even() as usize;
    let centre = Region {
        left: half(wide),
        top: half(high),
        width: side,
        height: side,
    };
    cut(&plainly(picture, wide, high), centre)
}
