//! The files of a checkpoint: one file with the settings beside it, or a folder as transformers
//! writes it, whose weights may lie in several pieces with an index.

use crate::ContainerError;
use crate::source::Source;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// Most bytes of settings, which take many times that in memory. Names of 21,000 classes take two.
const SETTINGS: u64 = 4 << 20;

/// What a folder's weights may be called, the one to take first in front.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The files of a checkpoint.
pub(crate) struct Files {
    pub folder: PathBuf,
    /// Files with weights, by name.
    pub weights: BTreeSet<String>,
    /// Which file each tensor lies in, if an index says so.
    pub index: Option<BTreeMap<String, String>>,
    pub config: Json,
    pub preprocessor: Json,
    /// Bytes of the files that were read already, by name.
    pub texts: BTreeMap<String, Vec<u8>>,
}

impl Files {
    /// Finds the files at `path`, and reads those with settings.
    ///
    /// # Errors
    /// If there is no such file or folder, the folder has no weights, or settings cannot be read.
    pub fn find(path: &Path) -> Result<Self, ContainerError> {
        let failed = |source| ContainerError::Read {
            path: path.to_owned(),
            source,
        };
        let is_folder = std::fs::metadata(path).map_err(failed)?.is_dir();
        let folder = if is_folder { path } else { path.parent().unwrap_or(path) };
        let mut files = Self {
            folder: folder.to_owned(),
            weights: BTreeSet::new(),
            index: None,
            config: Json::Null,
            preprocessor: Json::Null,
            texts: BTreeMap::new(),
        };
        match path.file_name().and_then(|name| name.to_str()) {
            _ if is_folder => files.choose()?,
            Some(name) => drop(files.weights.insert(name.to_owned())),
            None => return Err(ContainerError::content(path, "its name is not UTF-8")),
        }
        files.config = files.settings(CONFIG)?;
        files.preprocessor = files.settings(PREPROCESSOR)?;
        Ok(files)
    }

    /// Opens the files with weights. Returns them in the order of their names, and the SHA-256 of the
    /// bytes of all files, settings and index among them.
    ///
    /// # Errors
    /// If one cannot be read, or is no file of weights by its first bytes.
    pub fn open(&self) -> Result<(Vec<Source>, String), ContainerError> {
        let mut hash = Sha256::new();
        let mut sources = Vec::new();
        let names: BTreeSet<&String> = self.weights.iter().chain(self.texts.keys()).collect();
        for name in names {
            match self.texts.get(name) {
                Some(bytes) if !self.weights.contains(name) => hash.update(bytes),
                _ => sources.push(Source::open(&self.folder.join(name), &mut hash)?),
            }
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((sources, sha256))
    }

    /// Takes the folder's weights, or those that its index names.
    fn choose(&mut self) -> Result<(), ContainerError> {
        for name in WEIGHTS {
            if self.folder.join(name).exists() {
                self.weights.insert(name.to_owned());
                return Ok(());
            }
            let index = format!("{name}.index.json");
            if let Some(bytes) = self.text(&index, bridle_files::SETTINGS)? {
                let path = self.folder.join(&index);
                let Index {
                    weight_map: Places(places),
                } = serde_json::from_slice(&bytes)
                    .map_err(|error| ContainerError::content(&path, format!("its index cannot be read: {error}")))?;
                for file in places.values() {
                    if !is_plain(file) {
                        let reason = format!("it names `{}`, which is no file of its folder", file.escape_debug());
                        return Err(ContainerError::content(&path, reason));
                    }
                }
                self.texts.insert(index, bytes);
                self.weights = places.values().cloned().collect();
                self.index = Some(places);
                return Ok(());
            }
        }
        let reason = format!(
            "it is a folder with neither `{}` nor `{}`, nor an index of either",
            WEIGHTS[0], WEIGHTS[1]
        );
        Err(ContainerError::content(&self.folder, reason))
    }

    /// A file of settings, an object; null if it is not there.
    fn settings(&mut self, name: &str) -> Result<Json, ContainerError> {
        let Some(bytes) = self.text(name, SETTINGS)? else {
            return Ok(Json::Null);
        };
        let settings = serde_json::from_slice::<serde_json::Map<String, Json>>(&bytes);
        let path = self.folder.join(name);
        let settings =
            settings.map_err(|error| ContainerError::content(&path, format!("it cannot be read as JSON: {error}")))?;
        self.texts.insert(name.to_owned(), bytes);
        Ok(Json::Object(settings))
    }

    fn text(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, ContainerError> {
        let path = self.folder.join(name);
        match bridle_files::read(&path, limit) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ContainerError::Read { path, source }),
        }
    }
}

/// Whether a name is that of a file in the folder itself.
fn is_plain(name: &str) -> bool {
    let is_path = name.contains(['/', '\\', ':', '\0']);
    !is_path && !matches!(name, "" | "." | "..")
}

#[derive(Deserialize)]
struct Index {
    weight_map: Places,
}

/// The file of each tensor, by the tensor's name.
struct Places(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PlacesByName)
    }
}

struct PlacesByName;

impl<'de> Visitor<'de> for PlacesByName {
    type Value = Places;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files by the names of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Places, A::Error> {
        let mut places = BTreeMap::new();
        while let Some((name, file)) = map.next_entry::<String, String>()? {
            if places.contains_key(&name) {
                return Err(A::Error::custom(format_args!("tensor `{name}` is there twice")));
            }
            places.insert(name, file);
        }
        Ok(Places(places))
    }
}
