//! Self-attention that never stores the matrix of scores or its gradient (Dao et al.,
//! FlashAttention, arXiv 2205.14135; FlashAttention-2, arXiv 2307.08691): a cube holds a tile of
//! queries (or of keys) and iterates over the tiles of the other side.
//!
//! Kernels read fused queries, keys and values, [B, T, 3D], and write results, [B, T, D] or [B, T,
//! 3D], without a permuted copy. E is the type of the operands of products; all else is f32.

use super::tile::{FRAGMENT, PLANE, ProductForm, UNITS, allocate, area, on_tensor_cores, product, stride, sync_rows};
use burn_cubecl::cubecl;
use cubecl::ir::{ElemType, FloatKind, StorageType};
use cubecl::prelude::*;

/// Instead of minus infinity: its exp is 0, and differences stay finite.
const LOWEST: f32 = -1e30;

/// Bytes of an f32.
const F32: usize = size_of::<f32>();

/// Tiles of an attention, known when its kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AttentionTiles {
    /// Rows of the tile that a cube holds.
    pub rows: usize,
    /// Rows of the tiles of the other side.
    pub others: usize,
    /// Elements of a head, D / H.
    pub head: usize,
    /// The same, padded with zeros to a multiple of a fragment.
    pub padded: usize,
    /// Bytes of an operand.
    pub bytes: usize,
}

impl AttentionTiles {
    /// Units of a cube: if tensor cores multiply, a plane for each 16 rows.
    pub const fn units(self) -> usize {
        if on_tensor_cores(self.bytes) {
            self.rows / FRAGMENT * PLANE
        } else {
            UNITS
        }
    }

    /// Units that share a row of the tile, each with every n-th element.
    const fn sharers(self) -> usize {
        self.units() / self.rows
    }

    /// Rows of the tile by rows of the other side, summed over the elements of a head.
    const fn scores(self) -> ProductForm {
        ProductForm {
            m: self.rows,
            n: self.others,
            k: self.padded,
            transposed: true,
            add: false,
            bytes: self.bytes,
        }
    }

    /// Such weights times the other side's rows, added to a row for each of the tile.
    const fn mixed(self) -> ProductForm {
        ProductForm {
            m: self.rows,
            n: self.padded,
            k: self.others,
            transposed: false,
            add: true,
            bytes: self.bytes,
        }
    }
}

/// The kernel for which tiles are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Results, or what the backward pass needs of them.
    Forward,
    /// Gradients of queries.
    Queries,
    /// Gradients of keys and values.
    Keys,
}

/// The largest tiles with which two cubes fit into `shared` bytes, or else one; None if not even
/// the smallest fit.
pub(super) fn tiles(head: usize, bytes: usize, shared: usize, pass: Pass) -> Option<AttentionTiles> {
    let padded = head.next_multiple_of(FRAGMENT);
    let needed = |[rows, others]: [usize; 2]| {
        let tall = |rows: usize, bytes: usize| bytes * area(rows, padded, bytes);
        let square = |bytes: usize| bytes * area(rows, others, bytes);
        let own = tall(rows, bytes) + 2 * tall(others, bytes) + square(bytes) + square(F32) + tall(rows, F32);
        let units = F32 * 2 * UNITS;
        match pass {
            Pass::Forward => own + units,
            Pass::Queries => own + units + tall(rows, bytes) + square(F32),
            Pass::Keys => own + units + tall(rows, bytes) + square(F32) + tall(rows, F32),
        }
    };
    let choices: &[[usize; 2]] = if on_tensor_cores(bytes) {
        &[[128, 32], [64, 32], [32, 32], [16, 16]]
    } else {
        &[[64, 64], [32, 32], [16, 16]]
    };
    let fits = |limit: usize| choices.iter().find(|&&tiles| needed(tiles) <= limit);
    let &[rows, others] = fits(shared / 2).or_else(|| fits(shared))?;
    Some(AttentionTiles {
        rows,
        others,
        head,
        padded,
        bytes,
    })
}

