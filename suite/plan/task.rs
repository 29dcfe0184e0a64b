//! A task of either kind: found by its name or its file, and what a plan takes from it.

use super::PlanError;
use super::facts::TaskFacts;
use super::sections::Input;
use crate::cli::error::UnknownName;
use bridle_tasks::{
    MainMetric, SpeechTask, Task, is_task_folder, open_speech_file, open_task_file, open_task_folder, speech_tasks,
};
use std::path::Path;

/// A task of either kind.
#[derive(Clone, Copy, Debug)]
pub enum AnyTask {
    /// Of inputs of one shape with classes.
    Fixed(&'static dyn Task),
    /// Of utterances of any length with transcripts.
    Speech(&'static dyn SpeechTask),
}

impl AnyTask {
    /// The task of this name, of this task file, or of this folder of class folders. Where a folder has
    /// the name of a built-in task, `./NAME` is the folder.
    ///
    /// # Errors
    /// If there is none of that name, with the names of all; if the file is no task file, or the folder
    /// holds no classes.
    pub fn find(word: &str) -> Result<Self, PlanError> {
        let file = Path::new(word);
        if file.extension().is_some_and(|extension| extension == "toml") {
            // like the built-in ones, it lives as long as the program
            return Ok(match open_speech_file(file)? {
                Some(task) => Self::Speech(Box::leak(task)),
                None => Self::Fixed(Box::leak(open_task_file(file)?)),
            });
        }
        let found = Self::all().find(|task| task.name() == word);
        if found.is_none() && is_task_folder(file) {
            return Ok(Self::Fixed(Box::leak(open_task_folder(file)?)));
        }
        let names = || Self::all().map(|task| task.name());
        Ok(found.ok_or_else(|| UnknownName::new("task", word, names()))?)
    }

    /// All built-in tasks, those of speech last.
    pub fn all() -> impl Iterator<Item = Self> {
        let fixed = bridle_tasks::tasks().iter().copied().map(Self::Fixed);
        fixed.chain(speech_tasks().iter().copied().map(Self::Speech))
    }

    /// Whether it is of a task file.
    pub fn is_own(&self) -> bool {
        Self::all().all(|task| task.name() != self.name())
    }

    /// The name given with `--task`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fixed(task) => task.spec().name,
            Self::Speech(task) => task.spec().name,
        }
    }

    /// What a plan takes from it.
    pub fn facts(&self) -> TaskFacts {
        match self {
            Self::Fixed(task) => {
                let spec = task.spec();
                TaskFacts {
                    name: spec.name,
                    version: spec.version,
                    input: Input::Fixed(spec.input),
                    folds: spec.folds,
                    several_classes: spec.metric == MainMetric::Map,
                    sections: task.sections(),
                }
            }
            Self::Speech(task) => {
                let spec = task.spec();
                TaskFacts {
                    name: spec.name,
                    version: spec.version,
                    input: Input::Speech(spec.input),
                    folds: None,
                    several_classes: false,
                    sections: &[],
                }
            }
        }
    }
}
