//! Cases without a model: filterbank, learning-rate schedule, codebook statistics.

use super::case::Case;
use bridle::optimizer::{ParameterGroups, UniformRate};
use bridle_bench::train::schedule::{LayerDecay, Schedule};
use bridle_results::codes::CodebookCounts;
use bridle_results::metric::{ClassRanking, Ranking, top_k};
use bridle_tasks::Fbank;

pub fn fbank(case: &Case) {
    let (frames, mels) = (case.size("target_length"), case.size("num_mel_bins"));
    let fbank = Fbank::new(case.size("sample_rate") as u32, mels);
    case.check_values("mel_banks", &fbank.mel_banks());
    case.check_values("window", fbank.window());
    let waves = case
        .names("")
        .into_iter()
        .filter_map(|name| name.strip_suffix(".wave").map(str::to_owned));
    for wave in waves {
        let samples = &case.float(&format!("{wave}.wave")).data;
        case.check_values(&format!("{wave}.raw"), &fbank.compute(samples).unwrap());
        let (mean, std) = (case.number("esc50_mean"), case.number("esc50_std"));
        case.check_values(
            &format!("{wave}.norm"),
            &fbank.model_input(samples, frames, mean, std).unwrap(),
        );
        let first = format!("{wave}.frame0_windowed");
        if case.has(&first) {
            case.check_values(&first, &fbank.windowed_frame(samples, 0).unwrap());
        }
    }
}

pub fn schedule(case: &Case) {
    let schedules = case.config["schedules"].as_array().cloned().unwrap_or_default();
    let exact = case.config["float64"].as_array().cloned().unwrap_or_default();
    for (index, values) in schedules.iter().enumerate() {
        let value = |key: &str| values[key].as_f64().unwrap();
        let schedule = Schedule {
            rate: value("lr"),
            least: value("min_lr"),
            warmup_epochs: value("warmup_epochs"),
            epochs: value("epochs"),
        };
        let epochs = &case.float(&format!("schedule{index}.epoch")).data;
        let rates: Vec<f32> = epochs
            .iter()
            .map(|&epoch| schedule.at(f64::from(epoch)) as f32)
            .collect();
        // the case rounds epochs to f32; its exact epochs and rates are compared below
        let list = |key: &str| {
            exact[index][key]
                .as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap())
                .collect::<Vec<_>>()
        };
        let (epochs, expected) = (list("epoch"), list("lr"));
        for (epoch, expected) in epochs.iter().zip(&expected) {
            let found = schedule.at(*epoch);
            if !((found - expected).abs() <= 1e-12 * expected.abs() + 1e-18) {
                case.fail(format!(
                    "schedule{index} at epoch {epoch}: {found:e} instead of {expected:e}"
                ));
            }
        }
        let exact_rates: Vec<f32> = epochs.iter().map(|&epoch| schedule.at(epoch) as f32).collect();
        case.check_values(
            &format!("schedule{index}.lr"),
            if rates.len() == exact_rates.len() {
                &exact_rates
            } else {
                &rates
            },
        );
    }
    let layers = case.float("layer_scales").data.len();
    let decay = LayerDecay {
        decay: case.number("layer_decay"),
        blocks: layers - 2,
    };
    let scales: Vec<f32> = (0..decay.layers()).map(|layer| decay.scale(layer) as f32).collect();
    case.check_values("layer_scales", &scales);
    check_parameters(case, &decay);
}

/// The rate scale of every parameter in fine-tuning, and the weight decay in pretraining.
fn check_parameters(case: &Case, decay: &LayerDecay) {
    for (name, values) in case.config["finetune_params"].as_object().into_iter().flatten() {
        let (found, expected) = (decay.scale(decay.layer(name)), values["lr_scale"].as_f64().unwrap());
        if !((found - expected).abs() <= 1e-9) {
            case.fail(format!("{name}: rate scale {found} instead of {expected}"));
        }
    }
    for (name, expected) in case.config["pretrain_weight_decay"].as_object().into_iter().flatten() {
        // in the authors' names a weight has one axis where it belongs to a norm, and so do all biases
        let axes = if name.ends_with("bias") || name.contains("norm") {
            1
        } else {
            2
        };
        if UniformRate.decays(name, axes) != (expected.as_f64() != Some(0.0)) {
            case.fail(format!("{name}: weight decay should be {expected}"));
        }
    }
}

