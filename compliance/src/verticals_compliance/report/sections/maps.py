"""Show the mean map over the mean image, for models that read images."""

from __future__ import annotations

from verticals_compliance.report.numerals import count, decimal
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Figure,
    Grid,
    Row,
    Section,
    Table,
    cell,
    columns,
    mark,
    number,
    paragraph,
)

_STRONGEST = 5


def section(record: Record) -> Section | None:
    """Return a figure for each mean map; None where the audit has none."""
    blocks: list[Block] = []
    for at, (name, item) in enumerate(record.detail("maps").items()):
        place = f"details:/maps/{name}"
        blocks.append(
            paragraph(
                "Mean of ",
                number(count(item.get("images")), f"{place}/images"),
                " audited images of ",
                number(count(item.get("persons")), f"{place}/persons"),
                " persons, each person weighing the same, and the mean of their maps by the "
                f"method {word(item, 'method')}. Nobody's own image is shown. The solution "
                "recorded both beside its scores; nobody has recomputed them.",
            )
        )
        blocks.append(_figure(item, place, at))
    if not blocks:
        return None
    blocks.append(
        paragraph(
            "What lies at another place in each image is blurred in a mean. A cell that stands "
            "out in a corner, at a border or on a marker suggests that the model reads how an "
            "image was taken; that none does proves nothing. No map says that a score is right.",
            style="small",
        )
    )
    return Section(id="maps", title="Where the model looks, on average", blocks=tuple(blocks))


def _figure(item: Json, place: str, at: int) -> Figure:
    rows, wide = int(item["rows"]), int(item["columns"])
    shade = tuple(float(value) for line in item["image"] for value in line)
    overlay = tuple(float(value) for line in item["map"] for value in line)
    # Of cells that are equally strong, those nearer to the top left go first.
    falling = sorted(range(len(overlay)), key=lambda one: (-abs(overlay[one]), one))
    strongest = [(*divmod(one, wide), overlay[one]) for one in falling[:_STRONGEST]]
    told = "; ".join(f"{_where(row, column)}: {_effect(v)}" for row, column, v in strongest)
    chart = Grid(
        title=f"Mean map, {word(item, 'method')}",
        description=f"{rows} rows and {wide} columns of cells. Strongest: {told}.",
        rows=rows,
        columns=wide,
        shade=shade,
        overlay=overlay,
        shade_label="Mean image",
        overlay_label="Under the mean map",
        raises="red raises the score",
        lowers="blue lowers the score",
    )
    return Figure(
        id=f"map-{at}",
        caption="What in an image moves the score, on average; full colour is the strongest cell",
        charts=(chart,),
        table=_table(item, strongest, place, at),
    )


def _table(item: Json, strongest: list[tuple[int, int, float]], place: str, at: int) -> Table:
    rows = []
    for row, column, value in strongest:
        source = f"{place}/map/{row}/{column}"
        cells = (
            cell(_where(row, column)),
            cell(_effect(value)),
            cell(decimal(value)),
            cell(decimal(item["image"][row][column])),
            cell(mark(source)),
        )
        rows.append(Row(cells=cells, source=source))
    return Table(
        id=f"map-numbers-{at}",
        caption=f"The {len(rows)} strongest cells of {item['rows']} × {item['columns']}",
        columns=columns("Cell", "Effect", "#Share of the strongest", "#Mean grey", "Record"),
        rows=tuple(rows),
        note="Cells are counted from 1 at the top left. Grey: 0 is black, 1 is white.",
    )


def _where(row: int, column: int) -> str:
    return f"row {row + 1}, column {column + 1}"


def _effect(value: float) -> str:
    return "raises the score" if value > 0 else "lowers the score" if value < 0 else "no effect"
