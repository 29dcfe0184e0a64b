//! Names of classes and functions in pickles: which are refused, wherever they stand.

/// Modules that run programs, load code or reach the system.
const HARMFUL: [&str; 24] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "importlib",
    "runpy",
    "socket",
    "shutil",
    "ctypes",
    "operator",
    "webbrowser",
    "pty",
    "code",
    "asyncio",
    "pip",
    "pydoc",
    // they run what they are given
    "bdb",
    "cProfile",
    "pdb",
    "timeit",
    // and these what bytes hold
    "marshal",
    "pickle",
    "_pickle",
];

/// The functions that open files.
const OPENS: [&str; 3] = ["open", "open_code", "FileIO"];

/// What Python calls its own module, in version 3 and in version 2.
const BUILTINS: [&str; 2] = ["builtins", "__builtin__"];

/// The plain types among Python's own.
const PLAIN: [&str; 14] = [
    "set",
    "frozenset",
    "bytearray",
    "list",
    "dict",
    "tuple",
    "int",
    "float",
    "bool",
    "str",
    "bytes",
    "slice",
    "complex",
    "object",
];

/// Whether a pickle with this name would do harm where it is run.
pub(super) fn is_harmful(module: &str, name: &str) -> bool {
    let root = module.split('.').next().unwrap_or_default();
    if BUILTINS.contains(&root) {
        return module != root || !PLAIN.contains(&name);
    }
    // what Python 3 takes for subprocess in old pickles
    if module == "commands" || ["io", "_io"].contains(&module) && OPENS.contains(&name) {
        return true;
    }
    // a name with dots leads through what another module has imported
    let leads_through = name.contains('.')
        && name
            .split('.')
            .any(|part| HARMFUL.contains(&part) || BUILTINS.contains(&part));
    HARMFUL.contains(&root) || leads_through
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_programs_is_harmful_and_plain_types_are_not() {
        for (module, name) in [
            ("os", "system"),
            ("os.path", "join"),
            ("posix", "system"),
            ("importlib.machinery", "SourceFileLoader"),
            ("builtins", "eval"),
            ("__builtin__", "getattr"),
            ("builtins.x", "int"),
            ("builtins", "str.format"),
            ("torch.serialization", "os.system"),
            ("torch", "builtins.eval"),
            ("commands", "Popen"),
            ("io", "open"),
            ("_io", "FileIO"),
            ("pickle", "loads"),
            ("timeit", "timeit"),
        ] {
            assert!(is_harmful(module, name), "{module}.{name}");
        }
        for (module, name) in [
            ("builtins", "set"),
            ("__builtin__", "object"),
            ("torch._utils", "_rebuild_tensor_v2"),
            ("mycompany.code", "Model"),
            ("oscar", "Academy"),
            ("argparse", "Namespace"),
            ("enums", "Outer.Inner"),
            ("_io", "BytesIO"),
            ("commands.train", "Settings"),
            ("profiler", "Settings"),
        ] {
            assert!(!is_harmful(module, name), "{module}.{name}");
        }
    }
}
