//! What kind of file holds a sound, read from its first bytes: to name what cannot be decoded, and
//! to read wav files whose writer did not know their length.

/// Whether a writer left this size in a wav header because it wrote to a pipe: nothing, or about 2 or
/// 4 GiB, from which some take the header's own bytes. A sound file of such a size is not read.
fn is_unknown(size: u32) -> bool {
    matches!(size, 0 | 0x7fff_0000..=0x8000_ffff | 0xffff_0000..)
}

/// A chunk of a wav file: its id, the size in its header, and where its content begins.
struct Chunk<'a> {
    id: &'a [u8],
    size: u32,
    start: usize,
}

/// The chunks of a wav file, up to the first that reaches beyond its end.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let is_wav = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE");
    let mut at = if is_wav { 12 } else { bytes.len() };
    std::iter::from_fn(move || {
        let (id, size) = (bytes.get(at..at + 4)?, number(bytes, at + 4)?);
        let start = at + 8;
        // chunks begin at even places
        at = start.saturating_add(size as usize).saturating_add(size as usize % 2);
        Some(Chunk { id, size, start })
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

/// Writes the true sizes into the header of a wav file that has placeholders for them: its samples
/// reach to its end, in whole frames.
pub(super) fn complete_sizes(bytes: &mut [u8]) {
    let format = chunks(bytes).find(|chunk| chunk.id == b"fmt ");
    let frame = format.and_then(|format| short(bytes, format.start + 12)).unwrap_or(1);
    let Some(data) = chunks(bytes).find(|chunk| chunk.id == b"data") else {
        return;
    };
    let left = bytes.len() - data.start;
    let is_empty = data.size == 0 && (left == 0 || chunks_follow(bytes, data.start));
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let (place, whole) = (data.start, bytes.len());
    if is_unknown(data.size) && !is_empty && data.size as usize != left {
        let samples = left - left % usize::from(frame.max(1));
        bytes[place - 4..place].copy_from_slice(&size(samples));
    }
    if number(bytes, 4).is_some_and(is_unknown) {
        bytes[4..8].copy_from_slice(&size(whole - 8));
    }
}

/// Whether the rest of a wav file is chunks up to its last byte.
fn chunks_follow(bytes: &[u8], mut at: usize) -> bool {
    while let (Some(id), Some(size)) = (bytes.get(at..at + 4), number(bytes, at + 4)) {
        if !id.iter().all(u8::is_ascii_graphic) && id != b"fmt " {
            return false;
        }
        at = (at + 8).saturating_add(size as usize).saturating_add(size as usize % 2);
    }
    at == bytes.len() || at == bytes.len() + 1
}

/// What a file is that cannot be decoded: its container and codec; `None` if nothing is known.
pub(super) fn unsupported(bytes: &[u8]) -> Option<String> {
    let starts = |start: &[u8]| bytes.starts_with(start);
    let form = bytes.get(8..12).unwrap_or_default();
    if starts(b"RIFF") && form == b"WAVE" {
        return wav_codec(bytes).map(|codec| format!("a wav file of {codec}"));
    }
    if starts(b"OggS") {
        return ogg_codec(bytes).map(|codec| format!("an ogg file of {codec}"));
    }
    let kind = match bytes.get(4..8) {
        Some(b"ftyp") => "an MP4 file (m4a, AAC or ALAC)",
        _ if starts(b"RF64") || starts(b"BW64") => "an RF64 file, a wav of more than 4 GB",
        _ if starts(b"riff") => "a Wave64 file",
        _ if starts(b"RIFX") => "a big-endian wav file",
        _ if starts(b"RIFF") && form == b"AVI " => "an AVI video",
        _ if starts(b"FORM") && matches!(form, b"AIFF" | b"AIFC") => "an AIFF file",
        _ if starts(b"caff") => "a CAF file",
        _ if starts(b".snd") => "an AU file",
        _ if starts(b"#!AMR") => "an AMR file",
        _ if starts(b"MAC ") => "a Monkey's Audio file",
        _ if starts(b"wvpk") => "a WavPack file",
        _ if starts(b"MThd") => "a MIDI file",
        _ if starts(b"NIST_1A") => "a NIST SPHERE file",
        _ if starts(&[0x30, 0x26, 0xb2, 0x75]) => "an ASF file (WMA)",
        _ if starts(&[0x1a, 0x45, 0xdf, 0xa3]) => "a Matroska or WebM file",
        _ if starts(&[0xff, 0xf1]) || starts(&[0xff, 0xf9]) => "an AAC stream",
        _ if starts(&[0x0b, 0x77]) => "an AC-3 stream",
        _ if matches!(bytes, [0xff, 0xf4 | 0xf5 | 0xfc | 0xfd, ..]) => "an MPEG layer 2 stream",
        _ => return None,
    };
    Some(kind.to_owned())
}

/// The codec of a wav file, by the number in its header; `None` if it can be decoded.
fn wav_codec(bytes: &[u8]) -> Option<String> {
    let format = chunks(bytes).find(|chunk| chunk.id == b"fmt ")?.start;
    let tag = match short(bytes, format)? {
        // the number stands in the extension
        0xfffe => short(bytes, format + 24)?,
        tag => tag,
    };
    let name = match tag {
        0x0001 | 0x0003 | 0x0006 | 0x0007 => {
            let bits = short(bytes, format + 14)?;
            return (![8, 16, 24, 32, 64].contains(&bits)).then(|| format!("samples of {bits} bits"));
        }
        0x0002 => "Microsoft ADPCM",
        0x0011 => "IMA ADPCM",
        0x0014 | 0x0040 | 0x0045 | 0x0064 => "G.72x ADPCM",
        0x0022 => "TrueSpeech",
        0x0031 => "GSM 6.10",
        0x0050 => "MPEG layer 1 or 2",
        0x0055 => "MP3",
        0x00ff | 0x1600 | 0x1602 | 0x1610 | 0xa106 => "AAC",
        0x0160..=0x0163 => "Windows Media Audio",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0x704f => "Opus",
        0xf1ac => "FLAC",
        _ => "codec",
    };
    Some(format!("{name} (0x{tag:04x})"))
}

/// The codec of an ogg file's first stream; `None` if it can be decoded.
fn ogg_codec(bytes: &[u8]) -> Option<&'static str> {
    // the first packet follows the page's header and its table of lengths
    let packet = bytes.get(27 + usize::from(*bytes.get(26)?)..)?;
    let codecs: [(&[u8], &str); 8] = [
        (b"OpusHead", "Opus"),
        (b"Speex   ", "Speex"),
        (b"\x7fFLAC", "FLAC"),
        (b"\x80theora", "Theora video"),
        (b"CELT    ", "CELT"),
        (b"PCM     ", "PCM"),
        (b"fishead\0", "several streams (Skeleton)"),
        (b"BBCD\0", "Dirac video"),
    ];
    codecs
        .into_iter()
        .find(|(start, _)| packet.starts_with(start))
        .map(|(_, name)| name)
}
