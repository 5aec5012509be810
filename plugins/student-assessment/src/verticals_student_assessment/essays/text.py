"""From an essay to token ids in overlapping windows, with what was counted in front.

One encoded essay is (1 + windows, length) float32. Row 0 holds the facts (`FACTS`) and the
measures; each further row is one window of token ids, `PAD` behind its end. A text longer than all
windows is clipped, which the facts say.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verticals.contract import Field
from verticals.errors import ContractError, DataError
from verticals.table import Array
from verticals_student_assessment.essays.body import load_tokenizer
from verticals_student_assessment.essays.language import (
    common_share,
    declared_language,
    foreign_share,
    rival_share,
    words_of,
)
from verticals_student_assessment.essays.markup import markup_count
from verticals_student_assessment.essays.measures import MEASURES, measures

PAD = -1.0
#: What row 0 begins with: counts, then shares of words, letters and tokens.
FACTS = ("words", "tokens", "clipped", "common", "rival", "foreign", "unknown", "markup")
HEAD = len(FACTS) + len(MEASURES)  # columns of row 0 in use

WINDOWS, LENGTH = 8, 256
_LEAST_LENGTH = 32
_OVERLAP = 0.25  # of a window's length
_UNKNOWN = ("[UNK]", "<unk>")


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Say how a text is cut: at most `count` windows of `length` tokens, special ones included."""

    count: int = WINDOWS
    length: int = LENGTH


def declared_windows(field: Field) -> Windows:
    """Return a text field's windows: its `size`, else `windows` and `length` of its settings.

    Raises `ContractError` where they are no whole numbers, or a window is too short.
    """
    given = tuple(field.size) or (
        field.settings.get("windows", WINDOWS),
        field.settings.get("length", LENGTH),
    )
    whole = [isinstance(item, int) and not isinstance(item, bool) for item in given]
    if len(given) != 2 or not all(whole) or given[0] < 1 or given[1] < _LEAST_LENGTH:
        raise ContractError(
            f"field {field.name!r} declares windows {list(given)}, expected their number, 1 or "
            f"more, and their length in tokens, {_LEAST_LENGTH} or more",
            hint=f"settings: {{windows: {WINDOWS}, length: {LENGTH}}}",
        )
    return Windows(count=int(given[0]), length=int(given[1]))


class TextEncoder:
    """Tokenise by the encoder's own tokenizer, and count what the measures need."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = load_tokenizer(folder)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        framed = self._tokenizer.encode("").ids  # [CLS] [SEP], say
        self._first, self._last = framed[: len(framed) // 2], framed[len(framed) // 2 :]
        known = (self._tokenizer.token_to_id(name) for name in _UNKNOWN)
        self._unknown = next((place for place in known if place is not None), -1)

    def shape(self, field: Field) -> tuple[int, ...]:
        """Return (1 + windows, length)."""
        windows = declared_windows(field)
        return 1 + windows.count, windows.length

    def encode(self, field: Field, column: Array) -> Array:
        """Return float32 of (rows, 1 + windows, length); an absent text is an empty one."""
        windows, language = declared_windows(field), declared_language(field.settings)
        found = np.full((len(column), *self.shape(field)), PAD, dtype=np.float32)
        for row, value in enumerate(column):
            if value is not None and not isinstance(value, str):
                raise DataError(
                    f"field {field.name!r} holds {type(value).__name__} in row {row + 1}, "
                    "expected text"
                )
            self._fill(found[row], value or "", windows, language)
        return found

    def _fill(self, block: Array, text: str, windows: Windows, language: str) -> None:
        """Write the facts and windows of one text into its block."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        tokens = np.array(encoding.ids, dtype=np.int64)
        places = self._cut(block[1:], tokens, windows)
        words = words_of(text)
        facts = (
            len(words),
            tokens.size,
            tokens.size - places,
            common_share(words, language),
            rival_share(words, language),
            foreign_share(text),
            float((tokens == self._unknown).mean()) if tokens.size else 0.0,
            markup_count(text),
        )
        pieces = tokens.size - len(set(encoding.word_ids))
        block[0] = 0.0
        block[0, : len(facts)] = facts
        block[0, len(facts) : HEAD] = measures(text, pieces=pieces)

    def _cut(self, block: Array, tokens: Array, windows: Windows) -> int:
        """Write overlapping windows into (windows, length); return how many tokens they hold."""
        room = windows.length - len(self._first) - len(self._last)
        step = room - int(room * _OVERLAP)
        held = 0
        for place in range(windows.count):
            start = place * step
            part = tokens[start : start + room]
            whole = [*self._first, *part.tolist(), *self._last]
            block[place, : len(whole)] = whole
            held = start + len(part)
            if held >= tokens.size:
                break
        return held
