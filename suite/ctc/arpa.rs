//! N-gram models with back-off (Katz 1987), read from ARPA files.
//!
//! p(w | h) is what the file says of h w; where it says nothing, the back-off weight of h times p(w
//! | h without its first word), the weight being 1 where the file does not know h. A word that the
//! model does not know is `<unk>`; where that is missing too, its logarithm to the base 10 is -100.
//! Keys are kept as they are: some 60 bytes for each n-gram.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bytes of a model; those of LibriSpeech have up to 3 GB.
const LARGEST: u64 = 16 << 30;

/// Log10 of an unknown word in a model without `<unk>`.
const UNKNOWN: f64 = -100.0;

/// What a file says of an n-gram: its probability and back-off weight, logarithms to the base 10.
type Values = (f64, f64);

/// An n-gram model.
#[derive(Clone, Debug)]
pub struct Ngrams {
    words: HashMap<String, u32>,
    /// The n-grams of each order.
    orders: Vec<HashMap<Box<[u32]>, Values>>,
    unknown: Option<u32>,
    start: Option<u32>,
    end: Option<u32>,
}

/// A file that is no n-gram model.
#[derive(Debug, thiserror::Error)]
pub enum ArpaError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A line that does not belong there.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, from 1; the one after the last where something is missing at the end.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The same, with the file.
    #[error("{}, line {line}: {reason}", path.display())]
    FileLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl Ngrams {
    /// The model in this file, with its words spelled as `spell` says.
    ///
    /// # Errors
    /// If it cannot be read or is no ARPA file.
    pub fn read(path: &Path, spell: impl Fn(&str) -> String) -> Result<Self, ArpaError> {
        let text = bridle_files::text(path, LARGEST).map_err(|source| ArpaError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::spelled(&text, &spell).map_err(|error| match error {
            ArpaError::Line { line, reason } => ArpaError::FileLine {
                path: path.to_owned(),
                line,
                reason,
            },
            error => error,
        })
    }

    /// The model in the text of an ARPA file. What stands before `\data\` and after `\end\` is
    /// passed over.
    ///
    /// # Errors
    /// If it is no ARPA file: the line says where.
    pub fn parse(text: &str) -> Result<Self, ArpaError> {
        Self::spelled(text, &str::to_owned)
    }

    fn spelled(text: &str, spell: &dyn Fn(&str) -> String) -> Result<Self, ArpaError> {
        let mut lines = Lines::new(text.trim_start_matches('\u{feff}'));
        let counts = counts(&mut lines)?;
        let mut model = Self {
            words: HashMap::new(),
            orders: Vec::new(),
            unknown: None,
            start: None,
            end: None,
        };
        for (order, &count) in (1..).zip(&counts) {
            lines.expect(&format!("\\{order}-grams:"))?;
            model.section(&mut lines, order, count, order == counts.len(), spell)?;
        }
        lines.expect("\\end\\")?;
        model.unknown = model.word("<unk>");
        (model.start, model.end) = (model.word("<s>"), model.word("</s>"));
        Ok(model)
    }

    fn section(
        &mut self,
        lines: &mut Lines,
        order: usize,
        count: usize,
        is_last: bool,
        spell: &dyn Fn(&str) -> String,
    ) -> Result<(), ArpaError> {
        // the promise of a broken file must not take all memory
        let mut ngrams = HashMap::with_capacity(count.min(1 << 20));
        while let Some(line) = lines.entry() {
            let (words, values) = self
                .entry(line, order, is_last, spell)
                .map_err(|reason| lines.wrong(reason))?;
            if ngrams.insert(words, values).is_some() {
                return Err(lines.wrong("this n-gram stands here a second time"));
            }
        }
        if ngrams.len() != count {
            let found = ngrams.len();
            return Err(lines.next_wrong(format!("{found} {order}-grams where the header says {count}")));
        }
        self.orders.push(ngrams);
        Ok(())
    }

    /// A probability, `order` words, and perhaps a back-off weight.
    fn entry(
        &mut self,
        line: &str,
        order: usize,
        is_last: bool,
        spell: &dyn Fn(&str) -> String,
    ) -> Result<(Box<[u32]>, Values), String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let given = fields.len().saturating_sub(1);
        if given != order && (is_last || given != order + 1) {
            let weight = if is_last { "" } else { " and perhaps a weight" };
            return Err(format!(
                "{} fields where a probability, {order} words{weight} belong",
                fields.len()
            ));
        }
        let log = number(fields[0])?;
        if log > 0.0 {
            return Err(format!("the logarithm {log} is above 0, which no probability has"));
        }
        let back_off = fields.get(order + 1).map_or(Ok(0.0), |field| number(field))?;
        let words = fields[1..=order]
            .iter()
            .map(|word| self.known(&spell(word), order == 1));
        Ok((words.collect::<Result<_, String>>()?, (log, back_off)))
    }

    fn known(&mut self, word: &str, is_new: bool) -> Result<u32, String> {
        match self.words.get(word) {
            Some(&known) => Ok(known),
            None if is_new => {
                let number = self.words.len() as u32;
                self.words.insert(word.to_owned(), number);
                Ok(number)
            }
            None => Err(format!("the word '{word}' is not among the 1-grams")),
        }
    }

    /// The length of the longest n-grams.
    pub fn order(&self) -> usize {
        self.orders.len()
    }

    /// Its words, in no order.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.keys().map(String::as_str)
    }

    /// The number of a word. None where the model does not know it.
    pub fn word(&self, word: &str) -> Option<u32> {
        self.words.get(word).copied()
    }

    /// Words before the first word: `<s>`, where the model knows it.
    pub fn start(&self) -> Vec<u32> {
        self.start.filter(|_| self.order() > 1).into_iter().collect()
    }

    /// The log-probability of a word after `history`, to which it is added, as far back as the
    /// model looks. None is an unknown word.
    pub fn append(&self, history: &mut Vec<u32>, word: Option<u32>) -> f64 {
        let Some(word) = word.or(self.unknown) else {
            // nothing is known of what follows it
            history.clear();
            return UNKNOWN * std::f64::consts::LN_10;
        };
        let log = self.log10(history, word);
        history.push(word);
        let looks = self.order() - 1;
        history.drain(..history.len().saturating_sub(looks));
        log * std::f64::consts::LN_10
    }

    /// The log-probability of the end after `history`: 0 in a model without `</s>`.
    pub fn end(&self, history: &[u32]) -> f64 {
        let end = self.end.map_or(0.0, |end| self.log10(history, end));
        end * std::f64::consts::LN_10
    }

    /// The log-probability of a whole sentence, its end included.
    pub fn sentence<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> f64 {
        let mut history = self.start();
        let words = words.into_iter().map(|word| self.append(&mut history, self.word(word)));
        let sum: f64 = words.sum();
        sum + self.end(&history)
    }

    fn log10(&self, history: &[u32], word: u32) -> f64 {
        let longest = history.len().min(self.order() - 1);
        let mut ngram: Vec<u32> = history[history.len() - longest..].to_vec();
        ngram.push(word);
        let mut back_off = 0.0;
        loop {
            if let Some((log, _)) = self.orders[ngram.len() - 1].get(&ngram[..]) {
                return back_off + log;
            }
            let context = &ngram[..ngram.len() - 1];
            let Some(weights) = context.len().checked_sub(1).map(|order| &self.orders[order]) else {
                return back_off + UNKNOWN;
            };
            back_off += weights.get(context).map_or(0.0, |(_, weight)| *weight);
            ngram.remove(0);
        }
    }
}

