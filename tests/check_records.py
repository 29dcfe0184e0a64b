"""Checks the scores of every record against its predictions, with scikit-learn and numpy.

    pip install scikit-learn
    python tests/check_records.py [DIR]          default: results/records

Recomputes top-1, top-5, mean average precision, AUC and d' from each predictions file and compares them
with its record. Exits with 1 if a score differs by more than 1e-6 or predictions are missing.
"""

import csv
import json
import pathlib
import sys
import warnings

import numpy as np
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

WITHIN = 1e-6


def read(path):
    """Targets as 0 or 1, [N, C], and scores by protocol, [N, C] each."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    header, rows = rows[0], rows[1:]
    columns = {}
    for column, name in enumerate(header[2:], start=2):
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


def faults(path):
    """The errors of the record in this file, and the number of scores compared."""
    record = json.loads(path.read_text())
    if record.get("predictions") is None:
        return [f"{path}: names no predictions"], 0
    predictions = path.with_name(record["predictions"])
    if not predictions.exists():
        return [f"{predictions}: missing"], 0
    targets, scores = read(predictions)
    found, compared = [], 0
    for score in record["scores"]:
        name = f"{path}: {score['protocol']} {score['metric']}"
        if score["metric"] not in METRICS:
            print(f"{name}: not decided by predictions")
            continue
        if score["protocol"] not in scores:
            found.append(f"{name}: no such protocol in the predictions")
            continue
        value = float(METRICS[score["metric"]](targets, scores[score["protocol"]]))
        compared += 1
        # an undefined score is null in a record, and infinite or not a number here
        agrees = not np.isfinite(value) if score["value"] is None else abs(value - score["value"]) <= WITHIN
        if not agrees or score["n"] != len(targets):
            found.append(f"{name}: {score['value']} of {score['n']} recorded, {value} of {len(targets)} computed")
    return found, compared


def main():
    warnings.simplefilter("ignore")  # of classes without positive samples
    root = pathlib.Path(__file__).parent.parent / "results" / "records"
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root
    records = sorted(root.rglob("*.json"))
    if not records:
        sys.exit(f"no record in {root}")
    results = [faults(path) for path in records]
    wrong = [fault for found, _ in results for fault in found]
    print(f"{len(records)} records, {sum(compared for _, compared in results)} scores compared, {len(wrong)} faults")
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
