//! The instructions of pickles, up to protocol 5: those that files of weights have.

use super::bytes::Bytes;
use super::error::{PickleError, Reason};
use super::value::{Id, Pickle, Value};
use std::collections::HashMap;

/// Most values and most instructions of a pickle. A tensor takes about 25 of them.
pub(super) const MOST: usize = 1 << 21;

/// Reads the pickle at the start of `bytes`. Returns it with the number of its bytes.
///
/// # Errors
/// If it is none, is cut off, has an instruction that is not known, or names what would do harm.
pub(crate) fn read(bytes: &[u8]) -> Result<(Pickle<'_>, usize), PickleError> {
    let mut machine = Machine {
        bytes: Bytes::new(bytes),
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memory: HashMap::new(),
        copied: 0,
    };
    for _ in 0..MOST {
        let at = machine.bytes.at();
        if let Some(root) = machine.step().map_err(|reason| PickleError { at, reason })? {
            let values = machine.values;
            return Ok((Pickle { values, root }, machine.bytes.at()));
        }
    }
    let (at, reason) = (machine.bytes.at(), Reason::TooMany(MOST));
    Err(PickleError { at, reason })
}

pub(super) struct Machine<'a> {
    pub(super) bytes: Bytes<'a>,
    pub(super) values: Vec<Value<'a>>,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memory: HashMap<u32, Id>,
    /// Items of lists that were copied.
    pub(super) copied: usize,
}

impl<'a> Machine<'a> {
    /// Follows one instruction. Returns the pickle's value at the last one.
    fn step(&mut self) -> Result<Option<Id>, Reason> {
        match self.bytes.byte()? {
            b'.' => return self.pop().map(Some),
            0x80 => self.protocol()?,
            // FRAME: a hint how much to read ahead
            0x95 => self.frame()?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.discard()?,
            b'1' => drop(self.pop_mark()?),
            b'2' => self.stack.push(self.top()?),

            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'I' => self.int_in_digits()?,
            b'J' => self.int(|bytes| i32::from_le_bytes(bytes).into())?,
            b'K' => self.int(|bytes| u8::from_le_bytes(bytes).into())?,
            b'M' => self.int(|bytes| u16::from_le_bytes(bytes).into())?,
            0x8a => self.counted::<1>(long)?,
            0x8b => self.counted::<4>(long)?,
            b'G' => self.float()?,

            b'X' => self.counted::<4>(Value::Text)?,
            0x8c => self.counted::<1>(Value::Text)?,
            0x8d => self.counted::<8>(Value::Text)?,
            // texts of Python 2
            b'T' => self.counted::<4>(Value::Text)?,
            b'U' => self.counted::<1>(Value::Text)?,
            b'B' => self.counted::<4>(|_| Value::Bytes)?,
            b'C' => self.counted::<1>(|_| Value::Bytes)?,
            0x8e | 0x96 => self.counted::<8>(|_| Value::Bytes)?,

            b')' => self.push(Value::Tuple(Box::default()))?,
            b't' => self.collect(|items| Value::Tuple(items.into()))?,
            0x85 => self.tuple::<1>()?,
            0x86 => self.tuple::<2>()?,
            0x87 => self.tuple::<3>()?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'l' => self.collect(Value::List)?,
            b'a' => self.append()?,
            b'e' => self.extend("APPENDS")?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => self.dict()?,
            b's' => self.set_item()?,
            b'u' => self.set_items()?,
            0x8f => self.push(Value::Set(Vec::new()))?,
            0x90 => self.extend("ADDITEMS")?,
            0x91 => self.collect(Value::Set)?,

            b'q' => self.store(|bytes| u8::from_le_bytes(bytes).into())?,
            b'r' => self.store(u32::from_le_bytes)?,
            b'p' => self.store_in_digits()?,
            0x94 => self.memorise()?,
            b'h' => self.load(|bytes| u8::from_le_bytes(bytes).into())?,
            b'j' => self.load(u32::from_le_bytes)?,
            b'g' => self.load_in_digits()?,

            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b'R' => self.reduce()?,
            0x81 => self.new_object()?,
            0x92 => self.new_object_with_keywords()?,
            b'b' => self.build()?,
            b'i' => self.instance()?,
            b'o' => self.object()?,
            b'Q' => self.persistent()?,
            other => return Err(Reason::Instruction(name(other))),
        }
        Ok(None)
    }

    pub(super) fn add(&mut self, value: Value<'a>) -> Result<Id, Reason> {
        if self.values.len() == MOST {
            return Err(Reason::TooMany(MOST));
        }
        self.values.push(value);
        Ok(Id((self.values.len() - 1) as u32))
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), Reason> {
        let id = self.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn value(&mut self, id: Id) -> &mut Value<'a> {
        &mut self.values[id.0 as usize]
    }

    /// The uppermost value above the last mark.
    pub(super) fn top(&self) -> Result<Id, Reason> {
        let height = self.marks.last().copied().unwrap_or_default();
        let above = &self.stack[height..];
        above.last().copied().ok_or(Reason::Stack)
    }

    pub(super) fn pop(&mut self) -> Result<Id, Reason> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Everything above the last mark, lowest first.
    pub(super) fn pop_mark(&mut self) -> Result<Vec<Id>, Reason> {
        let height = self.marks.pop().ok_or(Reason::Mark)?;
        Ok(self.stack.split_off(height))
    }

    /// POP takes a mark away if that is uppermost.
    fn discard(&mut self) -> Result<(), Reason> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn protocol(&mut self) -> Result<(), Reason> {
        match self.bytes.byte()? {
            0..=5 => Ok(()),
            newer => Err(Reason::Protocol(newer)),
        }
    }

