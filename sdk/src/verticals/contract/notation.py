"""Recognise numbers and dates that a file writes in another notation than a contract reads.

They are never converted: "1.234" is one number with a decimal point and another one with a mark of
thousands, and a single row at scoring does not tell which. What is said is how to write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CODES = (
    "AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|SEK|SGD|TRY|USD|ZAR"
)
_MONEY = rf"[$€£¥₹₽₩₺₫]|{_CODES}|Fr\.?|kr\.?|zł|Kč"
_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SPACE = "[ \u00a0\u202f]"
_SHAPES = (
    ("with a decimal comma", r"[+-]?[0-9]+,[0-9]+"),
    (
        "with a decimal comma and points between thousands",
        r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?",
    ),
    ("with commas between thousands", r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?"),
    ("with apostrophes between thousands", r"[+-]?[0-9]{1,3}(['’][0-9]{3})+([.,][0-9]+)?"),
    ("with spaces between thousands", rf"[+-]?[0-9]{{1,3}}({_SPACE}[0-9]{{3}})+([.,][0-9]+)?"),
)
_NUMBERS = tuple((what, re.compile(pattern)) for what, pattern in _SHAPES)
_COMMAS = "with commas between thousands"
_DATE = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})(\s+[0-9:.]+)?")
_YEAR_FIRST = re.compile(r"[0-9]{4}[./][0-9]{1,2}[./][0-9]{1,2}(\s+[0-9:.]+)?")
_SIGN = re.compile(rf"({_MONEY})?\s*([+-]?[0-9.].*?)\s*({_MONEY}|%)?")
_WRITE = "write them as 1234.5"


@dataclass(frozen=True, kw_only=True)
class Notation:
    """Say how the values of a column are written, and how they are to be written.

    `kind` is that of the field which they would make: "numeric" or "time".
    """

    kind: str
    what: str
    instead: str
    example: str

    @property
    def text(self) -> str:
        """Return it as part of a sentence: what stands there, an example, what to write."""
        things = "numbers" if self.kind == "numeric" else "dates"
        return f"holds {things} {self.what} ({self.example!r}): {self.instead}"


def notation_of(values: Iterable[str]) -> Notation | None:
    """Return the notation that all values share, None where they share none, or are plain numbers.

    `values` are distinct texts, the most frequent first; blank ones are passed over.
    """
    texts = [text.strip() for text in values if text.strip()]
    if not texts or all(map(_PLAIN.fullmatch, texts)):
        return None
    return _as_date(texts) or _as_number(texts)


def _as_number(texts: list[str]) -> Notation | None:
    if not all(map(_SIGN.fullmatch, texts)):
        return None
    parted = [_SIGN.fullmatch(text) for text in texts]
    bare = [found[2] for found in parted if found]
    odd = [n for n, text in enumerate(bare) if not _PLAIN.fullmatch(text)]
    shapes = _shapes([bare[n] for n in odd])
    signs = {sign for found in parted if found for sign in (found[1], found[3]) if sign}
    if shapes is None or not (odd or signs):
        return None
    percent = "%" in signs
    said = [*shapes, *(["with a percent sign"] if percent else [])]
    if signs - {"%"}:
        said.append("with a sign of currency")
    changed = (n for n, text in enumerate(texts) if text != bare[n])
    first = odd[0] if odd else next(changed)
    other = " (of 12 % the 12, or 0.12 throughout)" if percent else ""
    if shapes == [_COMMAS] and all(re.fullmatch(r"[+-]?[0-9]{1,3},[0-9]{3}", bare[n]) for n in odd):
        said[0] = "with commas, which may stand between thousands or before decimals"
    return Notation(
        kind="numeric",
        what=" and ".join(said),
        instead=f"{_WRITE} in the file{other}, which is what a contract reads",
        example=texts[first],
    )


def _shapes(texts: list[str]) -> list[str] | None:
    """Return the shape that all texts have; None where they have none in common."""
    if not texts:
        return []
    points = r"[+-]?[0-9]{1,3}(\.[0-9]{3})*,[0-9]+|[+-]?[0-9]{1,3}(\.[0-9]{3})+"
    for what, pattern in reversed(_NUMBERS):
        if all(map(pattern.fullmatch, texts)):
            return [what]
    if all(re.fullmatch(rf"{points}|[+-]?[0-9]+,[0-9]+", text) for text in texts):
        return [_NUMBERS[1][0]]
    return None


def _as_date(texts: list[str]) -> Notation | None:
    if all(map(_YEAR_FIRST.fullmatch, texts)):
        return Notation(
            kind="time",
            what="with slashes or points",
            instead="write them as 2024-05-31, which is what a contract reads",
            example=texts[0],
        )
    if not all(map(_DATE.fullmatch, texts)):
        return None
    found = [_DATE.fullmatch(text) for text in texts]
    if len({match[2] for match in found if match}) > 1:
        return None
    pairs = [(int(match[1]), int(match[3])) for match in found if match]
    day_first = all(first <= 31 and second <= 12 for first, second in pairs)
    month_first = all(first <= 12 and second <= 31 for first, second in pairs)
    if not (day_first or month_first):
        return None
    what = "with the day first" if day_first else "with the month first"
    if day_first and month_first:
        what = "of which nothing tells whether day or month comes first"
    return Notation(
        kind="time",
        what=what,
        instead="write them as 2024-05-31 (ISO 8601), which is what a contract reads",
        example=texts[0],
    )