fn number(field: &str) -> Result<f64, String> {
    let number: f64 = field.parse().map_err(|_| format!("'{field}' is no number"))?;
    // weights beyond those of 32 bits add up to infinity
    match number.abs() <= f64::from(f32::MAX) || number == f64::NEG_INFINITY {
        true => Ok(number),
        false => Err(format!("{number} is no logarithm of a probability")),
    }
}

/// How many n-grams of each order the header promises.
fn counts(lines: &mut Lines) -> Result<Vec<usize>, ArpaError> {
    while lines.peek().is_some_and(|line| line != "\\data\\") {
        lines.next();
    }
    lines.expect("\\data\\")?;
    let mut counts = Vec::new();
    while let Some(line) = lines.entry() {
        let parts = line.strip_prefix("ngram").and_then(|rest| rest.split_once('='));
        let whole = |text: &str| text.trim().parse::<usize>().ok();
        let numbers = parts.and_then(|(order, count)| Some((whole(order)?, whole(count)?)));
        match numbers {
            Some((order, count)) if order == counts.len() + 1 => counts.push(count),
            Some(_) => return Err(lines.wrong(format!("the count of {}-grams belongs here", counts.len() + 1))),
            None => return Err(lines.wrong(format!("'{line}' is no 'ngram <order>=<count>'"))),
        }
    }
    match counts.is_empty() {
        true => Err(lines.next_wrong("no 'ngram <order>=<count>' follows \\data\\")),
        false => Ok(counts),
    }
}

/// Lines that are not empty.
struct Lines<'a> {
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>,
    /// The number of the line that was taken last.
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            lines: text.lines().enumerate().peekable(),
            at: 0,
        }
    }

    /// The next line that is not empty, without taking it.
    fn peek(&mut self) -> Option<&'a str> {
        while let Some((number, _)) = self.lines.next_if(|(_, line)| line.trim().is_empty()) {
            self.at = number + 1;
        }
        self.lines.peek().map(|(_, line)| line.trim())
    }

    fn next(&mut self) -> Option<&'a str> {
        self.peek()?;
        let (number, line) = self.lines.next()?;
        self.at = number + 1;
        Some(line.trim())
    }

    /// The next line of a section.
    fn entry(&mut self) -> Option<&'a str> {
        match self.peek() {
            Some(line) if !line.starts_with('\\') => self.next(),
            _ => None,
        }
    }

    /// Takes this line.
    fn expect(&mut self, line: &str) -> Result<(), ArpaError> {
        match self.next() {
            Some(found) if found == line => Ok(()),
            Some(found) => Err(self.wrong(format!("'{found}' where '{line}' belongs"))),
            None => Err(self.next_wrong(format!("the file ends where '{line}' belongs"))),
        }
    }

    fn wrong(&self, reason: impl Into<String>) -> ArpaError {
        ArpaError::Line {
            line: self.at,
            reason: reason.into(),
        }
    }

    /// As [`Lines::wrong`] for the line after the last that was taken.
    fn next_wrong(&mut self, reason: impl Into<String>) -> ArpaError {
        let line = self.lines.peek().map_or(self.at + 1, |(number, _)| number + 1);
        ArpaError::Line {
            line,
            reason: reason.into(),
        }
    }
}
