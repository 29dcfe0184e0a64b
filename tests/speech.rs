//! Speech methods against golden numbers of an independent computation (`tests/speech_reference.py`), and the laws of
//! batches of sequences of different lengths; on every backend compiled in.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must fail a comparison")]

#[path = "parity_cases/case.rs"]
#[allow(dead_code)] // the parity tests use what is left over here
mod case;

use bridle::codebook::{index_rows, unit};
use bridle::config::{AudioRows, Geometry, StackConfig};
use bridle::encoder::Vit;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::LayeredEncoder;
use bridle::mask::spans;
use bridle::patch::patches;
use bridle::speech::conformer::{Conformer, ConformerConfig};
use bridle::speech::ctc::{ctc_loss_mean, ctc_losses};
use bridle::standardizer::Standardizer;
use bridle_backends::{Choice, Facts, Job, Ops, TrainBackend};
use bridle_baselines::best_rq::{MaskedModel, best_rq_loss};
use bridle_baselines::birq::{BirqConfig, BirqLabels, birq_loss};
use bridle_baselines::distilled::DistilledBook;
use bridle_baselines::random::{RandomBook, RandomQuantizer};
use bridle_seed::Seed;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use case::Case;
use std::ops::Range;
use std::path::Path;

/// What is checked on one backend.
trait Check {
    fn on<B: TrainBackend>(&self, device: &B::Device);
}

fn on_every_backend(check: &impl Check) {
    struct One<'a, C>(&'a C);
    impl<C: Check> Job for One<'_, C> {
        type Output = ();
        fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) {
            println!("on {}", facts.name);
            self.0.on::<B>(&device);
        }
    }
    for name in bridle_backends::compiled() {
        if let Err(error) = bridle_backends::run(&Choice::of(name), One(check)) {
            println!("{}: not run, {error}", name.as_str());
        }
    }
}

fn case(name: &str) -> Case {
    let case = Case::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity_speech"), name);
    assert_eq!(case.name, name);
    case
}

#[track_caller]
fn finish(case: Case) {
    let failures = case.finish();
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Rows of [B * T] that hold a frame.
fn valid_rows(lengths: &[usize], times: usize) -> Vec<usize> {
    let of = |(sample, &length): (usize, &usize)| (sample * times..sample * times + length).collect::<Vec<_>>();
    lengths.iter().enumerate().flat_map(of).collect()
}

/// Values of valid rows [n, W] put back to their places in [B * T, W], `padding` elsewhere.
fn spread<T: Copy>(values: &[T], rows: &[usize], all: usize, padding: T) -> Vec<T> {
    let width = values.len() / rows.len();
    let mut out = vec![padding; all * width];
    for (values, &row) in values.chunks_exact(width).zip(rows) {
        out[row * width..][..width].copy_from_slice(values);
    }
    out
}

fn book<B: Backend>(projection: Tensor<B, 2>, codes: Tensor<B, 2>) -> RandomBook<B> {
    RandomBook {
        projection: Param::from_tensor(projection).set_require_grad(false),
        codes: Param::from_tensor(unit(codes)).set_require_grad(false),
    }
}

struct BestRqLabels;

impl Check for BestRqLabels {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let case = case("best_rq_labels");
        let (batch, by, mels) = (case.size("batch"), case.size("stacked"), case.size("mels"));
        let times = case.size("frames") / by;
        let lengths: Vec<usize> = case.indices("lengths").iter().map(|length| length / by).collect();
        let rows = valid_rows(&lengths, times);
        let frames = &case.float("frames").data;
        let stacked: Vec<f32> = frames
            .chunks_exact(case.size("frames") * mels)
            .flat_map(|sample| sample[..times * by * mels].iter().copied())
            .collect();
        let stacked = Tensor::<B, 2>::from_data(TensorData::new(stacked, [batch * times, by * mels]), device);
        let kept = stacked.select(0, index_rows(&rows, device));
        let mean = kept.clone().mean_dim(0);
        let std = (kept.clone() - mean.clone()).powi_scalar(2).mean_dim(0).sqrt();
        let x = (kept - mean.clone()) / std.clone();
        case.check("mean", mean.reshape([by * mels]));
        case.check("std", std.reshape([by * mels]));
        let values = x.clone().into_data().to_vec::<f32>().unwrap();
        case.check_values("x", &spread(&values, &rows, batch * times, 0.0));
        for index in 0..case.size("codebooks") {
            let projection = case.tensor(&format!("projection.{index}"), device);
            let book = book::<B>(projection, case.tensor(&format!("codebook.{index}"), device));
            let labels: Vec<i64> = book.labels(x.clone()).into_data().iter::<i64>().collect();
            case.check_ints(&format!("labels.{index}"), &spread(&labels, &rows, batch * times, -1));
            let distances = book.distances(x.clone()).into_data().to_vec::<f32>().unwrap();
            case.check_values(
                &format!("distances.{index}"),
                &spread(&distances, &rows, batch * times, 0.0),
            );
        }
        finish(case);
    }
}

