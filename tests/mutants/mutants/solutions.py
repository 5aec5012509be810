"""One sound solution in numpy, and mutants of it that each break one rule."""

import dataclasses
import os

import numpy as np

from verticals.contract import Field, parse_contract
from verticals.errors import TrainingError
from verticals.explain import Attributions, checked
from verticals.plugin import State, TorchSolution
from verticals.table import Table

CONTRACT = """
solution: {name}
name: demo
targets:
  bad: {{column: bad, kind: binary, positive: 1, negative: 0, favourable: 0}}
decision: {{target: bad, cut: 0.5}}
fields:
  debt: {{column: debt, kind: numeric, bounds: [0, 1]}}
  home: {{column: home, kind: categorical, categories: [own, rent]}}
  sex: {{column: sex, role: protected, kind: categorical, categories: [f, m]}}
"""


class Linear:
    """Score by two weights; a stand-in for any model."""

    def __init__(self, weights, privacy=None):
        self.weights = np.asarray(weights, dtype=float)
        self.privacy = privacy

    def parts(self, table):
        debt = np.nan_to_num(np.clip(table["debt"], 0, 1), nan=0.5)
        return np.column_stack([debt * self.weights[0], (table["home"] == 1) * self.weights[1]])

    def odds(self, table):
        return self.parts(table).sum(axis=1) - 1.0

    def predict(self, table):
        return {"score": 1 / (1 + np.exp(-self.odds(table)))}

    def attributions(self, table):
        parts = self.parts(table)
        middle = np.array([self.weights[0] / 2, 0.0])
        return checked(
            outputs=("score",),
            fields=("debt", "home"),
            values=(parts - middle)[:, None, :],
            base=np.array([middle.sum() - 1.0]),
            raw=self.odds(table)[:, None],
            method="exact",
        )

    def state(self):
        return State(tensors={"weights": self.weights}, settings={"privacy": self.privacy})


class Sound:
    """Fit two weights by a difference of means."""

    model = Linear

    def __init__(self, name="sound"):
        self.name = name

    def demo(self):
        random = np.random.default_rng(3)
        debt, rent = random.random(200), random.integers(0, 2, 200)
        bad = (random.random(200) < 1 / (1 + np.exp(2 - 4 * debt - rent))).astype(int)
        home, sex = np.array(["own", "rent"], dtype=object)[rent], random.integers(0, 2, 200)
        columns = {"debt": debt, "home": home, "bad": bad}
        columns["sex"] = np.array(["f", "m"], dtype=object)[sex]
        return parse_contract(CONTRACT.format(name=self.name)), Table(columns)

    def fit(self, parts, setup):
        train = parts["train"]
        if train.rows < 3:
            raise TrainingError(f"{train.rows} rows are too few, expected 3")
        bad = train["bad"] == 1
        weights = np.array([8 * (train["debt"][bad].mean() - 0.4), 1.0])
        privacy = None
        if setup.private:
            weights = weights + np.frombuffer(os.urandom(2), dtype=np.uint8) / 1000
            privacy = {"epsilon": setup.epsilon, "delta": 1e-3, "unit": "row", "units": train.rows}
            privacy |= {"accountant": "none: for tests", "statement": ["for tests"]}
        return self.model(weights, privacy)

    def load(self, state, setup):
        return self.model(state.tensors["weights"])

    def evidence(self, model, parts):
        return {}


class Reversed(Sound):
    def demo(self):
        contract, table = super().demo()
        return dataclasses.replace(contract, solution="another"), table


class Restless(Sound):
    def demo(self):
        contract, table = super().demo()
        return contract, table.take(np.random.default_rng().permutation(table.rows))


class Stream:
    """Count the events before, one at a time."""

    def __init__(self, start=0.0):
        self.count = start

    def push(self, event):
        self.count += 1
        return {"before": self.count - 1}

    def save(self):
        return State(tensors={}, settings={"count": self.count})

    def restore(self, state):
        self.count = state.settings["count"]


class Counted:
    """Derive how many events came before."""

    fields = (Field(name="before", kind="numeric", bounds=(0.0, 1000.0)),)
    first = 0.0

    def batch(self, table):
        return table.with_columns({"before": np.arange(table.rows, dtype=float)})

    def stream(self):
        return Stream(self.first)


class Spoiling(Counted):
    def batch(self, table):
        changed = super().batch(table)
        return changed.with_columns({"debt": np.zeros(table.rows)})


class Shifted(Counted):
    first = 1.0


class Foreseeing(Counted):
    def batch(self, table):
        return table.with_columns({"before": np.full(table.rows, float(table.rows))})


class Unsteady(Sound):
    def fit(self, parts, setup):
        model = super().fit(parts, setup)
        return Linear(model.weights + int.from_bytes(os.urandom(2), "big") / 1e6)


def with_model(**methods):
    """Return a solution whose model has other methods."""
    return type("Changed", (Sound,), {"model": type("ChangedModel", (Linear,), methods)})


