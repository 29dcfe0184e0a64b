//! Every value of a fixture whose encoder is a vision transformer.

use crate::fixture::{Fixture, Values, host};
use bridle_backends::Ops;
use bridle_encoders::vit::Vit;
use bridle_encoders::vit::config::InputKind;
use bridle_encoders::{Encoder, EncoderError, Input, Pooling};
use bridle_tasks::pipeline::Pipeline;

/// Computes and compares all that the fixture has.
pub fn check<B: Ops>(fixture: &Fixture, pipeline: &Pipeline, encoder: &Encoder<B>, device: &B::Device) {
    let Encoder::Vit(vit) = encoder else {
        return fixture.fail("not a vision transformer".to_owned());
    };
    for name in fixture.values.keys() {
        // what outputs are made from
        if matches!(name.as_str(), "wave" | "image" | "frames") || name.starts_with("input_") {
            continue;
        }
        match value(fixture, pipeline, vit, name, device) {
            Ok(Some(found)) => fixture.compare(name, &found),
            Ok(None) => fixture.fail(format!("{name}: the program has no check for this value")),
            Err(error) => fixture.fail(format!("{name}: {error}")),
        }
    }
}

/// The value of this name as the program computes it; none if it does not know the name.
fn value<B: Ops>(
    fixture: &Fixture,
    pipeline: &Pipeline,
    vit: &Vit<B>,
    name: &str,
    device: &B::Device,
) -> Result<Option<Values>, EncoderError> {
    let of = |name: &str| input::<B>(fixture, vit, name, device);
    let pooled = |pooling| vit.pooled(of("input")?, pooling).map(host);
    let grid = |name: &str| vit.projected(of(name)?).map(|(_, grid)| grid);
    let positions = |name: &str| {
        let positions = vit.positions(grid(name)?)?;
        Ok::<_, EncoderError>(host(positions.expect("an encoder with positions")))
    };
    Ok(Some(match name {
        "input" => return made(fixture, pipeline),
        "last" => host(vit.states(of("input")?)?.last),
        "last_other_grid" => host(vit.states(of("input_other_grid")?)?.last),
        "projected" => host(vit.projected(of("input")?)?.0),
        "positions" => positions("input")?,
        "positions.other_grid" => positions("input_other_grid")?,
        "logits" => host(vit.logits(of("input")?)?),
        "cls" => pooled(Pooling::Cls)?,
        "patch_mean" | "token_mean" | "mean" => pooled(Pooling::Mean)?,
        "pooled.two_tokens" => pooled(Pooling::TwoTokens)?,
        "pooled.cls_and_mean" => pooled(Pooling::ClsAndMean)?,
        "pooled.last_two_cls" => pooled(Pooling::LastCls { blocks: 2, mean: false })?,
        "pooled.last_two_cls_and_mean" => pooled(Pooling::LastCls { blocks: 2, mean: true })?,
        "pooled.pooler" => pooled(Pooling::Pooler)?,
        "pooled.forward_head" => pooled(Pooling::MeanNorm)?,
        name => match name
            .strip_prefix("hidden.")
            .and_then(|number| number.parse::<usize>().ok())
        {
            Some(number) => match vit.states(of("input")?)?.hidden.into_iter().nth(number) {
                Some(hidden) => host(hidden),
                None => return Ok(None),
            },
            None => return Ok(None),
        },
    }))
}

/// A stored input as the encoder takes it: spectrograms without an axis of channels, channels before time.
pub fn input<B: Ops>(
    fixture: &Fixture,
    vit: &Vit<B>,
    name: &str,
    device: &B::Device,
) -> Result<Input<B>, EncoderError> {
    let Values { shape, data } = fixture.values[name].clone();
    match (vit.config.patches.input, &shape[..]) {
        (InputKind::Spectrogram | InputKind::SpectrogramByFrequency, &[batch, 1, frames, mels]) => {
            Input::from_values(data, &[batch, frames, mels], device)
        }
        (InputKind::Video, _) if fixture.model().is_dir() => {
            let Input::Videos(x) = Input::<B>::from_values(data, &shape, device)? else {
                panic!("a video of shape {shape:?}");
            };
            Ok(Input::Videos(x.swap_dims(1, 2)))
        }
        _ => Input::from_values(data, &shape, device),
    }
}

/// The input that the pipeline makes of the fixture's sound, picture or frames; itself if there is none.
fn made(fixture: &Fixture, pipeline: &Pipeline) -> Result<Option<Values>, EncoderError> {
    let raw = |name: &str| fixture.values.get(name);
    let bytes = |values: &Values| values.data.iter().map(|value| *value as u8).collect::<Vec<u8>>();
    let rows = if let Some(wave) = raw("wave") {
        let wave: Vec<f32> = wave.data.iter().map(|value| value / 32768.0).collect();
        pipeline.sound(&wave)?
    } else if let Some(image) = raw("image") {
        let picture = bridle_tasks::Picture {
            width: image.shape[1],
            height: image.shape[0],
            rgb: bytes(image),
        };
        pipeline.picture(&picture)?
    } else if let Some(frames) = raw("frames") {
        let clip = bridle_tasks::Clip {
            frames: frames.shape[0],
            width: frames.shape[2],
            height: frames.shape[1],
            rgb: bytes(frames),
        };
        let Pipeline::Video(video) = pipeline else {
            return Ok(None);
        };
        // the fixture's frames are those that were taken
        let rows = Pipeline::Video(bridle_tasks::pipeline::Video {
            step: 1,
            ..video.clone()
        })
        .video(&clip)?;
        return Ok(Some(time_first(rows.data, &rows.shape)));
    } else {
        return Ok(fixture.values.get("input").cloned());
    };
    Ok(Some(Values {
        shape: rows.shape,
        data: rows.data,
    }))
}

/// [C, T, H, W] to transformers' [T, C, H, W].
fn time_first(data: Vec<f32>, shape: &[usize]) -> Values {
    let [channels, frames, area] = [shape[0], shape[1], shape[2] * shape[3]];
    let frame = |time: usize, channel: usize| &data[(channel * frames + time) * area..][..area];
    let order = (0..frames).flat_map(|time| (0..channels).map(move |channel| (time, channel)));
    Values {
        shape: vec![frames, channels, shape[2], shape[3]],
        data: order
            .flat_map(|(time, channel)| frame(time, channel).to_vec())
            .collect(),
    }
}
