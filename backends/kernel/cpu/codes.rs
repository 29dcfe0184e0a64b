//! Scores of code vectors on slices: nearest codes, residual codes, dot products.
//!
//! Every score is one chain of sums along a vector's numbers, whatever rows and codes are scored with
//! it. So equal vectors score equal on every processor, ties fall to the lowest index, and a row's
//! codes do not depend on its batch.

use super::matmul::{product, transposed};
use super::matrix::Matrix;
use super::rows::BLOCK;
use super::simd;
use super::threads::Threads;
use crate::kernel::plain::SHORTEST;
use std::borrow::Cow;

/// Numbers of a vector that are multiplied at a time. With more, `gemm` cuts the sums of small and of
/// large blocks in different places.
const PART: usize = 512;

/// Codes whose rows one thread sums at a time.
const SUMMED: usize = 32;

/// Code vectors, prepared for scores.
struct Book {
    /// [d, C].
    columns: Vec<f32>,
    /// C: the codes, or 2 if there is one.
    count: usize,
    width: usize,
}

impl Book {
    /// Of `vectors` [K, d].
    fn new(threads: Threads, vectors: &[f32], width: usize) -> Self {
        let vectors = at_least_two(vectors, width);
        let columns = transposed(Some(threads), Matrix::dense(&vectors, width).transpose());
        Self {
            columns,
            count: vectors.len() / width,
            width,
        }
    }

    /// Adds the dot products of `rows` [n, d] with the codes to `scores` [n, C].
    fn add_dots(&self, scores: &mut [f32], rows: &[f32]) {
        if rows.len() == self.width {
            let mut twice = scores.repeat(2);
            self.add_dots(&mut twice, &rows.repeat(2));
            scores.copy_from_slice(&twice[..self.count]);
            return;
        }
        let Self { count, width, .. } = *self;
        for start in (0..width).step_by(PART) {
            let part = PART.min(width - start);
            let lhs = Matrix::new(&rows[start..], rows.len() / width, part, width);
            let rhs = Matrix::dense(&self.columns[start * count..][..part * count], count);
            product(scores, count, lhs, rhs, 1.0, true);
        }
    }
}

/// The vectors, or one vector twice: `gemm` multiplies single rows and columns by other sums.
fn at_least_two(vectors: &[f32], width: usize) -> Cow<'_, [f32]> {
    if vectors.len() == width {
        vectors.repeat(2).into()
    } else {
        vectors.into()
    }
}

/// -|w|²/2 of each vector w of a book.
fn half_norms(vectors: &[f32], width: usize) -> Vec<f32> {
    let vectors = at_least_two(vectors, width);
    let vectors = vectors.chunks_exact(width);
    vectors.map(|vector| -0.5 * simd::square_sum(vector)).collect()
}

/// The index of the nearest of `vectors` [K, d] to each of `rows` [N, d] into `codes` [N], the
/// lowest on ties.
pub(super) fn nearest(threads: Threads, codes: &mut [i64], rows: &[f32], vectors: &[f32], width: usize) {
    // |n|² is the same for every code, which leaves n·w - |w|²/2
    largest(threads, codes, rows, vectors, width, &half_norms(vectors, width));
}

/// The same of the vector with the largest dot product.
pub(super) fn most_similar(threads: Threads, codes: &mut [i64], rows: &[f32], vectors: &[f32], width: usize) {
    let zeros = vec![0.0; at_least_two(vectors, width).len() / width];
    largest(threads, codes, rows, vectors, width, &zeros);
}

/// The index of the largest score of each row: the dot product plus the code's part in `start` [C].
fn largest(threads: Threads, codes: &mut [i64], rows: &[f32], vectors: &[f32], width: usize, start: &[f32]) {
    let book = Book::new(threads, vectors, width);
    let items = codes.chunks_mut(BLOCK).zip(rows.chunks(BLOCK * width)).collect();
    threads.for_each(items, |(codes, rows)| {
        let mut scores = start.repeat(codes.len());
        book.add_dots(&mut scores, rows);
        simd::first_largest(codes, &scores, book.count);
    });
}

/// Dot products of `rows` [N, d] with `vectors` [K, d] into `out` [N, K].
pub(super) fn dot_products(threads: Threads, out: &mut [f32], rows: &[f32], vectors: &[f32], width: usize) {
    let (book, count) = (Book::new(threads, vectors, width), vectors.len() / width);
    let items = out.chunks_mut(BLOCK * count).zip(rows.chunks(BLOCK * width)).collect();
    threads.for_each(items, |(out, rows): (&mut [f32], &[f32])| {
        let mut scores = vec![0.0; rows.len() / width * book.count];
        book.add_dots(&mut scores, rows);
        for (out, scores) in out.chunks_exact_mut(count).zip(scores.chunks_exact(book.count)) {
            out.copy_from_slice(&scores[..count]);
        }
    });
}

/// Sums of the `rows` [N, d] of each code, into `out` [K, d], given the codes [N, S] of each row: added in
/// the order of rows, whichever thread does it.
pub(super) fn sums(threads: Threads, out: &mut [f32], rows: &[f32], codes: &[i64], width: usize) {
    let picks = codes.len() / (rows.len() / width);
    let items = out.chunks_mut(SUMMED * width).zip((0..).step_by(SUMMED)).collect();
    threads.for_each(items, |(out, first): (&mut [f32], i64)| {
        out.fill(0.0);
        let part = first..first + (out.len() / width) as i64;
        for (row, codes) in rows.chunks_exact(width).zip(codes.chunks_exact(picks)) {
            for code in codes.iter().filter(|code| part.contains(code)) {
                let sum = &mut out[(code - first) as usize * width..][..width];
                sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
    });
}

/// Codes [N, Q] of a chain of `books` [K, d]: see
/// [`Ops::residual_codes`](crate::Ops::residual_codes). The residuals of a block of rows stay in a
/// core's cache through all levels.
pub(super) fn residual(
    threads: Threads,
    codes: &mut [i64],
    rows: &[f32],
    books: &[&[f32]],
    width: usize,
    unit_lookup: bool,
) {
    let prepared: Vec<(Book, Vec<f32>)> = books
        .iter()
        .map(|book| (Book::new(threads, book, width), half_norms(book, width)))
        .collect();
    let levels = books.len();
    let items = codes
        .chunks_mut(BLOCK * levels)
        .zip(rows.chunks(BLOCK * width))
        .collect();
    threads.for_each(items, |(codes, rows): (&mut [i64], &[f32])| {
        let (mut left, mut found) = (rows.to_vec(), vec![0; codes.len() / levels]);
        let mut scores = Vec::new();
        for (level, (vectors, (book, half_norms))) in books.iter().zip(&prepared).enumerate() {
            // at unit length all scores would be divided by the row's length: the largest is the
            // same
            scores.clear();
            for row in left.chunks_exact(width) {
                let length = if unit_lookup {
                    simd::square_sum(row).sqrt().max(SHORTEST)
                } else {
                    1.0
                };
                scores.extend(half_norms.iter().map(|half| half * length));
            }
            book.add_dots(&mut scores, &left);
            simd::first_largest(&mut found, &scores, book.count);
            for ((row, codes), &code) in left
                .chunks_exact_mut(width)
                .zip(codes.chunks_exact_mut(levels))
                .zip(&found)
            {
                codes[level] = code;
                let vector = &vectors[code as usize * width..][..width];
                row.iter_mut().zip(vector).for_each(|(left, value)| *left -= value);
            }
        }
    });
}
