//! A zip of numpy's arrays, as `numpy.savez` and `numpy.savez_compressed` write it.

use super::{Holds, LISTS, Vectors, matrix_name, npy};
use std::io::{Cursor, Read as _, Write as _};
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Memory set aside for an array before its first byte is read.
const FIRST_PIECE: u64 = 1 << 20;
/// What an array's name in the zip ends in.
const ENDING: &str = ".npy";

/// The vectors of a file with these bytes, whose arrays unpack to at most `limit` bytes. Lists of text
/// beside them, and all other arrays beside a matrix and its list, are passed over.
pub(super) fn read(bytes: &[u8], limit: u64, holds: Holds) -> Result<Vectors, String> {
    let (mut arrays, lists): (Vec<_>, Vec<_>) = unpacked(bytes, limit)?
        .into_iter()
        .partition(|(_, array)| !npy::is_text(array));
    let of_array = |name: &str, reason: String| format!("`{name}` in it: {reason}");
    let Some((list, names)) = lists.iter().find(|(name, _)| LISTS.contains(&&**name)) else {
        let floats = |(name, array): (String, Vec<u8>)| match npy::numbers(&array, holds) {
            Ok(array) => Ok((name, array)),
            // a list of numbers where one of text was meant
            Err(_) if LISTS.contains(&&*name) => Err(of_array(&name, npy::texts(&array).err().unwrap_or_default())),
            Err(reason) => Err(of_array(&name, reason)),
        };
        return Vectors::one_each(
            arrays.into_iter().map(floats).collect::<Result<Vec<_>, String>>()?,
            holds,
        );
    };
    let names = npy::texts(names).map_err(|reason| of_array(list, reason))?;
    let matrix = matrix_name(arrays.iter().map(|(name, _)| name.as_str()), holds)?.to_owned();
    arrays.retain(|(name, _)| *name == matrix);
    let rows = npy::numbers(&arrays[0].1, holds).map_err(|reason| of_array(&matrix, reason))?;
    Vectors::rows(rows, names, holds)
}

/// The arrays in a zip by name, as numpy wrote them.
fn unpacked(bytes: &[u8], limit: u64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let damaged = |error: ZipError| format!("it is no whole zip file: {error}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    if archive.has_duplicate_names() {
        return Err("a name in it occurs twice".to_owned());
    }
    let (mut arrays, mut left) = (Vec::new(), limit);
    for number in 0..archive.len() {
        let member = archive.by_index(number).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        let Some(name) = name.strip_suffix(ENDING).map(str::to_owned) else {
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
        arrays.push((name, content));
    }
    Ok(arrays)
}

/// A matrix of vectors, or of tokens, row by row of these names: `values` has this shape, of which the
/// first length is that of `names`. `about` is text beside it.
///
/// # Errors
/// If there is no memory for it.
pub fn write(names: &[&str], values: &[f32], shape: &[usize], about: &str) -> ZipResult<Vec<u8>> {
    let mut file = ZipWriter::new(Cursor::new(Vec::new()));
    // numpy's own date, so that equal vectors are equal files
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(true);
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    for (name, array) in [
        (Holds::Embeddings.arrays()[0], npy::array("<f4", shape, &data)),
        (LISTS[0], npy::list(names)),
        ("about", npy::list(&[about])),
    ] {
        file.start_file(format!("{name}{ENDING}"), options)?;
        file.write_all(&array)?;
    }
    Ok(file.finish()?.into_inner())
}
