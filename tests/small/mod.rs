//! A small model on made-up spectrograms, for tests that need real training in seconds.

use bridle::codebook::{Learning, SoftPick, Start};
use bridle::config::{AudioRows, DecoderConfig, DecoderKind, Geometry, ModelConfig, StackConfig};
use bridle::rq::{Restart, RqConfig, Space};
use bridle_seed::Seed;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Samples of the made-up data.
pub const SAMPLES: usize = 64;

/// 64 x 32 spectrograms, 32 tokens, three levels of 32 codes.
pub fn config() -> ModelConfig<RqConfig> {
    let stack = |dim, depth| StackConfig {
        dim,
        depth,
        heads: 4,
        mlp_ratio: 4,
    };
    ModelConfig {
        geometry: Geometry::Audio {
            frames: 64,
            mels: 32,
            patch: 8,
            rows: AudioRows::Scrambled,
        },
        encoder: stack(32, 2),
        decoder: DecoderConfig {
            kind: DecoderKind::Global,
            stack: stack(16, 1),
        },
        estimator: stack(32, 1),
        quantizer: RqConfig {
            codebooks: 3,
            codebook_size: 32,
            code_dim: 8,
            decay: 0.99,
            commitment: 0.25,
            start: Start::Kmeans,
            kmeans_iterations: 10,
            soft_codes: 1,
            soft_pick: SoftPick::Farthest,
            restart: Restart::FirstForward,
            space: Space::UnitLookup,
            learning: Learning::Ema,
            ..RqConfig::default()
        },
    }
}

/// The data: sums of three moving ridges and some noise, the same in every run. Row-major [SAMPLES, 64, 32].
pub fn spectrograms() -> Vec<f32> {
    let mut values = Vec::with_capacity(SAMPLES * 64 * 32);
    for sample in 0..SAMPLES {
        let mut stream = Seed::root(2026).child("spectrograms").indexed(sample as u64).stream();
        let ridges: Vec<[f32; 3]> = (0..3)
            .map(|_| {
                [
                    32.0 * stream.uniform(),
                    stream.uniform() - 0.5,
                    1.0 + 2.0 * stream.uniform(),
                ]
            })
            .collect();
        for time in 0..64 {
            for mel in 0..32 {
                let ridge = |&[place, slope, width]: &[f32; 3]| {
                    let distance = (mel as f32 - place - slope * time as f32) / width;
                    2.0 * (-distance * distance).exp()
                };
                values.push(ridges.iter().map(ridge).sum::<f32>() - 0.6 + 0.1 * stream.normal());
            }
        }
    }
    values
}

/// Some samples as [B, 1, 1, 64, 32].
pub fn batch<B: Backend>(data: &[f32], samples: &[usize], device: &B::Device) -> Tensor<B, 5> {
    let values: Vec<f32> = samples
        .iter()
        .flat_map(|&sample| data[sample * 2048..(sample + 1) * 2048].to_vec())
        .collect();
    Tensor::from_data(TensorData::new(values, [samples.len(), 1, 1, 64, 32]), device)
}
