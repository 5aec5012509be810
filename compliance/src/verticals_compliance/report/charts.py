"""Draw the charts of the document tree as SVG: dots with intervals, lines, histograms, grids.

A drawing carries its own title and description for readers who cannot see it, fonts and colours
come with it, and it needs no style sheet. Sizes are chosen so that one unit is about one pixel:
text then stays readable on a phone and on paper.
"""

from __future__ import annotations

from collections.abc import Sequence

from verticals_compliance.report import grids, svg
from verticals_compliance.report.numerals import NOT_MEASURABLE, finite
from verticals_compliance.report.svg import BLUE, INK, QUIET, RULE, RUST, SERIES, Scale
from verticals_compliance.report.tree import (
    Axis,
    Chart,
    Dot,
    DotChart,
    Grid,
    Guide,
    Histogram,
    LineChart,
)

WIDE, SMALL = 400.0, 290.0  # widths of a drawing, two and three to a row
_ROW, _LINE = 28.0, 15.0  # height of a line of a dot chart, and of a line of text


def draw(chart: Chart, *, name: str, small: bool = False) -> str:
    """Return a chart as one SVG element; `name` is a prefix for its ids, unique on the page."""
    width = SMALL if small else WIDE
    if isinstance(chart, DotChart):
        parts, height = _dots(chart, width)
    elif isinstance(chart, LineChart):
        parts, height = _lines(chart, width, 190.0 if small else 280.0)
    elif isinstance(chart, Grid):
        parts, height = grids.panels(chart, width)
    else:
        parts, height = _histogram(chart, width, 270.0)
    return svg.drawing(
        parts, width=width, height=height, title=chart.title, about=chart.description, name=name
    )


def _scale(axis: Axis, values: Sequence[float | None], start: float, end: float) -> Scale:
    known = [value for value in values if value is not None]
    low = axis.low if axis.low is not None else min(known, default=0.0)
    high = axis.high if axis.high is not None else max(known, default=1.0)
    kind = axis.scale if axis.scale != "log" or low > 0 else "linear"
    if kind != "linear" and high > low:
        return Scale(low=low, high=high, start=start, end=end, kind=kind)
    ticks = svg.nice_ticks(low, high)
    low = low if axis.low is not None else ticks[0]
    high = high if axis.high is not None else ticks[-1]
    return Scale(low=low, high=high, start=start, end=end)


def _ticks(scale: Scale, wanted: int) -> tuple[float, ...]:
    if scale.kind != "linear":
        return svg.log_ticks(scale.low, scale.high, wanted)
    slack = 1e-9 * (scale.high - scale.low)
    ticks = svg.nice_ticks(scale.low, scale.high, wanted)
    return tuple(tick for tick in ticks if scale.low - slack <= tick <= scale.high + slack)


def _bottom(axis: Axis, scale: Scale, top: float, base: float, right: float) -> list[str]:
    """Draw the horizontal axis: grid, numbers that do not touch, and its label."""
    room = abs(scale.end - scale.start)
    parts = []
    for wanted in (5, 4, 3, 2):
        ticks = _ticks(scale, wanted)
        texts = [svg.tick_text(tick, ticks, axis.style) for tick in ticks]
        if sum(svg.text_width(text) + 10 for text in texts) <= room:
            break
    else:
        ticks, texts = ticks[:1] + ticks[-1:], texts[:1] + texts[-1:]
    for tick, text in zip(ticks, texts, strict=True):
        at = scale(tick)
        parts.append(svg.line(at, top, at, base, colour=RULE))
        half = svg.text_width(text) / 2
        x = min(max(at, half), right - half)
        parts.append(svg.write(x, base + 16, text, anchor="middle", colour=QUIET))
    middle = (scale.start + scale.end) / 2
    label = svg.wrap(axis.label, 2 * min(middle, right - middle), lines=1)[0]
    parts.append(svg.write(middle, base + 33, label, anchor="middle", colour=QUIET))
    return parts


def _guides(
    guides: Sequence[Guide], scale: Scale, base: float, right: float
) -> tuple[list[str], float]:
    """Draw labelled vertical lines; return them and where the plot may start."""
    parts: list[str] = []
    for index, guide in enumerate(guides):
        at, y = scale(guide.value), 12 + _LINE * index
        text = svg.wrap(guide.label, right, lines=1)[0]
        half = svg.text_width(text) / 2
        x = min(max(at, half), right - half)
        colour, dash = (RUST, "5 3") if guide.limit else (QUIET, "")
        parts.append(svg.line(at, y + 4, at, base, colour=colour, width=1.4, dash=dash))
        parts.append(svg.write(x, y, text, anchor="middle", colour=colour))
    return parts, 8 + _LINE * len(guides)


