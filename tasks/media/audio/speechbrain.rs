//! The log-mel filterbank of SpeechBrain 1.0, as its recipe of BEST-RQ uses it.
//!
//! Power spectrum of 400 points of frames centred on multiples of 160 samples, with zeros around
//! the sound, periodic Hamming window; triangles on the mel scale 2595 log10(1 + f / 700) from 0 Hz
//! to half the sample rate, each side as wide as the lower of its two steps; decibels of at least
//! 1e-10, and not lower than the sound's largest less 80.

use realfft::RealFftPlanner;

use super::triangle::Triangle;

/// The one rate at which 25 ms are the 400 points of the spectrum.
pub(crate) const SAMPLE_RATE: u32 = 16_000;
const WINDOW: usize = 400;
const HOP: usize = 160;
const LEAST: f32 = 1e-10;
/// Decibels below the loudest.
const RANGE: f32 = 80.0;

/// The number of frames of `samples` samples.
pub(crate) fn frames(samples: usize) -> usize {
    1 + samples / HOP
}

/// Decibels of a waveform at 16,000 Hz: \[frames, mels\].
pub(crate) fn decibels(wave: &[f32], mels: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU / WINDOW as f64;
    let window: Vec<f32> = (0..WINDOW)
        .map(|n| (0.54 - 0.46 * (step * n as f64).cos()) as f32)
        .collect();
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let (mut frame, mut spectrum) = (fft.make_input_vec(), fft.make_output_vec());
    let (mut scratch, mut power) = (fft.make_scratch_vec(), vec![0.0; WINDOW / 2 + 1]);
    let triangles = triangles(mels);
    let mut values = Vec::with_capacity(frames(wave.len()) * mels);
    for number in 0..frames(wave.len()) {
        for (n, (sample, weight)) in frame.iter_mut().zip(&window).enumerate() {
            let place = (number * HOP + n).checked_sub(WINDOW / 2);
            *sample = weight * place.and_then(|place| wave.get(place)).unwrap_or(&0.0);
        }
        fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch)
            .expect("every buffer was made by this plan, so the lengths agree");
        for (power, bin) in power.iter_mut().zip(&spectrum) {
            *power = bin.norm_sqr();
        }
        values.extend(
            triangles
                .iter()
                .map(|triangle| 10.0 * triangle.energy(&power).max(LEAST).log10()),
        );
    }
    let floor = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - RANGE;
    values.iter_mut().for_each(|value| *value = value.max(floor));
    values
}

fn triangles(mels: usize) -> Vec<Triangle> {
    let highest = f64::from(SAMPLE_RATE) / 2.0;
    let top = 2595.0 * (1.0 + highest / 700.0).log10();
    let hertz = |edge: usize| 700.0 * (10f64.powf(top * edge as f64 / (mels + 1) as f64 / 2595.0) - 1.0);
    let triangle = |mel: usize| {
        let (centre, width) = (hertz(mel + 1), hertz(mel + 1) - hertz(mel));
        Triangle::new(WINDOW / 2 + 1, |bin| {
            let slope = (bin as f64 * f64::from(SAMPLE_RATE) / WINDOW as f64 - centre) / width;
            (1.0 - slope.abs()).max(0.0) as f32
        })
    };
    (0..mels).map(triangle).collect()
}