pub fn codebook_stats(case: &Case) {
    let (levels, codes) = (case.float("usage").data.len(), case.size("code_num"));
    let mut counts = CodebookCounts::new(levels, codes);
    counts.add(case.int("codes")).unwrap();
    let levels = counts.statistics();
    let flat: Vec<i64> = levels
        .iter()
        .flat_map(|level| level.counts.iter().map(|&count| count as i64))
        .collect();
    case.check_ints("counts", &flat);
    let of = |value: &dyn Fn(&bridle_results::codes::CodebookStatistics) -> f64| -> Vec<f32> {
        levels.iter().map(|level| value(level) as f32).collect()
    };
    case.check_values("usage", &of(&|level| level.usage));
    case.check_ints(
        "dead",
        &levels.iter().map(|level| level.dead as i64).collect::<Vec<_>>(),
    );
    case.check_values("entropy_nats", &of(&|level| level.entropy_nats()));
    case.check_values("entropy_bits", &of(&|level| level.entropy_bits));
    case.check_values("perplexity", &of(&|level| level.perplexity));
    case.check_values("normalised_entropy", &of(&|level| level.normalised_entropy()));
    case.check_values("reference_CUR", &of(&|level| level.reference_cur()));
    case.check_values("reference_UE", &of(&|level| level.reference_ue()));
    // the case stores infinity as 9999
    let stored = |value: f64| if value.is_infinite() { 9999.0 } else { value };
    case.check_values("reference_ECU", &of(&|level| stored(level.reference_ecu())));
}

/// Multi-label figures per class and averaged, and accuracies, as scikit-learn and timm give them; infinity is 9999.
pub fn metrics(case: &Case) {
    let classes = case.size("classes");
    let targets = |name: &str| -> Vec<Vec<u32>> {
        let rows = case.float(name).data.chunks_exact(classes);
        rows.map(|row| (0..classes as u32).filter(|&class| row[class as usize] > 0.5).collect())
            .collect()
    };
    let (scores, labels) = (&case.float("scores").data, targets("targets"));
    let ranking = Ranking::of(scores, &labels, classes).unwrap();
    // an AUC of 0 or 1 has no finite d'
    let stored = |class: &ClassRanking| match (class.d_prime(), class.auc) {
        (Some(value), _) => value as f32,
        (None, Some(auc)) => 9999.0f32.copysign(auc as f32 - 0.5),
        (None, None) => f32::NAN,
    };
    let of_classes = |of: &dyn Fn(&ClassRanking) -> f32| ranking.classes.iter().map(of).collect::<Vec<_>>();
    case.check_values("ap", &of_classes(&|class| class.average_precision.unwrap() as f32));
    case.check_values("auc", &of_classes(&|class| class.auc.unwrap() as f32));
    case.check_values("dprime", &of_classes(&stored));
    case.check_values("mAP", &[ranking.map().unwrap() as f32]);
    case.check_values("mAUC", &[ranking.auc().unwrap() as f32]);
    let with_an_empty_class = Ranking::of(scores, &targets("targets_empty_class"), classes).unwrap();
    case.check_values(
        "mAP_empty_class",
        &[with_an_empty_class.map_all_classes().unwrap() as f32],
    );
    // the authors' accuracy of several targets takes the first of them
    let first: Vec<usize> = labels
        .iter()
        .map(|targets| targets.first().map_or(0, |&target| target as usize))
        .collect();
    case.check_values(
        "acc_argmax",
        &[top_k(scores, &first, classes, 1).unwrap().value() as f32],
    );
    for (name, k) in [("top1", 1), ("top5", 5)] {
        let share = top_k(&case.float("logits").data, &case.indices("labels"), classes, k).unwrap();
        case.check_values(name, &[(100.0 * share.value()) as f32]);
    }
}
