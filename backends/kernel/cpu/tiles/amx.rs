//! AMX: tiles in registers of their own, whose use the system must permit.
//!
//! Rust has no stable intrinsics for them, so their instructions are written as assembly.

use super::super::matrix::Contiguous;
use super::{Along, Block, Engine, Piece, SIDE, Sums, Tile};
use std::arch::asm;
use std::arch::x86_64::{
    __cpuid_count, __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_loadu_si512, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use std::mem::{MaybeUninit, transmute};
use std::sync::LazyLock;

pub(super) const ENGINE: Engine = Engine {
    pack,
    multiply,
    begin,
    end,
};

/// Whether the processor has AMX for bf16, the system permits it, and `BRIDLE_AMX` is not 0.
pub(super) fn is_available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
        let off = std::env::var_os("BRIDLE_AMX").is_some_and(|word| word == "0");
        let leaf = __cpuid_count(7, 0);
        let has = |bit: u32| leaf.edx >> bit & 1 == 1;
        let (amx_bf16, amx_tile) = (has(22), has(24));
        !off && amx_bf16
            && amx_tile
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
            && is_permitted()
    });
    *AVAILABLE
}

/// Asks the system for the state of tiles, for all threads.
fn is_permitted() -> bool {
    const REQUEST_PERMISSION: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call reads no memory of ours; systems that do not know it return an error
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 }
}

/// Sets all tile registers to 16 lines of 64 bytes. Until [`end`] the system saves them when it
/// changes threads.
fn begin() {
    #[repr(C, align(64))]
    struct Shapes {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        lines: [u8; 16],
    }
    static SHAPES: Shapes = Shapes {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        lines: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    // SAFETY: the engine is used only where the processor has AMX and the system permits it
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, readonly, preserves_flags)) }
}

fn end() {
    // SAFETY: as above
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) }
}

/// What a block of so many rows and columns of tiles does.
macro_rules! text {
    (2 2 multiply) => {
        "tileloadd tmm4, [{left} + {line}]
         tileloadd tmm6, [{right} + {line}]
         tileloadd tmm7, [{right} + {line} + 1024]
         tileloadd tmm5, [{left} + {line} + 1024]
         tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7
         tdpbf16ps tmm2, tmm5, tmm6
         tdpbf16ps tmm3, tmm5, tmm7"
    };
    (1 2 multiply) => {
        "tileloadd tmm4, [{left} + {line}]
         tileloadd tmm6, [{right} + {line}]
         tileloadd tmm7, [{right} + {line} + 1024]
         tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7"
    };
    (2 1 multiply) => {
        "tileloadd tmm4, [{left} + {line}]
         tileloadd tmm6, [{right} + {line}]
         tileloadd tmm5, [{left} + {line} + 1024]
         tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm2, tmm5, tmm6"
    };
    (1 1 multiply) => {
        "tileloadd tmm4, [{left} + {line}]
         tileloadd tmm6, [{right} + {line}]
         tdpbf16ps tmm0, tmm4, tmm6"
    };
    (2 2 load) => {
        "tileloadd tmm0, [{out} + {stride}]
         tileloadd tmm1, [{out} + {stride} + 64]
         tileloadd tmm2, [{below} + {stride}]
         tileloadd tmm3, [{below} + {stride} + 64]"
    };
    (1 2 load) => {
        "tileloadd tmm0, [{out} + {stride}]
         tileloadd tmm1, [{out} + {stride} + 64]"
    };
    (2 1 load) => {
        "tileloadd tmm0, [{out} + {stride}]
         tileloadd tmm2, [{below} + {stride}]"
    };
    (1 1 load) => {
        "tileloadd tmm0, [{out} + {stride}]"
    };
    (2 2 store) => {
        "tilestored [{out} + {stride}], tmm0
         tilestored [{out} + {stride} + 64], tmm1
         tilestored [{below} + {stride}], tmm2
         tilestored [{below} + {stride} + 64], tmm3"
    };
    (1 2 store) => {
        "tilestored [{out} + {stride}], tmm0
         tilestored [{out} + {stride} + 64], tmm1"
    };
    (2 1 store) => {
        "tilestored [{out} + {stride}], tmm0
         tilestored [{below} + {stride}], tmm2"
    };
    (1 1 store) => {
        "tilestored [{out} + {stride}], tmm0"
    };
}

