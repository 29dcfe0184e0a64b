//! Laws of plans: every preset resolves for every task, names round-trip, and hashes follow the
//! values.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod authors;
mod explained;

use super::*;
use crate::run::root::Root;
use bridle::codebook::Start;
use bridle::quantizer::QuantizerValues as _;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn request(task: &str, set: &[&str]) -> PlanRequest {
    PlanRequest {
        task: task.to_owned(),
        set: set.iter().map(|&assignment| assignment.to_owned()).collect(),
        ..PlanRequest::default()
    }
}

fn plan(set: &[&str]) -> Plan {
    Plan::resolve(&request("esc50", set)).unwrap()
}

fn refusal(set: &[&str]) -> String {
    Plan::resolve(&request("esc50", set)).unwrap_err().to_string()
}

#[test]
fn every_preset_resolves_for_every_task_method_and_quantizer() {
    for task in AnyTask::all() {
        let speech = task.facts().input.is_speech();
        for preset in if speech {
            preset::SPEECH_PRESETS
        } else {
            preset::PRESETS
        } {
            for method in Method::ALL {
                for quantizer in QuantizerKind::all() {
                    if matches!(method, Method::Init | Method::Embeddings) {
                        continue; // they need weights, or vectors
                    }
                    let request = PlanRequest {
                        task: task.name().to_owned(),
                        method: Some(method.to_string()),
                        quantizer: Some(quantizer.to_string()),
                        preset: Some(preset.name.to_owned()),
                        ..PlanRequest::default()
                    };
                    let plan = Plan::resolve(&request);
                    if !method.takes(speech) {
                        let refused = matches!(plan, Err(PlanError::NotForSpeech(_) | PlanError::OnlyForSpeech { .. }));
                        assert!(refused, "{method} on {}", task.name());
                        continue;
                    }
                    if method.masks_frames() && quantizer.word() != "random" {
                        assert!(matches!(plan, Err(PlanError::Quantizer { .. })));
                        continue;
                    }
                    if (task.name(), preset.name) == ("esc50", "paper") && method.pretrains() {
                        assert!(matches!(plan, Err(PlanError::PretrainedElsewhere { .. })));
                        continue;
                    }
                    let plan = plan.unwrap();
                    assert_eq!(Plan::from_flat(&plan.to_flat()).unwrap(), plan);
                    assert_eq!(plan.pretrain.is_some(), method.pretrains());
                    let phases = match (method, speech) {
                        (Method::Relabel, _) => 2,
                        (Method::Bridle, true) => 3,
                        (Method::Bridle, false) => 2 * plan.pretrain.as_ref().unwrap().rounds.unwrap() - 1,
                        _ => usize::from(method.pretrains()),
                    };
                    assert_eq!(plan.phases().len(), phases, "{method}");
                }
            }
        }
    }
}

#[test]
fn presets_lay_values_only_over_what_exists() {
    for preset in preset::PRESETS.iter().chain(preset::SPEECH_PRESETS) {
        let file: toml::Table = preset.text.parse().unwrap();
        let laid_over = |kind: &str| file.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
        for (modality, _) in laid_over("modality") {
            assert!(
                ["audio", "image", "video"].contains(&modality.as_str()),
                "{}: {modality}",
                preset.name
            );
        }
        for (task, _) in laid_over("task") {
            assert!(AnyTask::find(task).is_ok(), "{}: {task}", preset.name);
        }
        for (method, _) in laid_over("method") {
            assert!(method.parse::<Method>().is_ok(), "{}: {method}", preset.name);
        }
        assert!(preset.about().len() > 20, "{} says what it is for", preset.name);
    }
}

