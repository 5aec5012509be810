"""The document tree: what a report says, before anyone decides how it looks.

Every format renders this tree and nothing else, so all of them say the same. A tree holds plain
text and numbers; it never holds markup. `to_mapping` gives its JSON form, which is also what a
plugin's report format receives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

#: How a finding or a verdict stands; each has a sign and a word, so that colour is never needed.
STATUSES: Mapping[str, tuple[str, str]] = {
    "fail": ("✕", "Fail"),
    "inconclusive": ("◐", "Inconclusive"),
    "not-measurable": ("○", "Not measurable"),
    "pass": ("✓", "Pass"),
    "gap": ("✕", "Gap"),
    "insufficient-evidence": ("○", "Insufficient evidence"),
    "no-material-gap": ("✓", "No material gap"),
}

_MARKS = {
    "performance": "P",
    "fairness": "F",
    "privacy": "V",
    "explanations": "E",
    "checks": "C",
    "findings": "R",
    "bundle": "B",
    "evidence": "W",
    "policy": "L",
    "auditor": "A",
}


@dataclass(frozen=True, kw_only=True)
class Span:
    """Hold a run of text. `style` is "", "strong", "code", "number", "below" or "status".

    A span "below" stands on a line of its own, smaller, under what came before; the text of a
    span "status" is a key of `STATUSES`, shown with its sign and word. `source` is the place
    where a number stands: a JSON pointer into audit.json ("/fairness/3"), or "details:" and a
    pointer into details.json. `link` is the id of a part of this document.
    """

    text: str
    style: str = ""
    source: str = ""
    link: str = ""


Spans = tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Say something. `style` is "", "lead" or "small"."""

    spans: Spans
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """List some things, each a line of its own."""

    items: tuple[Spans, ...]
    ordered: bool = False


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """Pair terms with what holds of them."""

    entries: tuple[tuple[str, Spans], ...]


@dataclass(frozen=True, kw_only=True)
class Note:
    """Set something apart: `kind` is "note" or "warning"."""

    title: str
    blocks: tuple[Paragraph | Bullets, ...]
    kind: str = "note"


@dataclass(frozen=True, kw_only=True)
class Count:
    """Count findings of one status."""

    status: str
    count: int
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Show counts side by side, every status named even where its count is 0."""

    label: str
    counts: tuple[Count, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Fill one place of a table; `status` adds its sign and word."""

    spans: Spans
    status: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold the cells of one line; the first is its header. `source` makes it an anchor."""

    cells: tuple[Cell, ...]
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Name a column; numbers are set to the right."""

    label: str
    number: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Hold a table with its caption. `folded` asks to show it on demand only."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Describe one axis: its label, the range to show, and how its numbers are written."""

    label: str
    low: float | None = None
    high: float | None = None
    style: str = "decimal"
    scale: str = "linear"  # or log, signed-log


@dataclass(frozen=True, kw_only=True)
class Guide:
    """Draw a line at a value: a `limit`, or else a mere reference such as equality."""

    value: float
    label: str
    limit: bool = True


@dataclass(frozen=True, kw_only=True)
class Dot:
    """Show one estimate with its interval. `weak` marks what has too little evidence."""

    label: str
    estimate: float | None
    lower: float | None = None
    upper: float | None = None
    text: str = ""
    weak: bool = False
    limit: float | None = None  # the limit that holds for this line alone
    emphasis: bool = False


@dataclass(frozen=True, kw_only=True)
class DotChart:
    """Compare estimates on one axis: a line each. With `bars`, drawn from zero."""

    title: str
    description: str
    axis: Axis
    dots: tuple[Dot, ...]
    guides: tuple[Guide, ...] = ()
    bars: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """Hold one series of points; `lower` and `upper` are intervals in y, where there are any."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    lower: tuple[float | None, ...] = ()
    upper: tuple[float | None, ...] = ()
    points: bool = False  # mark each point
    scattered: bool = False  # draw no line through them


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Show how one number goes with another."""

    title: str
    description: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    diagonal: str = ""  # the label of the line y = x, where it means something
    guides: tuple[Guide, ...] = ()  # at values of x
    zero: bool = False  # draw y = 0


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Show two distributions over the same bins, one upwards and one downwards."""

    title: str
    description: str
    axis: Axis
    edges: tuple[float, ...]
    up: tuple[float, ...]
    down: tuple[float, ...]
    up_label: str
    down_label: str
    guides: tuple[Guide, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Show an image in greys, and beside it the same under a map: red raises, blue lowers.

    `shade` holds the image from 0 (black) to 1, `overlay` the map from −1 to 1: a value for each
    cell, row by row from the top left.
    """

    title: str
    description: str
    rows: int
    columns: int
    shade: tuple[float, ...]
    overlay: tuple[float, ...]
    shade_label: str
    overlay_label: str
    raises: str  # what red means
    lowers: str  # what blue means


