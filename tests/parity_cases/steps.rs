//! Training-step cases: three optimizer steps of the encoder, tokenizer and joint phases.

use super::case::Case;
use super::models::{check_gradients, fill, input, mask, model_config, unfilled};
use bridle::codebook::SeededPicks;
use bridle::init::Init;
use bridle::optimizer::{AdamW, AdamWConfig, ParameterGroups, UniformRate};
use bridle::pretrain::{Student, encoder_loss, removed_codes, tokenizer_loss};
use bridle::quantizer::{Mode, Quantizer};
use bridle::swin::Dropout;
use bridle::tokenizer::Source;
use bridle::weights::collect;
use bridle_backends::TrainBackend;
use bridle_baselines::import::{Release, authors_name, to_authors};
use bridle_bench::quantizers::{AnyQuantizer, Teacher};
use bridle_seed::Seed;
use burn::module::{AutodiffModule, Module};
use burn::tensor::Tensor;

const PREFIXES: [&str; 2] = ["encoder_decoder.", "tokenizer."];

pub fn steps<B: TrainBackend>(case: &Case, device: &B::Device) {
    let config = model_config(case);
    let geometry = config.geometry;
    let init = Init::<B>::new(Seed::root(0), device);
    let (mut student, teacher) = (Student::new(&config, &init), Teacher::new(&config, &init));
    for missing in [
        unfilled(&student, case, PREFIXES[0], &geometry),
        unfilled(&teacher, case, PREFIXES[1], &geometry),
    ] {
        assert!(missing.is_empty(), "{}: no weights for {missing:?}", case.name);
    }
    student = fill(student, case, PREFIXES[0], &geometry);
    let mut teacher = fill(teacher, case, PREFIXES[1], &geometry);
    teacher.tokenizer.quantizer.set_started(true);

    let phase = case.config["phase"].as_str().unwrap().to_owned();
    let cold = case.config["cold_start"] == true;
    let source = if cold { Source::ColdStart } else { Source::Network };
    let (trains_encoder, trains_tokenizer) = (phase != "tokenizer", phase == "tokenizer" || phase == "joint");
    let ratio = case.config["tokenizer_loss_ratio"].as_f64().unwrap_or(1.0);
    let optimizer = &case.config["optimizer"];
    let adamw = AdamWConfig {
        beta1: optimizer["betas"][0].as_f64().unwrap(),
        beta2: optimizer["betas"][1].as_f64().unwrap(),
        epsilon: optimizer["eps"].as_f64().unwrap(),
        weight_decay: optimizer["weight_decay"].as_f64().unwrap(),
    };
    let rate = optimizer["lr"].as_f64().unwrap();
    check_groups(case, &student, &teacher);
    let (mut student_optimizer, mut teacher_optimizer) = (AdamW::<B>::new(adamw), AdamW::<B>::new(adamw));
    let mut picks = SeededPicks(Seed::root(0));
    let steps = case.count("step", ".x");
    for step in 0..steps {
        let name = |what: &str| format!("step{step}.{what}");
        let x = input::<B>(case, &name("x"), device);
        let mut losses: Vec<Tensor<B, 1>> = Vec::new();
        if trains_encoder {
            let mask = mask(case, &name("noise"), &geometry);
            case.check_ints(
                &name("mask"),
                &mask.flags().into_iter().map(i64::from).collect::<Vec<_>>(),
            );
            let rows = mask.upload::<B>(device);
            let mut frozen = teacher.tokenizer.valid();
            let codes = frozen.quantize(x.clone().inner(), source, Mode::Eval, &mut picks).codes;
            case.check_codes(&name("codes"), codes.clone());
            keep_usage(&mut teacher, &frozen.quantizer);
            let codes = removed_codes(codes, &mask.upload(device));
            let loss = encoder_loss(&student, x.clone(), &rows, Tensor::from_inner(codes), &mut Dropout::Off);
            case.check(&name("encoder_loss"), loss.clone());
            if case.has(&name("pred")) {
                let encoded = student.encoder.embed_kept(x.clone(), &rows);
                let hidden = student.decoder.hidden(encoded, &rows, &mut Dropout::Off);
                let [batch, tokens, dim] = hidden.dims();
                case.check(
                    &name("pred"),
                    student.decoder.predict(hidden.reshape([batch * tokens, dim])),
                );
            }
            losses.push(loss);
        }
        if trains_tokenizer {
            let target = Tensor::from_inner(student.valid().encoder.embed_patches(x.clone().inner()));
            let found = tokenizer_loss(&mut teacher, x, target, Mode::Train, &mut picks);
            case.check_codes(&name("quantizer_codes"), found.quantized.codes.clone());
            case.check(&name("embed_loss"), found.quantized.loss.clone());
            case.check(&name("tokenizer_loss"), found.total());
            losses.push(found.total().mul_scalar(if trains_encoder { ratio } else { 1.0 }));
        }
        let loss = losses.into_iter().reduce(|a, b| a + b).unwrap();
        case.check(&name("loss"), loss.clone());
        let mut grads = loss.backward();
        if step == 0 {
            check_gradients(case, &student, &grads, "grad.encoder_decoder.", &geometry);
            check_gradients(case, &teacher, &grads, "grad.tokenizer.", &geometry);
        }
        student = student_optimizer.step(student, &mut grads, rate, &UniformRate);
        teacher = teacher_optimizer.step(teacher, &mut grads, rate, &UniformRate);
    }
    check_after(case, &format!("after{steps}."), &student, PREFIXES[0]);
    check_after(case, &format!("after{steps}."), &teacher, PREFIXES[1]);
}

