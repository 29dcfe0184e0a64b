//! From the plan's values to the model's sizes and first weights.

use crate::plan::{Core, Sizes};
use crate::quantizers::ModelConfig;
use bridle::config::{AudioRows, DecoderConfig, Geometry, StackConfig};
use bridle::init::Init;
use bridle::speech::conformer::ConformerConfig;
use bridle_seed::Seed;
use bridle_tasks::InputSpec;
use burn::tensor::backend::Backend;

/// Where the plan's first weights are drawn.
pub fn init<B: Backend>(plan: &Core, seed: Seed, device: &B::Device) -> Init<B> {
    Init::new(seed, device).with_patch(plan.init.patch)
}

/// What the plan's input looks like to the model.
pub fn geometry(plan: &Core) -> Geometry {
    let rows = plan.position.as_ref().map(|position| position.audio_rows);
    geometry_of(plan.fixed_input(), &plan.vit().sizes, rows)
}

/// What an input of this program looks like to a ViT of these sizes.
pub fn geometry_of(input: &InputSpec, sizes: &Sizes, rows: Option<AudioRows>) -> Geometry {
    let &Sizes { patch, tubelet, .. } = sizes;
    match *input {
        InputSpec::Audio { frames, mels, .. } => Geometry::Audio {
            frames,
            mels,
            patch,
            rows: rows.unwrap_or(AudioRows::Scrambled),
        },
        InputSpec::Image { side, .. } => Geometry::Image { side, patch },
        InputSpec::Video { frames, side, .. } => Geometry::Video {
            frames,
            side,
            patch,
            tubelet: tubelet.unwrap_or(1),
        },
        InputSpec::Pipeline(_) => unreachable!("a ViT of this program has no such input"),
    }
}

/// The position table [N, D] where it is not that of the plan's own geometry: rows of a longer
/// sound's table.
pub fn cropped_positions(plan: &Core) -> Option<Vec<f32>> {
    let crop = plan.position_crop()?;
    let longer = match geometry(plan) {
        Geometry::Audio { mels, patch, rows, .. } => Geometry::Audio {
            frames: crop.frames,
            mels,
            patch,
            rows,
        },
        other => other,
    };
    let dim = plan.model.dim();
    let table = bridle::position::table(&longer, dim);
    Some(table[crop.first * dim..(crop.first + crop.tokens) * dim].to_vec())
}

/// Sizes of the encoder (and of the tokenizer's body).
pub fn encoder(plan: &Core) -> StackConfig {
    let sizes = &plan.vit().sizes;
    StackConfig {
        dim: sizes.dim,
        depth: sizes.depth,
        heads: sizes.heads,
        mlp_ratio: sizes.mlp_ratio,
    }
}

/// Sizes of a Conformer, and of its tokenizer's body.
pub fn conformer(plan: &Core) -> ConformerConfig {
    let sizes = plan.conformer();
    ConformerConfig {
        inputs: plan.width(),
        dim: sizes.dim,
        depth: sizes.depth,
        heads: sizes.heads,
        ff_ratio: sizes.ff_ratio,
        kernel: sizes.kernel,
    }
}

