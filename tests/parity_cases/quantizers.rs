//! Quantizer cases: look-up, training steps, k-means, restart, several codes per level, gradient-trained codebooks.

use super::case::Case;
use bridle::codebook::{Codebook, Learning, Picks, Similarity, SoftPick, Start, kmeans, unit};
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantizer};
use bridle::rq::{ResidualQuantizer, Restart, RqConfig, Space};
use bridle::weights::Values;
use bridle_backends::{Ops, TrainBackend};
use bridle_baselines::vq::{VectorQuantizer, VqConfig};
use bridle_seed::Seed;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Recorded picks: per level, initial means and restart rows.
#[derive(Default)]
pub struct Recorded {
    pub means: Vec<Vec<usize>>,
    pub restarts: Vec<Vec<usize>>,
}

impl Picks for Recorded {
    fn initial_means(&mut self, level: usize, _samples: usize, codes: usize) -> Vec<usize> {
        self.means[level][..codes].to_vec()
    }

    fn restart(&mut self, level: usize, _samples: usize, _codes: usize) -> Vec<usize> {
        self.restarts[level].clone()
    }
}

fn vq_config(case: &Case, learning: Learning) -> VqConfig {
    VqConfig {
        codebook_size: case.size("code_num"),
        code_dim: case.size("code_dim"),
        decay: case.config["decay"].as_f64().unwrap_or(0.99),
        commitment: case.config["commitment_loss_weight"].as_f64().unwrap_or(0.25),
        start: Start::Uniform,
        kmeans_iterations: case.size_or("kmeans_iters", 10),
        learning,
        ..VqConfig::default()
    }
}

fn config(case: &Case, learning: Learning) -> RqConfig {
    RqConfig {
        codebooks: case.size_or("codebook_set", 1),
        codebook_size: case.size("code_num"),
        code_dim: case.size("code_dim"),
        decay: case.config["decay"].as_f64().unwrap_or(0.99),
        commitment: case.config["commitment_loss_weight"].as_f64().unwrap_or(0.25),
        start: Start::Uniform,
        kmeans_iterations: case.size_or("kmeans_iters", 10),
        soft_codes: case.size_or("soft_code", 1),
        soft_pick: SoftPick::Farthest,
        restart: Restart::Off,
        space: Space::UnitLookup,
        learning,
        ..RqConfig::default()
    }
}

fn init<B: Backend>(device: &B::Device) -> Init<B> {
    Init::new(Seed::root(0), device)
}

/// Puts the case's codebooks in, without the padding row.
fn fill<B: Backend>(books: &mut [Codebook<B>], case: &Case, name: impl Fn(usize) -> String, device: &B::Device) {
    for (level, book) in books.iter_mut().enumerate() {
        let [codes, dim] = book.vectors.dims();
        let values = case.float(&name(level)).data[..codes * dim].to_vec();
        let tensor = Tensor::from_data(TensorData::new(values, [codes, dim]), device);
        book.set_vectors(tensor);
        if let Some(sums) = book.sums.take() {
            let tensor = book.vectors.val();
            book.sums = Some(sums.map(|_| tensor));
        }
    }
}

fn rq<B: Ops>(case: &Case, config: RqConfig, suffix: &str, device: &B::Device) -> ResidualQuantizer<B> {
    let mut quantizer = ResidualQuantizer::new(&config, &init(device));
    fill(
        &mut quantizer.levels,
        case,
        |level| format!("codebook.{level}{suffix}"),
        device,
    );
    quantizer.set_started(config.restart == Restart::Off);
    quantizer
}

fn vq<B: Ops>(case: &Case, config: VqConfig, name: &str, device: &B::Device) -> VectorQuantizer<B> {
    let mut quantizer = VectorQuantizer::new(&config, &init(device));
    fill(&mut quantizer.levels, case, |_| name.to_owned(), device);
    quantizer.set_started(true);
    quantizer
}

fn values<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Vec<f32> {
    Values::from_data(tensor.to_data()).data
}

fn check_books<B: Backend>(case: &Case, books: &[Codebook<B>], prefix: &str) {
    for (level, book) in books.iter().enumerate() {
        case.check_first(&format!("{prefix}codebook.{level}"), &values(&book.vectors.val()));
        case.check(&format!("{prefix}cluster_size.{level}"), book.usage.val());
    }
}

