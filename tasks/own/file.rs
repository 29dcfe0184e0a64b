//! The task file: TOML, read strictly; every error names file, line and key.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::files::archive::foreign_kind;
use crate::files::table;
use crate::media::Media;
use crate::media::audio::Sounds;
use crate::media::video::VideoAugment;
use crate::pipeline::media::{clips, pictures};
use crate::{DataError, InputSpec, MainMetric, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Audio,
    Image,
    Video,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Audio, Self::Image, Self::Video];

    /// Extensions of its files.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Audio => &["wav", "flac", "ogg", "oga", "wave", "mp3"],
            Self::Image => &["jpg", "jpeg", "png"],
            Self::Video => &["mp4", "webm", "mkv", "avi", "mov", "m4v", "mpg"],
        }
    }
}

/// A mean or standard deviation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) enum Statistic {
    /// Measured on the training data.
    #[default]
    Auto,
    /// One value for sound, or one for all channels.
    One(f64),
    /// A value per channel.
    Three([f64; 3]),
}

impl TryFrom<toml::Value> for Statistic {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let number = |value: &toml::Value| {
            value
                .as_float()
                .or_else(|| value.as_integer().map(|value| value as f64))
        };
        let found = match &value {
            toml::Value::String(word) if word == "auto" => Some(Self::Auto),
            toml::Value::Array(values) => {
                let values: Option<Vec<f64>> = values.iter().map(number).collect();
                values.and_then(|values| values.try_into().ok()).map(Self::Three)
            }
            value => number(value).map(Self::One),
        };
        found.ok_or_else(|| format!("{value} is not \"auto\", a number or three numbers"))
    }
}

impl Statistic {
    fn channels(&self, measured: Option<[f64; 3]>, unmeasured: f64) -> [f64; 3] {
        match self {
            Self::Auto => measured.unwrap_or([unmeasured; 3]),
            Self::One(value) => [*value; 3],
            Self::Three(values) => *values,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Metric {
    Top1,
    Map,
}

/// Settings of the input; the defaults are those of the built-in tasks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    frames: Option<usize>,
    mels: Option<usize>,
    sample_rate: Option<u32>,
    side: Option<usize>,
    stride: Option<usize>,
    mirror: Option<bool>,
    #[serde(default)]
    mean: Statistic,
    #[serde(default)]
    std: Statistic,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskFile {
    pub name: String,
    #[serde(rename = "modality")]
    pub kind: Kind,
    /// A folder, zip or tar of one folder per class; relative to the task file, as all paths.
    pub folder: Option<PathBuf>,
    /// A table, `path,label[,split|,fold]`.
    pub csv: Option<PathBuf>,
    root: Option<PathBuf>,
    pub folds: Option<u8>,
    pub holdout: Option<f64>,
    metric: Option<Metric>,
    #[serde(default)]
    input: Settings,
    /// The file's path and text, for errors.
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    text: String,
}

/// A clip takes every so manyth frame, unless a task file says otherwise.
pub(super) const STRIDE: usize = 4;

/// How files are read, apart from what an input says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub kind: Kind,
    /// A clip takes every so manyth frame.
    pub stride: usize,
    /// Whether training views may be mirrored.
    pub mirror: bool,
}

impl Reading {
    pub fn media(self, name: &'static str, input: &InputSpec, keep: u64) -> Result<Box<dyn Media>, DataError> {
        Ok(match self.kind {
            Kind::Audio => Box::new(Sounds::new(name, input)?),
            Kind::Image => pictures(name, input, self.mirror)?,
            Kind::Video => {
                let augment = VideoAugment {
                    mirror: self.mirror,
                    ..VideoAugment::fine_tuning()
                };
                clips(name, input, self.stride, augment, keep)?
            }
        })
    }
}

/// Means and standard deviations per channel.
pub(super) type ChannelStatistics = ([f64; 3], [f64; 3]);

/// Reads and checks a task file.
pub(super) fn read(path: &Path) -> Result<TaskFile, DataError> {
    let bad = |line: u64, reason: String| DataError::bad_row(path, line, reason);
    let text = table::text(path)?;
    let mut file: TaskFile = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count();
        let key = text
            .lines()
            .nth(line)
            .and_then(|line| line.split_once('='))
            .map_or("", |(key, _)| key.trim());
        bad(line as u64 + 1, advised(error.message(), key))
    })?;
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    for place in [&mut file.folder, &mut file.csv, &mut file.root].into_iter().flatten() {
        *place = folder.join(&*place);
    }
    (file.path, file.text) = (path.to_owned(), text);
    file.check()?;
    Ok(file)
}

