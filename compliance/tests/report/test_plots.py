"""Plots of solutions: which tables become figures, what is left out, how points are drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from verticals.table import Table
from verticals_compliance.plots import plots
from verticals_compliance.report import build, render
from verticals_compliance.report.charts import draw
from verticals_compliance.report.tree import Axis, Figure, Line, LineChart, walk
from verticals_compliance.summaries import producer_tables

NAN = float("nan")


def table(**changed):
    """Return two figures: a curve of the model with counted points, and a lone series."""
    columns = {
        "figure": ["Item 1"] * 5 + ["Item 2"] * 2,
        "x_label": ["Ability"] * 7,
        "y_label": ["Share right"] * 7,
        "series": ["model"] * 3 + ["observed"] * 2 + ["model"] * 2,
        "style": ["line"] * 3 + ["points"] * 2 + ["line"] * 2,
        "x": [-1.0, 0.0, 1.0, -0.5, 0.5, -1.0, 1.0],
        "y": [0.2, 0.5, 0.8, 0.35, 0.7, 0.1, 0.9],
        "lower": [NAN, NAN, NAN, 0.3, 0.6, NAN, NAN],
        "upper": [NAN, NAN, NAN, 0.4, 0.8, NAN, NAN],
        "persons": [0, 0, 0, 10, 40, 0, 0],
        **changed,
    }
    return Table(
        {
            name: np.array(values, dtype=object if isinstance(values[0], str) else None)
            for name, values in columns.items()
        }
    )


class TestTables:
    def test_points_are_grouped_by_figure_and_series(self):
        found = plots({"items.plot_curves": table(), "items.curves": table()})
        assert list(found) == ["items.plot_curves"]
        first, second = found["items.plot_curves"]["figures"]
        assert (first["figure"], second["figure"]) == ("Item 1", "Item 2")
        model, observed = first["series"]
        assert model["x"] == [-1.0, 0.0, 1.0]
        assert model["lower"] == [None, None, None]
        assert observed["style"] == "points"
        assert observed["persons"] == [10, 40]

    def test_a_point_of_few_persons_is_left_out_and_counted(self):
        persons = [0, 0, 0, 9, 40, 0, 0]
        found = plots({"items.plot_curves": table(persons=persons)})
        observed = found["items.plot_curves"]["figures"][0]["series"][1]
        assert observed["x"] == [0.5]
        assert observed["withheld"] == 1
        assert "0.35" not in json.dumps(found)

    def test_a_curve_and_points_of_one_name_stay_apart_and_share_a_colour(
        self, record_of, make_record
    ):
        names = np.array(["Q1"] * 5 + ["model"] * 2, dtype=object)
        changed = table().with_columns({"series": names})
        first = plots({"items.plot_curves": changed})["items.plot_curves"]["figures"][0]
        assert [item["style"] for item in first["series"]] == ["line", "points"]
        audit, details = make_record()
        details["plots"] = plots({"items.plot_curves": changed})
        document = build(record_of(audit, details))
        section = next(part for part in walk(document.sections) if part.id == "plots")
        drawn = draw(next(b for b in section.blocks if isinstance(b, Figure)).charts[0], name="n")
        assert drawn.count("<polyline") == 1
        assert drawn.count("<circle") == 2

    def test_what_is_not_finite_is_no_point(self):
        found = plots({"items.plot_curves": table(y=[NAN, 0.5, 0.8, 0.3, 0.7, 0.1, 0.9])})
        assert found["items.plot_curves"]["figures"][0]["series"][0]["x"] == [0.0, 1.0]

    @pytest.mark.parametrize("changed", [{"x": ["a"] * 7}, {"persons": ["b"] * 7}])
    def test_what_is_malformed_is_left_out(self, changed):
        assert plots({"items.plot_curves": table(**changed)}) == {}

    def test_a_plot_is_not_shown_as_a_table_too(self):
        assert producer_tables({"items.plot_curves": table()}, 100) == {}

    def test_figures_beyond_twelve_are_counted(self):
        names = [f"Item {at}" for at in range(15)]
        many = {name: np.repeat(values[:1], 15) for name, values in table().items()}
        many["figure"] = np.array(names, dtype=object)
        found = plots({"items.plot_curves": Table(many)})["items.plot_curves"]
        assert len(found["figures"]) == 12
        assert found["left_out"] == 3


class TestReport:
    def document(self, record_of, make_record, tables):
        audit, details = make_record()
        details["plots"] = plots(tables)
        return build(record_of(audit, details))

    def test_a_section_draws_them_with_their_numbers(self, record_of, make_record):
        document = self.document(record_of, make_record, {"items.plot_curves": table()})
        section = next(part for part in walk(document.sections) if part.id == "plots")
        figure = next(block for block in section.blocks if isinstance(block, Figure))
        assert [chart.title for chart in figure.charts] == ["Item 1", "Item 2"]
        assert len(figure.table.rows) == 7
        source = figure.table.rows[3].source
        assert source == "details:/plots/items.plot_curves/figures/0/series/1/x/0"
        for name in ("html", "md", "json"):
            assert b"Item 1" in render(document, name)

    def test_a_caption_is_what_the_titles_share(self, record_of, make_record):
        names = ["ROC: at risk, by sex", "ROC: at risk, by race"]
        figure = np.array([names[0]] * 5 + [names[1]] * 2, dtype=object)
        changed = table().with_columns({"figure": figure})
        document = self.document(record_of, make_record, {"risk.plot_roc": changed})
        section = next(part for part in walk(document.sections) if part.id == "plots")
        shown = next(block for block in section.blocks if isinstance(block, Figure))
        assert shown.caption == "ROC: at risk"

    def test_no_plot_no_section(self, record_of, make_record):
        document = self.document(record_of, make_record, {})
        assert all(part.id != "plots" for part in walk(document.sections))

    def test_scattered_points_have_no_line_through_them(self):
        def chart(scattered):
            line = Line(label="a", x=(0.0, 1.0), y=(0.0, 1.0), points=True, scattered=scattered)
            axis = Axis(label="x")
            return LineChart(title="t", description="d", x=axis, y=axis, lines=(line,))

        assert "<polyline" in draw(chart(scattered=False), name="n")
        drawn = draw(chart(scattered=True), name="n")
        assert "<polyline" not in drawn
        assert drawn.count("<circle") == 2

    def test_the_key_shows_marks_for_what_is_drawn_as_marks(self):
        def chart(scattered):
            lines = (
                Line(label="predicted", x=(0.0, 1.0), y=(0.0, 1.0)),
                Line(label="seen", x=(0.0,), y=(0.5,), points=True, scattered=scattered),
            )
            axis = Axis(label="x")
            return LineChart(title="t", description="d", x=axis, y=axis, lines=lines)

        assert draw(chart(scattered=True), name="n").count("<circle") == 2  # one in the key
        assert draw(chart(scattered=False), name="n").count("<circle") == 1