pub fn rq_eval<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mut quantizer = rq::<B>(case, config(case, Learning::Ema), "", device);
    let z = case.tensor::<B, 3>("z", device).require_grad();
    let [batch, tokens, dim] = z.dims();
    let found = quantizer.forward(z.clone(), Mode::Eval, &mut Recorded::default());
    case.check("z_q", found.values.clone());
    case.check_codes("codes", found.codes.clone());
    case.check("loss", found.loss.clone());
    case.check("grad_z_loss", z.grad(&found.loss.backward()).unwrap());
    // a second graph, since the first is used up; on a copy, since usage is counted in evaluation too
    let cotangent = case.tensor::<B, 3>("cotangent", device);
    let again = quantizer
        .clone()
        .forward(z.clone(), Mode::Eval, &mut Recorded::default());
    let straight = (again.values * cotangent).sum().backward();
    case.check("grad_z_st", z.grad(&straight).unwrap());

    // the readable route, level by level
    let mut residual = z.clone().detach().reshape([batch * tokens, dim]);
    let (mut losses, mut per_level) = (Vec::new(), Vec::new());
    for (level, book) in quantizer.levels.iter().enumerate() {
        case.check(&format!("residual_in.{level}"), residual.clone());
        let rows = unit(residual.clone());
        case.check(&format!("distances.{level}"), book.distances(rows.clone()));
        let vectors = book.lookup(book.distances(rows).argmin(1)).detach();
        case.check(&format!("quant.{level}"), vectors.clone());
        losses.push(
            (residual.clone() - vectors.clone())
                .powi_scalar(2)
                .mean()
                .mul_scalar(1.25),
        );
        residual = residual - vectors.clone();
        per_level.push(vectors.reshape([batch, tokens, dim, 1]));
        case.check(&format!("cluster_size_after.{level}"), book.usage.val());
    }
    case.check("residual_out", residual);
    case.check("level_loss", Tensor::cat(losses, 0));
    case.check("eval_codebooks_quants", Tensor::cat(per_level, 3));
    case.check_codes("eval_codebooks_codes", found.codes.clone());
    case.check("z_q", quantizer.decode(found.codes));
}

pub fn rq_train_steps<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mut quantizer = rq::<B>(case, config(case, Learning::Ema), ".init", device);
    for step in 0..case.count("step", ".z") {
        let name = |what: &str| format!("step{step}.{what}");
        let z = case.tensor::<B, 3>(&name("z"), device).require_grad();
        let found = quantizer.forward(z.clone(), Mode::Train, &mut Recorded::default());
        case.check(&name("z_q"), found.values);
        case.check_codes(&name("codes"), found.codes);
        case.check(&name("loss"), found.loss.clone());
        case.check(&name("grad_z_loss"), z.grad(&found.loss.backward()).unwrap());
        check_books(case, &quantizer.levels, &name(""));
    }
}

pub fn rq_restart<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mode = if case.config["mode"] == "train" {
        Mode::Train
    } else {
        Mode::Eval
    };
    let config = RqConfig {
        restart: Restart::FirstForward,
        ..config(case, Learning::Ema)
    };
    let mut quantizer = rq::<B>(case, config, ".init", device);
    for step in 0..case.count("step", ".z") {
        let name = |what: &str| format!("step{step}.{what}");
        let rows = |level| case.indices(&name(&format!("restart_ids.{level}")));
        let levels = case.count(&name("restart_ids."), "");
        let mut picks = Recorded {
            restarts: (0..levels).map(rows).collect(),
            ..Recorded::default()
        };
        let found = quantizer.forward(case.tensor::<B, 3>(&name("z"), device), mode, &mut picks);
        case.check(&name("z_q"), found.values);
        case.check_codes(&name("codes"), found.codes);
        case.check(&name("loss"), found.loss);
        check_books(case, &quantizer.levels, &name(""));
    }
}

