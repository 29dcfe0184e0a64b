//! `regress`: compares records with a baseline file, for CI; with `--write` it makes that file
//! from them, with `--write-envelope` that of their curves beside it.

mod annotations;

use crate::cli::RECORDS;
use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::terminal;
use crate::cli::{RegressArgs, RegressFormat};
use bridle_results::regress::{self, Bands, Baseline, BaselineError, Envelopes, GateRun, Verdict};
use bridle_results::store;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Compares the records with the baseline and prints the verdict, or writes the baseline from the
/// records. The exit code says whether there is a regression.
///
/// # Errors
/// If there is no record or no baseline, or one of them is malformed.
pub fn perform(args: &RegressArgs) -> Result<Exit> {
    let paths = if args.paths.is_empty() {
        vec![PathBuf::from(RECORDS)]
    } else {
        args.paths.clone()
    };
    if args.write {
        write(args, &GateRun::find(&paths)?)?;
        return Ok(Exit::Done);
    }
    let beside = args.baseline.with_extension(ENVELOPE);
    if args.write_envelope {
        let envelopes = Envelopes::of(&GateRun::find(&paths)?).map_err(|error| {
            Failure::new(Exit::WrongUse, error).with_hint("records of `bridle-bench run --seeds 3` or more")
        })?;
        let text = serde_json::to_string(&envelopes).expect("an envelope has finite numbers");
        store::replace(&beside, format!("{text}\n").as_bytes())?;
        terminal::log(&format!("{}: {envelopes}", beside.display()));
        return Ok(Exit::Done);
    }
    let baseline = read(&args.baseline)?;
    let runs = GateRun::find(&paths)?;
    let mut verdict = regress::check(&baseline, &runs);
    if beside.exists() {
        verdict.left = envelopes(&beside)?.left(&runs);
    }
    print(&verdict, args)?;
    if let Some(file) = &args.summary {
        append(file, &verdict.markdown())?;
    }
    if verdict.passed() {
        return Ok(Exit::Done);
    }
    let file = args.baseline.display();
    terminal::log(&format!(
        "try: if the change is meant, `bridle-bench regress --baseline {file} --write` keeps the new numbers"
    ));
    Ok(Exit::Regression)
}

/// The ending of the file of envelopes beside a baseline.
const ENVELOPE: &str = "envelope.json";

/// Reads a file of envelopes.
///
/// # Errors
/// If it cannot be read, or is none.
pub fn envelopes(file: &Path) -> Result<Envelopes> {
    let shown = file.display();
    let hint = "`bridle-bench regress --baseline FILE --write-envelope RECORDS` writes FILE's envelope beside it";
    let text = bridle_files::text(file, bridle_files::SETTINGS).map_err(|source| {
        let error = anyhow::Error::new(source).context(format!("cannot read the envelope {shown}"));
        Failure::new(Exit::WrongUse, error).with_hint(hint)
    })?;
    serde_json::from_str(&text).map_err(|source| {
        let error = anyhow::Error::new(source).context(format!("`{shown}` is no file of envelopes"));
        Failure::new(Exit::WrongUse, error).with_hint(hint)
    })
}

fn write(args: &RegressArgs, runs: &[GateRun]) -> Result<()> {
    let bands = Bands::new(
        args.absolute.unwrap_or(Bands::ABSOLUTE),
        args.relative.unwrap_or(Bands::RELATIVE),
    );
    let file = args.baseline.display();
    let baseline = Baseline::of(runs, bands, args.from_spread).map_err(|error| {
        let failure = Failure::new(Exit::WrongUse, error);
        failure.with_hint("records with numbers: `bridle-bench run`, with --seeds 3 for a spread")
    })?;
    store::replace(&args.baseline, baseline.to_toml().as_bytes())?;
    let (numbers, held) = (baseline.len(), baseline.runs.len());
    terminal::log(&format!("{file}: {numbers} numbers of {held} runs"));
    for run in runs {
        for (quantity, _) in run.values.iter().filter(|(_, value)| value.is_none()) {
            terminal::log(&format!("left out, since it has no value: {quantity} of {}", run.key));
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Baseline> {
    let shown = file.display();
    let text = bridle_files::text(file, bridle_files::SETTINGS).map_err(|source| {
        let error = anyhow::Error::new(source).context(format!("cannot read the baseline {shown}"));
        Failure::new(Exit::WrongUse, error).with_hint(format!(
            "`bridle-bench regress --baseline {shown} --write` writes it from records"
        ))
    })?;
    let malformed = |error: BaselineError| {
        Failure::new(
            Exit::WrongUse,
            anyhow::Error::new(error).context(format!("the baseline {shown} is malformed")),
        )
    };
    Baseline::from_toml(&text).map_err(malformed)
}

fn print(verdict: &Verdict, args: &RegressArgs) -> Result<()> {
    let baseline = args.baseline.display().to_string();
    match args.format {
        RegressFormat::Terminal => terminal::print(&verdict.terminal(terminal::columns())),
        RegressFormat::Markdown => terminal::print(&verdict.markdown()),
        RegressFormat::Json => terminal::print_json(&verdict.to_json()),
        RegressFormat::Github => match annotations::github(verdict, &baseline) {
            lines if lines.is_empty() => Ok(()),
            lines => terminal::print(&lines),
        },
        RegressFormat::Gitlab => terminal::print_json(&annotations::gitlab(verdict, &baseline)),
    }
}

fn append(file: &Path, text: &str) -> Result<()> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| Failure::fault(format!("cannot write the summary {}", file.display()), source))
}
