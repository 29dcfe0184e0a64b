//! The form of an encoder's inputs: from numbers on the host to what the encoder takes, each sound as long as
//! it is.

use bridle_backends::Ops;
use bridle_encoders::{Body, EncoderError, Input};
use bridle_tasks::DataError;
use bridle_tasks::pipeline::{Pipeline, own};
use burn::tensor::{Tensor, TensorData};

/// What an encoder's inputs look like.
#[derive(Clone, Debug)]
pub struct Form {
    /// The axes of an input; of shorter sounds with what they lack.
    shape: Vec<usize>,
    /// Numbers of one sample of a sound, or of one row of a spectrogram.
    width: usize,
    body: Body,
}

impl Form {
    /// Of inputs of this shape, as a data set has them.
    pub fn new(body: &Body, pipeline: &Pipeline, shape: &[usize]) -> Self {
        let shape = match pipeline {
            // [1, samples] of a sound itself, for which encoders have one axis
            Pipeline::Wave(_) => shape[1..].to_vec(),
            _ => shape.to_vec(),
        };
        Self {
            width: width(&shape),
            body: body.clone(),
            shape,
        }
    }

    /// Numbers of an input.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Fails for a sound that has no frame: an error when it is read, so that computing needs none.
    ///
    /// # Errors
    /// If one of these inputs, one after the other, is too short.
    pub fn check(&self, values: &[f32]) -> Result<(), DataError> {
        let rows = |input| own(input).len() / self.width;
        let of_sound = self.shape.len() < 3;
        match values
            .chunks(self.size())
            .map(rows)
            .find(|rows| self.body.frames(*rows) == 0)
        {
            Some(rows) if of_sound => Err(unfit(format!("a sound of {rows} is too short for a frame"))),
            _ => Ok(()),
        }
    }

    /// These inputs, one after the other, for the encoder: together if they have one length or the encoder
    /// takes several, else each by itself.
    ///
    /// # Errors
    /// If they are not of this form.
    pub fn inputs<B: Ops>(&self, mut values: Vec<f32>, device: &B::Device) -> Result<Vec<Input<B>>, DataError> {
        let (length, count) = (self.size(), values.len() / self.size());
        let rows: Vec<&[f32]> = values.chunks(length).map(own).collect();
        let whole = |values, shape: &[usize]| Input::from_values(values, shape, device).map_err(unfit);
        if rows.iter().all(|row| row.len() == length) {
            values.truncate(count * length);
            return Ok(vec![whole(values, &[&[count], &self.shape[..]].concat())?]);
        }
        if self.body.has_frames() {
            return Ok(vec![padded(&rows, self.width, device)]);
        }
        let single = |row: &&[f32]| {
            let mut shape = self.shape.clone();
            shape[0] = row.len() / self.width;
            whole(row.to_vec(), &[&[1], &shape[..]].concat())
        };
        rows.iter().map(single).collect()
    }
}

/// Numbers of one step along the first axis.
fn width(shape: &[usize]) -> usize {
    shape.iter().skip(1).product()
}

/// Sounds (rows of one number) or spectrograms, padded to the longest.
pub fn padded<B: Ops>(sounds: &[&[f32]], width: usize, device: &B::Device) -> Input<B> {
    let (count, longest) = (sounds.len(), sounds.iter().map(|sound| sound.len()).max().unwrap_or(0));
    let mut values = vec![0.0; count * longest];
    for (place, sound) in sounds.iter().enumerate() {
        values[place * longest..][..sound.len()].copy_from_slice(sound);
    }
    let lengths = sounds.iter().map(|sound| sound.len() / width).collect();
    let rows = longest / width;
    if width == 1 {
        let data = TensorData::new(values, [count, rows]);
        return Input::Sounds(Tensor::from_data(data, device), lengths);
    }
    let data = TensorData::new(values, [count, rows, width]);
    Input::Spectrograms(Tensor::from_data(data, device), lengths)
}

/// Inputs whose settings contradict the weights, or that are too short.
pub(super) fn unfit(reason: impl Into<Reason>) -> DataError {
    DataError::WrongInput {
        task: "the encoder's own input pipeline",
        reason: reason.into().0,
    }
}

/// Why an input does not fit, in words.
pub(super) struct Reason(String);

impl From<String> for Reason {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<EncoderError> for Reason {
    fn from(error: EncoderError) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use bridle_tasks::pipeline::NOTHING;
    use burn_flex::Flex;

    #[test]
    fn sounds_are_padded_to_the_longest_and_keep_their_lengths() {
        let Input::Sounds(x, lengths) = padded::<Flex>(&[&[1.0, 2.0], &[3.0]], 1, &Default::default()) else {
            panic!("sounds")
        };
        assert_eq!((x.dims(), lengths), ([2, 2], vec![2, 1]));
        assert_eq!(x.into_data().to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 0.0]);
        let rows: [&[f32]; 2] = [&[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0]];
        let Input::Spectrograms(x, lengths) = padded::<Flex>(&rows, 2, &Default::default()) else {
            panic!("spectrograms")
        };
        assert_eq!((x.dims(), lengths), ([2, 2, 2], vec![1, 2]));
        assert_eq!(own(&[0.0, 1.0, NOTHING, NOTHING]), [0.0, 1.0]);
    }
}
