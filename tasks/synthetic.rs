//! Tasks whose data the program makes itself: sound, pictures and videos.

mod image;
mod pattern;
mod sound;
mod video;

pub(crate) use image::SyntheticImage;
pub(crate) use sound::Synthetic;
pub(crate) use video::SyntheticVideo;

#[cfg(test)]
mod tests;
