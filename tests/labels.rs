//! Labels from elsewhere, on the real program: what `export --labels` writes is what the run had, an
//! encoder trains on it, and files that do not fit are named.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod program;

use bridle_bench::embeddings::to_npz;
use bridle_results::record::RunRecord;
use bridle_results::store;
use program::{done, refusal};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A few steps a phase.
const RUN: &str = "run --task synthetic --preset smoke --protocol knn --quantizer rq --set quantizer.codes=8 \
                   --set data.subset=60 --set pretrain.encoder.epochs=1 --set pretrain.encoder.warmup_epochs=0 \
                   --set pretrain.tokenizer.epochs=1 --set pretrain.tokenizer.warmup_epochs=0 \
                   --set quantizer.levels=2";
const ONE_ROUND: &str = "--set pretrain.rounds=1";

/// Codes of one sample, row-major [T, L].
type Codes = BTreeMap<String, Vec<u16>>;

/// The only record below a folder.
fn record(folder: &Path) -> (PathBuf, RunRecord) {
    let mut found = store::find(&[folder.to_owned()]).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn read(path: &Path) -> (Codes, [usize; 2]) {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut shape = [0, 0];
    let of = |(name, view): (&str, TensorView<'_>)| {
        shape = view.shape().try_into().unwrap();
        assert_eq!(view.dtype(), Dtype::U16);
        let (numbers, _) = view.data().as_chunks();
        (
            name.to_owned(),
            numbers.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect(),
        )
    };
    let codes = tensors.iter().map(of).collect();
    (codes, shape)
}

/// Writes codes as a safetensors file of this kind of number.
fn write(path: &Path, codes: &Codes, shape: [usize; 2], dtype: Dtype) {
    let bytes = |code: &u16| match dtype {
        Dtype::I64 => i64::from(*code).to_le_bytes().to_vec(),
        Dtype::F32 => f32::from(*code).to_le_bytes().to_vec(),
        _ => unreachable!("no test writes it"),
    };
    let data: Vec<(&String, Vec<u8>)> = codes
        .iter()
        .map(|(id, of)| (id, of.iter().flat_map(bytes).collect()))
        .collect();
    let view = |(id, data)| (id, TensorView::new(dtype, shape.to_vec(), data).unwrap());
    let views = data.iter().map(|(id, data)| view((*id, &data[..])));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// How often each code of a level occurs in these samples.
fn counts(codes: &Codes, samples: &BTreeSet<String>, [_, levels]: [usize; 2], level: usize, size: usize) -> Vec<u64> {
    let mut found = vec![0; size];
    for id in samples {
        codes[id]
            .iter()
            .skip(level)
            .step_by(levels)
            .for_each(|&code| found[usize::from(code)] += 1);
    }
    found
}

/// The ids of the samples, by part.
fn ids(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let told = done(
        folder,
        "check --task synthetic --preset smoke --set data.subset=60 --format json",
    );
    let told: Value = serde_json::from_str(&told).unwrap();
    serde_json::from_value(told["ids"].clone()).unwrap()
}

#[test]
fn what_is_exported_is_what_the_run_had_and_an_encoder_trains_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, &format!("{RUN} --out made"));
    let made = record(&folder.join("made"));
    let path = made.0.display().to_string();
    let told = refusal(folder, 3, &format!("{RUN} {ONE_ROUND} --labels {path}"));
    assert!(told.contains("were not exported") && told.contains("export"), "{told}");

    // the tokenizer's: the counts of the record's last phase, from the codes of its training samples
    done(folder, &format!("export {path} --labels tokenizer"));
    done(
        folder,
        &format!("export {path} --labels tokenizer --to tokenizer.safetensors"),
    );
    let (codes, shape) = read(&folder.join("tokenizer.safetensors"));
    let train = BTreeSet::from_iter(ids(folder).remove("train").unwrap());
    assert!(!train.is_empty() && train.len() < codes.len());
    let books = |record: &RunRecord| record.phases.last().unwrap().codebooks.clone();
    assert_eq!(books(&made.1).len(), 2);
    for (level, book) in books(&made.1).iter().enumerate() {
        assert_eq!(counts(&codes, &train, shape, level, 8), book.counts, "level {level}");
    }

    // an encoder trains on them, by the file and by the record; its phase counts the same labels
    done(folder, &format!("{RUN} {ONE_ROUND} --labels {path} --out by-record"));
    let (_, by_record) = record(&folder.join("by-record"));
    assert_eq!(books(&by_record), books(&made.1));
    assert_eq!(by_record.plan["labels.transductive"], false);
    let sha = by_record.plan["labels.sha256"].as_str().unwrap();
    let (_, plain) = {
        done(folder, &format!("{RUN} {ONE_ROUND} --out by-record/plain"));
        record(&folder.join("by-record/plain"))
    };
    assert_ne!(plain.phases[0].loss, by_record.phases[0].loss);
    assert_ne!(plain.plan_hash, by_record.plan_hash);

    // a study knows the labels of an arm by their sum: it refuses others, and finds the runs without them
    let study = |sha: &str| {
        let words = RUN.split_whitespace().collect::<Vec<_>>();
        let values = words
            .windows(2)
            .filter(|pair| pair[0] == "--set")
            .map(|pair| format!("{:?}", pair[1]));
        let values = values
            .chain(["\"pretrain.rounds=1\"".to_owned()])
            .collect::<Vec<_>>()
            .join(", ");
        let text = format!(
            "question = 'Q'\ntasks = ['synthetic']\npreset = 'smoke'\nprotocols = ['knn']\nset = [{values}]\n\
             seeds = 1\nhours = 1.0\nreference = 'plain'\n[[arm]]\nname = 'plain'\n[[arm]]\nname = 'given'\n\
             labels = 'labels.safetensors'\nlabels_sha256 = '{sha}'\n"
        );
        fs::write(folder.join("study.toml"), text).unwrap();
    };
    fs::copy(folder.join("tokenizer.safetensors"), folder.join("labels.safetensors")).unwrap();
    let other = "0".repeat(64);
    study(&other);
    let told = refusal(folder, 2, "study study.toml --out by-record");
    assert!(told.contains("arm `given`") && told.contains(sha), "{told}");
    fs::remove_file(folder.join("labels.safetensors")).unwrap();
    for (known, runs) in [(sha, "1 of 1 runs"), (&*other, "0 of 1 runs")] {
        study(known);
        let told = done(folder, "study study.toml --report --out by-record --format markdown");
        let arm = told.lines().find(|line| line.starts_with("| given ")).unwrap();
        assert!(arm.contains(runs), "{told}");
    }

    // the same codes in other forms: another file, another plan, the same training
    write(&folder.join("whole.safetensors"), &codes, shape, Dtype::I64);
    let (ids, rows): (Vec<&str>, Vec<&Vec<u16>>) = codes.iter().map(|(id, of)| (&**id, of)).unzip();
    let values: Vec<f32> = rows.into_iter().flatten().map(|&code| f32::from(code)).collect();
    let npz = to_npz(&ids, &values, &[ids.len(), shape[0], shape[1]], "").unwrap();
    fs::write(folder.join("codes.npz"), npz).unwrap();
    for file in ["whole.safetensors", "codes.npz"] {
        done(
            folder,
            &format!("{RUN} --set pretrain.relabel=false --labels {file} --out {file}.d"),
        );
        let (_, found) = record(&folder.join(format!("{file}.d")));
        assert_ne!(found.plan["labels.sha256"], sha);
        assert_eq!(found.plan["labels.name"], file);
        assert_eq!(found.phases[0].loss, by_record.phases[0].loss, "{file}");
        assert_eq!(found.phases.len(), 2);
        assert_eq!(found.phases[1].codebooks, found.phases[0].codebooks);
    }
    // a record with labels says which file it needs
    let (with_labels, _) = record(&folder.join("codes.npz.d"));
    let told = refusal(folder, 2, &format!("run --from {}", with_labels.display()));
    assert!(told.contains("--labels FILE"), "{told}");

    // clusters of the encoder's tokens have the plan's levels and codes, and use them
    done(
        folder,
        &format!("export {path} --labels encoder --to encoder.safetensors"),
    );
    let (clusters, of_encoder) = read(&folder.join("encoder.safetensors"));
    assert_eq!((clusters.len(), of_encoder), (codes.len(), shape));
    let used = counts(&clusters, &train, shape, 0, 8)
        .into_iter()
        .filter(|&count| count > 0)
        .count();
    assert!(used > 4, "{used}");
    let first = fs::read(folder.join("encoder.safetensors")).unwrap();
    done(
        folder,
        &format!("export {path} --labels encoder --to encoder.safetensors"),
    );
    assert_eq!(fs::read(folder.join("encoder.safetensors")).unwrap(), first);

    // a study's arm takes a path from the study's folder; the encoder of one round has no tokenizer
    fs::create_dir(folder.join("studies")).unwrap();
    let set: Vec<String> = RUN
        .split_whitespace()
        .filter(|word| word.contains('='))
        .map(|word| format!("\"{word}\""))
        .collect();
    let study = format!(
        "question = \"?\"\ntasks = [\"synthetic\"]\npreset = \"smoke\"\nprotocols = [\"knn\"]\nseeds = 1\nhours = 1.0\n\
         reference = \"cold-start\"\nset = [{}, \"pretrain.rounds=1\"]\n\
         [[arm]]\nname = \"cold-start\"\nquantizer = \"rq\"\n\
         [[arm]]\nname = \"given\"\nquantizer = \"rq\"\nlabels = \"../whole.safetensors\"\n\
         [[arm]]\nname = \"clusters\"\nquantizer = \"rq\"\nlabels = \"../encoder.safetensors\"\n",
        set.join(", ")
    );
    fs::write(folder.join("studies/s.toml"), study).unwrap();
    done(folder, "study studies/s.toml --out studied");
    let studied = store::find(&[folder.join("studied")]).unwrap();
    let losses: BTreeSet<String> = studied
        .iter()
        .map(|(_, record)| record.phases[0].loss.last.to_string())
        .collect();
    assert_eq!((studied.len(), losses.len()), (3, 3));
    let (plain, _) = record(&folder.join("by-record/plain"));
    let told = refusal(folder, 2, &format!("export {} --labels tokenizer", plain.display()));
    assert!(told.contains("trained no tokenizer"), "{told}");
    fs::remove_dir_all(folder.join("runs/synthetic")).unwrap();
    let told = refusal(folder, 3, &format!("export {path} --labels tokenizer"));
    assert!(told.contains("the tokenizer of") && told.contains("--fresh"), "{told}");
}

