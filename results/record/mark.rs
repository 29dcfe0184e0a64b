//! Marks on numbers measured under other conditions than their neighbours, and their notes.

use super::{DIFFERENT, RunRecord};
use crate::stats::is_unlearnt;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    Dirty,
    Subset,
    Different,
    LostSamples,
    Missing,
    Given,
    Labels,
    UnderTrained,
}

impl Mark {
    /// Its sign behind a number, its name in JSON, its meaning under a table.
    fn parts(self) -> (char, &'static str, &'static str) {
        match self {
            Self::Dirty => ('†', "dirty", "built from changed or unknown sources"),
            Self::Subset => ('‡', "subset", "trained and tested on a part of the data set"),
            Self::Different => ('§', "different-data", "data that is none of the task's known variants"),
            Self::LostSamples => ('¶', "lost-samples", "some samples could not be read and were left out"),
            Self::Missing => (
                '#',
                "missing-samples",
                "this copy does not have all samples that the data's lists name",
            ),
            Self::Given => (
                '◊',
                "made-elsewhere",
                "an encoder that was trained elsewhere; whether it has seen these test samples is not known",
            ),
            Self::Labels => (
                '‖',
                "seen-labels",
                "an encoder whose training saw labels, which its record names",
            ),
            Self::UnderTrained => (
                '↑',
                "under-trained",
                "under-trained: at the end accuracy on held-out training samples still rose, or the training loss was above \
                 half of its first value; more epochs may change it much",
            ),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.parts().1
    }

    /// The note under a table in which the mark appears.
    pub(crate) fn note(self) -> String {
        let (sign, _, meaning) = self.parts();
        format!("{sign} {meaning}")
    }

    /// Whether the number was measured on other samples than its neighbours, and so cannot be the
    /// best.
    pub(crate) fn is_other_data(self) -> bool {
        !matches!(self, Self::Dirty | Self::Given | Self::Labels | Self::UnderTrained)
    }
}

/// The marks that a record's numbers carry.
pub(crate) fn marks(record: &RunRecord) -> Vec<Mark> {
    let all = [
        (!record.program.is_clean(), Mark::Dirty),
        (record.data.subset.is_some(), Mark::Subset),
        (record.data.variant == DIFFERENT, Mark::Different),
        (!record.data.skipped.is_empty(), Mark::LostSamples),
        (record.data.missing.is_some(), Mark::Missing),
        (is_given(record), Mark::Given),
        (has_seen_labels(record), Mark::Labels),
    ];
    all.into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, mark)| mark)
        .collect()
}

/// Whether what was judged was made by another program.
fn is_given(record: &RunRecord) -> bool {
    ["embeddings.sha256", "foreign.sha256"]
        .iter()
        .any(|key| record.plan.contains_key(*key))
}

/// Whether its training is known to have seen labels.
fn has_seen_labels(record: &RunRecord) -> bool {
    let labels = record.plan_word("foreign.labels");
    labels.is_some_and(|labels| !matches!(labels, "none" | "unknown"))
}

/// The mark of a protocol's scores, where one of these records trained for too short a time.
pub(crate) fn of_protocol(records: &[&RunRecord], protocol: &str) -> Option<Mark> {
    let scores = records.iter().flat_map(|record| &record.scores);
    let mut own = scores.filter(|score| score.protocol == protocol);
    own.any(|score| is_under_trained(&score.details))
        .then_some(Mark::UnderTrained)
}

/// Whether a score's details say so. Records from before the flag counted it have the loss all the same.
fn is_under_trained(details: &Map<String, Value>) -> bool {
    let loss = |name| details.get(name).and_then(Value::as_f64);
    let ends = loss("loss_first").zip(loss("loss_last"));
    let says = details.get("under_trained") == Some(&Value::Bool(true));
    says || ends.is_some_and(|(first, last)| is_unlearnt(first, last))
}

/// The marks of several records together, each once.
pub(crate) fn marks_of<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> Vec<Mark> {
    let mut all: Vec<Mark> = records.into_iter().flat_map(marks).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The notes on all marks of these records.
pub(crate) fn notes_of<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> Vec<String> {
    let records: Vec<&RunRecord> = records.into_iter().collect();
    let notes = marks_of(records.iter().copied()).into_iter().map(Mark::note);
    notes.chain(missing(&records)).chain(shared_root(&records)).collect()
}

/// What folds of one seed that share its random numbers leave out of an interval.
pub fn shared_root(records: &[&RunRecord]) -> Option<String> {
    let shares = |record: &&RunRecord| record.fold.is_some_and(|fold| fold > 1) && !record.fold_in_root;
    let of_one_fold = |record: &&RunRecord| record.fold == records[0].fold;
    (records.iter().any(shares) && !records.iter().all(of_one_fold)).then(|| {
        "the folds of a seed had the same first weights and first labels: no interval knows what others would give"
            .to_owned()
    })
}

/// How many samples are missing, for each task whose copy lacks some.
pub(crate) fn missing(records: &[&RunRecord]) -> BTreeSet<String> {
    let of = |record: &&RunRecord| {
        let missing = record.data.missing.as_ref()?.count;
        let there: u64 = record.data.counts.values().sum();
        Some(format!(
            "# {}: {missing} of {} listed samples are missing",
            record.data.task,
            missing + there
        ))
    };
    records.iter().filter_map(of).collect()
}

/// The signs of these marks, to be set behind a number.
pub(crate) fn signs(marks: &[Mark]) -> String {
    marks.iter().map(|mark| mark.parts().0).collect()
}
