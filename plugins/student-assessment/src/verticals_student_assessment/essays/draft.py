"""Refine the draft of a contract for essay-scoring: the text, the traits, a second rater."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from verticals.contract import DataContract, Field, Refined, Target, canonical
from verticals.contract.draft import GUESS
from verticals.contract.guess import ignored
from verticals.contract.hints import field_name, is_protected, label_of, word_set, words
from verticals.contract.profile import Profile
from verticals.table import Array, Table

_TEXT = word_set("answer essay fulltext response text writing")
_TRAIT = word_set(
    """
    argument cohesion content conventions development fluency grammar holistic ideas language
    mark mechanics organisation organization overall phraseology points rating score spelling
    structure style syntax trait vocabulary voice
    """
)
_TOPIC = word_set("prompt task topic")
_SECOND = word_set("second rater2 r2 reader2 other")
_RATER = _SECOND | word_set("rater reader r")
_STEPS = (0.5, 1.0)
_MOST_LEVELS = 21


def refine(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Refined:
    """Return the draft with the essay's text, its traits as ordinal targets, and second raters."""
    given = {item.column for item in draft.fields} | {item.column for item in draft.targets}
    read = [item for item in columns.values() if item.column in given]
    text = _text(read, raw)
    scored = [item for item in read if _is_trait(item)]
    first = [item for item in scored if not _is_second(item, scored)]
    findings = []
    if text is None:
        findings.append(
            "no column looks like the text of an essay: declare it under fields, such as "
            "essay: {column: text, kind: text}"
        )
    if not first:
        findings.append(
            "no column looks like a score: declare each trait under targets, such as "
            "overall: {column: score, kind: ordinal, values: [1, 2, 3, 4]}"
        )
    names: list[str] = []
    others = [item for item in scored if item not in first]
    second = _second_raters(others, first)
    targets = {
        item.column: _target(item, _named(item.column, names), _widened(levels, item, second))
        for item, levels in zip(first, _scales(first), strict=True)
    }
    fields = [] if text is None else [_essay(text, _named(text, names))]
    for item, of in second:
        fields.append(_rater(item, targets[of.column], _named(item.column, names)))
        findings.append(f"{item.column!r} is taken as a second rating of {targets[of.column].name}")
    used = {*targets, *(item.column for item in fields)}
    for own in draft.fields:
        if own.column not in used:
            fields.append(dataclasses.replace(_not_read(own), name=_named(own.name, names)))
    matched = [item for item, _ in second]
    findings += [
        f"{item.column!r} looks like a second rating of no trait: left out of the model"
        for item in others
        if item not in matched
    ]
    if text is not None:
        findings.append("declare the prompts in the settings, so that essays off topic are noticed")
    comments: dict[tuple[str, ...], str] = {
        ("fields", own.name, "settings"): GUESS for own in fields if own.settings
    }
    contract = dataclasses.replace(
        draft,
        targets=tuple(targets.values()),
        decision=None,
        fields=tuple(fields) or draft.fields,
    )
    return Refined(contract=contract, comments=comments, findings=tuple(findings))


def _text(columns: Sequence[Profile], raw: Table) -> str | None:
    """Return the column of the essays: named like one, or else the one of most words."""
    prose = [item.column for item in columns if item.kind in ("text", "many")]
    named = [name for name in prose if set(_parts(name)) & _TEXT]
    lengths = {name: _words(raw, name) for name in named or prose}
    best = max(lengths, key=lambda name: lengths[name], default=None)
    return best if best is not None and lengths[best] >= 8.0 else None


def _words(raw: Table, name: str) -> float:
    texts = [str(value) for value in raw[name][:200] if value is not None]
    return float(np.mean([len(text.split()) for text in texts])) if texts else 0.0


def _parts(name: str) -> tuple[str, ...]:
    """Return the words of a name, and those with the digits behind them: "rater2"."""
    with_digits = "".join(sign.lower() if sign.isalnum() else " " for sign in name).split()
    return (*words(name), *with_digits)


def _is_trait(column: Profile) -> bool:
    """Tell whether a column is named like a score, and holds even steps of points."""
    if not set(_parts(column.column)) & _TRAIT or is_protected(column.column):
        return False
    return column.numbers is not None and bool(_levels(column))