pub fn rq_kmeans<B: TrainBackend>(case: &Case, device: &B::Device) {
    let config = RqConfig {
        start: Start::Kmeans,
        ..config(case, Learning::Ema)
    };
    let mut quantizer = ResidualQuantizer::<B>::new(&config, &init(device));
    let permutations: Vec<_> = (0..config.codebooks)
        .map(|level| case.indices(&format!("perm.{level}")))
        .collect();
    let mut picks = Recorded {
        means: permutations.clone(),
        ..Recorded::default()
    };
    let z = case.tensor::<B, 3>("z", device);
    let [batch, tokens, dim] = z.dims();
    let found = quantizer.forward(z.clone(), Mode::Train, &mut picks);
    case.check("z_q", found.values);
    case.check_codes("codes", found.codes.clone());
    case.check("loss", found.loss);
    check_books(case, &quantizer.levels, "");

    // the same level by level: samples, means, bins
    let mut residual = z.reshape([batch * tokens, dim]);
    for (level, book) in quantizer.levels.iter().enumerate() {
        let samples = unit(residual.clone());
        case.check(&format!("kmeans_samples.{level}"), samples.clone());
        let first = &permutations[level][..config.codebook_size];
        let run = |iterations| kmeans(samples.clone(), first, iterations, Similarity::Cosine);
        let (means, bins) = run(config.kmeans_iterations);
        case.check(&format!("kmeans_means.{level}"), means);
        case.check_ints(&format!("kmeans_bins.{level}"), &integers(&bins));
        for iterations in [1, 2, 5] {
            let name = format!("level{level}_means_iter{iterations}");
            if case.has(&name) {
                let (means, bins) = run(iterations);
                case.check(&name, means);
                case.check_ints(&format!("level{level}_bins_iter{iterations}"), &integers(&bins));
            }
        }
        let codes = found.codes.clone().narrow(2, level, 1).reshape([batch * tokens, 1]);
        residual = residual - book.lookup(codes);
    }
    for (name, rows, similarity) in [
        ("small", "ids", Similarity::Cosine),
        ("euclid", "perm", Similarity::Euclidean),
    ] {
        if !case.has(&format!("{name}.samples")) {
            continue;
        }
        let samples = case.tensor::<B, 2>(&format!("{name}.samples"), device);
        let codes = case.float(&format!("{name}.means")).shape[0];
        let first = case.indices(&format!("{name}.{rows}"));
        let (means, bins) = kmeans(samples, &first[..codes], config.kmeans_iterations, similarity);
        case.check(&format!("{name}.means"), means);
        case.check_ints(&format!("{name}.bins"), &integers(&bins));
    }
}

fn integers<B: Backend>(counts: &Tensor<B, 1>) -> Vec<i64> {
    values(counts).iter().map(|&count| count as i64).collect()
}

pub fn rq_soft2<B: TrainBackend>(case: &Case, device: &B::Device) {
    let config = config(case, Learning::Ema);
    let z = case.tensor::<B, 3>("z", device);
    let [batch, tokens, dim] = z.dims();
    let mut quantizer = rq::<B>(case, config, ".init", device);
    let found = quantizer.forward(z.clone(), Mode::Eval, &mut Recorded::default());
    case.check("eval.z_q", found.values);
    case.check_codes("eval.codes", found.codes.clone());
    case.check("eval.loss", found.loss);
    for (level, book) in quantizer.levels.iter().enumerate() {
        let codes = found
            .codes
            .clone()
            .narrow(2, level * config.soft_codes, config.soft_codes);
        let vectors = book.lookup(codes.reshape([batch * tokens, config.soft_codes]));
        case.check(&format!("eval.quant.{level}"), vectors);
    }
    case.check("eval.z_q", quantizer.decode(found.codes).reshape([batch, tokens, dim]));

    let mut quantizer = rq::<B>(case, config, ".init", device);
    let found = quantizer.forward(z, Mode::Train, &mut Recorded::default());
    case.check("train.z_q", found.values);
    case.check_codes("train.codes", found.codes);
    case.check("train.loss", found.loss);
    check_books(case, &quantizer.levels, "train.");
}

pub fn rq_noema<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mut quantizer = rq::<B>(case, config(case, Learning::Gradient), ".init", device);
    let z = case.tensor::<B, 3>("z", device).require_grad();
    let found = quantizer.forward(z.clone(), Mode::Train, &mut Recorded::default());
    case.check("z_q", found.values);
    case.check_codes("codes", found.codes);
    case.check("loss", found.loss.clone());
    let grads = found.loss.backward();
    case.check("grad_z_loss", z.grad(&grads).unwrap());
    for (level, book) in quantizer.levels.iter().enumerate() {
        let grad = book.vectors.val().grad(&grads).unwrap();
        case.check_first(&format!("grad_codebook.{level}"), &values(&grad));
    }
}

