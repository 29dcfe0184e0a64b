#!/usr/bin/env python3
"""The workflows of examples/ci, step by step, as their forges run them.

    pip install -r .ci/python.txt
    tests/workflows.py target/release/bridle-bench

Each workflow runs three times in a folder that holds examples/ci and nothing else: the first run writes the
baseline, the second is quiet, the third meets a baseline that asks for more and fails with annotations.
`cargo` is a stand-in that puts the given program where a build would.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

EXAMPLES = Path(__file__).resolve().parent.parent / "examples/ci"
CARGO = """#!/bin/sh
test "$1 $2 $3" = "build --release --locked" || { echo "not a build: cargo $*" >&2; exit 1; }
mkdir -p target/release && ln -sf "$PROGRAM" target/release/bridle-bench
"""


def github(folder, environment):
    """The job's steps: exit code, stdout, and the summary of the run's page."""
    workflow = YAML(typ="safe").load(EXAMPLES / "github.yml")
    job = workflow["jobs"]["bench"]
    paths, summary = folder / ".paths", folder / ".summary"
    summary.write_text("")
    out = ""
    for step in job["steps"]:
        if "run" not in step:
            continue
        paths.touch()
        added = ":".join(reversed(paths.read_text().split()))
        files = {"GITHUB_PATH": str(paths), "GITHUB_STEP_SUMMARY": str(summary)}
        path = f"{added}:{environment['PATH']}"
        done = run("set -eo pipefail\n" + step["run"], folder, {**environment, **job["env"], **files, "PATH": path})
        out += done.stdout
        if done.returncode:
            break
    return done.returncode, out, summary.read_text()


def gitlab(folder, environment):
    """The job's lines: exit code, the code quality report, and the summary, which are artifacts."""
    job = YAML(typ="safe").load(EXAMPLES / "gitlab.yml")["bench"]
    given = {"CI_PROJECT_DIR": str(folder)}
    lines = "set -eo pipefail\n" + "\n".join(job["before_script"] + job["script"])
    done = run(lines, folder, {**environment, **given, "BENCH_RUN": job["variables"]["BENCH_RUN"]})
    report = folder / job["artifacts"]["reports"]["codequality"]
    return done.returncode, report.read_text(), (folder / "bench-summary.md").read_text()


def run(lines, folder, environment):
    done = subprocess.run(["bash", "-c", lines], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    sys.stderr.write(done.stderr)
    return done


def annotations(forge, out):
    """Regressions named beside the change: their titles."""
    if forge is github:
        return re.findall(r"^::error file=results/gates/ci.toml,title=(.*?)::", out, re.M)
    return [finding["description"] for finding in json.loads(out)]


def main():
    [program] = map(Path, sys.argv[1:])
    for forge in (github, gitlab):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copytree(EXAMPLES, folder / "examples/ci")
            (folder / "results/gates").mkdir(parents=True)
            (folder / "bin").mkdir()
            (folder / "bin/cargo").write_text(CARGO)
            (folder / "bin/cargo").chmod(0o755)
            environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": name, "PROGRAM": str(program.resolve())}
            baseline = folder / "results/gates/ci.toml"
            for what in ("writes the baseline", "passes quietly"):
                code, out, _ = forge(folder, environment)
                assert code == 0 and baseline.exists() and not annotations(forge, out), f"{what}: {code} {out}"
            text = baseline.read_text()
            asked = re.sub(r"^(.*top1 = ).*$", r"\g<1>5.0", text, count=1, flags=re.M)
            assert asked != text
            baseline.write_text(asked)
            code, out, summary = forge(folder, environment)
            found = annotations(forge, out)
            assert code == 10 and len(found) == 1 and "top1" in found[0], f"{code} {out}"
            assert "top1" in summary, summary
            print(f"{forge.__name__}: baseline, quiet, and a failure with {found}")


if __name__ == "__main__":
    main()
