//! Loops over f32 slices that the compiler vectorizes, compiled three times: for AVX-512, for AVX2
//! with fused multiply-add, and for any processor.
//!
//! Every sum runs over fixed lanes, so a processor always computes the same bits, and AVX-512 and
//! AVX2 compute equal ones.

/// Defines a function that runs its body compiled for the widest vectors of the processor. `FMA` is
/// true if multiply-add is fused.
macro_rules! wide {
    ($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        pub(super) fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters)] // not every body multiplies and adds
            fn body<const FMA: bool>($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    body::<true>($($argument),*)
                }
                if $crate::kernel::cpu::simd::has_avx512() {
                    // SAFETY: the processor has all of them
                    return unsafe { avx512($($argument),*) };
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    body::<true>($($argument),*)
                }
                // SAFETY: the processor has both
                return unsafe { avx2($($argument),*) };
            }
            body::<false>($($argument),*)
        }
    };
}
pub(super) use wide;

/// AVX-512 with vectors of bytes and words.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
}

const LANES: usize = 16;

/// Candidates for the largest value that are tracked in parallel.
const TOPS: usize = 32;

/// a * b + c, rounded once if the processor can.
#[inline(always)]
fn fused<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x within 2 units in the last place, x clamped to [-87, 88]. NaN stays NaN.
///
/// The polynomial is that of Cephes' `expf` (S. Moshier).
#[inline(always)]
#[allow(clippy::excessive_precision)] // digits as published
fn exp<const FMA: bool>(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
    const ROUNDER: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = fused::<FMA>(x, std::f32::consts::LOG2_E, ROUNDER);
    let whole = shifted - ROUNDER;
    let r = fused::<FMA>(whole, 2.121_944_4e-4, fused::<FMA>(whole, -0.693_359_375, x));
    let p = 1.987_569_15e-4;
    let p = fused::<FMA>(p, r, 1.398_199_950_7e-3);
    let p = fused::<FMA>(p, r, 8.333_451_907_3e-3);
    let p = fused::<FMA>(p, r, 4.166_579_589_4e-2);
    let p = fused::<FMA>(p, r, 1.666_666_545_9e-1);
    let p = fused::<FMA>(p, r, 5.000_000_120_1e-1);
    let power_of_two = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    (fused::<FMA>(p, r * r, r) + 1.0) * power_of_two
}

/// The normal distribution function, (1 + erf(x / sqrt 2)) / 2, within 3e-7.
///
/// erf is an odd rational function of its argument clamped to [-4, 4], with the coefficients of
/// Eigen's `erf` for floats.
#[inline(always)]
#[allow(clippy::excessive_precision)] // digits as published
fn normal_cdf<const FMA: bool>(x: f32) -> f32 {
    let z = x * std::f32::consts::FRAC_1_SQRT_2;
    let z = if z < -4.0 { -4.0 } else { z };
    let z = if z > 4.0 { 4.0 } else { z };
    let s = z * z;
    let p = -2.726_142_258_013_06e-10;
    let p = fused::<FMA>(p, s, 2.770_681_424_959_02e-8);
    let p = fused::<FMA>(p, s, -2.101_024_020_825_08e-6);
    let p = fused::<FMA>(p, s, -5.692_506_394_623_46e-5);
    let p = fused::<FMA>(p, s, -7.349_906_303_268_55e-4);
    let p = fused::<FMA>(p, s, -2.954_598_098_540_25e-3);
    let p = fused::<FMA>(p, s, -1.609_603_332_624_15e-2);
    let q = -1.456_607_184_649_96e-5;
    let q = fused::<FMA>(q, s, -2.133_740_552_789_05e-4);
    let q = fused::<FMA>(q, s, -1.682_826_974_382_03e-3);
    let q = fused::<FMA>(q, s, -7.373_329_167_204_68e-3);
    let q = fused::<FMA>(q, s, -1.426_473_905_141_89e-2);
    fused::<FMA>(0.5 * z, p / q, 0.5)
}

/// The slope of the exact GELU at x, whose normal distribution function is `cdf`.
#[inline(always)]
fn gelu_slope<const FMA: bool>(x: f32, cdf: f32) -> f32 {
    /// 1 / sqrt(2 pi).
    const DENSITY: f32 = 0.398_942_3;
    cdf + x * DENSITY * exp::<FMA>(-0.5 * x * x)
}

