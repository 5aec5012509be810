"""Show how well the model predicts: numbers with intervals, ROC, calibration, scores by label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from verticals_compliance.report.numerals import count, decimal, finite, interval, percent
from verticals_compliance.report.phrases import estimate_cells, level, measured, outcome, row
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.svg import nice_ticks
from verticals_compliance.report.tree import (
    Axis,
    Block,
    Chart,
    Figure,
    Guide,
    Histogram,
    Line,
    LineChart,
    Paragraph,
    Row,
    Section,
    Spans,
    Table,
    below,
    cell,
    columns,
    number,
    paragraph,
    say,
)
from verticals_compliance.report.words import performance_metric, plain


def section(record: Record) -> Section:
    """Return one part for each output: sentences, a table, and the curves."""
    items = list(enumerate(record.many("performance")))
    outputs = list(dict.fromkeys(word(item, "output") for _, item in items))
    if not outputs:
        told = paragraph("The record holds no measurement of performance.")
        return Section(id="performance", title="Performance", blocks=(told,))
    if len(outputs) == 1:
        blocks = tuple(_output(record, outputs[0], items))
        return Section(id="performance", title="Performance", blocks=blocks)
    inner = tuple(
        Section(
            id=f"performance-{at}",
            title=f"Output {plain(name)}",
            blocks=tuple(_output(record, name, items)),
        )
        for at, name in enumerate(outputs)
    )
    return Section(id="performance", title="Performance", sections=inner)


def _output(record: Record, name: str, items: Sequence[tuple[int, Json]]) -> Iterator[Block]:
    mine = [(at, item) for at, item in items if word(item, "output") == name]
    yield from _sentences(record, name, mine)
    rows = []
    what = outcome(record, name)
    for at, item in mine:
        metric = performance_metric(word(item, "metric"), what)
        title = cell(metric.title, below(metric.meaning))
        method = cell(word(item, "method"))
        rows.append(row(f"/performance/{at}", title, *estimate_cells(item, metric.style), method))
    yield Table(
        id=f"performance-table-{_index(record, name)}",
        caption=f"Performance on the audited data, output “{plain(name)}”",
        columns=columns(
            "Measure", "#Estimate", f"#{level(record)} interval", "#n", "Interval by", "Record"
        ),
        rows=tuple(rows),
    )
    yield from _curves(record, name)
    yield from _confusions(record, name)


def _index(record: Record, name: str) -> int:
    names = list(dict.fromkeys(word(item, "output") for item in record.many("performance")))
    return names.index(name)


def _sentences(record: Record, name: str, mine: Sequence[tuple[int, Json]]) -> Iterator[Paragraph]:
    by_metric = {item.get("metric"): (at, item) for at, item in mine}
    sure = level(record)
    what = outcome(record, name)
    if "roc_auc" in by_metric:
        at, item = by_metric["roc_auc"]
        if finite(item.get("estimate")) is not None:
            known = measured(item, f"/performance/{at}", "percent", sure)
            yield paragraph(
                f"Take one case at random with “{what}” and one without: the model gives the "
                "first the higher score in ",
                *known,
                " of such pairs; guessing gives 50%.",
            )
    if "calibration_slope" in by_metric:
        at, item = by_metric["calibration_slope"]
        lower, upper = finite(item.get("lower")), finite(item.get("upper"))
        if finite(item.get("estimate")) is not None and lower is not None and upper is not None:
            known = measured(item, f"/performance/{at}", "decimal", sure)
            yield paragraph("The calibration slope is ", *known, ". ", _slope(lower, upper))
    if "calibration_intercept" in by_metric:
        at, item = by_metric["calibration_intercept"]
        told = level_of_scores(item)
        if told:
            known = measured(item, f"/performance/{at}", "decimal", sure)
            means = _means(record, name, what)
            yield paragraph(*means, "The calibration intercept is ", *known, f". {told}")


def level_of_scores(item: Json) -> str:
    """Say whether the scores are too low or too high on average; "" where that is not measured.

    The intercept is that of a logistic recalibration with slope 1 (calibration in the large).
    """
    lower, upper = finite(item.get("lower")), finite(item.get("upper"))
    if finite(item.get("estimate")) is None or lower is None or upper is None:
        return ""
    if lower > 0:
        return "It lies above 0: the scores are too low on average."
    if upper < 0:
        return "It lies below 0: the scores are too high on average."
    return "The interval includes 0, the ideal value."


def _means(record: Record, name: str, what: str) -> Spans:
    """Say the mean prediction beside the observed share, from the bins of the calibration."""
    for at, curve in enumerate(record.listed("curves")):
        if curve.get("output") != name:
            continue
        keys = ("n", "predicted", "observed")
        bins = [[finite(item.get(k)) for k in keys] for item in curve.get("calibration") or ()]
        known = [(n, p, o) for n, p, o in bins if None not in (n, p, o)]
        total = sum(n or 0.0 for n, _, _ in known)
        if not total or len(known) < len(bins):
            return ()
        source = f"details:/curves/{at}/calibration"
        predicted = sum((n or 0.0) * (p or 0.0) for n, p, _ in known) / total
        observed = sum((n or 0.0) * (o or 0.0) for n, _, o in known) / total
        return say(
            f"On average the model gives “{what}” a probability of ",
            number(percent(predicted), source),
            "; it was so in ",
            number(percent(observed), source),
            f" of {count(total)} rows. ",
        )
    return ()


def _slope(lower: float, upper: float) -> str:
    if upper < 1:
        return "It lies below 1: high scores are too high and low scores too low."
    if lower > 1:
        return "It lies above 1: high scores are not high enough and low scores not low enough."
    return "The interval includes 1, the ideal value."


def _curves(record: Record, name: str) -> Iterator[Block]:
    for at, curve in enumerate(record.listed("curves")):
        if curve.get("output") != name:
            continue
        what = outcome(record, name)
        guides = _cut(curve)
        roc, calibration = _roc(curve, what), _calibration(curve, what, level(record))
        charts: list[Chart] = [chart for chart in (roc, calibration) if chart is not None]
        if charts:
            yield Figure(
                id=f"curves-{at}",
                caption="How well the model ranks, and whether its probabilities are right",
                charts=tuple(charts),
                table=_calibration_table(curve, at, level(record)),
            )
        histogram = _histogram(curve, what, guides)
        if histogram is not None:
            yield Figure(
                id=f"scores-{at}",
                caption="How the scores are spread, by what really happened",
                charts=(histogram,),
                table=_histogram_table(curve, at, what),
            )


def _confusions(record: Record, name: str) -> Iterator[Block]:
    for at, found in enumerate(record.listed("confusions")):
        if found.get("output") != name:
            continue
        values = [str(value) for value in found["values"]]
        title = f"Persons by what was so (down) and what the model says (across), {plain(name)}"
        if all(value is None for line in found["persons"] for value in line):
            yield paragraph(f"{title}: every count is withheld, as small ones would be given away.")
            continue
        rows = tuple(
            Row(
                cells=(
                    cell(label),
                    *(cell("withheld" if value is None else count(value)) for value in line),
                ),
                source=f"details:/confusions/{at}/persons/{place}",
            )
            for place, (label, line) in enumerate(
                zip((*values, "all"), found["persons"], strict=True)
            )
        )
        yield Table(
            id=f"confusion-{at}",
            caption=title,
            columns=columns("Was", *(f"#{value}" for value in values), "#all"),
            rows=rows,
            note="On the diagonal both agree. Small counts are withheld, with others that would "
            "give them away.",
        )


def _cut(curve: Json) -> tuple[Guide, ...]:
    cut = finite(curve.get("decision_cut"))
    return () if cut is None else (Guide(value=cut, label=f"decision at {decimal(cut)}"),)


def _roc(curve: Json, what: str) -> LineChart | None:
    points = [(finite(p.get("fpr")), finite(p.get("tpr"))) for p in curve.get("roc") or ()]
    known = [(x, y) for x, y in points if x is not None and y is not None]
    if len(known) < 2:
        return None
    return LineChart(
        title="Ranking (ROC curve)",
        description=f"Of what was “{what}”, the share found, by the share of the others wrongly "
        "flagged, as the cut moves. The further above the line of guessing, the better.",
        x=Axis(label="others wrongly flagged", low=0, high=1, style="percent"),
        y=Axis(label="share found", low=0, high=1, style="percent"),
        lines=(Line(label="model", x=tuple(x for x, _ in known), y=tuple(y for _, y in known)),),
        diagonal="guessing",
    )


def _calibration(curve: Json, what: str, sure: str) -> LineChart | None:
    bins = [
        item
        for item in curve.get("calibration") or ()
        if finite(item.get("predicted")) is not None and finite(item.get("observed")) is not None
    ]
    if not bins:
        return None
    seen = [item["predicted"] for item in bins]
    seen += [finite(item.get("observed_upper")) or item["observed"] for item in bins]
    high = min(1.0, nice_ticks(0.0, max(seen))[-1])
    return LineChart(
        title="Calibration",
        description=f"Observed share of “{what}” by predicted probability, with {sure} intervals. "
        "Where the two are equal, the probabilities are right.",
        x=Axis(label="predicted probability", low=0, high=high, style="percent"),
        y=Axis(label="observed share", low=0, high=high, style="percent"),
        lines=(
            Line(
                label=f"model, with {sure} intervals",
                x=tuple(item["predicted"] for item in bins),
                y=tuple(item["observed"] for item in bins),
                lower=tuple(finite(item.get("observed_lower")) for item in bins),
                upper=tuple(finite(item.get("observed_upper")) for item in bins),
                points=True,
            ),
        ),
        diagonal="agreement",
    )


def _calibration_table(curve: Json, at: int, sure: str) -> Table:
    rows = tuple(
        Row(
            cells=(
                cell(interval(item.get("lower"), item.get("upper"))),
                cell(percent(item.get("predicted"))),
                cell(percent(item.get("observed"))),
                cell(interval(item.get("observed_lower"), item.get("observed_upper"), "percent")),
                cell(count(item.get("n"))),
            ),
            source=f"details:/curves/{at}/calibration/{index}",
        )
        for index, item in enumerate(curve.get("calibration") or ())
    )
    return Table(
        id=f"calibration-numbers-{at}",
        caption="Calibration by score",
        columns=columns("Scores from … to", "#Predicted", "#Observed", f"#{sure} interval", "#n"),
        rows=rows,
    )


def _histogram(curve: Json, what: str, guides: tuple[Guide, ...]) -> Histogram | None:
    bins = curve.get("histogram") or ()
    up = [finite(item.get("positive")) or 0.0 for item in bins]
    down = [finite(item.get("negative")) or 0.0 for item in bins]
    if not bins or not sum(up) or not sum(down):
        return None
    edges = (*(float(item["lower"]) for item in bins), float(bins[-1]["upper"]))
    if any(last <= first for first, last in pairwise(edges)):
        return None
    return Histogram(
        title="Scores by outcome",
        description="Share of the rows of each outcome in each band of the score. The less the "
        "two sides overlap, the better the model separates them.",
        axis=Axis(label="score", low=edges[0], high=edges[-1]),
        edges=edges,
        up=tuple(value / sum(up) for value in up),
        down=tuple(value / sum(down) for value in down),
        up_label=f"{what} (n = {count(sum(up))})",
        down_label=f"otherwise (n = {count(sum(down))})",
        guides=guides,
    )


def _histogram_table(curve: Json, at: int, what: str) -> Table:
    rows = tuple(
        Row(
            cells=(
                cell(interval(item.get("lower"), item.get("upper"))),
                cell(count(item.get("positive"))),
                cell(count(item.get("negative"))),
            ),
            source=f"details:/curves/{at}/histogram/{index}",
        )
        for index, item in enumerate(curve.get("histogram") or ())
    )
    return Table(
        id=f"score-numbers-{at}",
        caption="Rows by score and outcome",
        columns=columns("Score from … to", f"#{what}", "#Otherwise"),
        rows=rows,
    )
