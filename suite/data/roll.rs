//! Sound rolled in time, as a spectrogram, which is computed once: a roll of the waveform is a roll
//! of its frames.

use bridle_seed::Stream;
use bridle_tasks::InputSpec;

/// Rolls sound in time by a random number of frames; frames that pad a short clip stay at its end.
pub fn roll(values: &mut [f32], input: &InputSpec, stream: &mut Stream) {
    let InputSpec::Audio { mels, .. } = *input else { return };
    let sound = sounding_frames(values, mels, silence(input));
    if sound > 1 {
        values[..sound * mels].rotate_right(stream.below(sound) * mels);
    }
}

/// What the padding of a short clip is after normalisation: a log energy of 0.
pub fn silence(input: &InputSpec) -> f32 {
    let InputSpec::Audio { mean, std, .. } = *input else {
        return 0.0;
    };
    (0.0 - mean as f32) / (2.0 * std as f32)
}

/// Frames before the silence that pads a short clip.
pub fn sounding_frames(values: &[f32], mels: usize, silence: f32) -> usize {
    let padding = values
        .chunks_exact(mels)
        .rev()
        .take_while(|frame| frame.iter().all(|&value| value == silence));
    values.len() / mels - padding.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_told_from_sound() {
        let values = [0.5, 0.1, 0.2, 0.2, 0.2, 0.2];
        assert_eq!(sounding_frames(&values, 2, 0.2), 1);
        assert_eq!(sounding_frames(&values, 2, 0.0), 3);
        assert_eq!(sounding_frames(&[0.2; 6], 2, 0.2), 0);
    }
}
