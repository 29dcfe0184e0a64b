//! One step of fine-tuning against PyTorch's own derivatives of transformers' models (`encoders/gradients.py`).

use crate::fixture::{Fixture, Values, host};
use bridle::init::Init;
use bridle::loss::soft_cross_entropy;
use bridle::weights;
use bridle_backends::{Choice, Facts, Job, Precision, TrainBackend};
use bridle_bench::protocol::ForeignClassifier;
use bridle_containers::Checkpoint;
use bridle_encoders::{Body, Encoder, Input, Pooling, build};
use bridle_seed::Seed;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The fixtures that have gradients: a vision transformer, and an encoder of speech.
const FIXTURES: [(&str, Pooling); 2] = [("ast-hf", Pooling::TwoTokens), ("wav2vec2-large-hf", Pooling::Mean)];
const CLASSES: usize = 3;
/// Largest difference allowed, relative to the largest gradient of the same tensor.
const TOLERANCE: f64 = 1e-4;
/// Below this the gradient of a tensor counts as none, relative to the largest of all: a bias of keys has none but
/// for rounding.
const NOTHING: f64 = 1e-6;

/// base + sin(factor n) / 2 for n from 1.
fn sines<B: TrainBackend, const D: usize>(
    shape: [usize; D],
    factor: f64,
    base: f64,
    device: &B::Device,
) -> Tensor<B, D> {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (1..=count)
        .map(|n| (base + (factor * n as f64).sin() / 2.0) as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Marks every parameter as one that learns.
struct RequireGradients;

impl<B: TrainBackend> ModuleMapper<B> for RequireGradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        param.map(Tensor::require_grad)
    }
}

/// Gradients by the names of a module's parameters; 0 where a parameter has none.
struct Gradients<'a, B: TrainBackend> {
    grads: &'a B::Gradients,
    path: weights::Path,
    found: BTreeMap<String, Vec<f32>>,
}

impl<B: TrainBackend> ModuleVisitor<B> for Gradients<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let tensor = param.val();
        let values = match tensor.grad(self.grads) {
            Some(grad) => host(grad).data,
            None => vec![0.0; tensor.shape().num_elements()],
        };
        self.found.insert(self.path.name(), values);
    }
}

/// The two inputs of which the gradients are: a spectrogram and the same turned around in time, or two sounds.
fn input<B: TrainBackend>(fixture: &Fixture, encoder: &Encoder<B>, device: &B::Device) -> Input<B> {
    if let Encoder::Vit(_) = encoder {
        let Values { data, shape } = &fixture.values["input"];
        let [_, frames, mels] = shape[..] else {
            panic!("a spectrogram of {shape:?}")
        };
        let turned = data.chunks(mels).rev().flatten().copied();
        let both = data.iter().copied().chain(turned).collect();
        return Input::from_values(both, &[2, frames, mels], device).unwrap();
    }
    let recognised = fixture.recognised(&fixture.checkpoint());
    let sounds = ["wave.a", "wave.b"].map(|name| {
        let wave: Vec<f32> = fixture.values[name].data.iter().map(|value| value / 32768.0).collect();
        recognised.pipeline.sound(&wave).unwrap().data
    });
    bridle_bench::foreign::padded(&sounds.each_ref().map(|sound| &sound[..]), 1, device)
}

struct Steps;

