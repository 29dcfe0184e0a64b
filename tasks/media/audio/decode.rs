//! Wav, flac, ogg and mp3 files to mono waveforms, through symphonia. Damage is an error, never a
//! shorter clip, except in an mp3 file whose header does not state its length.

use std::io::Cursor;

use bridle_files::foreign;
use bytes::Bytes;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::FORMAT_ID_MP3;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};

use super::kind;
use crate::error::SampleError;
use crate::files::tree::Raw;
use crate::media::image::picture_kind;

/// Sound in memory: one channel, values from -1 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Waveform {
    pub sample_rate: u32,
    /// Several channels are averaged.
    pub samples: Vec<f32>,
}

impl Waveform {
    /// Decodes a file of a data set.
    pub(crate) fn read(file: Raw) -> Result<Self, SampleError> {
        let (content, extension) = file.read()?;
        decode(content, &extension).map_err(|error| error.to_string().into())
    }
}

/// Why a file is not an intact sound.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    #[error("it is not a wav, flac, ogg or mp3 file")]
    NotAudio,
    #[error("it holds no audio track that can be decoded")]
    NoTrack,
    /// A packed file or a pointer, or a picture; the field names it.
    #[error("it is {0}")]
    Foreign(&'static str),
    /// A known kind of file or codec; the field names it.
    #[error("it is {0}, which is not supported; wav (PCM), flac, ogg (Vorbis) and mp3 are")]
    Unsupported(String),
    #[error("it is damaged after {decoded} samples: {reason}")]
    Damaged { decoded: usize, reason: String },
    #[error("it is cut off: its header promises {promised} samples, it holds {decoded}")]
    CutOff { promised: u64, decoded: usize },
    #[error("its sample rate of {0} Hz is not between 1,000 and 768,000")]
    Rate(u32),
    #[error("it holds no samples")]
    Empty,
    #[error("it holds more than {0} samples, the most that are decoded")]
    TooLong(usize),
    #[error("sample {sample} is {value}, not a finite number")]
    NotFinite { sample: usize, value: f32 },
    #[error("sample {sample} is {value:e}, and features are computed of values up to {LARGEST:e}")]
    TooLarge { sample: usize, value: f32 },
}

/// The most samples of a channel, those of the largest wav file of 16 bits that is read. A flac file of a
/// megabyte can unfold to billions.
const MOST_SAMPLES: usize = 1 << 30;

/// The largest magnitude of a sample. A window of 25 ms has at most 2^15 samples, so the power at a
/// frequency is below (2^16 x)^2, and the energy of a mel band below 2^14 times that, which float32
/// holds; the resampler's sums are smaller. Sound is made in values up to 1, integers up to 2^31.
const LARGEST: f32 = 1e12;

/// Decodes a complete file; `extension` is only a hint, the content decides.
pub fn decode(mut bytes: Vec<u8>, extension: &str) -> Result<Waveform, AudioError> {
    kind::complete_sizes(&mut bytes);
    let bytes = Bytes::from(bytes);
    decode_complete(&bytes, extension, MOST_SAMPLES).map_err(|error| match error {
        AudioError::NotAudio | AudioError::NoTrack => match foreign(&bytes).or_else(|| picture_kind(&bytes)) {
            Some(kind) => AudioError::Foreign(kind),
            None => kind::unsupported(&bytes).map_or(error, AudioError::Unsupported),
        },
        error => error,
    })
}

fn decode_complete(bytes: &Bytes, extension: &str, most: usize) -> Result<Waveform, AudioError> {
    let mut format = open(Box::new(Cursor::new(bytes.clone())), extension)?;
    if format.format_info().format == FORMAT_ID_MP3 {
        // with a seekable source, the reader would guess a length that no header states, and cut
        // the sound there
        format = open(Box::new(ReadOnlySource::new(Cursor::new(bytes.clone()))), extension)?;
    }
    let track = format
        .default_track(TrackType::Audio)
        .ok_or(AudioError::NoTrack)?
        .clone();
    let waveform = decode_track(format.as_mut(), &track, most)?;
    match track.num_frames {
        Some(promised) if promised > waveform.samples.len() as u64 => Err(AudioError::CutOff {
            promised,
            decoded: waveform.samples.len(),
        }),
        _ if waveform.samples.is_empty() => Err(AudioError::Empty),
        // the resampler's tables grow with the rate
        _ if !(1_000..=768_000).contains(&waveform.sample_rate) => Err(AudioError::Rate(waveform.sample_rate)),
        _ => usable(&waveform.samples).map(|()| waveform),
    }
}

