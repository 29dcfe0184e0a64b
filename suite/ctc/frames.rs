//! Log-probabilities of symbols in frames.

/// Log-probabilities, `[T, C]`: a row for each frame, a column for each symbol, the blank among
/// them.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    values: &'a [f32],
    symbols: usize,
    blank: usize,
}

/// What is no table of log-probabilities.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FramesError {
    /// Values that are no whole number of frames.
    #[error("{values} values are no frames of {symbols} symbols")]
    Shape {
        /// Values given.
        values: usize,
        /// Symbols of a frame.
        symbols: usize,
    },
    /// A blank that is no symbol.
    #[error("the blank {blank} is not below the number of symbols, {symbols}")]
    Blank {
        /// The blank.
        blank: usize,
        /// Symbols of a frame.
        symbols: usize,
    },
    /// A value that is no logarithm of a probability.
    #[error("symbol {symbol} of frame {frame} is {value}, which is no logarithm of a probability")]
    Value {
        /// The frame, from 0.
        frame: usize,
        /// The symbol, from 0.
        symbol: usize,
        /// Its value.
        value: f32,
    },
}

/// How far above 0 rounding may take the logarithm of a probability.
const ROUNDING: f32 = 1e-3;

impl<'a> Frames<'a> {
    /// These values for `symbols` symbols, one of which is the blank. Minus infinity is a
    /// probability of 0.
    ///
    /// # Errors
    /// If the values do not fill frames, or one is NaN or above 0.
    pub fn new(values: &'a [f32], symbols: usize, blank: usize) -> Result<Self, FramesError> {
        if symbols == 0 || !values.len().is_multiple_of(symbols) {
            let values = values.len();
            return Err(FramesError::Shape { values, symbols });
        }
        if blank >= symbols {
            return Err(FramesError::Blank { blank, symbols });
        }
        match values.iter().position(|value| value.is_nan() || *value > ROUNDING) {
            Some(place) => Err(FramesError::Value {
                frame: place / symbols,
                symbol: place % symbols,
                value: values[place],
            }),
            None => Ok(Self { values, symbols, blank }),
        }
    }

    /// The log-probabilities of each frame in turn, `[C]`.
    pub fn iter(&self) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.symbols)
    }

    /// The number of symbols, the blank among them.
    pub fn symbols(&self) -> usize {
        self.symbols
    }

    /// The blank's number.
    pub fn blank(&self) -> usize {
        self.blank
    }
}
