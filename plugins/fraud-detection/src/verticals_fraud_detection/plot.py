"""A replay as one picture: value of fraud stopped against alerts a day. SVG, written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 900, 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 36, 84, 76

# Colours are told apart without hue too (marks differ), and change with the reader's scheme.
_STYLE = """
.paper{fill:#ffffff}.ink{fill:#1b1f24}.quiet{fill:#57606a}.rule{stroke:#d8dee4;stroke-width:1}
.axis{stroke:#57606a;stroke-width:1}.curve{fill:none;stroke:#57606a;stroke-width:2}
.bar{stroke-width:1.5;opacity:.75}.lead{stroke:#57606a;stroke-width:1;fill:none}
.c0{fill:#57606a;stroke:#57606a}.c1{fill:#0b62b8;stroke:#0b62b8}.c2{fill:#a8480b;stroke:#a8480b}
.c3{fill:#0f7a4f;stroke:#0f7a4f}.c4{fill:#7a3fb0;stroke:#7a3fb0}.c5{fill:#a3175b;stroke:#a3175b}
text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
text{stroke:none!important}
@media (prefers-color-scheme:dark){
.paper{fill:#0d1117}.ink{fill:#e6edf3}.quiet{fill:#9da7b3}.rule{stroke:#2b323b}
.axis,.curve,.lead{stroke:#9da7b3}.c0{fill:#9da7b3;stroke:#9da7b3}.c1{fill:#6cb6ff;stroke:#6cb6ff}
.c2{fill:#f0a35e;stroke:#f0a35e}.c3{fill:#56d39b;stroke:#56d39b}.c4{fill:#c297ff;stroke:#c297ff}
.c5{fill:#ff8fbd;stroke:#ff8fbd}}
""".strip().replace("\n", "")

_SHAPES = ("circle", "square", "diamond", "triangle", "down", "cross")


def replay_svg(document: Mapping[str, Any]) -> bytes:
    """Draw a replay: the model's curve over budgets, and each policy as a point with its interval.

    The same document gives the same bytes.
    """
    points = [_point(entry, document) for entry in document["policies"]]
    curve = [item for item in document["curve"] if item["share"] is not None]
    highest = max([1.0, *(p["x"] for p in points), *(item["alerts_per_day"] for item in curve)])
    ticks = _ticks(highest)
    scale = ticks[-1]
    money = document["money"] is not None
    what = "value of fraud stopped" if money else "frauds caught"
    parts = [
        _text(_LEFT, 34, f"{what[0].upper()}{what[1:]} against alerts a day", "ink", 19, bold=True),
        _text(_LEFT, 58, _subtitle(document), "quiet", 13),
        *_grid(ticks, scale, f"share of the {what}"),
        *_curve(curve, scale),
        *_marks(points, scale),
    ]
    title = f"Replay: {what} against alerts a day"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title desc">'
        f'<title id="title">{escape(title)}</title>'
        f'<desc id="desc">{escape(_described(points, curve, what))}</desc>'
        f"<style>{_STYLE}</style>"
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>'
    )
    return "\n".join([head, *parts, "</svg>", ""]).encode()


def _point(entry: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    share = entry["value"]["share"] if document["money"] is not None else entry["frauds"]["share"]
    return {
        "name": entry["name"],
        "x": float(entry["alerts"]["per_day"]),
        "y": share["estimate"],
        "lower": share["lower"],
        "upper": share["upper"],
    }


def _subtitle(document: Mapping[str, Any]) -> str:
    data = document["data"]
    said = f"{data['events']:,} events on {data['days']} days from {data['from']}; "
    said += f"{data['frauds']:,} frauds"
    if document["verdict"] == "insufficient":
        return f"{said}: too few for intervals"
    return f"{said}; bars are 95 % intervals"


def _described(
    points: Sequence[Mapping[str, Any]], curve: Sequence[Mapping[str, Any]], what: str
) -> str:
    told = [
        f"{p['name']}: {p['x']:.1f} alerts a day, "
        + (f"{100 * p['y']:.1f} % of {what}" if p["y"] is not None else f"{what} not measurable")
        for p in points
    ]
    if curve:
        first, last = curve[0], curve[-1]
        told.append(
            f"curve of the model alone, reviews only: from {100 * first['share']:.1f} % at "
            f"{first['alerts_per_day']:.1f} alerts a day to {100 * last['share']:.1f} % at "
            f"{last['alerts_per_day']:.1f}"
        )
    return "; ".join(told) + "."


def _grid(ticks: Sequence[float], scale: float, label: str) -> list[str]:
    right, base = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        parts.append(_line(_LEFT, y, right, y, "rule"))
        parts.append(_text(_LEFT - 10, y + 4, f"{percent} %", "quiet", 13, anchor="end"))
    for tick in ticks:
        x = _x(tick, scale)
        parts.append(_line(x, base, x, base + 5, "axis"))
        parts.append(_text(x, base + 22, f"{tick:,g}", "quiet", 13, anchor="middle"))
    middle = (_TOP + base) / 2
    return [
        *parts,
        _line(_LEFT, base, right, base, "axis"),
        _text((_LEFT + right) / 2, base + 50, "alerts a day", "ink", 14, anchor="middle"),
        f'<text class="ink" font-size="14" text-anchor="middle" '
        f'transform="translate(24 {middle:.1f}) rotate(-90)">{escape(label)}</text>',
    ]


def _curve(curve: Sequence[Mapping[str, Any]], scale: float) -> list[str]:
    if len(curve) < 2:
        return []
    places = [(_x(item["alerts_per_day"], scale), _y(item["share"])) for item in curve]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    x, y = places[-1]
    room = _text(
        min(x, WIDTH - _RIGHT), y - 12, "model alone, reviews only", "quiet", 13, anchor="end"
    )
    return [f'<polyline class="curve" points="{path}"/>', room]


def _marks(points: Sequence[Mapping[str, Any]], scale: float) -> list[str]:
    parts = []
    shown = [(n, p) for n, p in enumerate(points) if p["y"] is not None]
    for n, point in shown:
        x, colour = _x(point["x"], scale), f"c{n % 6}"
        if point["lower"] is not None:
            low, high = _y(point["lower"]), _y(point["upper"])
            parts.append(_line(x, low, x, high, f"bar {colour}"))
            parts += [_line(x - 4, end, x + 4, end, f"bar {colour}") for end in (low, high)]
        parts.append(_mark(x, _y(point["y"]), n))
    for (n, point), y in zip(shown, _labels([_y(p["y"]) for _, p in shown]), strict=True):
        x = _x(point["x"], scale)
        wide = 7.4 * len(point["name"]) + 16
        left = x + wide > WIDTH - _RIGHT
        at = x - 16 if left else x + 16
        if abs(y - _y(point["y"])) > 6:
            lead = at + (4 if left else -4)
            parts.append(_line(x, _y(point["y"]), lead, y, "lead"))
        parts.append(
            _text(at, y + 4, point["name"], f"c{n % 6}", 14, anchor="end" if left else "start")
        )
    return parts


def _labels(places: Sequence[float]) -> list[float]:
    """Return heights for the labels, moved apart so that none covers another."""
    order = sorted(range(len(places)), key=lambda n: places[n])
    placed = [float(place) for place in places]
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + 19)
    floor = HEIGHT - _BOTTOM - 6.0
    for n in reversed(order):
        placed[n] = min(placed[n], floor)
        floor = placed[n] - 19
    return placed


def _mark(x: float, y: float, n: int) -> str:
    shape, colour = _SHAPES[n % len(_SHAPES)], f"c{n % 6}"
    if shape == "circle":
        return f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
    corners = {
        "square": ((-5.5, -5.5), (5.5, -5.5), (5.5, 5.5), (-5.5, 5.5)),
        "diamond": ((0, -7.5), (7.5, 0), (0, 7.5), (-7.5, 0)),
        "triangle": ((0, -7), (7, 6), (-7, 6)),
        "down": ((0, 7), (7, -6), (-7, -6)),
        "cross": (
            (-2.2, -7), (2.2, -7), (2.2, -2.2), (7, -2.2), (7, 2.2), (2.2, 2.2),
            (2.2, 7), (-2.2, 7), (-2.2, 2.2), (-7, 2.2), (-7, -2.2), (-2.2, -2.2),
        ),
    }[shape]  # fmt: skip
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon class="{colour}" points="{path}"/>'


def _ticks(highest: float) -> list[float]:
    """Return round values from 0 to just above the highest, about six of them."""
    rough = highest / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    if highest >= 5:
        step = max(1.0, step)
    return [round(step * n, 6) for n in range(math.ceil(highest / step - 1e-9) + 1)]


def _x(value: float, scale: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * value / scale


def _y(share: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * min(max(share, 0.0), 1.0)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(
    x: float,
    y: float,
    text: str,
    kind: str,
    size: int,
    *,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
        f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
    )
