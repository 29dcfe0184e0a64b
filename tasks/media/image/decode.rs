//! Jpeg and png files to RGB bytes, as Pillow's `convert("RGB")`; what Pillow refuses is an error.
//!
//! The content decides, not the name: ImageNet has a png file that is called JPEG. Alpha is
//! dropped, palettes and low bit depths are expanded, 16-bit colours keep their upper 8 bits, and
//! 16-bit grey is clipped at 255: torchvision's loader also makes such a picture nearly white, and
//! numbers are compared with it. A jpeg with four channels is inverted CMYK, as Adobe writes it. An
//! EXIF rotation is not applied, as in torchvision's loader. Jpeg bytes differ from libjpeg's by up
//! to 4 (0.2 on average), because the standard leaves the rounding of the cosine transform open.

use std::io::Cursor;

use bridle_files::foreign;
use png::{BitDepth, ColorType, Transformations};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::picture::Picture;

/// More pixels are refused, as by Pillow, which takes them for an attack.
pub const MOST_PIXELS: usize = 178_956_970;

/// Why a file is not an intact picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error("it is not a jpeg or png file")]
    NotImage,
    /// A packed file or a pointer; the field names it.
    #[error("it is {0}")]
    Foreign(&'static str),
    #[error("it has {width} x {height} pixels, more than {MOST_PIXELS} in all")]
    TooLarge { width: usize, height: usize },
    #[error("it is cut off")]
    CutOff,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it is of a kind that cannot be read: {0}")]
    Unsupported(String),
}

pub fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => decode_jpeg(bytes),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => decode_png(bytes),
        _ => Err(match (picture_kind(bytes), foreign(bytes)) {
            (Some(kind), _) => ImageError::Unsupported(kind.to_owned()),
            (None, Some(kind)) => ImageError::Foreign(kind),
            (None, None) => ImageError::NotImage,
        }),
    }
}

/// What kind of picture a file is, by its first bytes.
pub(crate) fn picture_kind(bytes: &[u8]) -> Option<&'static str> {
    let brand = bytes.get(4..12).unwrap_or_default();
    Some(match bytes {
        [0xff, 0xd8, 0xff, ..] => "a jpeg picture",
        [0x89, b'P', b'N', b'G', ..] => "a png picture",
        [b'G', b'I', b'F', b'8', ..] => "a GIF picture",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "a WebP picture",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF picture",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop file",
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "a JPEG XL picture",
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => "a JPEG 2000 picture",
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "a BMP picture",
        [b'P', b'1'..=b'7', b'\n' | b' ' | b'\r', ..] => "a PNM picture",
        [b'<', b's', b'v', b'g', ..] => "an SVG picture",
        _ if matches!(brand, b"ftypheic" | b"ftypheix" | b"ftypmif1") => "an HEIC picture",
        _ if matches!(brand, b"ftypavif" | b"ftypavis") => "an AVIF picture",
        _ => return None,
    })
}

fn decode_jpeg(bytes: &[u8]) -> Result<Picture, ImageError> {
    walk(bytes)?;
    let options = DecoderOptions::default()
        // stray bytes between headers and damaged codes are skipped, as libjpeg does
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(jpeg_error)?;
    let (width, height) = decoder.dimensions().ok_or(ImageError::CutOff)?;
    // each square of 8 pixels has a code of one bit or more
    check_size(width, height, bytes.len().saturating_mul(512))?;
    let mut rgb = vec![0; 3 * width * height];
    decoder.decode_into(&mut rgb).map_err(jpeg_error)?;
    Ok(Picture { width, height, rgb })
}

fn jpeg_error(error: DecodeErrors) -> ImageError {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => ImageError::CutOff,
        other => {
            let text = other.to_string().to_lowercase().replace('"', "");
            ImageError::Damaged(text.trim_end_matches('.').to_owned())
        }
    }
}

