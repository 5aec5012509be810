"""What is derived from an entity's history: the plan that batch and stream both carry out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from verticals.contract.durations import microseconds
from verticals.contract.model import MEASURES, DataContract, Entity, Field, History
from verticals.errors import ContractError
from verticals.strictjson import canonical_json, sha256

WINDOWED = tuple(measure for measure in MEASURES if measure != "since")
OF_AMOUNT = frozenset({"sum", "mean", "max", "ratio"})
DEFAULT_AMOUNT_BOUNDS = (0.01, 1e6)
LOOK_BACK = "30d"  # how far `since` and `recent` look where no window is declared
LARGEST_EVENTS = 100  # a sum is bounded by this many events of the largest amount
RECENT_WIDTH = 4  # numbers that a sequence field holds of one event

_UNIT_WORDS = {"s": "s", "min": "min", "h": "h", "d": "d"}


@dataclass(frozen=True, kw_only=True)
class EntityPlan:
    """Say what is derived for one entity. Windows stand shortest first; `spans` in µs."""

    entity: str
    windows: tuple[str, ...]
    spans: tuple[int, ...]
    measures: frozenset[str]
    distinct: tuple[str, ...]
    cap: int
    recent: int
    reads_amount: bool  # of earlier events

    @property
    def key(self) -> str:
        """Return the name of the entity's column in a bound table."""
        return f"@{self.entity}"

    @property
    def longest(self) -> int:
        """Return the longest window in µs: what is older is neither seen nor kept."""
        return self.spans[-1]

    def names(self, measure: str) -> tuple[str, ...]:
        """Return the field names of a measure, one a window; empty if it is not asked for."""
        if measure not in self.measures:
            return ()
        return tuple(f"{self.entity}_{measure}_{window}" for window in self.windows)

    def distinct_names(self, other: str) -> tuple[str, ...]:
        """Return the field names of the number of different values of another entity."""
        return tuple(f"{self.entity}_distinct_{other}_{window}" for window in self.windows)

    @property
    def since_name(self) -> str:
        """Return the name of the field of the time since the previous event, or nothing."""
        return f"{self.entity}_since" if "since" in self.measures else ""

    @property
    def recent_name(self) -> str:
        """Return the name of the sequence field, or nothing."""
        return f"{self.entity}_recent" if self.recent else ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Say everything that is derived: `scale` is minor units a major one, 0 without amounts."""

    entities: tuple[EntityPlan, ...]
    scale: float
    amount_field: bool
    target: str  # whose labels make the risk; empty if no risk is asked for

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the entities whose columns are read, in order."""
        names = [item.entity for item in self.entities]
        names += [other for item in self.entities for other in item.distinct]
        return tuple(dict.fromkeys(names))

    @property
    def digest(self) -> str:
        """Return a digest of the definitions: a saved state serves no others."""
        entities = [
            {
                "entity": item.entity,
                "windows": list(item.windows),
                "measures": sorted(item.measures),
                "distinct": list(item.distinct),
                "cap": item.cap,
                "recent": item.recent,
            }
            for item in self.entities
        ]
        return sha256(
            canonical_json(
                {
                    "entities": entities,
                    "scale": self.scale,
                    "amount": self.amount_field,
                    "target": self.target,
                }
            )
        )


def make_plan(contract: DataContract) -> Plan:
    """Return the plan of a contract's histories.

    Raises `ContractError` where a measure asks for what the contract does not declare.
    """
    entities = tuple(
        _entity_plan(contract, item, item.history) for item in contract.entities if item.history
    )
    risk = any("risk" in item.measures for item in entities)
    taken = {item.name for item in contract.fields}
    return Plan(
        entities=entities,
        scale=float(10**contract.amount.digits) if contract.amount else 0.0,
        amount_field=contract.amount is not None and "amount" not in taken,
        target=_risk_target(contract) if risk else "",
    )


def _entity_plan(contract: DataContract, entity: Entity, history: History) -> EntityPlan:
    where = f"entity {entity.name!r}"
    if history.cap < 1 or history.recent < 0:
        raise ContractError(
            f"{where} has cap {history.cap} and recent {history.recent}, expected at least 1 and 0"
        )
    if not history.windows and (history.distinct or set(history.measures) - {"since"}):
        raise ContractError(
            f"{where} has measures and no windows", hint="declare windows such as [1h, 7d]"
        )
    unknown = sorted(set(history.measures) - set(MEASURES))
    if unknown:
        raise ContractError(
            f"{where} has the measure {unknown[0]!r}, expected some of {', '.join(MEASURES)}"
        )
    if contract.amount is None and OF_AMOUNT & set(history.measures):
        raise ContractError(
            f"{where} asks for amounts, and the contract declares none",
            hint="declare amount: {column: …, currency: …} in the contract",
        )
    known = {item.name for item in contract.entities} - {entity.name}
    strange = [other for other in history.distinct if other not in known]
    if strange:
        raise ContractError(
            f"{where} counts distinct {strange[0]!r}, expected another entity of the contract"
        )
    windows = sorted(dict.fromkeys(history.windows or (LOOK_BACK,)), key=microseconds)
    amounts = bool(OF_AMOUNT & set(history.measures)) or history.recent > 0
    return EntityPlan(
        entity=entity.name,
        windows=tuple(windows),
        spans=tuple(microseconds(window) for window in windows),
        measures=frozenset(history.measures),
        distinct=tuple(dict.fromkeys(history.distinct)),
        cap=history.cap,
        recent=history.recent,
        reads_amount=amounts and contract.amount is not None,
    )


