//! Sound made louder or softer, as a spectrogram, which is computed once: a factor on the waveform
//! is a constant added to its log energies.

use super::roll::{silence, sounding_frames};
use bridle_seed::Stream;
use bridle_tasks::InputSpec;

/// Multiplies the waveform of sound by Beta(10, 10) + 0.5: from half to one and a half, mostly near
/// one (authors' dataset.py, `_roll_mag_aug`). Frames that pad a short clip stay, and so does what
/// is digitally silent, whose energy the filterbank raises to its least.
pub fn gain(values: &mut [f32], input: &InputSpec, stream: &mut Stream) {
    let InputSpec::Audio { mels, std, .. } = *input else {
        return;
    };
    let factor = beta(10.0, stream) + 0.5;
    let shift = (factor.ln() / std) as f32; // 2 ln m of log energy, over 2 std
    let (sound, least) = (sounding_frames(values, mels, silence(input)), least(input));
    for value in &mut values[..sound * mels] {
        if *value > least {
            *value = (*value + shift).max(least);
        }
    }
}

/// What the least log energy is after normalisation: that of 32-bit epsilon, which the filterbank
/// gives no sound at all.
pub fn least(input: &InputSpec) -> f32 {
    let InputSpec::Audio { mean, std, .. } = *input else {
        return f32::NEG_INFINITY;
    };
    (f32::EPSILON.ln() - mean as f32) / (2.0 * std as f32)
}

/// Beta(a, a), as the share of one of two gamma variates of equal shape (Marsaglia and Tsang 2000).
pub fn beta(alpha: f64, stream: &mut Stream) -> f64 {
    let (a, b) = (gamma(alpha, stream), gamma(alpha, stream));
    // both vanish only for tiny shapes, where the two ends are equally likely
    if a + b > 0.0 {
        a / (a + b)
    } else {
        f64::from(u8::from(stream.uniform() < 0.5))
    }
}

fn gamma(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        let uniform = f64::from(stream.uniform()).max(f64::MIN_POSITIVE);
        return gamma(shape + 1.0, stream) * uniform.powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let normal = f64::from(stream.normal());
        let v = (1.0 + c * normal).powi(3);
        let uniform = f64::from(stream.uniform()).max(f64::MIN_POSITIVE);
        if v > 0.0 && uniform.ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridle_seed::Seed;

    fn input() -> InputSpec {
        InputSpec::Audio {
            frames: 6,
            mels: 2,
            sample_rate: 16_000,
            mean: -6.0,
            std: 5.0,
        }
    }

    #[test]
    fn a_gain_moves_all_sound_alike_and_neither_padding_nor_digital_silence() {
        let (padding, floor) = (silence(&input()), least(&input()));
        let clip = [
            0.3, floor, -0.2, 0.1, floor, floor, 0.4, 0.2, padding, padding, padding, padding,
        ];
        let mut shifts = Vec::new();
        for draw in 0..200 {
            let mut louder = clip;
            gain(&mut louder, &input(), &mut Seed::root(7).indexed(draw).stream());
            let shift = louder[0] - clip[0];
            for (after, before) in louder.iter().zip(clip) {
                let stays = before == floor || before == padding;
                let expected = if stays { before } else { before + shift };
                assert!((after - expected).abs() < 1e-6, "{after} from {before}, by {shift}");
            }
            shifts.push(f64::from(shift) * 5.0);
        }
        // ln of half and of one and a half
        assert!(shifts.iter().all(|shift| (-0.7..0.41).contains(shift)), "{shifts:?}");
        assert!(shifts.iter().any(|shift| *shift > 0.1) && shifts.iter().any(|shift| *shift < -0.1));
    }

    #[test]
    fn beta_has_its_mean_and_variance() {
        for alpha in [0.4, 1.0, 10.0] {
            let mut stream = Seed::root(1).stream();
            let draws: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut stream)).collect();
            let mean = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.012, "Beta({alpha}): mean {mean}");
            assert!(
                (variance / expected - 1.0).abs() < 0.06,
                "Beta({alpha}): variance {variance}, not {expected}"
            );
        }
    }
}
