//! Fine-tuning cases: classifiers of sound and video, their losses, gradients, stochastic depth and dropped tokens.

use super::case::Case;
use super::models::{check_gradients, geometry, input, mask, stack};
use bridle::classifier::{Classifier, Dropped, branch_factor, drop_rates};
use bridle::config::Geometry;
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::loss::{binary_cross_entropy, soft_cross_entropy};
use bridle::position::crop_rows;
use bridle::transformer::BranchFactors;
use bridle::weights::{Weights, collect, load};
use bridle_backends::TrainBackend;
use bridle_baselines::import::{Release, authors_name, import};
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};

/// The case's classifier. All classifiers, those of video too, have the short names of the audio release; the
/// encoder's last norm is in none of them, since they do not use it.
fn classifier<B: TrainBackend>(case: &Case, geometry: &Geometry, device: &B::Device) -> Classifier<B> {
    let init = Init::<B>::new(Seed::root(0), device);
    let model = Classifier::new(Vit::new(geometry, &stack(case, ""), &init), classes(case), &init);
    let mut all = collect(&model);
    let is_used = |(name, _): &(&String, _)| !name.starts_with("encoder.norm.");
    let template: Weights = all
        .iter()
        .filter(is_used)
        .map(|(name, values)| (name.clone(), values.clone()))
        .collect();
    let found = import(&template, Release::AudioImage, |name| {
        case.find_float(&format!("w.{name}"))
    });
    all.extend(found.unwrap_or_else(|error| panic!("{}: {error}", case.name)));
    for name in case.names("w.").iter().filter(|name| !name.ends_with("pos_embed")) {
        let taken = template
            .keys()
            .any(|ours| format!("w.{}", authors_name(ours, Release::AudioImage)) == *name);
        assert!(taken, "{}: nothing takes up {name}", case.name);
    }
    take_positions(case, &mut all, model)
}

/// The case's own position table, which may be any; the row of its class token goes to the class token.
fn take_positions<B: TrainBackend>(case: &Case, weights: &mut Weights, model: Classifier<B>) -> Classifier<B> {
    let Some(table) = case.find_float("w.pos_embed") else {
        return load_all(case, model, weights);
    };
    let dim = model.encoder.dim();
    let (first, rest) = table.data.split_at(dim);
    let cls = weights
        .get_mut("encoder.cls_token")
        .expect("a table with a row for cls has a cls token");
    cls.data
        .iter_mut()
        .zip(first)
        .for_each(|(cls, position)| *cls += position);
    let mut model = load_all(case, model, weights);
    let device = model.head.weight.device();
    model.encoder.set_positions(Tensor::from_data(
        TensorData::new(rest.to_vec(), [rest.len() / dim, dim]),
        &device,
    ));
    model
}

