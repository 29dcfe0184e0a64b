//! What a quantizer consists of: nearest codes, residual quantization, k-means, the average of a codebook.
//!
//! `cargo bench --bench quantizer`; with `--features tch` and `BRIDLE_BACKEND=tch` on LibTorch. Every part is held to
//! loops on the host before it is timed.

use bridle::codebook::{Codebook, Learning, SeededPicks, Similarity, SoftPick, kmeans};
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantizer};
use bridle::rq::{ResidualQuantizer, RqConfig};
use bridle_backends::Ops;
use bridle_backends::{Choice, Facts, Job, Name, TrainBackend};
use bridle_seed::Seed;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use criterion::{Criterion, Throughput};
use std::hint::black_box;

/// As many vectors and codes as in the race against PyTorch.
const VECTORS: usize = 8192;
const CODES: usize = 256;
const DIM: usize = 256;
const ITERATIONS: usize = 10;

/// Rounding of a distance between unit vectors.
const WITHIN: f32 = 1e-5;

struct Quantizers;

impl Job for Quantizers {
    type Output = ();

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) {
        let mut criterion = Criterion::default().sample_size(20).configure_from_args();
        let rows = unit_rows("vectors", VECTORS);
        let on_device = tensor::<B::InnerBackend>(&rows, VECTORS, &device);
        let mut bench = Bench::<B::InnerBackend> {
            criterion: &mut criterion,
            backend: facts.name,
            device,
            rows,
            on_device,
        };
        bench.nearest();
        bench.residual();
        bench.kmeans();
        bench.average();
        criterion.final_summary();
    }
}

struct Bench<'a, B: Backend> {
    criterion: &'a mut Criterion,
    backend: &'static str,
    device: B::Device,
    /// Unit vectors [M, d] on the host.
    rows: Vec<f32>,
    /// The same on the device.
    on_device: Tensor<B, 2>,
}

impl<B: Ops> Bench<'_, B> {
    fn time<T>(&mut self, name: &str, mut work: impl FnMut() -> T) {
        let device = self.device.clone();
        let mut group = self.criterion.benchmark_group(self.backend);
        group.throughput(Throughput::Elements(VECTORS as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let result = black_box(work());
                B::sync(&device).expect("the device still computes");
                result
            });
        });
        group.finish();
    }

    fn book(&self) -> (Codebook<B>, Vec<f32>) {
        let codes = unit_rows("codes", CODES);
        let init = Init::new(Seed::root(0), &self.device);
        (Codebook::new(CODES, codes.clone(), Learning::Ema, &init), codes)
    }

    fn nearest(&mut self) {
        let (book, codes) = self.book();
        let rows = self.on_device.clone();
        let assign = || book.assign(rows.clone(), 1, SoftPick::Nearest);
        let found: Vec<i64> = assign().into_data().iter().collect();
        for (row, &code) in self.rows.chunks(DIM).zip(&found) {
            let distance = |code: usize| distance(row, &codes[code * DIM..(code + 1) * DIM]);
            let least = (0..CODES).map(distance).fold(f32::INFINITY, f32::min);
            assert!(
                distance(code as usize) <= least + WITHIN,
                "code {code} is not the nearest"
            );
        }
        self.time("nearest code of 256", assign);
    }

    fn residual(&mut self) {
        let init = Init::new(Seed::root(0), &self.device);
        let config = RqConfig {
            codebooks: 4,
            codebook_size: CODES,
            code_dim: DIM,
            ..RqConfig::default()
        };
        let mut quantizer = ResidualQuantizer::<B>::new(&config, &init);
        let rows = self.on_device.clone().unsqueeze::<3>();
        let mut picks = SeededPicks(Seed::root(1));
        let whole = quantizer.forward(rows.clone(), Mode::Eval, &mut picks);
        let codes = quantizer.codes(rows.clone(), &mut picks);
        assert_eq!(
            codes.to_data(),
            whole.codes.to_data(),
            "codes alone are those of the whole"
        );
        let decoded = quantizer.decode(codes);
        let error = (decoded - whole.values).abs().max().into_data().iter::<f32>().next();
        assert!(error < Some(1e-4), "the codes stand for other vectors: {error:?}");
        self.time("codes of 4 levels", || quantizer.codes(rows.clone(), &mut picks));
    }

    fn kmeans(&mut self) {
        let first: Vec<usize> = (0..CODES).collect();
        let rows = self.on_device.clone();
        let run = |iterations| kmeans(rows.clone(), &first, iterations, Similarity::Cosine);
        // one iteration by loops: after several, a vector halfway between two means may have gone either way
        let (means, bins) = run(1);
        let (mut sums, mut counts) = (vec![0.0; CODES * DIM], vec![0.0; CODES]);
        for row in self.rows.chunks(DIM) {
            let dot = |code: usize| -> f32 { row.iter().zip(&self.rows[code * DIM..]).map(|(a, b)| a * b).sum() };
            let best = (0..CODES).map(dot).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
            let best = best.expect("there are codes").0;
            counts[best] += 1.0;
            sums[best * DIM..][..DIM]
                .iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += value);
        }
        sums.chunks_mut(DIM).for_each(normalise);
        assert_near(&values(means), &sums, "means");
        assert_near(&values(bins), &counts, "bins");
        self.time("k-means, 10 iterations", || run(ITERATIONS));
    }

    fn average(&mut self) {
        let (mut book, vectors) = self.book();
        let rows = self.on_device.clone();
        let codes = book.assign(rows.clone(), 1, SoftPick::Nearest);
        let step = |book: &mut Codebook<B>| {
            let counts = book.counts(codes.clone());
            book.track_usage(counts.clone(), 0.99);
            book.average(counts, book.sums(rows.clone(), codes.clone()), 0.99);
        };
        let mut sums = vec![0.0; CODES * DIM];
        for (row, code) in self.rows.chunks(DIM).zip(codes.to_data().iter::<i64>()) {
            let sum = &mut sums[code as usize * DIM..][..DIM];
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        for (sum, vector) in sums.chunks_mut(DIM).zip(vectors.chunks(DIM)) {
            normalise(sum);
            let unused = sum.iter().all(|&value| value == 0.0);
            for (mean, &own) in sum.iter_mut().zip(vector) {
                *mean = if unused { own } else { 0.99 * own + 0.01 * *mean };
            }
        }
        step(&mut book);
        assert_near(&values(book.vectors.val()), &sums, "moved codes");
        self.time("average of a codebook", || step(&mut book));
    }
}

/// `count` random unit vectors, row-major.
fn unit_rows(name: &str, count: usize) -> Vec<f32> {
    let mut stream = Seed::root(7).child(name).stream();
    let mut rows: Vec<f32> = (0..count * DIM).map(|_| stream.normal()).collect();
    rows.chunks_mut(DIM).for_each(normalise);
    rows
}

fn normalise(row: &mut [f32]) {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    row.iter_mut().for_each(|x| *x /= length);
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn tensor<B: Backend>(rows: &[f32], count: usize, device: &B::Device) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(rows.to_vec(), [count, DIM]), device)
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let apart = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(apart <= WITHIN, "{what} differ by {apart}");
}

fn main() {
    let name = std::env::var("BRIDLE_BACKEND").unwrap_or_else(|_| "flex".to_owned());
    let name = Name::parse(&name).expect("BRIDLE_BACKEND is flex, tch or cuda");
    bridle_backends::run(&Choice::of(name), Quantizers).expect("the backend can be opened");
}
