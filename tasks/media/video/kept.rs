//! Whole videos in memory, so that one is decoded once however often clips of it are drawn.
//!
//! What fits stays, and the rest is decoded at each use: every video is drawn equally often, so that exchanging one for
//! another would win nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clip::Clip;
use super::probe::VideoFacts;
use super::program::VideoError;

/// A video that takes more than this part of the room is not kept: decoding it whole for one clip would cost too much.
const PART: u64 = 16;

/// Videos in memory.
pub(super) struct Kept {
    /// In bytes, of all together.
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is kept, and what is being decoded to be kept.
    bytes: u64,
    /// `None` is a video that cannot be decoded to its end.
    videos: HashMap<PathBuf, Option<Arc<Clip>>>,
}

impl Kept {
    /// Nothing yet, and room for `limit` bytes.
    pub fn new(limit: u64) -> Self {
        let state = Mutex::default();
        Self { limit, state }
    }

    /// The whole video, its pictures in their own size: kept, or decoded by `decode` if there is room for it.
    pub fn get(
        &self,
        file: &Path,
        facts: &VideoFacts,
        decode: impl FnOnce() -> Result<Clip, VideoError>,
    ) -> Option<Arc<Clip>> {
        let bytes = facts.frames.saturating_mul((3 * facts.width * facts.height) as u64);
        {
            let mut state = self.lock();
            if let Some(known) = state.videos.get(file) {
                return known.clone();
            }
            if bytes > self.limit / PART || bytes > self.limit - state.bytes {
                return None;
            }
            state.bytes += bytes;
        }
        // what is damaged beyond the clip that is wanted is no error of that clip
        let video = decode().ok().map(Arc::new);
        let mut state = self.lock();
        let before = state.videos.insert(file.to_owned(), video.clone());
        // of two threads that were at it together, one has taken its room in vain
        if video.is_none() || before.is_some() {
            state.bytes -= bytes;
        }
        video
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // nothing that can panic runs under the lock
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let kept = Kept::new(12 * PART * 2);
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
    fn a_long_video_is_not_decoded_and_a_damaged_one_is_tried_once() {
        let kept = Kept::new(12 * PART);
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
