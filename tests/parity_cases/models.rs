//! Model cases: position tables, ViT, masked encoder and decoder (global, Swin), tokenizer, the video model.

use super::case::Case;
use bridle::codebook::{SeededPicks, Start};
use bridle::config::{AudioRows, DecoderConfig, DecoderKind, Geometry, StackConfig};
use bridle::decoder::Blocks;
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::loss::estimation_loss;
use bridle::mask::{Mask, kept_tokens};
use bridle::position;
use bridle::pretrain::{Student, encoder_loss, labels};
use bridle::quantizer::{Mode, Quantizer};
use bridle::rq::{Restart, RqConfig};
use bridle::swin::{self, Dropout};
use bridle::tokenizer::Source;
use bridle::weights::{Values, Weights, collect, load};
use bridle_backends::TrainBackend;
use bridle_baselines::import::{Release, authors_name, import, to_authors};
use bridle_baselines::vq::VqConfig;
use bridle_bench::quantizers::{ModelConfig, Teacher};
use bridle_seed::Seed;
use burn::module::{AutodiffModule, Module};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The geometry a case's `in_shape` and `patch` describe.
pub fn geometry(case: &Case) -> Geometry {
    let (shape, patch) = (case.sizes("in_shape"), case.size("patch"));
    match shape[..] {
        [1, frames, mels] => Geometry::Audio {
            frames,
            mels,
            patch,
            rows: AudioRows::Scrambled,
        },
        [3, side, width] if side == width => Geometry::Image { side, patch },
        [3, frames, side, width] if side == width => Geometry::Video {
            frames,
            side,
            patch,
            tubelet: case.size("tubelet"),
        },
        _ => panic!("{}: no geometry for input {shape:?}", case.name),
    }
}

pub fn stack(case: &Case, prefix: &str) -> StackConfig {
    let size = |name: &str| case.size(&format!("{prefix}{name}"));
    StackConfig {
        dim: size("dim"),
        depth: size("depth"),
        heads: size("heads"),
        mlp_ratio: 4,
    }
}

/// Every size of a case's model; parts it does not have are small and unused.
pub fn model_config(case: &Case) -> ModelConfig {
    let encoder = stack(case, "");
    let swin = case.config["decoder"] == "swin";
    let decoder = StackConfig {
        dim: case.size_or("decoder_dim", 8),
        depth: case.size_or("decoder_depth", case.size_or("decoder_depth_effective", 0)),
        heads: case.size_or("decoder_heads", case.size_or("decoder_heads_effective", 2)),
        mlp_ratio: 4,
    };
    let estimator = StackConfig {
        dim: case.size_or("estimator_dim", decoder.dim),
        depth: case.size_or("estimator_depth", decoder.depth),
        heads: case.size_or("estimator_heads", decoder.heads),
        mlp_ratio: 4,
    };
    let codebooks = case.size_or("codebook_set", 1);
    let codebook_size = case.size_or("code_num", case.size_or("num_tokens", codebooks) / codebooks);
    let (code_dim, start) = (case.size_or("code_dim", 4), Start::Uniform);
    let kind = if swin { DecoderKind::Swin } else { DecoderKind::Global };
    ModelConfig {
        geometry: geometry(case),
        encoder,
        decoder: DecoderConfig { kind, stack: decoder },
        estimator,
        quantizer: if case.config["codebook_type"] == "vq" {
            VqConfig {
                codebook_size,
                code_dim,
                start,
                ..VqConfig::default()
            }
            .into()
        } else {
            RqConfig {
                codebooks,
                codebook_size,
                code_dim,
                start,
                restart: Restart::Off,
                ..RqConfig::default()
            }
            .into()
        },
    }
}

fn release(geometry: &Geometry) -> Release {
    if geometry.is_video() {
        Release::Video
    } else {
        Release::AudioImage
    }
}

/// Fills a module with the case's weights `w.<prefix><authors' name>`; every parameter must be there.
pub fn fill<B: Backend, M: Module<B>>(module: M, weights: &Case, prefix: &str, geometry: &Geometry) -> M {
    let template = collect(&module);
    let template: Weights = template
        .into_iter()
        .filter(|(name, _)| weights.has(&format!("w.{prefix}{}", authors_name(name, release(geometry)))))
        .collect();
    let found = import(&template, release(geometry), |name| {
        weights.find_float(&format!("w.{prefix}{name}"))
    });
    let mut all = collect(&module);
    all.extend(found.unwrap_or_else(|error| panic!("{}: {error}", weights.name)));
    load(module, &all).unwrap_or_else(|error| panic!("{}: {error}", weights.name))
}

