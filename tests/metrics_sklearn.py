"""Makes results/metric/sklearn.json: random cases with ties, and scikit-learn's metrics of them.

    pip install scikit-learn==1.9.1
    python tests/metrics_sklearn.py

Scores are eighths, so that many are tied and all are exact in 32 bits. Some cases have a class without
positive samples, and one without negative samples. Undefined values are null.
"""

import json
import pathlib
import warnings

import numpy as np
import sklearn
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, top_k_accuracy_score

SAMPLES, CLASSES, CASES = 24, 6, 8


def per_class(metric, targets, scores, defined):
    return [float(metric(targets[:, c], scores[:, c])) if defined[c] else None for c in range(CLASSES)]


def case(number):
    draws = np.random.default_rng(number)
    scores = draws.integers(-6, 7, (SAMPLES, CLASSES)) / 8
    single_label = number % 2 == 0
    if single_label:
        # every class occurs, as top_k_accuracy_score infers them from the targets without `labels`
        labels = np.concatenate([np.arange(CLASSES), draws.integers(0, CLASSES, SAMPLES - CLASSES)])
        targets = np.eye(CLASSES, dtype=int)[labels]
    else:
        targets = (draws.random((SAMPLES, CLASSES)) < 0.3).astype(int)
        if number > 2:
            targets[:, 1] = 0
        if number > 4:
            targets[:, 2] = 1
    positive = targets.any(axis=0)
    both = positive & ~targets.all(axis=0)
    ap = per_class(average_precision_score, targets, scores, positive)
    auc = per_class(roc_auc_score, targets, scores, both)
    mean_auc = float(np.mean([value for value in auc if value is not None]))
    made = {
        "scores": scores.ravel().tolist(),
        "targets": [np.flatnonzero(row).tolist() for row in targets],
        "average_precision": ap,
        "auc": auc,
        "map": float(np.mean([value for value in ap if value is not None])),
        "map_all_classes": float(average_precision_score(targets, scores, average="macro")),
        "mean_auc": mean_auc,
        "dprime": float(np.sqrt(2) * norm.ppf(mean_auc)),
    }
    if single_label:
        # on ties scikit-learn prefers the last class and the program the first, so classes are reversed
        made["top5"] = float(top_k_accuracy_score(CLASSES - 1 - labels, scores[:, ::-1], k=5))
        made["top1"] = float(np.mean(scores.argmax(axis=1) == labels))
    return made


def main():
    warnings.simplefilter("ignore")  # of classes without positive samples, which are meant
    out = pathlib.Path(__file__).parent.parent / "results" / "metric" / "sklearn.json"
    lines = ",\n".join(json.dumps(case(number)) for number in range(CASES))
    out.write_text(f'{{"sklearn": "{sklearn.__version__}", "classes": {CLASSES}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
