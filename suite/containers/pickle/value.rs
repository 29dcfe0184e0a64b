//! What a pickle makes: values in one list, which hold each other by their place in it.

/// Most bytes of a short text, such as the name of a class.
pub(super) const SHORT: usize = 512;

/// The place of a value in its pickle's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(super) u32);

#[derive(Debug)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits: two's complement, low byte first.
    Long(&'a [u8]),
    Float(f64),
    /// Text, in UTF-8 as a rule.
    Text(&'a [u8]),
    /// Bytes, which no settings of an encoder are.
    Bytes,
    Tuple(Box<[Id]>),
    List(Vec<Id>),
    Set(Vec<Id>),
    /// A dictionary, or a `collections.OrderedDict`. A key may occur twice: the last one holds.
    Dict(Vec<(Id, Id)>),
    /// A class or a function by its module and its name, both of them texts.
    Global(Id, Id),
    Object(Box<Object>),
    /// What stands outside of the pickle: the tuple that says where.
    Persistent(Id),
    /// A tensor: the arguments of `torch._utils._rebuild_tensor`, a tuple.
    Tensor(Id),
}

/// What a class or function makes that this reader does not know: its name, and what it got.
#[derive(Debug)]
pub(crate) struct Object {
    pub class: Id,
    pub arguments: Id,
    pub state: Option<Id>,
    /// Items that were set by key.
    pub pairs: Vec<(Id, Id)>,
    /// Items that were appended.
    pub items: Vec<Id>,
}

impl Value<'_> {
    /// What it is, as words after "of".
    pub fn what(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Long(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Bytes => "bytes",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Set(_) => "a set",
            Value::Dict(_) => "a dictionary",
            Value::Global(..) => "a class or function",
            Value::Object(_) => "an object",
            Value::Persistent(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        }
    }
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    pub(super) values: Vec<Value<'a>>,
    /// The value that the pickle stands for.
    pub root: Id,
}

impl<'a> Pickle<'a> {
    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    /// All values, those too that nothing holds any more.
    pub fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.values.iter()
    }

    /// A short text in UTF-8, such as a name. A long one would be checked again at each use.
    pub fn text(&self, id: Id) -> Option<&'a str> {
        match self.value(id) {
            Value::Text(text) if text.len() <= SHORT => str::from_utf8(text).ok(),
            _ => None,
        }
    }

    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.value(id) {
            Value::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn size(&self, id: Id) -> Option<u64> {
        match self.value(id) {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Module and name of a class or function.
    pub fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.value(id) {
            Value::Global(module, name) => Some((self.text(*module)?, self.text(*name)?)),
            _ => None,
        }
    }

    /// The value of a key of a dictionary that is a text.
    pub fn get(&self, pairs: &[(Id, Id)], key: &str) -> Option<Id> {
        let is_it = |name: Id| matches!(self.value(name), Value::Text(text) if *text == key.as_bytes());
        let found = pairs.iter().rev().find(|(name, _)| is_it(*name));
        found.map(|(_, value)| *value)
    }
}