    fn frame(&mut self) -> Result<(), Reason> {
        let length = u64::from_le_bytes(self.bytes.array()?);
        self.bytes.holds(length)
    }

    fn int<const N: usize>(&mut self, number: impl Fn([u8; N]) -> i64) -> Result<(), Reason> {
        let bytes = self.bytes.array()?;
        self.push(Value::Int(number(bytes)))
    }

    fn int_in_digits(&mut self) -> Result<(), Reason> {
        let value = match self.bytes.line()? {
            b"00" => Value::Bool(false),
            b"01" => Value::Bool(true),
            line => Value::Int(digits(line)?),
        };
        self.push(value)
    }

    fn float(&mut self) -> Result<(), Reason> {
        let bytes = self.bytes.array()?;
        self.push(Value::Float(f64::from_be_bytes(bytes)))
    }

    fn counted<const N: usize>(&mut self, value: impl Fn(&'a [u8]) -> Value<'a>) -> Result<(), Reason> {
        let bytes = self.bytes.counted::<N>()?;
        self.push(value(bytes))
    }

    fn collect(&mut self, value: impl Fn(Vec<Id>) -> Value<'a>) -> Result<(), Reason> {
        let items = self.pop_mark()?;
        self.push(value(items))
    }

    fn tuple<const N: usize>(&mut self) -> Result<(), Reason> {
        let mut items = [Id(0); N];
        for item in items.iter_mut().rev() {
            *item = self.pop()?;
        }
        self.push(Value::Tuple(items.into()))
    }

    fn append(&mut self) -> Result<(), Reason> {
        let item = self.pop()?;
        self.add_items("APPEND", &[item])
    }

    fn extend(&mut self, instruction: &'static str) -> Result<(), Reason> {
        let items = self.pop_mark()?;
        self.add_items(instruction, &items)
    }

    fn add_items(&mut self, instruction: &'static str, items: &[Id]) -> Result<(), Reason> {
        let target = self.top()?;
        let holder = match self.value(target) {
            Value::List(holder) | Value::Set(holder) => holder,
            Value::Object(object) => &mut object.items,
            other => {
                let found = other.what();
                return Err(Reason::Kind { instruction, found });
            }
        };
        holder.extend_from_slice(items);
        Ok(())
    }

    fn dict(&mut self) -> Result<(), Reason> {
        let items = self.pop_mark()?;
        self.push(Value::Dict(pairs(&items)?))
    }

    fn set_item(&mut self) -> Result<(), Reason> {
        let value = self.pop()?;
        let key = self.pop()?;
        self.set("SETITEM", &[(key, value)])
    }

    fn set_items(&mut self) -> Result<(), Reason> {
        let items = self.pop_mark()?;
        self.set("SETITEMS", &pairs(&items)?)
    }

    fn set(&mut self, instruction: &'static str, pairs: &[(Id, Id)]) -> Result<(), Reason> {
        let target = self.top()?;
        let holder = match self.value(target) {
            Value::Dict(holder) => holder,
            Value::Object(object) => &mut object.pairs,
            other => {
                let found = other.what();
                return Err(Reason::Kind { instruction, found });
            }
        };
        holder.extend_from_slice(pairs);
        Ok(())
    }

    fn store<const N: usize>(&mut self, number: impl Fn([u8; N]) -> u32) -> Result<(), Reason> {
        let number = number(self.bytes.array()?);
        self.store_as(number)
    }

    fn store_in_digits(&mut self) -> Result<(), Reason> {
        let number = digits(self.bytes.line()?)?;
        self.store_as(number)
    }

    fn memorise(&mut self) -> Result<(), Reason> {
        self.store_as(self.memory.len() as u32)
    }

    fn store_as(&mut self, number: u32) -> Result<(), Reason> {
        let top = self.top()?;
        self.memory.insert(number, top);
        Ok(())
    }

    fn load<const N: usize>(&mut self, number: impl Fn([u8; N]) -> u32) -> Result<(), Reason> {
        let number = number(self.bytes.array()?);
        self.load_from(number)
    }

    fn load_in_digits(&mut self) -> Result<(), Reason> {
        let number = digits(self.bytes.line()?)?;
        self.load_from(number)
    }

    fn load_from(&mut self, number: u32) -> Result<(), Reason> {
        let id = *self.memory.get(&number).ok_or(Reason::Memory(number))?;
        self.stack.push(id);
        Ok(())
    }

    fn persistent(&mut self) -> Result<(), Reason> {
        let place = self.pop()?;
        self.push(Value::Persistent(place))
    }
}

/// Keys and values by turns.
fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Reason> {
    let (pairs, rest) = items.as_chunks::<2>();
    match rest {
        [] => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(Reason::Stack),
    }
}

/// An integer in two's complement, low byte first.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut number = if negative { [0xff; 8] } else { [0; 8] };
    number[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(number))
}

fn digits<T: std::str::FromStr>(line: &[u8]) -> Result<T, Reason> {
    let text = str::from_utf8(line).map_err(|_| Reason::Text)?;
    text.trim().parse().map_err(|_| Reason::Text)
}

/// What Python calls an instruction that this reader does not follow.
fn name(instruction: u8) -> String {
    let name = match instruction {
        b'P' => "PERSID",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'F' => "FLOAT",
        b'L' => "LONG",
        0x82..=0x84 => "EXT",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        other => return format!("{other:#04x}"),
    };
    name.to_owned()
}
