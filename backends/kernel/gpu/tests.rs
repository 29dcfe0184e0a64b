//! GPU kernels equal their plain forms, without an NVIDIA device.
//!
//! On a Vulkan device, which may be the processor, they run through burn and its fusion. Tensor
//! cores are tested by the CUDA source of the kernels, compiled for the processor with
//! `emulated/cuda.h`.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use super::attention::{self, AttentionTiles, Pass};
use super::launch::LAUNCHED;
use crate::kernel::{Ops, Selection, plain};
#[cfg(feature = "cuda")]
use crate::kernel::{Precision, with_precision};
use bridle_seed::Seed;
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, bf16};
use burn_cubecl::cubecl::Compiler;
use burn_cubecl::cubecl::prelude::*;
use cubecl_cpp::cuda::{CudaDialect, mma::CudaWmmaCompiler};
use cubecl_cpp::shared::{CompilationOptions, CppCompiler, CppSupportedFeatures};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The backend under test: a Vulkan device, or with the feature `cuda` NVIDIA's.
#[cfg(not(feature = "cuda"))]
type Gpu = burn_wgpu::Wgpu;
#[cfg(feature = "cuda")]
type Gpu = burn_cuda::Cuda;
/// The backend of the plain forms.
type Host = burn_flex::Flex;

/// Largest difference relative to the largest value, of sums in f32.
const SUMS: f32 = 1e-5;
/// The same if operands were rounded to bf16.
const ROUNDED: f32 = 0.01;

/// Bytes of an operand in half precision.
const BF16: usize = 2;

/// Batch, tokens, heads, elements of a head. Fewer tokens than a tile, more than one tile, heads
/// that are not a multiple of a fragment.
const ATTENTIONS: [[usize; 4]; 5] = [
    [2, 1, 1, 8],
    [1, 7, 3, 4],
    [2, 70, 2, 64],
    [3, 33, 2, 5],
    [1, 130, 1, 24],
];

/// Rows, width.
const ROWS: [[usize; 2]; 5] = [[1, 1], [1, 9], [300, 7], [129, 768], [64, 33]];

fn values(name: &str, count: usize) -> Vec<f32> {
    let mut stream = Seed::root(7).child(name).stream();
    (0..count).map(|_| stream.normal()).collect()
}

fn normal<B: Backend, const D: usize>(name: &str, shape: [usize; D]) -> Tensor<B, D> {
    let data = TensorData::new(values(name, shape.iter().product()), shape);
    Tensor::from_data(data, &Default::default())
}

fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[track_caller]
fn close(found: &[f32], expected: &[f32], most: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(1e-3_f32, |largest, value| largest.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs() / largest;
        assert!(
            difference <= most,
            "{what}, element {index}: {found} instead of {expected}"
        ); // NaN is not close
    }
}

/// Held while launches are counted, which all threads share.
static COUNTING: Mutex<()> = Mutex::new(());

