from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals_compliance.report import svg
from verticals_compliance.report.charts import draw
from verticals_compliance.report.tree import (
    Axis,
    Dot,
    DotChart,
    Guide,
    Histogram,
    Line,
    LineChart,
)

NS = "{http://www.w3.org/2000/svg}"


def parse(chart, **options):
    return ElementTree.fromstring(draw(chart, name="c", **options))


def texts(root):
    return [item.text or "" for item in root.iter(f"{NS}text")]


def dots(*items, **more):
    axis = more.pop("axis", Axis(label="share", low=0, high=1, style="percent"))
    return DotChart(title="t", description="d", axis=axis, dots=items, **more)


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e6), wanted=st.integers(2, 8))
def test_ticks_cover_the_range_in_round_steps(low, span, wanted):
    high = low + span
    ticks = svg.nice_ticks(low, high, wanted)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * step + 1e-9
    assert ticks[-1] >= high - 1e-6 * step - 1e-9
    assert 2 <= len(ticks) <= wanted + 2
    assert list(ticks) == sorted(ticks)


def test_ticks_of_an_empty_range_still_are_a_range():
    assert svg.nice_ticks(3, 3)[0] < 3 < svg.nice_ticks(3, 3)[-1]
    assert svg.nice_ticks(0, 0)[0] < 0 < svg.nice_ticks(0, 0)[-1]


def test_a_scale_maps_ends_to_ends_and_holds_what_lies_outside():
    scale = svg.Scale(low=0, high=10, start=100, end=200)
    assert (scale(0), scale(10), scale(5)) == (100, 200, 150)
    assert (scale(-3), scale(99)) == (100, 200)
    log = svg.Scale(low=1, high=100, start=0, end=10, kind="log")
    assert log(10) == pytest.approx(5)
    assert log(0) == 0
    both = svg.Scale(low=-100, high=100, start=0, end=10, kind="signed-log")
    assert both(0) == pytest.approx(5)
    assert both(-7) + both(7) == pytest.approx(10)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 1000, (1, 10, 100, 1000)),
        (2, 9, (2, 9)),
        (-1000, 5000, (-1000, -10, 0, 10, 1000)),
        (0, 2000, (0, 1, 10, 100, 1000)),
    ],
)
def test_logarithmic_ticks_are_few(low, high, expected):
    assert svg.log_ticks(low, high) == expected


def test_long_labels_wrap_and_end_in_an_ellipsis():
    lines = svg.wrap("Mortgage payments that were more than sixty days late", 100)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert all(svg.text_width(line) <= 100 for line in lines)
    assert svg.wrap("", 100) == ("",)


def test_an_estimate_stands_where_its_value_says():
    root = parse(dots(Dot(label="a", estimate=0.25), Dot(label="b", estimate=0.75)))
    first, second = root.iter(f"{NS}circle")
    ticks = {item.text: float(item.get("x")) for item in root.iter(f"{NS}text") if "%" in item.text}
    assert float(first.get("cx")) == pytest.approx(ticks["25%"], abs=0.2)
    assert float(second.get("cx")) == pytest.approx(ticks["75%"], abs=0.2)


def test_what_is_not_measurable_says_so_and_has_no_mark():
    root = parse(dots(Dot(label="a", estimate=None, text="n 0")))
    assert "not measurable" in texts(root)
    assert not list(root.iter(f"{NS}circle"))


def test_weak_evidence_differs_in_shape_and_not_in_colour_alone():
    root = parse(dots(Dot(label="a", estimate=0.5, lower=0.2, upper=0.8, weak=True)))
    circle = next(root.iter(f"{NS}circle"))
    assert circle.get("fill") == "#fff"
    assert any(line.get("stroke-dasharray") for line in root.iter(f"{NS}line"))


def test_a_limit_is_drawn_and_labelled():
    root = parse(dots(Dot(label="a", estimate=0.5), guides=(Guide(value=0.8, label="limit 0.8"),)))
    assert "limit 0.8" in texts(root)
    assert any(line.get("stroke") == svg.RUST for line in root.iter(f"{NS}line"))
    single = parse(dots(Dot(label="a", estimate=0.5, limit=0.8)))
    assert "┊ limit" in texts(single)


