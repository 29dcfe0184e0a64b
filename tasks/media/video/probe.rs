//! What a video file says of itself, read without decoding.

use std::path::Path;

use serde::Deserialize;

use super::program::{Ffmpeg, VideoError};

/// Enough for the packets of a film of some hours.
const MOST_OUTPUT: u64 = 256 << 20;
/// Pixels along an edge.
const LARGEST: usize = 16_384;
/// Long edge by short edge.
const MOST_ELONGATED: usize = 32;

/// What is known of a file's best video stream: the one with the most pixels, of several the first.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFacts {
    /// Number of the stream within the file.
    pub stream: usize,
    /// Pixels across, upright.
    pub width: usize,
    /// Pixels down, upright.
    pub height: usize,
    /// Degrees by which the stored pictures are turned to stand upright.
    pub rotation: i32,
    /// Frames that a decoder gives: the container's packets but for those that it says to drop.
    pub frames: u64,
    /// Seconds, where the file says.
    pub seconds: Option<f64>,
    /// The unit of the frames' times in seconds, as a fraction.
    pub time_base: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    packets: Vec<Packet>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Stream {
    index: usize,
    #[serde(default)]
    width: usize,
    #[serde(default)]
    height: usize,
    #[serde(default)]
    time_base: String,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

#[derive(Deserialize)]
struct Packet {
    #[serde(default)]
    stream_index: usize,
    #[serde(default)]
    flags: String,
}

#[derive(Deserialize)]
struct Format {
    duration: Option<String>,
}

impl Ffmpeg {
    /// Reads what a file says of itself. Its packets are counted, not the number of frames in its header, which may be
    /// absent or wrong.
    pub fn probe(&self, file: &Path) -> Result<VideoFacts, VideoError> {
        let entries = "stream=index,width,height,time_base:stream_disposition=attached_pic:stream_side_data=rotation:\
                       packet=stream_index,flags:format=duration";
        let options = [
            "-select_streams",
            "v",
            "-show_entries",
            entries,
            "-of",
            "json=compact=1",
        ];
        let text = self.ask(file, &options, MOST_OUTPUT)?;
        let answer: Answer = serde_json::from_slice(&text).map_err(|error| {
            let reason = format!("what is no answer ({error})");
            VideoError::Refused {
                program: "ffprobe".to_owned(),
                reason,
            }
        })?;
        facts(&answer)
    }
}

fn facts(answer: &Answer) -> Result<VideoFacts, VideoError> {
    let pictures = |stream: &&Stream| stream.disposition.attached_pic == 0 && stream.width > 0 && stream.height > 0;
    // of equals max_by_key gives the last
    let best = answer
        .streams
        .iter()
        .rev()
        .filter(pictures)
        .max_by_key(|stream| stream.width * stream.height);
    let stream = best.ok_or(VideoError::NoVideo)?;
    // a packet flagged D is decoded for others' sake and dropped, as where a file begins before its edit list does
    let shown = |packet: &&Packet| packet.stream_index == stream.index && !packet.flags.contains('D');
    let frames = answer.packets.iter().filter(shown).count() as u64;
    if frames == 0 {
        return Err(VideoError::NoVideo);
    }
    let rotation = stream
        .side_data_list
        .iter()
        .find_map(|data| data.rotation)
        .unwrap_or(0.0)
        .round() as i32;
    let (width, height) = match rotation.rem_euclid(180) {
        90 => (stream.height, stream.width),
        _ => (stream.width, stream.height),
    };
    let (short, long) = (width.min(height), width.max(height));
    if long > LARGEST || long > MOST_ELONGATED * short {
        return Err(VideoError::Size { width, height });
    }
    let seconds = answer
        .format
        .as_ref()
        .and_then(|format| format.duration.as_ref()?.parse().ok());
    let time_base = stream.time_base.clone();
    Ok(VideoFacts {
        stream: stream.index,
        width,
        height,
        rotation,
        frames,
        seconds,
        time_base,
    })
}
