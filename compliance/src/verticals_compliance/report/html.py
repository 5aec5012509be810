"""Render a document tree as one HTML page: no script, no network, no outside font.

Everything that comes from a record is escaped here, once, by `_text`. A content security policy
in the page forbids scripts and connections even if a viewer would allow them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape
from importlib.resources import files

from verticals_compliance.report.charts import draw
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
    Table,
    Tally,
    anchor,
    mark,
    walk,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PRINTED = 40  # rows of a folded table that still go to paper
_ICONS = {
    "bad": '<rect x="1" y="1" width="14" height="14" rx="2" fill="currentColor"/>'
    '<path d="M5 5l6 6M11 5l-6 6" stroke="#fff" stroke-width="2"/>',
    "half": '<circle cx="8" cy="8" r="6.6" fill="none" stroke="currentColor" stroke-width="1.8"/>'
    '<path d="M8 1.4a6.6 6.6 0 0 1 0 13.2z" fill="currentColor"/>',
    "open": '<circle cx="8" cy="8" r="6.4" fill="none" stroke="currentColor" stroke-width="1.8" '
    'stroke-dasharray="3 2.2"/>',
    "good": '<path d="M2.5 8.6l3.6 3.6 7.4-8" fill="none" stroke="currentColor" '
    'stroke-width="2.4"/>',
}
_ICON_OF = {
    "fail": "bad",
    "gap": "bad",
    "inconclusive": "half",
    "not-measurable": "open",
    "insufficient-evidence": "open",
    "pass": "good",
    "no-material-gap": "good",
}


def render_html(document: Document) -> bytes:
    """Return the page in UTF-8; the same document gives the same bytes."""
    known = frozenset(_anchors(document.sections))
    page = _Page(known=known)
    style = files("verticals_compliance.report").joinpath("style.css").read_text("utf-8")
    body = "\n".join(page.section(section, 2) for section in document.sections)
    text = f"""<!doctype html>