/// Multiplies a block of so many rows and columns of tiles.
macro_rules! run {
    ($rows:tt $columns:tt, $given:ident) => {
        asm!(
            "/* one row of tiles has nothing at {below} */",
            "test {add}, {add}", "jnz 3f",
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "jmp 2f", "3:",
            text!($rows $columns load),
            "2:",
            text!($rows $columns multiply),
            "add {left}, 2048", "add {right}, 2048", "dec {count}", "jnz 2b",
            text!($rows $columns store),
            left = inout(reg) $given.left => _,
            right = inout(reg) $given.right => _,
            count = inout(reg) $given.count => _,
            line = in(reg) 64_usize,
            out = in(reg) $given.out,
            below = in(reg) $given.below,
            stride = in(reg) $given.stride,
            add = in(reg) usize::from($given.add),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// A block as the instructions take it.
struct Given {
    left: *const [Tile; 2],
    right: *const [Tile; 2],
    /// Steps along the inner dimension.
    count: usize,
    out: *mut f32,
    /// The second row of tiles.
    below: *mut f32,
    /// Bytes from one row to the next.
    stride: usize,
    add: bool,
}

fn multiply(sums: Sums<'_>, block: &Block<'_>) {
    let Block {
        left,
        right,
        size: [rows, columns],
    } = *block;
    assert!(left.len() == right.len() && !left.is_empty());
    let last = (rows * SIDE - 1) * sums.stride + columns * SIDE;
    assert!(last <= sums.out.len(), "a block ends after its result");
    let out = sums.out.as_mut_ptr();
    let given = Given {
        left: left.as_ptr(),
        right: right.as_ptr(),
        count: left.len(),
        out,
        below: out.wrapping_add(SIDE * sums.stride),
        stride: size_of::<f32>() * sums.stride,
        add: sums.add,
    };
    // SAFETY: the engine is used only where the processor has AMX; `begin` has set the shapes; each operand has two
    // tiles of 1024 bytes for each of `count` steps, and the result's rows are inside its slice
    unsafe {
        match (rows, columns) {
            (2, 2) => run!(2 2, given),
            (2, 1) => run!(2 1, given),
            (1, 2) => run!(1 2, given),
            (1, 1) => run!(1 1, given),
            _ => unreachable!("a block has 1 or 2 tiles along each side"),
        }
    }
}

fn pack(tile: &mut MaybeUninit<Tile>, piece: &Piece<'_>, along: Along) {
    // SAFETY: the engine is used only where the processor has these instructions
    unsafe { fill(tile, piece, along) }
}

/// The first `count` of 16.
const fn first(count: usize) -> u16 {
    if count >= SIDE { u16::MAX } else { (1 << count) - 1 }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn fill(tile: &mut MaybeUninit<Tile>, piece: &Piece<'_>, along: Along) {
    let (lines, depth, data) = (piece.lines(), piece.depth(), piece.matrix.data);
    let mut turned = MaybeUninit::uninit();
    let (stored, first_number, last) = match piece.matrix.contiguous() {
        Contiguous::Rows(stride) => {
            let start = piece.line * stride + piece.inner;
            (Along::Inner, start, start + lines.saturating_sub(1) * stride + depth)
        }
        Contiguous::Columns(stride) => {
            let start = piece.inner * stride + piece.line;
            (Along::Across, start, start + (depth - 1) * stride + lines)
        }
    };
    assert!(lines == 0 || last <= data.len(), "a piece ends after its matrix");
    let into = if stored == along { &mut *tile } else { &mut turned };
    let into: *mut __m512i = into.as_mut_ptr().cast();
    let at = data.as_ptr().wrapping_add(first_number);
    // SAFETY: masks exclude what is beyond the piece, which ends inside the slice; a tile has this many lines, and begins
    // at a multiple of their size; all vectors are 512 bits, all of them valid
    unsafe {
        match piece.matrix.contiguous() {
            Contiguous::Rows(stride) => {
                let [low, high] = [first(depth), first(depth.saturating_sub(SIDE))];
                for line in 0..lines {
                    let at = at.wrapping_add(line * stride);
                    let high = _mm512_maskz_loadu_ps(high, at.wrapping_add(SIDE));
                    let both = _mm512_cvtne2ps_pbh(high, _mm512_maskz_loadu_ps(low, at));
                    *into.add(line) = transmute::<__m512bh, __m512i>(both);
                }
                for line in lines..SIDE {
                    *into.add(line) = _mm512_setzero_si512();
                }
            }
            Contiguous::Columns(stride) => {
                let zipped: [i16; 2 * SIDE] = std::array::from_fn(|place| (place / 2 + place % 2 * SIDE) as i16);
                let zipped = transmute::<[i16; 2 * SIDE], __m512i>(zipped);
                let load = |place: usize| {
                    let mask = if place < depth { first(lines) } else { 0 };
                    _mm512_maskz_loadu_ps(mask, at.wrapping_add(place * stride))
                };
                for pair in 0..SIDE {
                    let both = _mm512_cvtne2ps_pbh(load(2 * pair + 1), load(2 * pair));
                    *into.add(pair) = _mm512_permutexvar_epi16(zipped, transmute::<__m512bh, __m512i>(both));
                }
            }
        }
        if stored != along {
            transpose(tile, turned.assume_init_ref());
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(out: &mut MaybeUninit<Tile>, tile: &Tile) {
    let out: *mut __m512i = out.as_mut_ptr().cast();
    // SAFETY: a line is one vector long
    let lines: [__m512i; SIDE] =
        std::array::from_fn(|line| unsafe { _mm512_loadu_si512(tile.0[line].as_ptr().cast()) });
    // of four lines each: column c + 4l of all four in lane l of vector c
    let fours: [[__m512i; 4]; 4] = std::array::from_fn(|four| {
        let [a, b, c, d] = std::array::from_fn(|line| lines[4 * four + line]);
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    });
    let [one, two, three, four] = fours;
    for (column, (((a, b), c), d)) in one.into_iter().zip(two).zip(three).zip(four).enumerate() {
        let even = [_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d)];
        let odd = [_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d)];
        let columns = [
            _mm512_shuffle_i32x4::<0x88>(even[0], even[1]),
            _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]),
            _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]),
            _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]),
        ];
        for (lane, vector) in columns.into_iter().enumerate() {
            // SAFETY: a line is one vector long
            unsafe { *out.add(column + 4 * lane) = vector };
        }
    }
}
