"""Show what the model goes by: importance, shape of each field's effect, reasons, self-checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from verticals_compliance.report.numerals import (
    count,
    decimal,
    finite,
    interval,
    percent,
    significant,
)
from verticals_compliance.report.phrases import level
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Axis,
    Block,
    Bullets,
    Chart,
    Dot,
    DotChart,
    Figure,
    Line,
    LineChart,
    Note,
    Row,
    Section,
    Spans,
    Table,
    cell,
    columns,
    mark,
    number,
    paragraph,
    say,
)
from verticals_compliance.report.words import joined

_MOST = 20  # fields in a chart; the table has all
_UNTRAINED = "in no training row"
_LOG_ODDS = "log-odds"


def section(record: Record) -> Section:
    """Return importance, shapes, reasons and the check that attributions add up."""
    explanations = list(enumerate(record.many("explanations")))
    if not explanations and not record.listed("shapes"):
        told = paragraph("The record holds no explanation of the model.")
        return Section(id="explanations", title="Explanations", blocks=(told,))
    blocks: list[Block] = [
        paragraph(
            "An attribution says by how much a field moved one score up or down, in "
            f"{_units(record)}, against the declared background. It describes the model, not the "
            "world: it does not say that a field causes the outcome."
        )
    ]
    if explanations:
        blocks.append(Bullets(items=tuple(_additive(record, at, i) for at, i in explanations)))
    for at, item in explanations:
        blocks += _importance(record, at, item)
    inner = [_shapes(record), _reasons(record)]
    kept = tuple(part for part in inner if part is not None)
    return Section(id="explanations", title="Explanations", blocks=tuple(blocks), sections=kept)


def _additive(record: Record, at: int, item: Json) -> Spans:
    error = finite(item.get("additivity_error"))
    method = item.get("method") or "method not recorded"
    told = [f"Output {word(item, 'output')}: {method}. "]
    if error is None:
        return say(*told, "Whether the attributions add up to the score was not measured.")
    extra = next(
        (a for a in record.listed("additivity") if a.get("output") == item.get("output")), {}
    )
    rows = f" over {count(extra['n'])} rows" if finite(extra.get("n")) is not None else ""
    return say(
        *told,
        "Attributions and score differ by at most ",
        number(significant(error, 2), f"/explanations/{at}"),
        f"{_raw_unit(record, word(item, 'output'))}{rows}; 0 is exact.",
    )


def _unit(record: Record, output: str) -> str:
    """Return what attributions of an output are in: a number's own unit, else log-odds."""
    item = _numeric(record, output)
    return f"units of {record.target_label(item) or output}" if item else _LOG_ODDS


def _units(record: Record) -> str:
    found = {_unit(record, word(item, "output")) for item in record.many("explanations")}
    found |= {_unit(record, word(item, "output")) for item in record.listed("shapes")}
    return " or ".join(sorted(found)) or _LOG_ODDS


def _raw_unit(record: Record, output: str) -> str:
    """Say what the additivity error is in: it is that of the raw score, before its own unit."""
    return " of the model's raw score" if _numeric(record, output) else f" in {_LOG_ODDS}"


def _numeric(record: Record, output: str) -> Json:
    listed = (item for item in record.listed("outputs") if item.get("name") == output)
    return next((item for item in listed if item.get("target_kind") == "numeric"), {})


def _heading(unit: str) -> str:
    return f"{unit[:1].upper()}{unit[1:]}"


def _protected(record: Record) -> dict[str, bool]:
    fields = record.detail("contract").get("fields") or ()
    return {str(item.get("name")): item.get("role") == "protected" for item in fields}


def _importance(record: Record, at: int, item: Json) -> Iterator[Figure]:
    fields = list(enumerate(item.get("global") or ()))
    if not fields:
        return
    fields.sort(key=lambda pair: (-(finite(pair[1].get("mean_abs")) or 0.0), pair[0]))
    unit = _unit(record, word(item, "output"))
    rows = []
    for index, field in fields:
        source = f"/explanations/{at}/global/{index}"
        cells = (
            cell(record.label(word(field, "field"))),
            cell(decimal(field.get("mean_abs"))),
            cell(interval(field.get("lower"), field.get("upper"))),
            cell(mark(source)),
        )
        rows.append(Row(cells=cells, source=source))
    table = Table(
        id=f"importance-numbers-{at}",
        caption="Mean absolute attribution by field",
        columns=columns("Field", f"#{_heading(unit)}", f"#{level(record)} interval", "Record"),
        rows=tuple(rows),
    )
    more = f"; the {_MOST} largest of {len(fields)}" if len(fields) > _MOST else ""
    caption = f"Which fields move the scores, output {word(item, 'output')}{more}"
    chart = _importance_chart(record, [field for _, field in fields[:_MOST]], unit)
    yield Figure(id=f"importance-{at}", caption=caption, charts=(chart,), table=table)


