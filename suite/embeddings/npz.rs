//! A zip of numpy's arrays, as `numpy.savez` and `numpy.savez_compressed` write it.

use super::{Array, LISTS, Vectors, matrix_name, npy};
use std::io::{Cursor, Read as _};
use zip::ZipArchive;
use zip::result::ZipError;

/// Memory set aside for an array before its first byte is read.
const FIRST_PIECE: u64 = 1 << 20;

/// The vectors of a file with these bytes, whose arrays unpack to at most `limit` bytes.
pub(super) fn read(bytes: &[u8], limit: u64) -> Result<Vectors, String> {
    let damaged = |error: ZipError| format!("it is no whole zip file: {error}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    if archive.has_duplicate_names() {
        return Err("a name in it occurs twice".to_owned());
    }
    let (mut arrays, mut list, mut left) = (Vec::new(), None, limit);
    for number in 0..archive.len() {
        let member = archive.by_index(number).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            return Err(format!("`{name}` in it is no array of numpy's"));
        };
        let mut content = Vec::new();
        let first = member.size().min(FIRST_PIECE).min(left) as usize;
        content.try_reserve(first).map_err(|error| error.to_string())?;
        let read = member.take(left + 1).read_to_end(&mut content);
        read.map_err(|error| format!("`{name}` in it is damaged: {error}"))?;
        left = left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| format!("it unpacks to more than {limit} bytes"))?;
        let of_array = |reason: String| format!("`{name}` in it: {reason}");
        if list.is_none() && LISTS.contains(&&*name) && npy::is_text(&content) {
            list = Some(npy::texts(&content).map_err(of_array)?);
        } else {
            let array = npy::floats(&content).map_err(of_array)?;
            arrays.push((name, array));
        }
    }
    match list {
        None => Vectors::one_each(arrays),
        Some(names) => Vectors::rows(matrix(arrays)?, names),
    }
}

/// The matrix among the arrays of a file with a list of names.
fn matrix(mut arrays: Vec<(String, Array)>) -> Result<Array, String> {
    let name = matrix_name(arrays.iter().map(|(name, _)| name.as_str()))?;
    let place = arrays.iter().position(|(found, _)| found == name);
    Ok(arrays.swap_remove(place.expect("it is one of them")).1)
}
