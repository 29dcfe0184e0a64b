//! Instructions that name classes and functions, and those that make something of them.

use super::error::Reason;
use super::globals::is_harmful;
use super::machine::{MOST, Machine};
use super::value::{Id, Object, SHORT, Value};

impl<'a> Machine<'a> {
    pub(super) fn global(&mut self) -> Result<(), Reason> {
        let class = self.named_in_lines()?;
        self.stack.push(class);
        Ok(())
    }

    /// The class or function that two lines name.
    fn named_in_lines(&mut self) -> Result<Id, Reason> {
        let module = self.bytes.line()?;
        let name = self.bytes.line()?;
        let (module, name) = (self.add(Value::Text(module))?, self.add(Value::Text(name))?);
        self.named(module, name)
    }

    pub(super) fn stack_global(&mut self) -> Result<(), Reason> {
        let name = self.pop()?;
        let module = self.pop()?;
        let class = self.named(module, name)?;
        self.stack.push(class);
        Ok(())
    }

    fn named(&mut self, module: Id, name: Id) -> Result<Id, Reason> {
        let text = |id: Id| match &self.values[id.0 as usize] {
            Value::Text(text) if text.len() <= SHORT => str::from_utf8(text).map_err(|_| Reason::Text),
            Value::Text(_) => Err(Reason::Text),
            other => Err(Reason::Kind {
                instruction: "STACK_GLOBAL",
                found: other.what(),
            }),
        };
        let words = (text(module)?, text(name)?);
        if is_harmful(words.0, words.1) {
            return Err(Reason::Harmful(format!("{}.{}", words.0, words.1)));
        }
        self.add(Value::Global(module, name))
    }

    pub(super) fn reduce(&mut self) -> Result<(), Reason> {
        let arguments = self.pop()?;
        let class = self.pop()?;
        self.make("REDUCE", class, arguments)
    }

    pub(super) fn new_object(&mut self) -> Result<(), Reason> {
        let arguments = self.pop()?;
        let class = self.pop()?;
        self.make("NEWOBJ", class, arguments)
    }

    /// NEWOBJ_EX: the arguments with names are kept as one more argument.
    pub(super) fn new_object_with_keywords(&mut self) -> Result<(), Reason> {
        let keywords = self.pop()?;
        let arguments = self.pop()?;
        let class = self.pop()?;
        let arguments = self.add(Value::Tuple([arguments, keywords].into()))?;
        self.make("NEWOBJ_EX", class, arguments)
    }

    /// INST: a class in lines, its arguments above the mark.
    pub(super) fn instance(&mut self) -> Result<(), Reason> {
        let class = self.named_in_lines()?;
        let arguments = self.pop_mark()?;
        let arguments = self.add(Value::Tuple(arguments.into()))?;
        self.make("INST", class, arguments)
    }

    /// OBJ: a class and its arguments above the mark.
    pub(super) fn object(&mut self) -> Result<(), Reason> {
        let all = self.pop_mark()?;
        let (&class, arguments) = all.split_first().ok_or(Reason::Stack)?;
        let arguments = self.add(Value::Tuple(arguments.into()))?;
        self.make("OBJ", class, arguments)
    }

    /// What a class or function makes of its arguments, if that is known, and else both of them.
    fn make(&mut self, instruction: &'static str, class: Id, arguments: Id) -> Result<(), Reason> {
        let wrong = |value: &Value| {
            let found = value.what();
            Err(Reason::Kind { instruction, found })
        };
        let Value::Tuple(items) = &self.values[arguments.0 as usize] else {
            return wrong(&self.values[arguments.0 as usize]);
        };
        let first = items.first().copied();
        let value = match &self.values[class.0 as usize] {
            Value::Global(module, name) => match (self.text(*module), self.text(*name)) {
                (b"collections", b"OrderedDict") => Value::Dict(self.ordered(first)?),
                (b"torch._utils", b"_rebuild_tensor" | b"_rebuild_tensor_v2") => Value::Tensor(arguments),
                (b"torch._utils", b"_rebuild_parameter") => {
                    // a parameter is its tensor
                    self.stack.push(first.ok_or(Reason::Stack)?);
                    return Ok(());
                }
                _ => object(class, arguments),
            },
            Value::Object(_) => object(class, arguments),
            other => return wrong(other),
        };
        self.push(value)
    }

    fn text(&self, id: Id) -> &'a [u8] {
        match self.values[id.0 as usize] {
            Value::Text(text) => text,
            _ => &[],
        }
    }

    /// The pairs that Python 2 gives an `OrderedDict` as a list of lists; later versions give none.
    fn ordered(&mut self, list: Option<Id>) -> Result<Vec<(Id, Id)>, Reason> {
        let Some(list) = list else {
            return Ok(Vec::new());
        };
        let wrong = |value: &Value| Reason::Kind {
            instruction: "an OrderedDict",
            found: value.what(),
        };
        let items = |id: Id| match &self.values[id.0 as usize] {
            Value::List(items) => Ok(&items[..]),
            Value::Tuple(items) => Ok(&items[..]),
            other => Err(wrong(other)),
        };
        let pair = |&id: &Id| match items(id)? {
            &[key, value] => Ok((key, value)),
            _ => Err(wrong(&self.values[id.0 as usize])),
        };
        let pairs: Vec<_> = items(list)?.iter().map(pair).collect::<Result<_, _>>()?;
        // a list that is used again and again may not become as many dictionaries
        self.copied += pairs.len();
        match self.copied > MOST {
            true => Err(Reason::TooMany(MOST)),
            false => Ok(pairs),
        }
    }

    /// BUILD gives an object its state. That of a dictionary or a tensor says nothing about weights.
    pub(super) fn build(&mut self) -> Result<(), Reason> {
        let state = self.pop()?;
        let target = self.top()?;
        match self.value(target) {
            Value::Object(object) => object.state = Some(state),
            Value::Dict(_) | Value::Tensor(_) | Value::Global(..) => {}
            other => {
                let (instruction, found) = ("BUILD", other.what());
                return Err(Reason::Kind { instruction, found });
            }
        }
        Ok(())
    }
}

fn object<'a>(class: Id, arguments: Id) -> Value<'a> {
    Value::Object(Box::new(Object {
        class,
        arguments,
        state: None,
        pairs: Vec::new(),
        items: Vec::new(),
    }))
}
