//! Marks on numbers that are not quite like the others, and the notes that explain them.

use crate::record::{DIFFERENT, RunRecord};

/// Why a number is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Dirty,
    Subset,
    Different,
    LostSamples,
}

impl Mark {
    pub(super) fn sign(self) -> char {
        match self {
            Self::Dirty => '†',
            Self::Subset => '‡',
            Self::Different => '§',
            Self::LostSamples => '¶',
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dirty => "dirty",
            Self::Subset => "subset",
            Self::Different => "different-data",
            Self::LostSamples => "lost-samples",
        }
    }

    /// The note under a table in which the mark appears.
    pub(super) fn note(self) -> String {
        let meaning = match self {
            Self::Dirty => "built from changed or unknown sources",
            Self::Subset => "trained and tested on a part of the data set",
            Self::Different => "data that is none of the task's known variants",
            Self::LostSamples => "some samples could not be read and were left out",
        };
        format!("{} {meaning}", self.sign())
    }

    /// Whether a number with this mark stands on other samples than its neighbours, so that it cannot be the best.
    pub(super) fn is_other_data(self) -> bool {
        self != Self::Dirty
    }
}

/// The marks that a record's numbers carry.
pub(super) fn marks(record: &RunRecord) -> Vec<Mark> {
    let all = [
        (!record.program.is_clean(), Mark::Dirty),
        (record.data.subset.is_some(), Mark::Subset),
        (record.data.variant == DIFFERENT, Mark::Different),
        (!record.data.skipped.is_empty(), Mark::LostSamples),
    ];
    all.into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, mark)| mark)
        .collect()
}

/// The marks of several records together, each once.
pub(super) fn marks_of<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> Vec<Mark> {
    let mut all: Vec<Mark> = records.into_iter().flat_map(marks).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The notes on all marks of these records.
pub(crate) fn notes_of<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> Vec<String> {
    marks_of(records).into_iter().map(Mark::note).collect()
}

/// The signs of these marks, to be set behind a number.
pub(super) fn signs(marks: &[Mark]) -> String {
    marks.iter().map(|mark| mark.sign()).collect()
}
