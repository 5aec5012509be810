"""Count human decisions so that the counts can be handed on: persons, never few of them."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from verticals.chain import Record
from verticals.contract.model import DataContract, Target
from verticals.oversight.record import Standing, standings
from verticals.oversight.values import DIRECTIONS, direction, directions_of

MIN_CELL = 10
APPEALS = ("open", "upheld", "changed")

_NEVER = sys.maxsize  # a count that no number of records reaches


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Count persons; None where the count is suppressed."""

    name: str
    persons: int | None


@dataclass(frozen=True, kw_only=True)
class TargetSummary:
    """Count the persons with a human decision about one target, and those who appealed.

    A person counts once: by the human decision that stands and by the latest appeal. A count is
    None where it, or what it would give away by subtraction, is of fewer than `min_cell` persons;
    so is `median_days`, from an appeal to its answer, where too few are known to be answered.
    """

    target: str
    label: str
    min_cell: int
    decided: int | None
    directions: tuple[Cell, ...]
    appealed: int | None
    appeals: tuple[Cell, ...]
    median_days: float | None


def summarise(
    records: Sequence[Record], contract: DataContract, bundle: str, *, min_cell: int = MIN_CELL
) -> tuple[TargetSummary, ...]:
    """Count what stands in the records about a bundle, for each target of its contract.

    Neither the number of records nor that of persons over all targets is among the counts, since
    both would give suppressed ones away. Where ids name rows, of which a person (the contract's
    group) may have several, nobody can tell how few persons a count is of, and all are suppressed.
    """
    found = standings(records, bundle)
    persons = contract.group in ("", contract.id)
    return tuple(
        _summary(
            target,
            [item for (of, _), item in found.items() if of == target.name],
            min_cell,
            persons,
        )
        for target in contract.targets
    )


def _summary(
    target: Target, mine: Sequence[Standing], min_cell: int, persons: bool
) -> TargetSummary:
    least = min_cell if persons else _NEVER
    ways = Counter(
        direction(target, item.machine, item.human) for item in mine if item.human is not None
    )
    possible = directions_of(target)
    told = {name: ways[name] for name in DIRECTIONS if name in possible or ways[name]}
    decided, directions = _suppressed(told, least)
    states = Counter(item.appeal for item in mine if item.appeal)
    # That no appeal waits says something of the house, and nothing of a person.
    appealed, appeals = _suppressed({name: states[name] for name in APPEALS}, least, {"open"})
    # Whoever's decision was changed on appeal has a human decision: the rest decided without one.
    changed = next((cell.persons for cell in appeals if cell.name == "changed"), None)
    if decided is not None and changed and 0 < decided - changed < least:
        decided, directions = None, tuple(Cell(name=cell.name, persons=None) for cell in directions)
    days = [item.days for item in mine if item.days is not None]
    # Given only where the counts already tell that enough are answered.
    known = any(cell.persons for cell in appeals if cell.name != "open")
    return TargetSummary(
        target=target.name,
        label=target.title,
        min_cell=min_cell,
        decided=decided,
        directions=directions,
        appealed=appealed,
        appeals=appeals,
        median_days=round(statistics.median(days), 1) if known and days else None,
    )


def _suppressed(
    counts: Mapping[str, int], min_cell: int, may_be_none: Collection[str] = ()
) -> tuple[int | None, tuple[Cell, ...]]:
    """Return the total and the cells of a partition of persons, None where suppressed.

    Cells below `min_cell` go, zeros too (that nobody's decision was changed says what everybody's
    was), then the smallest others until those that are hidden hold `min_cell` persons together,
    and so are two at least: the total gives none of them away. Where all of them hold fewer, the
    total goes too. Where nobody is, nothing is hidden.
    """
    total = sum(counts.values())
    if total == 0:
        return 0, tuple(Cell(name=name, persons=0) for name in counts)
    hidden = {
        name
        for name, count in counts.items()
        if count < min_cell and not (count == 0 and name in may_be_none)
    }
    rest = sorted(set(counts) - hidden, key=lambda name: (counts[name], name))
    rest = [name for name in rest if counts[name]]
    while hidden and rest and _sum(counts, hidden) < min_cell:
        hidden.add(rest.pop(0))
    cells = tuple(
        Cell(name=name, persons=None if name in hidden else count) for name, count in counts.items()
    )
    return (None if total < min_cell else total), cells


def _sum(counts: Mapping[str, int], names: Collection[str]) -> int:
    return sum(counts[name] for name in names)
