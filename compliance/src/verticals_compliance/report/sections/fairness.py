"""Show how people of different groups fare: each metric by group, each gap with its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from verticals_compliance.cells import NOT_RECORDED
from verticals_compliance.report.numerals import (
    count,
    finite,
    interval,
    p_value,
    show,
    significant,
)
from verticals_compliance.report.phrases import (
    beyond_chance,
    chance,
    ends,
    large_enough,
    level,
    row,
)
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Axis,
    Block,
    Bullets,
    Definitions,
    Dot,
    DotChart,
    Figure,
    Guide,
    Paragraph,
    Row,
    Section,
    Span,
    Spans,
    Table,
    below,
    cell,
    columns,
    mark,
    number,
    paragraph,
    say,
    strong,
)
from verticals_compliance.report.words import VERDICTS, group_metric, joined, sentence

Placed = tuple[int, Json]  # a row of the record's fairness list, with its index


def section(record: Record) -> Section:
    """Return one part for each output and attribute."""
    items = list(enumerate(record.many("fairness")))
    if not items:
        told = paragraph("The record holds no comparison of groups.")
        return Section(id="fairness", title="Fairness", blocks=(told,))
    keys = list(dict.fromkeys((word(i, "output"), word(i, "attribute")) for _, i in items))
    several = len({output for output, _ in keys}) > 1
    parts = []
    for at, (output, attribute) in enumerate(keys):
        mine = [
            p for p in items if (p[1].get("output"), p[1].get("attribute")) == (output, attribute)
        ]
        title = record.label(attribute) + (f", output {output}" if several else "")
        blocks = tuple(_attribute(record, mine, f"fairness-{at}"))
        parts.append(Section(id=f"fairness-{at}", title=title, blocks=blocks))
    return Section(
        id="fairness", title="Fairness", blocks=tuple(_terms(record)), sections=tuple(parts)
    )


def _terms(record: Record) -> Iterator[Block]:
    items = record.many("fairness")
    policy = record.detail("policy")
    yield paragraph(
        "Each measure below is taken group by group. Two groups may then be compared by the "
        "difference of the measure (0 is equal) or by its ratio, the lowest over the highest (1 "
        "is equal). Different measures can ask for different things at the same time: which of "
        "them matters here is for a person to say."
    )
    told = [
        f"{what}: {joined([f'“{text}”' for text in texts])}."
        for key, what in (("favourable", "Favourable outcome"), ("decision", "Decision"))
        if (texts := [text for text in _once(items, key) if not text.startswith("none")])
    ]
    if told:
        yield paragraph(" ".join(told))
    names = dict.fromkeys(word(item, "metric") for item in items)
    entries = tuple(
        (_short(group_metric(name).title), say(sentence(group_metric(name).meaning)))
        for name in names
        if group_metric(name).meaning
    )
    yield Definitions(entries=entries)
    low = [
        f"{count(policy[key])} {what}"
        for key, what in (("min_group", "rows"), ("min_events", "cases of the measure"))
        if finite(policy.get(key)) is not None
    ]
    if low:
        yield paragraph(
            f"The policy compares groups only from {joined(low)}. A smaller group is shown as weak "
            "evidence (in charts by a hollow mark and a dashed interval); where one is left out, "
            "no comparison counts as free of a gap. Rows whose group is not recorded are shown and "
            "never compared."
        )


def _once(items: Sequence[Json], key: str) -> list[str]:
    return list(dict.fromkeys(str(item[key]) for item in items if item.get(key)))


def _attribute(record: Record, mine: Sequence[Placed], name: str) -> Iterator[Block]:
    yield from _standing(record, mine)
    by_metric: dict[str, Placed] = {}
    for at, item in mine:
        by_metric.setdefault(word(item, "metric"), (at, item))
    firsts = list(by_metric.values())
    title = record.label(word(mine[0][1], "attribute"))
    yield Figure(
        id=f"{name}-groups",
        caption=f"{title}: each measure by group, with {level(record)} intervals",
        charts=tuple(_groups_chart(record, item) for _, item in firsts),
        table=_groups_table(record, firsts, name, title),
    )
    gaps = [chart for kind in ("ratio", "difference") if (chart := _gaps_chart(record, mine, kind))]
    if gaps:
        yield Figure(
            id=f"{name}-gaps",
            caption=f"{title}: how far the groups lie apart, with {level(record)} intervals",
            charts=tuple(gaps),
        )
    yield _gaps_table(record, mine, name, title)


def _open_gaps(record: Record, mine: Sequence[Placed]) -> str:
    """Say which measures differ between groups beyond chance though their size is not decided."""
    titles = [
        group_metric(word(item, "metric")).title
        for _, item in mine
        if item.get("verdict") == "insufficient-evidence"
        and beyond_chance(record, item) is not None
    ]
    shown = [f"{title[:1].lower()}{title[1:]}" for title in dict.fromkeys(titles)]
    if not shown:
        return ""
    return (
        f" That groups differ is shown (adjusted p below {chance(record):.2g}) for "
        f"{joined(shown)}; too little is known of by how much."
    )


def _standing(record: Record, mine: Sequence[Placed]) -> Iterator[Paragraph | Bullets]:
    counts = Counter(str(item.get("verdict")) for _, item in mine)
    names = (
        ("gap", "a gap"),
        ("insufficient-evidence", "too little evidence"),
        ("no-material-gap", "no material gap"),
    )
    said = [f"{count(counts[key])} with {what}" for key, what in names if counts[key]]
    yield paragraph(f"Of {count(len(mine))} comparisons: {joined(said)}.{_open_gaps(record, mine)}")
    gaps: dict[str, list[Placed]] = {}
    for at, item in mine:
        if item.get("verdict") == "gap":
            gaps.setdefault(word(item, "metric"), []).append((at, item))
    if gaps:
        yield Bullets(items=tuple(_gap_sentence(record, items) for items in gaps.values()))


def _gap_sentence(record: Record, items: Sequence[Placed]) -> Spans:
    """Say which groups lie apart in one measure, by ratio and difference alike."""
    first = items[0][1]
    metric = group_metric(word(first, "metric"))
    told: list[str | Span] = [strong(f"{metric.title}. ")]
    pair = ends(record, first)
    if pair is not None:
        named = [
            f"{end} for {_name(group)} ({show(group['estimate'], metric.style)}, "
            f"{level(record)} interval "
            f"{interval(group.get('lower'), group.get('upper'), metric.style)}, "
            f"n = {count(group.get('n'))})"
            for end, group in zip(("Lowest", "highest"), pair, strict=True)
        ]
        told.append(f"{', '.join(named)}. ")
    for index, (at, item) in enumerate(items):
        gap = item.get("disparity") or {}
        spread = interval(gap.get("lower"), gap.get("upper"))
        told += [
            f"{'and the' if index else 'The'} {word(gap, 'kind')} is ",
            number(show(gap.get("estimate"), "decimal"), f"/fairness/{at}"),
            f" ({level(record)} interval {spread})",
            ", " if index < len(items) - 1 else f": {VERDICTS['gap']}.",
        ]
    return say(*told)


def _name(group: Json) -> str:
    return word(group, "group") or NOT_RECORDED


def _groups_chart(record: Record, item: Json) -> DotChart:
    metric = group_metric(word(item, "metric"))
    percent = metric.style == "percent"
    dots = tuple(
        Dot(
            label=_name(group),
            estimate=finite(group.get("estimate")),
            lower=finite(group.get("lower")),
            upper=finite(group.get("upper")),
            text=_dot_text(group, metric.style),
            weak=not large_enough(record, item, group),
        )
        for group in item.get("groups") or ()
    )
    axis = Axis(
        label="share of the group" if percent else metric.meaning and "difference",
        low=0 if percent else None,
        high=1 if percent else None,
        style=metric.style,
    )
    guides = () if percent else (Guide(value=0, label="0", limit=False),)
    about = "; ".join(f"{dot.label}: {dot.text}" for dot in dots)
    return DotChart(
        title=metric.title, description=f"{about}.", axis=axis, dots=dots, guides=guides
    )


def _dot_text(group: Json, style: str) -> str:
    if finite(group.get("estimate")) is None:
        return f"n {count(group.get('n'))}" if finite(group.get("n")) is not None else ""
    return f"{show(group['estimate'], style)}, n {count(group.get('n'))}"


def _groups_table(record: Record, firsts: Sequence[Placed], name: str, title: str) -> Table:
    rows = []
    for at, item in firsts:
        metric = group_metric(word(item, "metric"))
        for index, group in enumerate(item.get("groups") or ()):
            source = f"/fairness/{at}/groups/{index}"
            weak = "" if large_enough(record, item, group) else " (not compared)"
            cells = (
                cell(f"{_short(metric.title)}: {_name(group)}{weak}"),
                cell(show(group.get("estimate"), metric.style)),
                cell(interval(group.get("lower"), group.get("upper"), metric.style)),
                cell(count(group.get("n"))),
                cell(mark(source)),
            )
            rows.append(Row(cells=cells, source=source))
    return Table(
        id=f"{name}-group-numbers",
        caption=f"{title}: each measure by group",
        columns=columns(
            "Measure and group", "#Estimate", f"#{level(record)} interval", "#n", "Record"
        ),
        rows=tuple(rows),
    )


def _gaps_chart(record: Record, mine: Sequence[Placed], kind: str) -> DotChart | None:
    rows = [p for p in mine if (p[1].get("disparity") or {}).get("kind") == kind]
    if all(finite(item["disparity"].get("estimate")) is None for _, item in rows):
        return None
    limits = [finite(record.limit_of(item)[0]) for _, item in rows]
    shared = limits[0] if len(set(limits)) == 1 else None
    dots = []
    for (_, item), limit in zip(rows, limits, strict=True):
        gap = item["disparity"]
        known = finite(gap.get("estimate"))
        dots.append(
            Dot(
                label=_short(group_metric(word(item, "metric")).title),
                estimate=known,
                lower=finite(gap.get("lower")),
                upper=finite(gap.get("upper")),
                text="" if known is None else show(known, "decimal"),
                weak=item.get("verdict") == "insufficient-evidence",
                limit=None if shared is not None else limit,
            )
        )
    ratio = kind == "ratio"
    guides = [Guide(value=1.0 if ratio else 0.0, label="equal", limit=False)]
    if shared is not None:
        guides.append(Guide(value=shared, label=f"limit {show(shared, 'significant')}"))
    about = "; ".join(f"{dot.label}: {dot.text or 'not measurable'}" for dot in dots)
    return DotChart(
        title="Ratio, lowest over highest" if ratio else "Difference, highest minus lowest",
        description=f"{about}.",
        axis=Axis(label=kind, low=0.0, high=1.0 if ratio else None),
        dots=tuple(dots),
        guides=tuple(guides),
    )


def _short(title: str) -> str:
    """Return the technical name in brackets where there is one: it is the shorter one."""
    inside = title.rpartition("(")[2].rstrip(")") if title.endswith(")") else title
    return inside[:1].upper() + inside[1:]


def _limit_text(record: Record, item: Json) -> str:
    value, ruled = record.limit_of(item)
    limit = finite(value)
    if limit is None:
        return "none"
    side = "at least" if (item.get("disparity") or {}).get("kind") == "ratio" else "at most"
    return f"{side} {significant(limit)}{'' if ruled else ' (tolerance)'}"


def _gaps_table(record: Record, mine: Sequence[Placed], name: str, title: str) -> Table:
    rows = []
    for at, item in mine:
        metric = group_metric(word(item, "metric"))
        gap = item.get("disparity") or {}
        pair = ends(record, item)
        between = f"{_name(pair[0])} lowest, {_name(pair[1])} highest" if pair else ""
        adjusted = finite(item.get("p_adjusted"))
        tested = p_value(item.get("p_value"))
        tested += f", adjusted {p_value(adjusted)}" if adjusted is not None else ""
        rows.append(
            row(
                f"/fairness/{at}",
                cell(f"{_short(metric.title)}, {word(gap, 'kind')}", below(between)),
                cell(below(tested), status=word(item, "verdict")),
                cell(show(gap.get("estimate"), "decimal")),
                cell(interval(gap.get("lower"), gap.get("upper"))),
                cell(_limit_text(record, item)),
            )
        )
    return Table(
        id=f"{name}-gap-numbers",
        caption=f"{title}: comparisons and verdicts",
        columns=columns(
            "Comparison", "Verdict", "#Estimate", f"#{level(record)} interval", "#Limit", "Record"
        ),
        rows=tuple(rows),
        note="Limit: what the verdict rests on; “tolerance” where no rule of the policy speaks of "
        "the comparison. p: how often chance alone would spread groups that do not truly differ "
        "at least this far apart; “adjusted” allows for the number of comparisons. A large p is no "
        "proof that groups are treated alike.",
    )