/// The message in one line, with its key. An unknown name is answered with the nearest of the known
/// names, which toml lists in backticks.
fn advised(message: &str, key: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let nearest = match names.split_first() {
        Some((given, known)) if message.starts_with("unknown ") => known
            .iter()
            .map(|known| (strsim::jaro_winkler(given, known), known))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0)),
        _ => None,
    };
    let about = match key.is_empty() || message.contains("field `") {
        true => String::new(),
        false => format!("`{key}`: "),
    };
    match nearest {
        Some((_, nearest)) => format!("{about}{message}; did you mean `{nearest}`?"),
        None => format!("{about}{message}"),
    }
}

/// Whether this is an archive that may replace a folder.
pub(super) fn is_archive(path: &Path) -> bool {
    let ends = |ending: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
    path.is_file() && (ends("zip") || ends("tar"))
}

impl TaskFile {
    /// What a task file would say that gives name, modality and folder alone.
    ///
    /// # Errors
    /// As for such a file.
    pub fn of_folder(name: String, kind: Kind, folder: &Path) -> Result<Self, DataError> {
        let file = Self {
            name,
            kind,
            folder: Some(folder.to_owned()),
            csv: None,
            root: None,
            folds: None,
            holdout: None,
            metric: None,
            input: Settings::default(),
            path: folder.to_owned(),
            text: String::new(),
        };
        file.check().map(|()| file)
    }

    /// An error about a key, at the key's line, or at the first if there is none.
    pub fn bad(&self, key: &str, reason: String) -> DataError {
        let is_key = |line: &str| line.split('=').next().is_some_and(|word| word.trim() == key) && line.contains('=');
        let line = self.text.lines().position(is_key).map_or(1, |line| line as u64 + 1);
        DataError::bad_row(&self.path, line, reason)
    }