def _dots(chart: DotChart, width: float) -> tuple[list[str], float]:
    room = width * 0.34
    labels = [svg.wrap(item.label, room, lines=3) for item in chart.dots]
    left = max((svg.text_width(text) for rows in labels for text in rows), default=0.0) + 12
    right = max((svg.text_width(item.text) for item in chart.dots), default=0.0) + 10
    top = 8 + _LINE * len(chart.guides)
    heights = [max(_ROW, 10 + _LINE * len(rows)) for rows in labels]
    base = top + sum(heights) + 4
    scale = _dot_scale(chart, left + 6, width - right - 6)
    parts = _bottom(chart.axis, scale, top, base, width)
    if any(item.limit is not None for item in chart.dots):
        parts.append(svg.write(0, base + 33, "┊ limit", colour=RUST))
    guides, _ = _guides(chart.guides, scale, base, width)
    parts += guides
    if chart.bars or scale.low < 0 < scale.high:
        parts.append(svg.line(scale(0), top, scale(0), base, colour=QUIET))
    y = top
    for item, rows, height in zip(chart.dots, labels, heights, strict=True):
        parts += _dot_row(item, rows, scale, y + height / 2, bars=chart.bars)
        parts.append(svg.write(width, y + height / 2 + 4, item.text, anchor="end"))
        y += height
    return parts, base + 40


def _dot_scale(chart: DotChart, start: float, end: float) -> Scale:
    values: list[float | None] = [guide.value for guide in chart.guides]
    for item in chart.dots:
        values += [finite(v) for v in (item.estimate, item.lower, item.upper, item.limit)]
    if chart.bars:
        values.append(0.0)
    return _scale(chart.axis, values, start, end)


def _dot_row(item: Dot, rows: Sequence[str], scale: Scale, y: float, *, bars: bool) -> list[str]:
    first = y + 4 - _LINE * (len(rows) - 1) / 2
    parts = [
        svg.write(scale.start - 14, first + _LINE * at, text, anchor="end", bold=item.emphasis)
        for at, text in enumerate(rows)
    ]
    estimate, lower, upper = (finite(v) for v in (item.estimate, item.lower, item.upper))
    if item.limit is not None:
        at = scale(item.limit)
        parts.append(svg.line(at, y - 11, at, y + 11, colour=RUST, width=2, dash="3 2"))
    if estimate is None:
        return [*parts, svg.write(scale.start, y + 4, NOT_MEASURABLE, colour=QUIET)]
    colour = QUIET if item.weak else RUST if item.emphasis else BLUE
    if bars:
        start, end = sorted((scale(0), scale(estimate)))
        parts.append(svg.rectangle(start, y - 6, end - start, 12, colour=colour))
    if lower is not None and upper is not None:
        ink = INK if bars else colour
        dash = "3 2" if item.weak else ""
        parts.append(svg.line(scale(lower), y, scale(upper), y, colour=ink, width=2, dash=dash))
        for end in (lower, upper):
            parts.append(svg.line(scale(end), y - 4, scale(end), y + 4, colour=ink, width=1.6))
    if not bars:
        parts.append(svg.dot(scale(estimate), y, colour=colour, hollow=item.weak))
    return parts


def _left(axis: Axis, scale: Scale, left: float, right: float) -> list[str]:
    """Draw the vertical axis; its label stands above it, to be read without turning the head."""
    ticks = _ticks(scale, 5)
    parts = []
    for tick in ticks:
        at = scale(tick)
        parts.append(svg.line(left, at, right, at, colour=RULE))
        text = svg.tick_text(tick, ticks, axis.style)
        parts.append(svg.write(left - 7, at + 4, text, anchor="end", colour=QUIET))
    return parts


def _labels(chart: LineChart) -> list[str]:
    """Return what the key names: lines of one label share a colour."""
    return list(dict.fromkeys(item.label for item in chart.lines))


def _key(chart: LineChart, width: float, y: float) -> tuple[list[str], float]:
    """Draw the key of several lines; return it and the height it took."""
    labels = _labels(chart)
    if len(labels) + bool(chart.diagonal) < 2:
        return [], y
    entries = [(label, *SERIES[at % len(SERIES)]) for at, label in enumerate(labels)]
    if chart.diagonal:
        entries.append((chart.diagonal, QUIET, "4 4"))
    lined = {item.label for item in chart.lines if not item.scattered} | {chart.diagonal}
    parts, x = [], 0.0
    for label, colour, dash in entries:
        text = svg.wrap(label, width - 34, lines=1)[0]
        need = 30 + svg.text_width(text) + 14
        if x and x + need > width:
            x, y = 0.0, y + _LINE + 2
        if label in lined:
            parts.append(svg.line(x, y - 4, x + 24, y - 4, colour=colour, width=2.2, dash=dash))
        else:  # as it is drawn: marks without a line
            parts.append(svg.dot(x + 12, y - 4, colour=colour, radius=3.5))
        parts.append(svg.write(x + 30, y, text))
        x += need
    return parts, y + _LINE + 4