/// Sizes of every part, with the quantizer of encoder phases; None where the plan pretrains nothing.
pub fn config(plan: &Core) -> Option<ModelConfig> {
    let vit = plan.vit();
    let (decoder, estimator) = (vit.decoder.as_ref()?, vit.estimator.as_ref()?);
    let quantizer = plan.label_quantizer()?;
    let mlp_ratio = vit.sizes.mlp_ratio;
    let stack = |dim, depth, heads| StackConfig {
        dim,
        depth,
        heads,
        mlp_ratio,
    };
    Some(ModelConfig {
        geometry: geometry(plan),
        encoder: encoder(plan),
        decoder: DecoderConfig {
            kind: decoder.kind,
            stack: stack(decoder.dim, decoder.depth, decoder.heads),
        },
        estimator: stack(estimator.dim, estimator.depth, estimator.heads),
        quantizer,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use crate::plan::InitRequest;
    use crate::plan::{Plan, PlanRequest};
    use crate::quantizers::AnyQuantizer;
    use crate::run::encoder_file::EncoderCard;
    use bridle::codebook::SeededPicks;
    use bridle::patch::PatchEmbed;
    use bridle::quantizer::{Mode, Quantizer as _};
    use burn::tensor::{Tensor, TensorData};
    use burn_flex::Flex;

    fn plan(set: &[&str]) -> Plan {
        let request = PlanRequest {
            task: "esc50".to_owned(),
            preset: Some("smoke".to_owned()),
            set: set.iter().map(|&set| set.to_owned()).collect(),
            ..PlanRequest::default()
        };
        Plan::resolve(&request).unwrap()
    }

    /// Asserts that these numbers are uniform in [-bound, bound): none beyond it, some near each end,
    /// and the deviation of that distribution, bound / sqrt(3).
    fn assert_uniform(what: &str, values: &[f32], bound: f32) {
        let deviation = (values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32).sqrt();
        let (least, most) = values.iter().fold((0f32, 0f32), |(a, b), &x| (a.min(x), b.max(x)));
        assert!(
            -bound <= least && most < bound,
            "{what}: {least} to {most} is not within {bound}"
        );
        assert!(
            least < -0.9 * bound && most > 0.9 * bound,
            "{what}: {least} to {most} of {bound}"
        );
        let share = deviation * 3f32.sqrt() / bound;
        assert!((share - 1.0).abs() < 0.1, "{what}: {share} of the deviation");
    }

    /// `initialize_weights` sets the weights of sounds and images to Glorot's form
    /// (model/encoder_decoder.py:129-131). Otherwise it reaches linear layers and norms only
    /// (140-148; for video model_video/encoder_decoder.py:60-67), so that what PyTorch draws for a
    /// convolution stays: uniform within 1 / sqrt(fan in).
    #[test]
    fn patches_start_as_the_authors_convolutions() {
        for (task, fan_in) in [("esc50", 256f32), ("imagenet", 768.0), ("kinetics", 1536.0)] {
            let weights = |set: &[&str]| {
                let plan = Plan::resolve(&PlanRequest {
                    task: task.to_owned(),
                    method: Some("random-init".to_owned()),
                    preset: Some("paper".to_owned()),
                    set: set.iter().map(|&set| set.to_owned()).collect(),
                    ..PlanRequest::default()
                });
                let plan = plan.unwrap();
                let place = init::<Flex>(&plan, Seed::root(0), &Default::default()).child("student");
                let proj = PatchEmbed::new(&geometry(&plan), plan.model.dim(), &place.child("encoder")).proj;
                let of = |values: TensorData| values.iter::<f32>().collect::<Vec<f32>>();
                (
                    of(proj.weight.val().into_data()),
                    of(proj.bias.unwrap().val().into_data()),
                )
            };
            let (glorot, pytorch) = ((6.0 / (fan_in + 768.0)).sqrt(), fan_in.sqrt().recip());
            let (weight, bias) = weights(&[]);
            assert_uniform(
                &format!("{task}, weights"),
                &weight,
                if task == "kinetics" { pytorch } else { glorot },
            );
            assert_uniform(&format!("{task}, bias"), &bias, pytorch);
            for set in ["init.patch=glorot", "recipe=corrected"] {
                let (weight, bias) = weights(&[set]);
                assert_uniform(&format!("{task}, weights, {set}"), &weight, glorot);
                assert!(bias.iter().all(|&x| x == 0.0), "{task}, {set}");
            }
        }
    }

    fn quantizer(set: &[&str]) -> AnyQuantizer<Flex> {
        let config = plan(set).core.quantizer.unwrap();
        AnyQuantizer::new(&config, &Init::new(Seed::root(0), &Default::default()))
    }

    /// Latents around `centres` places, [4, 64, 32].
    fn latents(centres: usize, seed: u64) -> Tensor<Flex, 3> {
        let places: Vec<f32> = {
            let mut stream = Seed::root(99).stream();
            (0..centres * 32).map(|_| 3.0 * stream.normal()).collect()
        };
        let mut stream = Seed::root(seed).stream();
        let values: Vec<f32> = (0..256)
            .flat_map(|_| {
                let centre = stream.below(centres) * 32;
                places[centre..centre + 32]
                    .iter()
                    .map(|x| x + 0.1 * stream.normal())
                    .collect::<Vec<_>>()
            })
            .collect();
        Tensor::from_data(TensorData::new(values, [4, 64, 32]), &Default::default())
    }

    fn used(quantizer: &mut AnyQuantizer<Flex>, latents: Tensor<Flex, 3>) -> usize {
        let codes = quantizer
            .forward(latents, Mode::Eval, &mut SeededPicks(Seed::root(3)))
            .codes;
        let mut first: Vec<i64> = codes.narrow(2, 0, 1).into_data().iter::<i64>().collect();
        first.sort_unstable();
        first.dedup();
        first.len()
    }

    #[test]
    fn codes_decode_to_the_vectors_in_every_space() {
        for set in [
            &[][..],
            &["quantizer.space=raw"],
            &["quantizer.soft_codes=2", "quantizer.soft_pick=nearest"],
            &["quantizer=random", "quantizer.levels=3", "quantizer.code_dim=32"],
        ] {
            let mut quantizer = quantizer(set);
            let found = quantizer.forward(latents(40, 1), Mode::Eval, &mut SeededPicks(Seed::root(3)));
            let decoded = quantizer.decode(found.codes);
            let error = (decoded - found.values).abs().max().into_scalar();
            assert!(error < 1e-4, "{set:?}: {error}");
        }
    }

    #[test]
    fn each_level_of_the_raw_space_leaves_less_over() {
        let error = |levels: &str| {
            let mut quantizer = quantizer(&["quantizer.space=raw", "quantizer.codes=16", levels]);
            let latents = latents(300, 1);
            let found = quantizer.forward(latents.clone(), Mode::Eval, &mut SeededPicks(Seed::root(3)));
            let centred = latents.clone() - latents.clone().mean_dim(2);
            let unit = centred.clone() / (centred.powi_scalar(2).mean_dim(2) + 1e-6).sqrt();
            (unit - found.values).powi_scalar(2).mean().into_scalar()
        };
        let errors: Vec<f32> = (1..=4)
            .map(|levels| error(&format!("quantizer.levels={levels}")))
            .collect();
        assert!(errors.windows(2).all(|pair| pair[1] < pair[0]), "{errors:?}");
    }

    #[test]
    fn the_nearest_of_several_codes_is_the_one_code() {
        let one = quantizer(&[])
            .forward(latents(40, 1), Mode::Eval, &mut SeededPicks(Seed::root(3)))
            .codes;
        let set = ["quantizer.soft_codes=2", "quantizer.soft_pick=nearest"];
        let two = quantizer(&set)
            .forward(latents(40, 1), Mode::Eval, &mut SeededPicks(Seed::root(3)))
            .codes;
        let first = |codes: Tensor<Flex, 3, burn::tensor::Int>| {
            codes.narrow(2, 0, 1).into_data().iter::<i64>().collect::<Vec<_>>()
        };
        assert_eq!(first(one), first(two));
    }

    /// Codebooks that start on few places, then see many: only a restart by usage brings the dead
    /// codes back.
    #[test]
    fn a_restart_by_usage_brings_codes_back() {
        let after = |set: &[&str], mode: Mode| {
            let mut quantizer = quantizer(set);
            quantizer.forward(latents(5, 1), Mode::Train, &mut SeededPicks(Seed::root(3)));
            for step in 0..5 {
                quantizer.forward(latents(300, 10 + step), Mode::Train, &mut SeededPicks(Seed::root(3)));
            }
            quantizer.forward(latents(300, 20), mode, &mut SeededPicks(Seed::root(3)));
            used(&mut quantizer, latents(300, 30))
        };
        let few = ["quantizer.codes=64", "quantizer.decay=0.5"];
        let by_usage = [few[0], few[1], "quantizer.restart=by-usage"];
        let (still, restarted) = (after(&by_usage, Mode::Train), after(&by_usage, Mode::Restart));
        assert!(restarted > still, "{restarted} codes used, {still} without a restart");
        // the authors' form takes no notice of the request
        assert_eq!(after(&few, Mode::Restart), after(&few, Mode::Train));
    }

    #[test]
    fn in_token_order_neighbours_in_time_share_their_mel_half() {
        let table = |set: &[&str]| bridle::position::table(&geometry(&plan(set)), 64);
        let ordered = table(&["position.audio_rows=token-order"]);
        let row = |table: &[f32], token: usize| table[token * 64..(token + 1) * 64].to_vec();
        // tokens are time-major with 8 mels: token 3 and token 3 + 8 are one mel at two times
        let (a, b) = (row(&ordered, 3), row(&ordered, 11));
        assert_eq!(a[..32], b[..32]);
        assert_ne!(a[32..], b[32..]);
        let scrambled = table(&[]);
        assert_ne!(row(&scrambled, 3)[..32], row(&scrambled, 11)[..32]);
    }

    fn given(name: &str, card: &EncoderCard) -> InitRequest {
        InitRequest {
            name: name.to_owned(),
            sha256: "0".repeat(64),
            input: card.input.clone(),
            sizes: card.model.clone(),
            audio_rows: card.audio_rows,
        }
    }

    /// Weights trained on twice ESC-50's length, as the authors have them from AudioSet.
    fn on_longer_sounds(set: &[&str]) -> Plan {
        let longer = Plan::resolve(&PlanRequest {
            task: "audioset".to_owned(),
            preset: Some("smoke".to_owned()),
            ..PlanRequest::default()
        });
        let init = given("longer.safetensors", &EncoderCard::of(&longer.unwrap(), None));
        Plan::resolve(&PlanRequest {
            task: "esc50".to_owned(),
            preset: Some("smoke".to_owned()),
            init: Some(init),
            set: set.iter().map(|&set| set.to_owned()).collect(),
            ..PlanRequest::default()
        })
        .unwrap()
    }

    #[test]
    fn a_shorter_clip_takes_rows_from_the_middle_of_the_longer_table() {
        let with_cls = {
            let geometry = Geometry::Audio {
                frames: 1024,
                mels: 128,
                patch: 16,
                rows: bridle::config::AudioRows::Scrambled,
            };
            let dim = on_longer_sounds(&[]).model.dim();
            let cls = std::iter::repeat_n(0.0, dim);
            let rows: Vec<f32> = cls.chain(bridle::position::table(&geometry, dim)).collect();
            move |row: usize| rows[row * dim..(row + 1) * dim].to_vec()
        };
        for (set, by_time) in [(&[][..], false), (&["esc50.position_crop=by-time"], true)] {
            let plan = on_longer_sounds(set);
            let table = cropped_positions(&plan).unwrap();
            let rows = bridle::position::crop_rows(plan.tokens(), by_time);
            let expected: Vec<f32> = rows[1..].iter().flat_map(|&row| with_cls(row)).collect();
            assert_eq!(table, expected, "{set:?}");
        }
        // trained on the same length, there is nothing to crop
        assert_eq!(cropped_positions(&plan(&[])), None);
    }

    #[test]
    fn weights_of_another_kind_of_input_are_refused_by_name() {
        let card = EncoderCard::of(&plan(&[]), None);
        let refusal = |task: &str, set: &str| {
            let request = PlanRequest {
                task: task.to_owned(),
                init: Some(given("short.safetensors", &card)),
                set: [set]
                    .iter()
                    .filter(|set| !set.is_empty())
                    .map(|set| set.to_string())
                    .collect(),
                ..PlanRequest::default()
            };
            Plan::resolve(&request).unwrap_err().to_string()
        };
        assert_eq!(
            refusal("audioset", ""),
            "`data.frames`: 1024, but the weights given with --init were trained on 512, and on none longer"
        );
        assert_eq!(
            refusal("synthetic-image", ""),
            "`data.kind`: image, but the weights given with --init were trained on audio"
        );
        assert_eq!(
            refusal("esc50", "model.dim=64"),
            "`model.dim` is a fact of the weights given with --init and cannot be set"
        );
        assert_eq!(
            refusal("esc50", "method=bridle"),
            "method `init` needs weights given with --init, and --init needs method `init`"
        );
    }
}