def doubled(self, table):
    return {"score": 2 * Linear.predict(self, table)["score"]}


def scribbling(self, table):
    column = table["debt"]
    column.flags.writeable = True
    column[:1] += 0.25
    return Linear.predict(self, table)


def placed(self, table):
    score = Linear.predict(self, table)["score"]
    return {"score": score * np.linspace(0.5, 1.0, table.rows)}


def centred(self, table):
    odds = Linear.odds(self, table)
    return {"score": 1 / (1 + np.exp(odds.mean() - odds))}


def peeking(self, table):
    score = Linear.predict(self, table)["score"]
    return {"score": score * np.where(table["sex"] == 0, 0.9, 1.0) if "sex" in table else score}


def blind(self, table):
    score = Linear.predict(self, table)["score"]
    return {"score": np.where(np.isnan(table["debt"]), np.nan, score)}


def local(self, table):
    return {"score": Linear.predict(self, table)["score"] * (0.9 + (os.getpid() % 1000) / 1e4)}


def needy(self, table):
    return {"score": Linear.predict(self, table)["score"] * (table["bad"] >= 0)}


def unbalanced(self, table):
    found = Linear.attributions(self, table)
    return Attributions(
        outputs=found.outputs,
        fields=found.fields,
        values=found.values * 1.1,
        base=found.base,
        raw=found.raw,
        method="exact",
        additivity_error=0.0,
    )


def turned(self, table):
    found = Linear.attributions(self, table)
    return checked(
        outputs=found.outputs,
        fields=found.fields,
        values=-found.values,
        base=-found.base,
        raw=-found.raw,
        method="exact",
    )


def alone(self, table):
    return {"score": Linear.predict(self, table)["score"] * (0.9 if table.rows == 1 else 1.0)}


class Seeded(Sound):
    def fit(self, parts, setup):
        return Linear(
            Sound().fit(parts, dataclasses.replace(setup, epsilon=None)).weights,
            {
                "epsilon": setup.epsilon,
                "delta": 1e-3,
                "unit": "row",
                "units": 1,
                "accountant": "x",
                "statement": ["x"],
            }
            if setup.private
            else None,
        )


class Talking(Sound):
    def fit(self, parts, setup):
        print("debt of the first row:", parts["train"]["debt"][0])
        return super().fit(parts, setup)


class Careless(Sound):
    def fit(self, parts, setup):
        if parts["train"].rows < 3:
            return 1 / 0
        return super().fit(parts, setup)


class Leaking(Sound):
    def evidence(self, model, parts):
        return {"scores": parts["test"]}


def streaming(features):
    """Return a torch solution that is only asked for its derived fields."""
    name = type(features).__name__
    known = {"Spoiling": "features-repeat", "Shifted": "batch-equals-stream"}
    solution = Sound(f"mutant-{known.get(name, 'no-future')}")
    return TorchSolution(demo=solution.demo, network=lambda *_: None, features=features)


SOUND = Sound()
CONTRACT_COMPLETE = Reversed("mutant-contract-complete")
DEMO_REPEATS = Restless("mutant-demo-repeats")
FEATURES_REPEAT = streaming(Spoiling())
BATCH_EQUALS_STREAM = streaming(Shifted())
NO_FUTURE = streaming(Foreseeing())
REPEATS_WITHOUT_PRIVACY = Unsteady("mutant-repeats-without-privacy")
SCORES_IN_RANGE = with_model(predict=doubled)("mutant-scores-in-range")
INPUT_UNCHANGED = with_model(predict=scribbling)("mutant-input-unchanged")
KEEPS_TO_ITSELF = Talking("mutant-keeps-to-itself")
ROW_ORDER_IRRELEVANT = with_model(predict=placed)("mutant-row-order-irrelevant")
ONE_ROW_EQUALS_BATCH = with_model(predict=centred)("mutant-one-row-equals-batch")
PROTECTED_FIELDS_UNUSED = with_model(predict=peeking)("mutant-protected-fields-unused")
MISSING_AND_UNSEEN = with_model(predict=blind)("mutant-missing-and-unseen")
RELOADS_IN_FRESH_PROCESS = with_model(predict=local)("mutant-reloads-in-fresh-process")
SCORES_NEED_FEATURES_ONLY = with_model(predict=needy)("mutant-scores-need-features-only")
PRIVATE_TRAINING = Seeded("mutant-private-training")
ATTRIBUTIONS_ADD_UP = with_model(attributions=unbalanced)("mutant-attributions-add-up")
REASONS_COUNT = with_model(attributions=turned)("mutant-reasons-count")
ONLINE_EQUALS_BATCH = with_model(predict=alone)("mutant-online-equals-batch")
ERRORS_ARE_CLEAR = Careless("mutant-errors-are-clear")
EVIDENCE_COMPLETE = Leaking("mutant-evidence-complete")
