//! Synthetic records for the tests of this crate.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::codes::CodebookStatistics;
use crate::codes::labels::{Annotation, LabelChange, LabelStatistics};
use crate::record::*;
use serde_json::{Value, json};

/// A run of `bridle rq` on 400 ESC-50 clips with two levels of four codes; `top1` clips are right.
pub(crate) fn record(seed: u64, top1: u64) -> RunRecord {
    let Value::Object(plan) = json!({
        "task": "esc50", "method": "bridle", "quantizer": "rq", "preset": "mini", "recipe": "authors",
        "protocols": ["linear-probe"], "quantizer.levels": 2, "pretrain.encoder.rate": 1e-3,
    }) else {
        unreachable!("an object")
    };
    RunRecord {
        schema: SCHEMA,
        id: format!("run-{seed}"),
        plan,
        plan_hash: "0123456789ab".into(),
        pretrain_hash: Some(format!("pretraining-{seed}")),
        program: Program {
            version: "0.1.0".into(),
            commit: "4f1c2d3".into(),
            dirty: false,
            command: None,
        },
        machine: Machine {
            cpu: "a processor".into(),
            processor: None,
            bf16: None,
            cores: 2,
            memory_bytes: 8 << 30,
            gpu: None,
            ranks: None,
        },
        backend: backend("flex"),
        seed,
        fold_in_root: false,
        fold: Some(1),
        data: data(),
        phases: vec![
            phase("encoder-1", [40, 30, 20, 10]),
            phase("tokenizer-1", [99, 0, 1, 0]),
        ],
        scores: vec![proportion("top1", top1), proportion("top5", (top1 + 150).min(400))],
        seconds: [("encoder-1", 61.5), ("tokenizer-1", 61.5)]
            .map(|(name, s)| (name.to_string(), s))
            .into(),
        peak_memory_bytes: PeakMemory {
            host: Some(1 << 30),
            device: None,
        },
        started: "2026-01-02T03:04:05Z".parse().unwrap(),
        finished: "2026-01-02T03:24:05Z".parse().unwrap(),
        predictions: None,
        predictions_sha256: None,
        content_sha256: None,
    }
}

/// A run with a value in every field that a record can have.
pub(crate) fn full_record() -> RunRecord {
    let mut record = record(0, 165);
    record.fold_in_root = true;
    let digest = || Some("cd".repeat(32));
    (record.predictions, record.machine.gpu) = (Some("run.predictions.csv".into()), Some("a GPU".into()));
    (record.predictions_sha256, record.content_sha256) = (digest(), digest());
    record.program.command = Some(["bridle-bench", "run", "--resume"].map(String::from).into());
    record.machine.processor = Some("family 25 model 1, avx2 fma".into());
    record.machine.bf16 = Some("bf16 by AVX-512".into());
    record.machine.ranks = Some(Ranks {
        count: 2,
        machines: 1,
        engine: "Open MPI 4.1.4".into(),
        tensor_sums: Some("NCCL 2.27.5 with NCCL_NVLS_ENABLE=0".into()),
        input_wait_seconds: Some(vec![0.5, 0.25]),
    });
    record.peak_memory_bytes.device = Some(1 << 30);
    record.data.samples_sha256 = digest();
    record.data.subset = Some(8);
    record.data.splitting = Some("by name".into());
    record.data.missing = Some(Missing {
        count: 1,
        first: vec!["1-1-A".into()],
    });
    record.data.skipped.push(Skipped {
        id: "1-1-B".into(),
        reason: "truncated".into(),
    });
    let phase = &mut record.phases[1];
    (phase.input_wait_seconds, phase.reused_from) = (Some(0.5), Some("run-7".into()));
    let annotation = Annotation {
        tokens: 100,
        entropy_bits: 2.0,
        information_bits: vec![0.5, 0.25],
        information_shuffled_bits: vec![0.125, 0.0625],
    };
    let labels = phase.labels.as_mut().unwrap();
    labels.annotations.insert("word".into(), annotation);
    record.scores[0].per_class = Some(PerClass {
        names: vec!["dog".into()],
        values: vec![Some(0.5)],
        n: vec![8],
    });
    (record.scores[1].value, record.scores[1].reason) = (None, Some("no test sample".into()));
    record
}

/// The same run with its quantizer, plan and score exchanged; None is the random-init control.
pub(crate) fn other(mut record: RunRecord, quantizer: Option<&str>, hash: &str, top1: u64) -> RunRecord {
    record.plan_hash = hash.into();
    record.plan["quantizer"] = quantizer.into();
    record.pretrain_hash = quantizer.map(|name| format!("{name}-{hash}-{}", record.seed));
    if quantizer.is_none() {
        record.plan["method"] = "random-init".into();
        record.phases.clear();
    }
    record.scores = vec![proportion("top1", top1), proportion("top5", (top1 + 150).min(400))];
    record
}

/// A backend with its dtype on the processor.
pub(crate) fn backend(name: &str) -> Backend {
    Backend {
        name: name.into(),
        device: "cpu".into(),
        library: format!("burn-{name} 0.21.0"),
        dtype: "fp32".into(),
        threads: 2,
    }
}

fn data() -> Data {
    Data {
        task: "esc50".into(),
        version: "1".into(),
        variant: "16k-flac-ogg".into(),
        source: "a folder".into(),
        manifest_sha256: Some("ab".repeat(32)),
        samples_sha256: None,
        counts: [("train".to_string(), 1600), ("test".to_string(), 400)].into(),
        subset: None,
        skipped: Vec::new(),
        missing: None,
        splitting: None,
        input: InputStatistics {
            measured: Some(MeanStd {
                mean: vec![-6.5],
                std: vec![5.25],
            }),
            constants: MeanStd {
                mean: vec![-6.6268077],
                std: vec![5.358466],
            },
        },
    }
}

fn phase(name: &str, counts: [u64; 4]) -> Phase {
    let second = counts.map(|count| count + 1);
    Phase {
        name: name.into(),
        epochs: 10,
        steps: 1000,
        seconds: 61.5,
        samples_per_second: 260.162_601_626_016_3,
        loss: Loss {
            first: 5.545,
            last: 4.321,
        },
        codebooks: [counts, second]
            .map(|counts| CodebookStatistics::from_counts(&counts))
            .to_vec(),
        labels: Some(LabelStatistics {
            tokens: 100,
            joint_used: 7,
            joint_entropy_bits: 2.5,
            class_information_bits: vec![0.25, 0.125],
            class_information_shuffled_bits: vec![0.0625, 0.03125],
            place_information_bits: vec![0.5, 0.75],
            place_information_shuffled_bits: vec![0.125, 0.0625],
            annotations: Default::default(),
            change: (name != "encoder-1").then(|| LabelChange {
                since: "encoder-1".into(),
                changed: vec![0.75, 0.875],
                kept_information_bits: vec![1.25, 0.5],
                kept_information_shuffled_bits: vec![0.25, 0.125],
            }),
        }),
        curve: Some(Curve {
            steps: vec![0, 500, 999],
            loss: vec![5.545, 5.0, 4.321],
            perplexity: vec![vec![3.0, 2.0, 2.5], vec![3.5, 3.0, 3.25]],
        }),
        reused_from: None,
        input_wait_seconds: None,
    }
}

/// A score of `successes` in 400 with its Wilson interval.
pub(crate) fn proportion(metric: &str, successes: u64) -> Score {
    let details = [("rate".to_string(), json!(0.01))].into_iter().collect();
    Score {
        details,
        ..Score::proportion("linear-probe", metric, successes, 400)
    }
}
