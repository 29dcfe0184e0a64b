"""Checks the scores of every record against its predictions, and every interval that the program prints.

    pip install scikit-learn
    python tests/check_records.py [DIR ...]                  default: the records of results
    python tests/check_records.py --program target/release/bridle-bench [DIR ...]

Recomputes top-1, top-5, mean average precision, AUC, d', word and character errors from each predictions file and
compares them with its record. With --program it also runs `table` over each DIR and `compare` over each pair of its
methods, without DIR also `study --report` of every study, and recomputes every interval, p-value of several runs and
difference that could have been shown, with code of its own: scipy's distributions, metrics under changed weights of
samples. Then it looks for every difference that the text of the pages gives among those that were printed. Exits with 1
if a score differs by more than 1e-6, an interval by more than 1e-4 of its width, or anything is missing.
"""

import argparse
import collections
import csv
import functools
import itertools
import json
import pathlib
import re
import subprocess
import sys
import warnings

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import nct, norm, t
from sklearn.metrics import average_precision_score, roc_auc_score

WITHIN = 1e-6

# difference and interval of each comparison that the program printed
PRINTED = []


def rows_of(path):
    """Header, rows, and the source of each sample: a column, the name of an ESC-50 clip, or the sample itself."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    header, rows = rows[0], rows[1:]
    if header[2] == "source":
        return header, rows, [row[2] for row in rows]
    names = [row[0].split("-") for row in rows]
    if path.parts[-3] == "esc50" and all(len(name) == 4 for name in names):
        return header, rows, [name[1] for name in names]
    return header, rows, [row[0] for row in rows]


def read(path):
    """Targets as 0 or 1, [N, C], and scores by protocol, [N, C] each."""
    header, rows, _ = rows_of(path)
    columns = {}
    lead = 3 if header[2] == "source" else 2
    for column, name in enumerate(header[lead:], start=lead):
        columns.setdefault(name.rsplit(".", 1)[0], []).append(column)
    # 32 bits, as in the program, so that the same scores are tied
    scores = {name: np.array([[row[c] for c in cs] for row in rows], dtype=np.float32) for name, cs in columns.items()}
    classes = len(next(iter(columns.values())))
    targets = np.zeros((len(rows), classes), dtype=int)
    for sample, row in enumerate(rows):
        targets[sample, [int(target) for target in row[1].split(";") if target]] = 1
    return targets, scores


def top_k(targets, scores, k):
    # a stable sort by descending score: on ties the first class comes first
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.mean(np.take_along_axis(targets, order, axis=1).any(axis=1))


def mean_auc(targets, scores):
    defined = targets.any(axis=0) & ~targets.all(axis=0)
    return roc_auc_score(targets[:, defined], scores[:, defined], average="macro")


METRICS = {
    "top1": lambda targets, scores: top_k(targets, scores, 1),
    "top5": lambda targets, scores: top_k(targets, scores, 5),
    "map": lambda targets, scores: average_precision_score(targets[:, targets.any(axis=0)], scores[:, targets.any(axis=0)]),
    "map_all_classes": average_precision_score,
    "auc": mean_auc,
    "dprime": lambda targets, scores: np.sqrt(2) * norm.ppf(mean_auc(targets, scores)),
}


def edits(wanted, found):
    """The fewest substitutions, deletions and insertions between two sequences."""
    before = list(range(len(found) + 1))
    for i, a in enumerate(wanted, start=1):
        row = [i]
        for j, b in enumerate(found, start=1):
            row.append(min(before[j - 1] + (a != b), before[j] + 1, row[-1] + 1))
        before = row
    return before[-1]


def errors(path, protocol, metric):
    """Errors and length of each utterance, [N] each."""
    header, rows, _ = rows_of(path)
    column = header.index(protocol + ".text")
    units = str.split if metric == "wer" else lambda text: list(" ".join(text.split()))
    pairs = [(units(row[1]), units(row[column])) for row in rows]
    return np.array([edits(*pair) for pair in pairs], float), np.array([len(wanted) for wanted, _ in pairs], float)


def value_and_influence(path, protocol, metric):
    """A score, and its derivative by the weight of each sample, [N]. (None, None) if predictions do not decide it."""
    if metric in ("wer", "cer"):
        wrong, length = errors(path, protocol, metric)
        rate = wrong.sum() / length.sum()
        return rate, (wrong - rate * length) / length.sum()
    if metric not in METRICS:
        return None, None
    targets, scores = read(path)
    scores = scores[protocol]
    value = float(METRICS[metric](targets, scores))
    if metric in ("top1", "top5"):
        hits = np.array([top_k(targets[[i]], scores[[i]], int(metric[3:])) for i in range(len(targets))])
        return value, (hits - value) / len(hits)
    if not np.isfinite(value):
        return value, None
    return value, slopes(metric, targets, scores)


def slopes(metric, targets, scores, step=1e-4):
    """Derivative of a ranking metric by the weight of each sample, from two slightly changed weights each, [N]."""
    samples, classes = targets.shape
    weights = np.ones((2 * samples, samples))  # a row per changed weight
    weights[np.arange(samples), np.arange(samples)] += step
    weights[samples + np.arange(samples), np.arange(samples)] -= step
    total, count = 0.0, 0
    for c in range(classes):
        order = np.argsort(-scores[:, c], kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order, c])), samples - 1)  # the last of equal scores
        positive = targets[order, c].astype(float)
        above = (weights[:, order] * positive).cumsum(axis=1)[:, ends]
        below = (weights[:, order] * (1 - positive)).cumsum(axis=1)[:, ends]
        if metric in ("map", "map_all_classes") and positive.any():
            total = total + (np.diff(above, prepend=0) * above / (above + below)).sum(axis=1) / above[:, -1]
        elif metric in ("auc", "dprime") and positive.any() and not positive.all():
            rates = [np.concatenate([np.zeros((len(side), 1)), side / side[:, -1:]], axis=1) for side in (below, above)]
            total = total + np.trapezoid(rates[1], rates[0], axis=1)
        else:
            continue
        count += 1
    mean = total / (classes if metric == "map_all_classes" else count)
    if metric == "dprime":
        mean = np.sqrt(2) * norm.ppf(mean)
    return (mean[:samples] - mean[samples:]) / (2 * step)


class Spread:
    """Variance of a mean over runs and over sources of samples; see results/stats/spread.rs."""

    def __init__(self, folds):
        """One entry per fold: values, [S], and influences, [S, N], of the same samples, and their sources, [N]."""
        runs = sum(len(values) for values, _, _ in folds)
        self.runs, self.value = runs, sum(values.sum() for values, _, _ in folds) / runs
        of_sources = of_both = deviations = 0.0
        self.sources = self.samples = 0
        for values, influences, sources in folds:
            names, places = np.unique(sources, return_inverse=True)
            count, s = len(names), len(values)
            by_source = np.array([np.bincount(places, own, count) for own in influences])
            share = (s / runs) ** 2
            of_sources += share * count * by_source.mean(axis=0).var(ddof=1)
            if s > 1:
                rest = by_source - by_source.mean(axis=0)
                of_both += share * count * (rest**2).sum() / ((s - 1) * (count - 1)) / s
            deviations += ((values - values.mean()) ** 2).sum()
            self.sources += count
            self.samples += len(sources)
        repeats = runs - len(folds)
        parts = [(max(of_sources - of_both, 0.0), self.sources - len(folds))]
        if repeats + 1 < len(folds):
            # a fold's mean is a draw of runs and of samples at once, whose variance is all of it
            squares = sum((len(values) / runs * (values.mean() - self.value)) ** 2 for values, _, _ in folds)
            between = squares * len(folds) / (len(folds) - 1)
            parts = [(between, len(folds) - 1)] if between > 1e-20 else parts
        elif repeats:
            parts.append((deviations / repeats / runs, repeats))
        self.parts = [part for part in parts if part[0] > 1e-20]
        self.variance = sum(variance for variance, _ in self.parts)
        self.error = np.sqrt(self.variance) if self.parts else wilson(0.0, self.sources, 1.0)[1]

    def mixed(self, at, normal):
        squares = [(variance / self.variance) ** 2 * (at(df) ** 2 - normal**2) for variance, df in self.parts]
        return np.sqrt(normal**2 + sum(squares))

    def quantile(self, p=0.05):
        return self.mixed(lambda df: t.isf(p / 2, df), norm.isf(p / 2))

    def detectable(self):
        def distance(df):
            limit = t.ppf(0.975, df)
            if df > 300:  # scipy's noncentral t is slow and unsafe there, and nearly normal
                return limit + norm.ppf(0.8)
            return brentq(lambda d: nct.sf(limit, df, d) - 0.8, 1, 10 if df > 1 else 40)

        return self.mixed(distance, norm.ppf(0.975) + norm.ppf(0.8)) * self.error

    def p(self):
        if self.value == 0.0:
            return 1.0
        ratio = abs(self.value) / self.error
        return float(np.exp(brentq(lambda x: self.quantile(np.exp(x)) - ratio, np.log(1e-15), np.log(1 - 1e-12))))

    def interval(self, metric):
        value, half = self.value, self.quantile() * self.error
        if metric == "dprime":
            return value - half, value + half
        if metric in ("wer", "cer"):
            if self.parts and value > 0:
                return value * np.exp(-half / value), value * np.exp(half / value)
            bound = wilson(0.0, self.sources, norm.ppf(0.975))[1]
            return (value * (1 - bound), value / (1 - bound)) if value > 0 else (0.0, bound)
        if self.runs == 1 and metric in ("top1", "top5"):
            alone = value * (1 - value) / max(self.samples - 1, 1)
            if self.sources == self.samples:
                return wilson(value, self.samples, norm.ppf(0.975))
            if alone > 0:
                return wilson(value, self.samples / max(self.variance / alone, 1), self.quantile())
            return wilson(value, self.sources, norm.ppf(0.975))
        if self.parts and 0 < value < 1:
            place, width = logit(value), half / (value * (1 - value))
            return expit(place - width), expit(place + width)
        return wilson(value, self.sources, norm.ppf(0.975))


def wilson(share, count, z):
    scale, centre = 1 + z * z / count, share + z * z / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - half) / scale, (centre + half) / scale


def faults(path):
    """The errors of the record in this file, and the number of scores compared."""
    record = json.loads(path.read_text())
    if record.get("predictions") is None:
        return [f"{path}: names no predictions"], 0
    predictions = path.with_name(record["predictions"])
    if not predictions.exists():
        return [f"{predictions}: missing"], 0
    samples = len(rows_of(predictions)[1])
    found, compared = [], 0
    for score in record["scores"]:
        name = f"{path}: {score['protocol']} {score['metric']}"
        try:
            value, _ = evidence(predictions, score["protocol"], score["metric"])
        except (KeyError, ValueError) as error:
            found.append(f"{name}: not in the predictions: {error}")
            continue
        if value is None:
            print(f"{name}: not decided by predictions")
            continue
        compared += 1
        # an undefined score is null in a record, and infinite or not a number here
        agrees = not np.isfinite(value) if score["value"] is None else abs(value - score["value"]) <= WITHIN
        if not agrees or score["n"] != samples:
            found.append(f"{name}: {score['value']} of {score['n']} recorded, {value} of {samples} computed")
    return found, compared


@functools.cache
def evidence(path, protocol, metric):
    return value_and_influence(path, protocol, metric)


def quantizer_of(record):
    found = record["plan"].get("quantizer")
    found = found.get("kind") if isinstance(found, dict) else found
    return None if found == "none" else found


def described(path):
    """What a row of a table says of a record."""
    record = json.loads(path.read_text())
    words = [record["plan"]["method"]] + ([quantizer_of(record)] if quantizer_of(record) else [])
    return {
        "record": record,
        "path": path.with_name(record["predictions"]),
        "task": record["plan"].get("task", record["data"]["task"]),
        "method": " ".join(words),
        "backend": f"{record['backend']['name']} {record['backend']['dtype']}",
        "plan": record["plan_hash"],
    }


def spread(runs, protocol, metric, others=None):
    """The spread of a score over these runs, or of its difference from the runs of the same seeds and folds."""
    folds = collections.defaultdict(list)
    for run in runs:
        key = run["record"]["seed"], run["record"].get("fold")
        value, influence = evidence(run["path"], protocol, metric)
        sources = rows_of(run["path"])[2]
        if others is not None:
            twin = [o for o in others if (o["record"]["seed"], o["record"].get("fold")) == key]
            if not twin:
                continue
            other, of_other = evidence(twin[0]["path"], protocol, metric)
            value, influence = value - other, influence - of_other
        folds[key[1]].append((value, influence, sources))
    each = [(np.array([v for v, _, _ in fold]), np.array([i for _, i, _ in fold]), fold[0][2]) for fold in folds.values()]
    return Spread(each)


def printed(program, *words):
    done = subprocess.run([program, *map(str, words), "--format", "json"], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def differs(name, printed, computed, width):
    if abs(printed - computed) <= 1e-4 * width:
        return []
    return [f"{name}: {printed} printed, {computed} computed"]


def check_table(program, root, runs):
    """Faults of the intervals of `table`, and how many were compared."""
    found, count = [], 0
    tables = printed(program, "table", root, "--published", "none", "--only", "scores")
    for row in itertools.chain.from_iterable(table["rows"] for table in tables):
        for cell in row["scores"]:
            if not cell.get("interval"):
                continue
            task, protocol, metric = cell["task"], cell["protocol"], cell["metric"]
            name = f"{root}: {row['method']} {row.get('backend') or ''} {row.get('plan') or ''} {task} {protocol} {metric}"
            own = [
                run
                for run in runs
                if (run["task"], run["method"]) == (task, row["method"])
                and run["backend"] == row.get("backend", run["backend"])
                and run["plan"].startswith(row.get("plan") or "")
                and row.get("recipe") in (None, run["record"]["plan"].get("recipe", "-"))
                and any((s["protocol"], s["metric"]) == (protocol, metric) for s in run["record"]["scores"])
            ]
            if len(own) != cell["runs"]:
                found.append(f"{name}: {cell['runs']} runs printed, {len(own)} found")
                continue
            interval = cell["interval"]
            ends, width = spread(own, protocol, metric).interval(metric), interval["high"] - interval["low"]
            for side, end in zip(("low", "high"), ends):
                found += differs(f"{name} {side}", interval[side], end, width)
            count += 1
    return found, count


def check_compare(program, root, runs):
    """Faults of the intervals of `compare` over each pair of plans in a folder and of folders of one task, and how many
    were compared."""
    found, count = [], 0
    for folder in sorted({run["path"].parent for run in runs}):
        of_plans, pairs = check_plans(program, folder.name, folder, [run for run in runs if run["path"].parent == folder])
        found, count = found + of_plans, count + pairs
    for task in sorted({run["path"].parent.parent for run in runs}):
        for a, b in itertools.combinations(sorted(path for path in task.iterdir() if path.is_dir()), 2):
            plans = [sorted({run["plan"] for run in runs if run["path"].parent == folder}) for folder in (a, b)]
            pairs = [["--where-a", f"plan={one}", "--where-b", f"plan={other}"] for one, other in itertools.product(*plans)]
            tables = printed(program, "compare", a, b)
            if tables is None:  # folders of several plans are compared plan by plan
                tables = [table for pair in pairs for table in printed(program, "compare", a, b, *pair) or []]
            for table in tables:
                names = [note.split(": ", 1)[1] for note in table["notes"][:2]]
                sides = [[r for r in runs if r["path"].parent == f and title(r) == n] for f, n in zip((a, b), names)]
                for row in table["rows"]:
                    protocol, metric = row["score"].rsplit(" ", 1)
                    sides_of = [[r for r in side if has(r, protocol, metric)] for side in sides]
                    name, own = f"{a.name} - {b.name} {names} {row['score']}", spread(sides_of[0], protocol, metric, sides_of[1])
                    found += faults_of_difference(name, row, own, metric)
                    if own.runs > 1:
                        found += differs(f"{name} p", row["p"], own.p(), 10.0)
                    count += 1
    return found, count


def faults_of_difference(name, row, own, metric):
    """Where a printed difference, with its interval and power, is not that of this spread."""
    interval = row["difference"]["interval"]
    PRINTED.append((row["difference"]["value"], interval["low"], interval["high"]))
    width = interval["high"] - interval["low"]
    half = own.quantile() * own.error
    reach = np.inf if metric in ("wer", "cer", "dprime") else 1.0
    ends = max(own.value - half, -reach), min(own.value + half, reach)
    found = differs(f"{name} value", row["difference"]["value"], own.value, width)
    for side, end in zip(("low", "high"), ends):
        found += differs(f"{name} {side}", interval[side], end, width)
    return found + differs(f"{name} could show", row["detectable"], own.detectable(), 20 * width)


def check_pages(pages):
    """Differences with their intervals in the text of these pages that the program did not print, from either side, and
    how many there are. Tables that the program keeps have a test of their own."""
    # in points; as they are where the metric is no share
    known = np.array([[factor * part for part in found] for found in PRINTED for factor in (100, 1)])
    known = np.concatenate([known, -known[:, [0, 2, 1]]])
    number = r"([+-]?\d+\.\d+)"
    difference = re.compile(rf"{number}(?: points?)?\s+\[{number},\s+{number}\]")
    found, count = [], 0
    for page in pages:
        kept_or_shown = r"<!-- bridle-bench .*?: begin -->.*?<!-- end -->|^```.*?^```"
        text = re.sub(kept_or_shown, "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for match in difference.finditer(text):
            count += 1
            # half of the last digit, and what binary fractions make of it
            within = [0.5 * 10.0 ** -len(part.split(".")[1]) + 1e-6 for part in match.groups()]
            if not (abs(known - [float(part) for part in match.groups()]) <= within).all(1).any():
                found.append(f"{page.name}: no record gives {' '.join(match.group().split())}")
    return found, count


def hours_of(runs):
    """Computing of these runs, with phases that another run trained."""
    return sum(sum(run["record"]["seconds"].values()) for run in runs) / 3600


def check_study(program, file):
    """Faults of the answers of `study --report`, from the records beside the file, and how many were compared."""
    root = file.with_suffix("")
    runs = [described(path) for path in sorted(root.rglob("*.json"))] if root.is_dir() else []
    found, count = [], 0
    for row in itertools.chain.from_iterable(table["rows"] for table in printed(program, "study", file, "--report", "--out", root)):
        name = f"{file.name}: {row['arm']['name']} {row.get('score') or ''}"
        arm, reference = [[r for r in runs if r["plan"] == plan] for plan in row["arm"]["plans"] or (None, None)]
        common = {run_key(run) for run in arm} & {run_key(run) for run in reference}
        if row["runs"] != len(common):
            found.append(f"{name}: {row['runs']} runs printed, {len(common)} found")
        # an arm without a partner has its hours, and no plans that are compared
        if row["arm"]["plans"]:
            found += differs(f"{name} hours", row["hours"], hours_of(arm), 1.0)
        if (row.get("difference") is None) != (len(common) < 2):
            found.append(f"{name}: {len(common)} runs, difference {row.get('difference')}")
        elif len(common) >= 2:
            protocol, metric = row["score"].rsplit(" ", 1)
            found += faults_of_difference(name, row, spread(arm, protocol, metric, reference), metric)
        count += 1
    # other pairs of arms, which pages may speak of
    of_pairs, pairs = check_plans(program, file.name, root, runs)
    return found + of_pairs, count + pairs


def run_key(run):
    return run["backend"], run["record"]["seed"], run["record"].get("fold")


def check_plans(program, name, folder, runs, others=None):
    """Faults of the differences between the plans of the runs in a folder, and how many were compared; or between these
    plans and those of the runs in another folder, `others`."""
    found, count = [], 0
    plans = [sorted({run["plan"] for run in side}) for side in (runs, others[1] if others else [])]
    folders = [folder, others[0] if others else folder]
    for one, other in itertools.product(*plans) if others else itertools.combinations(plans[0], 2):
        sides = [[run for run in runs if run["plan"] == one]]
        sides.append([run for run in (others[1] if others else runs) if run["plan"] == other])
        if len({run_key(run) for run in sides[0]} & {run_key(run) for run in sides[1]}) < 2:
            continue
        words = ["--where-a", f"plan={one}", "--where-b", f"plan={other}"]
        for row in itertools.chain.from_iterable(table["rows"] for table in printed(program, "compare", *folders, *words) or []):
            protocol, metric = row["score"].rsplit(" ", 1)
            own = spread(sides[0], protocol, metric, sides[1])
            found += faults_of_difference(f"{name}: {one} - {other} {row['score']}", row, own, metric)
            count += 1
    return found, count


def has(run, protocol, metric):
    return any((s["protocol"], s["metric"]) == (protocol, metric) for s in run["record"]["scores"])


def title(run):
    return f"{run['method']}, {run['backend']}, plan {run['plan'][:6]}"


def check_fights(page):
    """Faults of the table of `fight` against `no_fight`, which its page makes by a line of its own, and how many rows it has."""
    kinetics = page.parent / "kinetics-mini"
    found, rows = [], re.findall(r"^\| (bridle-rq|random-init) \| (\d) \| (\d+) \|$", page.read_text(), re.MULTILINE)
    for method, seed, told in rows:
        [path] = kinetics.rglob(f"{method}/*-s{seed}.predictions.csv")
        targets, scores = read(path)
        either = targets[:, 2:4].any(axis=1)
        first = scores["linear-probe"][either, 2] > scores["linear-probe"][either, 3]
        if (first == targets[either, 2].astype(bool)).sum() != int(told):
            found.append(f"{page.name}: {method}, seed {seed}: not {told} of {either.sum()}")
    return found + ([] if len(rows) == 6 else [f"{page.name}: {len(rows)} rows of fights"]), len(rows)


def main():
    warnings.simplefilter("ignore")  # of classes without positive samples
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("roots", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    results = pathlib.Path(__file__).resolve().parent.parent / "results"
    studies = [] if options.roots else sorted((results / "studies").glob("*.toml"))
    wrong = []
    for root in options.roots or [results / "records", results / "small-sets", results / "studies", results / "untrained"]:
        records = sorted(root.rglob("*.json"))
        if not records:
            sys.exit(f"no record in {root}")
        checked = [faults(path) for path in records]
        wrong += [fault for found, _ in checked for fault in found]
        print(f"{root}: {len(records)} records, {sum(compared for _, compared in checked)} scores compared")
        if options.program and root.name not in ("studies", "untrained"):
            runs = [described(path) for path in records]
            for what, check in ("table", check_table), ("compare", check_compare):
                found, count = check(options.program, root, runs)
                wrong += found
                print(f"{root}: {count} intervals of {what} compared")
    for file in studies if options.program else []:
        found, count = check_study(options.program, file)
        wrong += found
        print(f"{file.name}: {count} answers and differences compared")
    if options.program and not options.roots:
        # pairs of folders, which pages may speak of
        studied = results / "studies"
        untrained = results / "untrained"
        long = studied / "long"
        for pair in (studied / "methods", untrained), (long, untrained), (long, studied / "corrected"), (long, studied / "methods"):
            sides = [(root, [described(path) for path in sorted(root.rglob("*.json"))]) for root in pair]
            found, count = check_plans(options.program, f"{pair[0].name}, {pair[1].name}", *sides[0], sides[1])
            wrong += found
            print(f"{pair[0].name}, {pair[1].name}: {count} differences compared")
        pages = [results.parent / "README.md", results / "README.md", results / "small-sets" / "README.md"]
        found, count = check_pages(pages)
        wrong += found
        print(f"{count} differences in the text of {len(pages)} pages compared")
        found, count = check_fights(pages[-1])
        wrong += found
        print(f"{count} rows of fights compared")
    print(f"{len(wrong)} faults")
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
