"""Solutions of the escape hatch, each with one fault; a text of an error names a person."""

import sys

import faulty_solutions_names
import numpy as np
from mutants.solutions import Linear, Sound

from verticals.evidence import Measurement
from verticals.plugin import Output
from verticals.table import Table

SECRET = "Jane Doe"


def score_of(model, table):
    return Linear.predict(model, table)["score"]


def nan_score(model, table):
    score = score_of(model, table).copy()
    score[::7] = np.nan
    return score


PREDICT = {
    "predict-none": lambda model, table: None,
    "predict-text": lambda model, table: {"score": np.array(["x"] * table.rows, dtype=object)},
    "predict-short": lambda model, table: {"score": score_of(model, table)[:-1]},
    "predict-wide": lambda model, table: {"score": score_of(model, table)[:, None]},
    "predict-nan": lambda model, table: {"score": nan_score(model, table)},
    "predict-beyond": lambda model, table: {"score": score_of(model, table) * 3 - 1},
    "predict-extra": lambda model, table: {
        "score": score_of(model, table),
        "copy": np.asarray(table["debt"]),
    },
    "predict-lacking": lambda model, table: {},
    "flagged-nan": lambda model, table: {
        "score": nan_score(model, table),
        "abstained": np.isnan(nan_score(model, table)).astype(float),
    },
}

EVIDENCE = {
    "evidence-list": [1],
    "evidence-no-table": {"faulty.t": {"a": [1]}},
    "evidence-bad-name": {"../x": Table({"a": np.arange(2)})},
    "evidence-bad-column": {"faulty.t": Table({"a": np.zeros((2, 2))})},
}

PRIVACY = {
    "privacy-epsilon": {"epsilon": 50.0},
    "privacy-delta": {"delta": 0.99},
    "privacy-statement": {"statement": None},
    "privacy-units": {"units": None},
    "privacy-text": {"epsilon": "3"},
}


class Model(Linear):
    def __init__(self, weights, privacy, name, rows=()):
        super().__init__(weights, privacy)
        self.name, self.rows = name, rows

    def predict(self, table):
        if self.name == "predict-raises":
            raise ValueError(SECRET)
        if self.name == "predict-exits":
            sys.exit(0)
        return PREDICT.get(self.name, Linear.predict)(self, table)

    def state(self):
        if self.name == "state-raises":
            raise ValueError(SECRET)
        if self.name == "state-none":
            return None
        found = super().state()
        if self.rows:
            found.settings["rows"] = list(self.rows)
        return found


class Faulty(Sound):
    def outputs(self, contract):
        found = [
            Output(name="score", kind="probability", target="bad", value="1"),
            Output(name="decision", kind="flag", target="bad"),
        ]
        flag = [Output(name="abstained", kind="flag")] * (self.name == "faulty-flagged-nan")
        return (*found, *flag)

    def fit(self, parts, setup):
        name = self.name.removeprefix("faulty-")
        if name == "fit-raises":
            raise RuntimeError(SECRET)
        if name == "fit-exits":
            sys.exit(0)
        if name == "fit-none":
            return None
        model = super().fit(parts, setup)
        record = model.privacy
        if name == "privacy-none":
            record = None
        elif name == "privacy-claim":
            record = {"epsilon": 0.1, "delta": 1e-9, "unit": "row", "statement": ["private"]}
            record |= {"units": parts["train"].rows, "accountant": "none"}
        elif record is not None:
            record |= PRIVACY.get(name, {})
        rows = tuple(map(float, parts["train"]["debt"][:5])) if name == "privacy-rows" else ()
        return Model(model.weights, record, name, rows)

    def load(self, state, setup):
        if self.name == "faulty-load-raises":
            raise RuntimeError(SECRET)
        return Model(state.tensors["weights"], None, self.name.removeprefix("faulty-"))

    def evidence(self, model, parts):
        if self.name == "faulty-evidence-raises":
            raise RuntimeError(SECRET)
        return EVIDENCE.get(self.name.removeprefix("faulty-"), {})


def check_sound(tables, info):
    yield Measurement(check="faulty.sound", estimate=0.5, lower=0.4, upper=0.6, n=100)


def check_raises(tables, info):
    yield Measurement(check="faulty.raises", estimate=0.5, n=100)
    raise ValueError(SECRET)


def check_exits(tables, info):
    sys.exit(0)


def check_text(tables, info):
    return [Measurement(check="faulty.text", estimate="0.5", n=100)]


def check_foreign(tables, info):
    return [Measurement(check="other.share", estimate=0.5, n=100)]


for _name in faulty_solutions_names.NAMES:
    globals()[_name.replace("-", "_").upper()] = Faulty(f"faulty-{_name}")
