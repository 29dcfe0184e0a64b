//! The programs `ffmpeg` and `ffprobe`, run with limits: a broken file costs an error, never a hang
//! or all memory.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::DataError;
use crate::error::SampleError;

/// Decoding ten seconds takes one; this is for files that trap a decoder.
const PATIENCE: Duration = Duration::from_secs(120);
/// The most bytes per allocation: far more than a picture of 16,384 x 16,384 pixels needs.
const MAX_ALLOCATION: &str = "1610612736";
/// Accepted containers. Without this list, FFmpeg would render a text file and follow a playlist.
const CONTAINERS: &str = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,h264,hevc,mpegvideo";
/// Bytes kept of a program's error output.
const COMPLAINTS: u64 = 64 << 10;

/// Why a file cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    #[error("`{program}` cannot be started: {source}")]
    Missing { program: String, source: std::io::Error },
    #[error("{program} says: {reason}")]
    Refused { program: String, reason: String },
    #[error("{program} did not finish within {seconds} s")]
    TooSlow { program: String, seconds: u64 },
    /// The machine ended it, or had no room, memory or file handles for it.
    #[error("{program} could not do its work: {reason}")]
    Failed { program: String, reason: String },
    #[error("it holds no video")]
    NoVideo,
    #[error("its pictures of {width} x {height} pixels are too large or too elongated")]
    Size { width: usize, height: usize },
    #[error("it is cut off: {expected} frames were to be decoded, {decoded} could be")]
    CutOff { expected: usize, decoded: usize },
    #[error("it is cut off: {0}")]
    EndsEarly(String),
    #[error("it is {0}, not a video")]
    NotVideo(&'static str),
    /// A packed file or a pointer; the field names it.
    #[error("it is {0}")]
    Foreign(&'static str),
}

/// What FFmpeg says, in the system's words, when the machine fails it. A loader says the last when a
/// library cannot be opened.
const OF_THE_MACHINE: [&str; 6] = [
    "No space left on device",
    "Too many open files",
    "Cannot allocate memory",
    "Resource temporarily unavailable",
    "Disk quota exceeded",
    "error while loading shared libraries",
];

impl VideoError {
    /// Whether it says nothing of the file.
    pub(super) fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::TooSlow { .. } | Self::Failed { .. })
    }

    /// The error of a program that does not even tell its version: it or a library of it is not
    /// there, or the machine lacks processes, memory or open files.
    pub(crate) fn at_start(self) -> DataError {
        let program = match &self {
            Self::Missing { program, .. } | Self::TooSlow { program, .. } | Self::Failed { program, .. } => {
                program.clone()
            }
            _ => "ffmpeg".to_owned(),
        };
        let source = match self {
            Self::Missing { source, .. } => source,
            other if other.is_of_the_machine() && !other.to_string().contains("No such file") => {
                std::io::Error::other(other.to_string())
            }
            other => std::io::Error::new(ErrorKind::NotFound, other.to_string()),
        };
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => DataError::MissingProgram {
                program,
                reason: source.to_string(),
            },
            _ => DataError::System {
                what: format!("start `{program}`"),
                source,
            },
        }
    }
}