def _importance_chart(record: Record, fields: Sequence[Json], unit: str) -> DotChart:
    guarded = _protected(record)
    dots = []
    for field in fields:
        known = guarded.get(word(field, "field"), False)
        label = record.label(word(field, "field"))
        dots.append(
            Dot(
                label=f"{label} (protected)" if known else label,
                estimate=finite(field.get("mean_abs")),
                lower=finite(field.get("lower")),
                upper=finite(field.get("upper")),
                text=decimal(field.get("mean_abs")),
                emphasis=known,
            )
        )
    return DotChart(
        title=f"Mean size of the attribution, in {unit}",
        description="; ".join(f"{dot.label}: {dot.text}" for dot in dots) + ".",
        axis=Axis(label=f"mean absolute attribution ({unit})", low=0.0),
        dots=tuple(dots),
        bars=True,
    )


def _shapes(record: Record) -> Section | None:
    shapes = [(at, s) for at, s in enumerate(record.listed("shapes")) if s.get("points")]
    if not shapes:
        return None
    shapes = [(at, {**shape, "untrained": _untrained(record, shape)}) for at, shape in shapes]
    learnt = (
        "The weights were learned under the promise of privacy, and drawing the curves reads no "
        "row."
        if record.detail("privacy")
        else "The weights were learned from the training rows without differential privacy, so "
        "that a curve may show what only few rows have."
    )
    parts: list[Block] = [
        paragraph(
            "The model is a sum: each field adds its own curve, and nothing else. Up means that "
            "the score rises. The curves are drawn from the model's weights over the declared "
            f"ranges. {learnt} All charts share one scale."
        )
    ]
    if any(shape["untrained"] for _, shape in shapes):
        noise = ", moved by the noise of private training" if record.detail("privacy") else ""
        parts.append(
            paragraph(
                f"What is marked “{_UNTRAINED}” was learned from nobody: its value is where the "
                f"training began{noise}, and says nothing."
            )
        )
    outputs = dict.fromkeys(word(shape, "output") for _, shape in shapes)
    for number_of, output in enumerate(outputs):
        mine = [(at, s) for at, s in shapes if word(s, "output") == output]
        parts.append(_shape_figure(record, mine, output, number_of))
    return Section(id="shapes", title="The effect of each field", blocks=tuple(parts))


def _shape_figure(
    record: Record, mine: Sequence[tuple[int, Json]], output: str, number_of: int
) -> Figure:
    values = [
        value
        for _, shape in mine
        for point in shape["points"]
        if (value := finite(point.get("contribution"))) is not None
    ]
    unit = _unit(record, output)
    low, high = min(values, default=0.0), max(values, default=0.0)
    pad = 0.05 * (high - low) or 0.1
    charts = tuple(
        _shape(record, shape, unit, (min(low, 0.0) - pad, max(high, 0.0) + pad))
        for _, shape in mine
    )
    rows = tuple(
        Row(
            cells=(
                cell(str(shape.get("label") or word(shape, "field"))),
                cell(_point(point, _field(record, word(shape, "field")), shape)),
                cell(decimal(point.get("contribution"))),
            ),
            source=f"details:/shapes/{at}/points/{index}",
        )
        for at, shape in mine
        for index, point in enumerate(shape["points"])
    )
    table = Table(
        id=f"shape-numbers-{number_of}",
        caption=f"Contribution to the score, in {unit}, by field and value",
        columns=columns("Field", "#Value", f"#{_heading(unit)}"),
        rows=rows,
    )
    return Figure(
        id=f"shape-figure-{number_of}",
        caption=f"What each field adds to the score, in {unit}, output {output}",
        charts=charts,
        table=table,
        small=True,
    )


def _field(record: Record, name: str) -> Json:
    fields = record.detail("contract").get("fields") or ()
    return next((item for item in fields if item.get("name") == name), {})


def _is_curve(field: Json, shape: Json) -> bool:
    """Tell whether a shape is a curve: over a number, and of two points at least."""
    numbers = [p for p in shape["points"] if finite(p.get("x")) is not None]
    return field.get("kind") in ("numeric", "time", None) and len(numbers) > 1


def _point(point: Json, field: Json, shape: Json) -> str:
    if finite(point.get("x")) is not None and _is_curve(field, shape):
        unit = word(shape, "unit") or word(field, "unit")
        return f"{significant(point['x'])} {unit}".strip()
    text = word(point, "text") or significant(point.get("x"))
    if _yes_or_no(field):
        text = {"true": "yes", "false": "no"}.get(text, text)
    return f"{text} ({_UNTRAINED})" if text in shape.get("untrained", ()) else text


def _untrained(record: Record, shape: Json) -> frozenset[str]:
    """Name the parts of a field, its missing values among them, that no training row has.

    Counts of the training part stand in the distribution; without one nothing is known.
    """
    name = word(shape, "field")
    bins = next(
        (item.get("bins") or () for item in record.listed("distribution") if item["field"] == name),
        (),
    )
    if not any(finite(item.get("train")) for item in bins):
        return frozenset()
    return frozenset(str(item["label"]) for item in bins if finite(item.get("train")) == 0)


def _yes_or_no(field: Json) -> bool:
    return field.get("kind") == "boolean"


