//! Where to get each task's data. Revisions, hashes and sizes would be pinned only if they had been
//! seen; none was, so the first fetch locks what it finds.

use crate::{HubKind, HubSource};

#[derive(Clone, Copy, Debug)]
pub struct TaskSource {
    pub task: &'static str,
    pub source: Option<HubSource<'static>>,
    /// How to get it elsewhere.
    pub elsewhere: &'static str,
}

/// Every data set that does not come with the program, in the order of `tasks()`.
pub fn sources() -> &'static [TaskSource] {
    &SOURCES
}

/// What a folder of this task's data must hold.
pub fn data_hint(task: &str) -> &'static str {
    match task {
        "audioset" | "audioset-20k" => AUDIOSET_LAYOUT,
        _ => "the unpacked data set",
    }
}

/// What an AudioSet folder must hold. The copy on the hub has the clips, but neither the lists nor
/// the class index that assign them to splits, so it is never fetched by itself.
const AUDIOSET_LAYOUT: &str = "class_labels_indices.csv, balanced_train_segments.csv, \
                                 eval_segments.csv and, but for audioset-20k, unbalanced_train_segments.csv, all from \
                                 https://research.google.com/audioset/download.html, and with the clips below it under their \
                                 YouTube ids; `bridle-bench fetch audioset --to DIR`, or `audioset-20k`, brings a copy of these";

const SOURCES: [TaskSource; 5] = [
    TaskSource {
        task: "esc50",
        source: Some(HubSource {
            kind: HubKind::DataSet,
            repository: "ashraq/esc50",
            revision: None,
            files: &["data/*.parquet"],
            licence: "CC BY-NC 3.0; the ESC-10 part CC BY 3.0",
            gated: false,
        }),
        elsewhere: "https://github.com/karoldvl/ESC-50/archive/master.zip",
    },
    TaskSource {
        task: "audioset",
        source: Some(HubSource {
            kind: HubKind::DataSet,
            repository: "agkphysics/AudioSet",
            revision: None,
            files: &["data/*"],
            licence: "segment lists and labels CC BY 4.0; each clip is its uploader's",
            gated: false,
        }),
        elsewhere: "https://research.google.com/audioset/download.html",
    },
    TaskSource {
        task: "audioset-20k",
        source: Some(HubSource {
            kind: HubKind::DataSet,
            repository: "agkphysics/AudioSet",
            revision: None,
            files: &["data/bal_train/*", "data/eval/*"],
            licence: "segment lists and labels CC BY 4.0; each clip is its uploader's",
            gated: false,
        }),
        elsewhere: "https://research.google.com/audioset/download.html",
    },
    TaskSource {
        task: "imagenet",
        source: Some(HubSource {
            kind: HubKind::DataSet,
            repository: "ILSVRC/imagenet-1k",
            revision: None,
            files: &["data/*"],
            licence: "ImageNet terms: non-commercial research and education only",
            gated: true,
        }),
        elsewhere: "https://image-net.org/download.php",
    },
    TaskSource {
        task: "kinetics",
        source: None,
        elsewhere: "--data DIR: its videos are their uploaders', and there is no official copy on a hub",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_there_once_and_nothing_is_pinned_that_was_not_seen() {
        let tasks: std::collections::BTreeSet<_> = sources().iter().map(|known| known.task).collect();
        assert_eq!(tasks.len(), sources().len());
        for source in sources().iter().filter_map(|known| known.source) {
            assert_eq!(source.repository.split('/').filter(|part| !part.is_empty()).count(), 2);
            assert!(source.revision.is_none() && !source.files.is_empty() && !source.licence.is_empty());
        }
    }
}
