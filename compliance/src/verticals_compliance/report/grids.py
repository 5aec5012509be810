"""Draw a grid of the document tree: an image in greys, and the same under a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from verticals_compliance.report import svg
from verticals_compliance.report.svg import QUIET
from verticals_compliance.report.tree import Grid

# Colours and strength of the overlays that the plugin prints.
_RAISES, _LOWERS = (214, 39, 40), (31, 90, 200)
_STRENGTH = 0.65  # how opaque the strongest cell is
_LEVELS = 32  # of grey, and of each colour: cells that share one are drawn as one path
_GAP, _LINE, _BAR, _TALL = 12.0, 17.0, 10.0, 300.0
_UNDER_BAR = 225  # the grey under the legend's colours
_BAR_STEPS = 20


def panels(chart: Grid, width: float) -> tuple[list[str], float]:
    """Return both images with their legend as parts of a drawing, and its height."""
    room = (width - _GAP) / 2
    size = min(room / chart.columns, _TALL / chart.rows)
    wide, tall = size * chart.columns, size * chart.rows
    greys = _cells(chart, [_level(value) for value in chart.shade], _grey)
    colours = _cells(chart, [_signed(value) for value in chart.overlay], _colour)
    parts = []
    for left, label, layers in (
        (0.0, chart.shade_label, greys),
        (room + _GAP, chart.overlay_label, greys + colours),
    ):
        parts.append(svg.write(left, 12, svg.wrap(label, room, lines=1)[0]))
        place = f"translate({svg.place(left)} {svg.place(_LINE + 3)}) scale({size:.4f})"
        # Crisp edges: no seam of the page shows between two cells.
        parts.append(f'<g transform="{place}" shape-rendering="crispEdges">{"".join(layers)}</g>')
        parts.append(
            f'<rect x="{svg.place(left)}" y="{svg.place(_LINE + 3)}" width="{svg.place(wide)}" '
            f'height="{svg.place(tall)}" stroke="{QUIET}"/>'
        )
    legend, height = _legend(chart, width, _LINE + 3 + tall + 10)
    return parts + legend, height


def _cells(chart: Grid, keys: Sequence[int], fill: Callable[[int], str]) -> list[str]:
    """Draw cells of the same key as one path of horizontal runs; key 0 of colours is nothing."""
    runs: dict[int, list[str]] = {}
    for row in range(chart.rows):
        line = keys[row * chart.columns : (row + 1) * chart.columns]
        start = 0
        for end in range(1, len(line) + 1):
            if end == len(line) or line[end] != line[start]:
                run = end - start
                runs.setdefault(line[start], []).append(f"M{start} {row}h{run}v1h-{run}z")
                start = end
    filled = ((fill(key), "".join(path)) for key, path in sorted(runs.items()))
    return [f'<path {paint} d="{path}"/>' for paint, path in filled if paint]


def _level(value: float) -> int:
    return round(min(1.0, max(0.0, value)) * _LEVELS)


def _signed(value: float) -> int:
    return _level(value) if value > 0 else -_level(-value)


def _grey(level: int) -> str:
    return f'fill="{_hex([255 * level / _LEVELS] * 3)}"'


def _colour(level: int) -> str:
    if level == 0:
        return ""
    opaque = _STRENGTH * abs(level) / _LEVELS
    return f'fill="{_hex(_RAISES if level > 0 else _LOWERS)}" fill-opacity="{opaque:.3f}"'


def _hex(colour: Sequence[float]) -> str:
    return "#" + "".join(f"{round(part):02x}" for part in colour)


def _legend(chart: Grid, width: float, top: float) -> tuple[list[str], float]:
    """Draw a bar from full blue to full red, and what its ends mean under it."""
    step, parts = width / (2 * _BAR_STEPS + 1), []
    for at in range(-_BAR_STEPS, _BAR_STEPS + 1):
        opaque = _STRENGTH * abs(at) / _BAR_STEPS
        full = _RAISES if at > 0 else _LOWERS
        mixed = [_UNDER_BAR * (1 - opaque) + part * opaque for part in full]
        x = (at + _BAR_STEPS) * step
        parts.append(svg.rectangle(x, top, step + 0.1, _BAR, colour=_hex(mixed)))
    base, half = top + _BAR + _LINE, width / 2 - 4
    lowers, raises = (svg.wrap(text, half, lines=1)[0] for text in (chart.lowers, chart.raises))
    parts.append(svg.write(0, base, lowers))
    parts.append(svg.write(width, base, raises, anchor="end"))
    return parts, base + 8