/// The number type of operands of `bytes`.
pub(super) fn operand(bytes: usize) -> StorageType {
    ElemType::Float(if on_tensor_cores(bytes) {
        FloatKind::BF16
    } else {
        FloatKind::F32
    })
    .into()
}

/// Where a cube works: cubes are (tiles, heads, batch). Offsets are those of a head's first token.
#[derive(CubeType)]
struct CubeOffsets {
    /// Tokens T.
    tokens: usize,
    /// Width D.
    width: usize,
    /// The first token of the tile.
    first: usize,
    /// In queries, [B, T, 3D]; keys follow D later, values 2D.
    of_qkv: usize,
    /// In results and their gradients, [B, T, D].
    of_result: usize,
    /// In logarithms of sums of exponentials, the first half of [2, B, H, T].
    of_logs: usize,
    /// In inner products of results and their gradients, the second half.
    of_inners: usize,
}

#[cube]
fn offsets(tokens: u32, heads: u32, #[comptime] sizes: AttentionTiles) -> CubeOffsets {
    let (tokens, heads) = (tokens as usize, heads as usize);
    let (item, head) = (CUBE_POS_Z as usize, CUBE_POS_Y as usize);
    let width = heads * sizes.head;
    let of_logs = (item * heads + head) * tokens;
    CubeOffsets {
        tokens,
        width,
        first: CUBE_POS_X as usize * sizes.rows,
        of_qkv: item * tokens * 3 * width + head * sizes.head,
        of_result: item * tokens * width + head * sizes.head,
        of_logs,
        of_inners: CUBE_COUNT_Z as usize * heads * tokens + of_logs,
    }
}

/// Loads rows `first..` of one head, times `factor`; zeros after the last token and after the
/// head's elements.
#[cube]
fn load<E: Float>(
    from: &Array<f32>,
    to: &mut SharedMemory<E>,
    base: usize,
    step: usize,
    first: usize,
    tokens: usize,
    factor: f32,
    #[comptime] rows: usize,
    #[comptime] sizes: AttentionTiles,
) {
    for turn in 0..comptime!((rows * sizes.padded).div_ceil(sizes.units())) {
        let index = turn * comptime!(sizes.units()) + UNIT_POS as usize;
        let (row, column) = (index / sizes.padded, index % sizes.padded);
        if row < rows {
            let mut value = 0.0f32;
            if first + row < tokens && column < sizes.head {
                value = from[base + (first + row) * step + column] * factor;
            }
            to[row * comptime!(stride(sizes.padded, sizes.bytes)) + column] = E::cast_from(value);
        }
    }
}

/// Thirds of fused queries, keys and values.
const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;

/// [`load`] from one third of `qkv`.
#[cube]
fn load_part<E: Float>(
    qkv: &Array<f32>,
    to: &mut SharedMemory<E>,
    offsets: &CubeOffsets,
    #[comptime] part: usize,
    first: usize,
    factor: f32,
    #[comptime] rows: usize,
    #[comptime] sizes: AttentionTiles,
) {
    let (width, tokens) = (offsets.width, offsets.tokens);
    load::<E>(
        qkv,
        to,
        offsets.of_qkv + part * width,
        3 * width,
        first,
        tokens,
        factor,
        rows,
        sizes,
    );
}

/// Writes the rows of the tile that are tokens, times `factor`.
#[cube]
fn save(
    from: &SharedMemory<f32>,
    to: &mut Array<f32>,
    base: usize,
    step: usize,
    first: usize,
    tokens: usize,
    factor: f32,
    #[comptime] sizes: AttentionTiles,
) {
    for turn in 0..comptime!((sizes.rows * sizes.padded).div_ceil(sizes.units())) {
        let index = turn * comptime!(sizes.units()) + UNIT_POS as usize;
        let (row, column) = (index / sizes.padded, index % sizes.padded);
        if row < sizes.rows && first + row < tokens && column < sizes.head {
            to[base + (first + row) * step + column] =
                from[row * comptime!(stride(sizes.padded, F32)) + column] * factor;
        }
    }
}