#[test]
fn labels_are_those_of_best_rq() {
    on_every_backend(&BestRqLabels);
}

struct Distilled;

impl Check for Distilled {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let case = case("distilled_book");
        let (batch, times, dim) = (case.size("batch"), case.size("frames"), case.size("code_dim"));
        let book = DistilledBook::<B> {
            codes: Param::from_tensor(case.tensor("codebook", device)).set_require_grad(true),
        };
        let projected: Tensor<B, 3> = case.tensor("projected", device);
        let rows = projected.clone().reshape([batch * times, dim]);
        let labels: Vec<i64> = book.labels(rows).into_data().iter::<i64>().collect();
        case.check_ints("labels", &labels);
        let visible: Tensor<B, 2> = case.tensor("visible", device);
        let visible = visible.unsqueeze_dim(2);
        let loss = book.loss(projected, case.tensor("features", device), visible);
        let grads = loss.backward();
        case.check_values("loss", &values(loss.inner()));
        let grad = book.codes.val().grad(&grads).unwrap();
        case.check::<B::InnerBackend, 2>("grad_codebook", grad);
        finish(case);
    }
}

#[test]
fn the_second_book_learns_how_frames_are_alike() {
    on_every_backend(&Distilled);
}

/// Anchor labels are not looked at here.
fn enhancing<B: TrainBackend>(case: &Case, device: &B::Device, projection: &str) -> BirqLabels<B> {
    let codes = case.tensor("codebook", device);
    let anchor = match case.has("projection_k") {
        true => case.tensor("projection", device),
        false => Tensor::zeros([1, case.size("code_dim")], device),
    };
    let [width, _] = anchor.dims();
    BirqLabels {
        standard: Standardizer::none(width, &Init::new(Seed::root(0), device)),
        book: book(anchor, codes),
        projection: Param::from_tensor(case.tensor(projection, device)).set_require_grad(false),
    }
}

struct GumbelLabel;

impl Check for GumbelLabel {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let case = case("gumbel_label");
        let [count, width, codes] = [
            case.size("batch") * case.size("frames"),
            case.size("width"),
            case.size("codes"),
        ];
        let rows = |name: &str, width: usize| case.tensor::<B, 3>(name, device).reshape([count, width]);
        let u = rows("u", width).require_grad();
        let labels = enhancing::<B>(&case, device, "projection");
        let label = labels.enhanced(u.clone(), rows("noise", codes), case.number("tau"));
        let weighted = |label: Tensor<B, 2>| (label * rows("cotangent", codes)).sum();
        let grads = weighted(label.clone()).backward();
        let grad = u.grad(&grads).unwrap();
        case.check("label", label);
        case.check::<B::InnerBackend, 2>("grad_u", grad.clone());
        // the slope along a direction, by differences
        let direction = Tensor::<B, 2>::from_inner(grad.clone());
        let at = |step: f32| {
            let moved = u.clone().detach() + direction.clone().mul_scalar(step);
            let label = labels.enhanced(moved, rows("noise", codes), case.number("tau"));
            weighted(label).into_data().to_vec::<f32>().unwrap()[0]
        };
        let step = 1e-2;
        let slope = (at(step) - at(-step)) / (2.0 * step);
        let expected = grad.powi_scalar(2).sum().into_data().to_vec::<f32>().unwrap()[0];
        assert!(
            (slope - expected).abs() <= 1e-2 * expected.abs(),
            "{slope} and {expected}"
        );
        finish(case);
    }
}

#[test]
fn the_enhanced_label_is_soft_and_has_a_gradient() {
    on_every_backend(&GumbelLabel);
}