/// The parameters of a module that the case has no weights for.
pub fn unfilled<B: Backend, M: Module<B>>(
    module: &M,
    weights: &Case,
    prefix: &str,
    geometry: &Geometry,
) -> Vec<String> {
    let names = collect(module).into_keys();
    names
        .filter(|name| !weights.has(&format!("w.{prefix}{}", authors_name(name, release(geometry)))))
        .collect()
}

/// A case's input as [B, C, T, H, W].
pub fn input<B: Backend>(case: &Case, name: &str, device: &B::Device) -> Tensor<B, 5> {
    let shape = case.float(name).shape.clone();
    let shape: [usize; 5] = match shape[..] {
        [batch, channels, height, width] => [batch, channels, 1, height, width],
        [batch, channels, times, height, width] => [batch, channels, times, height, width],
        _ => panic!("{}: input of shape {shape:?}", case.name),
    };
    let flat: Tensor<B, 1> = Tensor::from_floats(&case.float(name).data[..], device);
    flat.reshape(shape)
}

/// Our fixed tables against those the case stores among its weights.
fn check_table(case: &Case, weights: &Case, name: &str, geometry: &Geometry, dim: usize) {
    let Some(stored) = weights.find_float(name) else { return };
    let table = position::table(geometry, dim);
    let cls_rows = stored.data.len() - table.len();
    let worst = stored.data[cls_rows..]
        .iter()
        .zip(&table)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    if cls_rows > dim || stored.data[..cls_rows].iter().any(|x| *x != 0.0) || !(worst <= 1e-6) {
        case.fail(format!("{name}: our position table differs by {worst:.3e}"));
    }
}

pub fn pos_embed(case: &Case) {
    let (dim, patch) = (case.size("dim"), case.size("patch"));
    let with_cls = |table: Vec<f32>| [vec![0.0; dim], table].concat();
    let sizes = case.config["audio_img_sizes"].as_array().cloned().unwrap_or_default();
    for (name, size) in ["audio_a", "audio_b"].iter().zip(sizes) {
        let (frames, mels) = (size[0].as_u64().unwrap() as usize, size[1].as_u64().unwrap() as usize);
        let geometry = Geometry::Audio {
            frames,
            mels,
            patch,
            rows: AudioRows::Scrambled,
        };
        case.check_values(name, &with_cls(position::table(&geometry, dim)));
    }
    let image = position::table(
        &Geometry::Image {
            side: case.size("image_size"),
            patch,
        },
        dim,
    );
    case.check_values("image_nocls", &image);
    case.check_values("image", &with_cls(image));
    let [rows, dim] = case.float("video_sinusoid").shape[..] else {
        panic!("a table has two axes")
    };
    case.check_values("video_sinusoid", &position::sinusoid_1d(rows, dim));
}

pub fn vit<B: TrainBackend>(case: &Case, device: &B::Device) {
    type Inner<B> = <B as burn::tensor::backend::AutodiffBackend>::InnerBackend;
    let config = model_config(case);
    let student = Student::<B>::new(&config, &Init::new(Seed::root(0), device));
    let student = fill(student, case, "", &config.geometry).valid();
    check_table(case, case, "w.pos_embed", &config.geometry, config.encoder.dim);
    let x = input::<Inner<B>>(case, "x", device);
    let vit: &Vit<Inner<B>> = &student.encoder;
    case.check("patch_embed", vit.patch_embed.forward(x.clone(), &config.geometry));
    let [batch, ..] = x.dims();
    let tokens = vit.tokens(x.clone());
    let cls = vit
        .cls_token
        .as_ref()
        .unwrap()
        .val()
        .expand([batch, 1, config.encoder.dim]);
    let mut y = Tensor::cat(vec![cls, tokens], 1);
    for (index, block) in vit.blocks.iter().enumerate() {
        y = block.forward(y);
        if case.has(&format!("block.{index}")) {
            case.check(&format!("block.{index}"), y.clone());
        }
    }
    case.check("y", vit.embed(x));
}

/// The mask a case's noise describes.
pub fn mask(case: &Case, noise: &str, geometry: &Geometry) -> Mask {
    if case.has("noise_t") {
        let grid = case.sizes("grid");
        let ratios = [case.number("mask_t_prob"), case.number("mask_f_prob")];
        let (time, mel) = (&case.float("noise_t").data, &case.float("noise_f").data);
        return Mask::time_frequency(time, mel, [grid[0], grid[1]], ratios);
    }
    let mask = Mask::random(&case.float(noise).data, geometry.tokens(), case.number("mask_ratio"));
    assert_eq!(mask.kept(), kept_tokens(geometry.tokens(), case.number("mask_ratio")));
    mask
}

fn flags(mask: &Mask) -> Vec<i64> {
    mask.flags().into_iter().map(i64::from).collect()
}

