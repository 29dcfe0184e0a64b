//! A picture in memory, and its values as a model input.

use crate::media::normalise_channels;

/// Raised whenever decoding or the view for evaluation changes its numbers.
pub(crate) const PICTURE_VERSION: u32 = 1;

/// A picture in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// Red, green and blue of each pixel, row by row: 3 x width x height bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        let rgb = colour.repeat(width * height);
        Self { width, height, rgb }
    }

    pub fn flip(&mut self) {
        for row in self.rgb.chunks_exact_mut(3 * self.width) {
            let (pixels, _) = row.as_chunks_mut::<3>();
            pixels.reverse();
        }
    }
}

/// Values from 0 to 1, one channel after the other: \[3, height, width\].
pub(crate) fn to_values(picture: &Picture) -> Vec<f32> {
    let pixels = picture.width * picture.height;
    let mut values = vec![0.0; 3 * pixels];
    let (red, rest) = values.split_at_mut(pixels);
    let (green, blue) = rest.split_at_mut(pixels);
    let (rgb, _) = picture.rgb.as_chunks::<3>();
    for (((pixel, red), green), blue) in rgb.iter().zip(red).zip(green).zip(blue) {
        [*red, *green, *blue] = pixel.map(|byte| f32::from(byte) / 255.0);
    }
    values
}

/// The model input, \[3, height, width\]: values from 0 to 1, then (x - mean) / std per channel.
pub fn to_input(picture: &Picture, mean: [f64; 3], std: [f64; 3]) -> Vec<f32> {
    let mut values = to_values(picture);
    normalise_channels(&mut values, mean, std);
    values
}
