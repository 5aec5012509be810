"""Draw what a solution recorded as plots: curves of its model, and points that were counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from verticals_compliance.report.numerals import count, decimal
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Axis,
    Block,
    Figure,
    Line,
    LineChart,
    Row,
    Section,
    Table,
    cell,
    columns,
    mark,
    paragraph,
)
from verticals_compliance.summaries import MIN_PERSONS

_MOST_ROWS = 60  # of the numbers under a figure: curves are evenly thinned to it
_SIDE_BY_SIDE = 2


def section(record: Record) -> Section | None:
    """Return a figure for each plot that was recorded; None where there is none."""
    found = record.detail("plots")
    if not found:
        return None
    blocks: list[Block] = [
        paragraph(
            "The solution recorded these plots beside its scores; nobody has recomputed them. "
            "Where a point has an interval, it is the solution's own. Points that rest on fewer "
            f"than {MIN_PERSONS} persons are left out.",
            style="small",
        )
    ]
    for at, (name, item) in enumerate(found.items()):
        blocks += _figures(name, item, at)
    return Section(id="plots", title="What the solution plots", blocks=tuple(blocks))


def _figures(name: str, item: Json, at: int) -> Iterator[Block]:
    figures: Sequence[Json] = item.get("figures") or ()
    charts = tuple(_chart(figure) for figure in figures)
    yield Figure(
        id=f"plot-{at}",
        caption=_caption([chart.title for chart in charts]),
        charts=charts,
        table=_table(name, figures, at),
        small=len(charts) > _SIDE_BY_SIDE,
    )
    if item.get("left_out"):
        yield paragraph(
            f"{count(item['left_out'])} more figures of this kind stand in the evidence, in the "
            f"table {name}.",
            style="small",
        )


def _caption(titles: Sequence[str]) -> str:
    """Return what the titles of some charts begin with, whole words of it, or all of them."""
    if len(titles) == 1:
        return titles[0]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*titles, strict=False))
    shared = "".join(letters[0] for letters in alike)
    for sign in (",", ":"):
        if sign in shared:
            return shared[: shared.rindex(sign)]
    return "; ".join(titles)


def _chart(figure: Json) -> LineChart:
    lines = tuple(
        Line(
            label=word(own, "series"),
            x=tuple(own["x"]),
            y=tuple(own["y"]),
            lower=tuple(own["lower"]),
            upper=tuple(own["upper"]),
            points=own["style"] == "points",
            scattered=own["style"] == "points",
        )
        for own in figure["series"]
        if own["x"]
    )
    title, across, up = (word(figure, key) for key in ("figure", "x_label", "y_label"))
    named = ", ".join(line.label for line in lines)
    return LineChart(
        title=title,
        description=f"{up} by {across}: {named}. The numbers stand in the table below.",
        x=Axis(label=across),
        y=Axis(label=up),
        lines=lines,
    )


def _table(name: str, figures: Sequence[Json], at: int) -> Table:
    rows = []
    withheld = 0
    for number, figure in enumerate(figures):
        for place, own in enumerate(figure["series"]):
            withheld += own["withheld"]
            source = f"details:/plots/{name}/figures/{number}/series/{place}"
            for point in _thinned(len(own["x"]), _MOST_ROWS // len(figure["series"]) or 1):
                values = [own[key][point] for key in ("x", "y", "lower", "upper")]
                persons = own["persons"][point]
                rows.append(
                    Row(
                        cells=(
                            cell(word(figure, "figure")),
                            cell(word(own, "series")),
                            *(cell("–" if value is None else decimal(value)) for value in values),
                            cell(count(persons) if persons else "–"),
                            cell(mark(source)),
                        ),
                        source=f"{source}/x/{point}",
                    )
                )
    note = "Long curves are thinned here; the record holds every point."
    if withheld:
        note += f" {count(withheld)} points rest on fewer than {MIN_PERSONS} persons."
    return Table(
        id=f"plot-numbers-{at}",
        caption="The numbers of these plots",
        columns=columns("Figure", "Series", "#Across", "#Up", "#From", "#To", "#Persons", "Record"),
        rows=tuple(rows),
        note=note,
        folded=True,
    )


def _thinned(points: int, most: int) -> list[int]:
    if points <= most:
        return list(range(points))
    if most == 1:
        return [0]
    return sorted({round(place * (points - 1) / (most - 1)) for place in range(most)})
