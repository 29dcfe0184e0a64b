//! Decoding: Pillow's bytes for every kind of file, and a name for everything that is none.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use serde::Deserialize;

use super::*;
use crate::media::image::tests::{distance, pattern, unhex};

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
    width: usize,
    height: usize,
    rgb: String,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../reference/files.json")).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    unhex(&cases().iter().find(|case| case.name == name).unwrap().file)
}

#[test]
fn every_kind_of_file_is_what_pillow_makes_of_it() {
    for Case {
        name,
        file,
        width,
        height,
        rgb,
    } in cases()
    {
        let ours = decode(&unhex(&file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((ours.width, ours.height), (width, height), "{name}");
        let (most, mean) = distance(&ours.rgb, &unhex(&rgb));
        println!("{name}: largest difference {most}, mean {mean:.3}");
        // a png has no freedom; the cosine transform of a jpeg has
        let allowed = if name.starts_with("png") { (0, 0.0) } else { (4, 0.5) };
        assert!(most <= allowed.0 && mean <= allowed.1, "{name}: {most}, {mean}");
    }
}

#[test]
fn sixteen_bits_of_a_colour_keep_the_upper_eight() {
    let picture = pattern(6, 4);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 6, 4);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Sixteen);
    let wide: Vec<u8> = picture.rgb.iter().flat_map(|&byte| [byte, 255]).collect();
    encoder.write_header().unwrap().write_image_data(&wide).unwrap();
    assert_eq!(decode(&file).unwrap(), picture);
}

#[test]
fn a_cut_file_is_named_wherever_it_is_cut() {
    for name in [
        "jpeg 4:2:0",
        "jpeg progressive",
        "jpeg with restarts",
        "jpeg cmyk",
        "png",
        "png palette",
    ] {
        let whole = file(name);
        for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            let outcome = decode(&whole[..length]);
            // the end mark of a png follows its pixels, and without it nothing is lost
            let spare = name.starts_with("png") && length + 16 >= whole.len();
            assert!(
                spare || outcome.is_err(),
                "{name} cut to {length} of {} bytes",
                whole.len()
            );
        }
        assert_eq!(decode(&whole[..whole.len() / 2]), Err(ImageError::CutOff), "{name}");
    }
}

#[test]
fn what_is_no_picture_is_named() {
    let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    insta::assert_snapshot!(message(b""), @"it is an empty file");
    insta::assert_snapshot!(message(b"GIF89a and so on"), @"it is of a kind that cannot be read: a GIF picture");
    insta::assert_snapshot!(message(&[0xff, 0xd8, 0xff]), @"it is cut off");
    let mut damaged = file("png");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    insta::assert_snapshot!(message(&damaged), @"it is damaged: crc error: expected 0x9191dd5b have 0xad6ad71d");
    let mut lossless = file("jpeg 4:2:0");
    let frame = lossless.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    lossless[frame + 1] = 0xc3;
    insta::assert_snapshot!(message(&lossless), @"it is of a kind that cannot be read: the jpeg frame kind 3, neither baseline nor progressive");
}

/// A file whose header says another size.
fn with_size(name: &str, width: u16, height: u16) -> Vec<u8> {
    let mut bytes = file(name);
    if name.starts_with("png") {
        bytes[16..20].copy_from_slice(&u32::from(width).to_be_bytes());
        bytes[20..24].copy_from_slice(&u32::from(height).to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    } else {
        let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    }
    bytes
}

/// The checksum of a png's chunk (its specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[test]
fn sizes_that_cannot_be_are_refused_before_any_memory_is_taken() {
    for name in ["jpeg 4:2:0", "png"] {
        let error = decode(&with_size(name, 65_000, 65_000)).unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"it has 65000 x 65000 pixels, more than 178956970 in all");
        }
        assert_eq!(
            decode(&with_size(name, 9_000, 9_000)),
            Err(ImageError::CutOff),
            "{name}"
        );
        assert!(decode(&with_size(name, 0, 18)).is_err(), "{name}");
    }
}

#[test]
fn a_picture_of_another_kind_is_named() {
    let told = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    insta::assert_snapshot!(told(b"GIF89a\x01\0\x01\0"), @"it is of a kind that cannot be read: a GIF picture");
    insta::assert_snapshot!(told(b"RIFF\x24\0\0\0WEBPVP8 "), @"it is of a kind that cannot be read: a WebP picture");
    insta::assert_snapshot!(told(b"\0\0\0\x18ftypheic\0\0\0\0"), @"it is of a kind that cannot be read: an HEIC picture");
    insta::assert_snapshot!(told(b"a shopping list"), @"it is not a jpeg or png file");
    insta::assert_snapshot!(told(b"<!doctype html>\n<title>404</title>"), @"it is a web page, not the file that was asked for");
    insta::assert_snapshot!(told(b"\xff\xd8\xff\xf7\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9"), @"it is of a kind that cannot be read: a JPEG-LS picture");
}
