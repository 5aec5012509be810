"""Reasons in words, with the entity's own numbers: "5th payment of this card in 10 min, usual 0.3".

The numbers are those of the row: nothing is looked up, and no id is ever named. "Usual" is what
the longest window in the row gives for the shorter one, spread evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from verticals.contract.durations import is_duration, microseconds
from verticals.contract.model import DataContract, Entity, Field

Row = Mapping[str, Any]

_HARDLY = 0.5  # earlier events: fewer are not worth a word beside none


@dataclass(frozen=True, kw_only=True)
class _Said:
    """Hold what a wording speaks of: a derived field's parts, and the row it reads."""

    row: Row
    contract: DataContract
    entity: Entity
    value: float | None
    window: str = ""
    other: str = ""  # of a distinct count: the entity that is counted

    @property
    def who(self) -> str:
        return _lower(self.entity.title)

    def beside(self, measure: str, window: str) -> float | None:
        """Return the entity's number for another measure or window; None if the row lacks it."""
        return _number(self.row.get(f"{self.entity.name}_{measure}_{window}"))

    @property
    def span(self) -> str:
        return _spoken(self.window)

    @property
    def longest(self) -> str:
        """Return the longest declared window, empty where this one is the longest."""
        history = self.entity.history
        windows = [self.window, *(history.windows if history is not None else ())]
        found = max((w for w in windows if is_duration(w)), key=microseconds)
        return "" if microseconds(found) <= microseconds(self.window) else found

    def share(self, measure: str) -> float | None:
        """Return what the longest window gives for this one; None where the row has none."""
        longest = self.longest
        total = self.beside(measure, longest) if longest else None
        return total * microseconds(self.window) / microseconds(longest) if total else None

    def usual(self, measure: str) -> str:
        """Return ", usual …", empty where nothing is known, or nothing and hardly more is usual."""
        share = self.share(measure)
        if share is None or (not self.value and share < _HARDLY):
            return ""
        return f", usual {_count(share)}"


def wording(field: Field, row: Row, contract: DataContract) -> str | None:
    """Return a derived field's reason in words; None for a field of the contract's own.

    `row` holds values in natural units by field name; what it lacks is left out of the words.
    """
    if field.column or field.columns:
        return None
    if field.name == "amount":
        return _amount(row, contract)
    for entity in sorted(contract.entities, key=lambda item: -len(item.name)):
        prefix = f"{entity.name}_"
        if entity.history is not None and field.name.startswith(prefix):
            return _of_entity(field.name.removeprefix(prefix), entity, row, contract)
    return None


def _of_entity(rest: str, entity: Entity, row: Row, contract: DataContract) -> str | None:
    who = _lower(entity.title)
    if entity.key in row and row[entity.key] is None:
        return f"no {who} is given"
    if rest == "recent":
        events = f"{_noun(contract)}s"
        count = entity.history.recent if entity.history is not None else 0
        return f"the {who}'s last {count} {events}"
    value = _number(row.get(f"{entity.name}_{rest}"))
    if rest == "since":
        return _since(_Said(row=row, contract=contract, entity=entity, value=value))
    body, _, window = rest.rpartition("_")
    measure, _, other = body.partition("_")
    if not is_duration(window) or measure not in _WORDS or bool(other) != (measure == "distinct"):
        return None
    return _WORDS[measure](
        _Said(row=row, contract=contract, entity=entity, value=value, window=window, other=other)
    )


def _amount(row: Row, contract: DataContract) -> str:
    amount = _number(row.get("amount"))
    return "no amount is given" if amount is None else f"amount of {_money(amount, contract)}"


def _count_words(said: _Said) -> str:
    noun = _noun(said.contract)
    if said.value is None:
        return f"number of {noun}s of this {said.who} in {said.span} not known"
    longest = said.longest
    if longest and said.beside("count", longest) == 0:
        return f"first {noun} of this {said.who} in {_spoken(longest)}"
    before = round(said.value)
    # What is usual counts earlier ones. Beside it an ordinal, which counts this one too, reads as
    # more than it is, unless the earlier ones alone are more than usual.
    if before and before > (said.share("count") or 0.0):
        here = f"{_ordinal(before + 1)} {noun}"
    else:
        here = f"{before or 'no'} earlier {noun}{'s' * (before > 1)}"
    return f"{here} of this {said.who} in {said.span}{said.usual('count')}"


