"""Rare outcomes: weights or fewer negatives in training, and the correction of the odds after it.

Both change the share of positives that a network learns from, and so its probabilities. Where
positives count `weight` times and each negative is kept with chance `kept`, the odds that the
network learns are the true odds times weight / kept, so its log-odds are corrected by
log(kept) - log(weight) (Dal Pozzolo, Caelen, Johnson & Bontempi 2015, "Calibrating probability
with undersampling for unbalanced classification"; King & Zeng 2001, section 4.1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from verticals.contract.model import Target
from verticals.errors import PrivacyError, TrainingError
from verticals.networks.heads import row_losses, width
from verticals.privacy.gradients import Loss
from verticals.table import Array
from verticals.training.options import TrainOptions


def is_plain(options: TrainOptions) -> bool:
    """Tell whether training takes every row as it is."""
    return options.positive_weight == 1 and options.keep_negatives == 1


def prior_shift(options: TrainOptions, targets: Sequence[Target]) -> Array:
    """Return what to add to the raw scores, (width,), so that probabilities are right again.

    Raises `TrainingError` if rare outcomes are to be treated and there is no single binary target.
    """
    shift = np.zeros(width(targets))
    if is_plain(options):
        return shift
    if len(targets) != 1 or targets[0].kind != "binary":
        raise TrainingError(
            "positive_weight and keep_negatives need a single binary target, and the contract has "
            f"{', '.join(f'{target.name} ({target.kind})' for target in targets) or 'none'}",
            hint="leave the two options out",
        )
    shift[0] = math.log(options.keep_negatives) - math.log(options.positive_weight)
    return shift


def kept_rows(label: Array, options: TrainOptions, *, seed: int, private: bool) -> Array:
    """Return the rows to train on: every positive, and each negative with the declared chance.

    Raises `PrivacyError` under privacy: how many units are left would follow from the labels, and
    the accounting takes that number for public.
    """
    if options.keep_negatives == 1:
        return np.arange(len(label))
    if private:
        raise PrivacyError(
            f"keep_negatives is {options.keep_negatives:g}, expected 1 in private training: the "
            "number of units left would tell of their labels",
            hint=f"--option positive_weight={1 / options.keep_negatives:.3g} does the same",
        )
    draws = np.random.Generator(np.random.PCG64(seed)).random(len(label))
    return np.flatnonzero((label == 1) | (draws < options.keep_negatives))


def weighted_loss(targets: Sequence[Target], options: TrainOptions) -> Loss | None:
    """Return a loss in which positives count more; None where every row counts alike."""
    if options.positive_weight == 1:
        return None
    name, weight = targets[0].name, options.positive_weight

    def loss(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        weights = 1.0 + (weight - 1.0) * (columns[name] == 1).to(raw.dtype)
        return row_losses(raw, targets, columns) * weights

    return loss
