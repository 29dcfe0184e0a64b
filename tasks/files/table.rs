//! Lists and tables, read by one set of rules. Text is UTF-8; a byte-order mark is passed over, and
//! lines end in any way. A field in quotes ends at its closing quote, and doubled quotes in it are
//! one; any other quote stands for itself. Every error names the file and the line.

use std::path::Path;

use bridle_files::foreign;
use csv::StringRecord;

use crate::DataError;

/// The text of a list, with lines that end in line feeds.
pub(crate) fn text(path: &Path) -> Result<String, DataError> {
    let bytes = bridle_files::read(path, bridle_files::TEXT).map_err(DataError::unreadable(path))?;
    plain(path, bytes)
}

/// The lines of a list that are not empty, trimmed, with their numbers from 1.
pub(crate) fn lines(path: &Path) -> Result<Vec<(u64, String)>, DataError> {
    let text = text(path)?;
    let lines = (1..).zip(text.split('\n').map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty());
    Ok(lines.map(|(number, line)| (number, line.to_owned())).collect())
}

/// `path` is for messages.
fn plain(path: &Path, bytes: Vec<u8>) -> Result<String, DataError> {
    if let Some(kind) = foreign(&bytes).filter(|_| !bytes.is_empty()) {
        return Err(DataError::bad_row(path, 1, format!("it is {kind}")));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(DataError::bad_row(path, 1, "it is UTF-16 text, and must be UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + sound.iter().filter(|&&byte| byte == b'\n').count() as u64;
        DataError::bad_row(path, line, "it is not UTF-8 text")
    })?;
    // the reader of tables would pass over a second one, after quotes were looked for
    let text = match text.starts_with('\u{feff}') {
        true => text.trim_start_matches('\u{feff}').to_owned(),
        false => text,
    };
    Ok(match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text,
    })
}

/// The field in quotes that `text` begins with, and what follows it; `None` if it does not begin
/// with a quote.
pub(crate) fn quoted(text: &str) -> Option<Result<(String, &str), String>> {
    let mut rest = text.strip_prefix('"')?;
    let mut field = String::new();
    Some(loop {
        let Some((before, after)) = rest.split_once('"') else {
            break Err(format!("the quotes of {text} do not close"));
        };
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => break Ok((field, after)),
        }
    })
}

/// A table with a header line.
pub(crate) struct CsvTable {
    pub headers: StringRecord,
    /// Records with their lines, from 1.
    pub rows: Vec<(u64, StringRecord)>,
}

impl CsvTable {
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = bridle_files::read(path, bridle_files::TEXT).map_err(DataError::unreadable(path))?;
        Self::parse(path, &bytes)
    }

    /// `path` is for messages. Fields are trimmed. A row has as many fields as the header.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let text = flush(&plain(path, bytes.to_vec())?);
        let bad = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            let reason = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} fields, not {expected_len}"),
                _ => error.to_string(),
            };
            DataError::bad_row(path, line, reason)
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = reader.headers().map_err(bad)?.clone();
        if let Some(header) = headers.iter().enumerate().find_map(|(at, header)| {
            let before = headers.iter().take(at);
            (!header.is_empty() && before.into_iter().any(|other| other == header)).then_some(header)
        }) {
            return Err(DataError::bad_row(path, 1, format!("there are two columns '{header}'")));
        }
        let row = |record: StringRecord| (record.position().map_or(1, csv::Position::line), record);
        let rows = reader
            .records()
            .map(|record| record.map(row).map_err(bad))
            .collect::<Result<_, _>>()?;
        Ok(Self { headers, rows })
    }

    pub fn column(&self, path: &Path, name: &str) -> Result<Option<usize>, DataError> {
        let Some(column) = self.headers.iter().position(|header| header == name) else {
            // left aside, a column that says how samples are divided would divide them otherwise
            let respelled = |header: &&str| {
                let header = header.to_lowercase();
                header == name || header.strip_suffix('s') == Some(name)
            };
            return match self.headers.iter().find(respelled) {
                Some(header) => {
                    let reason = format!("its column '{}' must be called '{name}'", header.escape_debug());
                    Err(DataError::bad_row(path, 1, reason))
                }
                None => Ok(None),
            };
        };
        // a quote that does not close takes in the rows that follow
        match self.rows.iter().find(|(_, record)| record[column].contains('\n')) {
            Some((line, _)) => {
                let reason = format!("the quotes of its {name} do not close on the line");
                Err(DataError::bad_row(path, *line, reason))
            }
            None => Ok(Some(column)),
        }
    }

    /// A column that the table must have.
    pub fn required(&self, path: &Path, name: &str) -> Result<usize, DataError> {
        let column = self.column(path, name)?;
        column.ok_or_else(|| {
            let given: Vec<&str> = self.headers.iter().collect();
            let given = given.join(", ");
            let commas = match given.contains([';', '\t']) && self.headers.len() == 1 {
                true => "; fields are separated by commas",
                false => "",
            };
            let reason = format!("there is no column '{name}' among '{}'{commas}", given.escape_debug());
            DataError::bad_row(path, 1, reason)
        })
    }
}

