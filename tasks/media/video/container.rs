//! Whether a video's container ends early, read from the sizes in its own headers. FFmpeg says
//! nothing of AVI files and MPEG program streams that were cut off, nor of MP4 files cut off within
//! a header.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What an MP4 file has at its top level; other bytes may follow a whole file.
const BOXES: [&[u8; 4]; 12] = [
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"free", b"skip", b"wide", b"sidx", b"emsg", b"uuid",
];

/// Whether a part of the container reaches beyond the end of the file.
pub(crate) fn ends_early(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut at = 0;
    while at + 8 <= length {
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; 16];
        let read = file.by_ref().take(16).read(&mut header)?;
        let Some(size) = size(&header[..read]) else {
            return Ok(false);
        };
        // 0 reaches to the end
        if size == 0 {
            return Ok(false);
        }
        match at.checked_add(size.max(8)) {
            Some(end) if end <= length => at = end,
            _ => return Ok(true),
        }
    }
    Ok(false)
}

/// The size of a part with its header; `None` if it is none of a container with sizes.
fn size(header: &[u8]) -> Option<u64> {
    let (first, second) = (header.first_chunk::<4>()?, header.get(4..8)?);
    if first == b"RIFF" {
        let size = u32::from_le_bytes(second.first_chunk().copied()?);
        // left by writers that did not know the size; parts begin at even places
        return Some(match size {
            0 | u32::MAX => 0,
            size => 8 + u64::from(size) - u64::from(size % 2),
        });
    }
    if !BOXES.iter().any(|name| name.as_slice() == second) {
        return match *first {
            [0, 0, 1, kind] => program_stream_size(kind, header),
            _ => None,
        };
    }
    match u32::from_be_bytes(*first) {
        1 => header.get(8..16)?.first_chunk().copied().map(u64::from_be_bytes),
        size => Some(size.into()),
    }
}

/// The size of a part of an MPEG program stream (ISO 13818-1, 2.5.3): a pack header, or a packet that
/// says its length.
fn program_stream_size(kind: u8, header: &[u8]) -> Option<u64> {
    match (kind, header.get(4)? >> 6) {
        // of MPEG-2, with stuffing, and of MPEG-1
        (0xba, 0b01) => header.get(13).map(|byte| 14 + u64::from(byte & 7)),
        (0xba, _) => Some(12),
        (0xbb.., _) => {
            let length = header.get(4..6)?.first_chunk().copied().map(u16::from_be_bytes)?;
            // 0 is a packet without end
            (length > 0).then(|| 6 + u64::from(length))
        }
        _ => None,
    }
}
