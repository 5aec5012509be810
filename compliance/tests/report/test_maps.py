"""Mean maps: which tables become grids, how a grid is drawn, and what the report says of it."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from verticals.table import Table
from verticals_compliance.report import build, render
from verticals_compliance.report.charts import draw
from verticals_compliance.report.tree import Figure, Grid, walk
from verticals_compliance.summaries import maps, producer_tables

NS = "{http://www.w3.org/2000/svg}"


def table(rows=3, columns=4, *, persons=10, **more):
    """Return a map table whose last cell is the strongest, and lowers the score."""
    row, column = np.indices((rows, columns)).reshape(2, -1)
    size = rows * columns
    found = {
        "method": np.full(size, "grad-cam", dtype=object),
        "row": row,
        "column": column,
        "image": np.linspace(0, 1, size),
        "map": np.where(np.arange(size) == size - 1, -1.0, 0.12345678),
        "images": np.full(size, 12),
        "persons": np.full(size, persons),
    }
    return Table({**found, **more})


def grid(rows=2, columns=3, **more):
    return Grid(
        **{
            "title": "Mean map",
            "description": "six cells",
            "rows": rows,
            "columns": columns,
            "shade": tuple(np.linspace(0, 1, rows * columns).tolist()),
            "overlay": tuple(np.linspace(-1, 1, rows * columns).tolist()),
            "shade_label": "Mean image",
            "overlay_label": "Under the map",
            "raises": "red raises <it>",
            "lowers": "blue lowers it",
            **more,
        }
    )


class TestMaps:
    def test_a_table_becomes_a_grid_with_few_decimals(self):
        found = maps({"imaging.map": table(), "imaging.other": table(), "scores": table()})
        assert list(found) == ["imaging.map"]
        item = found["imaging.map"]
        assert (item["method"], item["rows"], item["columns"]) == ("grad-cam", 3, 4)
        assert (item["images"], item["persons"]) == (12, 10)
        assert item["image"][0] == [0.0, 0.0909, 0.1818, 0.2727]
        assert item["map"][2] == [0.1235, 0.1235, 0.1235, -1.0]
        assert json.loads(json.dumps(found)) == found

    def test_the_order_of_rows_does_not_matter(self):
        turned = Table({name: column[::-1] for name, column in table().items()})
        assert maps({"imaging.map": turned}) == maps({"imaging.map": table()})

    def test_fewer_than_ten_persons_are_shown_nowhere(self):
        tables = {"imaging.map": table(persons=9)}
        assert maps(tables) == {}
        assert producer_tables(tables, 1000) == {}
        one_low = np.full(12, 10)
        one_low[5] = 9
        assert maps({"imaging.map": table(persons=one_low)}) == {}

    @pytest.mark.parametrize(
        "changed",
        [
            {"row": np.zeros(12, dtype=int)},
            {"row": np.arange(12) // 4 - 1},
            {"map": np.full(12, np.nan)},
            {"map": np.full(12, "x", dtype=object)},
            {"persons": np.full(12, np.nan)},
            {"image": np.zeros((12, 2))},
            {"method": np.array(["a", "b"] * 6, dtype=object)},
        ],
        ids=["twice", "negative", "nan", "text", "unknown", "deep", "methods"],
    )
    def test_what_fills_no_grid_is_left_out(self, changed):
        assert maps({"imaging.map": table(**changed)}) == {}

    def test_large_and_empty_tables_are_left_out(self):
        assert maps({"imaging.map": table(49, 48)}) == {}
        assert maps({"imaging.map": table(48, 48)}) != {}
        assert maps({"imaging.map": table(0, 0)}) == {}


class TestDrawing:
    def test_a_drawing_is_labelled_and_always_the_same(self):
        text = draw(grid(), name="f")
        assert text == draw(grid(), name="f")
        root = ElementTree.fromstring(text)
        assert root.get("role") == "img"
        assert root.find(f"{NS}title").text == "Mean map"
        assert root.find(f"{NS}desc").text == "six cells"
        words = {item.text for item in root.iter(f"{NS}text")}
        assert words == {"Mean image", "Under the map", "red raises <it>", "blue lowers it"}

    def test_colours_stand_where_the_map_says(self):
        values = (0.5, 0.5, 0.0, 0.0, 0.0, -1.0)
        root = ElementTree.fromstring(draw(grid(overlay=values, shade=(0.5,) * 6), name="f"))
        plain, mapped = ([*group] for group in root.iter(f"{NS}g"))
        grey = [(path.get("fill"), path.get("d")) for path in plain]
        assert grey == [("#808080", "M0 0h3v1h-3zM0 1h3v1h-3z")]
        colours = {path.get("d"): path for path in mapped[1:]}
        assert colours["M2 1h1v1h-1z"].get("fill") == "#1f5ac8"
        assert colours["M2 1h1v1h-1z"].get("fill-opacity") == "0.650"
        assert colours["M0 0h2v1h-2z"].get("fill") == "#d62728"
        assert len(colours) == 2

    def test_tall_images_and_values_outside_stay_inside(self):
        chart = grid(90, 3, shade=(9.0,) * 270, overlay=(-9.0,) * 270)
        root = ElementTree.fromstring(draw(chart, name="f"))
        assert float(root.get("viewBox").split()[3]) < 400
        assert next(root.iter(f"{NS}path")).get("fill") == "#ffffff"

    def test_the_largest_grid_is_small(self):
        random = np.random.default_rng(0)
        shade, overlay = random.random(2304), random.uniform(-1, 1, 2304)
        chart = grid(48, 48, shade=tuple(shade.tolist()), overlay=tuple(overlay.tolist()))
        assert len(draw(chart, name="f")) < 130_000


class TestReport:
    def document(self, record_of, make_record, **tables):
        audit, details = make_record()
        details["maps"] = maps(tables or {"imaging.map": table(persons=11)})
        return build(record_of(audit, details))

    def test_a_section_shows_it_with_its_strongest_cells(self, record_of, make_record):
        document = self.document(record_of, make_record)
        section = next(part for part in walk(document.sections) if part.id == "maps")
        assert section.title.endswith("Where the model looks, on average")
        figure = next(block for block in section.blocks if isinstance(block, Figure))
        assert len(figure.table.rows) == 5
        first = figure.table.rows[0]
        told = [cell.spans[0].text for cell in first.cells]
        assert told[:4] == ["row 3, column 4", "lowers the score", "−1.000", "1.000"]
        assert first.source == "details:/maps/imaging.map/map/2/3"
        assert told[0] in figure.charts[0].description

    def test_every_format_shows_it(self, record_of, make_record):
        document = self.document(record_of, make_record)
        page = render(document, "html").decode()
        assert "Under the mean map" in page
        assert page == render(self.document(record_of, make_record), "html").decode()
        assert "row 3, column 4" in render(document, "md").decode()
        tree = json.loads(render(document, "json"))
        assert '"type": "grid"' in json.dumps(tree)

    def test_no_map_no_section(self, document, record_of, make_record):
        low = self.document(record_of, make_record, **{"imaging.map": table(persons=9)})
        for made in (document, low):
            assert all(part.id != "maps" for part in walk(made.sections))
