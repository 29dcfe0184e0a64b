//! Laws of decoding: agreement with the enumeration of all alignments, with greedy decoding, and
//! with hand-computed models.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use bridle_seed::{Seed, Stream};
use std::collections::BTreeMap;
use std::f64::consts::LN_10;

/// A model of three orders; logarithms to the base 10.
const ARPA: &str = "made by hand

\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-99 <s> -0.3
-1.0 </s>
-0.5 ONE -0.2
-0.7\tTWO\t-0.1
-2.0 <unk>

\\2-grams:
-0.4 <s> ONE -0.05
-0.6 ONE TWO -0.15
-0.2 TWO </s>

\\3-grams:
-0.1 <s> ONE TWO

\\end\\
";

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9 || a == b
}

/// Log-probabilities of `frames` frames, the larger `sharpness`, the more peaked.
fn drawn(stream: &mut Stream, frames: usize, symbols: usize, sharpness: f32) -> Vec<f32> {
    let frame = |_| {
        let logits: Vec<f32> = (0..symbols).map(|_| sharpness * stream.normal()).collect();
        let sum = logits.iter().map(|logit| logit.exp()).sum::<f32>().ln();
        logits.into_iter().map(move |logit| logit - sum)
    };
    (0..frames).flat_map(frame).collect()
}

/// The sum over all alignments of each text, by enumeration.
fn enumerated(frames: &Frames) -> BTreeMap<Vec<usize>, f64> {
    let mut alignments: Vec<(Vec<usize>, f64)> = vec![(Vec::new(), 0.0)];
    for frame in frames.iter() {
        let longer = |(alignment, log): (Vec<usize>, f64)| {
            let one =
                move |(symbol, &added): (usize, &f32)| ([&alignment[..], &[symbol]].concat(), log + f64::from(added));
            frame.iter().enumerate().map(one).collect::<Vec<_>>()
        };
        alignments = alignments.into_iter().flat_map(longer).collect();
    }
    let mut sums: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
    for (alignment, log) in alignments {
        *sums.entry(collapse(&alignment, frames.blank())).or_default() += log.exp();
    }
    sums.into_iter().map(|(text, sum)| (text, sum.ln())).collect()
}

#[test]
fn without_pruning_every_text_has_the_sum_over_its_alignments() {
    let mut stream = Seed::root(1).stream();
    for (length, symbols) in (0..=5).flat_map(|length| [(length, 2), (length, 3)]) {
        for blank in 0..symbols {
            let values = drawn(&mut stream, length, symbols, 1.5);
            let frames = Frames::new(&values, symbols, blank).unwrap();
            let (all, weights) = (enumerated(&frames), Weights::NONE);
            let found = Search {
                width: usize::MAX,
                model: &NoModel,
                weights,
            }
            .run(&frames);
            assert_eq!(found.len(), all.len());
            for one in &found {
                assert!(close(one.acoustic, all[&one.symbols]), "{one:?}");
                assert!(close(one.acoustic, one.score));
            }
            let total: f64 = found.iter().map(|one| one.acoustic.exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{total}");
            let best = all.values().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(close(found[0].acoustic, best) && found.is_sorted_by(|a, b| a.score >= b.score));
        }
    }
}

#[test]
fn with_a_model_the_best_text_is_that_of_the_enumeration() {
    let ngrams = Ngrams::parse(ARPA).unwrap();
    let names = ["-", "ONE", "TWO"];
    let model = SymbolModel::new(&ngrams, &names);
    let weights = Weights { model: 0.7, unit: 0.4 };
    let mut stream = Seed::root(2).stream();
    let mut moved = 0;
    for _ in 0..50 {
        let values = drawn(&mut stream, 4, 3, 1.0);
        let frames = Frames::new(&values, 3, 0).unwrap();
        let score = |text: &[usize], log: f64| {
            let sentence = ngrams.sentence(text.iter().map(|&symbol| names[symbol]));
            log + weights.model * sentence + weights.unit * text.len() as f64
        };
        let all: Vec<(Vec<usize>, f64)> = enumerated(&frames).into_iter().collect();
        let best = all
            .iter()
            .max_by(|a, b| score(&a.0, a.1).total_cmp(&score(&b.0, b.1)))
            .unwrap();
        let likeliest = all.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        let found = Search {
            width: usize::MAX,
            model: &model,
            weights,
        }
        .run(&frames);
        assert_eq!(found[0].symbols, best.0);
        assert!(close(found[0].score, score(&best.0, best.1)) && close(found[0].acoustic, best.1));
        moved += usize::from(best.0 != likeliest.0);
    }
    assert!(moved > 5, "the model changes the best text of {moved} inputs only");
}

#[test]
fn one_prefix_finds_what_greedy_finds_where_frames_are_peaked() {
    let mut stream = Seed::root(3).stream();
    for _ in 0..100 {
        // each frame has one symbol of probability 0.97
        let symbols = 6;
        let said: Vec<usize> = (0..20).map(|_| stream.below(symbols)).collect();
        let log = |place: usize, symbol: usize| {
            if said[place] == symbol {
                0.97f32.ln()
            } else {
                0.006f32.ln()
            }
        };
        let values: Vec<f32> = (0..20)
            .flat_map(|place| (0..symbols).map(move |s| (place, s)))
            .map(|(p, s)| log(p, s))
            .collect();
        let frames = Frames::new(&values, symbols, 2).unwrap();
        let found = Search {
            width: 1,
            model: &NoModel,
            weights: Weights::NONE,
        }
        .run(&frames);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].symbols, greedy(&frames));
        assert_eq!(greedy(&frames), collapse(&said, 2));
    }
}