/// A tile of zeros, a row for each of the tile.
#[cube]
fn zeros(#[comptime] sizes: AttentionTiles) -> SharedMemory<f32> {
    let mut sums = allocate::<f32>(sizes.rows, sizes.padded, F32);
    let length = comptime!(area(sizes.rows, sizes.padded, F32));
    for turn in 0..comptime!(length.div_ceil(sizes.units())) {
        let index = turn * comptime!(sizes.units()) + UNIT_POS as usize;
        if index < length {
            sums[index] = 0.0f32;
        }
    }
    sums
}

/// Attention of one tile of queries: cubes (tiles, heads, batch).
///
/// Forward, `out` [B, T, D] is the result. Backward, `out` [2, B, H, T] is what [`gradients`]
/// needs: for each query the logarithm of the sum of its exponentials, and the inner product of its
/// result with `grad` [B, T, D].
#[cube(launch_unchecked)]
pub(super) fn attend<E: Float>(
    qkv: &Array<f32>,
    grad: &Array<f32>,
    out: &mut Array<f32>,
    tokens: u32,
    heads: u32,
    factor: f32,
    #[comptime] backward: bool,
    #[comptime] sizes: AttentionTiles,
    #[define(E)] _operand: StorageType,
) {
    let offsets = offsets(tokens, heads, sizes);
    let (tokens, width, first) = (offsets.tokens, offsets.width, offsets.first);

    let mut q = allocate::<E>(sizes.rows, sizes.padded, sizes.bytes);
    let mut k = allocate::<E>(sizes.others, sizes.padded, sizes.bytes);
    let mut v = allocate::<E>(sizes.others, sizes.padded, sizes.bytes);
    let mut weights = allocate::<E>(sizes.rows, sizes.others, sizes.bytes);
    let mut scores = allocate::<f32>(sizes.rows, sizes.others, F32);
    let mut mixed = zeros(sizes);
    let mut largest = SharedMemory::<f32>::new(comptime!(sizes.units()));
    let mut sums = SharedMemory::<f32>::new(comptime!(sizes.units()));

    let unit = UNIT_POS as usize;
    let sharers = comptime!(sizes.sharers());
    let (row, share) = (unit / sharers, unit % sharers);
    let of_scores = row * comptime!(stride(sizes.others, F32));
    let of_weights = row * comptime!(stride(sizes.others, sizes.bytes));
    let of_mixed = row * comptime!(stride(sizes.padded, F32));

    load_part::<E>(qkv, &mut q, &offsets, QUERY, first, factor, sizes.rows, sizes);
    let mut top = f32::new(LOWEST); // the row's largest score so far
    let mut total = 0.0f32; // and the sum of exp(score - top)

    for turn in 0..1 + (tokens - 1) / sizes.others {
        let start = turn * sizes.others;
        sync_cube(); // the previous keys and values have been read
        load_part::<E>(qkv, &mut k, &offsets, KEY, start, 1.0f32, sizes.others, sizes);
        load_part::<E>(qkv, &mut v, &offsets, VALUE, start, 1.0f32, sizes.others, sizes);
        sync_cube();
        product::<E>(&q, &k, &mut scores, comptime!(sizes.scores()));
        sync_rows(sizes.bytes);

        let mut high = f32::new(LOWEST);
        #[unroll]
        for step in 0..comptime!(sizes.others / sharers) {
            let column = step * sharers + share;
            if start + column < tokens {
                high = f32::max(high, scores[of_scores + column]);
            }
        }
        largest[unit] = high;
        sync_rows(sizes.bytes);
        let before = top;
        #[unroll]
        for sharer in 0..sharers {
            top = f32::max(top, largest[row * sharers + sharer]);
        }
        let shrunk = (before - top).exp();
        let mut sum = 0.0f32;
        #[unroll]
        for step in 0..comptime!(sizes.others / sharers) {
            let column = step * sharers + share;
            let mut weight = 0.0f32;
            if start + column < tokens {
                weight = (scores[of_scores + column] - top).exp();
            }
            sum += weight;
            weights[of_weights + column] = E::cast_from(weight);
        }
        sums[unit] = sum;
        if shrunk < 1.0f32 {
            for step in 0..comptime!(sizes.padded / sharers) {
                mixed[of_mixed + step * sharers + share] *= shrunk;
            }
        }
        sync_rows(sizes.bytes);
        total *= shrunk;
        #[unroll]
        for sharer in 0..sharers {
            total += sums[row * sharers + sharer];
        }
        product::<E>(&weights, &v, &mut mixed, comptime!(sizes.mixed()));
    }
    sync_cube();

    if comptime!(backward) {
        let mut inner = 0.0f32;
        if first + row < tokens {
            let at = offsets.of_result + (first + row) * width;
            for step in 0..comptime!(sizes.padded / sharers) {
                let column = step * sharers + share;
                if column < sizes.head {
                    inner += mixed[of_mixed + column] * grad[at + column];
                }
            }
        }
        sums[unit] = inner / total;
        sync_cube();
        if share == 0 && first + row < tokens {
            let mut all = 0.0f32;
            #[unroll]
            for sharer in 0..sharers {
                all += sums[row * sharers + sharer];
            }
            out[offsets.of_logs + first + row] = top + total.ln();
            out[offsets.of_inners + first + row] = all;
        }
    } else {
        largest[unit] = 1.0f32 / total;
        sync_cube();
        let at = offsets.of_result;
        for turn in 0..comptime!((sizes.rows * sizes.padded).div_ceil(sizes.units())) {
            let index = turn * comptime!(sizes.units()) + unit;
            let (row, column) = (index / sizes.padded, index % sizes.padded);
            if row < sizes.rows && first + row < tokens && column < sizes.head {
                let value = mixed[row * comptime!(stride(sizes.padded, F32)) + column];
                out[at + (first + row) * width + column] = value * largest[row * sharers];
            }
        }
    }
}

