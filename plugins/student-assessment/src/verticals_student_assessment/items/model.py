"""A fitted bank of items as a `Model`: answers in, ability with its standard error out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from verticals.contract import DataContract
from verticals.errors import BundleError, CallError
from verticals.plugin import Columns, State
from verticals.table import Array, Table
from verticals_student_assessment.items.answers import item_codes, item_fields
from verticals_student_assessment.items.irt import (
    Abilities,
    FitOptions,
    Handling,
    ItemBank,
    bank_state,
    collapse_categories,
    handle_missing,
    log_likelihoods,
    score_persons,
)
from verticals_student_assessment.items.irt.responses import Counted

_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hold a solution's options, read and checked."""

    fit: FitOptions
    handling: Handling
    scoring: str


def read_options(options: Mapping[str, Any]) -> Settings:
    """Return the options of `train --option NAME=VALUE`; raise `CallError` for what is not one."""
    points = options.get("points", 61)
    return Settings(
        fit=FitOptions(
            model=str(options.get("model", "2PL")),
            points=points if not isinstance(points, bool) else -1,
            guessing_prior=_prior(options.get("guessing_prior", "-1.386,1")),
        ),
        handling=Handling(
            omitted=str(options.get("omitted", "missing")),
            not_reached=str(options.get("not_reached", "missing")),
        ),
        scoring=str(options.get("scoring", "EAP")),
    )


def _prior(given: Any) -> tuple[float, float] | None:
    if given is None or str(given).strip().lower() == "none":
        return None
    try:
        mean, sd = (float(part) for part in str(given).strip("()[] ").split(","))
    except ValueError:
        mean, sd = math.nan, math.nan
    if not (math.isfinite(mean) and math.isfinite(sd) and sd > 0):
        raise CallError(
            f"option guessing_prior is {given!r}, expected mean,sd of the logit, or none",
            hint="--option guessing_prior=-1.386,1",
        )
    return mean, sd


class ItemModel:
    """Score persons on fixed items.

    `places` says which of the contract's items the bank holds: a dropped item is read and ignored.
    """

    def __init__(
        self,
        *,
        bank: ItemBank,
        contract: DataContract,
        settings: Settings,
        notes: tuple[str, ...] = (),
        device: torch.device | None = None,
    ) -> None:
        items = item_fields(contract)
        missing = [name for name in bank.names if name not in items.names]
        if missing:
            raise BundleError(
                f"the bank has an item {missing[0]!r} that the contract does not name",
                hint="verticals verify BUNDLE",
            )
        self.bank, self.items, self.settings, self.notes = bank, items, settings, notes
        self.contract = contract
        self.places = np.array([items.names.index(name) for name in bank.names], dtype=np.int64)
        self._device = device

    def predict(self, table: Table) -> Columns:
        """Return ability, its standard error and the number of answers; levels where cuts are."""
        codes, _ = self.codes(table)
        return self.columns(self.score(codes))

    def codes(self, table: Table) -> tuple[Array, Counted]:
        """Return (rows, bank items) codes of the model's categories, and what was missing."""
        raw = item_codes(table, self.items)
        found, counted = handle_missing(raw, self.items.categories, self.settings.handling)
        return collapse_categories(found[:, self.places], self.bank.merged), counted

    def score(self, codes: Array) -> Abilities:
        """Score codes of (rows, bank items), by the declared method."""
        return score_persons(
            self.bank,
            codes,
            scoring=self.settings.scoring,
            points=self.settings.fit.points,
            device=self._device,
        )

    def row_losses(self, table: Table) -> Array:
        """Return −log P(answers) per answer of each row, (rows,): how ill the items fit it.

        0 where there is no answer.
        """
        codes, _ = self.codes(table)
        marginal = log_likelihoods(self.bank, codes, self.settings.fit.points, self._device)
        return np.asarray(-marginal / np.maximum((codes >= 0).sum(axis=1), 1))

    def columns(self, found: Abilities) -> Columns:
        """Return the outputs of scored persons, (rows,) each.

        `level` counts the cuts at or below the ability, and `uncertain` is 1 where a 95 % interval
        holds a cut, or there is no level. A level is NaN where there is no ability, or no answer:
        a prior alone places nobody.
        """
        columns = {
            "ability": found.ability,
            "ability_se": found.error,
            "answered": found.answered.astype(np.float64),
        }
        if not self.items.cuts:
            return columns
        cuts = np.array([cut for _, cut in self.items.cuts])
        level = (found.ability[:, None] >= cuts).sum(axis=1).astype(np.float64)
        unplaced = np.isnan(found.ability) | (found.answered == 0)
        level[unplaced] = np.nan
        away = np.abs(found.ability[:, None] - cuts)
        near = ~(away > _Z * found.error[:, None]).all(axis=1)
        return {**columns, "level": level, "uncertain": (near | unplaced).astype(np.float64)}

    def state(self) -> State:
        """Hand over the items: parameters and their covariance, no answers."""
        tensors, settings = bank_state(self.bank)
        facts = {"training": dict(self.bank.facts), "notes": list(self.notes)}
        return State(tensors=tensors, settings={**settings, **facts})
