"""Say how the model was trained: the settings as recorded, and the course of the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from verticals_compliance.report.numerals import finite, significant
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
    paragraph,
)
from verticals_compliance.report.words import plain, plural

_FOLD = 8  # settings that stay in view


def section(record: Record) -> Section:
    """Return the settings of the training, and its history where it may be kept."""
    training = record.detail("training")
    solution = record.detail("solution")
    name, version = word(solution, "distribution"), word(solution, "version")
    said = f"The code came from {name} {version}. " if name else ""
    said += "The settings below are those that the bundle records."
    blocks: list[Block] = [paragraph(said)]
    rows = tuple(_rows(training.get("settings") or {}))
    if rows:
        blocks.append(
            Table(
                id="training-settings",
                caption="Settings of the training, as recorded",
                columns=columns("Setting", "Value"),
                rows=rows,
                folded=len(rows) > _FOLD,
            )
        )
    blocks += _history(record, training.get("history") or ())
    return Section(id="training", title="How it was trained", blocks=tuple(blocks))


def _rows(settings: Json) -> Iterator[Row]:
    for path, value in _flat(settings, ()):
        name = plain(", ".join(path))
        place = "/".join(path)
        cells = (cell(name[:1].upper() + name[1:]), cell(value))
        yield Row(cells=cells, source=f"details:/training/settings/{place}")


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        yield path, ", ".join(_written(item) for item in value) or "none"
    else:
        yield path, _written(value)


def _written(value: Any) -> str:
    if value is None or value == {} or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return significant(value, 4)
    return str(value)


def _history(record: Record, history: Sequence[Json]) -> Iterator[Block]:
    if not history and finite(record.one("privacy").get("epsilon")) is not None:
        yield paragraph(
            "No course of the loss is shown: under differential privacy the losses of the "
            "training rows are private data, and training may not steer by them."
        )
    named = (("train_loss", "training part"), ("validation_loss", "validation part"))
    found = (_line(history, key, label) for key, label in named)
    lines = tuple(line for line in found if line is not None)
    if lines:
        chart = LineChart(
            title="Loss by epoch",
            description=f"The loss over {plural(len(history), 'epoch')}.",
            x=Axis(label="epoch", style="count"),
            y=Axis(label="loss"),
            lines=lines,
        )
        yield Figure(
            id="training-history",
            caption="Course of the training",
            charts=(chart,),
            table=_history_table(history),
        )


def _history_table(history: Sequence[Json]) -> Table:
    rows = tuple(
        Row(
            cells=(
                cell(significant(item.get("epoch"))),
                cell(significant(item.get("train_loss"), 4)),
                cell(significant(item.get("validation_loss"), 4)),
            ),
            source=f"details:/training/history/{at}",
        )
        for at, item in enumerate(history)
    )
    return Table(
        id="training-history-numbers",
        caption="Loss by epoch",
        columns=columns("Epoch", "#Training part", "#Validation part"),
        rows=rows,
    )


def _line(history: Sequence[Json], key: str, label: str) -> Line | None:
    known = [
        (x, y)
        for item in history
        if (x := finite(item.get("epoch"))) is not None and (y := finite(item.get(key))) is not None
    ]
    if not known:
        return None
    return Line(label=label, x=tuple(x for x, _ in known), y=tuple(y for _, y in known))