<html lang="{_text(document.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{_text(document.title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<div class="page">
<header class="masthead">
<p class="kind">{_text(document.subtitle)}</p>
<h1>{_text(document.title)}</h1>
{page.definitions(document.facts)}
</header>
<nav class="contents" aria-label="Contents">
<p class="contents-title">Contents</p>
{_contents(document.sections)}
</nav>
<main id="main" tabindex="-1">
{body}
</main>
<footer class="colophon">
<p>{_text(document.subtitle)}: {_text(document.title)}. End of the report.</p>
</footer>
</div>
</body>
</html>
"""
    return text.encode("utf-8")


def _text(text: str) -> str:
    return escape(text, quote=True)


def _anchors(sections: Sequence[Section]) -> Iterable[str]:
    for section in walk(sections):
        for block in section.blocks:
            table = block.table if isinstance(block, Figure) else block
            if isinstance(table, Table):
                yield from (anchor(row.source) for row in table.rows if row.source)


def _contents(sections: Sequence[Section]) -> str:
    items = "".join(
        f'<li><a href="#{_text(section.id)}">{_text(section.title)}</a>'
        f"{_contents(section.sections) if section.sections else ''}</li>"
        for section in sections
    )
    return f"<ol>{items}</ol>"


def _status(status: str) -> str:
    word = STATUSES.get(status, ("", status))[1]
    icon = _ICONS[_ICON_OF.get(status, "open")]
    return (
        f'<span class="status {_text(status)}"><svg viewBox="0 0 16 16" width="13" height="13" '
        f'aria-hidden="true" focusable="false">{icon}</svg>{_text(word)}</span>'
    )


class _Page:
    """Remember which anchors exist and which are already placed, for one page."""

    def __init__(self, *, known: frozenset[str]) -> None:
        self.known = known
        self.placed: set[str] = set()

    def section(self, section: Section, level: int) -> str:
        tag = f"h{min(level, 6)}"
        blocks = "\n".join(_block(block, self) for block in section.blocks)
        inner = "\n".join(self.section(item, level + 1) for item in section.sections)
        name = _text(section.id)
        return (
            f'<section id="{name}" aria-labelledby="{name}-title">\n'
            f'<{tag} id="{name}-title">{_text(section.title)}</{tag}>\n'
            f"{blocks}\n{inner}\n</section>"
        )

    def spans(self, spans: Sequence[Span], *, marks: bool = True) -> str:
        parts = []
        for index, span in enumerate(spans):
            parts.append(self.span(span))
            following = next((s.source for s in spans[index + 1 :] if s.source), "")
            if marks and span.source and span.source != following:
                parts.append(self.reference(span.source))
        return "".join(parts)

    def span(self, span: Span) -> str:
        if span.style == "status":
            return _status(span.text)
        text = _text(span.text)
        if span.source:
            place = _text(_place(span.source))
            text = (
                f'<span class="n" data-source="{_text(span.source)}" title="{place}">{text}</span>'
            )
        elif span.style == "number":
            text = f'<span class="n">{text}</span>'
        if span.style == "strong":
            text = f"<strong>{text}</strong>"
        elif span.style == "code":
            text = f"<code>{text}</code>"
        elif span.style == "below":
            text = f'<span class="below">{text}</span>'
        return f'<a href="#{_text(span.link)}">{text}</a>' if span.link else text

    def reference(self, source: str) -> str:
        short, target = mark(source), anchor(source)
        if not short:
            return ""
        if target not in self.known:
            return f'<sup class="ref" title="{_text(_place(source))}">{_text(short)}</sup>'
        return (
            f'<sup class="ref"><a href="#{target}" aria-label="Record {_text(short)}" '
            f'title="{_text(_place(source))}">{_text(short)}</a></sup>'
        )

    def definitions(self, entries: Sequence[tuple[str, Sequence[Span]]]) -> str:
        items = "".join(
            f"<div><dt>{_text(term)}</dt><dd>{self.spans(spans)}</dd></div>"
            for term, spans in entries
        )
        return f"<dl>{items}</dl>" if items else ""

    def table(self, table: Table) -> str:
        heads = "".join(
            f'<th scope="col"{_number(column.number)}>{_text(column.label)}</th>'
            for column in table.columns
        )
        numbers = [column.number for column in table.columns]
        rows = "\n".join(self.row(row, numbers) for row in table.rows)
        name = _text(table.id)
        note = f'<p class="small">{_text(table.note)}</p>' if table.note else ""
        return (
            f'<div class="scroll" role="group" tabindex="0" aria-labelledby="{name}-caption">'
            f'<table id="{name}"><caption><span id="{name}-caption">{_text(table.caption)}</span>'
            "</caption>\n"
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>{note}"
        )

    def row(self, row: Row, numbers: Sequence[bool]) -> str:
        place = anchor(row.source) if row.source else ""
        name = f' id="{place}"' if place and place not in self.placed else ""
        self.placed.add(place)
        source = f' data-source="{_text(row.source)}"' if row.source else ""
        cells = []
        for index, item in enumerate(row.cells):
            number = _number(index < len(numbers) and numbers[index])
            inner = self.cell(item)
            cells.append(
                f'<th scope="row"{number}>{inner}</th>'
                if index == 0
                else f"<td{number}>{inner}</td>"
            )
        return f"<tr{name}{source}>{''.join(cells)}</tr>"

    def cell(self, item: Cell) -> str:
        status = _status(item.status) if item.status else ""
        return status + self.spans(item.spans, marks=False)

    def figure(self, figure: Figure) -> str:
        name = _text(figure.id)
        panels = "\n".join(
            f'<div class="panel"><p class="panel-title">{_text(chart.title)}</p>'
            f"{draw(chart, name=f'{name}-{index}', small=figure.small)}</div>"
            for index, chart in enumerate(figure.charts)
        )
        size = " small-panels" if figure.small else ""
        fold = ""
        if figure.table is not None:
            fold = _folded("The numbers behind this figure", figure.table, self)
        return (
            f'<figure id="{name}"><figcaption>{_text(figure.caption)}</figcaption>'
            f'<div class="panels{size}">{panels}</div>{fold}</figure>'
        )


def _folded(title: str, table: Table, page: _Page) -> str:
    """Put a table where a click shows it. Paper shows it too, unless it is very long."""
    summary = f"<summary>{_text(title)} ({len(table.rows)} rows)</summary>"
    if len(table.rows) <= _PRINTED:
        return f"<details>{summary}{page.table(table)}</details>"
    told = f"{title}: {len(table.rows)} rows, in the file from which this was printed."
    return (
        f'<details class="bulk">{summary}{page.table(table)}</details>'
        f'<p class="small on-paper">{_text(told)}</p>'
    )


def _number(number: bool) -> str:
    return ' class="num"' if number else ""


def _place(source: str) -> str:
    """Say in words where a number stands, for a tooltip."""
    if source.startswith("details:"):
        return f"details.json {source.removeprefix('details:')}"
    return f"audit.json {source}"


@singledispatch
def _block(block: Block, page: _Page) -> str:
    raise TypeError(f"a document tree holds no {type(block).__name__}")


@_block.register
def _(block: Paragraph, page: _Page) -> str:
    style = f' class="{_text(block.style)}"' if block.style else ""
    return f"<p{style}>{page.spans(block.spans)}</p>"


@_block.register
def _(block: Bullets, page: _Page) -> str:
    tag = "ol" if block.ordered else "ul"
    items = "".join(f"<li>{page.spans(item)}</li>" for item in block.items)
    return f'<{tag} class="bullets">{items}</{tag}>' if items else ""


@_block.register
def _(block: Definitions, page: _Page) -> str:
    return page.definitions(block.entries)


@_block.register
def _(block: Note, page: _Page) -> str:
    inner = "".join(_block(item, page) for item in block.blocks)
    return (
        f'<div class="note {_text(block.kind)}"><p class="note-title">{_text(block.title)}</p>'
        f"{inner}</div>"
    )


@_block.register
def _(block: Tally, page: _Page) -> str:
    items = "".join(
        f'<li class="{_text(item.status)}{"" if item.count else " none"}">'
        f'<span class="big">{item.count}</span>{_status(item.status)}</li>'
        for item in block.counts
    )
    return f'<ul class="tally" aria-label="{_text(block.label)}">{items}</ul>'


@_block.register
def _(block: Table, page: _Page) -> str:
    return _folded(block.caption, block, page) if block.folded else page.table(block)


@_block.register
def _(block: Figure, page: _Page) -> str:
    return page.figure(block)