def _shape(record: Record, shape: Json, unit: str, ends: tuple[float, float]) -> Chart:
    title = word(shape, "label") or word(shape, "field")
    field = _field(record, word(shape, "field"))
    known = [v for p in shape["points"] if (v := finite(p.get("contribution"))) is not None]
    about = "Nothing measurable."
    if known:
        about = f"Between {decimal(min(known))} and {decimal(max(known))} {unit}."
    if _is_curve(field, shape):
        return _curve(field, shape, Axis(label=unit, low=ends[0], high=ends[1]), title, about)
    dots = tuple(
        Dot(
            label=_point(point, field, shape),
            estimate=finite(point.get("contribution")),
            text=decimal(point.get("contribution"), 2),
        )
        for point in shape["points"]
    )
    axis = Axis(label=unit, low=ends[0], high=ends[1])
    return DotChart(title=title, description=about, axis=axis, dots=dots, bars=True)


def _curve(field: Json, shape: Json, axis: Axis, title: str, about: str) -> LineChart:
    known = sorted(
        (x, y)
        for point in shape["points"]
        if (x := finite(point.get("x"))) is not None
        and (y := finite(point.get("contribution"))) is not None
    )
    scale = word(field, "scale") or "linear"
    unit = word(shape, "unit") or word(field, "unit") or "value"
    unit += "" if scale == "linear" else f" ({scale} scale)"
    rest = [
        f"{_point(point, field, shape)} {decimal(point.get('contribution'), 2)}"
        for point in shape["points"]
        if finite(point.get("x")) is None
    ]
    return LineChart(
        title=title,
        description=about,
        x=Axis(
            label=f"{unit}; {', '.join(rest)}" if rest else unit,
            low=known[0][0] if known else None,
            high=known[-1][0] if known else None,
            style="count",
            scale=scale,
        ),
        y=axis,
        lines=(Line(label=title, x=tuple(x for x, _ in known), y=tuple(y for _, y in known)),),
        zero=True,
    )


def _reasons(record: Record) -> Section | None:
    reasons = record.detail("reasons")
    fields = reasons.get("fields") or ()
    if not fields:
        return None
    adverse = finite(reasons.get("adverse"))
    many = f"the {count(adverse)} adverse decisions" if adverse is not None else "adverse decisions"
    guarded = [_named(field) for field in fields if field.get("protected") and field.get("count")]
    said = (
        f"For {many} on the audited rows the model would state these reasons: the fields that "
        "pushed the score towards the adverse outcome, most first. They are counted on the rows "
        "of the audit; nobody was given them."
    )
    notes = []
    if guarded:
        text = f"{joined(guarded)} stood among them. A notice is refused where that is so."
        title = "A protected field among the reasons"
        notes = [Note(title=title, blocks=(paragraph(text),), kind="warning")]
    title = "Reasons that the model would state"
    inputs = [f for f in record.detail("contract").get("fields") or () if f.get("is_input")]
    if len(inputs) == 1:
        one = paragraph(
            f"The model reads a single field, {_named(fields[0])}. Naming it as the reason, as "
            f"every one of {many} on the audited rows would, tells a person nothing."
        )
        return Section(id="reasons", title=title, blocks=(one, *notes))
    figure = Figure(
        id="reason-figure",
        caption="Reasons that the model would state for adverse decisions",
        charts=(_reason_chart(fields[:_MOST], adverse),),
        table=_reason_table(fields, adverse),
    )
    blocks: tuple[Block, ...] = (paragraph(said), *notes, figure)
    return Section(id="reasons", title=title, blocks=blocks)


def _named(field: Json) -> str:
    label = str(field.get("label") or word(field, "field"))
    return f"{label} (protected)" if field.get("protected") else label


def _times(field: Json, adverse: float | None) -> float | None:
    times = finite(field.get("count"))
    return times / adverse if times is not None and adverse else None


def _reason_chart(fields: Sequence[Json], adverse: float | None) -> DotChart:
    dots = tuple(
        Dot(
            label=_named(field),
            estimate=_times(field, adverse),
            text=percent(_times(field, adverse)),
            emphasis=bool(field.get("protected")),
        )
        for field in fields
    )
    return DotChart(
        title="Share of adverse decisions that name the field as a principal reason",
        description="; ".join(f"{dot.label}: {dot.text}" for dot in dots) + ".",
        axis=Axis(label="share of adverse decisions", low=0.0, high=1.0, style="percent"),
        dots=dots,
        bars=True,
    )


def _reason_table(fields: Sequence[Json], adverse: float | None) -> Table:
    rows = []
    for at, field in enumerate(fields):
        ranks = field.get("ranks") or ()
        first = sum(item.get("count") or 0 for item in ranks if item.get("rank") == 1)
        cells = (
            cell(_named(field)),
            cell(count(field.get("count"))),
            cell(percent(_times(field, adverse))),
            cell(count(first)),
        )
        rows.append(Row(cells=cells, source=f"details:/reasons/fields/{at}"))
    return Table(
        id="reason-numbers",
        caption="Principal reasons of adverse decisions",
        columns=columns("Field", "#Times named", "#Share of decisions", "#Times named first"),
        rows=tuple(rows),
    )