/// The reference's tiny network: h + tanh(h W + m U + b), m the mean of h over the valid frames.
#[derive(Module, Debug)]
struct Tiny<B: Backend> {
    input: Param<Tensor<B, 2>>,
    own: Vec<Param<Tensor<B, 2>>>,
    mean: Vec<Param<Tensor<B, 2>>>,
    bias: Vec<Param<Tensor<B, 1>>>,
}

fn times<B: Backend>(x: Tensor<B, 3>, weight: Tensor<B, 2>) -> Tensor<B, 3> {
    let ([batch, times, width], [_, out]) = (x.dims(), weight.dims());
    x.reshape([batch * times, width])
        .matmul(weight)
        .reshape([batch, times, out])
}

impl<B: Ops> LayeredEncoder<B> for Tiny<B> {
    fn layers(&self) -> usize {
        self.own.len()
    }

    fn enter(&self, frames: &Frames<B>) -> Tensor<B, 3> {
        times(frames.x.clone(), self.input.val())
    }

    fn pass(&self, hidden: Tensor<B, 3>, layers: Range<usize>, frames: &Frames<B>) -> Tensor<B, 3> {
        layers.fold(hidden, |h, index| {
            let mean = (h.clone() * frames.valid.clone()).sum_dim(1) / frames.valid.clone().sum_dim(1);
            let inner = times(h.clone(), self.own[index].val())
                + times(mean, self.mean[index].val())
                + self.bias[index].val().unsqueeze();
            h + inner.tanh()
        })
    }
}

struct BirqStep;

impl Check for BirqStep {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let case = case("birq_step");
        let [batch, times, inputs] = [case.size("batch"), case.size("frames"), case.size("inputs")];
        let lengths = case.indices("lengths");
        let valid = valid_rows(&lengths, times);
        let x = &case.float("x").data;
        let values: Vec<f32> = valid
            .iter()
            .flat_map(|&row| x[row * inputs..][..inputs].to_vec())
            .collect();
        let frames = Frames::<B>::new(&values, &lengths, inputs, None, device);
        let flags = case.indices("masked");
        let hidden_rows: Vec<usize> = (0..batch * times).filter(|&row| flags[row] == 1).collect();
        let hidden: Vec<bool> = flags.iter().map(|&flag| flag == 1).collect();
        let hidden = Tensor::from_data(TensorData::new(hidden, [batch, times, 1]), device);
        let masked = frames.filled(hidden, case.tensor("filling", device));
        let weight = |name: String| Param::from_tensor(case.tensor::<B, 2>(&name, device).require_grad());
        let layers = 0..case.size("layers");
        let model = MaskedModel {
            encoder: Tiny {
                input: weight("w.input".to_owned()),
                own: layers
                    .clone()
                    .map(|index| weight(format!("w.layer.{index}.own")))
                    .collect(),
                mean: layers
                    .clone()
                    .map(|index| weight(format!("w.layer.{index}.mean")))
                    .collect(),
                bias: layers
                    .map(|index| case.tensor::<B, 1>(&format!("w.layer.{index}.bias"), device))
                    .map(|bias| Param::from_tensor(bias.require_grad()))
                    .collect(),
            },
            head: Linear {
                weight: weight("w.head".to_owned()),
                bias: None,
            },
        };
        let labels = enhancing::<B>(&case, device, "projection_k");
        let config = BirqConfig {
            layers: case.size("k"),
            tau: case.number("tau"),
            enhanced: case.number("w1"),
            anchor: case.number("w2"),
        };
        let codes = case.size("codes");
        let noise = case.tensor::<B, 3>("noise", device).reshape([batch * times, codes]);
        let loss = |rows: &[usize]| {
            let rows = index_rows::<B>(rows, device);
            let noise = noise.clone().select(0, rows.clone());
            birq_loss(&model, &labels, &config, &frames, &masked, rows, noise)
        };
        // labels and logits of all frames
        let all = loss(&valid);
        let anchor: Vec<i64> = all.codes.into_data().iter::<i64>().collect();
        case.check_ints("anchor", &spread(&anchor, &valid, batch * times, -1));
        let label = all.label.into_data().to_vec::<f32>().unwrap();
        case.check_values("enhanced", &spread(&label, &valid, batch * times, 0.0));
        let logits = model
            .logits(&masked, index_rows(&valid, device))
            .into_data()
            .to_vec::<f32>()
            .unwrap();
        case.check_values("logits", &spread(&logits, &valid, batch * times, 0.0));
        // losses are of hidden frames
        let step = loss(&hidden_rows);
        case.check("loss_g", step.anchor.clone());
        case.check("loss_f", step.enhanced.clone());
        case.check("loss_f_frozen", step.enhanced.clone());
        case.check("loss", step.total.clone());
        let through_label = {
            let logits = model.logits(&masked, index_rows(&hidden_rows, device)).detach();
            let predicted = burn::tensor::activation::log_softmax(logits, 1);
            (predicted * loss(&hidden_rows).label).sum_dim(1).mean().neg()
        };
        check_grads(&case, "grad_g", &model, step.anchor);
        check_grads(&case, "grad_f", &model, loss(&hidden_rows).enhanced);
        check_grads(&case, "grad_f_label", &model, through_label);
        check_grads(&case, "grad", &model, loss(&hidden_rows).total);
        finish(case);
    }
}

