//! Reads the `pretrained_cfg` of timm: how its models' pictures are made for evaluation.

use serde_json::{Value, json};

use super::settings::{Settings, refused};
use super::{Filter, IMAGENET, Picture, Pipeline, PipelineError, Resize, Rounding};

impl Pipeline {
    /// The pipeline of timm's `config.json`, or of its `pretrained_cfg` alone. Of the other settings,
    /// which are about weights and licences, none changes a picture.
    ///
    /// # Errors
    /// Names a key with a value that is not supported.
    pub fn from_timm(config: &Value) -> Result<Self, PipelineError> {
        let settings = Settings::new(config.get("pretrained_cfg").unwrap_or(config))?;
        let sides = settings.get("input_size").map_or(Ok([224; 2]), |value| {
            let sides: Option<Vec<usize>> = value
                .as_array()
                .and_then(|list| list.iter().map(super::settings::count).collect());
            match sides.as_deref() {
                Some([3, height, width]) => Ok([*height, *width]),
                _ => Err(refused("input_size", value, "it is not [3, height, width]")),
            }
        })?;
        let filter = match settings.text("interpolation")? {
            Some("bilinear") => Filter::Bilinear,
            Some("bicubic") | None => Filter::Bicubic,
            Some(other) => {
                return Err(refused(
                    "interpolation",
                    &json!(other),
                    "supported are bilinear and bicubic",
                ));
            }
        };
        let share = settings.number("crop_pct")?.unwrap_or(0.875);
        if !(share > 0.0 && share <= 1.0) {
            return Err(refused("crop_pct", &json!(share), "it is no share of a side"));
        }
        let scaled = sides.map(|side| (side as f64 / share).floor() as usize);
        let resize = match settings.text("crop_mode")? {
            Some("squash") => Resize::To(scaled),
            Some("center") | None if scaled[0] == scaled[1] => Resize::ShorterSide(scaled[0]),
            Some("center") | None => {
                let reason = "it is supported of squares, or with a crop_mode of squash";
                return Err(refused("input_size", &json!(sides), reason));
            }
            Some(other) => return Err(refused("crop_mode", &json!(other), "supported are center and squash")),
        };
        let [mean, std] = IMAGENET;
        let pipeline = Self::Picture(Picture {
            resize,
            filter,
            crop: Some(sides),
            rounding: Rounding::Even,
            scale: 1.0 / 255.0,
            mean: settings.channels("mean")?.unwrap_or(mean),
            std: settings.channels("std")?.unwrap_or(std),
        });
        pipeline.check()?;
        Ok(pipeline)
    }
}