pub fn mae<B: TrainBackend>(case: &Case, device: &B::Device) {
    let config = model_config(case);
    let other;
    let weights = match case.config["weights_from"].as_str() {
        Some(name) if !case.folder.join(format!("{name}.json")).exists() => {
            panic!(
                "{} takes its weights from case {name}, which is not in the folder",
                case.name
            )
        }
        Some(name) => {
            other = Case::read(&case.folder, name);
            &other
        }
        None => case,
    };
    let student = Student::<B>::new(&config, &Init::new(Seed::root(0), device));
    let missing = unfilled(&student, weights, "", &config.geometry);
    assert!(missing.is_empty(), "{}: no weights for {missing:?}", case.name);
    let student = fill(student, weights, "", &config.geometry).valid();
    check_table(case, weights, "w.pos_embed", &config.geometry, config.encoder.dim);
    check_table(
        case,
        weights,
        "w.decoder_pos_embed",
        &config.geometry,
        config.decoder.stack.dim,
    );

    let mask = mask(case, "noise", &config.geometry);
    case.check_ints("mask", &flags(&mask));
    case.check_ints(
        "ids_restore",
        &mask.restore().iter().map(|&place| place as i64).collect::<Vec<_>>(),
    );
    let rows = mask.upload(device);
    let encoded = student.encoder.embed_kept(input(weights, "x", device), &rows);
    case.check("emb_enc", encoded.clone());
    let mut dropout = dropout(case, &config);
    let hidden = student.decoder.hidden(encoded.clone(), &rows, &mut dropout.clone());
    let [batch, tokens, dim] = hidden.dims();
    let pred = student.decoder.predict(hidden.reshape([batch * tokens, dim]));
    let [_, width] = pred.dims();
    case.check("pred", pred.clone().reshape([batch, tokens, width]));
    // the removed rows alone are the same rows
    let removed = student
        .decoder
        .removed_logits(encoded.clone(), &rows, &mut dropout.clone());
    let expected = pred.select(0, rows.removed.rows.clone());
    let worst = (removed - expected).abs().max().into_scalar();
    if !(burn::tensor::ElementConversion::elem::<f32>(worst) <= 1e-5) {
        case.fail(format!("logits of the removed tokens differ by {worst:?}"));
    }

    if let Blocks::Swin(blocks) = &student.decoder.blocks
        && case.has("swin.block0_in")
    {
        let [_, rows_of_grid, columns] = config.geometry.grid();
        case.check_values("swin.relative_coordinates_log", &swin::relative_coordinates());
        case.check_values(
            "swin.attn_mask",
            &swin::separation([rows_of_grid, columns], swin::WINDOW / 2),
        );
        let (_, mut x) = student.decoder.unshuffle(encoded, &rows);
        case.check("swin.block0_in", x.clone());
        case.check("swin.block0_bias", blocks[0].bias(0, &mut dropout));
        for (index, block) in blocks.iter().enumerate() {
            x = block.forward(x, index, &mut dropout);
            if case.has(&format!("swin.block{index}_out")) {
                case.check(&format!("swin.block{index}_out"), x.clone());
            }
        }
    }
}

/// The recorded dropout of the Swin decoder's bias MLPs, or none.
fn dropout(case: &Case, config: &ModelConfig) -> Dropout {
    if !case.has("meta_dropped_flat_index") {
        return Dropout::Off;
    }
    let hidden = case.size("meta_hidden");
    let kept = (1.0 / (1.0 - case.number("meta_dropout"))) as f32;
    let block = hidden * swin::relative_coordinates().len() / 2;
    let mut factors = vec![vec![kept; block]; config.decoder.stack.depth];
    for index in case.indices("meta_dropped_flat_index") {
        factors[index / block][index % block] = 0.0;
    }
    Dropout::Given(factors)
}

pub fn tokenizer<B: TrainBackend>(case: &Case, device: &B::Device) {
    let config = model_config(case);
    let teacher = Teacher::<B>::new(&config, &Init::new(Seed::root(0), device));
    let missing = unfilled(&teacher, case, "", &config.geometry);
    assert!(missing.is_empty(), "{}: no weights for {missing:?}", case.name);
    let mut teacher = fill(teacher, case, "", &config.geometry).valid();
    teacher.tokenizer.quantizer.set_started(true);
    check_table(case, case, "w.pos_embed", &config.geometry, config.encoder.dim);
    check_table(
        case,
        case,
        "w.estimator_pos_embed",
        &config.geometry,
        config.estimator.dim,
    );
    let x = input(case, "x", device);
    let mut picks = SeededPicks(Seed::root(0));
    case.check("cold.z", teacher.tokenizer.latents(x.clone(), Source::ColdStart, None));
    let cold = teacher
        .tokenizer
        .quantize(x.clone(), Source::ColdStart, Mode::Eval, &mut picks);
    case.check_codes("cold.codes", cold.codes);
    case.check("full.z", teacher.tokenizer.latents(x.clone(), Source::Network, None));
    let full = teacher.tokenizer.quantize(x, Source::Network, Mode::Eval, &mut picks);
    case.check_codes("full.codes", full.codes);
    case.check("z_q", full.values.clone());
    case.check("embed_loss", full.loss);
    case.check("estimator", teacher.estimator.forward(full.values));
}