#[test]
fn more_prefixes_never_find_a_less_likely_text_of_few_frames() {
    let mut stream = Seed::root(4).stream();
    let best = |width: usize, frames: &Frames| {
        let found = Search {
            width,
            model: &NoModel,
            weights: Weights::NONE,
        }
        .run(frames);
        // a text's true sum, not that of the alignments that were followed
        enumerated(frames)[&found[0].symbols]
    };
    for _ in 0..30 {
        let values = drawn(&mut stream, 5, 3, 0.7);
        let frames = Frames::new(&values, 3, 0).unwrap();
        assert!(best(1, &frames) <= best(usize::MAX, &frames) + 1e-12);
    }
}

#[test]
fn alignments_collapse() {
    assert_eq!(collapse(&[0, 1, 1, 0, 1, 2, 2, 0], 0), [1, 1, 2]);
    assert_eq!(collapse(&[0, 0], 0), [0usize; 0]);
    // of equal values the first counts
    let flat = [0.5f32.ln(); 4];
    assert_eq!(greedy(&Frames::new(&flat, 2, 1).unwrap()), [0]);
    assert_eq!(greedy(&Frames::new(&[], 2, 1).unwrap()), [0usize; 0]);
}

#[test]
fn what_is_no_table_of_log_probabilities_is_refused() {
    let error = |values: &[f32], symbols, blank| Frames::new(values, symbols, blank).unwrap_err().to_string();
    assert_eq!(error(&[-1.0; 5], 2, 0), "5 values are no frames of 2 symbols");
    assert_eq!(error(&[], 0, 0), "0 values are no frames of 0 symbols");
    assert_eq!(
        error(&[-1.0; 4], 2, 2),
        "the blank 2 is not below the number of symbols, 2"
    );
    assert_eq!(
        error(&[-1.0, -1.0, -1.0, f32::NAN], 2, 0),
        "symbol 1 of frame 1 is NaN, which is no logarithm of a probability"
    );
    assert!(Frames::new(&[0.5, -1.0], 2, 0).is_err());
    // a probability of 0 is one
    let values = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY, 0.0];
    let frames = Frames::new(&values, 2, 0).unwrap();
    let found = Search {
        width: 4,
        model: &NoModel,
        weights: Weights::NONE,
    }
    .run(&frames);
    assert_eq!((&found[0].symbols[..], found[0].score), (&[1][..], 0.0));
}

