"""What a data contract says, as frozen values: fields, targets, the decision, and their names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

# Columns of a bound table that are no field. A field's name cannot start with "@".
ID = "@id"
GROUP = "@group"
TIME = "@time"
ROW = "@row"
AMOUNT = "@amount"  # whole minor units of the base currency
LABEL_TIME = "@label_time"  # when a row's label became known

KINDS = (
    "numeric",
    "categorical",
    "boolean",
    "ordinal",
    "time",
    "text",
    "image",
    "sequence",
)
ROLES = ("feature", "protected", "stratum", "item", "ignore")
SCALES = ("linear", "log", "signed-log")
TARGET_KINDS = ("binary", "categorical", "ordinal", "numeric")

MEASURES = ("count", "sum", "mean", "max", "since", "ratio", "risk")  # of an entity's history
LATE = ("refuse", "now")  # what a stream does with an event older than its entity's latest

MISSING = -1  # the code of a missing categorical or ordinal value
MISSING_AMOUNT = -(2**63)  # a missing amount in `@amount`, which is int64


@dataclass(frozen=True, kw_only=True)
class Field:
    """Declare one column (or one block of columns) of the data.

    `bounds`, `scale`, `bins`, `bands`, `categories` and `levels` are declared by a human, so that
    private training reads no statistic of the data. `drafted` names the keys whose value was read
    from data and not yet confirmed: private training refuses those. `reads` is for derived
    fields: the contract names (`@group`, a field) of the entities whose other rows it reads.
    """

    name: str
    kind: str
    column: str = ""  # empty for a derived field and for a block
    columns: tuple[str, ...] = ()  # a block: patterns as written, names once bound
    role: str = "feature"
    also_feature: bool = False
    bounds: tuple[float, float] | None = None
    scale: str = "linear"
    bins: tuple[float, ...] = ()
    bands: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()  # canonical text of each value
    category_labels: tuple[str, ...] = ()  # what people read, same length
    levels: tuple[str, ...] = ()  # ordinal: lowest first
    missing: tuple[str, ...] = ()  # values that mean "not known"
    size: tuple[int, ...] = ()
    label: str = ""
    unit: str = ""
    monotone: str = ""  # "increasing" or "decreasing" in the probability of the positive value
    purpose: str = ""  # the legal purpose for which the field may be used
    reason: str = ""  # why these bounds, bands or categories
    background: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    drafted: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def title(self) -> str:
        """Return the label that people read, or the name where none is declared."""
        return self.label or self.name

    @property
    def is_input(self) -> bool:
        """Tell whether the model reads this field."""
        if self.role == "protected":
            return self.also_feature
        return self.role in ("feature", "item")

    @property
    def values(self) -> tuple[str, ...]:
        """Return the canonical categories or levels, empty for other kinds."""
        return self.levels if self.kind == "ordinal" else self.categories


@dataclass(frozen=True, kw_only=True)
class Target:
    """Declare what is predicted, and which value is favourable to the person."""

    name: str
    column: str
    kind: str  # binary, categorical, ordinal, numeric
    positive: str = ""  # binary: the value whose probability is the score
    negative: str = ""  # binary: the other value; empty means every other value
    favourable: str = ""  # the value that is favourable to the person
    values: tuple[str, ...] = ()  # categorical: classes; ordinal: levels, lowest first
    bounds: tuple[float, float] | None = None  # numeric
    meaning: str = ""
    label: str = ""
    drafted: tuple[str, ...] = ()  # as of a field: "positive", "values", "bounds"

    @property
    def title(self) -> str:
        """Return the label that people read, or the name where none is declared."""
        return self.label or self.name

    @property
    def step_name(self) -> str:
        """Return the name of an ordinal target's expected step, counted from 0."""
        return f"{self.name}_step"

    @property
    def points(self) -> tuple[float, ...]:
        """Return an ordinal target's levels as numbers; empty unless all are finite numbers."""
        if self.kind != "ordinal":
            return ()
        try:
            found = tuple(float(value) for value in self.values)
        except ValueError:
            return ()
        return found if all(math.isfinite(value) for value in found) else ()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Declare the decision that is audited: a fixed cut on the score, or a share of the rows.

    Exactly one of `cut` (the score from which the positive value is decided) and `rate` (the
    share of rows so decided; the cut is then fitted on the calibration part) is set.
    """

    target: str
    cut: float | None = None
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class History:
    """Declare what is derived from an entity's earlier events (see `verticals.history`).

    Each measure is taken over each window ("10min", "1h", "7d"), `distinct` counts the different
    values of other entities. Of an entity's events at most the `cap` latest are looked at, which
    bounds the memory of a stream. `recent` is the number of latest events that a sequence field
    holds, 0 for none.
    """

    windows: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    distinct: tuple[str, ...] = ()
    cap: int = 500
    recent: int = 0


@dataclass(frozen=True, kw_only=True)
class Entity:
    """Declare what events are about: a card, a terminal, a device, an account.

    `owned` says that each value belongs to one group of the contract (a card to one customer):
    its history then reads rows of that group only, which is held against the data. `retired` says
    that an entity leaves service once a positive label of it is known, so that a temporal test
    leaves its later events out.
    """

    name: str
    column: str
    label: str = ""
    owned: bool = False
    retired: bool = False
    history: History | None = None

    @property
    def key(self) -> str:
        """Return the name of the entity's column in a bound table, as `Field.reads` has it."""
        return f"@{self.name}"

    @property
    def title(self) -> str:
        """Return the label that people read, or the name where none is declared."""
        return self.label or self.name