/// The sum of `value` over slices of equal length.
#[inline(always)]
fn sum_lanes<const N: usize>(rows: [&[f32]; N], value: impl Fn([f32; N]) -> f32) -> f32 {
    let length = rows[0].len();
    let rows = rows.map(|row| row[..length].as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for block in 0..length / LANES {
        let blocks = rows.map(|(blocks, _)| &blocks[block]);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += value(blocks.map(|block| block[lane]));
        }
    }
    let rest: f32 = (0..length % LANES)
        .map(|index| value(rows.map(|(_, rest)| rest[index])))
        .sum();
    lanes.iter().sum::<f32>() + rest
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut tops = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (top, &value) in tops.iter_mut().zip(block) {
            *top = if value > *top { value } else { *top };
        }
    }
    tops.iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |top, &value| top.max(value))
}

wide! {
    /// Softmax of each row of `columns` values, in place.
    fn softmax_rows(scores: &mut [f32], columns: usize) {
        for row in scores.chunks_exact_mut(columns) {
            let top = largest(row);
            for value in row.iter_mut() {
                *value = exp::<FMA>(*value - top);
            }
            let factor = 1.0 / sum_lanes([&*row], |[value]| value);
            for value in row.iter_mut() {
                *value *= factor;
            }
        }
    }
}

wide! {
    /// Replaces the gradient of softmax's result by that of its scores times `factor`.
    fn softmax_rows_backward(grad: &mut [f32], mix: &[f32], columns: usize, factor: f32) {
        for (grad, mix) in grad.chunks_exact_mut(columns).zip(mix.chunks_exact(columns)) {
            let mix = &mix[..grad.len()];
            let mean = sum_lanes([mix, &*grad], |[mix, grad]| mix * grad);
            for (grad, mix) in grad.iter_mut().zip(mix) {
                *grad = *mix * (*grad - mean) * factor;
            }
        }
    }
}

wide! {
    /// Cross-entropy of each row of `columns` logits against its code.
    fn cross_entropy_rows(losses: &mut [f32], logits: &[f32], codes: &[i64], columns: usize) {
        for ((loss, row), &code) in losses.iter_mut().zip(logits.chunks_exact(columns)).zip(codes) {
            let top = largest(row);
            let sum = sum_lanes([row], |[value]| exp::<FMA>(value - top));
            *loss = (top - row[code as usize]) + sum.ln();
        }
    }
}

wide! {
    /// Gradients of [`cross_entropy_rows`], times `factor`.
    fn cross_entropy_rows_backward(out: &mut [f32], logits: &[f32], codes: &[i64], columns: usize, factor: f32) {
        let rows = out.chunks_exact_mut(columns).zip(logits.chunks_exact(columns));
        for ((out, row), &code) in rows.zip(codes) {
            let top = largest(row);
            for (out, value) in out.iter_mut().zip(row) {
                *out = exp::<FMA>(*value - top);
            }
            let factor_here = factor / sum_lanes([&*out], |[value]| value);
            for out in out.iter_mut() {
                *out *= factor_here;
            }
            out[code as usize] -= factor;
        }
    }
}

