//! Tensors of a file: where their numbers lie, and reading them.

use crate::number::Number;
use crate::source::Source;
use crate::{ContainerError, Entry};

/// Most axes of a tensor.
pub(crate) const AXES: usize = 16;

/// Bytes that are turned into numbers at once; a multiple of every number's bytes.
const PIECE: usize = 64 << 10;

/// Where the numbers of a tensor lie.
#[derive(Debug)]
pub(crate) struct Place {
    /// Which of the checkpoint's files.
    pub source: usize,
    pub number: Number,
    /// Whether numbers are stored high byte first.
    pub big: bool,
    /// The byte in the file of the tensor's first number.
    pub start: u64,
    /// Numbers from the first to the last one, those between that are not the tensor's included.
    pub span: usize,
    /// How many numbers further the next one of each axis is; none if they lie in their order.
    pub strides: Option<Vec<usize>>,
}

impl Entry {
    pub(crate) fn new(shape: Vec<usize>, place: Place) -> Self {
        Self {
            shape,
            dtype: place.number.word(),
            place,
        }
    }

    /// The tensor's numbers, row-major.
    ///
    /// # Errors
    /// If the file cannot be read, or is not what it was when it was opened.
    pub(crate) fn read(&self, sources: &[Source]) -> Result<Vec<f32>, ContainerError> {
        let Place { number, big, span, .. } = self.place;
        let source = &sources[self.place.source];
        source.forget();
        let mut values = Vec::new();
        values.try_reserve_exact(span).map_err(|_| ContainerError::Read {
            path: source.path().to_owned(),
            source: std::io::ErrorKind::OutOfMemory.into(),
        })?;
        let mut piece = vec![0; PIECE.min(span * number.bytes())];
        while values.len() < span {
            let count = (span - values.len()).min(PIECE / number.bytes());
            let bytes = &mut piece[..count * number.bytes()];
            let start = self.place.start + (values.len() * number.bytes()) as u64;
            source.read(start, bytes)?;
            number.append(bytes, big, &mut values);
        }
        Ok(match &self.place.strides {
            Some(strides) => gathered(&values, &self.shape, strides),
            None => values,
        })
    }
}

/// The numbers of a view, row-major.
fn gathered(values: &[f32], shape: &[usize], strides: &[usize]) -> Vec<f32> {
    let mut found = Vec::new();
    if shape.contains(&0) {
        return found;
    }
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    loop {
        found.push(values[at]);
        // the last axis is the fastest
        let mut axis = shape.len();
        loop {
            let Some(next) = axis.checked_sub(1) else {
                return found;
            };
            axis = next;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                at += strides[axis];
                break;
            }
            at -= (shape[axis] - 1) * strides[axis];
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_gives_its_numbers_row_by_row() {
        let values: Vec<f32> = (0..12).map(|number| number as f32).collect();
        // rows of three, transposed
        assert_eq!(gathered(&values[..6], &[3, 2], &[1, 3]), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(gathered(&values, &[2, 2], &[6, 2]), [0., 2., 6., 8.]);
        assert_eq!(gathered(&values, &[2, 3], &[0, 1]), [0., 1., 2., 0., 1., 2.]);
        assert_eq!(gathered(&values, &[], &[]), [0.]);
        assert!(gathered(&values, &[2, 0], &[1, 1]).is_empty());
    }
}