/// Gradients, in `out` [B, T, 3D], of one tile of queries, or of one of keys and values: cubes
/// (tiles, heads, batch). `state` [2, B, H, T] comes from [`attend`], `grad` [B, T, D] is the
/// gradient of the result.
///
/// For a tile of queries q with gradients g and all keys k and values v: weights W = exp(q kᵀ -
/// logarithm), gradients of scores S = W (g vᵀ - inner product), and S k. For a tile of k and v and
/// all q and g the transposes: Wᵀ g and Sᵀ q.
#[cube(launch_unchecked)]
pub(super) fn gradients<E: Float>(
    qkv: &Array<f32>,
    grad: &Array<f32>,
    state: &Array<f32>,
    out: &mut Array<f32>,
    tokens: u32,
    heads: u32,
    factor: f32,
    #[comptime] keys: bool,
    #[comptime] sizes: AttentionTiles,
    #[define(E)] _operand: StorageType,
) {
    let offsets = offsets(tokens, heads, sizes);
    let (tokens, width, first, base) = (offsets.tokens, offsets.width, offsets.first, offsets.of_qkv);
    let (of_grad, logs, inners) = (offsets.of_result, offsets.of_logs, offsets.of_inners);

    // q and g of a tile of queries, or its k and v
    let mut one = allocate::<E>(sizes.rows, sizes.padded, sizes.bytes);
    let mut two = allocate::<E>(sizes.rows, sizes.padded, sizes.bytes);
    // and those of the other side
    let mut other_one = allocate::<E>(sizes.others, sizes.padded, sizes.bytes);
    let mut other_two = allocate::<E>(sizes.others, sizes.padded, sizes.bytes);
    let mut operand = allocate::<E>(sizes.rows, sizes.others, sizes.bytes);
    let mut scores = allocate::<f32>(sizes.rows, sizes.others, F32);
    let mut grads = allocate::<f32>(sizes.rows, sizes.others, F32);
    let mut of_one = zeros(sizes);
    let mut of_two = if comptime!(keys) {
        zeros(sizes)
    } else {
        SharedMemory::<f32>::new(1usize)
    };

    if comptime!(keys) {
        load_part::<E>(qkv, &mut one, &offsets, KEY, first, 1.0f32, sizes.rows, sizes);
        load_part::<E>(qkv, &mut two, &offsets, VALUE, first, 1.0f32, sizes.rows, sizes);
    } else {
        load_part::<E>(qkv, &mut one, &offsets, QUERY, first, factor, sizes.rows, sizes);
        load::<E>(grad, &mut two, of_grad, width, first, tokens, 1.0f32, sizes.rows, sizes);
    }

    let sharers = comptime!(sizes.sharers());
    let (row, share) = (UNIT_POS as usize / sharers, UNIT_POS as usize % sharers);
    let of_scores = row * comptime!(stride(sizes.others, F32));
    let of_operand = row * comptime!(stride(sizes.others, sizes.bytes));

    for turn in 0..1 + (tokens - 1) / sizes.others {
        let start = turn * sizes.others;
        sync_cube(); // the other side's previous rows have been read
        if comptime!(keys) {
            load_part::<E>(qkv, &mut other_one, &offsets, QUERY, start, factor, sizes.others, sizes);
            load::<E>(
                grad,
                &mut other_two,
                of_grad,
                width,
                start,
                tokens,
                1.0f32,
                sizes.others,
                sizes,
            );
        } else {
            load_part::<E>(qkv, &mut other_one, &offsets, KEY, start, 1.0f32, sizes.others, sizes);
            load_part::<E>(qkv, &mut other_two, &offsets, VALUE, start, 1.0f32, sizes.others, sizes);
        }
        sync_cube();
        product::<E>(&one, &other_one, &mut scores, comptime!(sizes.scores()));
        product::<E>(&two, &other_two, &mut grads, comptime!(sizes.scores()));
        sync_rows(sizes.bytes);

        #[unroll]
        for step in 0..comptime!(sizes.others / sharers) {
            let column = step * sharers + share;
            let mut weight = 0.0f32;
            let mut of_score = 0.0f32;
            if first + row < tokens && start + column < tokens {
                let query = if comptime!(keys) { start + column } else { first + row };
                weight = (scores[of_scores + column] - state[logs + query]).exp();
                of_score = weight * (grads[of_scores + column] - state[inners + query]);
            }
            if comptime!(keys) {
                operand[of_operand + column] = E::cast_from(weight);
                grads[of_scores + column] = of_score;
            } else {
                operand[of_operand + column] = E::cast_from(of_score);
            }
        }
        sync_rows(sizes.bytes);
        if comptime!(keys) {
            product::<E>(&operand, &other_two, &mut of_two, comptime!(sizes.mixed()));
            sync_rows(sizes.bytes);
            #[unroll]
            for step in 0..comptime!(sizes.others / sharers) {
                let column = step * sharers + share;
                operand[of_operand + column] = E::cast_from(grads[of_scores + column]);
            }
            sync_rows(sizes.bytes);
        }
        product::<E>(&operand, &other_one, &mut of_one, comptime!(sizes.mixed()));
    }
    sync_cube();
    if comptime!(keys) {
        save(&of_one, out, base + width, 3 * width, first, tokens, 1.0f32, sizes);
        save(&of_two, out, base + 2 * width, 3 * width, first, tokens, 1.0f32, sizes);
    } else {
        save(&of_one, out, base, 3 * width, first, tokens, factor, sizes);
    }
}
