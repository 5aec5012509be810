"""Who counts as one: which rows belong to a unit, and how a sample of units becomes batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from verticals.errors import PrivacyError
from verticals.privacy.accounting import PrivacyPlan
from verticals.privacy.noise import Entropy
from verticals.table import Array

# What a slot costs, in rows: the gradient that it makes is to be written, read and summed.
_SLOT_COST = 8


@dataclass(frozen=True, kw_only=True)
class Part:
    """Hold whole units of a sample, their rows laid out in slots of the same width.

    A slot holds rows of one unit, `owners` says whose, counting the units of the part from 0. A
    place without a row holds a row of the same slot again, with weight 0; the weights of one
    unit's rows sum to 1.
    """

    rows: Array  # (slots, width) int64
    owners: Array  # (slots,) int64, in [0, units)
    weights: Array  # (slots, width) float32
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

    def parts(self, chosen: Array, *, slots: int, rows: int, width: int) -> Iterator[Part]:
        """Split a sample of units into parts of at most `slots` slots, never inside a unit.

        `rows` is the most places of all slots together. A unit that needs more of either is a
        part by itself. An empty sample gives no part.
        """
        limit = max(1, min(slots, rows // width))
        needed = -(-self._counts[chosen] // width)
        start = 0
        while start < len(chosen):
            ends = np.cumsum(needed[start:])
            taken = max(1, int(np.searchsorted(ends, limit, side="right")))
            yield self._part(chosen[start : start + taken], width)
            start += taken

    def slot_width(self) -> int:
        """Return the width of slots at which a step is cheapest: 1 where a unit has one row."""
        most = int(self._counts.max(initial=1))
        widths = [2**power for power in range(most.bit_length() + 1)]
        slots = [int((-(-self._counts // width)).sum()) for width in widths]
        costs = [count * (width + _SLOT_COST) for count, width in zip(slots, widths, strict=True)]
        cheapest: int = widths[costs.index(min(costs))]
        return cheapest

    def _part(self, chosen: Array, width: int) -> Part:
        counts = self._counts[chosen]
        needed = -(-counts // width)
        owners = np.repeat(np.arange(len(chosen)), needed)
        nth = np.arange(len(owners)) - np.repeat(np.cumsum(needed) - needed, needed)
        first = nth * width
        within = first[:, None] + np.arange(width)
        held = within < counts[owners][:, None]
        places = self._starts[chosen][owners][:, None] + np.where(held, within, first[:, None])
        return Part(
            rows=self._rows[places],
            owners=owners,
            weights=(held / counts[owners][:, None]).astype(np.float32),
            units=len(chosen),
        )
