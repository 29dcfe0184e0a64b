//! Facts about a video file, read without decoding.

use std::io::Read;
use std::path::Path;

use bridle_files::foreign;
use serde::Deserialize;

use super::container::ends_early;
use super::program::{Programs, VideoError};
use crate::media::image::picture_kind;

/// Enough for the packets of a film of several hours.
const MOST_OUTPUT: u64 = 256 << 20;
/// The most pixels along an edge.
const LARGEST: usize = 16_384;
/// The largest ratio of long to short edge.
const MOST_ELONGATED: usize = 32;

/// Facts about a file's best video stream: the one with the most pixels, or the first of several.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFacts {
    /// Index of the stream within the file.
    pub stream: usize,
    /// After rotation.
    pub width: usize,
    /// After rotation.
    pub height: usize,
    /// Degrees that rotate the stored pictures upright.
    pub rotation: i32,
    /// Frames that a decoder returns: the container's packets without those marked to be dropped.
    pub frames: u64,
    /// If the file says.
    pub seconds: Option<f64>,
    /// The unit of frame times in seconds, as a fraction.
    pub time_base: String,
}

#[derive(Deserialize)]
struct Probed {
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
    /// Seconds.
    pts_time: Option<String>,
    duration_time: Option<String>,
}

impl Packet {
    /// Seconds at which it ends, if it says.
    fn end(&self) -> Option<f64> {
        let number = |text: &Option<String>| text.as_ref()?.parse::<f64>().ok();
        Some(number(&self.pts_time)? + number(&self.duration_time).unwrap_or(0.0))
    }
}

#[derive(Deserialize)]
struct Format {
    duration: Option<String>,
}

/// What `ffprobe` says of a file whose container ends before its own sizes say, or before a packet
/// does.
const ENDS_EARLY: [&str; 2] = ["File ended prematurely", "partial file"];
/// How much earlier than the header says packets may end: seconds, and a share of the length.
const TOLERANCE: (f64, f64) = (0.5, 0.05);

/// Probes a file. It counts packets, because the number of frames in the header may be absent or
/// wrong, and reads those of all streams to the end, because only that shows a file that is cut
/// off.
pub(super) fn probe(programs: &Programs, file: &Path) -> Result<VideoFacts, VideoError> {
    let entries = "stream=index,width,height,time_base:stream_disposition=attached_pic:stream_side_data=rotation:\
                   packet=stream_index,flags,pts_time,duration_time:format=duration";
    let options = ["-show_entries", entries, "-of", "json=compact=1"];
    let (text, complaints) = programs
        .ask(file, &options, MOST_OUTPUT)
        .map_err(|error| refused(error, file))?;
    let answer = read(&text)?;
    let facts = facts(&answer)?;
    if let Some(words) = ENDS_EARLY.into_iter().find(|words| complaints.contains(words)) {
        return Err(VideoError::EndsEarly(format!("ffprobe says: {words}")));
    }
    // a file that cannot be opened again is an error when it is decoded
    if ends_early(file).unwrap_or(false) {
        return Err(larger_than_the_file());
    }
    let end = answer.packets.iter().filter_map(Packet::end).reduce(f64::max);
    match (facts.seconds, end) {
        (Some(seconds), Some(end)) if end + f64::max(TOLERANCE.0, TOLERANCE.1 * seconds) < seconds => {
            let reason = format!("its header says {seconds:.1} s, and its packets end at {end:.1} s");
            Err(VideoError::EndsEarly(reason))
        }
        _ => Ok(facts),
    }
}

/// The answer of `ffprobe`.
fn read(text: &[u8]) -> Result<Probed, VideoError> {
    serde_json::from_slice(text).map_err(|error| VideoError::Refused {
        program: "ffprobe".to_owned(),
        reason: format!("what is no answer ({error})"),
    })
}

/// What an answer says of the file.
#[cfg(any(test, fuzzing))]
pub(crate) fn facts_of(text: &[u8]) -> Result<VideoFacts, VideoError> {
    facts(&read(text)?)
}

fn larger_than_the_file() -> VideoError {
    VideoError::EndsEarly("its container is larger than the file".to_owned())
}

/// What the file is that `ffprobe` refuses; `error` if its first bytes do not tell.
fn refused(error: VideoError, file: &Path) -> VideoError {
    if error.is_of_the_machine() {
        return error;
    }
    let mut start = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(512).read_to_end(&mut start));
    match (picture_kind(&start), foreign(&start)) {
        _ if read.is_err() => error,
        (Some(kind), _) => VideoError::NotVideo(kind),
        (None, Some(kind)) => VideoError::Foreign(kind),
        (None, None) if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WAVE") => {
            VideoError::NotVideo("a wav file")
        }
        (None, None) if ends_early(file).unwrap_or(false) => larger_than_the_file(),
        (None, None) => error,
    }
}

fn facts(answer: &Probed) -> Result<VideoFacts, VideoError> {
    let pictures = |stream: &&Stream| stream.disposition.attached_pic == 0 && stream.width > 0 && stream.height > 0;
    // max_by_key returns the last of equals
    let best = answer
        .streams
        .iter()
        .rev()
        .filter(pictures)
        .max_by_key(|stream| stream.width.saturating_mul(stream.height));
    let stream = best.ok_or(VideoError::NoVideo)?;
    // a packet with flag D is decoded for others' sake and dropped, as before the start of an edit
    // list
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
        .and_then(|format| format.duration.as_ref()?.parse().ok())
        .filter(|seconds: &f64| seconds.is_finite());
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