@dataclass(frozen=True, kw_only=True)
class Amount:
    """Declare the amount of an event, held as whole minor units of one base currency.

    With `currency_column`, `rates` gives the value of one unit of each known currency in the base
    currency. `unknown` says what becomes of an amount in another currency: "refuse" or "missing".
    """

    column: str
    currency: str  # ISO 4217, of the minor units
    digits: int = 2  # decimal places of the minor unit
    bounds: tuple[float, float] | None = None  # in major units
    currency_column: str = ""
    rates: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    unknown: str = "refuse"
    drafted: tuple[str, ...] = ()  # as of a field: "bounds", "digits"


@dataclass(frozen=True, kw_only=True)
class DataContract:
    """Say what the data mean. A human owns it; the SDK only reads it."""

    solution: str
    name: str
    fields: tuple[Field, ...]
    targets: tuple[Target, ...] = ()
    decision: Decision | None = None
    id: str = ""  # a column
    group: str = ""  # a column: patient, student, customer
    time: str = ""  # a column
    entities: tuple[Entity, ...] = ()
    amount: Amount | None = None
    label_time: str = ""  # a column: when the label became known
    label_delay: str = ""  # or how long after the event every label becomes known: "7d"
    late_events: str = "refuse"  # in a stream: or "now", taken as of its entity's latest time
    description: str = ""
    source: str = ""
    licence: str = ""

    def field(self, name: str) -> Field:
        """Return the field of that name; raise `KeyError` if there is none."""
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(name)

    def target(self, name: str) -> Target:
        """Return the target of that name; raise `KeyError` if there is none."""
        for item in self.targets:
            if item.name == name:
                return item
        raise KeyError(name)

    def entity(self, name: str) -> Entity:
        """Return the entity of that name; raise `KeyError` if there is none."""
        for item in self.entities:
            if item.name == name:
                return item
        raise KeyError(name)

    @property
    def unit_keys(self) -> frozenset[str]:
        """Return the keys of `Field.reads` that stay within one group, the unit of privacy."""
        if not self.group:
            return frozenset()
        own = {item.key for item in self.entities if item.owned or item.column == self.group}
        return frozenset({GROUP, *own})

    @property
    def inputs(self) -> tuple[Field, ...]:
        """Return the fields that the model reads, in order."""
        return tuple(item for item in self.fields if item.is_input)

    @property
    def audited(self) -> tuple[Field, ...]:
        """Return the protected fields and strata, in order."""
        return tuple(item for item in self.fields if item.role in ("protected", "stratum"))
