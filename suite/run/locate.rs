//! Where the weights of `--init` are: at a path, or in a repository of the hub.

use crate::cli::error::{Failure, Result};
use crate::cli::exit::Exit;
use crate::cli::progress::TerminalProgress;
use crate::cli::terminal;
use bridle_tasks::{FetchRequest, HubModel, HubNameError};
use std::path::{Path, PathBuf};

/// Weights on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub path: PathBuf,
    /// What messages and tables call them: the end of a path, or the repository.
    pub name: String,
    /// `hub:ORG/NAME@COMMIT`, if they are of the hub.
    pub source: Option<String>,
}

/// How weights of the hub may get here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They are fetched if they are not here; `agrees` to more than a gigabyte without being asked.
    Fetch { agrees: bool },
    /// Only what is here already, without the network.
    Offline,
    /// Nothing may change.
    Look,
}

impl Access {
    /// As `--offline` and `--yes` say.
    pub const fn of(offline: bool, agrees: bool) -> Self {
        match offline {
            true => Self::Offline,
            false => Self::Fetch { agrees },
        }
    }
}

/// Finds the weights that a word of the command line names.
///
/// # Errors
/// If a word that begins with `hub:` names no repository; whatever keeps a fetch from ending with every
/// file whole.
pub fn locate(word: &Path, access: Access) -> Result<Located> {
    let Some(model) = word.to_str().filter(|word| HubModel::is_meant(word)) else {
        return Ok(Located {
            path: word.to_owned(),
            name: name(word),
            source: None,
        });
    };
    let model: HubModel = model.parse()?;
    let environment = FetchRequest::from_environment();
    let request = FetchRequest {
        offline: environment.offline || access == Access::Offline,
        ..environment
    };
    let progress = TerminalProgress::agreeing(access == Access::Fetch { agrees: true });
    let found = match access {
        Access::Look => model.find(&request)?.ok_or_else(|| absent(&model))?,
        _ => {
            if !request.offline && model.find(&request)?.is_none() {
                let plan = model.plan(&request)?;
                let files: Vec<&str> = plan.files.iter().map(|file| &*file.name).collect();
                let (revision, megabytes) = (&plan.revision, plan.missing_bytes() as f64 / 1e6);
                terminal::log(&format!(
                    "{model}: revision {revision} of {}: {}, {megabytes:.1} MB to fetch",
                    plan.endpoint,
                    files.join(", ")
                ));
            }
            model.fetch(&request, &progress)?
        }
    };
    let source = model.at(&found.revision);
    terminal::log(&format!("{source}: verified"));
    let file = model.file.iter().map(|file| format!("/{file}"));
    Ok(Located {
        path: found.path,
        name: format!("{}{}", model.repository, file.collect::<String>()),
        source: Some(source),
    })
}

/// The last part of a path; where that is what every checkpoint is called, with the folder around it.
fn name(path: &Path) -> String {
    const EVERY: [&str; 5] = ["checkpoint", "encoder", "model", "pytorch_model", "weights"];
    let last = path
        .file_name()
        .or_else(|| path.components().next_back().map(|part| part.as_os_str()));
    let last = last.map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    let folder = path.parent().and_then(Path::file_name);
    match (stem, folder) {
        (Some(stem), Some(folder)) if EVERY.contains(&&*stem) => format!("{}/{last}", folder.to_string_lossy()),
        _ => last,
    }
}

fn absent(model: &HubModel) -> Failure {
    let message = format!("{model} is not on this machine");
    Failure::new(Exit::Data, anyhow::anyhow!(message)).with_hint(format!("`bridle-bench fetch {model}`, or `run`"))
}

impl From<HubNameError> for Failure {
    fn from(error: HubNameError) -> Self {
        Self::wrong_use(error.to_string()).with_hint("hub:ORG/NAME, hub:ORG/NAME@REVISION or hub:ORG/NAME/FILE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_called_by_its_end_that_tells_it_from_others() {
        for (path, named) in [
            ("/a/wav2vec2-base", "wav2vec2-base"),
            ("/a/wav2vec2-base/", "wav2vec2-base"),
            ("beats-pt/model.pt", "beats-pt/model.pt"),
            ("/a/b/vit/model", "vit/model"),
            ("model.pt", "model.pt"),
            ("/a/BEATs_iter3.pt", "BEATs_iter3.pt"),
            ("/", "/"),
            ("..", ".."),
        ] {
            assert_eq!(name(Path::new(path)), named, "{path}");
        }
    }
}
