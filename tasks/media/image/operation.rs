//! The operations of RandAugment (Cubuk et al. 2019), each with the arithmetic of Pillow.

use super::picture::Picture;
use super::warp::Affine;

/// One operation with its strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    /// Stretches each channel to the full range.
    AutoContrast,
    /// Equalises each channel's histogram.
    Equalize,
    /// Inverts the picture.
    Invert,
    /// Rotates by degrees, counterclockwise.
    Rotate(f64),
    /// Keeps only so many upper bits.
    Posterize(u32),
    /// Inverts bytes from this one on.
    Solarize(u32),
    /// Raises dark bytes by this.
    SolarizeAdd(u32),
    /// Between grey (0) and the picture (1), and beyond.
    Colour(f32),
    /// Between even grey (0) and the picture (1), and beyond.
    Contrast(f32),
    /// Between black (0) and the picture (1), and beyond.
    Brightness(f32),
    /// Between the smoothed picture (0) and the picture (1), and beyond.
    Sharpness(f32),
    /// Rows shifted by this share of their height.
    ShearX(f64),
    /// Columns shifted by this share of their distance.
    ShearY(f64),
    /// Moved by this share of the width.
    TranslateX(f64),
    /// Moved by this share of the height.
    TranslateY(f64),
}

impl Operation {
    /// Applies it; `fill` is the colour of what geometry leaves empty.
    pub fn apply(self, picture: &Picture, fill: [u8; 3]) -> Picture {
        let affine = |map: [f64; 6]| Affine(map).apply(picture, fill);
        let (width, height) = (picture.width, picture.height);
        match self {
            Self::AutoContrast => per_channel(picture, stretched),
            Self::Equalize => per_channel(picture, equalized),
            Self::Invert => per_byte(picture, |byte| 255 - byte),
            Self::Posterize(bits) if bits >= 8 => picture.clone(),
            Self::Posterize(bits) => per_byte(picture, |byte| byte & !(0xff_u32 >> bits)),
            Self::Solarize(from) => per_byte(picture, |byte| if byte < from { byte } else { 255 - byte }),
            Self::SolarizeAdd(more) => per_byte(picture, |byte| if byte < 128 { (byte + more).min(255) } else { byte }),
            Self::Colour(share) => blend(&per_pixel(picture, |pixel| [luma(pixel); 3]), picture, share),
            Self::Contrast(share) => blend(&Picture::filled(width, height, [mean_luma(picture); 3]), picture, share),
            Self::Brightness(share) => blend(&Picture::filled(width, height, [0; 3]), picture, share),
            Self::Sharpness(share) => blend(&smoothed(picture), picture, share),
            Self::Rotate(degrees) => Affine::rotation(degrees, width, height).apply(picture, fill),
            Self::ShearX(share) => affine([1.0, share, 0.0, 0.0, 1.0, 0.0]),
            Self::ShearY(share) => affine([1.0, 0.0, 0.0, share, 1.0, 0.0]),
            Self::TranslateX(share) => affine([1.0, 0.0, share * width as f64, 0.0, 1.0, 0.0]),
            Self::TranslateY(share) => affine([1.0, 0.0, 0.0, 0.0, 1.0, share * height as f64]),
        }
    }
}

/// Maps each byte.
type ByteMap = [u8; 256];

fn per_byte(picture: &Picture, change: impl Fn(u32) -> u32) -> Picture {
    let table: ByteMap = std::array::from_fn(|byte| change(byte as u32) as u8);
    per_pixel(picture, |pixel| pixel.map(|byte| table[usize::from(byte)]))
}

/// Maps each channel by a table made from its histogram.
fn per_channel(picture: &Picture, table: impl Fn([usize; 256]) -> ByteMap) -> Picture {
    let tables: [ByteMap; 3] = std::array::from_fn(|channel| {
        let mut histogram = [0; 256];
        picture
            .rgb
            .iter()
            .skip(channel)
            .step_by(3)
            .for_each(|byte| histogram[usize::from(*byte)] += 1);
        table(histogram)
    });
    per_pixel(picture, |pixel| {
        std::array::from_fn(|channel| tables[channel][usize::from(pixel[channel])])
    })
}

fn per_pixel(picture: &Picture, change: impl Fn([u8; 3]) -> [u8; 3]) -> Picture {
    let (pixels, _) = picture.rgb.as_chunks::<3>();
    let rgb = pixels.iter().flat_map(|pixel| change(*pixel)).collect();
    Picture {
        width: picture.width,
        height: picture.height,
        rgb,
    }
}

fn identity() -> ByteMap {
    std::array::from_fn(|byte| byte as u8)
}

fn stretched(histogram: [usize; 256]) -> ByteMap {
    let seen = |byte: &usize| histogram[*byte] > 0;
    match ((0..256).find(seen), (0..256).rfind(seen)) {
        (Some(low), Some(high)) if low < high => {
            let scale = 255.0 / (high - low) as f64;
            std::array::from_fn(|byte| (byte as f64 * scale - low as f64 * scale).clamp(0.0, 255.0) as u8)
        }
        _ => identity(),
    }
}

fn equalized(histogram: [usize; 256]) -> ByteMap {
    let last = histogram.iter().rfind(|count| **count > 0).copied().unwrap_or(0);
    let step = (histogram.iter().sum::<usize>() - last) / 255;
    if step == 0 {
        return identity();
    }
    let mut before = step / 2;
    std::array::from_fn(|byte| {
        let level = (before / step).min(255) as u8;
        before += histogram[byte];
        level
    })
}

/// ITU-R 601-2 in 16 bits, as Pillow's mode L.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

fn mean_luma(picture: &Picture) -> u8 {
    let (pixels, _) = picture.rgb.as_chunks::<3>();
    let sum: usize = pixels.iter().map(|pixel| usize::from(luma(*pixel))).sum();
    (sum as f64 / pixels.len() as f64 + 0.5) as u8
}

/// Blends from `base` (share 0) to `picture` (share 1) and beyond; fractions are cut off.
fn blend(base: &Picture, picture: &Picture, share: f32) -> Picture {
    let mixed = |(from, to): (&u8, &u8)| {
        let (from, to) = (f32::from(*from), f32::from(*to));
        (from + share * (to - from)).clamp(0.0, 255.0) as u8
    };
    let rgb = base.rgb.iter().zip(&picture.rgb).map(mixed).collect();
    Picture {
        width: picture.width,
        height: picture.height,
        rgb,
    }
}

/// Averages each byte with its eight neighbours, itself counted five times; border pixels stay.
fn smoothed(picture: &Picture) -> Picture {
    let mut smooth = picture.clone();
    let row = 3 * picture.width;
    for y in 1..picture.height.saturating_sub(1) {
        for at in y * row + 3..(y + 1) * row - 3 {
            let three = |at: usize| {
                [at - 3, at, at + 3]
                    .iter()
                    .map(|at| u32::from(picture.rgb[*at]))
                    .sum::<u32>()
            };
            let sum = three(at - row) + three(at) + three(at + row) + 4 * u32::from(picture.rgb[at]);
            smooth.rgb[at] = ((2 * sum + 13) / 26) as u8;
        }
    }
    smooth
}

#[cfg(test)]
mod tests;
