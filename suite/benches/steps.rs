//! Attention forward and backward, whole steps of both phases, labels, features, and the drawing of masks.
//!
//! `cargo bench --bench steps`; with `--features tch` and `BRIDLE_BACKEND=tch` on LibTorch. Everything is held to its
//! plain form before it is timed. `bridle-bench bench` times the same steps with the names and values of PyTorch's peer.

use bridle::mask::{Mask, kept_tokens};
use bridle_backends::kernel::{Ops, plain};
use bridle_backends::{Facts, Job, TrainBackend};
use bridle_bench::bench::{Kind, Setup, Workload, check};
use bridle_bench::cli::{Cli, Command};
use bridle_seed::Seed;
use burn::tensor::{Distribution, Tensor};
use clap::Parser;
use criterion::{Criterion, Throughput};
use std::hint::black_box;

/// Batch, tokens with cls, width, heads: a block of the smallest encoder.
const ATTENTION: [usize; 4] = [8, 257, 192, 3];

struct Steps<'a>(&'a Setup);

impl Job for Steps<'_> {
    type Output = ();

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) {
        let mut criterion = Criterion::default().sample_size(10).configure_from_args();
        let mut group = criterion.benchmark_group(facts.name);
        let mut time = |name: &str, items: usize, work: &mut dyn FnMut()| {
            group.throughput(Throughput::Elements(items as u64));
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    work();
                    B::sync(&device).expect("the device still computes");
                });
            });
        };
        attention::<B>(&device, &mut time);
        let mut work = Workload::<B>::new(self.0, &device);
        for &kind in Kind::ALL {
            check(&work, kind, facts.tf32).expect("every kind computes what its plain form computes");
            time(kind.word(), self.0.items(kind), &mut || work.perform(kind));
        }
        masks(&mut time);
        group.finish();
        criterion.final_summary();
    }
}

fn attention<B: TrainBackend>(device: &B::Device, time: &mut impl FnMut(&str, usize, &mut dyn FnMut())) {
    let [batch, tokens, width, heads] = ATTENTION;
    let random = |width| Tensor::<B, 3>::random([batch, tokens, width], Distribution::Default, device);
    let (qkv, weighting) = (random(3 * width).require_grad(), random(width));
    let gradient = |form: &dyn Fn(Tensor<B, 3>, usize) -> Tensor<B, 3>| {
        let grads = (form(qkv.clone(), heads) * weighting.clone()).sum().backward();
        qkv.grad(&grads).expect("the input is tracked")
    };
    let forms = [
        &B::self_attention as &dyn Fn(Tensor<B, 3>, usize) -> Tensor<B, 3>,
        &plain::self_attention,
    ];
    let largest = |x: Tensor<B::InnerBackend, 3>| x.abs().max().into_data().iter::<f32>().next().unwrap_or(f32::NAN);
    let [fast, slow] = forms.map(|form| form(qkv.clone(), heads).inner());
    assert!(
        largest(fast - slow.clone()) <= 1e-5 * largest(slow),
        "the result differs from the plain form"
    );
    let [fast, slow] = forms.map(gradient);
    assert!(
        largest(fast - slow.clone()) <= 1e-5 * largest(slow),
        "the gradient differs from the plain form"
    );
    let inner = qkv.clone().inner();
    time("attention", batch, &mut || {
        drop(black_box(B::InnerBackend::self_attention(inner.clone(), heads)))
    });
    time("attention, forward and backward", batch, &mut || {
        drop(black_box(gradient(forms[0])))
    });
}

fn masks(time: &mut impl FnMut(&str, usize, &mut dyn FnMut())) {
    let (batch, tokens, ratio) = (64, 512, 0.8);
    let mut stream = Seed::root(3).stream();
    let mut draw = || {
        let noise: Vec<f32> = (0..batch * tokens).map(|_| stream.uniform()).collect();
        let mask = Mask::random(&noise, tokens, ratio);
        (noise, mask)
    };
    let (noise, mask) = draw();
    for (noise, flags) in noise.chunks(tokens).zip(mask.flags().chunks(tokens)) {
        // a token is kept if fewer than so many have less noise
        let rank = |token: usize| noise.iter().filter(|&&other| other < noise[token]).count();
        assert!((0..tokens).all(|token| flags[token] == (rank(token) >= kept_tokens(tokens, ratio))));
    }
    time("64 masks of 512 tokens", batch, &mut || drop(black_box(draw())));
}

fn main() {
    let backend = std::env::var("BRIDLE_BACKEND").unwrap_or_else(|_| "flex".to_owned());
    let Command::Bench(args) = Cli::parse_from(["bridle-bench", "bench", "--backend", &backend]).command else {
        unreachable!("the line says bench")
    };
    let setup = Setup::new(&args).expect("the defaults are right");
    bridle_backends::run(&setup.backend, Steps(&setup)).expect("the backend can be opened");
}
