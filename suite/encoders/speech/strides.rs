//! Reads the expression by which fairseq writes its convolutions:
//! `[(512, 10, 5)] + [(512, 3, 2)] * 4`, lists of (channels, kernel, stride), joined and repeated.
//!
//! It is Python in its own home. Here nothing but lists of triples, `+` and `* n` is understood.

use super::config::Convolution;

/// More convolutions than any encoder has.
pub const MOST: usize = 64;

/// # Errors
/// What is wrong, if it is anything but lists of three positive numbers, joined and repeated.
pub fn parse(expression: &str) -> Result<Vec<Convolution>, String> {
    let mut reader = Reader { rest: expression };
    let mut layers = Vec::new();
    loop {
        let list = reader.list()?;
        let times = if reader.takes('*') { reader.number()? } else { 1 };
        if list.len().saturating_mul(times) > MOST - layers.len() {
            return Err(format!("more than {MOST} convolutions"));
        }
        for _ in 0..times {
            layers.extend_from_slice(&list);
        }
        if !reader.takes('+') {
            break;
        }
    }
    match reader.rest.trim_start() {
        "" if layers.is_empty() => Err("no convolution".to_owned()),
        "" => Ok(layers),
        rest => Err(format!("not understood from `{rest}` on")),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Whether this sign comes next; then it is passed.
    fn takes(&mut self, sign: char) -> bool {
        match self.rest.trim_start().strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn needs(&mut self, sign: char) -> Result<(), String> {
        let found = self.rest.trim_start();
        match self.takes(sign) {
            true => Ok(()),
            false => Err(format!("`{sign}` was expected at `{found}`")),
        }
    }

    /// A positive number.
    fn number(&mut self) -> Result<usize, String> {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        self.rest = rest;
        let number = digits.parse().ok().filter(|&number: &usize| number > 0);
        number.ok_or_else(|| format!("a positive number was expected at `{text}`"))
    }

    fn list(&mut self) -> Result<Vec<Convolution>, String> {
        self.needs('[')?;
        let mut layers = Vec::new();
        while !self.takes(']') {
            layers.push(self.triple()?);
            if !self.takes(',') {
                self.needs(']')?;
                break;
            }
        }
        Ok(layers)
    }

    fn triple(&mut self) -> Result<Convolution, String> {
        self.needs('(')?;
        let channels = self.number()?;
        self.needs(',')?;
        let kernel = self.number()?;
        self.needs(',')?;
        let stride = self.number()?;
        self.takes(',');
        self.needs(')')?;
        Ok(Convolution {
            channels,
            kernel,
            stride,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triples(expression: &str) -> Result<Vec<[usize; 3]>, String> {
        let triple = |layer: &Convolution| [layer.channels, layer.kernel, layer.stride];
        parse(expression).map(|layers| layers.iter().map(triple).collect())
    }

    #[test]
    fn lists_are_joined_and_repeated() {
        let base = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] * 2";
        let mut expected = vec![[512, 10, 5]];
        expected.extend([[512, 3, 2]; 4]);
        expected.extend([[512, 2, 2]; 2]);
        assert_eq!(triples(base), Ok(expected));
        assert_eq!(triples(" [(1,2,3),(4,5,6),] "), Ok(vec![[1, 2, 3], [4, 5, 6]]));
        assert_eq!(triples("[(1,2,3,)]*2"), Ok(vec![[1, 2, 3]; 2]));
    }

    #[test]
    fn nothing_else_is_understood() {
        let wrong = [
            "",
            "[]",
            "[(512, 10)]",
            "[(512, 10, 0)]",
            "[(512, 10, -5)]",
            "[(512, 10, 5)] * 0",
            "[(512, 10, 5)] * 1000000000000",
            "[(512, 10, 5)] * 99999999999999999999999",
            "2 * [(512, 10, 5)]",
            "[(512, 10, 5)] - [(512, 3, 2)]",
            "[(512, 10, 5)] + ",
            "[(512, 10, 5)",
            "[(512, 10, 5)]; import os",
            "__import__('os').system('true')",
            "[(512, 10, 5.0)]",
            "[(int(512), 10, 5)]",
        ];
        for expression in wrong {
            assert!(parse(expression).is_err(), "`{expression}` was understood");
        }
    }
}
