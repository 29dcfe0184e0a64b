//! `completions`: a shell's completion script. It completes commands, options and values: names from
//! the registries, and the plan's own.

use crate::cli::error::Result;
use crate::cli::{Cli, terminal};
use crate::compute::Dtype;
use crate::plan::{AnyTask, Method, Protocol, QuantizerKind, Recipe, explain, preset};
use bridle_backends::Name;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

/// Prints the script.
///
/// # Errors
/// If stdout cannot be written.
pub fn perform(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    let mut command = with_values(Cli::command());
    clap_complete::generate(shell, &mut command, env!("CARGO_PKG_NAME"), &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Fish => script.push_str(&arguments_in_fish(&command)),
        // clap gives a program with a hyphen two names, of which the second is never looked for
        Shell::Bash => script = script.replace(CLAPS_SECOND_NAME, CLAPS_FIRST_NAME),
        _ => {}
    }
    terminal::print(&script)
}

/// What the program is called within clap's script for bash: where a word is read, and where the words
/// that follow it are listed.
const CLAPS_FIRST_NAME: &str = "bridle__bench";
const CLAPS_SECOND_NAME: &str = "bridle__subcmd__bench";

/// What clap's script for fish leaves out: the words that arguments without an option take.
fn arguments_in_fish(command: &Command) -> String {
    let name = command.get_name();
    let function = format!("__fish_{}_using_subcommand", name.replace('-', "_"));
    let mut lines = String::new();
    for command in command.get_subcommands() {
        let words = command.get_positionals().flat_map(Arg::get_possible_values);
        let words: Vec<String> = words.map(|value| value.get_name().to_owned()).collect();
        if !words.is_empty() {
            let (command, words) = (command.get_name(), words.join(" "));
            lines.push_str(&format!(
                "complete -c {name} -n \"{function} {command}\" -f -a \"{words}\"\n"
            ));
        }
    }
    lines
}

/// The command with the words that its options take. They are for completion alone: when a command
/// runs, its registry answers an unknown word with the nearest known one.
fn with_values(command: Command) -> Command {
    let command = command.mut_subcommands(with_values);
    command.mut_args(|argument| match values(argument.get_id().as_str()) {
        Some(values) => argument.value_parser(PossibleValuesParser::new(values)),
        None => argument,
    })
}

/// The words that an option or argument of this name takes.
fn values(name: &str) -> Option<Vec<PossibleValue>> {
    let told = |word: &'static str, about: &'static str| PossibleValue::new(word).help(about);
    let plain = |words: Vec<&'static str>| words.into_iter().map(PossibleValue::new).collect();
    Some(match name {
        "task" => plain(AnyTask::all().map(|task| task.name()).collect()),
        "quantizer" => QuantizerKind::all()
            .map(|kind| told(kind.word(), kind.about()))
            .collect(),
        "method" => Method::ALL
            .iter()
            .map(|method| told(method.word(), method.about()))
            .collect(),
        "protocol" => Protocol::ALL
            .iter()
            .map(|protocol| told(protocol.word(), protocol.about()))
            .collect(),
        "recipe" => Recipe::ALL
            .iter()
            .map(|recipe| told(recipe.word(), recipe.about()))
            .collect(),
        "dtype" => Dtype::ALL
            .iter()
            .map(|dtype| told(dtype.word(), dtype.about()))
            .collect(),
        "preset" => plain(preset::PRESETS.iter().map(|preset| preset.name).collect()),
        "backend" => plain(Name::ALL.map(Name::as_str).to_vec()),
        // a value follows
        "set" => explain::keys()
            .map(|key| PossibleValue::new(&*format!("{key}=").leak()))
            .collect(),
        "keys" => plain(explain::keys().collect()),
        _ => return None,
    })
}
