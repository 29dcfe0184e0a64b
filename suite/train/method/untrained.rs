//! Methods without pretraining: the two controls, and weights from a file.

use crate::plan::method::{JudgedBy, LabelsFrom, MethodInfo, Takes};

/// The frozen random encoder.
pub const RANDOM_INIT: MethodInfo = MethodInfo {
    name: "random-init",
    about: "no training: the frozen random encoder, a control",
    takes: Takes::Any,
    labels: LabelsFrom::Nothing,
    phase: None,
    uses: &[],
    // fine-tuning random weights is the other control, by its own name
    judged_by: JudgedBy::Frozen,
};

/// Fine-tuning from random weights.
pub const SCRATCH: MethodInfo = MethodInfo {
    name: "scratch",
    about: "no pretraining: fine-tuning from random weights, a control",
    takes: Takes::Any,
    labels: LabelsFrom::Nothing,
    phase: None,
    uses: &[],
    judged_by: JudgedBy::Trained,
};

/// The weights given with `--init`.
pub const INIT: MethodInfo = MethodInfo {
    name: "init",
    about: "no pretraining here: the weights given with --init, whatever made them",
    takes: Takes::Fixed,
    labels: LabelsFrom::Nothing,
    phase: None,
    uses: &[],
    judged_by: JudgedBy::Any,
};
