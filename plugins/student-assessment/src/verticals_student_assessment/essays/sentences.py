"""What each sentence adds to the score: Shapley values over sentences, and a test by deletion.

The players are an essay's sentences; a coalition's worth is the score of the text that holds these
sentences alone, in their order. Values add up to the score less that of an empty essay. Up to five
sentences are enumerated; of more, orders are sampled in pairs of an order and its reverse
(Castro, Gómez & Tejada 2009; antithetic pairs: Mitchell et al. 2022).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from verticals.errors import CallError
from verticals.intervals import Interval, mean
from verticals.table import Array, Table
from verticals_student_assessment.essays.measures import sentences_of
from verticals_student_assessment.essays.probes import (
    FEWEST_PERSONS,
    ScoresTexts,
    one_each,
    text_points,
)

MOST_EXACT = 5  # sentences
MOST_PLAYERS = 64  # of more sentences, neighbours are taken together
DRAWS = 8  # orders, with their reverses
TESTED_ESSAYS, TESTED_DRAWS = 14, 2
_FEWEST_SENTENCES = 4  # of an essay in the deletion test


@dataclass(frozen=True, kw_only=True)
class SentenceValues:
    """Hold the sentences of an essay and what each adds to each trait, in points.

    `values` is (sentences, traits); `base` (traits,) the score of an empty essay and `score`
    (traits,) that of the whole one, so that base + values.sum(axis=0) = score.
    """

    sentences: tuple[str, ...]
    values: Array
    base: Array
    score: Array
    exact: bool


def check_draws(draws: int) -> None:
    """Raise `CallError` unless `draws` is an even number, 2 or more."""
    if draws < 2 or draws % 2:
        raise CallError(f"draws is {draws}, expected an even number, 2 or more", hint="--draws 8")


def sentence_values(
    model: ScoresTexts, text: str, *, draws: int = DRAWS, seed: int = 0
) -> SentenceValues:
    """Return the Shapley values of a text's sentences, of neighbours together beyond 64.

    `draws` is the number of orders for a text of more than five sentences, an even one. Raises
    `CallError` where it is not.
    """
    check_draws(draws)
    pieces = _players(text)
    exact = len(pieces) <= MOST_EXACT
    orders = _all_orders(len(pieces)) if exact else _orders(len(pieces), draws, seed)
    coalitions = {frozenset[int]()}
    for order in orders:
        coalitions |= {frozenset(order[:size]) for size in range(1, len(order) + 1)}
    listed = sorted(coalitions, key=lambda item: (len(item), sorted(item)))
    points = text_points(model, ["".join(pieces[p] for p in sorted(item)) for item in listed])
    worth = dict(zip(listed, points, strict=True))
    values = np.zeros((len(pieces), points.shape[1]))
    for order in orders:
        for size, player in enumerate(order):
            held = frozenset(order[:size])
            values[player] += worth[held | {player}] - worth[held]
    return SentenceValues(
        sentences=pieces,
        values=values / max(len(orders), 1),
        base=worth[frozenset()],
        score=worth[frozenset(range(len(pieces)))],
        exact=exact,
    )


def deletion_table(
    model: ScoresTexts, texts: Array, unit: Array, *, longest: int | None = None, seed: int = 0
) -> Table:
    """Test on up to 14 persons' essays whether sentences with large values move the score more.

    Of each essay a third of the sentences is deleted: those whose values weigh most together,
    and as many at random. Returns trait, persons, the mean absolute change of either, the
    mean difference with its interval, and the largest error of additivity. Essays of more than
    `longest` words are left out: their scores are for a person to give.
    """
    chosen = one_each(texts, unit, TESTED_ESSAYS, sentences=_FEWEST_SENTENCES, longest=longest)
    if chosen.size < FEWEST_PERSONS:
        return Table({})
    random = np.random.default_rng(seed)
    top, other, errors = [], [], []
    for row in chosen:
        found = sentence_values(model, str(texts[row]), draws=TESTED_DRAWS, seed=seed)
        count = len(found.sentences)
        out = max(1, count // 3)
        gone = [_strongest(column, out) for column in found.values.T]
        gone.append(random.permutation(count)[:out])
        left = text_points(model, [_without(found, places) for places in gone])
        moved = np.abs(left - found.score)  # (traits + 1, traits)
        top.append(np.diagonal(moved[:-1]))
        other.append(moved[-1])
        errors.append(np.abs(found.base + found.values.sum(axis=0) - found.score))
    moved, anyway = np.stack(top), np.stack(other)  # (essays, traits)
    tests = [mean(column) for column in (moved - anyway).T]
    return Table(
        {
            "trait": np.array([target.name for target in model.contract.targets], dtype=object),
            "persons": np.full(len(tests), chosen.size, dtype=np.int64),
            "top_change": moved.mean(axis=0),
            "random_change": anyway.mean(axis=0),
            "difference": _numbers(tests, "estimate"),
            "lower": _numbers(tests, "lower"),
            "upper": _numbers(tests, "upper"),
            "additivity_error": np.stack(errors).max(axis=0),
        }
    )


def _players(text: str) -> tuple[str, ...]:
    """Return the sentences of a text, or at most 64 runs of neighbours, as even as may be."""
    pieces = sentences_of(text)
    count = min(len(pieces), MOST_PLAYERS)
    ends = [len(pieces) * place // count for place in range(count + 1)] if count else []
    return tuple("".join(pieces[a:b]) for a, b in itertools.pairwise(ends))


def _strongest(values: Array, count: int) -> Array:
    """Return the sentences that raise the score most, or lower it most: whichever weigh more."""
    rising, falling = np.argsort(-values)[:count], np.argsort(values)[:count]
    return rising if abs(values[rising].sum()) >= abs(values[falling].sum()) else falling


def _without(found: SentenceValues, places: Array) -> str:
    gone = set(places.tolist())
    return "".join(piece for place, piece in enumerate(found.sentences) if place not in gone)


def _all_orders(count: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations(range(count)))


def _orders(count: int, draws: int, seed: int) -> list[tuple[int, ...]]:
    random = np.random.default_rng(seed)
    half = [tuple(int(n) for n in random.permutation(count)) for _ in range(draws // 2)]
    return [order for drawn in half for order in (drawn, drawn[::-1])]


def _numbers(found: list[Interval], name: str) -> Array:
    values = [getattr(item, name) for item in found]
    return np.array([math.nan if value is None else value for value in values])
