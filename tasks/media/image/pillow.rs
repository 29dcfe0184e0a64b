//! Pillow's `Image.resize` of RGB bytes, byte for byte (its `Resample.c`, version 13).
//!
//! Views that this project trains on are resized by a library that is faster and may be off by one
//! or two; the encoders of others are held to their own bytes.

use std::ops::Range;

use super::crop::Region;
use crate::pipeline::Filter;

/// Bits of a weight: 32 without those of a byte and room for overshoots.
const BITS: u32 = 32 - 8 - 2;

/// What one new pixel takes of the old ones along an axis.
struct Reach {
    first: usize,
    weights: Vec<i32>,
}

/// `region` of the picture that has `size` once it is resized to `resized`, both \[width, height\].
/// Only what the region needs is computed. Panics if a size is 0, `rgb` is not of `size`, or the
/// region is empty or not within `resized`.
pub(crate) fn resize(rgb: &[u8], size: [usize; 2], resized: [usize; 2], region: Region, filter: Filter) -> Vec<u8> {
    let across = reaches(size[0], resized[0], region.left, region.width, filter);
    let down = reaches(size[1], resized[1], region.top, region.height, filter);
    let (columns, rows) = (span(&across), span(&down));
    if is_down_first(size, resized) {
        let flat = shrink_down(rgb, size[0], columns.clone(), 0, &down);
        shrink_across(&flat, columns.len(), 0..region.height, columns.start, &across)
    } else {
        let narrow = shrink_across(rgb, size[0], rows.clone(), 0, &across);
        shrink_down(&narrow, region.width, 0..region.width, rows.start, &down)
    }
}

/// Each pass rounds to bytes, so that their order shows. Since Pillow 13, columns are shortened first
/// where that takes away more than twice as many pixels of height as rows lose of width; before, and
/// for all other pictures, rows come first.
fn is_down_first(size: [usize; 2], resized: [usize; 2]) -> bool {
    let [width, height] = [0, 1].map(|axis| size[axis].saturating_sub(resized[axis]));
    height > 2 * width
}

/// The old pixels that new ones take, from the first to the last.
fn span(reaches: &[Reach]) -> Range<usize> {
    let ends = reaches.iter().map(|reach| reach.first + reach.weights.len());
    reaches[0].first..ends.max().unwrap_or_default()
}

/// These rows of a picture, shortened. `first` is the number of its first column.
fn shrink_across(rgb: &[u8], width: usize, rows: Range<usize>, first: usize, reaches: &[Reach]) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * rows.len() * reaches.len());
    for row in rgb.chunks_exact(3 * width).take(rows.end).skip(rows.start) {
        let (pixels, _) = row.as_chunks::<3>();
        for reach in reaches {
            out.extend(sum(pixels[reach.first - first..].iter().zip(&reach.weights)));
        }
    }
    out
}

/// These columns of a picture, shortened. `first` is the number of its first row.
fn shrink_down(rgb: &[u8], width: usize, columns: Range<usize>, first: usize, reaches: &[Reach]) -> Vec<u8> {
    let (pixels, _) = rgb.as_chunks::<3>();
    let mut out = Vec::with_capacity(3 * columns.len() * reaches.len());
    for reach in reaches {
        for column in columns.clone() {
            let below = pixels[(reach.first - first) * width + column..].iter().step_by(width);
            out.extend(sum(below.zip(&reach.weights)));
        }
    }
    out
}

/// The weighted sum of pixels, rounded to bytes.
fn sum<'a>(pixels: impl Iterator<Item = (&'a [u8; 3], &'a i32)>) -> [u8; 3] {
    let mut sums = [1 << (BITS - 1); 3];
    for (pixel, weight) in pixels {
        for (sum, &byte) in sums.iter_mut().zip(pixel) {
            *sum += i32::from(byte) * weight;
        }
    }
    sums.map(|sum| (sum >> BITS).clamp(0, 255) as u8)
}

/// What new pixels `start`, `start + 1`, ... take along an axis of `old` pixels resized to `new`.
fn reaches(old: usize, new: usize, start: usize, count: usize, filter: Filter) -> Vec<Reach> {
    let scale = old as f64 / new as f64;
    let spread = scale.max(1.0);
    let support = spread * filter.support();
    let reach = |place: usize| {
        let centre = (place as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let last = ((centre + support + 0.5) as usize).min(old);
        // multiplied and not divided, as there: a weight's last bit may round a byte
        let weight = |pixel: usize| filter.weight((pixel as f64 - centre + 0.5) * (1.0 / spread));
        let weights: Vec<f64> = (first..last).map(weight).collect();
        let whole: f64 = weights.iter().sum();
        let fixed = |weight: f64| (weight / whole * f64::from(1 << BITS)).round() as i32;
        Reach {
            first,
            weights: weights.into_iter().map(fixed).collect(),
        }
    };
    (start..start + count).map(reach).collect()
}

impl Filter {
    /// How far it reaches, in pixels of the smaller picture.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            // a = -0.5
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => -0.5 * (((x - 5.0) * x + 8.0) * x - 4.0),
            Self::Bicubic => 0.0,
        }
    }
}