impl Job for Steps {
    type Output = Vec<String>;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Vec<String> {
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders");
        let mut failures = Vec::new();
        for (name, pooling) in FIXTURES {
            let fixture = Fixture::read(&core, name);
            let mut fail = |message: String| failures.push(format!("{}: {name}: {message}", facts.name));
            let report = std::fs::read(fixture.folder.join("gradients.json")).unwrap();
            let report: Value = serde_json::from_slice(&report).unwrap();
            let numbers = |value: &Value| -> Vec<f32> {
                value
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|x| x.as_f64().unwrap() as f32)
                    .collect()
            };
            let (recognised, encoder) = fixture.encoder::<B>(&device);
            let dim = recognised.body.dim();
            let mut model = ForeignClassifier::new(encoder, pooling, CLASSES, &Init::new(Seed::root(0), &device));
            model.norm.weight = Param::from_tensor(sines([dim], 0.3, 1.0, &device));
            model.norm.bias = Param::from_tensor(sines([dim], 0.7, 0.0, &device));
            model.head.weight = Param::from_tensor(sines([dim, CLASSES], 0.9, 0.0, &device));
            model.head.bias = Some(Param::from_tensor(sines([CLASSES], 1.1, 0.0, &device)));
            let model = model.map(&mut RequireGradients);
            let logits = model
                .logits(input(&fixture, &model.encoder, &device), pooling, &[])
                .unwrap();
            for (found, expected) in host(logits.clone()).data.iter().zip(numbers(&report["logits"])) {
                if !((found - expected).abs() < 1e-4) {
                    fail(format!("logit {found}, not {expected}"));
                }
            }
            let targets = Tensor::from_data([[0.9, 0.1, 0.0], [0.0, 0.3, 0.7]], &device);
            let loss = soft_cross_entropy(logits, targets);
            let (found, expected) = (host(loss.clone()).data[0], report["loss"].as_f64().unwrap());
            if !((f64::from(found) - expected).abs() < 1e-5 * expected) {
                fail(format!("loss {found}, not {expected}"));
            }
            let grads = loss.backward();
            let mut visitor = Gradients::<B> {
                grads: &grads,
                path: weights::Path::default(),
                found: BTreeMap::new(),
            };
            model.visit(&mut visitor);
            // PyTorch's gradients as a checkpoint: they are laid out as weights are
            let checkpoint = Checkpoint::open(&fixture.folder.join("gradients.safetensors")).unwrap();
            let (theirs, _) = build::<B::InnerBackend>(&recognised, &checkpoint, &device).unwrap();
            let mut expected: BTreeMap<String, Vec<f32>> = weights::collect(&theirs)
                .into_iter()
                .map(|(name, values)| (format!("encoder.{name}"), values.data))
                .collect();
            for (name, key) in [
                ("norm.weight", "scale"),
                ("norm.bias", "shift"),
                ("head.weight", "weight"),
                ("head.bias", "bias"),
            ] {
                expected.insert(name.to_owned(), numbers(&report["gradients"][key]));
            }
            let largest = |values: &[f32]| {
                values
                    .iter()
                    .fold(0.0_f64, |most, value| most.max(f64::from(value.abs())))
            };
            let of_all = expected.values().map(|values| largest(values)).fold(0.0, f64::max);
            assert!(
                expected.keys().eq(visitor.found.keys()),
                "{name}: {:?}",
                visitor.found.keys()
            );
            let mut worst = 0.0_f64;
            for (name, expected) in &expected {
                let found = &visitor.found[name];
                let differences: Vec<f32> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
                let off = largest(&differences) / largest(expected).max(NOTHING * of_all);
                worst = if off > worst { off } else { worst };
                if found.len() != expected.len() || !(off <= TOLERANCE) {
                    fail(format!("gradient of {name} is off by {off:.1e} of its largest"));
                }
            }
            println!(
                "gradients: {}: {name}: {} tensors, off by {worst:.1e} at most",
                facts.name,
                expected.len()
            );
        }
        failures
    }
}

#[test]
fn one_step_of_fine_tuning_has_pytorchs_gradients() {
    let mut failures = Vec::new();
    for name in bridle_backends::compiled() {
        let choice = Choice {
            name,
            device: None,
            threads: None,
            precision: Precision::F32,
        };
        match bridle_backends::run(&choice, Steps) {
            Ok(found) => failures.extend(found),
            Err(error) => println!("gradients: {}: not run, {error}", name.as_str()),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The layer of every parameter, for rates that differ by layer: of each kind of encoder of the core.
#[test]
fn every_parameter_has_its_layer() {
    type Flex = burn_flex::Flex;
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders");
    let mut seen = 0;
    for name in Fixture::names(&core) {
        let fixture = Fixture::read(&core, &name);
        let (recognised, encoder) = fixture.encoder::<Flex>(&Default::default());
        let (body, last) = (&recognised.body, recognised.body.blocks() + 1);
        let mut per_layer = vec![0; last + 1];
        for parameter in weights::collect(&encoder).into_keys() {
            let within = ["Vit.", "Speech.", "Conformer."]
                .iter()
                .find_map(|kind| parameter.strip_prefix(kind));
            let within = within.unwrap_or_else(|| panic!("{name}: `{parameter}` is of no kind"));
            let layer = body.layer(within);
            per_layer[layer] += 1;
            let part = within.split('.').next().unwrap();
            let expected = match (part, body) {
                ("blocks", _) => within.split('.').nth(1).unwrap().parse::<usize>().unwrap() + 1,
                ("patch" | "prefix" | "positions" | "convolution" | "first_norm" | "front", _) => 0,
                ("norm", Body::Speech(config)) if !config.pre_norm => 0,
                ("norm" | "final_norm" | "pooled_norm" | "pooler" | "head_norm" | "head" | "bias" | "buckets", _) => {
                    last
                }
                _ => panic!("{name}: `{within}` has no layer that anybody thought of"),
            };
            assert_eq!(layer, expected, "{name}: {within}");
            seen += 1;
        }
        // what is in front, and every block, has parameters
        assert!(
            per_layer[..last].iter().all(|count| *count > 0),
            "{name}: {per_layer:?}"
        );
    }
    assert!(seen > 300, "{seen}");
}