Chart = DotChart | LineChart | Histogram | Grid


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Show charts side by side, with the numbers they are drawn from as a table.

    `small` asks for many small charts, to be compared rather than read off.
    """

    id: str
    caption: str
    charts: tuple[Chart, ...]
    table: Table | None = None
    small: bool = False


Block = Paragraph | Bullets | Definitions | Note | Tally | Table | Figure


@dataclass(frozen=True, kw_only=True)
class Section:
    """Group blocks and further sections under a title."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """Hold a whole report."""

    title: str
    subtitle: str
    facts: tuple[tuple[str, Spans], ...]
    sections: tuple[Section, ...]
    language: str = "en"


def say(*parts: str | Span | None) -> Spans:
    """Make a run of spans from strings and spans; None and "" are left out."""
    spans = (part if isinstance(part, Span) else Span(text=part or "") for part in parts)
    return tuple(span for span in spans if span.text)


def number(text: str, source: str = "") -> Span:
    """Make a span for a number and where it stands."""
    return Span(text=text, style="number", source=source)


def strong(text: str) -> Span:
    """Make a span that stands out."""
    return Span(text=text, style="strong")


def code(text: str) -> Span:
    """Make a span for a name, a digest or a command."""
    return Span(text=text, style="code")


def paragraph(*parts: str | Span | None, style: str = "") -> Paragraph:
    """Make a paragraph from strings and spans."""
    return Paragraph(spans=say(*parts), style=style)


def cell(*parts: str | Span | None, status: str = "") -> Cell:
    """Make a table cell from strings and spans."""
    return Cell(spans=say(*parts), status=status)


def status(name: str) -> Span:
    """Make a span for how something stands; `name` is a key of `STATUSES`."""
    return Span(text=name, style="status")


def below(text: str) -> Span:
    """Make a span that stands smaller on a line of its own, as in a table cell."""
    return Span(text=text, style="below")


def columns(*labels: str) -> tuple[Column, ...]:
    """Make columns from labels; one that starts with "#" holds numbers."""
    return tuple(Column(label=text.lstrip("#"), number=text.startswith("#")) for text in labels)


def mark(source: str) -> str:
    """Abbreviate a place in the record: "/fairness/3/groups/1" gives "F3.1".

    Places are JSON pointers into audit.json; one into details.json begins with "details:" and
    gives "D".
    """
    if source.startswith("details:"):
        return "D"
    parts = source.strip("/").split("/")
    letter = _MARKS.get(parts[0], "")
    return letter + ".".join(part for part in parts if part.isdigit()) if letter else ""


def marks() -> tuple[tuple[str, str], ...]:
    """List the letters of `mark` with the part of the record that each stands for."""
    places = [(letter, name) for name, letter in _MARKS.items()]
    return (*places, ("D", "details.json"))


def anchor(source: str) -> str:
    """Turn a place in the record into an id: "/fairness/3" gives "at-fairness-3"."""
    return "at-" + re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-").lower()


def walk(sections: Sequence[Section]) -> Iterator[Section]:
    """Iterate over sections and their sections, in reading order."""
    for section in sections:
        yield section
        yield from walk(section.sections)


def to_mapping(node: Any) -> Any:
    """Return the JSON form of a tree: each node a mapping with its `type`, empty parts left out."""
    if is_dataclass(node) and not isinstance(node, type):
        named = {"type": type(node).__name__.lower()}
        parts = {item.name: getattr(node, item.name) for item in fields(node)}
        kept = {key: to_mapping(value) for key, value in parts.items() if _worth(value)}
        return {**named, **kept}
    if isinstance(node, tuple | list):
        return [to_mapping(item) for item in node]
    return node


def _worth(value: Any) -> bool:
    return not (value is None or value is False or value == "" or value == ())
