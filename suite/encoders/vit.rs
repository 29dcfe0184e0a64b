//! One vision transformer for pictures, sounds and videos.

pub mod posconv;
