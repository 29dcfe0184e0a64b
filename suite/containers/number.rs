//! Types of numbers in files of weights, and their values as 32-bit floats.

use half::{bf16, f16};

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

/// Every type: its word, its name in safetensors, its storage class in PyTorch's pickles.
const NAMES: [(Number, &str, &str, &str); 13] = [
    (Number::F64, "float64", "F64", "DoubleStorage"),
    (Number::F32, "float32", "F32", "FloatStorage"),
    (Number::F16, "float16", "F16", "HalfStorage"),
    (Number::Bf16, "bfloat16", "BF16", "BFloat16Storage"),
    (Number::I64, "int64", "I64", "LongStorage"),
    (Number::I32, "int32", "I32", "IntStorage"),
    (Number::I16, "int16", "I16", "ShortStorage"),
    (Number::I8, "int8", "I8", "CharStorage"),
    // PyTorch has no storages of these
    (Number::U64, "uint64", "U64", ""),
    (Number::U32, "uint32", "U32", ""),
    (Number::U16, "uint16", "U16", ""),
    (Number::U8, "uint8", "U8", "ByteStorage"),
    (Number::Bool, "bool", "BOOL", "BoolStorage"),
];

impl Number {
    /// The type that safetensors call `name`, such as `BF16`.
    pub fn of_safetensors(name: &str) -> Option<Self> {
        NAMES.iter().find(|names| names.2 == name).map(|names| names.0)
    }

    /// The type of the numbers in a storage of PyTorch's class `torch.<name>`, such as `HalfStorage`.
    pub fn of_storage(name: &str) -> Option<Self> {
        let mut storages = NAMES.iter().filter(|names| !names.3.is_empty());
        storages.find(|names| names.3 == name).map(|names| names.0)
    }

    /// The type's word, such as `bfloat16`.
    pub fn word(self) -> &'static str {
        NAMES.iter().find(|names| names.0 == self).map_or("", |names| names.1)
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Number::F64 | Number::I64 | Number::U64 => 8,
            Number::F32 | Number::I32 | Number::U32 => 4,
            Number::F16 | Number::Bf16 | Number::I16 | Number::U16 => 2,
            Number::I8 | Number::U8 | Number::Bool => 1,
        }
    }

    /// Appends the 32-bit floats nearest to the numbers in `bytes`, which are stored low byte first
    /// unless `big`. Bytes behind the last whole number are passed over.
    pub fn append(self, bytes: &[u8], big: bool, values: &mut Vec<f32>) {
        match self {
            Number::F64 => each(bytes, big, values, |bytes| f64::from_le_bytes(bytes) as f32),
            Number::F32 => each(bytes, big, values, f32::from_le_bytes),
            Number::F16 => each(bytes, big, values, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Number::Bf16 => each(bytes, big, values, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Number::I64 => each(bytes, big, values, |bytes| i64::from_le_bytes(bytes) as f32),
            Number::I32 => each(bytes, big, values, |bytes| i32::from_le_bytes(bytes) as f32),
            Number::I16 => each(bytes, big, values, |bytes| i16::from_le_bytes(bytes).into()),
            Number::I8 => each(bytes, big, values, |bytes| i8::from_le_bytes(bytes).into()),
            Number::U64 => each(bytes, big, values, |bytes| u64::from_le_bytes(bytes) as f32),
            Number::U32 => each(bytes, big, values, |bytes| u32::from_le_bytes(bytes) as f32),
            Number::U16 => each(bytes, big, values, |bytes| u16::from_le_bytes(bytes).into()),
            Number::U8 => each(bytes, big, values, |bytes| u8::from_le_bytes(bytes).into()),
            Number::Bool => each(bytes, big, values, |[byte]: [u8; 1]| f32::from(u8::from(byte != 0))),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], big: bool, values: &mut Vec<f32>, value: impl Fn([u8; N]) -> f32) {
    let (numbers, _) = bytes.as_chunks::<N>();
    values.extend(numbers.iter().map(|&(mut number)| {
        if big {
            number.reverse();
        }
        value(number)
    }));
}
