"""Small parts of every drawing: scales, ticks, text that fits, and the palette.

Text is measured with a table of widths that errs on the wide side, because the reader's font is
not known: labels then never overlap, whichever system font draws them.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from verticals_compliance.report.numerals import decimal, percent, significant

# Dark text, and two hues that stay apart for every common kind of colour blindness and in grey
# (after Okabe and Ito, darkened until each has 4.5:1 on white). Lines also differ in dash.
INK = "#1b2430"
QUIET = "#566171"
RULE = "#dfe3e8"
BLUE = "#0b5cad"
RUST = "#b3470f"
TEAL = "#00705a"
SERIES = ((BLUE, ""), (RUST, "7 4"), (TEAL, "2 3"), (INK, "9 3 2 3"))

FONT = 12  # units of the drawing, which is shown at about one unit a pixel
_NARROW = frozenset("iljtfrI.,:;!|'()[] ")
_WIDE = frozenset("mwMW@%—")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Map values to places on a drawing: linear, log, or signed-log (sign · log(1 + |x|))."""

    low: float
    high: float
    start: float
    end: float
    kind: str = "linear"

    def __call__(self, value: float) -> float:
        """Return the place of a value; what lies outside is put on the edge."""
        low, high, at = (self._bend(item) for item in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def _bend(self, value: float) -> float:
        if self.kind == "log":
            return math.log(value) if value > 0 else -math.inf
        if self.kind == "signed-log":
            return math.copysign(math.log1p(abs(value)), value)
        return value


def nice_ticks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Return round numbers that cover low to high: steps of 1, 2, 2.5 or 5 times a power of ten.

    The first and last lie on or outside the range, so that they may serve as the axis's ends.
    """
    if not high > low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / max(1, wanted - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return tuple(round(i * step, 12) for i in range(first, last + 1))


def log_ticks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Return powers of ten within a range, with 0 and negative ones where it holds them.

    Where there are more than wanted, every second or third power is kept; where there are fewer
    than two, the two ends of the range stand in.
    """
    top = math.floor(math.log10(max(abs(low), abs(high), 1e-300)) + 1e-9)
    bottom = 0 if low <= 0 else math.ceil(math.log10(low) - 1e-9)
    for step in range(1, 12):
        powers = [10.0**power for power in range(top, bottom - 1, -step)]
        both = sorted({*powers, *(-power for power in powers), 0.0})
        ticks = tuple(tick for tick in both if low <= tick <= high)
        if len(ticks) <= max(2, wanted):
            return ticks if len(ticks) > 1 else (low, high)
    return (low, high)


def tick_text(value: float, ticks: Sequence[float], style: str) -> str:
    """Write a tick with no more decimals than all the ticks of its axis need."""
    if style == "percent":
        return percent(value, _places([100 * tick for tick in ticks]))
    if style == "count":
        return significant(value, 4)
    if any(0 < abs(tick) < 1e-4 or abs(tick) >= 1e7 for tick in ticks):
        return significant(value, 2)
    return decimal(value, _places(ticks))


def _places(values: Sequence[float]) -> int:
    for places in range(6):
        if all(abs(value - round(value, places)) < 1e-9 for value in values):
            return places
    return 6


def text_width(text: str, size: float = FONT) -> float:
    """Return an upper estimate of how wide a text is drawn."""
    total = 0.0
    for letter in text:
        if unicodedata.east_asian_width(letter) in "WF":
            total += 1.05
        elif letter in _NARROW:
            total += 0.4
        elif letter in _WIDE:
            total += 0.97
        else:
            total += 0.70 if letter.isupper() else 0.62
    return total * size


def wrap(text: str, width: float, *, lines: int = 2, size: float = FONT) -> tuple[str, ...]:
    """Break a text into lines that fit; what does not fit ends in an ellipsis."""
    words = text.split() or [""]
    done: list[str] = []
    current = ""
    for word in words:
        candidate = f"{current} {word}".strip()
        if current and text_width(candidate, size) > width:
            done.append(current)
            current = word
        else:
            current = candidate
    done.append(current)
    if len(done) > lines:
        done = [*done[: lines - 1], " ".join(done[lines - 1 :])]
    return tuple(_cut(line, width, size) for line in done)


def _cut(text: str, width: float, size: float) -> str:
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def place(value: float) -> str:
    """Write a coordinate: one decimal, no trailing zero, the same on every machine."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def line(
    x1: float, y1: float, x2: float, y2: float, *, colour: str, width: float = 1, dash: str = ""
) -> str:
    """Draw a straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{place(x1)}" y1="{place(y1)}" x2="{place(x2)}" y2="{place(y2)}" '
        f'stroke="{colour}" stroke-width="{place(width)}"{dashed}/>'
    )


def write(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = INK, bold: bool = False
) -> str:
    """Draw a line of text, escaped, with its baseline at y; nothing where there is no text."""
    if not text:
        return ""
    weight = ' font-weight="600"' if bold else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    # A white edge keeps the letters apart from grid lines that run behind them.
    return (
        f'<text x="{place(x)}" y="{place(y)}" fill="{colour}" stroke="#fff" stroke-width="3" '
        f'paint-order="stroke"{side}{weight}>{escape(text)}</text>'
    )


def rectangle(x: float, y: float, width: float, height: float, *, colour: str) -> str:
    """Draw a filled rectangle."""
    return (
        f'<rect x="{place(x)}" y="{place(y)}" width="{place(max(0.0, width))}" '
        f'height="{place(max(0.0, height))}" fill="{colour}"/>'
    )


def dot(x: float, y: float, *, colour: str, hollow: bool = False, radius: float = 4.5) -> str:
    """Draw a round mark; a hollow one stands for weak evidence."""
    fill, edge = ("#fff", colour) if hollow else (colour, colour)
    return (
        f'<circle cx="{place(x)}" cy="{place(y)}" r="{place(radius)}" fill="{fill}" '
        f'stroke="{edge}" stroke-width="1.8"/>'
    )


def drawing(
    parts: Sequence[str], *, width: float, height: float, title: str, about: str, name: str
) -> str:
    """Wrap parts into one labelled image; `name` makes the ids of its title unique."""
    body = "".join(parts)
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" viewBox="0 0 {place(width)} '
        f'{place(height)}" width="{place(width)}" height="{place(height)}" '
        f'xmlns="http://www.w3.org/2000/svg" font-size="{FONT}" fill="none">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(about)}</desc>'
        f"{body}</svg>"
    )