#[test]
fn the_lists_of_sections_and_methods_name_each_other() {
    for key in method::used_by_some() {
        assert!(section_of(key).is_some(), "a method uses `{key}`, which is no section");
    }
    for task in AnyTask::all() {
        let facts = task.facts();
        for section in facts.sections {
            let known = super::sections().any(|info| info.name == *section);
            assert!(known, "{} names `{section}`, which is no section", facts.name);
        }
    }
    for section in super::sections() {
        let defaults: toml::Table = section.defaults.parse().unwrap();
        let own =
            |key: &String| key == section.name || ["preset", "modality", "task", "method"].contains(&key.as_str());
        assert!(
            defaults.keys().all(own),
            "{} has defaults for itself alone",
            section.name
        );
        for (_, value) in section.unwritten {
            let constant = serde_json::from_str::<serde_json::Value>(value).is_ok();
            assert!(constant || section_of(value).is_some(), "{}: {value}", section.name);
        }
    }
}

#[test]
fn a_section_brings_values_where_a_preset_has_none() {
    let own = "[own]\na = 1\nb = 2\n[preset.smoke.own]\nb = 3\n[recipe.authors.own]\nb = 4\n[recipe.corrected.own]\na = 6\n\
               [method.birq.own]\na = 5\n[probe]\nepochs = 7\nc = 9";
    let values = |preset: &str, method: &str| {
        let preset = preset::find(preset, false).unwrap();
        preset.values("audio", "corrected", "esc50", method, std::iter::once(own))
    };
    assert_eq!(values("mini", "bridle")["own"], serde_json::json!({"a": 6, "b": 2}));
    assert_eq!(values("smoke", "birq")["own"], serde_json::json!({"a": 5, "b": 3}));
    let probe = &values("smoke", "bridle")["probe"];
    assert_eq!((&probe["epochs"], &probe["c"]), (&50.into(), &9.into()));
}

#[test]
fn every_value_has_a_section_that_says_what_it_decides() {
    let names = ["task", "method", "preset", "recipe", "protocols"];
    for task in ["esc50", "kinetics", "digits"] {
        let plan = Plan::resolve(&request(task, &["protocols=finetune"])).unwrap();
        for key in plan.to_flat().keys() {
            let known = names.contains(&key.as_str()) || section_of(key).is_some();
            assert!(known, "`{key}` of {task} is in no section");
        }
    }
}

#[test]
fn every_value_can_be_set_to_itself() {
    let plan = plan(&[]);
    for (key, value) in plan.to_flat() {
        let Err(error) = Plan::resolve(&request("esc50", &[&format!("{key}={}", display_value(&value))])) else {
            continue;
        };
        assert!(matches!(error, PlanError::Fact { .. }), "{key}: {error}");
    }
}

#[test]
fn names_come_from_set_as_from_options() {
    let plan = plan(&["quantizer=vq", "preset=smoke", "protocols=linear-probe,linear-probe"]);
    assert_eq!(plan.quantizer.as_ref().unwrap().kind().word(), "vq");
    assert_eq!((plan.preset.as_str(), plan.protocols.len()), ("smoke", 1));
    assert_eq!(plan.label(), "bridle-vq");
}

#[test]
fn values_are_read_by_their_kind() {
    let plan = plan(&[
        "pretrain.encoder.rate=2",
        "probe.rates=[0.1, 1e-3]",
        "probe.standardise=false",
        "data.subset=3",
    ]);
    assert_eq!(plan.pretrain.as_ref().unwrap().encoder.rate, 2.0);
    let probe = plan.evaluation.probe.as_ref().unwrap().classes().unwrap();
    assert_eq!((&probe.rates[..], probe.standardise), (&[0.1, 1e-3][..], false));
    assert_eq!(plan.data.subset, Some(3));
}