    fn check(&self) -> Result<(), DataError> {
        let fail = |key: &str, reason: &str| Err(self.bad(key, reason.to_owned()));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        // the name becomes part of folder and file names
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            return fail("name", "`name` must be of letters, digits, - and _, 64 at most");
        }
        if crate::tasks().iter().any(|task| task.spec().name == self.name) {
            return fail("name", "`name` is that of a built-in task");
        }
        match (&self.folder, &self.csv) {
            (None, None) => return fail("folder", "`folder` or `csv` must say where the samples are"),
            (Some(_), Some(_)) => return fail("csv", "`folder` and `csv` cannot both be given"),
            (Some(_), None) if self.root.is_some() => return fail("root", "`root` goes with `csv`, not with `folder`"),
            _ => {}
        }
        let place = |key: &str, path: &Path, what: &str| {
            let is = foreign_kind(path).map_or_else(|| format!("no {what}"), str::to_owned);
            self.bad(key, format!("`{key}`: {} is {is}", path.display()))
        };
        const PLACE: &str = "folder, .zip or .tar";
        match (&self.folder, &self.csv) {
            (Some(folder), _) if !folder.is_dir() && !is_archive(folder) => {
                return Err(place("folder", folder, PLACE));
            }
            (_, Some(csv)) if !csv.is_file() => return Err(place("csv", csv, "file")),
            (_, Some(_)) if !self.root().is_dir() && !is_archive(&self.root()) => {
                return Err(place("root", &self.root(), PLACE));
            }
            _ => {}
        }
        if self.folds.is_some() && self.holdout.is_some() {
            return fail("holdout", "`folds` and `holdout` cannot both be given");
        }
        if self.folds.is_some_and(|folds| !(2..=100).contains(&folds)) {
            return fail("folds", "`folds` must be from 2 to 100");
        }
        if self.holdout.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
            return fail("holdout", "`holdout` must lie between 0 and 1");
        }
        self.check_input()
    }

    fn check_input(&self) -> Result<(), DataError> {
        let Settings {
            frames,
            mels,
            sample_rate,
            side,
            stride,
            mirror,
            mean,
            std,
        } = &self.input;
        let given = [
            ("frames", frames.is_some(), self.kind != Kind::Image),
            ("mels", mels.is_some(), self.kind == Kind::Audio),
            ("sample_rate", sample_rate.is_some(), self.kind == Kind::Audio),
            ("side", side.is_some(), self.kind != Kind::Audio),
            ("stride", stride.is_some(), self.kind == Kind::Video),
            ("mirror", mirror.is_some(), self.kind != Kind::Audio),
        ];
        if let Some((key, ..)) = given.iter().find(|(_, given, fits)| *given && !fits) {
            let kind = format!("{:?}", self.kind).to_lowercase();
            return Err(self.bad(key, format!("`{key}` is no setting of modality `{kind}`")));
        }
        for (key, value) in [("frames", frames), ("mels", mels), ("side", side), ("stride", stride)] {
            if value.is_some_and(|value| !(1..=65_536).contains(&value)) {
                return Err(self.bad(key, format!("`{key}` must be from 1 to 65,536")));
            }
        }
        if sample_rate.is_some_and(|rate| !(1_000..=768_000).contains(&rate)) {
            return Err(self.bad("sample_rate", "`sample_rate` must be from 1,000 to 768,000".to_owned()));
        }
        // inputs are float32
        for (key, value, least) in [("mean", mean, f32::MIN), ("std", std, f32::MIN_POSITIVE)] {
            if matches!(value, Statistic::Three(_)) && self.kind == Kind::Audio {
                return Err(self.bad(key, format!("`{key}` of sound is one number")));
            }
            if value
                .channels(None, 1.0)
                .iter()
                .any(|value| !(least..=f32::MAX).contains(&(*value as f32)))
            {
                return Err(self.bad(key, format!("`{key}` is out of range")));
            }
        }
        Ok(())
    }

    /// What paths in the table are relative to.
    pub fn root(&self) -> PathBuf {
        let beside = || self.csv.as_deref().and_then(Path::parent).map(Path::to_owned);
        self.root.clone().or_else(beside).unwrap_or_default()
    }

    pub fn reading(&self) -> Reading {
        Reading {
            kind: self.kind,
            stride: self.input.stride.unwrap_or(STRIDE),
            mirror: self.input.mirror.unwrap_or(true),
        }
    }

    /// Whether a statistic must be measured.
    pub fn measures(&self) -> bool {
        self.input.mean == Statistic::Auto || self.input.std == Statistic::Auto
    }

    /// The given metric, or the default for targets of one class or of several. With `map`, samples
    /// of one class are learnt and ranked as those of several are, class by class.
    ///
    /// # Errors
    /// `top1` of samples with several classes.
    pub fn metric(&self, targets: &mut [&mut Target]) -> Result<MainMetric, DataError> {
        let several = targets.iter().any(|target| matches!(target, Target::Classes(_)));
        match (self.metric, several) {
            (Some(Metric::Top1), true) => {
                let reason = "`metric`: `top1` is for samples of one class, and some have several";
                Err(self.bad("metric", reason.to_owned()))
            }
            (Some(Metric::Map), false) => {
                for target in targets {
                    **target = Target::Classes(target.classes().to_vec());
                }
                Ok(MainMetric::Map)
            }
            (Some(Metric::Map) | None, true) => Ok(MainMetric::Map),
            (Some(Metric::Top1) | None, false) => Ok(MainMetric::Top1),
        }
    }

    /// The input; an unmeasured `auto` is 0 and 1.
    pub fn input(&self, measured: Option<ChannelStatistics>) -> InputSpec {
        let Settings {
            frames,
            mels,
            sample_rate,
            side,
            mean,
            std,
            ..
        } = &self.input;
        let mean = mean.channels(measured.map(|(mean, _)| mean), 0.0);
        let std = std.channels(measured.map(|(_, std)| std), 1.0);
        match self.kind {
            Kind::Audio => InputSpec::Audio {
                frames: frames.unwrap_or(512),
                mels: mels.unwrap_or(128),
                sample_rate: sample_rate.unwrap_or(16_000),
                mean: mean[0],
                std: std[0],
            },
            Kind::Image => InputSpec::Image {
                side: side.unwrap_or(224),
                mean,
                std,
            },
            Kind::Video => InputSpec::Video {
                frames: frames.unwrap_or(16),
                side: side.unwrap_or(224),
                mean,
                std,
            },
        }
    }
}
