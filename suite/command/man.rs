//! `man`: manual pages from the command line's own definition, one of the program and one of each
//! command.

use crate::cli::error::{Failure, Result};
use crate::cli::{Cli, terminal};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io;
use std::path::Path;

/// Writes all pages to `folder`, over those of an earlier version.
///
/// # Errors
/// If the folder or a file in it cannot be written.
pub fn perform(folder: &Path) -> Result<()> {
    let failed = |error| {
        let what = format!("cannot write manual pages to `{}`", folder.display());
        Failure::fault(what, error).with_hint("a folder that can be written")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<&Command> = std::iter::once(&program).chain(program.get_subcommands()).collect();
    for command in &commands {
        let (name, page) = page(command).map_err(failed)?;
        bridle_files::replace(&folder.join(name), &page).map_err(failed)?;
    }
    let (count, program) = (commands.len(), env!("CARGO_PKG_NAME"));
    terminal::log(&format!(
        "{}: {count} manual pages, {program}(1) and {program}-COMMAND(1)",
        folder.display()
    ));
    Ok(())
}

/// A page with the name of its file.
fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or(env!("CARGO_PKG_NAME"));
    let page = Man::new(command.clone())
        .title(name.to_uppercase())
        .date(env!("BRIDLE_COMMIT_DATE"))
        .source(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let mut end = Roff::new();
    if let Some(help) = command.get_after_help() {
        end_of_help(&mut end, &help.to_string());
    }
    if name != env!("CARGO_PKG_NAME") {
        end.control("SH", ["SEE ALSO"]);
        end.text([roman(format!("{}(1)", env!("CARGO_PKG_NAME")))]);
    }
    end.to_writer(&mut text)?;
    // two breaks around an empty line are no more than the line, and readers warn of them
    let text = String::from_utf8_lossy(&text).replace(".br\n\n.br\n", ".sp\n");
    Ok((page.get_filename(), text.into_bytes()))
}

/// What stands at the end of `--help`: a line `Heading:`, indented entries, and paragraphs after them.
/// An entry is a command with what it does in lines further in, or a word and its meaning in two columns.
fn end_of_help(page: &mut Roff, help: &str) {
    let mut lines = help.lines().peekable();
    let (mut paragraph, mut heading_before) = (false, false);
    while let Some(line) = lines.next() {
        let (entry, columns) = (line.strip_prefix("  "), line.trim().split_once("  "));
        match (line.strip_suffix(':'), entry, columns) {
            (Some(heading), None, _) => {
                page.control("SH", [heading.to_uppercase().as_str()]);
                heading_before = true;
                continue;
            }
            (_, Some(_), Some((word, meaning))) => {
                page.control("TP", []);
                page.text([roman(word)]).text([roman(meaning.trim())]);
            }
            (_, Some(first), None) => {
                if !heading_before {
                    page.control("PP", []);
                }
                page.control("nf", []).text([roman(first)]);
                let mut command = first;
                while let Some(more) = lines.next_if(|_| command.ends_with('\\')) {
                    page.text([roman(&more[2..])]);
                    command = more;
                }
                page.control("fi", []);
                let meaning = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("   ")));
                let meaning: Vec<&str> = meaning.map(str::trim).collect();
                if !meaning.is_empty() {
                    page.control("RS", ["4"])
                        .text([roman(meaning.join("\n"))])
                        .control("RE", []);
                }
            }
            (None, None, _) if line.is_empty() => paragraph = false,
            (None, None, _) => {
                if !paragraph {
                    page.control("SH", ["NOTES"]);
                }
                paragraph = true;
                page.text([roman(line)]);
            }
        }
        heading_before = false;
    }
}