#[test]
fn probabilities_are_those_computed_by_hand() {
    let model = Ngrams::parse(ARPA).unwrap();
    assert_eq!(
        (model.order(), model.word("ONE").is_some(), model.word("SIX")),
        (3, true, None)
    );
    for (sentence, log10) in [
        // <s> ONE; <s> ONE TWO; ONE TWO </s> by the weight of ONE TWO and TWO </s>
        ("ONE TWO", -0.4 - 0.1 + (-0.15 - 0.2)),
        // the weight of <s> and TWO; <s> TWO is unknown, so that its weight is 1: TWO </s>
        ("TWO", (-0.3 - 0.7) - 0.2),
        // <s> ONE; weights of <s> ONE and ONE, then ONE; ONE ONE is unknown: weight of ONE, then
        // </s>
        ("ONE ONE", -0.4 + (-0.05 - 0.2 - 0.5) + (-0.2 - 1.0)),
        // the weight of <s> and <unk>; <unk> has no weight: </s>
        ("SIX", (-0.3 - 2.0) - 1.0),
        // the weight of <s> and </s>
        ("", -0.3 - 1.0),
    ] {
        let found = model.sentence(sentence.split_whitespace());
        assert!(close(found, log10 * LN_10), "{sentence}: {}", found / LN_10);
    }
}

#[test]
fn probabilities_of_a_normalised_model_sum_to_one_after_every_history() {
    // after a: a has 0.4, and the rest 0.6 of which b and </s> had 0.5 before
    let weight = (0.6f64 / 0.5).log10();
    let logs = [0.5f64, 0.3, 0.2, 0.4].map(f64::log10);
    let text = format!(
        "\\data\\\nngram 1=4\nngram 2=1\n\\1-grams:\n-99 <s>\n{} a {weight}\n{} b\n{} </s>\n\\2-grams:\n{} a a\n\\end\\\n",
        logs[0], logs[1], logs[2], logs[3]
    );
    let model = Ngrams::parse(&text).unwrap();
    for history in [
        vec![],
        model.start(),
        vec![model.word("a").unwrap()],
        vec![model.word("b").unwrap()],
    ] {
        let of = |word: &str| model.append(&mut history.clone(), model.word(word)).exp();
        let sum = of("a") + of("b") + model.end(&history).exp();
        assert!((sum - 1.0).abs() < 1e-9, "{history:?}: {sum}");
    }
}

#[test]
fn words_that_are_spelled_score_as_the_sentence_does() {
    let ngrams = Ngrams::parse(ARPA).unwrap();
    let symbols: Vec<char> = "- ENOTWSIX".chars().collect();
    let model = WordModel::new(&ngrams, &symbols);
    for (text, words) in [("ONE TWO", 2), ("TWO", 1), ("", 0), (" ONE  SIX ", 2)] {
        let (mut state, mut sum, mut units) = (model.start(), 0.0, 0);
        for letter in text.chars() {
            let symbol = symbols.iter().position(|known| *known == letter).unwrap();
            let (next, added, completed) = model.extend(&state, symbol);
            (state, sum, units) = (next, sum + added, units + completed);
        }
        let (added, completed) = model.end(&state);
        assert!(close(sum + added, ngrams.sentence(text.split_whitespace())), "`{text}`");
        assert_eq!(units + completed, words);
    }
}

#[test]
fn a_word_model_chooses_the_word_that_it_knows() {
    let ngrams = Ngrams::parse(ARPA).unwrap();
    let symbols: Vec<char> = "-ONETWA".chars().collect();
    let model = WordModel::new(&ngrams, &symbols);
    // ONA is a little likelier than ONE
    let place = |letter: char| symbols.iter().position(|known| *known == letter).unwrap();
    let frame = |likely: &[(char, f32)]| -> Vec<f32> {
        let mut frame = vec![1e-4f32.ln(); symbols.len()];
        likely.iter().for_each(|(letter, p)| frame[place(*letter)] = p.ln());
        frame
    };
    let values = [
        frame(&[('O', 0.9)]),
        frame(&[('N', 0.9)]),
        frame(&[('E', 0.4), ('A', 0.5)]),
    ]
    .concat();
    let frames = Frames::new(&values, symbols.len(), 0).unwrap();
    let said = |weights: Weights| {
        let best = Search {
            width: 16,
            model: &model,
            weights,
        }
        .run(&frames)
        .remove(0);
        best.symbols.iter().map(|&symbol| symbols[symbol]).collect::<String>()
    };
    assert_eq!(said(Weights::NONE), "ONA");
    assert_eq!(said(Weights { model: 0.5, unit: 0.0 }), "ONE");
}

