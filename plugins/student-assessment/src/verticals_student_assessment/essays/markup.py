"""What is no plain text in an essay: tags, entities, control characters and hidden ones.

They come with an export from a web page or a learning platform, or are put in so that a machine
reads other words than a person sees. Nothing is taken out of the text: what its writer meant is
for a person to say.
"""

from __future__ import annotations

import re
from html.entities import html5

_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--|<!DOCTYPE", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|([A-Za-z]{2,31}[0-9]{0,2}));")
#: Control characters but tab and ends of line; marks and overrides of direction (Unicode's
#: Bidi_Control); characters without a width. A soft hyphen hides nothing and comes with copying.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff]"
)


def markup_count(text: str) -> int:
    """Return how many tags, entities, control and hidden characters a text holds.

    A byte order mark at its beginning is none.

    >>> markup_count("a <b>bold</b> word&nbsp;"), markup_count("2 < 3 & 4 > 3; AT&T;")
    (3, 0)
    """
    text = text.removeprefix("\ufeff")
    named = (found[1] for found in _ENTITY.finditer(text))
    entities = sum(name is None or f"{name};" in html5 for name in named)
    return len(_TAG.findall(text)) + entities + len(_HIDDEN.findall(text))