#[test]
fn refusals_name_the_value_and_what_would_be_right() {
    let refusals = [
        "pretrain.bacth=16",
        "epochs=3",
        "frobnicate=1",
        "pretrain.batch",
        "pretrain.batch=2.5",
        "pretrain.batch=0",
        "pretrain.encoder.rate=nan",
        "pretrain.encoder.warmup_epochs=11",
        "joint.every=2",
        "data.variant=original",
        "data.frames=500",
        "model.dim=130",
        "model.decoder.kind=swin",
        "model.decoder.kind=local",
        "mask.ratio=1",
        "mask.kind=tube",
        "quantizer.restart=always",
        "quantizer.space=sphere",
        "quantizer.soft_codes=300",
        "probe.rates=[]",
        "probe.standardise=yes",
        "recipe=correct",
        "probe.epochs=0",
        "knn.neighbours=[5, 0]",
        "finetune.rate=1e-3",
        "protocols=fine-tune",
        "quantizer=no-such",
        "preset=minni",
        "task=esc-50",
    ];
    let told: Vec<String> = refusals
        .iter()
        .map(|&set| format!("{set}\n    {}", refusal(&[set])))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_a_method_does_not_use_is_not_in_its_plan() {
    let keys = |method: &str| {
        plan(&[&format!("method={method}")])
            .to_flat()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let random = keys("random-init");
    assert!(
        !random
            .iter()
            .any(|key| key.starts_with("pretrain") || key.starts_with("quantizer.")),
        "{random:?}"
    );
    assert!(
        random.contains(&"quantizer".to_owned()),
        "it records that there is none"
    );
    assert!(keys("bridle-joint").contains(&"joint.every".to_owned()));
    assert!(!keys("bridle-joint").contains(&"pretrain.rounds".to_owned()));
}

#[test]
fn phases_take_turns() {
    let names = |set: &[&str]| {
        plan(set)
            .phases()
            .into_iter()
            .map(|phase| phase.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["pretrain.rounds=3"]),
        ["encoder-1", "tokenizer-1", "encoder-2", "tokenizer-2", "encoder-3"]
    );
    assert_eq!(names(&["pretrain.rounds=1"]), ["encoder-1"]);
    assert_eq!(
        names(&["pretrain.rounds=3", "pretrain.relabel=false"]),
        ["encoder-1", "encoder-2", "encoder-3"]
    );
    assert_eq!(names(&["method=bridle-joint"]), ["joint-1"]);
    assert!(names(&["method=random-init"]).is_empty());
}

/// What each phase begins with, and how many codes its labels have.
fn codebooks(task: &str, set: &[&str]) -> Vec<(Codebooks, usize)> {
    let phases = Plan::resolve(&request(task, set)).unwrap().phases().into_iter();
    phases
        .map(|phase| (phase.codebooks, phase.quantizer.unwrap().label_codes()))
        .collect()
}

#[test]
fn each_phase_starts_codebooks_as_the_authors_processes_do() {
    use Codebooks::{Again, Kept, New};
    let begins = |task: &str, set: &[&str]| {
        let all = codebooks(task, set).into_iter();
        all.map(|(codebooks, _)| codebooks).collect::<Vec<_>>()
    };
    // a flag of each process: off in the script of audio encoders, on in that of images
    assert_eq!(begins("esc50", &[]), [New, New, Kept]);
    assert_eq!(begins("imagenet", &[]), [New, New, Again(Start::Uniform)]);
    assert_eq!(
        begins("esc50", &["pretrain.encoder.restart=on"]),
        [New, New, Again(Start::Uniform)]
    );
    for set in [
        &["pretrain.encoder.restart=once"][..],
        &["quantizer.restart=off"],
        &["recipe=corrected", "pretrain.relabel=true"],
        &["quantizer=vq"],
    ] {
        assert_eq!(begins("imagenet", set), [New, New, Kept], "{set:?}");
    }
    // labels that are kept are those of codebooks that are
    let kept = "pretrain.relabel=false";
    assert_eq!(begins("esc50", &[kept]), [New, Kept]);
    assert_eq!(begins("imagenet", &[kept]), [New, Kept]);
    // whether codebooks have started is known to the next process only if k-means started them
    let uniform = "pretrain.tokenizer.start=uniform";
    assert_eq!(
        begins("esc50", &[uniform, "pretrain.rounds=3"]),
        [New, New, Again(Start::Kmeans), New, Again(Start::Kmeans)]
    );
    assert_eq!(
        begins("esc50", &[uniform, "pretrain.encoder.start=uniform"]),
        [New, New, Kept]
    );
    assert_eq!(begins("esc50", &["quantizer.start=uniform"]), [New, New, Kept]);
    let paper = codebooks("audioset", &["preset=paper"]);
    assert_eq!(paper, [(New, 8), (New, 4), (Again(Start::Kmeans), 8)]);
    let head = Plan::resolve(&request("audioset", &["preset=paper"])).unwrap();
    let head = head.label_quantizer().unwrap();
    assert_eq!(head.label_codes() * head.codebook_size(), 2048);
}

#[test]
fn values_of_phases_are_those_of_the_quantizer_unless_they_are_set() {
    let flat = plan(&["pretrain.encoder.restart=once"]).to_flat();
    for phase in ["encoder", "tokenizer"] {
        let unwritten = |value: &str| flat::unwritten(&flat, &format!("pretrain.{phase}.{value}"));
        assert!(!flat.contains_key(&format!("pretrain.{phase}.start")));
        assert_eq!(unwritten("start"), Some("kmeans".into()));
        assert_eq!(unwritten("restart"), Some("once".into()));
        assert_eq!(unwritten("soft_codes"), Some(1.into()));
    }
    for (set, why) in [
        (
            "pretrain.encoder.soft_codes=300",
            "300 is not between 1 and quantizer.codes, 256",
        ),
        (
            "pretrain.tokenizer.start=k-means",
            "unknown codebook start `k-means`; did you mean `kmeans`?",
        ),
        ("pretrain.encoder.restart=first-forward", "unknown restart of a phase"),
    ] {
        let found = refusal(&[set]);
        assert!(found.contains(why), "{set}: {found}");
    }
    for (set, why) in [
        (
            ["quantizer=vq", "pretrain.encoder.restart=on"],
            "quantizer `vq` is the same in every phase",
        ),
        (
            ["method=best-rq", "pretrain.encoder.restart=on"],
            "method `best-rq` trains no codebooks in phases",
        ),
    ] {
        let found = refusal(&set);
        assert!(found.contains(why), "{set:?}: {found}");
    }
}

#[test]
fn values_that_plans_do_not_write_can_be_set_where_they_mean_something() {
    let usual = plan(&[]);
    let pretraining = |plan: &Plan| plan.pretrain_hash(&Root::new(0, Some(1)), "flex", "fp32");
    for (same, other) in [
        ("quantizer.restart_every=100", "quantizer.restart_every=10"),
        ("pretrain.relabel=true", "pretrain.relabel=false"),
    ] {
        assert_eq!(plan(&[same]), usual, "{same}");
        assert_ne!(pretraining(&plan(&[other])), pretraining(&usual), "{other}");
    }
    let decay = plan(&["quantizer.usage_decay=0.9"]);
    assert_eq!(decay.to_flat()["quantizer.usage_decay"], 0.9);
    assert_eq!(Plan::from_flat(&decay.to_flat()).unwrap(), decay);
    for (set, why) in [
        (
            ["quantizer=vq", "quantizer.restart_every=10"],
            "quantizer `vq` does not use it; rq would",
        ),
        (
            ["quantizer=rq", "quantizer.restart_every=0"],
            "`quantizer.restart_every`: must be at least 1",
        ),
        (
            ["quantizer=rq", "quantizer.usage_decay=2"],
            "2 is not in 0 up to but without 1",
        ),
        (
            ["method=best-rq", "pretrain.relabel=false"],
            "method `best-rq` has no tokenizer phase to leave out",
        ),
    ] {
        let found = refusal(&set);
        assert!(found.contains(why), "{set:?}: {found}");
    }
}

#[test]
fn only_first_weights_of_patches_have_a_start() {
    assert_eq!(plan(&[]).to_flat()["init.patch"], "pytorch");
    // as in plans of earlier versions
    let earlier = plan(&["init.patch=glorot"]);
    assert!(!earlier.to_flat().contains_key("init.patch"));
    assert_eq!(Plan::from_flat(&earlier.to_flat()).unwrap(), earlier);
    assert_ne!(earlier.plan_hash(), plan(&[]).plan_hash());
    let speech = Plan::resolve(&request("digits", &["init.patch=pytorch"]))
        .unwrap_err()
        .to_string();
    assert!(speech.contains("an encoder of speech has no patches"), "{speech}");
}

/// What is judged had as many epochs with every method, from the first weights on.
#[test]
fn encoders_that_are_compared_have_the_same_number_of_epochs() {
    for preset in ["smoke", "mini", "paper"] {
        let epochs = |method: &str| {
            let mut request = request("digits", &[]);
            (request.preset, request.method) = (Some(preset.to_owned()), Some(method.to_owned()));
            let phases = Plan::resolve(&request).unwrap().phases();
            let encoders = phases.iter().filter(|phase| phase.kind != PhaseKind::Tokenizer);
            let epochs: Vec<usize> = encoders.map(|phase| phase.length.epochs).collect();
            // relabelling starts from new weights, the others from those of the round before
            if method == "relabel" {
                epochs[1]
            } else {
                epochs.iter().sum()
            }
        };
        let found = ["best-rq", "birq", "relabel", "bridle"].map(epochs);
        // one epoch cannot be shared out
        let judged = if preset == "smoke" { &found[..3] } else { &found };
        assert!(judged.iter().all(|epochs| *epochs == found[0]), "{preset}: {found:?}");
    }
}

#[test]
fn kept_tokens_are_counted_as_the_authors_count() {
    let kept = |frames: usize| plan(&[&format!("data.frames={frames}")]).kept_tokens();
    // 8 tokens per 16 frames; 1 - 0.8 is a little less than 0.2
    assert_eq!((kept(1024), kept(512), kept(80), kept(640)), (102, 51, 7, 63));
}

#[test]
fn a_mask_that_leaves_few_tokens_says_so_with_a_ratio_that_leaves_enough() {
    let told = |sets: &[&str]| plan(sets).few_visible();
    for (plan, few, ratio) in [
        (["data.frames=64", "mask.ratio=0.8"], "6 of 32 tokens", "mask.ratio=0.5"),
        (
            ["data.frames=128", "mask.ratio=0.9"],
            "6 of 64 tokens",
            "mask.ratio=0.75",
        ),
    ] {
        let said = told(&plan).unwrap();
        assert!(
            said.contains(few) && said.ends_with(&format!("--set {ratio}")),
            "{said}"
        );
        assert_eq!(told(&[plan[0], ratio]), None);
        assert_eq!(told(&[plan[0], plan[1], "preset=smoke"]), None);
    }
    assert_eq!((told(&[]), told(&["data.frames=128"])), (None, None));
    assert_eq!(told(&["method=best-rq", "data.frames=64"]), None, "hides behind noise");
}

#[test]
fn recipe_corrected_leaves_enough_tokens_unless_told_otherwise() {
    let ratio = |sets: &[&str]| plan(sets).mask.as_ref().unwrap().ratio.unwrap();
    let corrected = |sets: &[&str]| ratio(&[&["recipe=corrected"], sets].concat());
    for (frames, least) in [(16, 0.5), (32, 0.5), (64, 0.5), (512, 0.8)] {
        let short = format!("data.frames={frames}");
        assert_eq!((ratio(&[&short]), corrected(&[&short])), (0.8, least), "{frames}");
        assert_eq!(corrected(&[&short, "mask.ratio=0.85"]), 0.85, "as given");
        assert_eq!(corrected(&[&short, "preset=smoke"]), ratio(&[&short, "preset=smoke"]));
    }
    let as_written = plan(&["recipe=corrected", "data.frames=64", "mask.ratio=0.8"]);
    let mut again = request("esc50", &[]);
    again.written = Some(Written::of_record("a record".to_owned(), as_written.to_flat()));
    assert_eq!(Plan::resolve(&again).unwrap(), as_written);
}

#[test]
fn names_of_values_do_not_enter_the_hash() {
    let mini = plan(&[]);
    let mut renamed = mini.clone();
    renamed.core.preset = "mine".to_owned();
    assert_eq!(mini.plan_hash(), renamed.plan_hash());
    assert_eq!(mini.plan_hash().len(), 12);
    assert_ne!(mini.plan_hash(), mini.clone().with_variant("original-44k").plan_hash());
}

#[test]
fn the_probe_does_not_decide_the_pretrained_weights() {
    let (a, b) = (plan(&[]), plan(&["probe.epochs=7"]));
    let weights = |plan: &Plan| plan.pretrain_hash(&Root::new(0, Some(1)), "flex", "fp32");
    assert_ne!(a.plan_hash(), b.plan_hash());
    assert_eq!(weights(&a), weights(&b));
    assert_ne!(weights(&a), weights(&plan(&["pretrain.batch=8"])));
    let others = [
        a.pretrain_hash(&Root::new(1, Some(1)), "flex", "fp32"),
        a.pretrain_hash(&Root::new(0, Some(2)), "flex", "fp32"),
        a.pretrain_hash(&Root::new(0, None), "flex", "fp32"),
        a.pretrain_hash(&Root::new(0, Some(1)), "tch", "fp32"),
        a.pretrain_hash(&Root::new(0, Some(1)), "flex", "bf16"),
    ];
    assert!(others.iter().all(|other| *other != weights(&a)));
}

#[test]
fn differences_are_listed_by_name() {
    let (a, b) = (
        plan(&[]).to_flat(),
        plan(&["pretrain.batch=8", "method=bridle-joint"]).to_flat(),
    );
    let told: Vec<String> = difference(&a, &b).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert!(difference(&a, &a).is_empty());
}

#[test]
fn a_changed_plan_is_told_by_its_values() {
    let (stored, folder) = (plan(&[]).to_flat(), std::path::Path::new("runs/a"));
    let mut renamed = plan(&[]);
    renamed.core.preset = "mine".to_owned();
    assert!(hash::require_same(&renamed.to_flat(), &stored, folder).is_ok());
    assert_eq!(
        hash::require_same(
            &plan(&["pretrain.batch=8", "mask.ratio=0.75"]).to_flat(),
            &stored,
            folder
        )
        .unwrap_err()
        .to_string(),
        "the run in runs/a has another plan (its value against the one asked for): mask.ratio: 0.8 against 0.75; \
         pretrain.batch: 16 against 8"
    );
}

#[test]
fn a_plan_of_another_version_is_refused() {
    let mut flat = plan(&[]).to_flat();
    flat.insert("model.colour".to_owned(), "green".into());
    assert_eq!(
        Plan::from_flat(&flat).unwrap_err().to_string(),
        "not a plan of this version: unknown value `model.colour`"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_assignment_panics(key in "[a-z.]{0,12}|pretrain.batch|model.dim|mask.ratio|probe.rates|data.mean",
                            text in "\\PC{0,8}|-?[0-9]{1,20}(\\.[0-9]{0,3})?(e-?[0-9]{1,3})?|none|\\[\\]") {
        let _ = Plan::resolve(&request("esc50", &[&format!("{key}={text}")]));
    }

    #[test]
    fn a_plan_survives_its_json_text(rate in 1e-12f64..10.0, decay in 0.0f64..1.0, batch in 1usize..100_000) {
        let plan = plan(&[
            &format!("pretrain.encoder.rate={rate}"),
            &format!("quantizer.decay={decay}"),
            &format!("pretrain.batch={batch}"),
        ]);
        let text = serde_json::to_string(&plan.to_flat()).unwrap();
        let back = Plan::from_flat(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(back.plan_hash(), plan.plan_hash());
        prop_assert_eq!(back, plan);
    }
}

#[test]
fn protocols_must_fit_the_method() {
    assert_eq!(
        refusal(&["method=random-init", "protocols=finetune"]),
        "protocol `finetune` does not fit method `random-init`, which is judged by linear-probe or knn or \
         logistic-regression or attentive-probe"
    );
    assert_eq!(
        refusal(&["method=scratch", "protocols=knn,finetune"]),
        "protocol `knn` does not fit method `scratch`, which is judged by finetune"
    );
    assert_eq!(plan(&["method=scratch"]).protocols, [Protocol::Finetune]);
    assert_eq!(plan(&["method=random-init"]).protocols, [Protocol::LinearProbe]);
}

#[test]
fn the_corrected_recipe_changes_every_oddity_that_the_plan_has() {
    // preset smoke says nothing else of a recipe
    let smoke = ["protocols=finetune", "preset=smoke"];
    let with = |set: &str| plan(&[&smoke[..], &[set]].concat());
    let (authors, corrected) = (plan(&smoke), with("recipe=corrected"));
    let mut changed: Vec<String> = difference(&authors.to_flat(), &corrected.to_flat())
        .into_iter()
        .map(|difference| difference.key)
        .collect();
    changed.retain(|key| key != "recipe");
    changed.sort();
    let flat = authors.to_flat();
    let mut oddities: Vec<String> = recipe::ODDITIES
        .iter()
        .map(|oddity| oddity.key.to_owned())
        .filter(|key| flat.contains_key(key))
        .collect();
    oddities.sort();
    assert_eq!(changed, oddities);
    // each of them alone, set by its name, is a plan too
    for oddity in recipe::ODDITIES.iter().filter(|oddity| flat.contains_key(oddity.key)) {
        let value = display_value(&oddity.value(Recipe::Corrected));
        let alone = with(&format!("{}={value}", oddity.key));
        assert_ne!(alone.plan_hash(), authors.plan_hash(), "{}", oddity.key);
    }
}

#[test]
fn the_corrected_recipe_of_mini_spends_a_tokenizer_phase_on_the_encoder() {
    let phases = |set: &[&str]| -> Vec<(String, usize)> {
        let phases = plan(set).phases().into_iter();
        phases.map(|phase| (phase.name, phase.length.epochs)).collect()
    };
    let named = |names: &[(&str, usize)]| -> Vec<(String, usize)> {
        names.iter().map(|&(name, epochs)| (name.to_owned(), epochs)).collect()
    };
    assert_eq!(
        phases(&[]),
        named(&[("encoder-1", 10), ("tokenizer-1", 4), ("encoder-2", 10)])
    );
    assert_eq!(
        phases(&["recipe=corrected"]),
        named(&[("encoder-1", 20), ("encoder-2", 20)])
    );
    // baselines keep their lengths, and have no such value
    for method in ["best-rq", "birq"] {
        let of = |recipe: &str| phases(&[&format!("method={method}"), &format!("recipe={recipe}")]);
        assert_eq!(of("corrected"), of("authors"), "{method}");
    }
    // a task's own lengths stand, in both recipes and with every method
    for set in [
        &["method=bridle-joint"][..],
        &["recipe=corrected"],
        &["method=bridle-joint", "recipe=corrected"],
    ] {
        let plan = Plan::resolve(&request("kinetics", set)).unwrap();
        let encoder = plan.phases().remove(0);
        assert_eq!(encoder.length.epochs, 50, "{set:?}");
    }
}

#[test]
fn the_layer_that_a_probe_reads_is_written_only_where_it_is_set() {
    let usual = plan(&[]);
    assert!(!usual.to_flat().contains_key("probe.layer"));
    assert_eq!(plan(&["probe.layer=none"]).plan_hash(), usual.plan_hash());
    let second = plan(&["probe.layer=2"]);
    assert_eq!(second.to_flat()["probe.layer"], 2);
    assert_ne!(second.plan_hash(), usual.plan_hash());
    let pretraining = |plan: &Plan| plan.pretrain_hash(&Root::new(0, None), "flex", "fp32");
    assert_eq!(pretraining(&second), pretraining(&usual));
    for wrong in ["0", "99"] {
        assert!(refusal(&[&format!("probe.layer={wrong}")]).contains("model.depth"));
    }
}

/// The plan of vectors with this hash of their file.
fn of_vectors(task: &str, sha256: &str, name: &str, set: &[&str]) -> Result<Plan, PlanError> {
    Plan::resolve(&PlanRequest {
        embeddings: Some(EmbeddingsRequest {
            name: name.to_owned(),
            sha256: sha256.to_owned(),
            dim: 768,
        }),
        protocols: vec!["linear-probe".to_owned(), "knn".to_owned()],
        ..request(task, set)
    })
}

#[test]
fn plans_of_vectors_have_what_decides_their_scores_and_nothing_of_an_encoder() {
    for task in AnyTask::all().filter(|task| !task.facts().input.is_speech()) {
        let plan = of_vectors(task.name(), "1a", "theirs", &[]).unwrap();
        assert_eq!(Plan::from_flat(&plan.to_flat()).unwrap(), plan);
        let flat = plan.to_flat();
        let sections: BTreeSet<&str> = flat.keys().map(|key| key.split('.').next().unwrap()).collect();
        let expected = "data embeddings knn method model preset probe protocols quantizer task";
        assert_eq!(sections, expected.split(' ').collect(), "{}", task.name());
        assert_eq!((plan.label(), &flat["model.dim"]), ("theirs".to_owned(), &768.into()));
    }
    let hash = |sha256, name, set: &[&str]| of_vectors("esc50", sha256, name, set).unwrap().plan_hash();
    let usual = hash("1a", "theirs", &[]);
    assert_eq!(hash("1a", "ours", &[]), usual, "a name decides nothing");
    assert_ne!(hash("1b", "theirs", &[]), usual);
    assert_ne!(hash("1a", "theirs", &["knn.neighbours=3"]), usual);
    let refusal = |set: &str| of_vectors("esc50", "1a", "theirs", &[set]).unwrap_err().to_string();
    assert!(refusal("probe.layer=1").contains("given vectors have no layers"));
    assert!(refusal("model.dim=3").contains("a fact of the vectors given with --embeddings"));
    assert!(refusal("protocols=finetune").contains("judged by linear-probe or knn"));
    assert!(refusal("method=bridle").contains("`judge`"));
    assert!(matches!(
        of_vectors("digits", "1a", "theirs", &[]),
        Err(PlanError::NotForSpeech(Method::Embeddings))
    ));
}

#[test]
fn words_read_back_as_the_value_that_wrote_them() {
    for &method in Method::ALL {
        assert_eq!(method.word().parse(), Ok(method));
    }
    for quantizer in QuantizerKind::all() {
        assert_eq!(quantizer.word().parse(), Ok(quantizer));
        assert_eq!(format!("{quantizer:>8}|"), format!("{:>8}|", quantizer.word()));
    }
    assert_eq!(
        Method::RandomInit.about(),
        "no training: the frozen random encoder, a control"
    );
}

#[test]
fn known_words_are_told_from_unknown_ones() {
    let later = "fp16"
        .parse::<crate::compute::Dtype>()
        .map_err(|error| error.to_string());
    assert_eq!(
        later,
        Err("dtype `fp16` is known but not available in this version; available: fp32, bf16".to_owned())
    );
    assert_eq!(
        "author".parse::<Recipe>().map_err(|error| error.to_string()),
        Err("unknown recipe `author`; did you mean `authors`? (known: authors, corrected)".to_owned())
    );
}
