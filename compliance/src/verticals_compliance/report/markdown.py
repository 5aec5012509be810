"""Render a document tree as Markdown (CommonMark with pipe tables).

Figures become the table of their numbers. Whatever could be read as markup is escaped, so that a
label out of a contract stays the text that it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import singledispatch

from verticals_compliance.report.tree import (
    STATUSES,
    Block,
    Bullets,
    Cell,
    Definitions,
    Document,
    Figure,
    Note,
    Paragraph,
    Row,
    Section,
    Span,
    Spans,
    Table,
    Tally,
    mark,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~!$^]|^[-+=])")
_NUMBERED = re.compile(r"^(\d+)([.)])")


def render_markdown(document: Document) -> bytes:
    """Return the text in UTF-8; the same document gives the same bytes."""
    facts = Definitions(entries=document.facts)
    parts = [f"# {_escape(document.title)}", _escape(document.subtitle), _block(facts)]
    for section in document.sections:
        parts += _section(section, 2)
    return ("\n\n".join(part for part in parts if part) + "\n").encode("utf-8")


def _section(section: Section, level: int) -> list[str]:
    parts = [f"{'#' * min(level, 6)} {_escape(section.title)}"]
    parts += [_block(block) for block in section.blocks]
    for item in section.sections:
        parts += _section(item, level + 1)
    return parts


def _escape(text: str) -> str:
    flat = " ".join(text.split()) if text.strip() else text
    spaced = (" " if text[:1].isspace() else "") + flat + (" " if text[-1:].isspace() else "")
    safe = _SPECIAL.sub(r"\\\1", spaced if flat.strip() else text)
    # `://` and `www.` would be turned into links by some readers.
    safe = safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace("://", ":&#47;&#47;").replace("www.", "www&#46;").replace("@", "&#64;")


def _spans(spans: Sequence[Span], *, marks: bool = True) -> str:
    parts = []
    for index, span in enumerate(spans):
        text = _escape(span.text)
        if span.style == "status":
            sign, word = STATUSES.get(span.text, ("", span.text))
            text = f"{sign} **{word}**"
        elif span.style == "strong":
            text = _strong(text)
        elif span.style == "code":
            text = _code(span.text)
        elif span.style == "below" and index:
            text = f" · {text}"
        parts.append(text)
        following = next((s.source for s in spans[index + 1 :] if s.source), "")
        if marks and span.source and span.source != following and mark(span.source):
            parts.append(f" ({mark(span.source)})")
    return "".join(parts)


def _strong(text: str) -> str:
    """Keep blanks outside the stars: without one after them `**Basis.**On` is not bold."""
    bare = text.strip()
    start, end = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{start}**{bare}**{end}" if bare else text


def _line(spans: Spans) -> str:
    """Write a line of its own, which must not begin a numbered list by accident."""
    return _NUMBERED.sub(r"\1\\\2", _spans(spans))


def _code(text: str) -> str:
    flat = " ".join(text.split())
    runs = [len(run) for run in re.findall(r"`+", flat)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if "`" in flat else ""
    return f"{fence}{pad}{flat}{pad}{fence}".replace("|", "\\|")


def _cell(item: Cell) -> str:
    sign, word = STATUSES.get(item.status, ("", item.status))
    status = f"{sign} {word}".strip()
    text = _spans(item.spans, marks=False).strip()
    return " · ".join(part for part in (status, text) if part)


@singledispatch
def _block(block: Block) -> str:
    raise TypeError(f"a document tree holds no {type(block).__name__}")


@_block.register
def _(block: Paragraph) -> str:
    return _line(block.spans)


@_block.register
def _(block: Bullets) -> str:
    signs = (f"{at}." if block.ordered else "*" for at in range(1, len(block.items) + 1))
    return "\n".join(f"{s} {_line(item)}" for s, item in zip(signs, block.items, strict=True))


@_block.register
def _(block: Definitions) -> str:
    return "\n".join(f"* **{_escape(term)}**: {_spans(spans)}" for term, spans in block.entries)


@_block.register
def _(block: Note) -> str:
    inner = "\n\n".join((f"**{_escape(block.title)}**", *(_block(item) for item in block.blocks)))
    return "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))


@_block.register
def _(block: Tally) -> str:
    lines = [f"| {_escape(block.label)} | Count |", "| --- | ---: |"]
    for item in block.counts:
        sign, word = STATUSES[item.status]
        lines.append(f"| {sign} {word} | {item.count} |")
    return "\n".join(lines)


@_block.register
def _(block: Table) -> str:
    heads = " | ".join(_escape(column.label) for column in block.columns)
    rule = " | ".join("---:" if column.number else "---" for column in block.columns)
    rows = "\n".join(_row(row) for row in block.rows)
    table = "\n".join(part for part in (f"| {heads} |", f"| {rule} |", rows) if part)
    note = f"\n\n{_escape(block.note)}" if block.note else ""
    return f"**{_escape(block.caption)}**\n\n{table}{note}"


def _row(row: Row) -> str:
    return "| " + " | ".join(_cell(item) for item in row.cells) + " |"


@_block.register
def _(block: Figure) -> str:
    about = "\n".join(
        f"* {_escape(chart.title)}: {_escape(chart.description)}" for chart in block.charts
    )
    parts = [f"**{_escape(block.caption)}** (drawn in the HTML report, here in words)", about]
    if block.table is not None:
        parts.append(_block(block.table))
    return "\n\n".join(parts)
