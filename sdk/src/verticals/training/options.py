"""How to train: options, their defaults, and where they come from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verticals.errors import TrainingError

_CHOICES = {
    "optimizer": ("adam", "sgd"),
    "schedule": ("constant", "cosine"),
    "precision": ("auto", "float32"),
}
_COUNTS = ("epochs", "least_steps", "steps", "batch_size", "max_rows_per_unit")
_COUNTS_OR_NONE = ("patience", "batch_rows")
_SHARES = ("momentum", "warmup", "ema", "average")  # from 0 to 1

# Under privacy, few steps on large samples with a high learning rate, averaged in the end, learn
# most from a budget.
_PRIVATE = {"batch_size": 8192, "learning_rate": 0.1, "average": 0.5}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Say how to train a network.

    Without privacy: `epochs` over the rows in batches of `batch_size`, and more where these make
    fewer than `least_steps` steps; `clip` limits the length of the gradient; training stops after
    `patience` epochs without a better validation loss.
    Under privacy: `steps`, each on a sample of `batch_size` units in expectation (all units where
    there are no more); of a person, at most `max_rows_per_unit` rows are used; `batch_rows` limits
    the rows in memory at once, and by default follows from the number of weights.

    `schedule` "cosine" lets the learning rate fall to zero over all steps, after a linear rise
    over the first `warmup` share of them. What is returned is the average of the weights over the
    last `average` share of the steps, or their exponential average with decay `ema`, where one of
    them is not 0. `ridge` is the precision of a Gaussian prior on all weights but biases: it adds
    ridge / rows * sum(w**2) / 2 to the mean loss (rows: units under privacy, where it is free, as
    it reads weights only). `weight_decay` lets them decay apart from the loss, as in AdamW; only
    one of the two may be set. `precision` "auto" is bfloat16 on CUDA without
    privacy and float32 elsewhere.

    Of a rare outcome, each positive row counts `positive_weight` times, and each negative row is
    kept with the chance `keep_negatives`, in the training part alone and after the split; the
    scores are corrected for both (`verticals.training.imbalance`).

    Raises `TrainingError` for a value that is out of range.
    """

    epochs: int = 30
    least_steps: int = 1
    steps: int = 250
    batch_size: int = 256
    max_rows_per_unit: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-2
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.0
    ridge: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.0
    average: float = 0.0
    ema: float = 0.0
    clip: float | None = None
    patience: int | None = None
    precision: str = "auto"
    batch_rows: int | None = None
    checkpoint_seconds: float = 10.0
    positive_weight: float = 1.0
    keep_negatives: float = 1.0

    def __post_init__(self) -> None:
        """Check every value."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                self._refuse(name, f"one of {', '.join(choices)}")
        for name in (*_COUNTS, *_COUNTS_OR_NONE):
            value = getattr(self, name)
            if (value is None and name in _COUNTS) or not (value is None or _is_count(value)):
                self._refuse(name, "a whole number, 1 or more")
        for name in _SHARES:
            if not (_is_number(getattr(self, name)) and 0 <= getattr(self, name) <= 1):
                self._refuse(name, "a number from 0 to 1")
        for name in ("weight_decay", "ridge", "checkpoint_seconds"):
            if not (_is_number(getattr(self, name)) and getattr(self, name) >= 0):
                self._refuse(name, "0 or more")
        if not (_is_number(self.keep_negatives) and 0 < self.keep_negatives <= 1):
            self._refuse("keep_negatives", "a share above 0, at most 1")
        for name in ("learning_rate", "clip", "positive_weight"):
            value = getattr(self, name)
            if not ((value is None and name == "clip") or (_is_number(value) and value > 0)):
                self._refuse(name, "a positive number")
        if self.average and self.ema:
            self._refuse("ema", f"0, as the option average is {self.average}")
        if self.ridge and self.weight_decay:
            self._refuse("weight_decay", f"0, as the option ridge is {self.ridge}")

    def _refuse(self, name: str, expected: str) -> None:
        value: Any = getattr(self, name)
        raise TrainingError(f"training option {name} is {value!r}, expected {expected}")

    def rate_at(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0, of `steps`."""
        rise = self.warmup * steps
        if step < rise:
            return self.learning_rate * (step + 1) / (rise + 1)
        if self.schedule == "constant":
            return self.learning_rate
        share = (step - rise) / max(steps - rise, 1)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def train_options(options: Mapping[str, Any], network: object, *, private: bool) -> TrainOptions:
    """Choose training options by name: a solution's own, over the network's, over the defaults.

    A network may have `train_options`, a mapping. In it and in `options`, a mapping under
    "private" holds what differs under privacy. Names of no training option are left to the
    network. Raises `TrainingError` for a value that is out of range.
    """
    known = {item.name for item in dataclasses.fields(TrainOptions)}
    chosen: dict[str, Any] = dict(_PRIVATE) if private else {}
    for layer in (getattr(network, "train_options", {}), options):
        over = layer.get("private", {}) if private else {}
        chosen.update({name: value for name, value in layer.items() if name in known})
        chosen.update({name: value for name, value in over.items() if name in known})
    return TrainOptions(**chosen)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
