//! Manifests: which files, of which size and content, make up a data set.

use std::path::Path;

use super::sha256::sha256;
use crate::DataError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManifestEntry {
    /// Relative to the data set's folder, with forward slashes.
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// Files sorted by name. As text: one line `<sha256>  <bytes>  <name>` each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest(Vec<ManifestEntry>);

impl Manifest {
    /// Reads a committed manifest. Panics on a malformed line, which its test would have found.
    pub fn parse(text: &str) -> Self {
        let parse_line = |line: &str| {
            let mut parts = line.splitn(3, "  ");
            Some(ManifestEntry {
                sha256: parts.next().filter(|hash| hash.len() == 64)?.to_owned(),
                bytes: parts.next()?.parse().ok()?,
                name: parts.next()?.to_owned(),
            })
        };
        let entries = text
            .lines()
            .map(|line| parse_line(line).expect("every line is hash, size and name"));
        Self(entries.collect())
    }

    /// Entries must be sorted by name.
    pub fn of(entries: Vec<ManifestEntry>) -> Self {
        debug_assert!(entries.is_sorted_by(|a, b| a.name < b.name));
        Self(entries)
    }

    pub fn get(&self, name: &str) -> Option<&ManifestEntry> {
        self.position(name).map(|index| &self.0[index])
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()
    }

    /// sha256 of the manifest as text.
    pub fn sha256(&self) -> String {
        sha256(self.text().as_bytes())
    }

    pub fn text(&self) -> String {
        self.0
            .iter()
            .map(|file| format!("{}  {}  {}\n", file.sha256, file.bytes, file.name))
            .collect()
    }

    /// Reports the first file of `found` (under `folder`) that differs from this manifest of
    /// `variant`.
    pub fn verify(&self, found: &Self, folder: &Path, variant: &'static str) -> Result<(), DataError> {
        let manifest = || format!("the manifest of variant {variant}");
        for expected in &self.0 {
            let path = folder.join(&expected.name);
            let Some(file) = found.get(&expected.name) else {
                let listed_in = manifest();
                return Err(DataError::MissingFile { path, listed_in });
            };
            if file.bytes != expected.bytes {
                return Err(DataError::WrongSize {
                    path,
                    variant,
                    expected: expected.bytes,
                    found: file.bytes,
                });
            }
            if file.sha256 != expected.sha256 {
                return Err(DataError::WrongHash {
                    path,
                    variant,
                    expected: expected.sha256.clone(),
                    found: file.sha256.clone(),
                });
            }
        }
        match found.0.iter().find(|file| self.get(&file.name).is_none()) {
            Some(extra) => Err(DataError::UnlistedFile {
                path: folder.join(&extra.name),
                not_in: manifest(),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use crate::cache::pool;
    use crate::files::hashes::KnownHashes;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files
            .iter()
            .for_each(|(name, content)| std::fs::write(folder.path().join(name), content).unwrap());
        folder
    }

    fn manifest(folder: &Path, names: &[&str]) -> Manifest {
        let names = names.iter().map(|name| name.to_string()).collect();
        KnownHashes::none(folder)
            .hash(names, &pool(2).unwrap(), &())
            .unwrap()
            .manifest
    }

    #[test]
    fn text_and_parse_are_inverse_and_hashes_are_sha256() {
        let folder = folder_with(&[("b", "abc"), ("a", "")]);
        let found = manifest(folder.path(), &["b", "a"]);
        assert_eq!(Manifest::parse(&found.text()), found);
        // the test vector "abc" of FIPS 180-2
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            found.get("b").unwrap(),
            &ManifestEntry {
                name: "b".into(),
                bytes: 3,
                sha256: abc.into()
            }
        );
        assert_eq!(found.sha256(), sha256(found.text().as_bytes()));
    }

    #[test]
    fn every_difference_is_named() {
        let known = folder_with(&[("a", "one"), ("b", "two")]);
        let known = manifest(known.path(), &["a", "b"]);
        let verify = |files: &[(&str, &str)]| {
            let folder = folder_with(files);
            let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
            let outcome = known.verify(&manifest(folder.path(), &names), Path::new("set"), "tiny");
            outcome.map_err(|error| error.to_string())
        };
        assert_eq!(verify(&[("a", "one"), ("b", "two")]), Ok(()));
        insta::assert_snapshot!(verify(&[("a", "one")]).unwrap_err(), @"set/b is missing, though the manifest of variant tiny lists it");
        insta::assert_snapshot!(verify(&[("a", "on"), ("b", "two")]).unwrap_err(), @"set/a has 2 bytes, not the 3 of variant tiny");
        insta::assert_snapshot!(verify(&[("a", "one"), ("b", "owt")]).unwrap_err(), @"set/b has sha256 cbdde0ca6618426b57782672d5d1f74525379f6d06812db55d4e1e918e88d541, not the 3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3 of variant tiny");
        insta::assert_snapshot!(verify(&[("a", "one"), ("b", "two"), ("c", "")]).unwrap_err(), @"set/c is not listed in the manifest of variant tiny");
    }
}
