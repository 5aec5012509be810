"""Refine the draft of a contract for payments: who pays, where, how much, and what is still open.

Names of columns suggest the entities and the amount, and values only confirm them. What no column
can tell (the currency, when fraud becomes known, how many alerts a team can bear) is said in the
findings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verticals.contract import (
    MEASURES,
    Amount,
    DataContract,
    Decision,
    Entity,
    Field,
    History,
    Refined,
    Target,
)
from verticals.contract.draft import GUESS
from verticals.contract.guess import epoch_unit, ignored, times_of_events
from verticals.contract.guess_target import guess_decision, guess_target
from verticals.contract.hints import field_name, word_set
from verticals.contract.profile import FEW, Profile
from verticals.table import Array, Table
from verticals_fraud_detection.draft_amount import AMOUNT_COMMENT, guess_amount
from verticals_fraud_detection.draft_names import Named, column_words, named
from verticals_fraud_detection.draft_times import guess_times

_WINDOWS = ("24h", "7d", "30d")
_MOST_ENTITIES = 3
_MOST_PAYING = 2
_MOST_DISTINCT = 0.8  # distinct values over rows, from which there is hardly an earlier event
_RARE = 0.1  # share of positives, below which a cut at one half decides few events
_NOVELTY = "fraud-novelty"
_FRAUD = word_set("chargeback chargebacks fraud fraudulent")

_PAYS_HOW = "card: {column: …, history: {windows: [24h, 7d, 30d], measures: [count, since]}}"
_PAID_HOW = "terminal: {column: …, history: {windows: [24h, 7d, 30d], measures: [count]}}"


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """Hold a column whose name speaks of an entity."""

    column: Profile
    named: Named

    @property
    def repeats(self) -> bool:
        """Tell whether its values tie events together, and are no short list of types."""
        column = self.column
        known = column.kind != "categorical" or self.named.keyed or column.distinct > FEW
        return known and column.distinct > 1 and column.distinct_share <= _MOST_DISTINCT


def refine(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Refined:
    """Return the draft with entities, group and amount, as far as names and values tell them."""
    draft = _without_labels(draft) if draft.solution == _NOVELTY else _with_target(draft, columns)
    event, known = guess_times(columns, raw)
    draft, said_of_times = _with_times(draft, event, known, columns)
    candidates = _candidates(draft, columns)
    draft = dataclasses.replace(draft, group=draft.group or _payer(candidates, raw.rows))
    chosen = _chosen(candidates, draft.group)
    amount, said_of_amount = guess_amount(draft.fields, columns)
    entities = tuple(_entity(item, draft, amount) for item in chosen)
    fields, left_out = _fields(draft, candidates, entities, amount)
    contract = dataclasses.replace(draft, entities=entities, amount=amount, fields=fields)
    comments: dict[tuple[str, ...], str] = {("entities", item.name): GUESS for item in entities}
    comments |= {("amount",): AMOUNT_COMMENT} if amount else {}
    comments |= {("label_time",): GUESS} if contract.label_time else {}
    comments |= {("fields", item.name): why for item, why in left_out}
    stand_in = {item.name for item in fields if item.column in {e.column for e in entities}}
    comments |= {("fields", name): "a contract has a field or more" for name in stand_in}
    findings = (
        *_said_of_entities(contract, columns),
        *(f"{item.column!r} {why}" for item, why in left_out),
        *said_of_amount,
        *(said_of_times or _said_of_time(contract, columns)),
        *_said_of_labels(contract, columns),
    )
    return Refined(contract=contract, comments=comments, findings=findings)


def _with_times(
    draft: DataContract, event: str, known: str, columns: Mapping[str, Profile]
) -> tuple[DataContract, tuple[str, ...]]:
    """Return the draft with the times of event and label, or how to write them so."""
    labelled = draft.solution != _NOVELTY
    numbered = [name for name, column in columns.items() if epoch_unit(column)]
    if not event or set(numbered) & {event, known}:
        said = [f"{name!r} is no time until it is written as one" for name in numbered[:1]]
        if event:
            then = f" and label_time: {known}" if labelled else ""
            said = [
                f"{known!r} is never before {event!r}: once both are written as "
                f"2024-05-31T10:00:00, declare time: {event}{then}, and under each entity a history"
            ]
        return draft, tuple(said)
    fields = tuple(item for item in draft.fields if item.column != event)
    if labelled:
        fields = tuple(item for item in fields if item.column != known)
    if not fields:
        return draft, ()
    said = [f"{event!r} is taken as the time of the event: the split goes by it"]
    if labelled:
        said.append(f"{known!r} is never before {event!r}, and taken as the time of the label")
    label_time = known if labelled else ""
    draft = dataclasses.replace(draft, time=event, label_time=label_time, fields=fields)
    return draft, tuple(said)


def _without_labels(draft: DataContract) -> DataContract:
    """Return a contract that decides nothing: novelty neither learns from labels nor reads them."""
    fields = [
        _ignored(item)
        if item.role == "feature" and _FRAUD & set(column_words(item.column))
        else item
        for item in draft.fields
    ]
    fields += [_ignored(item) for item in draft.targets]
    return dataclasses.replace(draft, targets=(), decision=None, fields=tuple(fields))


def _with_target(draft: DataContract, columns: Mapping[str, Profile]) -> DataContract:
    """Return the draft with a target that this domain knows by its name, if there is one."""
    if any(_FRAUD & set(column_words(item.column)) for item in draft.targets):
        return draft
    for item in draft.fields:
        column = columns.get(item.column)
        if column is None or column.distinct != 2 or not _FRAUD & set(column_words(item.column)):
            continue
        found = guess_target([dataclasses.replace(column, column="fraud")])
        others = tuple(other for other in draft.fields if other is not item)
        if found is not None and others:
            target = dataclasses.replace(found, name=item.name, column=item.column)
            decision = guess_decision(target)
            others = (*others, *(_ignored(other) for other in draft.targets))
            return dataclasses.replace(draft, targets=(target,), decision=decision, fields=others)
    return draft


def _candidates(draft: DataContract, columns: Mapping[str, Profile]) -> list[_Candidate]:
    """Return what may be an entity, in the order in which entities are wanted."""
    taken = {draft.id, draft.time, *(item.column for item in draft.targets)}
    found = []
    for column in columns.values():
        what = named(column.column)
        whole = column.numbers is None or column.whole
        known = column.kind in ("many", "numeric", "categorical")
        if what is not None and whole and known and column.column not in taken:
            found.append(_Candidate(column=column, named=what))
    return sorted(found, key=lambda item: (item.named.rank, not item.named.keyed))


def _payer(candidates: Sequence[_Candidate], rows: int) -> str:
    """Return the column of who pays, the unit of privacy: a person before an account or a card."""
    able = [item for item in candidates if item.repeats and item.named.person]
    full = [item for item in able if item.column.present == rows]
    return min(full, key=lambda item: item.named.person).column.column if full else ""


def _chosen(candidates: Sequence[_Candidate], group: str) -> list[_Candidate]:
    """Return at most three entities of different names; the group is the first of them."""
    own = [item for item in candidates if item.column.column == group]
    different: dict[str, _Candidate] = {}
    for item in [*own, *(item for item in candidates if item.repeats)]:
        different.setdefault(item.named.entity, item)
    pays = [item for item in different.values() if item.named.person][:_MOST_PAYING]
    paid = [item for item in different.values() if not item.named.person]
    return [*pays, *paid[: min(_MOST_ENTITIES - len(pays), _MOST_PAYING)]]


def _entity(item: _Candidate, draft: DataContract, amount: Amount | None) -> Entity:
    """Return one entity; it has a history where the time of an event is known."""
    # The measure risk is not guessed: it needs a label delay, which no column can tell.
    if item.named.person:
        measures = ("count", "mean", "max", "since", "ratio") if amount else ("count", "since")
        history = History(windows=_WINDOWS, measures=measures, cap=500, recent=8)
    else:
        history = History(windows=_WINDOWS, measures=("count",), cap=2000)
    return Entity(
        name=item.named.entity,
        column=item.column.column,
        label=item.named.entity.capitalize(),
        owned=item.column.column == draft.group,
        history=history if draft.time else None,
    )


def _fields(
    draft: DataContract,
    candidates: Sequence[_Candidate],
    entities: Sequence[Entity],
    amount: Amount | None,
) -> tuple[tuple[Field, ...], list[tuple[Field, str]]]:
    """Return the fields that are left, and those that are left out of the model, with the reason.

    No number that names something stays a feature, whether or not it became an entity.
    """
    used = {item.column for item in entities} | ({amount.column} if amount else set())
    numbers = {item.column.column for item in candidates if item.column.kind == "numeric"}
    derived = set(_derived(entities, amount))
    names = derived | {item.name for item in draft.fields} | {item.name for item in draft.targets}
    fields: list[Field] = []
    left_out: list[tuple[Field, str]] = []
    for number, item in enumerate(draft.fields, 1):
        if item.column in used:
            continue
        if item.name in derived:
            item = dataclasses.replace(item, name=field_name(item.column, number, names))
            names.add(item.name)
        if item.role == "feature" and _FRAUD & set(column_words(item.column)):
            item = _ignored(item)
            left_out.append((item, "speaks of fraud, as the label does: left out of the model"))
        if item.column in numbers and item.role == "feature":
            item = _ignored(item)
            left_out.append((item, "looks like an identifier of something: left out of the model"))
        fields.append(item)
    if not fields:  # a contract has at least one field
        fields = [_ignored(item) for item in draft.fields[:1]]
    return tuple(fields), left_out


def _derived(entities: Sequence[Entity], amount: Amount | None) -> Iterator[str]:
    """Yield the names of fields that the histories bring, and more that a person may ask for."""
    if amount is not None:
        yield "amount"
    for item in entities:
        for measure in (*MEASURES, "recent"):
            yield f"{item.name}_{measure}"
            yield from (f"{item.name}_{measure}_{window}" for window in _WINDOWS)


def _ignored(item: Field | Target) -> Field:
    return ignored(item.name, item.column, item.label)


def _said_of_entities(contract: DataContract, columns: Mapping[str, Profile]) -> Iterator[str]:
    for item in contract.entities:
        what = f"{item.column!r} is taken as an entity, the {item.name}"
        yield f"{what}: its history is summed up" if item.history else what
        if item.owned:
            yield f"{item.column!r} is the group too: splits and privacy go by it"
        elif contract.group and _belongs(columns[item.column], columns[contract.group]):
            owner = f"each {item.column!r} stands with one {contract.group!r}"
            yield f"{owner}: if that is a rule, declare owned: true under {item.name}"
    pays = [item for item in contract.entities if _pays(item)]
    if not pays:
        yield (
            "no column is named like a card, an account or a customer: declare what pays under "
            f"entities, such as {_PAYS_HOW}"
        )
    if len(pays) == len(contract.entities):
        yield (
            "no column is named like a terminal, a merchant or a device: declare where it is "
            f"paid, if it is known, under entities, such as {_PAID_HOW}"
        )
    if not contract.group:
        yield "no column says who pays in every row: declare the unit of privacy, group: COLUMN"


def _pays(item: Entity) -> bool:
    what = named(item.column)
    return what is not None and bool(what.person)


def _belongs(inner: Profile, outer: Profile) -> bool:
    """Tell whether each value of one column stands with one value of the other only."""
    known = inner.codes >= 0
    pairs: Array = np.stack([inner.codes[known], outer.codes[known]])
    return inner.distinct > 1 and inner.distinct == np.unique(pairs, axis=1).shape[1]


def _said_of_time(contract: DataContract, columns: Mapping[str, Profile]) -> Iterator[str]:
    if contract.time:
        return
    time = next((item.column for item in times_of_events(columns.values())), "COLUMN")
    yield (
        f"declare the time of the event, such as time: {time}, and "
        "under each entity history: {windows: [24h, 7d, 30d], measures: [count, since]}"
    )


def _said_of_labels(contract: DataContract, columns: Mapping[str, Profile]) -> Iterator[str]:
    """Say what is open about the labels; novelty has none."""
    if contract.solution == _NOVELTY:
        return
    if not contract.targets:
        yield (
            "no column is named like fraud: declare the target, such as targets: {fraud: "
            "{column: …, kind: binary, positive: 1, negative: 0, favourable: 0}}"
        )
        return
    risk = [item.name for item in contract.entities if item.history and not _pays(item)]
    if not contract.label_time:
        then = f"; then add risk to the measures of {' and '.join(risk)}" if risk else ""
        yield f"declare when fraud becomes known, such as label_delay: 7d{then}"
    elif risk:
        yield f"as the time of labels is known, add risk to the measures of {' and '.join(risk)}"
    decision, target = contract.decision, contract.targets[0]
    if decision is not None and _is_rare(target, decision, columns):
        yield (
            f"{target.positive!r} is rare, and a cut of {decision.cut:g} decides few events: "
            f"declare a share, such as decision: {{target: {target.name}, rate: 0.01}}, or a "
            "budget of alerts for verticals replay"
        )


def _is_rare(target: Target, decision: Decision, columns: Mapping[str, Profile]) -> bool:
    column = columns.get(target.column)
    if column is None or target.positive not in column.values or decision.cut is None:
        return False
    positive = int(np.count_nonzero(column.codes == column.values.index(target.positive)))
    return positive < _RARE * column.present
