//! The page holds what the records hold, stands by itself and is well formed.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::codes::CodebookStatistics;
use crate::fixtures::{backend, other, record};
use crate::published::{self, Shown};
use crate::record::{Curve, PerClass, Phase};
use crate::table::html::{SCRIPT, STYLE};
use crate::table::{Style, View, ablation_tables, backend_table, codebook_table, score_tables};
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};

/// Numbers that fall from `first` towards `last`, a little different for every seed.
fn falling(first: f64, last: f64, seed: u64, points: usize) -> Vec<f64> {
    let noise = |i: usize| ((i as f64 * 1.7 + seed as f64 * 2.3).sin()) * 0.03 * (first - last);
    (0..points)
        .map(|i| last + (first - last) * (-4.0 * i as f64 / points as f64).exp() + noise(i))
        .collect()
}

/// A codebook whose code of rank r is chosen about `(r + 1)^-slope` as often as the first.
fn codebook(codes: usize, slope: f64) -> CodebookStatistics {
    let counts: Vec<u64> = (0..codes)
        .map(|i| (9000.0 * ((i * 37 % codes + 1) as f64).powf(-slope)) as u64)
        .map(|count| if count < 60 { 0 } else { count })
        .collect();
    CodebookStatistics::from_counts(&counts)
}

fn phase(template: &Phase, name: &str, (levels, codes): (usize, usize), seed: u64) -> Phase {
    let tokenizer = name.starts_with("tokenizer");
    let steps: Vec<u64> = (0..40).map(|i| i * 25).collect();
    let first = if tokenizer { 1.1 } else { (codes as f64).ln() };
    let loss = falling(first, first * 0.3, seed, steps.len());
    let slopes = |level: usize| 0.35 + 0.25 * level as f64 + if name == "encoder-1" { 0.0 } else { 0.45 };
    let codebooks: Vec<CodebookStatistics> = (0..levels).map(|level| codebook(codes, slopes(level))).collect();
    let perplexity = |level: &CodebookStatistics| falling(0.8 * codes as f64, level.perplexity, seed, steps.len());
    Phase {
        name: name.into(),
        curve: Some(Curve {
            perplexity: if tokenizer {
                codebooks.iter().map(perplexity).collect()
            } else {
                Vec::new()
            },
            loss,
            steps,
        }),
        codebooks,
        ..template.clone()
    }
}

/// Several methods with several seeds, phases and levels, one backend more, and an old record
/// without curves.
fn rich() -> Vec<RunRecord> {
    let template = record(0, 0).phases.remove(0);
    let mut records = Vec::new();
    let mut add = |quantizer: &str, hash: &str, shape, top1: u64, seed: u64| {
        let mut record = other(record(seed, 0), Some(quantizer), hash, top1);
        let names = ["encoder-1", "tokenizer-1", "encoder-2"];
        record.phases = names.map(|name| phase(&template, name, shape, seed)).into();
        let learnt = record.phases[1].codebooks.clone();
        record.phases[2].codebooks = learnt;
        record.plan.insert("quantizer.levels".into(), shape.0.into());
        record.plan.insert("model.decoder.kind".into(), "global".into());
        record.plan.insert("probe.rates".into(), json!([0.001, 0.003, 0.01]));
        records.push(record);
    };
    for seed in 0..3 {
        add("rq", "aaaaaaaaaaaa", (4, 256), 158 + 7 * seed, seed);
        add("vq", "bbbbbbbbbbbb", (1, 1024), 140 + 5 * seed, seed);
    }
    add("rq", "dddddddddddd", (2, 256), 149, 0);
    let mut tch = records[0].clone();
    tch.backend = backend("tch");
    tch.pretrain_hash = Some("on tch".into());
    records.push(tch);
    records.push(other(record(0, 0), None, "cccccccccccc", 126));
    let mut old = records[0].clone();
    (old.schema, old.seed, old.pretrain_hash) = (1, 4, Some("older".into()));
    old.program.dirty = true;
    old.phases
        .iter_mut()
        .for_each(|phase| (phase.curve, phase.labels) = (None, None));
    records.push(old);
    records
}