def _sum_words(said: _Said) -> str:
    before = f"by this {said.who} in the {said.span} before"
    if said.value is None:
        return f"sum {before} not known"
    longest = said.longest
    total = said.beside("sum", longest) if longest else None
    usual = ""
    if total:
        share = total * microseconds(said.window) / microseconds(longest)
        usual = f", usual {_plain_money(share, said.contract)}"
    return f"{_money(said.value, said.contract)} {before}{usual}"


def _mean_words(said: _Said) -> str:
    return _over_known(said, "mean amount")


def _max_words(said: _Said) -> str:
    return _over_known(said, "highest amount")


def _over_known(said: _Said, what: str) -> str:
    if said.value is None:
        return f"no earlier amount of this {said.who} in {said.span}"
    amount = _money(said.value, said.contract)
    return f"{what} of this {said.who} in the {said.span} before was {amount}"


def _ratio_words(said: _Said) -> str:
    if said.value is None:
        return f"no earlier amount of this {said.who} in {said.span} to compare with"
    amount = _number(said.row.get("amount"))
    mean = said.beside("mean", said.window)
    subject = "amount" if amount is None else f"amount {_money(amount, said.contract)}"
    against = "" if mean is None else f" ({_plain_money(mean, said.contract)})"
    times = f"{said.value:.2g}" if said.value < 1 else _count(said.value)
    return f"{subject} is {times} times this {said.who}'s own mean of {said.span}{against}"


def _distinct_words(said: _Said) -> str:
    found = next((e for e in said.contract.entities if e.name == said.other), None)
    other = _lower(found.title) if found is not None else said.other
    if said.value is None:
        return f"number of different {other}s of this {said.who} in {said.span} not known"
    count = round(said.value)
    usual = said.usual(f"distinct_{said.other}")
    here = f"{count} different {other}{'s' * (count != 1)}" if count else f"no earlier {other}"
    return f"{here} of this {said.who} in {said.span}{usual}"


def _risk_words(said: _Said) -> str:
    if said.value is None:
        return f"no label of this {said.who} became known in the last {said.span}"
    targets = said.contract.targets
    named = said.contract.decision.target if said.contract.decision is not None else ""
    target = next((item for item in targets if item.name == named or not named), None)
    outcome = _lower(target.title) if target is not None else "positive"
    return (
        f"{_percent(said.value)} of the labels known in the last {said.span} "
        f"at this {said.who} were {outcome}"
    )


def _since(said: _Said) -> str:
    noun = _noun(said.contract)
    if said.value is None:
        return f"no earlier {noun} of this {said.who}"
    return f"{_span(said.value)} after the {said.who}'s previous {noun}"


_WORDS: Mapping[str, Callable[[_Said], str]] = {
    "count": _count_words,
    "sum": _sum_words,
    "mean": _mean_words,
    "max": _max_words,
    "ratio": _ratio_words,
    "distinct": _distinct_words,
    "risk": _risk_words,
}


def _number(value: Any) -> float | None:
    """Return a finite number, None for what is missing."""
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _noun(contract: DataContract) -> str:
    return "payment" if contract.amount is not None else "event"


def _spoken(window: str) -> str:
    """Write a window as people do: "10 min"."""
    number = window.rstrip("smindh")
    return f"{number} {window[len(number) :]}"


def _lower(title: str) -> str:
    """Lower the first letter, but leave an acronym such as IBAN as it is."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _ordinal(count: int) -> str:
    ending = "th" if count % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(count % 10)
    return f"{count}{ending or 'th'}"


def _count(value: float) -> str:
    if 0 < value < 0.05:
        return "below 0.1"
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _plain_money(value: float, contract: DataContract) -> str:
    digits = contract.amount.digits if contract.amount is not None else 2
    return f"{value:,.{digits}f}"


def _money(value: float, contract: DataContract) -> str:
    currency = f" {contract.amount.currency}" if contract.amount is not None else ""
    return f"{_plain_money(value, contract)}{currency}"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"


def _span(seconds: float) -> str:
    """Return a span of time in the unit that people would use."""
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
