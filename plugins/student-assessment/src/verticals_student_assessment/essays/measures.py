"""What can be counted in a text without a network: length, sentences, vocabulary, mechanics.

The encoder's tokenizer is uncased, so capitals and the like reach the score through these only.
No measure reads who wrote the text. Each is put on a scale of about −1 to 1 by declared ends, not
by statistics of the data, so that private training spends nothing on it.
"""

from __future__ import annotations

import math
import re

import numpy as np

from verticals.table import Array
from verticals_student_assessment.essays.language import words_of

# Possessive, and begun at the first mark of a run only: else long runs cost their length squared.
_SENTENCE = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?:\s+|$)|\n\s*")
_LOOSE = re.compile(r"\s[,.;!?]|[,;][^\W\d_]|[a-z]\.[A-Za-z]")
_SPAN = 50  # words of the window in which the share of different words is taken

#: Name, lowest and highest value of each measure; values beyond them are clipped.
MEASURES: tuple[tuple[str, float, float], ...] = (
    ("log words", 3.0, 8.0),
    ("log sentences", 0.0, 5.0),
    ("log words a sentence", 1.5, 5.0),
    ("spread of sentence lengths", 0.0, 1.5),
    ("log longest sentence", 2.0, 6.0),
    ("letters a word", 3.0, 6.0),
    ("share of words of 7 letters or more", 0.0, 0.4),
    ("log different words", 2.5, 6.5),
    ("share of different words in 50", 0.4, 1.0),
    ("different words by root of words", 2.0, 12.0),
    ("word pieces a word", 0.0, 0.2),
    ("share of sentences that begin with a capital", 0.0, 1.0),
    ("share of lower-case i", 0.0, 0.06),
    ("commas a word", 0.0, 0.12),
    ("full stops a word", 0.0, 0.12),
    ("other marks a word", 0.0, 0.06),
    ("log line breaks", 0.0, 4.0),
    ("share of words with a capital", 0.0, 0.25),
    ("apostrophes a word", 0.0, 0.06),
    ("loose punctuation a word", 0.0, 0.06),
)
_LOW = np.array([low for _, low, _ in MEASURES])
_HIGH = np.array([high for _, _, high in MEASURES])


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, each with the mark that ends it; blank ones are left out."""
    found, start = [], 0
    for mark in _SENTENCE.finditer(text):
        found.append(text[start : mark.end()])
        start = mark.end()
    found.append(text[start:])
    return [piece for piece in found if piece.strip()]


def measures(text: str, *, pieces: int) -> Array:
    """Return the measures of a text, (measures,) float64 of −1 to 1.

    `pieces` is the number of tokens that continue a word: rare and misspelt words have many.
    """
    words = words_of(text)
    many = max(len(words), 1)
    sentences = sentences_of(text)
    lengths = np.array([len(words_of(item)) for item in sentences] or [0], dtype=float)
    starts = [item.strip()[:1] for item in sentences]
    lower = [word.lower() for word in words]
    different = len(set(lower))
    mean = float(lengths.mean())
    values = (
        math.log(many),
        math.log(max(len(sentences), 1)),
        math.log(mean + 1),
        float(lengths.std()) / (mean + 1),
        math.log(max(float(lengths.max()), 1)),
        sum(map(len, words)) / many,
        sum(len(word) >= 7 for word in words) / many,
        math.log(different + 1),
        _variety(lower),
        different / math.sqrt(many),
        pieces / many,
        sum(mark.isupper() for mark in starts) / max(len(starts), 1),
        words.count("i") / many,
        text.count(",") / many,
        text.count(".") / many,
        sum(text.count(mark) for mark in ";:—-") / many,
        math.log1p(text.count("\n")),
        sum(word[0].isupper() for word in words) / many,
        sum(text.count(mark) for mark in "'’") / many,
        len(_LOOSE.findall(text)) / many,
    )
    clipped = np.clip(np.array(values), _LOW, _HIGH)
    return np.asarray(2 * (clipped - _LOW) / (_HIGH - _LOW) - 1)


def _variety(words: list[str]) -> float:
    """Return the mean share of different words in windows of 50 (Covington & McFall 2010)."""
    if len(words) <= _SPAN:
        return len(set(words)) / max(len(words), 1)
    starts = range(0, len(words) - _SPAN + 1, _SPAN // 5)
    return float(np.mean([len(set(words[at : at + _SPAN])) / _SPAN for at in starts]))
