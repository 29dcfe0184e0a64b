//! One array as numpy writes it (format NPY 1.0 to 3.0): a short header in Python's notation, then
//! the numbers.

use super::{Array, Holds, count};
use burn::tensor::f16;

/// Bytes of the longest header that numpy writes for a plain array, many times over.
const LONGEST_HEADER: usize = 1 << 16;
/// Characters of the longest name.
const LONGEST_NAME: usize = 1 << 14;

/// What a header says.
struct Header<'a> {
    /// Kind and size of an element, such as `<f4`.
    kind: &'a str,
    fortran: bool,
    shape: Vec<usize>,
    /// The bytes after the header.
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let damaged = || "it is no whole array of numpy's".to_owned();
        let (start, length) = match bytes.strip_prefix(b"\x93NUMPY").ok_or_else(damaged)? {
            [1, _, a, b, ..] => (10, u32::from_le_bytes([*a, *b, 0, 0])),
            [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([*a, *b, *c, *d])),
            _ => return Err(damaged()),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST_HEADER);
        let end = start + length.ok_or_else(damaged)?;
        let text = bytes.get(start..end).ok_or_else(damaged)?;
        let text = std::str::from_utf8(text).map_err(|_| damaged())?;
        let value = |key: &str| {
            let (_, after) = text.split_once(&format!("'{key}':"))?;
            Some(after.trim_start())
        };
        let kind = value("descr").ok_or_else(damaged)?;
        let kind = kind.strip_prefix('\'').and_then(|kind| kind.split_once('\''));
        let (kind, _) = kind.ok_or("it is an array of structures, not of numbers")?;
        let shape = value("shape").and_then(|shape| shape.strip_prefix('(')?.split_once(')'));
        let (shape, _) = shape.ok_or_else(damaged)?;
        let lengths = shape.split(',').map(str::trim).filter(|length| !length.is_empty());
        Ok(Self {
            kind,
            fortran: value("fortran_order").ok_or_else(damaged)?.starts_with("True"),
            shape: lengths
                .map(str::parse)
                .collect::<Result<Vec<usize>, _>>()
                .map_err(|_| damaged())?,
            data: &bytes[end..],
        })
    }

    /// The count of elements of so many bytes, which are all that there are.
    fn count(&self, size: usize) -> Result<usize, String> {
        count(&self.shape, size, self.data.len()).ok_or_else(|| {
            let (shape, found) = (&self.shape, self.data.len());
            format!("its shape is {shape:?}, of elements of {size} bytes, and it has {found} bytes")
        })
    }
}

/// Whether an array is one of text, by its header.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    Header::read(bytes).is_ok_and(|header| matches!(header.kind.as_bytes(), [_, b'U' | b'S' | b'O', ..]))
}

/// Reads numbers of one kind.
type Numbers = fn(&[u8]) -> Vec<f32>;

/// An array of floats of 16, 32 or 64 bits; of codes, also of whole numbers.
pub(super) fn numbers(bytes: &[u8], holds: Holds) -> Result<Array, String> {
    let header = Header::read(bytes)?;
    if header.fortran && header.shape.len() > 1 {
        return Err("its numbers lie in Fortran's order; numpy.ascontiguousarray brings them into C's".to_owned());
    }
    let data = header.data;
    let (size, values): (usize, Numbers) = match header.kind {
        "<f2" => (2, half),
        "<f4" => (4, single),
        "<f8" => (8, double),
        "|u1" if holds == Holds::Labels => (1, |data| whole(data, u8::from_le_bytes)),
        "<u2" if holds == Holds::Labels => (2, |data| whole(data, u16::from_le_bytes)),
        "<i4" if holds == Holds::Labels => (4, |data| whole(data, i32::from_le_bytes)),
        "<i8" if holds == Holds::Labels => (8, |data| whole(data, i64::from_le_bytes)),
        kind if holds == Holds::Labels => {
            return Err(format!(
                "its numbers are of kind `{kind}`, not whole numbers of uint8, uint16, int32 or int64, nor floats"
            ));
        }
        kind => {
            return Err(format!(
                "its numbers are of kind `{kind}`, not little-endian floats of 16, 32 or 64 bits: numpy's .astype('<f4') makes such numbers"
            ));
        }
    };
    header.count(size)?;
    Ok(Array {
        values: values(data),
        shape: header.shape,
    })
}

/// Whole numbers of N bytes; those that a 32-bit float does not hold exactly are beyond any code.
pub(super) fn whole<const N: usize, T: Into<i128>>(data: &[u8], read: fn([u8; N]) -> T) -> Vec<f32> {
    let (numbers, _) = data.as_chunks::<N>();
    numbers.iter().map(|bytes| read(*bytes).into() as f32).collect()
}

/// 16-bit floats.
pub(super) fn half(data: &[u8]) -> Vec<f32> {
    let numbers = data.chunks_exact(2);
    numbers
        .map(|bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32())
        .collect()
}

/// 32-bit floats.
pub(super) fn single(data: &[u8]) -> Vec<f32> {
    let (numbers, _) = data.as_chunks();
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// 64-bit floats, rounded to 32 bits; those beyond their range become infinite.
pub(super) fn double(data: &[u8]) -> Vec<f32> {
    let (numbers, _) = data.as_chunks();
    numbers.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect()
}

/// An array of this kind and shape with these bytes.
pub(super) fn array(kind: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let header = format!(
        "{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}",
        lengths.trim_end()
    );
    // the numbers begin at a multiple of 64 bytes
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let header = format!("{header:<width$}\n", width = length - 1);
    let length = u16::try_from(length).expect("a shape of a few axes").to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()
}

/// A list of text.
pub(super) fn list(names: &[&str]) -> Vec<u8> {
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(1);
    let points = |name: &&str| {
        let zeros = std::iter::repeat_n(0, longest - name.chars().count());
        name.chars().map(u32::from).chain(zeros).collect::<Vec<_>>()
    };
    let data: Vec<u8> = names.iter().flat_map(points).flat_map(u32::to_le_bytes).collect();
    array(&format!("<U{longest}"), &[names.len()], &data)
}

/// A list of text: numpy's `<U` (UTF-32, filled up with zeros), or `S` (bytes of UTF-8).
pub(super) fn texts(bytes: &[u8]) -> Result<Vec<String>, String> {
    let header = Header::read(bytes)?;
    let wrong = || {
        let kind = header.kind;
        format!("it is of kind `{kind}`, not of text: numpy.array(ids, dtype=str) makes such a list")
    };
    let (form, length) = header.kind.split_at_checked(2).ok_or_else(wrong)?;
    let length: usize = length.parse().map_err(|_| wrong())?;
    if header.shape.len() != 1 || length > LONGEST_NAME {
        return Err(format!(
            "its shape is {:?} with names of {length} characters, not a list of names",
            header.shape
        ));
    }
    let size = match form {
        "<U" => 4 * length,
        "|S" => length,
        _ => return Err(wrong()),
    };
    header.count(size)?;
    if size == 0 {
        return Err("its names are empty".to_owned());
    }
    let name = |bytes: &[u8]| match form {
        "<U" => {
            let (points, _) = bytes.as_chunks();
            let points = points.iter().map(|point| u32::from_le_bytes(*point));
            points
                .take_while(|point| *point != 0)
                .map(char::from_u32)
                .collect::<Option<String>>()
        }
        _ => {
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            String::from_utf8(bytes[..end].to_vec()).ok()
        }
    };
    let names: Option<Vec<String>> = header.data.chunks_exact(size).map(name).collect();
    names.ok_or_else(|| "a name in it is no Unicode text".to_owned())
}