impl From<VideoError> for SampleError {
    fn from(error: VideoError) -> Self {
        let reason = error.to_string();
        match error.is_of_the_machine() {
            true => Self::Machine(reason),
            false => Self::Broken(reason),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Programs {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    patience: Duration,
    /// The option of this release that neither repeats nor drops frames.
    passthrough: [&'static str; 2],
}

impl Programs {
    /// Finds the programs on the path.
    pub fn find() -> Result<Self, VideoError> {
        Self::at("ffmpeg".into(), "ffprobe".into(), PATIENCE)
    }

    pub(super) fn at(ffmpeg: PathBuf, ffprobe: PathBuf, patience: Duration) -> Result<Self, VideoError> {
        let version = |program: &Path| run(program, &["-version".into()], COMPLAINTS, patience);
        let (first, _) = version(&ffmpeg)?;
        version(&ffprobe)?;
        let passthrough = passthrough(&String::from_utf8_lossy(&first));
        Ok(Self {
            ffmpeg,
            ffprobe,
            patience,
            passthrough,
        })
    }

    /// The output of `ffprobe` for a file, at most `limit` bytes, and what it complained of.
    pub(super) fn ask(&self, file: &Path, options: &[&str], limit: u64) -> Result<(Vec<u8>, String), VideoError> {
        let mut arguments = reading(file);
        arguments.extend(options.iter().map(OsString::from));
        run(&self.ffprobe, &arguments, limit, self.patience).map_err(|error| about(error, file))
    }

    /// One stream of a file as raw rgb24 after the filters; at most `limit` bytes.
    pub(super) fn decode(
        &self,
        file: &Path,
        stream: usize,
        filters: &str,
        frames: usize,
        limit: u64,
    ) -> Result<Vec<u8>, VideoError> {
        // -xerror ends the program at a damaged picture; a filter keeps counting where the picture
        // size changes
        let mut arguments: Vec<OsString> = ["-nostdin", "-xerror", "-threads", "1", "-reinit_filter", "0"]
            .map(OsString::from)
            .to_vec();
        arguments.extend(reading(file));
        let (stream, frames) = (format!("0:{stream}"), frames.to_string());
        let output = ["-map", &stream, "-an", "-sn", "-dn", "-vf", filters];
        arguments.extend(output.iter().chain(&self.passthrough).map(OsString::from));
        arguments.extend(["-frames:v", &frames, "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"].map(OsString::from));
        let decoded = run(&self.ffmpeg, &arguments, limit, self.patience);
        decoded.map(|(rgb, _)| rgb).map_err(|error| about(error, file))
    }
}

/// Both programs' options for opening a file: quiet, bounded, and files only, never the network.
fn reading(file: &Path) -> Vec<OsString> {
    let fixed = [
        "-hide_banner",
        "-v",
        "error",
        "-max_alloc",
        MAX_ALLOCATION,
        "-protocol_whitelist",
        "file",
    ];
    let mut arguments: Vec<OsString> = fixed.map(OsString::from).to_vec();
    // the prefix protects names that begin with a dash or look like an address
    let mut name = OsString::from("file:");
    name.push(file);
    arguments.extend([
        OsString::from("-format_whitelist"),
        CONTAINERS.into(),
        "-i".into(),
        name,
    ]);
    arguments
}

/// `-fps_mode` since 5.1, which deprecated `-vsync`; a version that is not a number is newer.
fn passthrough(version: &str) -> [&'static str; 2] {
    let word = version.split_whitespace().nth(2).unwrap_or_default();
    let mut numbers = word
        .trim_start_matches('n')
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next().unwrap_or(0)) {
        (Some(major), minor) if (major, minor) < (5, 1) => ["-vsync", "0"],
        _ => ["-fps_mode", "passthrough"],
    }
}

/// Runs a program and returns its output and its complaints. It is killed if it takes too long or
/// writes too much.
fn run(
    program: &Path,
    arguments: &[OsString],
    limit: u64,
    patience: Duration,
) -> Result<(Vec<u8>, String), VideoError> {
    let name = program
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let missing = |source| VideoError::Missing {
        program: name.clone(),
        source,
    };
    let mut child = Running(
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(missing)?,
    );
    let deadline = Instant::now() + patience;
    let failed = |reason: String| VideoError::Failed {
        program: name.clone(),
        reason,
    };
    let no_thread = |error: std::io::Error| failed(format!("its output cannot be read: {error}"));
    let output = drain(child.0.stdout.take().expect("stdout is piped"), limit + 1).map_err(no_thread)?;
    let complaints = drain(child.0.stderr.take().expect("stderr is piped"), COMPLAINTS).map_err(no_thread)?;
    let collect = |from: mpsc::Receiver<Vec<u8>>| from.recv_timeout(deadline - Instant::now().min(deadline)).ok();
    let too_slow = || VideoError::TooSlow {
        program: name.clone(),
        seconds: patience.as_secs(),
    };
    let output = collect(output).ok_or_else(too_slow)?;
    if output.len() as u64 > limit {
        let reason = format!("more than {limit} bytes, which is too much");
        return Err(VideoError::Refused { program: name, reason });
    }
    let complaints = collect(complaints).ok_or_else(too_slow)?;
    let status = child.end(deadline).ok_or_else(too_slow)?;
    let text = String::from_utf8_lossy(&complaints).into_owned();
    if status.success() {
        return Ok((output, text));
    }
    // no exit code: a signal ended it
    if status.code().is_none() {
        return Err(failed(status.to_string()));
    }
    let reason = last_words(&complaints);
    let is_of_the_machine = |line: &&str| OF_THE_MACHINE.iter().any(|words| line.contains(words));
    match text.lines().find(is_of_the_machine) {
        Some(line) => Err(failed(line.trim().to_owned())),
        None => Err(VideoError::Refused { program: name, reason }),
    }
}

/// Reads at most `limit` bytes in a thread of its own, so that a full pipe never blocks the
/// program; the rest is discarded.
fn drain(mut pipe: impl Read + Send + 'static, limit: u64) -> std::io::Result<mpsc::Receiver<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut bytes = Vec::new();
        // a broken pipe ends the output, and the exit status says why
        let _ = pipe.by_ref().take(limit).read_to_end(&mut bytes);
        let full = bytes.len() as u64 == limit;
        let _ = sender.send(bytes);
        if full {
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
    };
    thread::Builder::new().spawn(read)?;
    Ok(receiver)
}

/// A running program; killed when dropped.
struct Running(Child);

impl Running {
    /// How it ended; `None` if it did not end in time.
    fn end(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                _ => return None,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // both fail only if the program has already ended
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last line of a program's error output, without addresses, which differ each time.
fn last_words(complaints: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaints);
    let last = text
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("nothing");
    match last.strip_prefix('[').and_then(|rest| rest.split_once(" @ ")) {
        Some((part, rest)) => format!("{part}: {}", rest.split_once("] ").map_or(rest, |(_, words)| words)),
        None => last.to_owned(),
    }
}

/// Removes the file's name from the error: the caller prefixes it.
fn about(error: VideoError, file: &Path) -> VideoError {
    match error {
        VideoError::Refused { program, reason } => {
            let named = |name: &OsStr| format!("file:{}: ", name.to_string_lossy());
            VideoError::Refused {
                program,
                reason: reason.replace(&named(file.as_os_str()), ""),
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    fn shell(script: &str, limit: u64, patience: Duration) -> Result<Vec<u8>, VideoError> {
        run(Path::new("/bin/sh"), &["-c".into(), script.into()], limit, patience).map(|(output, _)| output)
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let begun = Instant::now();
        for script in ["exec sleep 60", "exec >&- 2>&-; sleep 60", "exec 2>&-; sleep 60", "yes"] {
            let error = shell(script, 1 << 20, Duration::from_millis(300)).unwrap_err();
            let stopped = matches!(error, VideoError::TooSlow { .. } | VideoError::Refused { .. });
            assert!(stopped, "{script}: {error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    #[test]
    fn output_is_whole_or_an_error() {
        let long = Duration::from_secs(20);
        assert_eq!(shell("printf abc", 3, long).unwrap(), b"abc");
        assert!(matches!(shell("printf abcd", 3, long), Err(VideoError::Refused { .. })));
        // more complaints than a pipe holds do not stop it
        let loud = "i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; printf ok";
        assert_eq!(shell(loud, 3, long).unwrap(), b"ok");
        let error = shell("echo '[mov @ 0x55d0] moov atom not found' >&2; exit 1", 3, long).unwrap_err();
        assert_eq!(error.to_string(), "sh says: mov: moov atom not found");
    }

    #[test]
    fn a_fault_of_the_machine_says_nothing_of_the_file() {
        let long = Duration::from_secs(20);
        for (script, words) in [
            ("kill -9 $$", "signal: 9"),
            ("echo '[mov] Too many open files' >&2; exit 1", "Too many open files"),
            (
                "echo 'x: No space left on device' >&2; echo more >&2; exit 228",
                "No space left on device",
            ),
        ] {
            let error = shell(script, 3, long).unwrap_err();
            assert!(
                matches!(error, VideoError::Failed { .. }) && error.to_string().contains(words),
                "{error}"
            );
            assert!(matches!(SampleError::from(error), SampleError::Machine(_)));
        }
        let slow = shell("sleep 60", 3, Duration::from_millis(100)).unwrap_err();
        assert!(matches!(SampleError::from(slow), SampleError::Machine(_)));
        let broken = shell("echo 'moov atom not found' >&2; exit 1", 3, long).unwrap_err();
        assert!(matches!(SampleError::from(broken), SampleError::Broken(_)));
    }

    #[test]
    fn a_program_that_cannot_start_is_missing_or_the_machine_is_at_fault() {
        let long = Duration::from_secs(20);
        let loader = "error while loading shared libraries: libavfilter.so.8:";
        for (script, is_missing) in [
            ("kill -9 $$".to_owned(), false),
            (
                format!("echo '{loader} failed to map segment from shared object' >&2; exit 127"),
                false,
            ),
            (
                format!("echo '{loader} cannot open shared object file: Too many open files' >&2; exit 127"),
                false,
            ),
            (
                format!("echo '{loader} cannot open: No such file or directory' >&2; exit 127"),
                true,
            ),
            (
                "echo 'symbol lookup error: undefined symbol' >&2; exit 127".to_owned(),
                true,
            ),
        ] {
            let error = shell(&script, 3, long).unwrap_err().at_start();
            let found = matches!(error, DataError::MissingProgram { .. });
            assert_eq!(found, is_missing, "{script}: {error:?}");
            assert!(
                found || matches!(error, DataError::System { .. }),
                "{script}: {error:?}"
            );
        }
    }

    #[test]
    fn a_missing_program_is_named() {
        let at = |ffmpeg: &str, ffprobe: &str| Programs::at(ffmpeg.into(), ffprobe.into(), PATIENCE).unwrap_err();
        let error = at("/no/such/ffmpeg", "/no/such/ffprobe");
        assert!(
            matches!(&error, VideoError::Missing { program, .. } if program == "ffmpeg"),
            "{error}"
        );
        let error = at("/bin/true", "/no/such/ffprobe");
        assert!(
            matches!(&error, VideoError::Missing { program, .. } if program == "ffprobe"),
            "{error}"
        );
    }

    #[test]
    fn releases_are_told_apart() {
        for (version, expected) in [
            ("4.4.2-0ubuntu0.22.04.1", "-vsync"),
            ("5.0", "-vsync"),
            ("5.1.9-0+deb12u1", "-fps_mode"),
            ("n6.0", "-fps_mode"),
            ("8.0-static", "-fps_mode"),
            ("N-112233-gabcdef", "-fps_mode"),
        ] {
            assert_eq!(
                passthrough(&format!("ffmpeg version {version} Copyright"))[0],
                expected,
                "{version}"
            );
        }
    }
}