/// A table without spaces before its fields: csv knows quotes only at the start of a field.
fn flush(text: &str) -> String {
    let (mut flush, mut is_start, mut is_quoted, mut was_closed) =
        (String::with_capacity(text.len()), true, false, false);
    for symbol in text.chars() {
        if is_start && !is_quoted && matches!(symbol, ' ' | '\t') {
            continue;
        }
        let closes = is_quoted && symbol == '"';
        // a second quote after a closing one is a doubled quote
        is_quoted = if is_quoted {
            !closes
        } else {
            symbol == '"' && (is_start || was_closed)
        };
        was_closed = closes;
        is_start = !is_quoted && matches!(symbol, ',' | '\n');
        flush.push(symbol);
    }
    flush
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    fn table(text: &[u8]) -> Result<Vec<Vec<String>>, String> {
        let read = || {
            let path = Path::new("t.csv");
            let table = CsvTable::parse(path, text)?;
            let columns = [table.required(path, "path")?, table.required(path, "label")?];
            let row = |(_, record): &(u64, StringRecord)| columns.map(|column| record[column].to_owned()).to_vec();
            Ok(table.rows.iter().map(row).collect())
        };
        read().map_err(|error: DataError| error.to_string())
    }

    #[test]
    fn one_table_however_it_is_written() {
        let expected = [["a b.wav", "loud, \"drums\""], ["b.wav", "rain"]];
        for text in [
            "path,label\na b.wav,\"loud, \"\"drums\"\"\"\nb.wav,rain\n",
            "\u{feff}path,label\r\na b.wav,\"loud, \"\"drums\"\"\"\r\nb.wav,rain",
            "\u{feff}\"path\",\"label\"\ra b.wav,\"loud, \"\"drums\"\"\"\rb.wav, \"rain\"\r",
            "more,label, path\n,\"loud, \"\"drums\"\"\", \"a b.wav\"\n1, rain ,b.wav\n\n",
        ] {
            assert_eq!(table(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        let kept = table(b"path,label\na.wav, \"\"\"drums\"\"\"\nb.wav,5\" nails\n").unwrap();
        assert_eq!(kept, [["a.wav", "\"drums\""], ["b.wav", "5\" nails"]]);
    }

    #[test]
    fn what_is_no_such_table_is_named_by_line() {
        let told = |text: &str| table(text.as_bytes()).unwrap_err();
        insta::assert_snapshot!(told("path;label\na.wav;x\n"), @"t.csv, line 1: there is no column 'path' among 'path;label'; fields are separated by commas");
        insta::assert_snapshot!(told("file,label\na.wav,x\n"), @"t.csv, line 1: there is no column 'path' among 'file, label'");
        insta::assert_snapshot!(told("Path,label\na.wav,x\n"), @"t.csv, line 1: its column 'Path' must be called 'path'");
        insta::assert_snapshot!(told("path,labels\na.wav,x\n"), @"t.csv, line 1: its column 'labels' must be called 'label'");
        insta::assert_snapshot!(told("version https://git-lfs.github.com/spec/v1\n"), @"t.csv, line 1: it is a pointer of Git LFS; `git lfs pull` fetches the file");
        insta::assert_snapshot!(told("path,label\na.wav,x\nb.wav,y,3\n"), @"t.csv, line 3: 3 fields, not 2");
        insta::assert_snapshot!(told("path,label\na.wav,\"x\nb.wav,y\n"), @"t.csv, line 2: the quotes of its label do not close on the line");
        insta::assert_snapshot!(told("path,label,label\na.wav,x,y\n"), @"t.csv, line 1: there are two columns 'label'");
        let utf_16: Vec<u8> = "\u{feff}path,label\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        insta::assert_snapshot!(table(&utf_16).unwrap_err(), @"t.csv, line 1: it is UTF-16 text, and must be UTF-8");
        insta::assert_snapshot!(table(b"path,label\na.wav,\xe9t\xe9\n").unwrap_err(), @"t.csv, line 2: it is not UTF-8 text");
    }

    #[test]
    fn quotes_come_off_in_pairs() {
        assert_eq!(quoted("a \"b\""), None);
        assert_eq!(
            quoted("\"a \"\"b\"\", c\" d"),
            Some(Ok(("a \"b\", c".to_owned(), " d")))
        );
        assert_eq!(
            quoted("\"a\"\""),
            Some(Err("the quotes of \"a\"\" do not close".to_owned()))
        );
    }
}
