"""Who counts as one: which rows belong to a unit, and how a sample of units becomes batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from verticals.errors import PrivacyError
from verticals.privacy.accounting import PrivacyPlan
from verticals.privacy.noise import Entropy
from verticals.table import Array


@dataclass(frozen=True, kw_only=True)
class Part:
    """Hold whole units of a sample: their rows, whose they are, and the weight of each row.

    `owners` counts the units of the part from 0; the weights of one unit's rows sum to 1.
    """

    rows: Array  # (rows,) int64
    owners: Array  # (rows,) int64, in [0, units)
    weights: Array  # (rows,) float32
    units: int


class Units:
    """Map units to their rows. A row is its own unit unless the plan protects persons.

    Of a person with more rows than `max_rows_per_unit`, a random choice is kept, made by the
    system's entropy; `left_out` counts the others. That count is a private statistic: it may be
    shown in the house, and belongs in no bundle.

    Raises `PrivacyError` if rows and plan do not belong together.
    """

    def __init__(
        self, owners: Array | None, *, rows: int, plan: PrivacyPlan, entropy: Entropy
    ) -> None:
        if (owners is None) != (plan.unit == "row"):
            raise PrivacyError(
                f"the plan protects each {plan.unit}, but persons of rows are "
                f"{'not ' if owners is None else ''}given, expected them with unit 'group' only",
                hint="plan with unit='group' where the contract names a group",
            )
        whose = np.arange(rows) if owners is None else np.asarray(owners)
        if whose.shape != (rows,):
            raise PrivacyError(f"persons have shape {whose.shape}, expected ({rows},)")
        _, codes, counts = np.unique(whose, return_inverse=True, return_counts=True)
        if len(counts) != plan.units:
            raise PrivacyError(
                f"the training part has {len(counts)} units, but {plan.units} were planned for",
                hint="plan with the number of rows, or of persons, of the training part",
            )
        keep = np.arange(rows)
        if counts.max(initial=0) > plan.max_rows_per_unit:
            order = np.lexsort((entropy.words(rows), codes))
            starts = np.repeat(np.cumsum(counts) - counts, counts)
            keep = np.sort(order[np.arange(rows) - starts < plan.max_rows_per_unit])
        self.left_out = rows - len(keep)
        self._rows = keep[np.argsort(codes[keep], kind="stable")]  # persons side by side
        self._counts = np.minimum(counts, plan.max_rows_per_unit)
        self._starts = np.cumsum(self._counts) - self._counts

    @property
    def count(self) -> int:
        """Return the number of units."""
        return len(self._counts)

    def parts(self, chosen: Array, *, limit: int) -> Iterator[Part]:
        """Split a sample of units into parts of at most `limit` rows, never inside a unit.

        A unit with more rows than that is a part by itself. An empty sample gives no part.
        """
        start = 0
        while start < len(chosen):
            ends = np.cumsum(self._counts[chosen[start:]])
            taken = max(1, int(np.searchsorted(ends, limit, side="right")))
            yield self._part(chosen[start : start + taken])
            start += taken

    def _part(self, chosen: Array) -> Part:
        counts = self._counts[chosen]
        owners = np.repeat(np.arange(len(chosen)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return Part(
            rows=self._rows[self._starts[chosen][owners] + within],
            owners=owners,
            weights=(1.0 / counts[owners]).astype(np.float32),
            units=len(chosen),
        )
