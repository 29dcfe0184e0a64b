"""Makes suite/protocol/logistic/sklearn.json: small problems, and scikit-learn's weights of them.

    pip install scikit-learn==1.9.1
    python tests/logistic_sklearn.py

scikit-learn minimises the sum of losses plus |W|^2 / (2 C), so that C = 1 / (n * penalty).
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

SAMPLES, DIM, CLASSES = 40, 3, 4


def fit(x, y, penalty):
    model = LogisticRegression(C=1 / (len(x) * penalty), tol=1e-12, max_iter=100_000)
    return model.fit(x, y)


def case(number):
    draws = np.random.default_rng(number)
    x = np.round(draws.normal(size=(SAMPLES, DIM)) * 8) / 8
    penalty = [0.3, 0.01, 0.001][number % 3]
    if number < 3:
        y = draws.integers(0, CLASSES, SAMPLES)
        y[:CLASSES] = range(CLASSES)
        model = fit(x, y, penalty)
        targets = [[int(c)] for c in y]
        weights = np.vstack([model.coef_.T, model.intercept_])
        several = False
    else:
        hot = draws.integers(0, 2, (SAMPLES, CLASSES))
        targets = [[int(c) for c in np.flatnonzero(row)] for row in hot]
        models = [fit(x, hot[:, c], penalty) for c in range(CLASSES)]
        weights = np.vstack([np.hstack([m.coef_.T for m in models]), np.hstack([m.intercept_ for m in models])])
        several = True
    return {
        "features": x.tolist(),
        "targets": targets,
        "several": several,
        "penalty": penalty,
        "weights": np.round(weights, 9).tolist(),
    }


path = pathlib.Path(__file__).parents[1] / "suite/protocol/logistic/sklearn.json"
text = {"sklearn": sklearn.__version__, "dim": DIM, "classes": CLASSES, "cases": [case(n) for n in range(6)]}
path.write_text(json.dumps(text) + "\n")