def _levels(column: Profile) -> tuple[str, ...]:
    """Return the levels of a score without gaps, lowest first; nothing if it has no even steps."""
    seen = np.unique([float(value) for value in column.values])
    for step in _STEPS[::-1]:
        if len(seen) > 1 and (seen[-1] - seen[0]) / step < _MOST_LEVELS:
            levels = _between(seen[0], seen[-1], step)
            if np.isin(seen, levels).all():
                return _written(levels)
    return ()


def _between(low: float, high: float, step: float) -> Array:
    return np.asarray(np.arange(low, high + step / 2, step))


def _written(levels: Array) -> tuple[str, ...]:
    return tuple(canonical(float(level)) for level in levels)


def _scales(columns: Sequence[Profile]) -> list[tuple[str, ...]]:
    """Return the levels of each trait; those that lie within another's are of the same scale.

    Where the other one has more than twice as many levels it is another scale: a sum, say.
    """
    own = [tuple(map(float, _levels(item))) for item in columns]
    found = []
    for levels in own:
        step = levels[1] - levels[0]
        alike = [
            other
            for other in own
            if other[1] - other[0] == step and _nested(levels, other) and _nested(other, levels)
        ]
        low, high = min(other[0] for other in alike), max(other[-1] for other in alike)
        found.append(_written(_between(low, high, step)))
    return found


def _nested(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether most levels of one scale are among those of another of like length."""
    shared = len(set(one) & set(other))
    return 2 * shared > len(one) and len(one) <= 2 * len(other)


def _target(column: Profile, name: str, levels: tuple[str, ...]) -> Target:
    return Target(
        name=name,
        column=column.column,
        kind="ordinal",
        values=levels,
        label=label_of(column.column),
        drafted=("values",),
    )


def _essay(column: str, name: str) -> Field:
    """Return the field of the text, with windows for essays of up to about 1,400 words."""
    settings = {"windows": 8, "length": 256, "language": "en"}
    return Field(name=name, column=column, kind="text", label=label_of(column), settings=settings)


def _is_second(column: Profile, columns: Sequence[Profile]) -> bool:
    """Tell whether a score is named as a second one: "…_second", or "score2" beside "score1".

    "score2" beside "score" is one, too.
    """
    name = column.column
    stem = name.removesuffix("2")
    twins = {f"{stem}1", stem.rstrip("_ ")} if stem != name else set()
    return bool(set(_parts(name)) & _SECOND or twins & {item.column for item in columns})


def _second_raters(
    columns: Sequence[Profile], traits: Sequence[Profile]
) -> list[tuple[Profile, Profile]]:
    """Return each column of a second rater with the trait whose name it shares."""
    found = []
    for column in columns:
        own = set(words(column.column)) - _RATER
        same = [item for item in traits if set(words(item.column)) - _RATER == own]
        if len(same) == 1:
            found.append((column, same[0]))
    return found


def _widened(
    levels: tuple[str, ...], trait: Profile, second: Sequence[tuple[Profile, Profile]]
) -> tuple[str, ...]:
    """Return the levels of a trait with those that second raters gave it, unless too many."""
    every = [levels, *(_levels(item) for item, of in second if of is trait)]
    numbers = [tuple(map(float, own)) for own in every]
    step = min(own[1] - own[0] for own in numbers)
    low, high = min(own[0] for own in numbers), max(own[-1] for own in numbers)
    return levels if (high - low) / step >= _MOST_LEVELS else _written(_between(low, high, step))


def _rater(column: Profile, of: Target, name: str) -> Field:
    return Field(
        name=name,
        column=column.column,
        kind="ordinal",
        role="ignore",
        levels=of.values,
        label=label_of(column.column),
        drafted=("levels",),
        settings={"second_rater_of": of.name},
    )


def _not_read(item: Field) -> Field:
    """Return a field that the model does not read: the text is all it reads.

    What essays were written about is audited.
    """
    if item.role != "feature":
        return item
    if item.kind == "categorical" and set(words(item.column)) & _TOPIC:
        return dataclasses.replace(item, role="stratum")
    return ignored(item.name, item.column, item.label)


def _named(column: str, taken: list[str]) -> str:
    taken.append(field_name(column, len(taken) + 1, taken))
    return taken[-1]
