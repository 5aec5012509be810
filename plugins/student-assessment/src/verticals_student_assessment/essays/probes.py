"""Gaming probes: what happens to a score when an essay is padded, repeated, shuffled or strays.

Each probe changes a text in a way that deserves no higher score. What it gains is measured on
essays of the audited part; the words that are put in were written for this project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from verticals.contract import DataContract
from verticals.intervals import mean
from verticals.plugin import Columns
from verticals.table import Array, Table
from verticals_student_assessment.essays.compose import STRAYING
from verticals_student_assessment.essays.language import words_of
from verticals_student_assessment.essays.measures import sentences_of

MOST_ESSAYS = 32
FEWEST_PERSONS = 10

_FILLER = (
    "Taking all of these multifaceted considerations into account, it is abundantly clear that a "
    "great many aspects deserve careful attention. Furthermore, numerous perspectives contribute "
    "significantly to the overall significance of the matter. Consequently, one must acknowledge "
    "the fundamental importance of everything that has been mentioned above."
)

Change = Callable[[str, np.random.Generator], str]


class ScoresTexts(Protocol):
    """A model that scores texts."""

    contract: DataContract

    def predict_texts(self, texts: Array) -> Columns:
        """Return the columns of the texts (rows,)."""
        ...


def padded(text: str, random: np.random.Generator) -> str:
    """Return the text with a paragraph of empty phrases behind it."""
    return f"{text.rstrip()}\n\n{_FILLER}"


def repeated(text: str, random: np.random.Generator) -> str:
    """Return the text twice."""
    return f"{text.rstrip()}\n\n{text}"


def shuffled(text: str, random: np.random.Generator) -> str:
    """Return the sentences in another order."""
    pieces = [piece.strip() for piece in sentences_of(text)]
    return " ".join(pieces[place] for place in random.permutation(len(pieces)))


def strayed(text: str, random: np.random.Generator) -> str:
    """Return the text with its second half replaced by sentences about something else."""
    pieces = [piece.strip() for piece in sentences_of(text)]
    kept = pieces[: (len(pieces) + 1) // 2]
    others = [STRAYING[place % len(STRAYING)] for place in range(len(pieces) - len(kept))]
    return " ".join([*kept, *others])


PROBES: Mapping[str, Change] = {
    "padding": padded,
    "repetition": repeated,
    "shuffled sentences": shuffled,
    "off-topic half": strayed,
}


def text_points(model: ScoresTexts, texts: list[str]) -> Array:
    """Return the expected score of each text on each trait, in points: (texts, traits)."""
    columns = model.predict_texts(np.array([*texts, None], dtype=object)[:-1])
    return np.stack([np.asarray(columns[target.name]) for target in model.contract.targets], axis=1)


def one_each(
    texts: Array, unit: Array, most: int, *, sentences: int = 2, longest: int | None = None
) -> Array:
    """Return rows of up to `most` persons, one essay each of so many sentences or more.

    Essays of more than `longest` words are left out.
    """
    _, first = np.unique(unit, return_index=True)
    fit = [
        row
        for row in np.sort(first)
        if texts[row]
        and len(sentences_of(texts[row])) >= sentences
        and (longest is None or len(words_of(texts[row])) <= longest)
    ]
    rows = np.array(fit, dtype=np.int64)
    if rows.size <= most:
        return rows
    return rows[np.linspace(0, rows.size - 1, most).astype(np.int64)]


def probes_table(
    model: ScoresTexts, texts: Array, unit: Array, *, longest: int | None = None, seed: int = 0
) -> Table:
    """Return probe, trait, persons, and the mean change in points with its interval.

    One essay, of at most `longest` words, of each of up to 32 persons; empty where there are fewer
    than ten.
    """
    chosen = one_each(texts, unit, MOST_ESSAYS, longest=longest)
    if chosen.size < FEWEST_PERSONS:
        return Table({})
    plain = [str(texts[row]) for row in chosen]
    before = text_points(model, plain)
    random = np.random.default_rng(seed)
    rows: list[tuple[str, str, int, float, float, float]] = []
    for name, change in PROBES.items():
        after = text_points(model, [change(text, random) for text in plain])
        for place, target in enumerate(model.contract.targets):
            found = mean(after[:, place] - before[:, place])
            limits = [
                np.nan if value is None else value
                for value in (found.estimate, found.lower, found.upper)
            ]
            rows.append((name, target.name, chosen.size, limits[0], limits[1], limits[2]))
    names = ("probe", "trait", "persons", "change", "lower", "upper")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return Table(
        {
            name: np.array(column, dtype=object if name in ("probe", "trait") else None)
            for name, column in columns.items()
        }
    )
