//! Whole videos in memory, so that each is decoded once however often clips of it are drawn.
//!
//! Loaded that fit stay, and the rest are decoded at each use. Every video is drawn equally often,
//! so exchanging one for another would gain nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clip::Clip;
use super::probe::VideoFacts;
use super::program::VideoError;

/// A larger part of the limit is refused: decoding it whole for one clip would cost too much.
const PART: u64 = 16;

pub(super) struct VideoMemory {
    /// In bytes, for all videos together.
    limit: u64,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    /// Bytes in memory, and of videos being decoded.
    bytes: u64,
    /// `None` is a video that cannot be decoded to its end.
    videos: HashMap<PathBuf, Option<Arc<Clip>>>,
}

impl VideoMemory {
    pub fn new(limit: u64) -> Self {
        let loaded = Mutex::default();
        Self { limit, loaded }
    }

    /// The whole video in its own size: from memory, or decoded by `decode` if it fits.
    pub fn get(
        &self,
        file: &Path,
        facts: &VideoFacts,
        decode: impl FnOnce() -> Result<Clip, VideoError>,
    ) -> Option<Arc<Clip>> {
        let bytes = facts.frames.saturating_mul((3 * facts.width * facts.height) as u64);
        {
            let mut loaded = self.lock();
            if let Some(known) = loaded.videos.get(file) {
                return known.clone();
            }
            if bytes > self.limit / PART || bytes > self.limit - loaded.bytes {
                return None;
            }
            loaded.bytes += bytes;
        }
        // damage beyond the requested clip is not that clip's error
        let decoded = decode();
        let is_of_the_machine = matches!(&decoded, Err(error) if error.is_of_the_machine());
        let video = decoded.ok().map(Arc::new);
        let mut loaded = self.lock();
        if is_of_the_machine {
            loaded.bytes -= bytes;
            return None;
        }
        // of two threads that decoded the same video, the first decides, and the other returns its share
        let before = loaded.videos.get(file).cloned();
        if video.is_none() || before.is_some() {
            loaded.bytes -= bytes;
        }
        before.unwrap_or_else(|| {
            loaded.videos.insert(file.to_owned(), video.clone());
            video
        })
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        // nothing that can panic runs under the lock
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(frames: u64) -> VideoFacts {
        VideoFacts {
            stream: 0,
            width: 2,
            height: 2,
            rotation: 0,
            frames,
            seconds: None,
            time_base: String::new(),
        }
    }

    fn clip(frames: usize) -> Clip {
        Clip {
            frames,
            width: 2,
            height: 2,
            rgb: vec![7; 12 * frames],
        }
    }

    #[test]
    fn what_fits_stays_and_is_decoded_once() {
        let kept = VideoMemory::new(12 * PART * 2);
        let (mut decoded, mut held) = (0, 0);
        for round in 0..3 {
            held = 0;
            for number in 0..40 {
                let file = PathBuf::from(format!("{number}.mp4"));
                let found = kept.get(&file, &facts(1), || {
                    decoded += 1;
                    Ok(clip(1))
                });
                held += usize::from(found.is_some());
            }
            assert_eq!((held, decoded), (2 * PART as usize, 2 * PART as usize), "round {round}");
        }
        assert_eq!(kept.lock().bytes, 12 * held as u64);
    }

    #[test]
    fn of_two_that_decode_one_video_the_first_decides() {
        let file = Path::new("a.mp4");
        for (first, second) in [(true, false), (false, true), (true, true)] {
            let kept = VideoMemory::new(12 * PART * 2);
            let decoded = |whole: bool| if whole { Ok(clip(1)) } else { Err(VideoError::NoVideo) };
            let found = kept.get(file, &facts(1), || {
                // another thread begins later and ends first
                assert_eq!(kept.get(file, &facts(1), || decoded(first)).is_some(), first);
                decoded(second)
            });
            assert_eq!((found.is_some(), kept.lock().bytes), (first, 12 * u64::from(first)));
        }
    }

    #[test]
    fn a_long_video_is_not_decoded_and_a_damaged_one_is_tried_once() {
        let kept = VideoMemory::new(12 * PART);
        let unwanted = || -> Result<Clip, VideoError> { panic!("it is decoded") };
        assert!(kept.get(Path::new("long.mp4"), &facts(2), unwanted).is_none());
        assert!(kept.get(Path::new("none.mp4"), &facts(u64::MAX), unwanted).is_none());
        let mut tries = 0;
        for _ in 0..2 {
            let found = kept.get(Path::new("damaged.mp4"), &facts(1), || {
                tries += 1;
                Err(VideoError::NoVideo)
            });
            assert!(found.is_none());
        }
        assert_eq!((tries, kept.lock().bytes), (1, 0));
    }
}
