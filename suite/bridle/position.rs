//! Fixed sine-cosine position tables, computed in f64 (authors' code; parity case `pos_embed`).

use crate::config::{AudioRows, Geometry};

/// [sin(p w_0).. sin(p w_h), cos(p w_0)..] with w_j = 10000^(-j/h), h = dim / 2.
fn sincos_1d(dim: usize, place: usize) -> impl Iterator<Item = f64> {
    let half = dim / 2;
    let angle = move |j: usize| place as f64 * 10000f64.powf(-(j as f64) / half as f64);
    (0..half)
        .map(move |j| angle(j).sin())
        .chain((0..half).map(move |j| angle(j).cos()))
}

/// Rows k < fast * slow: half of the features from k mod `fast`, the other half from k div `fast`.
/// Row-major [rows, dim].
pub fn sincos_2d(dim: usize, fast: usize, slow: usize) -> Vec<f32> {
    (0..fast * slow)
        .flat_map(|k| sincos_1d(dim / 2, k % fast).chain(sincos_1d(dim / 2, k / fast)))
        .map(|x| x as f32)
        .collect()
}

/// The classic interleaved table: column j of row p is sin (j even) or cos (j odd) of p / 10000^(2
/// (j div 2) / dim).
pub fn sinusoid_1d(rows: usize, dim: usize) -> Vec<f32> {
    let entry = |p: usize, j: usize| {
        let angle = p as f64 / 10000f64.powf((2 * (j / 2)) as f64 / dim as f64);
        if j.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    (0..rows)
        .flat_map(|p| (0..dim).map(move |j| entry(p, j) as f32))
        .collect()
}

/// The table of an input's patch tokens, row-major [N, dim]. It has no row for the cls token, which
/// would be zeros.
pub fn table(geometry: &Geometry, dim: usize) -> Vec<f32> {
    let [_, rows, columns] = geometry.grid();
    match geometry {
        Geometry::Audio {
            rows: AudioRows::Scrambled,
            ..
        } => sincos_2d(dim, rows, columns),
        Geometry::Audio {
            rows: AudioRows::TokenOrder,
            ..
        }
        | Geometry::Image { .. } => sincos_2d(dim, columns, rows),
        Geometry::Video { .. } => sinusoid_1d(geometry.tokens(), dim),
    }
}

/// The rows of a longer sound's position table (its cls row first) that a clip of `tokens` tokens
/// takes in the authors' ESC-50 script: the cls row, then as many from row 128 on. As row 0 is cls,
/// token j takes the row of token j + 127, which is not a whole number of time steps; with
/// `by_time` it takes that of token j + 128.
pub fn crop_rows(tokens: usize, by_time: bool) -> Vec<usize> {
    let first = 128 + usize::from(by_time);
    std::iter::once(0).chain(first..first + tokens).collect()
}
