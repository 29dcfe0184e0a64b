//! Matrix products and attention of the processor backend over any sizes and strides, compared with
//! plain sums, while the address sanitizer watches every byte that vector instructions touch.
#![cfg_attr(fuzzing, no_main)]

#[path = "../../backends/kernel"]
mod kernel {
    pub mod mode;

    pub mod cpu {
        mod attention;
        mod bf16;
        mod matmul;
        mod matrix;
        #[allow(dead_code)] // the loops of other operations
        mod simd;
        mod threads;

        use super::mode::Precision;
        use attention::AttentionSizes;
        use matmul::RightOperand;
        use matrix::Matrix;
        use threads::Threads;

        /// Numbers from -1 to 1, in memory of exactly this size.
        fn drawn(seed: u8, count: usize) -> Box<[f32]> {
            let number = |index: usize| {
                let mixed = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ u64::from(seed) << 17);
                (mixed >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            (0..count).map(number).collect()
        }

        /// A matrix of `rows` and `columns` whose lines lie `gap` numbers apart.
        fn matrix(data: &[f32], rows: usize, columns: usize, gap: usize, transposed: bool) -> Matrix<'_> {
            match transposed {
                true => Matrix::new(data, columns, rows, rows + gap).transpose(),
                false => Matrix::new(data, rows, columns, columns + gap),
            }
        }

        fn elements(rows: usize, columns: usize, gap: usize, transposed: bool) -> usize {
            let (lines, length) = if transposed { (columns, rows) } else { (rows, columns) };
            (lines - 1) * (length + gap) + length
        }

        /// The law of products: sizes, gaps and flags come from the bytes.
        pub fn product(bytes: &[u8]) {
            let Some(&[m, n, k, gaps, flags, seed]) = bytes.first_chunk() else {
                return;
            };
            let [m, n, k] = [m, n, k].map(|size| 1 + usize::from(size) % 140);
            let gap = |place: u8| usize::from(gaps >> (2 * place) & 3);
            let flag = |place: u8| flags >> place & 1 == 1;
            let (left_turned, right_turned, add, on_threads) = (flag(0), flag(1), flag(2), flag(3));
            let precision = if flag(4) { Precision::Bf16 } else { Precision::F32 };
            let a = drawn(seed, elements(m, k, gap(0), left_turned));
            let b = drawn(!seed, elements(k, n, gap(1), right_turned));
            let lhs = matrix(&a, m, k, gap(0), left_turned);
            let rhs = matrix(&b, k, n, gap(1), right_turned);
            let stride = n + gap(2);
            let before = drawn(seed ^ 0x55, (m - 1) * stride + n);
            let mut out = before.clone();
            let right = match on_threads {
                true => RightOperand::on_threads(precision, Threads::Rayon, rhs),
                false => RightOperand::new(precision, rhs),
            };
            right.product(&mut out, stride, lhs, 0.5, add);
            let at = |side: Matrix<'_>, i, j| f64::from(side.data[i * side.row_stride + j * side.column_stride]);
            // each operand is rounded to 8 bits
            let one = if precision == Precision::Bf16 {
                1.0 / 128.0
            } else {
                1e-6
            };
            for (index, (&found, &before)) in out.iter().zip(&before).enumerate() {
                let (i, j) = (index / stride, index % stride);
                if j >= n {
                    assert_eq!(found.to_bits(), before.to_bits(), "written outside the result");
                    continue;
                }
                let sum: f64 = (0..k).map(|p| at(lhs, i, p) * at(rhs, p, j)).sum();
                let expected = 0.5 * sum + if add { f64::from(before) } else { 0.0 };
                let difference = (f64::from(found) - expected).abs();
                assert!(
                    difference < one * (1.0 + k as f64),
                    "{m} {n} {k} at {i} {j}: {difference}"
                );
            }
        }

        /// The law of attention: each result is a mean of values, and so lies among them.
        pub fn attention(bytes: &[u8]) {
            let Some(&[items, tokens, heads, head, flags, seed]) = bytes.first_chunk() else {
                return;
            };
            let size = |byte: u8, most: usize| 1 + usize::from(byte) % most;
            let (items, tokens, heads) = (size(items, 3), size(tokens, 40), size(heads, 4));
            let sizes = AttentionSizes {
                tokens,
                width: heads * size(head, 40),
                heads,
                precision: if flags & 1 == 1 {
                    Precision::Bf16
                } else {
                    Precision::F32
                },
            };
            let qkv = drawn(seed, items * tokens * 3 * sizes.width);
            let mut out = vec![f32::NAN; items * tokens * sizes.width].into_boxed_slice();
            attention::forward(Threads::Rayon, &mut out, &qkv, sizes);
            assert!(out.iter().all(|value| value.abs() <= 1.02), "a mean beyond its values");
        }
    }
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((first, rest)) if first % 4 == 0 => kernel::cpu::attention(rest),
        Some((_, rest)) => kernel::cpu::product(rest),
        None => {}
    }
});

#[cfg(not(fuzzing))]
fn main() {
    // every remainder of the tiles' sizes, without a fuzzer: for Miri
    for size in [1, 2, 5, 15, 16, 17, 33, 66] {
        for flags in 0..32 {
            kernel::cpu::product(&[size, 66 - size, size / 2, flags * 7, flags, size]);
        }
        kernel::cpu::attention(&[1, size, 2, size / 2, size, size]);
    }
}