/// Fails at the first sample that is no number, or of which no finite features could be computed.
fn usable(samples: &[f32]) -> Result<(), AudioError> {
    // NaN is in no range
    let Some(sample) = samples.iter().position(|value| !(-LARGEST..=LARGEST).contains(value)) else {
        return Ok(());
    };
    let value = samples[sample];
    Err(match value.is_finite() {
        true => AudioError::TooLarge { sample, value },
        false => AudioError::NotFinite { sample, value },
    })
}

fn open(source: Box<dyn MediaSource>, extension: &str) -> Result<Box<dyn FormatReader>, AudioError> {
    let stream = MediaSourceStream::new(source, Default::default());
    let mut hint = Hint::new();
    hint.with_extension(extension);
    symphonia::default::get_probe()
        .probe(&hint, stream, Default::default(), Default::default())
        .map_err(|_| AudioError::NotAudio)
}

fn decode_track(format: &mut dyn FormatReader, track: &Track, most: usize) -> Result<Waveform, AudioError> {
    let params = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio())
        .ok_or(AudioError::NoTrack)?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default().verify(true))
        .map_err(|_| AudioError::NoTrack)?;
    let mut waveform = Waveform {
        sample_rate: 0,
        samples: Vec::new(),
    };
    let mut interleaved: Vec<f32> = Vec::new();
    let damaged = |error: Error, decoded: usize| AudioError::Damaged {
        decoded,
        reason: error.to_string().to_lowercase(),
    };
    while let Some(packet) = format
        .next_packet()
        .map_err(|error| damaged(error, waveform.samples.len()))?
    {
        if packet.track_id != track.id {
            continue;
        }
        let buffer = decoder
            .decode(&packet)
            .map_err(|error| damaged(error, waveform.samples.len()))?;
        waveform.sample_rate = buffer.spec().rate();
        let channels = buffer.spec().channels().count();
        buffer.copy_to_vec_interleaved(&mut interleaved);
        let scale = 1.0 / channels as f32;
        waveform.samples.extend(
            interleaved
                .chunks_exact(channels)
                .map(|frame| frame.iter().sum::<f32>() * scale),
        );
        if waveform.samples.len() > most {
            return Err(AudioError::TooLong(most));
        }
    }
    if decoder.finalize().verify_ok == Some(false) {
        let reason = "the checksum of its samples is wrong".to_owned();
        return Err(AudioError::Damaged {
            decoded: waveform.samples.len(),
            reason,
        });
    }
    Ok(waveform)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;
    use crate::fixtures::wav_bytes;

    #[test]
    fn a_wav_file_is_read_back_and_channels_are_averaged() {
        let wave = [0.0, 0.5, -0.25, 0.125];
        let mono = decode(wav_bytes(8_000, 1, &wave), "wav").unwrap();
        assert_eq!(
            mono,
            Waveform {
                sample_rate: 8_000,
                samples: wave.to_vec()
            }
        );
        let stereo = decode(wav_bytes(8_000, 2, &wave), "wav").unwrap();
        assert_eq!(stereo.samples, [0.25, -0.0625]);
    }

    #[test]
    fn the_content_decides_not_the_extension() {
        assert_eq!(
            decode(wav_bytes(8_000, 1, &[0.5; 64]), "flac").unwrap().samples.len(),
            64
        );
        let text = b"this is a shopping list, not a sound. ".repeat(40);
        assert!(matches!(decode(text, "wav"), Err(AudioError::NotAudio)));
    }

    /// The correlation of `a` with `b` begun `later` samples on.
    fn correlation(a: &[f32], b: &[f32], later: usize) -> f32 {
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let b = &b[later..];
        let a = &a[..a.len().min(b.len())];
        product(a, b) / (product(a, a) * product(&b[..a.len()], &b[..a.len()])).sqrt()
    }

    #[test]
    fn mp3_sounds_like_what_it_was_made_of() {
        // `ffmpeg -i tone.flac -c:a libmp3lame -b:a 32k tone.mp3`: what the encoder adds before and
        // after is cut off
        let tone = decode(include_bytes!("../tone.flac").to_vec(), "").unwrap();
        let mp3 = decode(include_bytes!("../tone.mp3").to_vec(), "").unwrap();
        assert_eq!((mp3.sample_rate, mp3.samples.len()), (16_000, tone.samples.len()));
        let alike = correlation(&tone.samples, &mp3.samples, 0);
        assert!(alike > 0.99, "{alike}");
        // `ffmpeg -i noise.flac -c:a libmp3lame -q:a 6 -write_xing 0 -id3v2_version 0 noise.mp3`:
        // without a header that tells its length all frames are kept, of 576 samples each, and the
        // sound begins 1,105 later
        let noise = decode(include_bytes!("../noise.flac").to_vec(), "").unwrap();
        let mp3 = decode(include_bytes!("../noise.mp3").to_vec(), "").unwrap();
        let frames = (noise.samples.len() + 1_105).div_ceil(576);
        assert!(mp3.samples.len().is_multiple_of(576) && (frames..frames + 3).contains(&(mp3.samples.len() / 576)));
        let alike = correlation(&noise.samples, &mp3.samples, 1_105);
        assert!(alike > 0.8, "{alike}");
    }

    #[test]
    fn an_mp3_that_tells_its_length_is_whole_or_an_error() {
        let whole = include_bytes!("../tone.mp3");
        for bytes in [whole.len() / 2, whole.len() - 200] {
            let error = decode(whole[..bytes].to_vec(), "mp3").unwrap_err();
            assert!(matches!(error, AudioError::CutOff { promised: 4_000, .. }), "{error}");
        }
    }

    #[test]
    fn a_sample_that_is_no_number_or_too_large_is_named() {
        let with = |value: f32| {
            let mut wave = [0.25; 400];
            wave[5] = value;
            decode(wav_bytes(8_000, 1, &wave), "wav").unwrap_err().to_string()
        };
        insta::assert_snapshot!(with(f32::NAN), @"sample 5 is NaN, not a finite number");
        insta::assert_snapshot!(with(f32::NEG_INFINITY), @"sample 5 is -inf, not a finite number");
        insta::assert_snapshot!(with(-1e29), @"sample 5 is -1e29, and features are computed of values up to 1e12");
        // two channels whose sum is beyond float32
        let loud = decode(wav_bytes(8_000, 2, &[f32::MAX; 8]), "wav").unwrap_err();
        assert!(matches!(loud, AudioError::NotFinite { sample: 0, .. }), "{loud}");
    }

    #[test]
    fn the_largest_samples_have_finite_features_at_every_rate() {
        for rate in [1_000, 8_000, 44_100, 768_000] {
            let wave: Vec<f32> = (0..rate / 5)
                .map(|n| if n / 7 % 2 == 0 { LARGEST } else { -LARGEST })
                .collect();
            let wave = decode(wav_bytes(rate, 1, &wave), "wav").unwrap().samples;
            for to in [rate, 16_000] {
                let samples = crate::resample(wave.clone(), rate, to);
                let features = crate::Fbank::new(to, 1).compute(&samples).unwrap();
                assert!(features.iter().all(|value| value.is_finite()), "{rate} to {to}");
            }
        }
    }

    /// A wav file of 16-bit samples with these sizes in its header, and what follows the samples.
    fn header_says(riff: u32, data: u32, samples: &[i16], after: &[u8]) -> Vec<u8> {
        let mut bytes = [
            b"RIFF".as_slice(),
            &riff.to_le_bytes(),
            b"WAVEfmt ",
            &16u32.to_le_bytes(),
        ]
        .concat();
        for short in [1u16, 1] {
            bytes.extend(short.to_le_bytes());
        }
        bytes.extend([8_000u32, 16_000].iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend([2u16, 16].iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend([b"data".as_slice(), &data.to_le_bytes()].concat());
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        [&bytes, after].concat()
    }

    #[test]
    fn a_wav_file_of_unknown_length_is_read_to_its_end() {
        let samples: Vec<i16> = (0..4_000).map(|n| (n * 37 % 20_000) as i16).collect();
        let whole = decode(header_says(36 + 8_000, 8_000, &samples, b""), "wav").unwrap();
        assert_eq!(whole.samples.len(), 4_000);
        for (riff, data) in [
            (u32::MAX, u32::MAX),
            (0x7fff_ffff, 0x7fff_ffff),
            (0x7fff_f024, 0x7fff_f000),
            // some take the header from the placeholder
            (0x7fff_ffff, 0x7fff_ffff - 36),
            (u32::MAX, u32::MAX - 36),
            (0, 0),
            (u32::MAX, 0),
            // one size alone
            (0, 8_000),
            (36 + 8_000, u32::MAX),
        ] {
            assert_eq!(
                decode(header_says(riff, data, &samples, b""), "wav").unwrap(),
                whole,
                "{riff:x} {data:x}"
            );
            // a pipe that ended within a sample
            assert_eq!(
                decode(header_says(riff, data, &samples, b"\x01"), "wav").unwrap(),
                whole,
                "{riff:x} {data:x}"
            );
        }
        // no placeholder: cut off, and truly empty
        assert!(decode(header_says(36 + 9_000, 9_000, &samples, b""), "wav").is_err());
        let list = [b"LIST".as_slice(), &4u32.to_le_bytes(), b"INFO"].concat();
        assert!(decode(header_says(48, 0, &[], &list), "wav").is_err());
        assert!(decode(header_says(36, 0, &[], b""), "wav").is_err());
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        let told = |bytes: Vec<u8>| decode(bytes, "wav").unwrap_err().to_string();
        let tagged = |tag: u16| {
            let mut bytes = header_says(36 + 200, 200, &[0; 100], b"");
            bytes[20..22].copy_from_slice(&tag.to_le_bytes());
            told(bytes)
        };
        // a page of one packet
        let page = [b"OggS\0\x02".as_slice(), &[0; 20], &[1, 19], b"OpusHead\x01\x01"].concat();
        let opus = [&page[..], &[0; 9]].concat();
        insta::assert_snapshot!(tagged(0x55), @"it is a wav file of MP3 (0x0055), which is not supported; wav (PCM), flac, ogg (Vorbis) and mp3 are");
        insta::assert_snapshot!(tagged(0x31), @"it is a wav file of GSM 6.10 (0x0031), which is not supported; wav (PCM), flac, ogg (Vorbis) and mp3 are");
        insta::assert_snapshot!(tagged(0x11), @"it is a wav file of IMA ADPCM (0x0011), which is not supported; wav (PCM), flac, ogg (Vorbis) and mp3 are");
        insta::assert_snapshot!(tagged(0x1234), @"it is a wav file of codec (0x1234), which is not supported; wav (PCM), flac, ogg (Vorbis) and mp3 are");
        insta::assert_snapshot!(told(opus), @"it is an ogg file of Opus, which is not supported; wav (PCM), flac, ogg (Vorbis) and mp3 are");
        insta::assert_snapshot!(told([b"\0\0\0\x20ftypM4A ".as_slice(), &[0; 100]].concat()), @"it is an MP4 file (m4a, AAC or ALAC), which is not supported; wav (PCM), flac, ogg (Vorbis) and mp3 are");
        insta::assert_snapshot!(told(b"this is a shopping list, not a sound. ".repeat(40)), @"it is not a wav, flac, ogg or mp3 file");
        insta::assert_snapshot!(told(b"\x1f\x8b\x08\0\0".to_vec()), @"it is packed by gzip; `gunzip` unpacks it");
        insta::assert_snapshot!(told(b"\x89PNG\r\n\x1a\n".to_vec()), @"it is a png picture");
        insta::assert_snapshot!(told(Vec::new()), @"it is an empty file");
    }

    #[test]
    fn a_file_that_unfolds_without_end_is_left() {
        let bytes = Bytes::from(wav_bytes(8_000, 1, &[0.25; 9_000]));
        assert_eq!(decode_complete(&bytes, "wav", 9_000).unwrap().samples.len(), 9_000);
        let error = decode_complete(&bytes, "wav", 8_999).unwrap_err();
        assert!(matches!(error, AudioError::TooLong(8_999)), "{error}");
    }

    #[test]
    fn cut_files_are_errors() {
        let mut bytes = wav_bytes(8_000, 1, &[0.25; 4_000]);
        bytes.truncate(bytes.len() / 2);
        let error = decode(bytes, "wav").unwrap_err();
        assert!(
            matches!(error, AudioError::CutOff { .. } | AudioError::Damaged { .. }),
            "{error}"
        );
        assert!(decode(Vec::new(), "wav").is_err());
    }
}