fn load_all<B: TrainBackend>(case: &Case, model: Classifier<B>, weights: &Weights) -> Classifier<B> {
    load(model, weights).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

fn classes(case: &Case) -> usize {
    case.float("w.head.bias").data.len()
}

pub fn finetune<B: TrainBackend>(case: &Case, device: &B::Device) {
    let geometry = geometry(case);
    let model = classifier::<B>(case, &geometry, device);
    let x = input::<B>(case, "x", device);
    let frozen = model.valid();
    let whole = Dropped::default();
    case.check("features", frozen.features(x.clone().inner(), &Dropped::default()));
    case.check("logits", frozen.logits(x.clone().inner(), &Dropped::default()));

    let targets = case.tensor::<B, 2>("target", device);
    let most = targets.clone().argmax(1).into_data().iter::<i64>().collect::<Vec<_>>();
    case.check_ints("target_argmax", &most);
    check_mixture(case);
    let binary = binary_cross_entropy(model.logits(x.clone(), &whole), targets.clone());
    case.check("loss_bce", binary.clone());
    check_gradients(case, &model, &binary.backward(), "grad_bce.", &geometry);
    let soft = soft_cross_entropy(model.logits(x.clone(), &whole), targets);
    case.check("loss_soft_ce", soft.clone());
    check_head_gradients(case, &model, &soft.backward());
    let hard = soft_cross_entropy(model.logits(x.clone(), &whole), one_hot(case, "label", device));
    case.check("loss_ce", hard);

    let dropped = Dropped {
        tokens: None,
        branches: recorded_branches(case, device),
    };
    case.check("logits_droppath", model.logits(x, &dropped));

    let rows = crop_rows(case.int("esc50.rows").len() - 1, false);
    case.check_ints("esc50.rows", &rows.iter().map(|&row| row as i64).collect::<Vec<_>>());
    let table = &case.float("esc50.pos_in").data;
    let dim = case.float("esc50.pos_in").shape[1];
    let cropped: Vec<f32> = rows
        .iter()
        .flat_map(|&row| &table[row * dim..(row + 1) * dim])
        .copied()
        .collect();
    case.check_values("esc50.pos_out", &cropped);
}

/// The soft target is `lambda` of the one label and the rest of the other.
fn check_mixture(case: &Case) {
    let classes = classes(case);
    let (shares, labels, others) = (
        &case.float("lambda").data,
        case.indices("label"),
        case.indices("label_other"),
    );
    for (sample, &share) in shares.iter().enumerate() {
        let mut expected = vec![0.0; classes];
        expected[labels[sample]] += share;
        expected[others[sample]] += 1.0 - share;
        let given = &case.float("target").data[sample * classes..][..classes];
        assert!(
            given.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{}: target {sample}",
            case.name
        );
    }
}

fn one_hot<B: TrainBackend>(case: &Case, name: &str, device: &B::Device) -> Tensor<B, 2> {
    let (labels, classes) = (case.indices(name), classes(case));
    let mut hot = vec![0.0f32; labels.len() * classes];
    labels
        .iter()
        .enumerate()
        .for_each(|(sample, &label)| hot[sample * classes + label] = 1.0);
    Tensor::from_data(TensorData::new(hot, [labels.len(), classes]), device)
}

/// The case holds the gradients of head and norm only.
fn check_head_gradients<B: TrainBackend>(case: &Case, model: &Classifier<B>, grads: &B::Gradients) {
    let values = |tensor: Option<Tensor<B::InnerBackend, 1>>| tensor.expect("a trained parameter has a gradient");
    case.check(
        "grad_soft_ce.fc_norm.weight",
        values(model.fc_norm.weight.val().grad(grads)),
    );
    case.check(
        "grad_soft_ce.fc_norm.bias",
        values(model.fc_norm.bias.val().grad(grads)),
    );
    let head = model
        .head
        .weight
        .val()
        .grad(grads)
        .expect("a trained parameter has a gradient");
    case.check("grad_soft_ce.head.weight", head.swap_dims(0, 1));
    let bias = model.head.bias.as_ref().expect("the head has a bias");
    case.check("grad_soft_ce.head.bias", values(bias.val().grad(grads)));
}

/// Stochastic depth as recorded: two draws for every block with a rate, attention first.
fn recorded_branches<B: TrainBackend>(case: &Case, device: &B::Device) -> Vec<Option<BranchFactors<B>>> {
    let rates = drop_rates(case.number("drop_path_rate"), case.size("depth"));
    let mut draw = 0;
    let mut factor = |rate: f64| {
        let kept: Vec<bool> = case
            .float(&format!("droppath.{draw}"))
            .data
            .iter()
            .map(|&flag| flag == 1.0)
            .collect();
        draw += 1;
        branch_factor(&kept, rate, device)
    };
    let mut block = |rate: f64| BranchFactors {
        attention: factor(rate),
        mlp: factor(rate),
    };
    rates
        .into_iter()
        .map(|rate| (rate > 0.0).then(|| block(rate)))
        .collect()
}

pub fn mask2d<B: TrainBackend>(case: &Case, device: &B::Device) {
    let geometry = geometry(case);
    let model = classifier::<B>(case, &geometry, device);
    let mask = mask(case, "", &geometry);
    let dropped = Dropped {
        tokens: Some(mask.upload(device)),
        branches: Vec::new(),
    };
    case.check("logits", model.logits(input::<B>(case, "x", device), &dropped));
}

pub fn video<B: TrainBackend>(case: &Case, device: &B::Device) {
    let geometry = geometry(case);
    let model = classifier::<B>(case, &geometry, device).valid();
    let x = input::<B>(case, "x", device).inner();
    case.check("logits", model.logits(x, &Dropped::default()));
}