pub fn video<B: TrainBackend>(case: &Case, device: &B::Device) {
    let config = model_config(case);
    let geometry = config.geometry;
    let init = Init::<B>::new(Seed::root(0), device);
    let student = Student::<B>::new(&config, &init);
    let missing = unfilled(&student, case, "encoder_decoder.", &geometry);
    assert!(missing.is_empty(), "no weights for {missing:?}");
    let student = fill(student, case, "encoder_decoder.", &geometry);
    let mut teacher = fill(Teacher::<B>::new(&config, &init), case, "tokenizer.", &geometry).valid();
    teacher.tokenizer.quantizer.set_started(true);

    let x = input::<B>(case, "x", device);
    let inner = x.clone().inner();
    let removed: Vec<bool> = case.int("mask").iter().map(|&flag| flag == 1).collect();
    let mask = Mask::from_removed(&removed, geometry.tokens());
    let rows = mask.upload::<B>(device);
    let inner_rows = mask.upload(device);
    let [_, times_by, ..] = geometry.grid();
    assert!(times_by > 0 && mask.removed() > 0);
    case.check("patch_embed", student.encoder.patch_embed.forward(x.clone(), &geometry));
    case.check("enc_visible", student.encoder.embed_kept(x.clone(), &rows));
    case.check("enc_all", student.encoder.embed(x.clone()));
    let encoded = student.encoder.embed_kept(x.clone(), &rows);
    let pred = student.decoder.removed_logits(encoded, &rows, &mut Dropout::Off);
    case.check("pred", pred);

    let mut picks = SeededPicks(Seed::root(0));
    let codes = labels(
        &mut teacher.tokenizer,
        inner.clone(),
        Source::Network,
        &inner_rows,
        &mut picks,
    );
    case.check_codes("codes", codes.clone());
    let cold = labels(
        &mut teacher.tokenizer,
        inner.clone(),
        Source::ColdStart,
        &inner_rows,
        &mut picks,
    );
    case.check_codes("codes_cold", cold);
    let all = teacher
        .tokenizer
        .quantize(inner, Source::Network, Mode::Eval, &mut picks)
        .codes;
    case.check_codes("codes_unmasked", all);

    let loss = encoder_loss(&student, x, &rows, Tensor::from_inner(codes), &mut Dropout::Off);
    case.check("loss", loss.clone());
    check_gradients(case, &student, &loss.backward(), "grad.encoder_decoder.", &geometry);
}

/// Compares the gradient of every parameter the case has one for, and holds the others to having none.
pub fn check_gradients<B: TrainBackend, M: AutodiffModule<B>>(
    case: &Case,
    module: &M,
    grads: &B::Gradients,
    prefix: &str,
    geometry: &Geometry,
) {
    let found = gradients(module, grads);
    for (ours, _) in collect(module) {
        let theirs = format!("{prefix}{}", authors_name(&ours, release(geometry)));
        match found.get(&ours) {
            Some(values) if case.has(&theirs) => case.check_values(&theirs, &to_authors(&ours, values)),
            Some(_) => case.fail(format!("{ours} has a gradient, but the case has no {theirs}")),
            None if case.has(&theirs) => case.fail(format!("{ours} has no gradient, but the case has {theirs}")),
            None => {}
        }
    }
}

/// The gradients of a module's parameters by name.
fn gradients<B: TrainBackend, M: AutodiffModule<B>>(module: &M, grads: &B::Gradients) -> Weights {
    struct Visitor<'a, B: TrainBackend> {
        grads: &'a B::Gradients,
        path: bridle::weights::Path,
        found: Weights,
    }
    impl<B: TrainBackend> burn::module::ModuleVisitor<B> for Visitor<'_, B> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<B, D>>) {
            if let Some(grad) = param.val().grad(self.grads) {
                self.found.insert(self.path.name(), Values::from_data(grad.into_data()));
            }
        }
    }
    let mut visitor = Visitor::<B> {
        grads,
        path: Default::default(),
        found: Weights::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

/// The estimation loss of perfect estimates is zero: keeps the steps' loss honest.
#[test]
fn perfect_estimates_cost_nothing() {
    type B = burn::backend::Autodiff<burn_flex::Flex>;
    let x = Tensor::<B, 3>::from_floats([[[1.0, 2.0], [3.0, -1.0]]], &Default::default());
    let loss: f32 = estimation_loss(x.clone() * 3.0, x).into_scalar();
    assert!(loss.abs() < 1e-6, "{loss}");
}