/// Labelling counts usage too (a statistic only): carries it over from the frozen copy.
fn keep_usage<B: TrainBackend>(teacher: &mut Teacher<B>, labelled: &AnyQuantizer<B::InnerBackend>) {
    let usages: Vec<_> = labelled.codebooks().iter().map(|book| book.usage.val()).collect();
    let books = match &mut teacher.tokenizer.quantizer {
        AnyQuantizer::ResidualQuantizer(quantizer) => &mut quantizer.levels,
        AnyQuantizer::VectorQuantizer(quantizer) => &mut quantizer.levels,
        other => panic!("no case has {other:?}"),
    };
    books
        .iter_mut()
        .zip(usages)
        .for_each(|(book, usage)| book.set_usage(Tensor::from_inner(usage)));
}

/// Parameters after the steps.
fn check_after<B: TrainBackend, M: Module<B>>(case: &Case, after: &str, module: &M, prefix: &str) {
    for (ours, values) in collect(module) {
        let theirs = format!("{after}{prefix}{}", authors_name(&ours, Release::AudioImage));
        if case.has(&theirs) {
            case.check_first(&theirs, &to_authors(&ours, &values));
        }
    }
    if !prefix.starts_with("tokenizer") {
        return;
    }
    for name in case.names(after) {
        if name.ends_with("embed_ema") || name.ends_with("embed_avg") || name.ends_with("embedding.cluster_size") {
            case.no_counterpart(&name, "a buffer that the authors' code never reads");
        }
    }
}

/// Which parameters the case says are decayed, against ours.
fn check_groups<B: TrainBackend>(case: &Case, student: &Student<B>, teacher: &Teacher<B>) {
    let named = |list: &str, name: &str| {
        case.config[list]
            .as_array()
            .into_iter()
            .flatten()
            .any(|entry| entry.as_str() == Some(name))
    };
    for (prefix, weights) in [(PREFIXES[0], collect(student)), (PREFIXES[1], collect(teacher))] {
        for (ours, values) in weights {
            let theirs = format!("{prefix}{}", authors_name(&ours, Release::AudioImage));
            let decays = UniformRate.decays(&ours, values.shape.len());
            if named("decay", &theirs) && !decays || named("no_decay", &theirs) && decays {
                case.fail(format!("{ours}: weight decay {decays}, unlike {theirs}"));
            }
        }
    }
}