/// The gradients of all weights; one that the loss does not know is all zeros.
fn check_grads<B: TrainBackend>(case: &Case, prefix: &str, model: &MaskedModel<B, Tiny<B>>, loss: Tensor<B, 1>) {
    let grads = loss.backward();
    let check = |name: String, param: &Param<Tensor<B, 2>>| match param.val().grad(&grads) {
        Some(grad) => case.check::<B::InnerBackend, 2>(&format!("{prefix}.{name}"), grad),
        None => case.check_values(
            &format!("{prefix}.{name}"),
            &vec![0.0; param.val().shape().num_elements()],
        ),
    };
    check("input".to_owned(), &model.encoder.input);
    check("head".to_owned(), &model.head.weight);
    for index in 0..model.encoder.own.len() {
        check(format!("layer.{index}.own"), &model.encoder.own[index]);
        check(format!("layer.{index}.mean"), &model.encoder.mean[index]);
        let (name, bias) = (format!("{prefix}.layer.{index}.bias"), model.encoder.bias[index].val());
        match bias.grad(&grads) {
            Some(grad) => case.check::<B::InnerBackend, 1>(&name, grad),
            None => case.check_values(&name, &vec![0.0; bias.shape().num_elements()]),
        }
    }
}

#[test]
fn birqs_losses_and_gradients_are_the_references() {
    on_every_backend(&BirqStep);
}

struct Ctc;

impl Check for Ctc {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let case = case("ctc");
        let (lengths, counts) = (case.indices("lengths"), case.indices("target_lengths"));
        let widest = case.int("targets").len() / counts.len();
        let texts: Vec<Vec<usize>> = case
            .int("targets")
            .chunks_exact(widest)
            .zip(&counts)
            .map(|(text, &count)| text[..count].iter().map(|&symbol| symbol as usize).collect())
            .collect();
        let logits = case.tensor::<B, 3>("logits", device).require_grad();
        case.check("log_p", burn::tensor::activation::log_softmax(logits.clone(), 2));
        let (losses, kept) = ctc_losses(logits.clone(), &lengths, &texts).unwrap();
        let found = losses.clone().into_data().to_vec::<f32>().unwrap();
        let expected = case.float("loss").data.clone();
        let finite: Vec<usize> = (0..texts.len())
            .filter(|&sample| expected[sample].is_finite())
            .collect();
        assert_eq!(kept, finite, "texts without an alignment are left out, and no others");
        case.no_counterpart("loss", "compared here, as one of them is infinite");
        for (found, &sample) in found.iter().zip(&kept) {
            assert!(
                (found - expected[sample]).abs() <= 1e-5 * (1.0 + expected[sample].abs()),
                "{found}, {sample}"
            );
        }
        let grads = losses.sum().backward();
        case.check::<B::InnerBackend, 3>("grad_logits", logits.grad(&grads).unwrap());
        let mean = ctc_loss_mean(logits.clone(), &lengths, &texts).unwrap();
        case.check("loss_mean", mean.clone());
        let grads = mean.backward();
        case.check::<B::InnerBackend, 3>("grad_logits_mean", logits.grad(&grads).unwrap());
        finish(case);
    }
}

#[test]
fn ctc_is_the_references() {
    on_every_backend(&Ctc);
}

const CONFORMER: ConformerConfig = ConformerConfig {
    inputs: 6,
    dim: 16,
    depth: 2,
    heads: 2,
    ff_ratio: 2,
    kernel: 5,
};

