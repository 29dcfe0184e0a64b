//! Pictures in: jpeg and png files to RGB bytes as Pillow has them, crops and augmentation as
//! torchvision and timm do them, and bytes to normalised model inputs.

mod augment;
mod crop;
mod decode;
mod erase;
mod operation;
mod picture;
mod pictures;
mod pillow;
mod rand_augment;
mod warp;

pub use augment::ImageAugment;
pub use crop::{Region, Resizer, random_region};
pub(crate) use decode::picture_kind;
pub use decode::{ImageError, MOST_PIXELS, decode};
pub use erase::Erasing;
pub(crate) use picture::PICTURE_VERSION;
pub use picture::{Picture, to_input};
pub(crate) use pictures::{Pictures, read};
pub(crate) use pillow::resize as resize_as_pillow;
pub use rand_augment::RandAugment;

#[cfg(test)]
pub(crate) mod tests;