/// Mean, and 1 / sqrt(variance + `epsilon`).
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum_lanes([row], |[value]| value) / count;
    let variance = sum_lanes([row], |[value]| (value - mean) * (value - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

wide! {
    /// Layer normalization of each of `rows` into `out`, with scale and shift of a row's length.
    fn norm_rows(out: &mut [f32], rows: &[f32], scale: &[f32], shift: &[f32], epsilon: f32) {
        let columns = scale.len();
        for (out, row) in out.chunks_exact_mut(columns).zip(rows.chunks_exact(columns)) {
            let (mean, factor) = moments(row, epsilon);
            for (((out, value), scale), shift) in out.iter_mut().zip(row).zip(scale).zip(shift) {
                *out = (*value - mean) * factor * *scale + *shift;
            }
        }
    }
}

wide! {
    /// Gradients of [`norm_rows`]: of the rows into `out`, of scale and shift added to theirs.
    fn norm_rows_backward(
        out: &mut [f32],
        scale_grad: &mut [f32],
        shift_grad: &mut [f32],
        rows: &[f32],
        scale: &[f32],
        grad: &[f32],
        epsilon: f32,
    ) {
        let columns = scale.len();
        let rows = rows.chunks_exact(columns).zip(grad.chunks_exact(columns));
        for (out, (row, grad)) in out.chunks_exact_mut(columns).zip(rows) {
            let (mean, factor) = moments(row, epsilon);
            for ((out, value), (scale_grad, (shift_grad, grad))) in
                out.iter_mut().zip(row).zip(scale_grad.iter_mut().zip(shift_grad.iter_mut().zip(grad)))
            {
                *out = (*value - mean) * factor;
                *scale_grad += *grad * *out;
                *shift_grad += *grad;
            }
            let (grad, scale) = (&grad[..columns], &scale[..columns]);
            let inner_mean = sum_lanes([grad, scale], |[grad, scale]| grad * scale) / columns as f32;
            let along = sum_lanes([grad, scale, &*out], |[grad, scale, out]| grad * scale * out) / columns as f32;
            for ((out, grad), scale) in out.iter_mut().zip(grad).zip(scale) {
                *out = (*grad * *scale - inner_mean - *out * along) * factor;
            }
        }
    }
}

wide! {
    /// The exact GELU of `values` into `out`.
    fn gelu(out: &mut [f32], values: &[f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = *value * normal_cdf::<FMA>(*value);
        }
    }
}

wide! {
    /// The gradient of `values` into `out`, from that of their exact GELU.
    fn gelu_grad(out: &mut [f32], values: &[f32], grad: &[f32]) {
        for (out, (value, grad)) in out.iter_mut().zip(values.iter().zip(grad)) {
            *out = *grad * gelu_slope::<FMA>(*value, normal_cdf::<FMA>(*value));
        }
    }
}

wide! {
    /// Adds `bias` to each row of `hidden` and stores its exact GELU in `activated`.
    fn bias_gelu(activated: &mut [f32], hidden: &mut [f32], bias: &[f32]) {
        let rows = hidden.chunks_exact_mut(bias.len());
        for (activated, hidden) in activated.chunks_exact_mut(bias.len()).zip(rows) {
            for ((activated, hidden), bias) in activated.iter_mut().zip(hidden).zip(bias) {
                *hidden += *bias;
                *activated = *hidden * normal_cdf::<FMA>(*hidden);
            }
        }
    }
}

wide! {
    /// Adds `bias` to each row of `hidden` and applies the exact GELU in place.
    fn bias_gelu_in_place(hidden: &mut [f32], bias: &[f32]) {
        for hidden in hidden.chunks_exact_mut(bias.len()) {
            for (hidden, bias) in hidden.iter_mut().zip(bias) {
                let sum = *hidden + *bias;
                *hidden = sum * normal_cdf::<FMA>(sum);
            }
        }
    }
}

wide! {
    /// Stores the exact GELU of `hidden` in `activated` and replaces the gradient of that by
    /// `hidden`'s.
    fn gelu_backward(activated: &mut [f32], grad: &mut [f32], hidden: &[f32]) {
        for ((activated, grad), hidden) in activated.iter_mut().zip(grad).zip(hidden) {
            let x = *hidden;
            let cdf = normal_cdf::<FMA>(x);
            *activated = x * cdf;
            *grad *= gelu_slope::<FMA>(x, cdf);
        }
    }
}

wide! {
    /// Adds each of `rows` to `sums`.
    fn add_rows(sums: &mut [f32], rows: &[f32]) {
        for row in rows.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += *value;
            }
        }
    }
}

wide! {
    /// One AdamW update in place; `factors` are beta1, 1 - beta1, beta2, 1 - beta2, epsilon, keep,
    /// rate, root.
    fn adamw(weights: &mut [f32], first: &mut [f32], second: &mut [f32], grad: &[f32], factors: [f32; 8]) {
        let [beta1, rest1, beta2, rest2, epsilon, keep, rate, root] = factors;
        for (((weight, first), second), grad) in weights.iter_mut().zip(first).zip(second).zip(grad) {
            *first = *first * beta1 + *grad * rest1;
            *second = *second * beta2 + *grad * *grad * rest2;
            *weight = *weight * keep - *first / (second.sqrt() / root + epsilon) * rate;
        }
    }
}

wide! {
    fn square_sum(row: &[f32]) -> f32 {
        sum_lanes([row], |[value]| value * value)
    }
}

wide! {
    /// The index of the largest of each `columns` values of `scores`, the first on ties.
    fn first_largest(places: &mut [i64], scores: &[f32], columns: usize) {
        for (place, row) in places.iter_mut().zip(scores.chunks_exact(columns)) {
            let (mut tops, mut at) = ([f32::NEG_INFINITY; TOPS], [0_u32; TOPS]);
            let (blocks, rest) = row.as_chunks::<TOPS>();
            for (number, block) in blocks.iter().enumerate() {
                for ((top, at), &value) in tops.iter_mut().zip(&mut at).zip(block) {
                    *at = if value > *top { number as u32 } else { *at };
                    *top = if value > *top { value } else { *top };
                }
            }
            let (mut best, mut found) = (f32::NEG_INFINITY, usize::MAX);
            for (lane, (&top, &number)) in tops.iter().zip(&at).enumerate() {
                let index = number as usize * TOPS + lane;
                if top > best || (top == best && index < found) {
                    (best, found) = (top, index);
                }
            }
            for (offset, &value) in rest.iter().enumerate() {
                if value > best {
                    (best, found) = (value, blocks.len() * TOPS + offset);
                }
            }
            // 0 if all are NaN
            *place = if found < columns { found as i64 } else { 0 };
        }
    }
}