fn normal(name: &str, count: usize) -> Vec<f32> {
    let mut stream = Seed::root(7).child(name).stream();
    (0..count).map(|_| stream.normal()).collect()
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().to_vec::<f32>().unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 2e-5 * (1.0 + expected.abs()),
            "{what}: {found} and {expected}"
        );
    }
}

struct Padding;

impl Check for Padding {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let model = Conformer::<B>::new(&CONFORMER, &Init::new(Seed::root(3), device));
        let width = CONFORMER.inputs;
        let lengths = [9, 4, 13];
        let all = normal("frames", 26 * width);
        for window in [None, Some(2)] {
            let batch = Frames::<B>::new(&all, &lengths, width, window, device);
            let together = values(model.encode(&batch));
            let mut start = 0;
            for (sample, &length) in lengths.iter().enumerate() {
                let own = &all[start * width..(start + length) * width];
                let alone = values(model.encode(&Frames::new(own, &[length], width, window, device)));
                let found = &together[sample * 13 * CONFORMER.dim..][..length * CONFORMER.dim];
                assert_close(found, &alone, "a sequence in a batch and alone");
                start += length;
            }
            // what lies in the padding changes nothing, neither values nor gradients
            let rows = index_rows::<B>(&valid_rows(&lengths, 13), device);
            let outcome = |padding: f32| {
                let noise = batch.valid.clone().neg().add_scalar(1.0).mul_scalar(padding);
                let x = (batch.x.clone() + noise).require_grad();
                let hidden = model.encode(&batch.with(x.clone()));
                let kept = hidden.reshape([3 * 13, CONFORMER.dim]).select(0, rows.clone());
                let grads = kept.clone().powi_scalar(2).sum().backward();
                let weights = values(model.blocks[0].convolution.depthwise.val().grad(&grads).unwrap());
                (values(kept), weights, values(x.grad(&grads).unwrap()))
            };
            let ((kept, weights, inputs), (other_kept, other_weights, _)) = (outcome(0.0), outcome(5.0));
            assert_close(&kept, &other_kept, "values beside other padding");
            assert_close(&weights, &other_weights, "gradients beside other padding");
            let of_padding = |index: usize| {
                let (sample, time) = (index / width / 13, index / width % 13);
                time >= lengths[sample]
            };
            assert!((0..inputs.len()).all(|index| !of_padding(index) || inputs[index] == 0.0));
            assert!((0..inputs.len()).any(|index| inputs[index] != 0.0));
        }
    }
}

#[test]
fn padding_reaches_nothing() {
    on_every_backend(&Padding);
}

struct Window;

impl Check for Window {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let config = ConformerConfig {
            depth: 1,
            kernel: 1,
            ..CONFORMER
        };
        let model = Conformer::<B>::new(&config, &Init::new(Seed::root(3), device));
        let all = normal("window", 12 * config.inputs);
        let outcome = |window, changed: usize| {
            let mut all = all.clone();
            all[changed * config.inputs] += 3.0;
            values(model.encode(&Frames::new(&all, &[12], config.inputs, window, device)))
        };
        let row = |values: &[f32], time: usize| values[time * config.dim..][..config.dim].to_vec();
        // frame 8 lies beyond the window of frame 5, frame 7 within it
        let (far, near) = (outcome(Some(2), 8), outcome(Some(2), 7));
        let same = outcome(Some(2), 11);
        assert_eq!(row(&far, 5), row(&same, 5));
        assert_ne!(row(&near, 5), row(&same, 5));
        assert_ne!(row(&outcome(None, 8), 5), row(&outcome(None, 11), 5));
    }
}

#[test]
fn attention_sees_its_window_alone() {
    on_every_backend(&Window);
}

struct Learns;

