//! Packing and tiles of bf16 products by the instructions of AVX-512 BF16.

use super::tile::{Tile, VECTOR};
use std::arch::x86_64::{
    __m512bh, __m512i, __mmask16, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_permutexvar_epi16,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_si512,
};
use std::mem::transmute;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// Pairs of neighbours, whole vectors only. Returns how many pairs: none on other processors.
pub(super) fn pair_up(pairs: &mut [u32], values: &[f32]) -> usize {
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn body(pairs: &mut [u32], values: &[f32]) -> usize {
        let values = values.as_chunks::<{ 2 * VECTOR }>().0;
        for (pairs, values) in pairs.as_chunks_mut::<VECTOR>().0.iter_mut().zip(values) {
            // SAFETY: both halves and the pairs are one vector long
            unsafe {
                let (low, high) = (
                    _mm512_loadu_ps(values.as_ptr()),
                    _mm512_loadu_ps(values[VECTOR..].as_ptr()),
                );
                _mm512_storeu_si512(
                    pairs.as_mut_ptr().cast(),
                    transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)),
                );
            }
        }
        values.len() * VECTOR
    }
    if !is_available() {
        return 0;
    }
    // SAFETY: the processor has the instructions
    unsafe { body(pairs, values) }
}

/// Pairs of two lines, whole vectors only. Returns how many pairs: none on other processors.
pub(super) fn interleave(pairs: &mut [u32], low: &[f32], high: &[f32]) -> usize {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn body(pairs: &mut [u32], low: &[f32], high: &[f32]) -> usize {
        let zipped: [i16; 2 * VECTOR] = std::array::from_fn(|place| (place / 2 + place % 2 * VECTOR) as i16);
        // SAFETY: both are 512 bits, all of them valid
        let zipped = unsafe { transmute::<[i16; 2 * VECTOR], __m512i>(zipped) };
        let (low, high) = (low.as_chunks::<VECTOR>().0, high.as_chunks::<VECTOR>().0);
        for ((pairs, low), high) in pairs.as_chunks_mut::<VECTOR>().0.iter_mut().zip(low).zip(high) {
            // SAFETY: all are one vector long
            unsafe {
                let both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(high.as_ptr()), _mm512_loadu_ps(low.as_ptr()));
                let both = _mm512_permutexvar_epi16(zipped, transmute::<__m512bh, __m512i>(both));
                _mm512_storeu_si512(pairs.as_mut_ptr().cast(), both);
            }
        }
        low.len() * VECTOR
    }
    if !is_available() {
        return 0;
    }
    // SAFETY: the processor has the instructions
    unsafe { body(pairs, low, high) }
}

/// Calls the function for a number of vectors and rows, each compiled so that its sums stay in
/// registers.
macro_rules! of_size {
    ($out:ident, $out_stride:ident, $tile:ident: $($vectors:literal x $($rows:literal)*;)+) => {
        match ($tile.columns.div_ceil(VECTOR), $tile.rows) {
            // SAFETY: `fast_tile` returns this function only if the processor has the instructions
            $($(($vectors, $rows) => unsafe { sized::<$rows, $vectors>($out, $out_stride, $tile) },)*)+
            (vectors, rows) => unreachable!("no tile has {rows} rows of {vectors} vectors"),
        }
    };
}

pub(super) fn tile(out: &mut [f32], out_stride: usize, tile: &Tile<'_>) {
    of_size!(out, out_stride, tile:
        1 x 1 2 3 4 5 6 7 8 9 10 11 12;
        2 x 1 2 3 4 5 6 7 8 9 10 11 12;
        3 x 1 2 3 4 5 6 7 8;
        4 x 1 2 3 4 5 6;
    );
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn sized<const ROWS: usize, const VECTORS: usize>(out: &mut [f32], out_stride: usize, tile: &Tile<'_>) {
    let last_pair = (ROWS - 1) * tile.row_stride + (tile.count - 1) * tile.pair_stride;
    let last = (ROWS - 1) * out_stride + tile.columns;
    assert!(
        last_pair < tile.left.len() && tile.count * VECTORS * VECTOR <= tile.panel.len() && last <= out.len(),
        "a tile ends after its slices"
    );
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    let (left, panel) = (tile.left.as_ptr(), tile.panel.as_ptr());
    for place in 0..tile.count {
        // SAFETY: every index is below those asserted; both types are 512 bits, all of them valid
        let columns: [__m512bh; VECTORS] = std::array::from_fn(|vector| unsafe {
            transmute(_mm512_loadu_si512(
                panel.add((place * VECTORS + vector) * VECTOR).cast(),
            ))
        });
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above
            let pair = unsafe { *left.add(row * tile.row_stride + place * tile.pair_stride) };
            // SAFETY: both types are 512 bits, all of them valid
            let pair: __m512bh = unsafe { transmute(_mm512_set1_epi32(pair.cast_signed())) };
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpbf16_ps(*sum, pair, column);
            }
        }
    }
    let factor = _mm512_set1_ps(tile.factor);
    for (row, sums) in sums.into_iter().enumerate() {
        for (vector, sum) in sums.into_iter().enumerate() {
            let used = VECTOR.min(tile.columns - vector * VECTOR);
            let mask: __mmask16 = u16::MAX >> (VECTOR - used);
            // SAFETY: the row's columns are inside `out`, and the mask excludes what is beyond them
            unsafe {
                let at = out.as_mut_ptr().add(row * out_stride + vector * VECTOR);
                let value = if tile.add {
                    _mm512_fmadd_ps(sum, factor, _mm512_maskz_loadu_ps(mask, at))
                } else {
                    _mm512_mul_ps(sum, factor)
                };
                _mm512_mask_storeu_ps(at, mask, value);
            }
        }
    }
}
