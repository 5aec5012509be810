"""Read from a column which items or skills it names, and what parts several in one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from verticals.contract import canonical
from verticals.contract.canonical import coded
from verticals.contract.guess import in_order
from verticals.table import Array

SEPARATORS = (";", "~~", "|", ",")


def distinct_texts(column: Array, missing: Collection[str] = ()) -> tuple[str, ...]:
    """Return the canonical texts of a column, the most frequent first, missing ones left out."""
    codes, texts = coded(column)
    counted: Counter[str] = Counter()
    for code, size in Counter(codes.tolist()).items():
        counted[texts[code]] += size
    found = [text for text in counted if text and text not in missing]
    return tuple(sorted(found, key=lambda text: (-counted[text], text)))


def separated(texts: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the separator of several skills in one text, and the skills that the texts name.

    A sign is taken for a separator only where at least half of the parts that it makes come again
    in another text: "Area, circle" is else one skill. Where nothing separates, the separator is
    one that no text holds.
    """
    for sign in SEPARATORS:
        if _separates(sign, texts):
            return sign, in_order({part for text in texts for part in _parts(text, sign)})
    whole = "\n".join(texts)
    spare = (*SEPARATORS, *(";" * n for n in range(2, 2 + len(whole))))
    sign = next(sign for sign in spare if sign not in whole) if whole else SEPARATORS[0]
    return sign, in_order(texts)


def _separates(sign: str, texts: Sequence[str]) -> bool:
    having = [text for text in texts if sign in text]
    if not having:
        return False
    seen = Counter(part for text in texts for part in set(_parts(text, sign)))
    parts = {part for text in having for part in _parts(text, sign)}
    again = sum(seen[part] > 1 for part in parts)
    return bool(parts) and 2 * again >= len(parts)


def _parts(text: str, sign: str) -> list[str]:
    return [part for part in map(canonical, text.split(sign)) if part]