#[test]
fn labels_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ids = ids(folder);
    // training samples first, of which messages tell
    let ids: Vec<&str> = [&ids["train"][..], &ids["test"][..]]
        .concat()
        .leak()
        .iter()
        .map(|id| &**id)
        .collect();
    let shape = [TOKENS, 2];
    let good: Codes = ids.iter().map(|id| ((*id).to_owned(), vec![3; TOKENS * 2])).collect();
    let run = |code: i32, codes: &Codes, shape: [usize; 2], options: &str| {
        write(&folder.join("l.safetensors"), codes, shape, Dtype::F32);
        refusal(
            folder,
            code,
            &format!("{RUN} {ONE_ROUND} --labels l.safetensors {options}"),
        )
    };
    let says = |told: String, what: &[&str]| {
        assert!(what.iter().all(|what| told.contains(what)), "{told}");
    };
    let (mut fewer, mut high) = (good.clone(), good.clone());
    for id in &ids {
        fewer.remove(*id);
    }
    fewer.insert("nobody.wav".to_owned(), vec![3; TOKENS * 2]);
    says(run(2, &fewer, shape, ""), &["samples without labels", "..."]);
    let check = RUN.replacen("run", "check", 1);
    let told = refusal(folder, 2, &format!("{check} {ONE_ROUND} --labels l.safetensors"));
    says(told, &["samples without labels"]);
    high.get_mut(ids[7]).unwrap()[5] = 8;
    says(
        run(2, &high, shape, ""),
        &["quantizer.codes", "code 8", ids[7], "at least 9"],
    );
    let level = good.keys().map(|id| (id.clone(), vec![3; TOKENS])).collect();
    says(
        run(2, &level, [TOKENS, 1], ""),
        &["quantizer.levels", "2 codes for each token", "has 1"],
    );
    let short = good.keys().map(|id| (id.clone(), vec![3; 2 * (TOKENS - 1)])).collect();
    says(
        run(2, &short, [TOKENS - 1, 2], ""),
        &["tokens for each sample", &TOKENS.to_string()],
    );
    says(
        run(2, &good, shape, "--set pretrain.rounds=2"),
        &["pretrain.relabel", "--set pretrain.relabel=false"],
    );
    says(run(2, &good, shape, "--set augment.roll=uniform"), &["augment.roll"]);
    let best_rq = "run --task synthetic --preset smoke --method best-rq --labels l.safetensors";
    says(
        refusal(folder, 2, best_rq),
        &["`best-rq`", "takes no labels", "`bridle` does"],
    );
    let speech = "run --task digits --preset smoke --labels l.safetensors";
    says(refusal(folder, 2, speech), &["`labels`", "not for speech"]);
    says(
        refusal(folder, 3, &format!("{RUN} --labels none.npz")),
        &["cannot read `none.npz`"],
    );
    says(
        refusal(folder, 2, &format!("{RUN} --labels .")),
        &["neither a file of labels, nor a record"],
    );

    // fractions, negative codes, two rows of one sample, lengths that differ
    let list = |values: &[f32], ids: &[&str]| {
        let npz = to_npz(ids, values, &[ids.len(), TOKENS, 2], "").unwrap();
        fs::write(folder.join("l.npz"), npz).unwrap();
        refusal(folder, 2, &format!("{RUN} {ONE_ROUND} --labels l.npz"))
    };
    let mut values = vec![3.0; ids.len() * TOKENS * 2];
    let twice: Vec<&str> = ids.iter().map(|id| if *id == ids[1] { ids[0] } else { *id }).collect();
    says(
        list(&values, &twice),
        &["with labels twice", ids[0], "without labels", ids[1]],
    );
    for wrong in [0.5, -1.0, 65_536.0, f32::NAN] {
        values[3 * TOKENS * 2] = wrong;
        says(list(&values, &ids), &[ids[3], "no whole number from 0 to 65535"]);
    }
    let mut tensors = HashMap::from([("a", vec![TOKENS, 2])]);
    tensors.insert("b", vec![TOKENS, 3]);
    let data = [0; TOKENS * 3];
    let views = tensors.iter().map(|(id, shape)| {
        let bytes = &data[..shape.iter().product()];
        (*id, TensorView::new(Dtype::U8, shape.clone(), bytes).unwrap())
    });
    fs::write(folder.join("l.npz"), safetensors::serialize(views, None).unwrap()).unwrap();
    says(
        refusal(folder, 2, &format!("{RUN} {ONE_ROUND} --labels l.npz")),
        &["have shape", "and those of"],
    );
}

/// Tokens of an input of preset smoke.
const TOKENS: usize = 64;