def _lines(chart: LineChart, width: float, height: float) -> tuple[list[str], float]:
    key, y = _key(chart, width, 12.0)
    label = svg.wrap(chart.y.label, width, lines=2)
    parts = key + [
        svg.write(0, y + _LINE * at, text, colour=QUIET) for at, text in enumerate(label)
    ]
    top = y + _LINE * len(label) + _LINE * len(chart.guides) - 4
    base = top + height - 90
    all_y: list[float | None] = [0.0] if chart.zero else []
    for item in chart.lines:
        all_y += [finite(v) for v in (*item.y, *item.lower, *item.upper)]
    up = _scale(chart.y, all_y, base, top)
    ticks = _ticks(up, 5)
    left = 12 + max(svg.text_width(svg.tick_text(t, ticks, chart.y.style)) for t in ticks)
    xs: list[float | None] = [value for item in chart.lines for value in item.x]
    across = _scale(chart.x, xs, left, width - 8)
    parts += _left(chart.y, up, left, width - 8)
    parts += _bottom(chart.x, across, top, base, width)
    if chart.zero and up.low < 0 < up.high:
        parts.append(svg.line(left, up(0), width - 8, up(0), colour=QUIET))
    if chart.diagonal:
        low, high = max(across.low, up.low), min(across.high, up.high)
        ends = (across(low), up(low), across(high), up(high))
        parts.append(svg.line(*ends, colour=QUIET, width=1.2, dash="4 4"))
    parts += _line_guides(chart.guides, across, top, base, width)
    for index, _ in enumerate(chart.lines):
        parts += _series(chart, index, across, up)
    return parts, base + 40


def _line_guides(
    guides: Sequence[Guide], across: Scale, top: float, base: float, width: float
) -> list[str]:
    parts = []
    for index, guide in enumerate(guides):
        at, y = across(guide.value), top - 4 - _LINE * (len(guides) - 1 - index)
        half = svg.text_width(guide.label) / 2
        x = min(max(at, half), width - half)
        parts.append(svg.write(x, y, guide.label, anchor="middle", colour=RUST))
        parts.append(svg.line(at, y + 3, at, base, colour=RUST, width=1.4, dash="5 3"))
    return parts


def _series(chart: LineChart, index: int, across: Scale, up: Scale) -> list[str]:
    item = chart.lines[index]
    colour, dash = SERIES[_labels(chart).index(item.label) % len(SERIES)]
    places = [(across(x), up(y)) for x, y in zip(item.x, item.y, strict=True)]
    parts = []
    for x, low, high in zip(item.x, item.lower, item.upper, strict=False):
        if low is not None and high is not None:
            at = across(x)
            parts.append(svg.line(at, up(low), at, up(high), colour=colour, width=1.6))
    if not item.scattered and len(places) > 1:
        path = " ".join(f"{svg.place(x)},{svg.place(y)}" for x, y in places)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<polyline points="{path}" stroke="{colour}" stroke-width="2" '
            f'stroke-linejoin="round"{dashed}/>'
        )
    if item.points or len(places) == 1:
        parts += [svg.dot(x, y, colour=colour, radius=3.5) for x, y in places]
    return parts


def _histogram(chart: Histogram, width: float, height: float) -> tuple[list[str], float]:
    parts = []
    for index, (label, colour) in enumerate(((chart.up_label, BLUE), (chart.down_label, RUST))):
        sign = "▲ " if index == 0 else "▼ "
        text = svg.wrap(sign + label, width, lines=1)[0]
        parts.append(svg.write(0, 12 + index * (_LINE + 2), text, colour=colour, bold=True))
    top = 34 + 6 + _LINE * len(chart.guides)
    base = height - 40
    tallest = max((*chart.up, *chart.down), default=0.0) or 1.0
    ticks = svg.nice_ticks(0, tallest, 3)
    texts = {tick: svg.tick_text(tick, ticks, "percent") for tick in ticks}
    left = 12 + max(svg.text_width(text) for text in texts.values())
    middle = (top + base) / 2
    up = Scale(low=0, high=ticks[-1], start=middle, end=top)
    down = Scale(low=0, high=ticks[-1], start=middle, end=base)
    across = _scale(chart.axis, chart.edges, left, width - 8)
    parts += _bottom(chart.axis, across, top, base, width)
    for tick in ticks:
        for scale in (up, down) if tick else (up,):
            at = scale(tick)
            parts.append(svg.line(left, at, width - 8, at, colour=RULE))
            parts.append(svg.write(left - 7, at + 4, texts[tick], anchor="end", colour=QUIET))
    for at, (first, last) in enumerate(zip(chart.edges, chart.edges[1:], strict=False)):
        x, wide = across(first) + 0.5, across(last) - across(first) - 1
        parts.append(
            svg.rectangle(x, up(chart.up[at]), wide, middle - up(chart.up[at]), colour=BLUE)
        )
        parts.append(svg.rectangle(x, middle, wide, down(chart.down[at]) - middle, colour=RUST))
    parts.append(svg.line(left, middle, width - 8, middle, colour=INK))
    parts += _line_guides(chart.guides, across, top, base, width)
    return parts, height