/// Walks over a jpeg's segments. Without the end marker it is cut off, as for Pillow; rare kinds
/// are told from damaged files the same way.
fn walk(bytes: &[u8]) -> Result<(), ImageError> {
    let mut at = 2;
    let mut in_picture = false;
    while let Some(&[mark, code]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let length = || {
            bytes
                .get(at + 2..)
                .and_then(|rest| rest.first_chunk())
                .copied()
                .map(u16::from_be_bytes)
        };
        at += match (mark, code) {
            (0xff, 0xd9) => return Ok(()),
            // markers without a length, fill bytes, and within the picture the escaped 0xff
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => 2,
            (0xff, 0xff) => 1,
            (0xff, 0xf7) if !in_picture => return Err(ImageError::Unsupported("a JPEG-LS picture".to_owned())),
            (0xff, 0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) if !in_picture => {
                let reason = format!("the jpeg frame kind {}, neither baseline nor progressive", code - 0xc0);
                return Err(ImageError::Unsupported(reason));
            }
            (0xff, _) => {
                in_picture |= code == 0xda;
                2 + usize::from(length().ok_or(ImageError::CutOff)?)
            }
            // the picture, or stray bytes
            _ => bytes[at..]
                .iter()
                .position(|&byte| byte == 0xff)
                .unwrap_or(bytes.len() - at),
        };
    }
    Err(ImageError::CutOff)
}

fn decode_png(bytes: &[u8]) -> Result<Picture, ImageError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(png_error)?;
    let (width, height) = (header.width as usize, header.height as usize);
    let grey_16 = (header.color_type, header.bit_depth) == (ColorType::Grayscale, BitDepth::Sixteen);
    // deflate packs 1,032 bytes into one at best, of 8 pixels each
    check_size(width, height, bytes.len().saturating_mul(1_032 * 8))?;
    let strip = if grey_16 {
        Transformations::IDENTITY
    } else {
        Transformations::STRIP_16
    };
    decoder.set_transformations(Transformations::EXPAND | strip);
    let mut reader = decoder.read_info().map_err(png_error)?;
    let length = reader
        .output_buffer_size()
        .ok_or(ImageError::TooLarge { width, height })?;
    let mut pixels = vec![0; length];
    let info = reader.next_frame(&mut pixels).map_err(png_error)?;
    if (info.width as usize, info.height as usize) != (width, height) {
        return Err(ImageError::Damaged("its first frame has another size".to_owned()));
    }
    pixels.truncate(info.buffer_size());
    let samples = info.color_type.samples();
    let rgb = match info.bit_depth {
        BitDepth::Sixteen => cut_grey(&pixels, samples),
        _ => match samples {
            3 => pixels,
            4 => pixels
                .chunks_exact(4)
                .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
                .collect(),
            _ => pixels.chunks_exact(samples).flat_map(|pixel| [pixel[0]; 3]).collect(),
        },
    };
    Ok(Picture { width, height, rgb })
}

/// Grey of 16 bits, with or without alpha, cut off at 255.
fn cut_grey(pixels: &[u8], samples: usize) -> Vec<u8> {
    let cut = |pixel: &[u8]| if pixel[0] == 0 { pixel[1] } else { 255 };
    pixels
        .chunks_exact(2 * samples)
        .flat_map(|pixel| [cut(pixel); 3])
        .collect()
}

fn png_error(error: png::DecodingError) -> ImageError {
    match error {
        png::DecodingError::IoError(_) => ImageError::CutOff,
        other => {
            let text = other.to_string().to_lowercase();
            // the library's own parsing of the chunk
            let reason = text.split(" while decoding").next().unwrap_or(&text);
            ImageError::Damaged(reason.trim_end_matches('.').to_owned())
        }
    }
}

/// Checks that memory and the file's bytes can hold the size: at most `room` pixels.
fn check_size(width: usize, height: usize, room: usize) -> Result<(), ImageError> {
    let pixels = width.saturating_mul(height);
    if pixels > MOST_PIXELS {
        return Err(ImageError::TooLarge { width, height });
    }
    match pixels {
        0 => Err(ImageError::Damaged("it has no pixels".to_owned())),
        _ if pixels > room => Err(ImageError::CutOff),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