def _risk_target(contract: DataContract) -> str:
    decided = contract.decision.target if contract.decision else ""
    binary = [item.name for item in contract.targets if item.kind == "binary"]
    if not binary:
        raise ContractError(
            "a history has the measure 'risk', and the contract has no binary target",
            hint="declare a binary target, or leave risk out of the measures",
        )
    return decided if decided in binary else binary[0]


def derived_fields(contract: DataContract, plan: Plan) -> tuple[Field, ...]:
    """Return the declarations of the derived fields, from the contract alone.

    Raises `ContractError` where the contract has a field of the same name.
    """
    fields = [_amount_field(contract)] if plan.amount_field else []
    for item in plan.entities:
        fields.extend(_entity_fields(contract, plan, item))
    taken = {item.name for item in contract.fields}
    for field in fields:
        if field.name in taken:
            raise ContractError(
                f"two fields have the name {field.name!r}, which is derived from a history",
                hint="rename the field or the entity in the contract",
            )
        taken.add(field.name)
    return tuple(fields)


def _amount_bounds(contract: DataContract) -> tuple[float, float]:
    declared = contract.amount.bounds if contract.amount else None
    return declared or DEFAULT_AMOUNT_BOUNDS


def _amount_field(contract: DataContract, **changes: Any) -> Field:
    bounds = _amount_bounds(contract)
    values: dict[str, Any] = {
        "name": "amount",
        "kind": "numeric",
        "bounds": bounds,
        "scale": "log" if bounds[0] > 0 else "signed-log",
        "label": "Amount",
        "unit": contract.amount.currency if contract.amount else "",
    }
    return Field(**{**values, **changes})


def _entity_fields(contract: DataContract, plan: Plan, item: EntityPlan) -> Iterator[Field]:
    title, reads = contract.entity(item.entity).title, (item.key,)
    noun = "payments" if contract.amount else "events"
    for place, window in enumerate(item.windows):
        words = f"in {_in_words(window)}"
        for measure in WINDOWED:
            for name in item.names(measure)[place : place + 1]:
                yield _measure_field(contract, plan, item, measure, name, words)
        for other in item.distinct:
            label = f"{title}: different values of {contract.entity(other).title} {words}"
            name = item.distinct_names(other)[place]
            yield _count_field(name, label, item)
    longest = item.longest / 1e6
    if item.since_name:
        yield Field(
            name=item.since_name,
            kind="numeric",
            bounds=(min(1.0, longest / 10), longest),
            scale="log",
            label=f"{title}: time since the previous {noun[:-1]}",
            unit="s",
            reads=reads,
        )
    if item.recent_name:
        largest = max(map(abs, _amount_bounds(contract)))
        yield Field(
            name=item.recent_name,
            kind="sequence",
            size=(item.recent, RECENT_WIDTH),
            bounds=(0.0, max(1.0, math.log1p(largest), math.log1p(longest))),
            label=f"{title}: the latest {item.recent} {noun}",
            reads=reads,
        )


def _measure_field(
    contract: DataContract, plan: Plan, item: EntityPlan, measure: str, name: str, words: str
) -> Field:
    title, reads = contract.entity(item.entity).title, (item.key,)
    noun = "payments" if contract.amount else "events"
    if measure == "count":
        return _count_field(name, f"{title}: {noun} {words}", item)
    if measure == "risk":
        what = contract.target(plan.target).title
        label = f"{title}: share of {what} among labels known {words}"
        return Field(name=name, kind="numeric", bounds=(0.0, 1.0), label=label, reads=reads)
    if measure == "ratio":
        label = f"{title}: amount against the mean {words}"
        return _amount_field(
            contract,
            name=name,
            bounds=(0.01, 100.0),
            scale="log",
            label=label,
            unit="",
            reads=reads,
        )
    if measure == "sum":
        lower, upper = _amount_bounds(contract)
        most = min(item.cap, LARGEST_EVENTS)
        bounds = (min(0.0, lower * most), max(upper * most, 1.0))
        label = f"{title}: sum of amounts {words}"
        return _amount_field(
            contract, name=name, bounds=bounds, scale="signed-log", label=label, reads=reads
        )
    what = {"mean": "mean amount", "max": "largest amount"}[measure]
    return _amount_field(contract, name=name, label=f"{title}: {what} {words}", reads=reads)


def _count_field(name: str, label: str, item: EntityPlan) -> Field:
    return Field(
        name=name,
        kind="numeric",
        bounds=(0.0, float(item.cap)),
        scale="signed-log",
        label=label,
        reads=(item.key,),
    )


def _in_words(window: str) -> str:
    number = window.rstrip("smindh")
    return f"{number} {_UNIT_WORDS[window[len(number) :]]}"
