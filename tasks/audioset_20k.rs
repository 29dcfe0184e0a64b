//! AudioSet with the balanced training segments alone, about 22,000 clips, often called AS-20K.

use crate::{DataError, Dataset, OpenRequest, Progress, Task, TaskSpec, audioset};

const NAME: &str = "audioset-20k";

/// The task.
pub struct AudioSet20k;

impl Task for AudioSet20k {
    fn spec(&self) -> TaskSpec {
        audioset::spec(
            NAME,
            "sounds from YouTube, 22k balanced clips of 10 s, 527 classes, several per clip",
        )
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        audioset::open_20k(NAME, request, progress)
    }
}
