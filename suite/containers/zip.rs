//! The form of PyTorch since 1.6: a zip archive with a pickle, `<any>/data.pkl`, and the numbers of
//! each storage beside it, `<any>/data/<key>`.

mod directory;

use crate::source::Source;
use crate::storage::Storages;
use crate::weights::{self, Weights};
use crate::{ContainerError, PICKLE, pickle};
use directory::Member;
use std::collections::BTreeMap;

/// Reads names and settings. `number` is the file's place among those of the checkpoint.
///
/// # Errors
/// If the file cannot be read, is damaged, or holds no weights.
pub(crate) fn read(source: &Source, number: usize) -> Result<Weights, ContainerError> {
    let members = directory::read(source)?;
    let root = root(&members).map_err(|reason| source.content(reason))?;
    let content = |name: &str| {
        let member = &members[name];
        if member.length > PICKLE as u64 {
            return Err(source.content(format!("`{name}` has {} bytes, more than {PICKLE}", member.length)));
        }
        source.bytes(member.start, member.length as usize)
    };
    let order = format!("{root}byteorder");
    let big = match members
        .contains_key(&order)
        .then(|| content(&order))
        .transpose()?
        .as_deref()
    {
        None | Some(b"little") => false,
        Some(b"big") => true,
        Some(_) => return Err(source.content(format!("`{order}` is neither little nor big"))),
    };
    let bytes = content(&format!("{root}data.pkl"))?;
    let (pickle, _) = pickle::read(&bytes).map_err(|error| source.content(error))?;
    let data = format!("{root}data/");
    let keyed = members.iter().filter_map(|(name, member)| {
        let key = name.strip_prefix(&data).filter(|key| is_key(key))?;
        Some((key.to_owned(), member.start..member.start + member.length))
    });
    let storages = Storages {
        bytes: keyed.collect(),
        big,
        file: source.length(),
    };
    weights::find(&pickle, &storages, number).map_err(|reason| source.content(reason))
}

/// What the names of the archive begin with: those of the one folder with a `data.pkl`.
fn root(members: &BTreeMap<String, Member>) -> Result<&str, String> {
    let roots = members.keys().filter_map(|name| name.strip_suffix("data.pkl"));
    let roots: Vec<&str> = roots
        .filter(|root| root.len() > 1 && root.find('/') == Some(root.len() - 1))
        .collect();
    match roots[..] {
        [root] => Ok(root),
        [] => Err("it is a zip archive without a `data.pkl`, so PyTorch did not write it".to_owned()),
        _ => Err("it is a zip archive with more than one `data.pkl`".to_owned()),
    }
}

/// PyTorch numbers storages; a key is never a path.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