#[test]
fn broken_files_are_errors_with_their_line() {
    let broken = |from: &str, to: &str| Ngrams::parse(&ARPA.replacen(from, to, 1)).unwrap_err().to_string();
    for (from, to, expected) in [
        ("\\data\\", "data", "line 24: the file ends where '\\data\\' belongs"),
        (
            "ngram 2=3",
            "ngram 2",
            "line 5: 'ngram 2' is no 'ngram <order>=<count>'",
        ),
        ("ngram 2=3", "ngram 4=3", "line 5: the count of 2-grams belongs here"),
        ("ngram 1=5", "ngram 1=6", "line 15: 5 1-grams where the header says 6"),
        (
            "\\2-grams:",
            "\\3-grams:",
            "line 15: '\\3-grams:' where '\\2-grams:' belongs",
        ),
        ("-0.5 ONE", "much ONE", "line 11: 'much' is no number"),
        (
            "-0.5 ONE",
            "0.5 ONE",
            "line 11: the logarithm 0.5 is above 0, which no probability has",
        ),
        ("-0.5 ONE", "nan ONE", "line 11: NaN is no logarithm of a probability"),
        (
            "-0.6 ONE TWO",
            "-0.6 ONE SIX",
            "line 17: the word 'SIX' is not among the 1-grams",
        ),
        (
            "-0.6 ONE TWO",
            "-0.6 <s> ONE",
            "line 17: this n-gram stands here a second time",
        ),
        (
            "-0.2 TWO </s>",
            "-0.2 </s>",
            "line 18: 2 fields where a probability, 2 words and perhaps a weight belong",
        ),
        (
            "-0.1 <s> ONE TWO",
            "-0.1 <s> ONE TWO -1",
            "line 21: 5 fields where a probability, 3 words belong",
        ),
        ("\\end\\", "", "line 24: the file ends where '\\end\\' belongs"),
    ] {
        assert_eq!(broken(from, to), expected, "{from} -> {to}");
    }
    assert!(Ngrams::parse("").is_err() && Ngrams::parse("\\data\\\n\\end\\").is_err());
    let error = Ngrams::read(std::path::Path::new("no/such.arpa"), str::to_owned).unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such.arpa");
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    let end = ARPA.trim_end().len();
    for cut in 0..end {
        assert!(Ngrams::parse(&ARPA[..cut]).is_err(), "cut after {cut} bytes");
    }
}

#[test]
fn a_model_is_the_same_with_a_byte_order_mark_and_with_its_words_respelled() {
    let upper = "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-99 <s>\n-0.5 ONE -0.2\n-0.6 TWO\n\n\\2-grams:\n-0.3 ONE TWO\n\n\\end\\\n";
    let sentence = |model: &Ngrams| model.sentence(["ONE", "TWO", "ONE"]);
    let expected = sentence(&Ngrams::parse(upper).unwrap());
    let marked = Ngrams::parse(&format!("\u{feff}{upper}")).unwrap();
    assert_eq!(sentence(&marked), expected);
    let folder = std::env::temp_dir().join(format!("bridle-ctc-{}.arpa", std::process::id()));
    std::fs::write(&folder, upper.replace("ONE", "one").replace("TWO", "Two")).unwrap();
    let respelled = Ngrams::read(&folder, |word| match word {
        "<s>" => word.to_owned(),
        word => word.to_uppercase(),
    });
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(sentence(&respelled.unwrap()), expected);
}
