"""What is known of each item, as frozen arrays, and the grid on which the trait is integrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from verticals.errors import BundleError
from verticals.table import Array

#: Rasch: slope 1, variance of the trait estimated; 1PL: one common slope, variance 1; graded items
#: follow the same rule, with a slope of their own under 2PL and 3PL.
MODELS = ("Rasch", "1PL", "2PL", "3PL", "GRM")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Hold quadrature nodes and the weights of the trait's normal distribution, summing to 1.

    An evenly spaced grid with normalised densities, as R's mirt has it (61 nodes on [-6, 6]).
    """

    nodes: Array  # (nodes,)
    weights: Array  # (nodes,)

    @staticmethod
    def normal(points: int = 61, *, mean: float = 0.0, sd: float = 1.0) -> Grid:
        """Return a grid from 6 standard deviations below the mean to 6 above it."""
        standard = np.linspace(-6.0, 6.0, points)
        density = np.exp(-0.5 * standard**2)
        return Grid(nodes=mean + sd * standard, weights=density / density.sum())


@dataclass(frozen=True, kw_only=True)
class ItemBank:
    """Hold items in slope and intercept form: P(X ≥ k | θ) = g + (1 − g) / (1 + exp(−(aθ + d_k))).

    Row j of `values` is (a, d_1 … d_K−1, logit g), where K is the largest number of categories;
    intercepts that an item lacks are −inf, and so is logit g where nobody guesses. Intercepts
    decrease in k. `free` marks what was estimated, (items, K + 1). The trait has the given mean
    and standard deviation. `covariance` is that of the free parameters, in the order that
    `free` has when read row by row; with `common_slope` the first row and column stand for the
    one slope, and slopes are left out of the rows. Rasch: the first parameter is `sd`.
    """

    names: tuple[str, ...]
    model: str
    categories: Array  # (items,) int64: how many categories an item has, after merging
    merged: tuple[tuple[int, ...], ...]  # of each item: declared category -> the model's
    values: Array  # (items, K + 1)
    free: Array  # (items, K + 1) bool
    covariance: Array | None = None  # (parameters, parameters)
    sd: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON: how the fit went

    @property
    def common_slope(self) -> bool:
        """Tell whether all items share one slope."""
        return self.model in ("Rasch", "1PL")

    @property
    def slopes(self) -> Array:
        """Return the slopes, (items,)."""
        return self.values[:, 0]

    @property
    def intercepts(self) -> Array:
        """Return the intercepts, (items, K − 1), −inf beyond an item's last."""
        return self.values[:, 1:-1]

    @property
    def guessing(self) -> Array:
        """Return the lower asymptotes, (items,)."""
        return 1.0 / (1.0 + np.exp(-self.values[:, -1]))

    @property
    def difficulties(self) -> Array:
        """Return b_k = −d_k / a, (items, K − 1), NaN where there is none or the slope is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = -self.intercepts / self.slopes[:, None]
        return np.asarray(np.where(np.isfinite(found), found, np.nan))

    def positions(self) -> Array:
        """Return the place of each value among the estimated parameters, −1 where it is fixed."""
        free = self.free.copy()
        found = np.full(free.shape, -1, dtype=np.int64)
        if self.common_slope:
            free[:, 0] = False
            found[free] = 1 + np.arange(int(free.sum()))
            if self.model == "1PL":
                found[:, 0] = 0
            return found
        found[free] = np.arange(int(free.sum()))
        return found

    def errors(self) -> Array:
        """Return standard errors of `values`, NaN where a value is fixed or none is known."""
        found = np.full(self.values.shape, np.nan)
        if self.covariance is None:
            return found
        with np.errstate(invalid="ignore"):
            own = np.sqrt(np.diag(self.covariance))
        where = self.positions()
        found[where >= 0] = own[where[where >= 0]]
        return found

    def sd_error(self) -> float:
        """Return the standard error of `sd`: NaN where it is fixed."""
        if self.model != "Rasch" or self.covariance is None:
            return float("nan")
        return float(np.sqrt(self.covariance[0, 0]))

    def grid(self, points: int = 61) -> Grid:
        """Return a quadrature grid for the trait."""
        return Grid.normal(points, sd=self.sd)

    def subset(self, items: Sequence[int]) -> ItemBank:
        """Return some of the items, without a covariance."""
        where = np.asarray(items, dtype=np.int64)
        return replace(
            self,
            names=tuple(self.names[n] for n in where),
            categories=self.categories[where],
            merged=tuple(self.merged[n] for n in where),
            values=self.values[where],
            free=self.free[where],
            covariance=None,
        )


def bank_state(bank: ItemBank) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return tensors and JSON settings that hold a bank; infinite values are finite in them."""
    tensors = {
        "values": np.nan_to_num(bank.values, neginf=0.0),
        "present": np.isfinite(bank.values).astype(np.int64),
        "free": bank.free.astype(np.int64),
        "categories": bank.categories.astype(np.int64),
    }
    if bank.covariance is not None:
        tensors["covariance"] = np.nan_to_num(bank.covariance, nan=0.0)
    settings = {
        "items": list(bank.names),
        "model": bank.model,
        "merged": [list(codes) for codes in bank.merged],
        "sd": bank.sd,
        "facts": dict(bank.facts),
        # An information matrix that could not be inverted: no error is known.
        "errors_known": bank.covariance is not None and bool(np.isfinite(bank.covariance).all()),
    }
    return tensors, settings


def bank_from_state(tensors: Mapping[str, Array], settings: Mapping[str, Any]) -> ItemBank:
    """Return the bank that `bank_state` set down; raise `BundleError` where it does not add up."""
    try:
        present = tensors["present"].astype(bool)
        covariance = tensors.get("covariance")
        if covariance is not None and not settings["errors_known"]:
            covariance = np.full(covariance.shape, np.nan)
        bank = ItemBank(
            names=tuple(settings["items"]),
            model=str(settings["model"]),
            categories=tensors["categories"].astype(np.int64),
            merged=tuple(tuple(int(code) for code in codes) for codes in settings["merged"]),
            values=np.where(present, tensors["values"], -np.inf),
            free=tensors["free"].astype(bool),
            covariance=covariance,
            sd=float(settings["sd"]),
            facts=dict(settings["facts"]),
        )
    except KeyError as error:
        raise BundleError(
            f"the bundle lacks {error.args[0]!r} of its items, expected an item bank",
            hint="verticals verify BUNDLE",
        ) from error
    counts = {len(bank.names), len(bank.merged), len(bank.categories), *bank.values.shape[:1]}
    if len(counts) != 1:
        raise BundleError(
            f"the bundle speaks of {sorted(counts)} items in different places, expected one number",
            hint="verticals verify BUNDLE",
        )
    return bank