impl Check for Learns {
    /// The loss starts near that of equal chances, and no gradient reaches what is frozen.
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let init = Init::<B>::new(Seed::root(11), device);
        let (codes, width) = (32, CONFORMER.inputs);
        let quantizer = RandomQuantizer::new(Standardizer::none(width, &init), 2, codes, 8, &init.child("labels"));
        let encoder = Conformer::new(&CONFORMER, &init.child("encoder"));
        let model = MaskedModel::new(encoder, CONFORMER.dim, 2 * codes, &init);
        let lengths = [20, 31];
        let frames = Frames::<B>::new(&normal("learns", 51 * width), &lengths, width, None, device);
        let mut stream = Seed::root(2).stream();
        let hidden: Vec<Vec<bool>> = lengths
            .iter()
            .map(|&length| spans(length, 0.1, 4, || stream.uniform_f64()))
            .collect();
        let flag = |sample: usize, time: usize| hidden[sample].get(time) == Some(&true);
        let flags: Vec<bool> = (0..2 * 31).map(|row| flag(row / 31, row % 31)).collect();
        let rows: Vec<usize> = (0..flags.len()).filter(|&row| flags[row]).collect();
        let filling = TensorData::new(normal("filling", 2 * 31 * width), [2, 31, width]);
        let masked = frames.filled(
            Tensor::from_data(TensorData::new(flags, [2, 31, 1]), device),
            Tensor::from_data(filling, device).mul_scalar(0.1f32.sqrt()),
        );
        let loss = best_rq_loss(&model, &quantizer, &frames, &masked, index_rows(&rows, device));
        let at_start = values(loss.clone())[0];
        assert!((at_start - (codes as f32).ln()).abs() < 1.5, "{at_start}");
        let grads = loss.backward();
        assert!(quantizer.books[0].projection.val().grad(&grads).is_none());
        assert!(quantizer.books[1].codes.val().grad(&grads).is_none());
        assert!(model.encoder.input.weight.val().grad(&grads).is_some());
    }
}

#[test]
fn best_rq_predicts_labels_that_never_learn() {
    on_every_backend(&Learns);
}

#[test]
fn spans_are_hidden_and_never_none() {
    let mut stream = Seed::root(4).stream();
    let mut uniform = || stream.uniform_f64();
    for length in 1..40 {
        let hidden = spans(length, 0.0, 5, &mut uniform);
        let count = hidden.iter().filter(|&&hidden| hidden).count();
        assert!((1..=5).contains(&count), "{length}: {count}");
    }
    // with probability p a start, so that a frame far from the ends stays with probability (1 - p)^span
    let hidden = spans(100_000, 0.02, 20, &mut uniform);
    let share = hidden.iter().filter(|&&hidden| hidden).count() as f64 / 1e5;
    assert!((share - (1.0 - 0.98f64.powi(20))).abs() < 0.02, "{share}");
    assert!(spans(0, 0.5, 3, &mut uniform).is_empty());
}

struct Patches;

impl Check for Patches {
    /// A ViT over patches as a layered encoder is the ViT itself.
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let geometry = Geometry::Audio {
            frames: 64,
            mels: 32,
            patch: 16,
            rows: AudioRows::Scrambled,
        };
        let config = StackConfig {
            dim: 16,
            depth: 3,
            heads: 2,
            mlp_ratio: 2,
        };
        let vit = Vit::<B>::new(&geometry, &config, &Init::new(Seed::root(5), device));
        let x = Tensor::from_data(TensorData::new(normal("vit", 3 * 64 * 32), [3, 1, 1, 64, 32]), device);
        let rows = patches(x.clone(), &geometry).reshape([3, 8, 256]);
        let frames = Frames::unpadded(rows);
        let whole = values(vit.encode(&frames));
        assert_close(&whole, &values(vit.embed_patches(x)), "layered and whole");
        let parts = vit.pass(vit.pass(vit.enter(&frames), 0..2, &frames), 2..3, &frames);
        assert_close(&values(vit.of_frames(parts)), &whole, "in two parts");
    }
}

#[test]
fn a_vit_over_patches_is_a_layered_encoder() {
    on_every_backend(&Patches);
}

struct Standards;

impl Check for Standards {
    fn on<B: TrainBackend>(&self, device: &B::Device) {
        let init = Init::<B>::new(Seed::root(0), device);
        let standard = Standardizer::new(&[1.0, -2.0, 3.0], &[2.0, 0.5, 0.0], &init);
        let rows = Tensor::<B, 2>::from_data(TensorData::new(vec![3.0f32, -2.0, 4.0], [1, 3]), device);
        let found = standard.apply(rows.clone());
        assert_close(&values(found.clone()), &[1.0, 0.0, 1.0], "standardised");
        assert_close(&values(standard.undo(found)), &values(rows), "and back");
    }
}

#[test]
fn frames_are_standardised_and_back() {
    on_every_backend(&Standards);
}