pub fn video_rq_train_steps<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mut quantizer = rq::<B>(case, config(case, Learning::SmoothedEma), ".init", device);
    for step in 0..case.count("step", ".z") {
        let name = |what: &str| format!("step{step}.{what}");
        let found = quantizer.forward(
            case.tensor::<B, 3>(&name("z"), device),
            Mode::Train,
            &mut Recorded::default(),
        );
        case.check(&name("z_q"), found.values);
        case.check_codes(&name("codes"), found.codes);
        case.check(&name("loss"), found.loss);
        check_books(case, &quantizer.levels, &name(""));
        for (level, book) in quantizer.levels.iter().enumerate() {
            let sums = book.sums.as_ref().expect("the smoothed form keeps sums");
            case.check(&name(&format!("embed_ema.{level}")), sums.val());
        }
    }
}

pub fn vq_eval<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mut quantizer = vq::<B>(case, vq_config(case, Learning::Ema), "codebook", device);
    let z = case.tensor::<B, 3>("z", device).require_grad();
    let found = quantizer.forward(z.clone(), Mode::Eval, &mut Recorded::default());
    case.check("z_q", found.values.clone());
    case.check("z_q", quantizer.decode(found.codes.clone()));
    case.check_codes("codes", found.codes);
    case.check("loss", found.loss.clone());
    case.check("grad_z_loss", z.grad(&found.loss.backward()).unwrap());
    let again = quantizer
        .clone()
        .forward(z.clone(), Mode::Eval, &mut Recorded::default());
    let straight = (again.values * case.tensor::<B, 3>("cotangent", device))
        .sum()
        .backward();
    case.check("grad_z_st", z.grad(&straight).unwrap());
    case.check("cluster_size_after", quantizer.levels[0].usage.val());
}

pub fn vq_train_steps<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mut quantizer = vq::<B>(case, vq_config(case, Learning::Ema), "codebook.init", device);
    for step in 0..case.count("step", ".z") {
        let name = |what: &str| format!("step{step}.{what}");
        let z = case.tensor::<B, 3>(&name("z"), device).require_grad();
        let found = quantizer.forward(z.clone(), Mode::Train, &mut Recorded::default());
        case.check(&name("z_q"), found.values);
        case.check_codes(&name("codes"), found.codes);
        case.check(&name("loss"), found.loss.clone());
        case.check(&name("grad_z_loss"), z.grad(&found.loss.backward()).unwrap());
        case.check(&name("codebook"), quantizer.levels[0].vectors.val());
        case.check(&name("cluster_size"), quantizer.levels[0].usage.val());
    }
}

pub fn vq_kmeans<B: TrainBackend>(case: &Case, device: &B::Device) {
    let config = VqConfig {
        start: Start::Kmeans,
        ..vq_config(case, Learning::Ema)
    };
    let mut quantizer = VectorQuantizer::<B>::new(&config, &init(device));
    let permutation = case.indices("perm");
    let z = case.tensor::<B, 3>("z", device);
    let [batch, tokens, dim] = z.dims();
    let samples = unit(z.clone().reshape([batch * tokens, dim]));
    let (means, bins) = kmeans(
        samples,
        &permutation[..config.codebook_size],
        config.kmeans_iterations,
        Similarity::Cosine,
    );
    case.check("kmeans_means", means);
    case.check_ints("kmeans_bins", &integers(&bins));
    let found = quantizer.forward(
        z,
        Mode::Train,
        &mut Recorded {
            means: vec![permutation],
            ..Recorded::default()
        },
    );
    case.check("z_q", found.values);
    case.check_codes("codes", found.codes);
    case.check("loss", found.loss);
    case.check("codebook", quantizer.levels[0].vectors.val());
    case.check("cluster_size", quantizer.levels[0].usage.val());
}

pub fn vq_noema<B: TrainBackend>(case: &Case, device: &B::Device) {
    let mut quantizer = vq::<B>(case, vq_config(case, Learning::Gradient), "codebook", device);
    let z = case.tensor::<B, 3>("z", device).require_grad();
    let found = quantizer.forward(z.clone(), Mode::Train, &mut Recorded::default());
    case.check("z_q", found.values);
    case.check_codes("codes", found.codes);
    case.check("loss", found.loss.clone());
    let grads = found.loss.backward();
    case.check("grad_z_loss", z.grad(&grads).unwrap());
    case.check("grad_codebook", quantizer.levels[0].vectors.val().grad(&grads).unwrap());
}