/// The table of scores in full.
fn main_table(records: &[RunRecord], evidence: &Evidence) -> Table {
    score_tables(records, evidence, &View::default()).remove(0)
}

fn all_tables(records: &[RunRecord]) -> Vec<Table> {
    let mut tables = vec![main_table(records, &Evidence::default()), codebook_table(records)];
    tables.extend(ablation_tables(records, &Evidence::default(), Style::Full));
    tables.extend(backend_table(records));
    tables.extend(published::tables(records, Shown::Protocol));
    tables
}

/// An element's name with its attributes.
type Element = (String, BTreeMap<String, String>);

/// Reads the page as strictly as XML is read; gives the elements with their attributes, and the
/// text.
fn parsed(page: &str) -> (Vec<Element>, String) {
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = true;
    let (mut elements, mut text) = (Vec::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.name().as_ref().to_string();
                let attributes = tag.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let key = attribute.key.as_ref().to_string();
                    (
                        key,
                        attribute
                            .normalized_value(XmlVersion::Explicit1_0)
                            .unwrap()
                            .into_owned(),
                    )
                });
                let attributes = attributes.collect();
                elements.push((name, attributes));
            }
            Event::Text(words) => text.push_str(&words),
            Event::GeneralRef(name) => text.push_str(&format!("&{};", &*name)),
            Event::Eof => return (elements, text),
            _ => {}
        }
    }
}

