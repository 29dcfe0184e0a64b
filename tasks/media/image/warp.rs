//! Affine maps of a picture with bicubic sampling, as Pillow's `transform`.
//!
//! This cubic (a = -1) differs from that of Pillow's resizing, and has no antialiasing. What comes
//! from outside the picture gets the fill colour.

use super::picture::Picture;

/// Where an output pixel (x, y) comes from: (a x + b y + c, d x + e y + f), with pixel centres at
/// halves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine(pub [f64; 6]);

impl Affine {
    /// Rotates by `degrees` counterclockwise about the centre.
    pub fn rotation(degrees: f64, width: usize, height: usize) -> Self {
        // fifteen digits, as in Pillow, hide how a platform computes sines
        let cut = |x: f64| (x * 1e15).round_ties_even() / 1e15;
        let angle = -degrees.to_radians();
        let (cos, sin) = (cut(angle.cos()), cut(angle.sin()));
        let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
        Self([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y])
    }

    pub fn apply(&self, picture: &Picture, fill: [u8; 3]) -> Picture {
        let [a, b, c, d, e, f] = self.0;
        let (width, height) = (picture.width as f64, picture.height as f64);
        let mut mapped = Picture::filled(picture.width, picture.height, fill);
        let (pixels, _) = mapped.rgb.as_chunks_mut::<3>();
        for (at, pixel) in pixels.iter_mut().enumerate() {
            let (x, y) = ((at % picture.width) as f64 + 0.5, (at / picture.width) as f64 + 0.5);
            let (from_x, from_y) = (a * x + b * y + c, d * x + e * y + f);
            if (0.0..width).contains(&from_x) && (0.0..height).contains(&from_y) {
                *pixel = sample(picture, from_x - 0.5, from_y - 0.5);
            }
        }
        mapped
    }
}

/// The colour between pixels, from the 4 x 4 around it; edges are repeated.
fn sample(picture: &Picture, x: f64, y: f64) -> [u8; 3] {
    let (left, top) = (x.floor(), y.floor());
    let place =
        |first: f64, k: usize, most: usize| (first as isize - 1 + k as isize).clamp(0, most as isize - 1) as usize;
    let columns: [usize; 4] = std::array::from_fn(|k| 3 * place(left, k, picture.width));
    let rows: [usize; 4] = std::array::from_fn(|k| 3 * picture.width * place(top, k, picture.height));
    std::array::from_fn(|channel| {
        let along = rows.map(|row| {
            cubic(
                columns.map(|column| f64::from(picture.rgb[row + column + channel])),
                x - left,
            )
        });
        // Pillow cuts the fraction off
        cubic(along, y - top).clamp(0.0, 255.0) as u8
    })
}

/// The cubic through four neighbours at `d` between the second and the third.
fn cubic([v1, v2, v3, v4]: [f64; 4], d: f64) -> f64 {
    let slope = v3 - v1;
    let square = 2.0 * (v1 - v2) + v3 - v4;
    let cube = v2 - v1 - v3 + v4;
    v2 + d * (slope + d * (square + d * cube))
}
