//! The likeliest alignment: best path decoding (Graves et al. 2006, section 3.2).

use crate::Frames;

/// The symbols of the likeliest alignment. Of equally likely symbols the first is taken.
pub fn greedy(frames: &Frames) -> Vec<usize> {
    let likeliest = |frame: &[f32]| {
        let better = |best: usize, symbol: usize| if frame[symbol] > frame[best] { symbol } else { best };
        (0..frame.len()).fold(0, better)
    };
    let alignment: Vec<usize> = frames.iter().map(likeliest).collect();
    collapse(&alignment, frames.blank())
}

/// What an alignment says: equal neighbours are one symbol, and blanks are none.
pub fn collapse(alignment: &[usize], blank: usize) -> Vec<usize> {
    let runs = alignment.chunk_by(|a, b| a == b).map(|run| run[0]);
    runs.filter(|&symbol| symbol != blank).collect()
}
