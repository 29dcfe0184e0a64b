//! From a list of media files to an opened data set.

use rayon::ThreadPool;

use super::dataset::Inputs;
use super::listing::{Listed, Listing};
use super::subset::subset;
use crate::cache::{self, Outcome, Row, Work};
use crate::error::SampleError;
use crate::files::hashes::Hashed;
use crate::media::{Media, MediaFiles};
use crate::{DataError, Dataset, OpenRequest, Progress, Sample, Skipped, Split};

impl Listed for Sample {
    const PLURAL: &'static str = "samples";

    fn id(&self) -> &str {
        &self.id
    }

    fn part(&self) -> String {
        match (self.fold, self.split) {
            (Some(fold), _) => format!("fold-{fold}"),
            (None, Split::Train) => "train".to_owned(),
            (None, Split::Test) => "test".to_owned(),
        }
    }
}

impl Listing<Sample> {
    /// Computes every input or takes it from the cache. If the inputs are more than may be kept,
    /// each is looked at once now and decoded again at each use. An unusable sample is an error in
    /// a known variant; otherwise it is skipped and named, up to one or 1 %.
    pub fn open(
        mut self,
        classes: Vec<String>,
        media: Box<dyn Media>,
        request: &OpenRequest,
        progress: &dyn Progress,
    ) -> Result<Dataset, DataError> {
        let pool = cache::pool(request.threads)?;
        self.take_subset(request.subset);
        let hashed = self.hash(Some(&request.cache), &pool, progress)?;
        self.open_hashed(classes, media, &hashed, request, &pool, progress)
    }

    /// Opens a list whose files were hashed, all or at least those of the subset.
    pub fn open_hashed(
        mut self,
        classes: Vec<String>,
        media: Box<dyn Media>,
        hashed: &Hashed,
        request: &OpenRequest,
        pool: &ThreadPool,
        progress: &dyn Progress,
    ) -> Result<Dataset, DataError> {
        self.take_subset(request.subset);
        let row = request.input.shape().iter().product();
        let bytes = (self.entries.len() * row * size_of::<f32>()) as u64;
        let input = serde_json::to_string(&request.input).expect("an input is numbers");
        let work = Work {
            folder: &request.cache.join(self.task),
            key: &self.key(&format!("{} {input}", media.key()), self.contents(hashed)),
            what: media.work(),
            samples: self.entries.len(),
            row,
            keep: bytes <= request.limits.rows.min(request.limits.cache),
            limit: request.limits.cache,
        };
        let mut files = MediaFiles::new(media, self.verified(hashed));
        let prepared = cache::open_or_compute(&work, pool, progress, |index| match files.view(index) {
            Ok(values) => Ok(Outcome::Row(Row::measured(values, |values| {
                files.media.normalise(values)
            }))),
            Err(SampleError::Broken(reason)) if request.allow_different => Ok(Outcome::Skipped(reason)),
            Err(error) => {
                let entry = &self.entries[index];
                let name = entry.file.as_ref().unwrap_or(&entry.sample.id);
                let could_be_skipped = matches!(error, SampleError::Broken(_));
                let error = error.at(self.tree.root().join(name));
                Err(if could_be_skipped { error.not_allowed() } else { error })
            }
        })?;
        let skipped = prepared.skipped.iter().map(|(index, reason)| Skipped {
            id: self.entries[*index].sample.id.clone(),
            reason: reason.clone(),
        });
        let skipped: Vec<Skipped> = skipped.collect();
        self.check_skipped(&skipped)?;
        let removed: Vec<usize> = prepared.skipped.iter().map(|(index, _)| *index).collect();
        files.files.remove(&removed);
        let entries = std::mem::take(&mut self.entries).into_iter().enumerate();
        let samples = entries.filter(|(index, _)| removed.binary_search(index).is_err());
        let samples: Vec<Sample> = samples.map(|(_, entry)| entry.sample).collect();
        let constants = request.input.constants();
        let facts = self.facts(
            hashed.manifest.sha256(),
            samples.iter(),
            skipped,
            &prepared,
            request.subset,
            constants,
        );
        let inputs = Inputs::Files(files, work.keep.then_some(prepared.rows));
        Ok(Dataset::new(facts, samples, classes, request.input.shape(), inputs))
    }

    /// The input of entry `index` for evaluation, before its normalisation.
    pub fn view(&self, media: &dyn Media, index: usize) -> Result<Vec<f32>, SampleError> {
        let file = self.entries[index].file.as_ref().ok_or("there is no such file")?;
        media.view(self.tree.raw(file)?)
    }

    fn take_subset(&mut self, n: Option<usize>) {
        if let Some(n) = n {
            self.entries = subset(std::mem::take(&mut self.entries), n);
        }
    }
}