#[test]
fn the_page_is_well_formed_and_fetches_nothing() {
    let records = rich();
    let page = page(&records, &Evidence::default(), &all_tables(&records));
    // BRIDLE_REPORT=FILE keeps the page, to be looked at
    if let Some(file) = std::env::var_os("BRIDLE_REPORT") {
        std::fs::write(file, &page).unwrap();
    }
    let (elements, _) = parsed(&page);
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(page.contains(&format!("<script>{SCRIPT}</script>")) && !SCRIPT.contains("http"));
    let fetching = [
        "link", "img", "iframe", "object", "embed", "base", "audio", "video", "source", "image", "use",
    ];
    let mut ids = HashSet::new();
    for (name, attributes) in &elements {
        assert!(!fetching.contains(&name.as_str()), "{name}");
        let fetches = |key: &str| attributes.contains_key(key);
        assert!(
            !fetches("src") && !fetches("srcset") && !fetches("style") && !fetches("onclick"),
            "{name}"
        );
        assert!(name == "a" || !fetches("href"), "{name}");
        if let Some(id) = attributes.get("id") {
            assert!(ids.insert(id.clone()), "twice: {id}");
        }
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    for (_, attributes) in &elements {
        let named = attributes
            .get("aria-labelledby")
            .into_iter()
            .flat_map(|ids| ids.split(' '));
        let anchors = attributes
            .get("href")
            .and_then(|href| href.strip_prefix('#'))
            .into_iter();
        named.chain(anchors).for_each(|id| assert!(ids.contains(id), "{id}"));
    }
}

#[test]
fn every_plot_has_a_title_and_a_description() {
    let page = page(&rich(), &Evidence::default(), &[]);
    let plots = page.matches("role=\"img\"").count();
    assert!(plots > 20, "{plots}");
    assert_eq!(
        (page.matches("<title id=").count(), page.matches("<desc id=").count()),
        (plots, plots)
    );
    assert!(!page.contains("NaN") && !page.contains("inf"), "a place that is none");
}

#[test]
fn whiskers_are_the_interval_of_several_runs() {
    let seeds: Vec<RunRecord> = (0..)
        .zip([165u64, 160, 172])
        .map(|(seed, top1)| record(seed, top1))
        .collect();
    let evidence = Evidence::default();
    let interval = &main_table(&seeds, &evidence).rows[0][1].value["interval"];
    let end = |name: &str| 100.0 * interval[name].as_f64().unwrap();
    let told = format!("[{:.1}, {:.1}] n=3<", end("low"), end("high"));
    let whiskers = |page: &str| page.matches("class=\"whisker\"").count();
    let of_seeds = page(&seeds, &evidence, &[]);
    assert!(of_seeds.contains(&told), "{told}");
    assert_eq!(whiskers(&of_seeds), 2);
    assert_eq!(whiskers(&page(&seeds[..1], &evidence, &[])), 0);
    let folds: Vec<RunRecord> = (1..=3)
        .map(|fold| RunRecord {
            fold: Some(fold),
            ..record(0, 160)
        })
        .collect();
    assert_eq!(whiskers(&page(&folds, &evidence, &[])), 2);
}

#[test]
fn the_best_and_worst_classes_are_shown() {
    let mut run = record(0, 165);
    run.scores[0].per_class = Some(PerClass {
        names: (0..20).map(|class| format!("<class {class}>")).collect(),
        values: (0..20)
            .map(|class| (class != 19).then(|| f64::from(class) / 20.0))
            .collect(),
        n: vec![20; 20],
    });
    let page = page(&[run], &Evidence::default(), &[]);
    let (_, text) = parsed(&page);
    assert!(text.contains("the 8 best and the 8 worst of 19 classes"), "{text}");
    let place = |class: &str| text.find(&format!("&lt;class {class}&gt;"));
    assert!(place("18") < place("11") && place("11") < place("7") && place("7") < place("0"));
    assert!(place("0").is_some() && [place("8"), place("10"), place("19")] == [None; 3]);
}

#[test]
fn what_was_not_recorded_is_said_in_words() {
    let mut old = record(0, 165);
    old.phases.iter_mut().for_each(|phase| phase.curve = None);
    let page = page(&[old], &Evidence::default(), &[]);
    let told = "bridle rq (seed 0, fold 1): loss over steps not recorded; encoder-1 from 5.545 to 4.321, \
                tokenizer-1 from 5.545 to 4.321";
    assert!(page.contains(told) && page.contains("Perplexity over steps: not recorded."));
    assert!(!page.contains("id=\"loss-0-title\""));
}

#[test]
fn whatever_a_record_holds_is_text() {
    let mut hostile = record(0, 165);
    let word = "<script>alert('&amp;\"')</script>\u{1}";
    hostile.plan["task"] = word.into();
    hostile.plan.insert(word.into(), word.into());
    (hostile.plan_hash, hostile.program.commit, hostile.data.source) = (word.into(), word.into(), word.into());
    hostile.phases[0].name = word.into();
    hostile.scores[0].protocol = word.into();
    let records = [hostile];
    let page = page(&records, &Evidence::default(), &all_tables(&records));
    let (elements, text) = parsed(&page);
    let scripts = elements.iter().filter(|(name, _)| name == "script");
    assert_eq!(scripts.count(), 1, "the page's own");
    assert!(
        text.contains("&lt;script&gt;alert(&#39;&amp;amp;&quot;&#39;)&lt;/script&gt;\u{fffd}"),
        "{text}"
    );
}

#[test]
fn records_without_anything_make_a_page_too() {
    let mut bare = record(0, 165);
    bare.scores.clear();
    bare.phases.clear();
    for records in [vec![], vec![bare]] {
        let page = page(&records, &Evidence::default(), &all_tables(&records));
        assert!(page.contains("Nothing to show."));
        parsed(&page);
    }
}

#[test]
fn the_order_of_records_changes_nothing() {
    let records = rich();
    let reversed: Vec<RunRecord> = records.iter().rev().cloned().collect();
    assert_eq!(
        page(&records, &Evidence::default(), &all_tables(&records)),
        page(&reversed, &Evidence::default(), &all_tables(&reversed))
    );
}

#[test]
fn the_plan_of_every_run_is_there() {
    let records = rich();
    let page = page(&records, &Evidence::default(), &[]);
    assert_eq!(page.matches("<details>").count(), records.len());
    let rates = "<dt>probe.rates</dt><dd>[0.001,0.003,0.01]</dd>";
    // all but the control
    assert_eq!(page.matches(rates).count(), records.len() - 1);
}

#[test]
fn a_small_page() {
    let mut small = record(0, 165);
    small.phases.truncate(1);
    insta::assert_snapshot!(
        page(
            &[small.clone()],
            &Evidence::default(),
            &[main_table(&[small], &Evidence::default())]
        )
        .replace(STYLE, "STYLE\n")
        .replace(SCRIPT, "SCRIPT\n")
    );
}
