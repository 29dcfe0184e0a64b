//! Positions of patches on another grid than their table's, and sines for those that no file holds.

use super::config::OtherGrid;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Sines for a row of each token, [tokens, D]: sin in even columns, cos in odd ones.
pub fn sines(tokens: usize, dim: usize) -> Vec<f32> {
    let value = |row: usize, column: usize| {
        let angle = row as f64 / 10000_f64.powf(2.0 * (column / 2) as f64 / dim as f64);
        (if column.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        }) as f32
    };
    (0..tokens)
        .flat_map(|row| (0..dim).map(move |column| value(row, column)))
        .collect()
}

/// A square table [side * side, D] for a grid of other sizes, [rows * columns, D].
pub fn resized<B: Backend>(table: Tensor<B, 2>, how: OtherGrid, rows: usize, columns: usize) -> Tensor<B, 2> {
    let ([count, dim], device) = (table.dims(), table.device());
    let side = count.isqrt();
    let along = |new: usize| {
        let weights = TensorData::new(weights(how, side, new), [new, side]);
        Tensor::<B, 2>::from_data(weights, &device)
    };
    // [side, side * D] to [rows, side * D]
    let table = along(rows).matmul(table.reshape([side, side * dim]));
    let table = table.reshape([rows, side, dim]).swap_dims(0, 1); // [side, rows, D]
    let table = along(columns).matmul(table.reshape([side, rows * dim]));
    table
        .reshape([columns, rows, dim])
        .swap_dims(0, 1)
        .reshape([rows * columns, dim])
}

/// What each of `new` places takes of each of `old` ones, [new, old].
fn weights(how: OtherGrid, old: usize, new: usize) -> Vec<f32> {
    let row = match how {
        OtherGrid::Antialiased => antialiased,
        OtherGrid::BySize | OtherGrid::ByOffset | OtherGrid::Refused => bicubic,
    };
    let size = match how {
        OtherGrid::ByOffset => new as f64 + 0.1,
        OtherGrid::BySize | OtherGrid::Antialiased | OtherGrid::Refused => new as f64,
    };
    let step = old as f64 / size;
    let rows = (0..new).flat_map(|place| row(place as f64, step, old));
    rows.map(|weight| weight as f32).collect()
}

/// Four neighbours; those outside are the edge.
fn bicubic(place: f64, step: f64, old: usize) -> Vec<f64> {
    let centre = step * (place + 0.5) - 0.5;
    let first = centre.floor() - 1.0;
    let mut row = vec![0.0; old];
    for neighbour in 0..4 {
        let at = first + f64::from(neighbour);
        row[at.clamp(0.0, (old - 1) as f64) as usize] += kernel(centre - at, -0.75);
    }
    row
}

/// All places within the kernel, which is as much wider as the grid is coarser.
fn antialiased(place: f64, step: f64, old: usize) -> Vec<f64> {
    let wide = step.max(1.0);
    let middle = step * (place + 0.5);
    let first = (middle - 2.0 * wide + 0.5).floor().max(0.0) as usize;
    let end = ((middle + 2.0 * wide + 0.5).floor() as usize).min(old);
    let mut row = vec![0.0; old];
    for (at, weight) in row.iter_mut().enumerate().take(end).skip(first) {
        *weight = kernel((at as f64 + 0.5 - middle) / wide, -0.5);
    }
    let sum: f64 = row.iter().sum();
    row.iter().map(|weight| weight / sum).collect()
}

/// Keys' cubic convolution kernel (1981), with its parameter a.
fn kernel(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_place_sum_to_one() {
        for how in [OtherGrid::BySize, OtherGrid::ByOffset, OtherGrid::Antialiased] {
            for (old, new) in [(1, 3), (2, 7), (7, 2), (37, 16), (16, 37)] {
                for row in weights(how, old, new).chunks_exact(old) {
                    let sum: f32 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-5, "{how:?} {old} {new}: {sum}");
                }
            }
        }
    }

    #[test]
    fn a_grid_of_the_same_size_is_the_table_itself() {
        for how in [OtherGrid::BySize, OtherGrid::Antialiased] {
            let unit: Vec<f32> = (0..9).map(|i| if i % 4 == 0 { 1.0 } else { 0.0 }).collect();
            assert_eq!(weights(how, 3, 3), unit, "{how:?}");
        }
    }

    #[test]
    fn sines_begin_with_zero_and_one() {
        assert_eq!(&sines(2, 4)[..4], [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(sines(2, 4)[4], 1_f64.sin() as f32);
        assert_eq!(sines(2, 4)[6], 0.01_f64.sin() as f32);
    }
}