def test_bars_begin_at_zero():
    chart = dots(
        Dot(label="a", estimate=-0.5),
        Dot(label="b", estimate=1.0),
        axis=Axis(label="x", low=-1, high=1),
        bars=True,
    )
    first, second = parse(chart).iter(f"{NS}rect")
    end = float(first.get("x")) + float(first.get("width"))
    assert end == pytest.approx(float(second.get("x")), abs=0.2)
    assert float(second.get("width")) == pytest.approx(2 * float(first.get("width")), abs=0.3)


def test_lines_differ_in_dash_and_have_a_key():
    lines = tuple(Line(label=name, x=(0.0, 1.0), y=(0.0, 1.0)) for name in ("one", "two"))
    chart = LineChart(title="t", description="d", x=Axis(label="x"), y=Axis(label="y"), lines=lines)
    root = parse(chart)
    strokes = {(p.get("stroke"), p.get("stroke-dasharray")) for p in root.iter(f"{NS}polyline")}
    assert len({dash for _, dash in strokes}) == 2
    assert {"one", "two"} <= set(texts(root))


def test_a_line_goes_through_its_points():
    line = Line(label="m", x=(0.0, 0.5, 1.0), y=(0.0, 1.0, 0.0))
    axis = Axis(label="x", low=0, high=1)
    chart = LineChart(title="t", description="d", x=axis, y=axis, lines=(line,))
    points = next(parse(chart).iter(f"{NS}polyline")).get("points").split()
    xs = [float(point.split(",")[0]) for point in points]
    ys = [float(point.split(",")[1]) for point in points]
    assert xs[1] == pytest.approx((xs[0] + xs[2]) / 2, abs=0.1)
    assert ys[1] < ys[0] == ys[2]


def test_a_logarithmic_axis_has_powers_of_ten():
    line = Line(label="m", x=(1.0, 10.0, 1000.0), y=(0.0, 1.0, 2.0))
    x = Axis(label="x", low=1, high=1000, scale="log", style="count")
    root = parse(LineChart(title="t", description="d", x=x, y=Axis(label="y"), lines=(line,)))
    assert {"1", "10", "100", "1,000"} <= set(texts(root))


def test_a_histogram_shows_shares_upwards_and_downwards():
    chart = Histogram(
        title="t",
        description="d",
        axis=Axis(label="score"),
        edges=(0.0, 0.5, 1.0),
        up=(0.25, 0.75),
        down=(1.0, 0.0),
        up_label="up",
        down_label="down",
    )
    heights = [float(item.get("height")) for item in parse(chart).iter(f"{NS}rect")]
    assert heights[2] == pytest.approx(3 * heights[0], abs=0.3)
    assert heights[1] == pytest.approx(4 * heights[0], abs=0.3)
    assert heights[3] == 0


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.text(max_size=60), min_size=1, max_size=5),
    values=st.lists(st.floats(-1e4, 1e4), min_size=5, max_size=5),
    small=st.booleans(),
)
def test_any_chart_is_sound_xml_inside_its_frame(labels, values, small):
    labels = ["".join(c for c in label if c.isprintable()) for label in labels]
    rows = tuple(
        Dot(label=label, estimate=value, lower=value - 1, upper=value + 1, text="1")
        for label, value in zip(labels, values, strict=False)
    )
    root = parse(dots(*rows, axis=Axis(label="x")), small=small)
    width = float(root.get("viewBox").split()[2])
    for item in root.iter(f"{NS}text"):
        size = svg.text_width(item.text or "")
        x = float(item.get("x"))
        start = x - size if item.get("text-anchor") == "end" else x
        start = x - size / 2 if item.get("text-anchor") == "middle" else start
        assert start >= -1
        assert start + size <= width + 1
    numbers = re.findall(r' (?:x|y|cx|cy)\d?="([^"]+)"', draw(dots(*rows), name="c"))
    assert all(math.isfinite(float(number)) for number in numbers)


def test_every_drawing_is_a_labelled_image():
    text = draw(dots(Dot(label="<script>", estimate=0.5)), name="f-0")
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "f-0-t f-0-d"
    assert root.find(f"{NS}title").get("id") == "f-0-t"
    assert root.find(f"{NS}desc").text == "d"
    assert "<script>" not in text