fn counting() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work`, which must launch the operation `name` exactly `times` times.
#[track_caller]
fn launching<T>(name: &'static str, times: usize, work: impl FnOnce() -> T) -> T {
    let _guard = counting();
    let launched = || *LAUNCHED.lock().unwrap().get(name).unwrap_or(&0);
    let before = launched();
    let made = work();
    assert_eq!(launched() - before, times, "launches of {name}");
    made
}

#[test]
fn attention_equals_its_plain_form() {
    for [batch, tokens, heads, head] in ATTENTIONS {
        let what = format!("attention {batch} {tokens} {heads} {head}");
        let shape = [batch, tokens, 3 * heads * head];
        let found = launching("attention", 1, || {
            host(Gpu::self_attention(normal("qkv", shape), heads))
        });
        close(
            &found,
            &host(plain::self_attention::<Host>(normal("qkv", shape), heads)),
            SUMS,
            &what,
        );

        let grad_shape = [batch, tokens, heads * head];
        let found = launching("attention backward", 1, || {
            host(Gpu::self_attention_backward(
                normal("qkv", shape),
                normal("grad", grad_shape),
                heads,
            ))
        });
        let (qkv, grad) = (normal::<Host, 3>("qkv", shape), normal("grad", grad_shape));
        close(
            &found,
            &host(plain::self_attention_backward(qkv, grad, heads)),
            SUMS,
            &format!("{what}, gradient"),
        );
    }

    // an input that is not contiguous
    let turned: Tensor<Gpu, 3> = normal::<Gpu, 3>("qkv", [2, 48, 40]).swap_dims(1, 2);
    let expected = plain::self_attention(normal::<Host, 3>("qkv", [2, 48, 40]).swap_dims(1, 2), 2);
    close(&host(Gpu::self_attention(turned, 2)), &host(expected), SUMS, "strided");
}

#[test]
fn norm_equals_its_plain_form() {
    for shape @ [count, width] in ROWS {
        let what = format!("norm {count} {width}");
        let (scale, shift) = (|| normal::<Gpu, 1>("scale", [width]), || normal("shift", [width]));
        let found = launching("norm", 1, || {
            host(Gpu::norm_rows(normal("rows", shape), scale(), shift(), 1e-6))
        });
        let (rows, scale) = (normal::<Host, 2>("rows", shape), normal::<Host, 1>("scale", [width]));
        let expected = plain::norm_rows(rows.clone(), scale.clone(), normal("shift", [width]), 1e-6);
        close(&found, &host(expected), SUMS, &what);

        let found = launching("norm backward", 1, || {
            let grads = Gpu::norm_rows_backward(
                normal("rows", shape),
                normal("scale", [width]),
                normal("grad", shape),
                1e-6,
            );
            [host(grads.rows), host(grads.scale), host(grads.shift)]
        });
        let expected = plain::norm_rows_backward(rows, scale, normal("grad", shape), 1e-6);
        let expected = [host(expected.rows), host(expected.scale), host(expected.shift)];
        for ((found, expected), part) in found.iter().zip(&expected).zip(["rows", "scale", "shift"]) {
            close(found, expected, SUMS, &format!("{what}, gradient of {part}"));
        }
    }
}

#[test]
fn cross_entropy_equals_its_plain_form() {
    for shape @ [count, width] in ROWS {
        let what = format!("cross-entropy {count} {width}");
        let mut stream = Seed::root(7).child("codes").stream();
        let codes: Vec<i32> = (0..count).map(|_| stream.below(width) as i32).collect();
        let codes = TensorData::new(codes, [count, 1]);
        let on_gpu = || Tensor::<Gpu, 2, Int>::from_data(codes.clone(), &Default::default());
        let on_host = || Tensor::<Host, 2, Int>::from_data(codes.clone(), &Default::default());

        let found = launching("cross-entropy", 1, || {
            host(Gpu::cross_entropy_rows(normal("logits", shape), on_gpu()))
        });
        let expected = plain::cross_entropy_rows::<Host>(normal("logits", shape), on_host());
        close(&found, &host(expected), SUMS, &what);

        let found = launching("cross-entropy backward", 1, || {
            host(Gpu::cross_entropy_rows_backward(
                normal("logits", shape),
                on_gpu(),
                normal("grad", [1]),
            ))
        });
        let expected =
            plain::cross_entropy_rows_backward::<Host>(normal("logits", shape), on_host(), normal("grad", [1]));
        close(&found, &host(expected), SUMS, &format!("{what}, gradient"));
    }
}

#[test]
fn codes_equal_those_of_the_plain_form() {
    for [count, codes, width] in [[1, 1, 1], [300, 7, 5], [129, 256, 64], [513, 33, 16], [40, 1030, 8]] {
        let names = ["first", "second", "third"];
        for unit in [true, false] {
            let found: Vec<i64> = launching("residual codes", 1, || {
                let books = names
                    .map(|name| normal::<Gpu, 2>(name, [codes, width]).mul_scalar(0.5))
                    .to_vec();
                Gpu::residual_codes(normal("rows", [count, width]), books, unit)
                    .into_data()
                    .iter()
                    .collect()
            });
            let books = names
                .map(|name| normal::<Host, 2>(name, [codes, width]).mul_scalar(0.5))
                .to_vec();
            let expected: Vec<i64> = plain::residual_codes(normal("rows", [count, width]), books, unit)
                .into_data()
                .iter()
                .collect();
            let different = found
                .iter()
                .zip(&expected)
                .filter(|(found, expected)| found != expected)
                .count();
            // two codes may be equally near but for rounding, and every later code of that row then
            // differs too
            assert!(
                different <= found.len() / 300,
                "{different} of {} codes, {count} {codes} {width} {unit}",
                found.len()
            );
        }
    }
}

#[test]
fn the_first_of_equal_codes_is_chosen() {
    let vectors = || normal::<Gpu, 2>("vectors", [20, 8]);
    let twice = Tensor::cat(vec![vectors(), vectors()], 0);
    let _guard = counting();
    let found: Vec<i64> = Gpu::nearest_codes(vectors(), twice).into_data().iter().collect();
    assert_eq!(found, (0..20).collect::<Vec<i64>>());
}

#[test]
fn selections_and_counts_equal_those_of_the_plain_form() {
    let chosen = [4, 0, 7, 2];
    let found = Gpu::select_rows_backward(normal("grad", [4, 5]), Selection::new(&chosen, 9, &Default::default()));
    let zeros = Tensor::<Host, 2>::zeros([9, 5], &Default::default());
    let numbers = TensorData::from(&chosen.map(|row: usize| row as i64)[..]);
    let numbers = Tensor::<Host, 1, Int>::from_data(numbers, &Default::default());
    let expected = zeros.select_assign(0, numbers, normal("grad", [4, 5]), IndexingUpdateOp::Add);
    assert_eq!(host(found), host(expected));

    let mut stream = Seed::root(7).child("codes").stream();
    let codes: Vec<i64> = (0..5000).map(|_| stream.below(256) as i64).collect();
    let codes = TensorData::from(&codes[..]);
    let found = Gpu::code_counts(Tensor::from_data(codes.clone(), &Default::default()), 260);
    let expected = plain::code_counts::<Host>(Tensor::from_data(codes, &Default::default()), 260);
    assert_eq!(host(found), host(expected));
}

/// On a device with tensor cores: what the emulation below tests elsewhere.
#[cfg(feature = "cuda")]
#[test]
fn attention_in_bf16_equals_its_plain_form() {
    for [batch, tokens, heads, head] in ATTENTIONS {
        let what = format!("attention in bf16 {batch} {tokens} {heads} {head}");
        let (shape, grad_shape) = ([batch, tokens, 3 * heads * head], [batch, tokens, heads * head]);
        let (found, found_grad) = with_precision(Precision::Bf16, || {
            let qkv = || normal::<Gpu, 3>("qkv", shape);
            (
                launching("attention", 1, || host(Gpu::self_attention(qkv(), heads))),
                launching("attention backward", 1, || {
                    host(Gpu::self_attention_backward(qkv(), normal("grad", grad_shape), heads))
                }),
            )
        });
        let qkv = || normal::<Host, 3>("qkv", shape);
        close(&found, &host(plain::self_attention(qkv(), heads)), ROUNDED, &what);
        let expected = plain::self_attention_backward(qkv(), normal("grad", grad_shape), heads);
        close(&found_grad, &host(expected), ROUNDED, &format!("{what}, gradient"));
    }
}

/// A kernel's CUDA source, its entry point called `name`, with the emulation's shared memory.
fn source(name: &str, units: usize, build: impl FnOnce(&mut KernelBuilder)) -> String {
    type Cuda = CppCompiler<CudaDialect<CudaWmmaCompiler>>;
    let mut builder = KernelBuilder::default();
    let settings = KernelSettings::default()
        .cube_dim(CubeDim::new_1d(units as u32))
        .address_type(AddressType::U32)
        .kernel_name(name);
    settings.address_type.register(&mut builder.scope);
    build(&mut builder);
    let address = settings.address_type.unsigned_type();
    let kernel = builder.build(settings);
    // scalars are passed by value, as on NVIDIA devices of compute capability 7.0 and above
    let features = CppSupportedFeatures {
        grid_constants: true,
        ..Default::default()
    };
    let options = CompilationOptions {
        supports_features: features,
        ..Default::default()
    };
    let kernel = Cuda::default()
        .compile(kernel, &options, ExecutionMode::Unchecked, address)
        .unwrap();
    let text = kernel.to_string().replace("info_st", &format!("scalars_of_{name}"));
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("#include") && !line.starts_with("typedef"));
    let lines = lines.map(|line| {
        let shared = line.trim_start().starts_with("extern __shared__");
        if shared {
            "unsigned char *dynamic_shared_mem = shared_by_a_cube;"
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn array(builder: &mut KernelBuilder, written: bool) -> <Array<f32> as CubeType>::ExpandType {
    let argument = ArrayCompilationArg { inplace: None };
    if written {
        <Array<f32> as LaunchArg>::expand_output(&argument, builder)
    } else {
        <Array<f32> as LaunchArg>::expand(&argument, builder)
    }
}

type Scalars = (
    <u32 as CubeType>::ExpandType,
    <u32 as CubeType>::ExpandType,
    <f32 as CubeType>::ExpandType,
);

/// Tokens, heads, factor.
fn scalars(builder: &mut KernelBuilder) -> Scalars {
    let whole = |builder: &mut KernelBuilder| <u32 as LaunchArg>::expand(&Default::default(), builder);
    (
        whole(builder),
        whole(builder),
        <f32 as LaunchArg>::expand(&Default::default(), builder),
    )
}

/// The attention kernels, and a program that launches them as [`Ops::self_attention_backward`]
/// does.
fn attention_program([batch, tokens, heads, head]: [usize; 4]) -> String {
    let sizes = |pass| attention::tiles(head, BF16, 227 * 1024, pass).unwrap();
    let (of_rows, of_queries, of_keys) = (sizes(Pass::Forward), sizes(Pass::Queries), sizes(Pass::Keys));
    let attend = |name, backward| {
        source(name, of_rows.units(), |b| {
            let (qkv, grad, out) = (array(b, false), array(b, false), array(b, true));
            let (tokens, heads, factor) = scalars(b);
            let (scope, operand) = (&mut b.scope, attention::operand(BF16));
            attention::attend::expand::<bf16>(scope, qkv, grad, out, tokens, heads, factor, backward, of_rows, operand);
        })
    };
    let gradients = |name, keys, sizes: AttentionTiles| {
        source(name, sizes.units(), |b| {
            let (qkv, grad, state, out) = (array(b, false), array(b, false), array(b, false), array(b, true));
            let (tokens, heads, factor) = scalars(b);
            let (scope, operand) = (&mut b.scope, attention::operand(BF16));
            attention::gradients::expand::<bf16>(
                scope, qkv, grad, state, out, tokens, heads, factor, keys, sizes, operand,
            );
        })
    };
    let kernels = [
        attend("forward", false),
        attend("prepare", true),
        gradients("queries", false, of_queries),
        gradients("keys", true, of_keys),
    ];
    for kernel in &kernels {
        assert!(
            kernel.contains("nvcuda::wmma::mma_sync"),
            "no tensor cores in\n{kernel}"
        );
    }
    let launch = |name: &str, sizes: AttentionTiles, arguments: &str| {
        format!(
            "{{ scalars_of_{name} scalars{{}}; scalars.scalars_float[0] = {factor:e}; scalars.scalars_uint32[0] = {tokens}; \
             scalars.scalars_uint32[1] = {heads}; launch({{{tiles}, {heads}, {batch}}}, {units}, \
             [&] {{ {name}({arguments}, scalars); }}); }}\n",
            factor = (head as f32).powf(-0.5),
            tiles = tokens.div_ceil(sizes.rows),
            units = sizes.units(),
        )
    };
    let launches = [
        launch("forward", of_rows, "qkv.data(), grad.data(), out.data()"),
        launch("prepare", of_rows, "qkv.data(), grad.data(), state.data()"),
        launch(
            "queries",
            of_queries,
            "qkv.data(), grad.data(), state.data(), of_qkv.data()",
        ),
        launch("keys", of_keys, "qkv.data(), grad.data(), state.data(), of_qkv.data()"),
    ]
    .concat();
    let elements = batch * tokens * heads * head;
    format!(
        "#include \"cuda.h\"\n{}\nint main() {{\n\
         auto qkv = floats(\"qkv\", {wide}), grad = floats(\"grad\", {elements}), out = floats(\"out\", {elements});\n\
         auto state = floats(\"state\", {states}), of_qkv = floats(\"of_qkv\", {wide});\n\
         {launches}write(\"out\", out);\nwrite(\"of_qkv\", of_qkv);\n}}\n",
        kernels.join("\n"),
        wide = 3 * elements,
        states = 2 * batch * heads * tokens,
    )
}

fn write(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path, bytes).unwrap();
}

fn read(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

#[test]
fn attention_on_tensor_cores_equals_its_plain_form() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel/gpu/emulated");
    for sizes @ [batch, tokens, heads, head] in [[2, 70, 2, 64], [1, 130, 2, 24], [1, 9, 1, 16]] {
        let what = format!("tensor cores {batch} {tokens} {heads} {head}");
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("program.cpp"), attention_program(sizes)).unwrap();
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        let made = Command::new(&compiler)
            .args(["-std=c++20", "-O1", "-w", "-pthread", "-I"])
            .arg(&header)
            .args(["program.cpp", "-o", "program"])
            .current_dir(folder.path())
            .output()
            .unwrap_or_else(|error| panic!("{compiler}, a compiler for C++20, does not start: {error}"));
        assert!(
            made.status.success(),
            "{what}: {}",
            String::from_utf8_lossy(&made.stderr)
        );

        let (shape, grad_shape) = ([batch, tokens, 3 * heads * head], [batch, tokens, heads * head]);
        write(&at("qkv"), &values("qkv", shape.iter().product()));
        write(&at("grad"), &values("grad", grad_shape.iter().product()));
        let ran = Command::new(at("program")).current_dir(folder.path()).output().unwrap();
        assert!(ran.status.success(), "{what}: {}", String::from_utf8_lossy(&ran.stderr));

        let (qkv, grad) = (normal::<Host, 3>("qkv", shape), normal::<Host, 3>("grad", grad_shape));
        let expected = host(plain::self_attention(qkv.clone(), heads));
        close(&read(&at("out")), &expected, ROUNDED, &what);
        let expected = host(plain::self_attention_backward(qkv, grad, heads));
        close(&read(&at("of_qkv")), &expected, ROUNDED, &format!("{what}, gradient"));
    }
}
