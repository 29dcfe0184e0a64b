//! `table --splice`: fills Markdown files with the output of the commands in their markers.
//!
//! A marker is a line of its own that starts at the first column:
//!
//! ```text
//! <!-- bridle-bench table results/records/esc50 --format markdown: begin -->
//! ... replaced by what the command prints ...
//! <!-- end -->
//! ```
//!
//! The commands are those that only read: `table`, `compare`, `list` and `study --report`. Their words are separated
//! by spaces, without quotes, and their paths are relative to the current folder, as on a command
//! line. Markdown is inserted as it is, any other format as a code block.

use super::{compare, list, study, table};
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::terminal;
use crate::cli::{Cli, Command, TableFormat};
use bridle_results::store;
use clap::Parser;
use std::path::{Path, PathBuf};

const NAME: &str = "bridle-bench";
const END: &str = "<!-- end -->";

/// Fills these files; with `check`, reports the tables that would change and writes nothing.
///
/// # Errors
/// Named by file and line: if a file cannot be read or written, a marker has no end or stands
/// within another, or its command is unknown or fails.
pub fn perform(files: &[PathBuf], check: bool) -> Result<Exit> {
    let mut outdated = Vec::new();
    for file in files {
        let page = bridle_files::text(file, bridle_files::SETTINGS).map_err(|error| {
            Failure::new(Exit::WrongUse, error).in_context(format!("cannot read {}", file.display()))
        })?;
        let filled = fill(file, &page)?;
        if !check && filled.page != page {
            store::replace(file, filled.page.as_bytes())?;
            terminal::log(&format!("{}: written", file.display()));
        }
        outdated.extend(filled.outdated);
    }
    if !check || outdated.is_empty() {
        return Ok(Exit::Done);
    }
    let failure = Failure::new(Exit::Regression, anyhow::anyhow!("outdated: {}", outdated.join("\n  ")));
    Err(failure.with_hint("the same command without --check"))
}

/// A page with its tables as they should be.
pub(crate) struct Filled {
    pub page: String,
    /// Place and command of each table that changed.
    pub outdated: Vec<String>,
}

pub(crate) fn fill(file: &Path, page: &str) -> Result<Filled> {
    let (mut filled, mut outdated) = (String::new(), Vec::new());
    // the marker that is open: its place, its command's words, and what stands below it now
    let mut open: Option<(String, &str, String)> = None;
    for (line, number) in page.split_inclusive('\n').zip(1..) {
        let place = || format!("{}:{number}", file.display());
        let wrong = |what: String| Failure::wrong_use(format!("{}: {what}", place()));
        match (command(line), &mut open) {
            (Some(_), Some((begin, ..))) => {
                return Err(wrong(format!("a marker within that of {begin}, which has no `{END}`")));
            }
            (Some(words), None) => {
                filled.push_str(line);
                open = Some((place(), words, String::new()));
            }
            (None, _) if line.trim_end() == END => {
                let (begin, words, shown) = open
                    .take()
                    .ok_or_else(|| wrong(format!("`{END}` without a begin marker")))?;
                let output =
                    output(words).map_err(|failure| failure.in_context(format!("{begin}: `{NAME} {words}`")))?;
                if output != shown {
                    outdated.push(format!("{begin}: `{NAME} {words}`"));
                }
                filled.push_str(&output);
                filled.push_str(line);
            }
            (None, Some((.., shown))) => shown.push_str(line),
            (None, None) => filled.push_str(line),
        }
    }
    match open {
        Some((begin, ..)) => Err(Failure::wrong_use(format!("{begin}: a begin marker without `{END}`"))),
        None => Ok(Filled { page: filled, outdated }),
    }
}

/// The command of a begin marker, without the program's name.
fn command(line: &str) -> Option<&str> {
    let words = line.trim_end().strip_prefix("<!-- ")?.strip_prefix(NAME)?;
    words.strip_prefix(' ')?.strip_suffix(": begin -->")
}

/// What stands between the markers of this command.
fn output(words: &str) -> Result<String> {
    let words = [NAME].into_iter().chain(words.split_whitespace());
    // clap explains over several paragraphs; the first says what is wrong
    let cli = Cli::try_parse_from(words).map_err(|error| {
        let message = error.to_string();
        let first: Vec<&str> = message
            .lines()
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        Failure::wrong_use(first.join(" ").trim_start_matches("error: "))
    })?;
    let (text, format) = match &cli.command {
        Command::Table(args) if args.splice.is_empty() => (table::text(args, terminal::PAGE)?, Some(args.format)),
        Command::Compare(args) => (compare::text(args, terminal::PAGE)?.0, Some(args.format)),
        Command::Study(args) if args.report => (study::report(args, terminal::PAGE)?, Some(args.format)),
        Command::List(args) => (list::text(args), None),
        _ => {
            let allowed = "a marker may only hold table, compare, list or study --report";
            return Err(Failure::wrong_use(allowed));
        }
    };
    let text = text.trim_end();
    Ok(match format {
        Some(TableFormat::Markdown) => format!("{text}\n"),
        _ => format!("```text\n{text}\n```\n"),
    })
}
