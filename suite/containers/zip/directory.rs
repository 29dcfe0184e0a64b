//! The directory of a zip archive as PyTorch writes it: at the end of the file, without a comment,
//! and with members that are stored as they are.
//!
//! Only places are read here, and strictly. The crate `zip` also takes archives that begin within a
//! file or have a comment, and reads a directory of any size before one can look at it.

use crate::ContainerError;
use crate::source::Source;
use std::collections::BTreeMap;

/// Most bytes of a directory: some hundred thousand members.
const DIRECTORY: u64 = 16 << 20;

/// Bytes of the records without the texts behind them.
const END: u64 = 22;
const LOCATOR: u64 = 20;
const END64: u64 = 56;
const CENTRAL: usize = 46;
const LOCAL: usize = 30;

/// A member's bytes in the file.
#[derive(Debug)]
pub(super) struct Member {
    pub start: u64,
    pub length: u64,
}

/// A member as the directory describes it.
struct Listed<'a> {
    name: &'a [u8],
    header: u64,
    length: u64,
}

/// The members of an archive by name.
///
/// # Errors
/// If the file cannot be read, is no whole archive, or has members that are compressed, encrypted or
/// overlap, or two of one name.
pub(super) fn read(source: &Source) -> Result<BTreeMap<String, Member>, ContainerError> {
    let Range { start, length, entries } = locate(source)?;
    let damaged = |reason: &str| source.content(reason);
    let bytes = source.bytes(start, length as usize)?;
    let mut rest = &bytes[..];
    let mut listed = Vec::new();
    while !rest.is_empty() {
        let (member, next) = central(rest).map_err(|reason| source.content(reason))?;
        listed.push(member);
        rest = next;
    }
    if listed.len() as u64 != entries {
        return Err(damaged(
            "the directory of the zip archive has another number of members than it says",
        ));
    }
    listed.sort_by_key(|member| member.header);
    let mut members = BTreeMap::new();
    // where the next member may begin
    let mut free = 0;
    for Listed { name, header, length } in listed {
        let shown = String::from_utf8(name.to_vec());
        let shown = shown.map_err(|_| damaged("a name in the zip archive is not UTF-8"))?;
        let at = local(source, name, header)?;
        let end = at.checked_add(length).filter(|&end| header >= free && end <= start);
        free = end.ok_or_else(|| source.content(format!("`{shown}` overlaps what lies beside it")))?;
        if members.insert(shown, Member { start: at, length }).is_some() {
            return Err(damaged("a name in the zip archive occurs twice"));
        }
    }
    Ok(members)
}

/// Where the directory lies, and how many members it lists.
struct Range {
    start: u64,
    length: u64,
    entries: u64,
}

/// Finds the directory by the record at the file's end, or by the larger one before that.
fn locate(source: &Source) -> Result<Range, ContainerError> {
    let damaged = || source.content("it is no whole zip archive; it may have been cut off");
    let at = source.length().checked_sub(END).ok_or_else(damaged)?;
    let end = source.bytes(at, END as usize)?;
    // no comment: the record is the last thing in the file
    if !end.starts_with(b"PK\x05\x06") || short(&end, 20) != Some(0) {
        return Err(damaged());
    }
    let locator = match at.checked_sub(LOCATOR) {
        Some(before) => source.bytes(before, LOCATOR as usize)?,
        None => Vec::new(),
    };
    let (range, stop) = if locator.starts_with(b"PK\x06\x07") {
        let stop = long(&locator, 8).ok_or_else(damaged)?;
        let end = source.bytes(stop, END64 as usize)?;
        if !end.starts_with(b"PK\x06\x06") {
            return Err(damaged());
        }
        ((long(&end, 48), long(&end, 40), long(&end, 32)), stop)
    } else {
        let range = (word(&end, 16), word(&end, 12), short(&end, 10));
        (
            (range.0.map(u64::from), range.1.map(u64::from), range.2.map(u64::from)),
            at,
        )
    };
    let (Some(start), Some(length), Some(entries)) = range else {
        return Err(damaged());
    };
    if start.checked_add(length) != Some(stop) {
        return Err(damaged());
    }
    match length <= DIRECTORY {
        true => Ok(Range { start, length, entries }),
        false => Err(source.content("the directory of the zip archive is too large")),
    }
}

/// The first member of a directory, and the bytes behind it.
fn central(bytes: &[u8]) -> Result<(Listed<'_>, &[u8]), String> {
    let damaged = || "the directory of the zip archive is damaged".to_owned();
    let field = |at| short(bytes, at).map(usize::from).ok_or_else(damaged);
    if !bytes.starts_with(b"PK\x01\x02") {
        return Err(damaged());
    }
    let (flags, method) = (field(8)?, field(10)?);
    let lengths = (field(28)?, field(30)?, field(32)?);
    let rest = bytes.get(CENTRAL..).ok_or_else(damaged)?;
    let (name, rest) = rest.split_at_checked(lengths.0).ok_or_else(damaged)?;
    let (extra, rest) = rest.split_at_checked(lengths.1).ok_or_else(damaged)?;
    let (_comment, rest) = rest.split_at_checked(lengths.2).ok_or_else(damaged)?;
    let shown = String::from_utf8_lossy(name);
    if flags & 1 != 0 {
        return Err(format!("`{shown}` is encrypted"));
    }
    if method != 0 {
        return Err(format!("`{shown}` is compressed, which PyTorch never does"));
    }
    // sizes of 32 bits that are all ones stand in the field for large archives, in this order
    let mut large = large(extra);
    let mut size = |at| match word(bytes, at)? {
        u32::MAX => {
            let size = long(large, 0);
            large = large.get(8..).unwrap_or_default();
            size
        }
        size => Some(u64::from(size)),
    };
    let (Some(length), Some(packed), Some(header)) = (size(24), size(20), size(42)) else {
        return Err(damaged());
    };
    if length != packed {
        return Err(format!("`{shown}` has two lengths, {length} and {packed}"));
    }
    Ok((Listed { name, header, length }, rest))
}

/// The extra field for large archives, without its head; empty if there is none.
fn large(mut extra: &[u8]) -> &[u8] {
    while let (Some(kind), Some(length)) = (short(extra, 0), short(extra, 2)) {
        let Some((field, rest)) = extra[4..].split_at_checked(length.into()) else {
            break;
        };
        if kind == 1 {
            return field;
        }
        extra = rest;
    }
    &[]
}

/// The first byte of a member's content, behind its own header, which must tell the same name.
fn local(source: &Source, name: &[u8], header: u64) -> Result<u64, ContainerError> {
    let head = source.bytes(header, LOCAL)?;
    let lengths = (short(&head, 26), short(&head, 28));
    let (Some(length), Some(extra)) = lengths else {
        return Err(source.content("a header in the zip archive is damaged"));
    };
    let same = head.starts_with(b"PK\x03\x04")
        && usize::from(length) == name.len()
        && source.bytes(header + LOCAL as u64, name.len())? == name;
    if !same {
        let name = String::from_utf8_lossy(name);
        return Err(source.content(format!("`{name}` is not where the zip archive's directory says")));
    }
    Ok(header + LOCAL as u64 + u64::from(length) + u64::from(extra))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
