"""Say what privacy was promised, what that means for one person, and what an attack achieved."""

from __future__ import annotations

import math
from collections.abc import Iterator

from verticals_compliance.accounting import AGREES, CONFIRMED, CONTRADICTS
from verticals_compliance.report.numerals import (
    at_most,
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
    Definitions,
    Figure,
    Line,
    LineChart,
    Note,
    Row,
    Section,
    Spans,
    Table,
    cell,
    code,
    columns,
    number,
    paragraph,
    say,
)
from verticals_compliance.report.words import joined, plural, sentence


def ceiling(false_alarms: float, epsilon: float, delta: float) -> float:
    """Return the largest share of members that any attack can find, at a share of false alarms.

    For (ε, δ)-differential privacy and every test of "was this unit in the training data?":
    power ≤ min(e^ε·α + δ, 1 − e^−ε·(1 − δ − α)), between 0 and 1 (Wasserman and Zhou 2010;
    Kairouz, Oh and Viswanath 2015). Both bounds hold at once; the smaller one is the ceiling.

    >>> round(ceiling(0.05, 1.0, 0.0), 4)
    0.1359
    """
    first = math.exp(min(epsilon, 700.0)) * false_alarms + delta
    second = 1 - math.exp(-epsilon) * (1 - delta - false_alarms)
    return max(0.0, min(1.0, first, second))


def section(record: Record) -> Section:
    """Return the promise in plain words, the files and whose data they show, the attack."""
    privacy, whole = record.one("privacy"), record.detail("privacy")
    epsilon = finite(privacy.get("epsilon"))
    blocks: list[Block] = []
    if whole.get("unsafe_noise_seed") is not None:
        told = "The noise was drawn from a known seed, as in a test. No ε holds for this model."
        note = Note(title="The promise is void", blocks=(paragraph(told),), kind="warning")
        blocks.append(note)
    if _contradicted(record):
        blocks.append(_contradiction(record))
    if epsilon is None:
        blocks += _none(privacy)
    else:
        delta = finite(privacy.get("delta")) or 0.0
        blocks += _promise(record, privacy, whole, epsilon, delta)
    inner = [_files(record), _attack(record, privacy, epsilon)]
    kept = tuple(item for item in inner if item is not None)
    return Section(id="privacy", title="Privacy", blocks=tuple(blocks), sections=kept)


def _none(privacy: Json) -> Iterator[Block]:
    yield paragraph(
        "The record states no differential privacy for this model. Nothing limits what the "
        "model, or the files released with it, may reveal about a single person in the training "
        "data.",
        style="lead",
    )
    if privacy.get("statement"):
        yield paragraph(sentence(str(privacy["statement"])))


def _contradicted(record: Record) -> bool:
    return record.detail("accounting").get("status") == CONTRADICTS


def _contradiction(record: Record) -> Note:
    reason = word(record.detail("accounting"), "reason")
    told = (
        f"{sentence(reason)} Which of the numbers is false, the bundle does not tell: no ε that it "
        "states can be relied on until a person has found out."
    )
    title = "The record of privacy contradicts itself"
    return Note(title=title, blocks=(paragraph(told),), kind="warning")


def _recomputed(record: Record) -> Iterator[Block]:
    """Say whether ε is more than a statement of the bundle."""
    found = record.detail("accounting")
    status, lower, upper = found.get("status"), finite(found.get("lower")), found.get("upper")
    if status not in (CONFIRMED, AGREES, CONTRADICTS):
        reason = word(found, "reason")
        yield paragraph(f"ε is as recorded, not recomputed{f': {reason}' if reason else ''}.")
        return
    said = number(_between(lower, finite(upper)), "details:/accounting")
    stated = at_most(found.get("stated"), 4)
    tail = {
        CONFIRMED: f"; the ε stated for training ({stated}) is no less",
        AGREES: f"; the ε stated for training ({stated}) lies between them",
        CONTRADICTS: f"; the ε stated for training is {stated}",
    }[str(status)]
    yield paragraph(
        "The ε of training was recomputed from noise, rate and steps: ",
        said,
        f"{tail}. Method: {word(found, 'method')}.",
    )
    if finite(found.get("other")) is not None:
        beside = number(f"ε = {at_most(found['other'], 4)}", "details:/accounting/other")
        yield paragraph("What was bought beside training, ", beside, ", is as recorded.")


def _between(lower: float | None, upper: float | None) -> str:
    if lower is None:
        return "without a limit"
    if upper is None:
        return f"at least {significant(lower, 5)}"
    return f"between {significant(lower, 5)} and {significant(upper, 5)}"


def _unit(record: Record, privacy: Json) -> tuple[str, str]:
    """Return what the promise is made for, and the verb that goes with it."""
    if privacy.get("unit") == "group":
        column = word(record.detail("contract"), "group")
        return (
            f"all rows that share one value of “{column}”" if column else "one group's rows"
        ), "were"
    return "one row of the training data", "was"


def uncovered(record: Record) -> list[str]:
    """Return the files that show somebody's rows without differential privacy, and whose."""
    return [
        f"{word(item, 'name')} (shows {word(item, 'shows') or 'what is not recorded'})"
        for item in record.listed("files")
        if item.get("epsilon") == "infinite"
    ]


def _promise(
    record: Record, privacy: Json, whole: Json, epsilon: float, delta: float
) -> Iterator[Block]:
    unit, verb = _unit(record, privacy)
    budget = number(f"ε = {at_most(epsilon)} and δ = {at_most(delta, 2)}", "/privacy")
    if _contradicted(record):
        yield paragraph(
            "The bundle states differential privacy with ",
            budget,
            f" for {unit}, and its own numbers contradict it. What follows here says what the "
            "stated values would mean.",
            style="lead",
        )
    else:
        yield paragraph(
            "The model was trained under differential privacy with ",
            budget,
            f". The promise is made for {unit}.",
            style="lead",
        )
    yield from _recomputed(record)
    outside = uncovered(record)
    if outside:
        told = f"Without differential privacy, and so without any limit: {joined(outside)}."
        title = "The promise does not cover every file of the bundle"
        yield Note(title=title, blocks=(paragraph(told),), kind="warning")
    yield paragraph(
        "Think of someone who sees the released model, knows everything else in the data, and "
        f"tries to tell whether {unit} {verb} used in training. The promise bounds every such "
        "attempt, whatever its method. These are ceilings that follow from ε and δ, not what any "
        "attempt achieved:"
    )
    yield Bullets(items=tuple(_bounds(epsilon, delta)))
    if privacy.get("unit") == "row":
        yield paragraph(
            "A row is a person only if nobody has more than one row. Where someone has k rows, "
            "the promise for the person is weaker: k times the ε, with a larger δ."
        )
    yield Definitions(entries=tuple(_entries(privacy, whole)))
    yield from _statements(privacy, whole)


def _bounds(epsilon: float, delta: float) -> Iterator[Spans]:
    for alarms in (0.01, 0.05):
        most = ceiling(alarms, epsilon, delta)
        yield say(
            f"If the attempt wrongly accuses at most {percent(alarms, 0)} of those who were not "
            "in the data, it finds at most ",
            number(percent(most), "/privacy/epsilon"),
            " of those who were.",
        )
    odds = math.exp(min(epsilon, 700.0))
    both = (odds + delta) / (1 + odds)
    yield say(
        "If being in the data or not is as likely as a coin toss, the attempt is right in at most ",
        number(percent(min(1.0, both)), "/privacy/epsilon"),
        " of cases; guessing is right in 50%.",
    )
    yield say(
        "Any result of the training is at most ",
        number(f"{at_most(odds)} times", "/privacy/epsilon"),
        " as likely with that data as without it, apart from a probability of "
        f"{at_most(delta, 2)}.",
    )


def _entries(privacy: Json, whole: Json) -> Iterator[tuple[str, Spans]]:
    named = (
        ("ε (epsilon)", at_most(privacy.get("epsilon"), 4)),
        ("δ (delta)", at_most(privacy.get("delta"), 2)),
        ("Accountant", str(privacy.get("accountant") or "not recorded")),
    )
    for term, value in named:
        yield term, say(value)
    rest = (
        ("units", "Units in training", count),
        ("sampling_rate", "Sampling rate", significant),
        ("steps", "Steps, fixed beforehand", count),
        ("noise_multiplier", "Noise multiplier", significant),
        ("max_grad_norm", "Clipping norm", significant),
    )
    for key, term, written in rest:
        if finite(whole.get(key)) is not None:
            yield term, say(number(written(whole[key]), f"details:/privacy/{key}"))
    texts = (
        ("accountant_version", "Accountant's library"),
        ("neighbouring", "Two data sets are neighbours if they differ by"),
        ("noise_source", "Noise from"),
    )
    for key, term in texts:
        if whole.get(key):
            yield term, say(word(whole, key))


def _statements(privacy: Json, whole: Json) -> Iterator[Block]:
    recorded = whole.get("statement") or privacy.get("statement") or ()
    said = [recorded] if isinstance(recorded, str) else [str(line) for line in recorded]
    heads = {
        "Covered": "What the promise covers, as the bundle records it",
        "How": "How it was kept",
        "Not covered": "What it does not cover",
    }
    for head, title in heads.items():
        mine = [_without(head, line) for line in said if _has(head, line)]
        if mine:
            yield Note(title=title, blocks=(Bullets(items=tuple(say(text) for text in mine)),))
    rest = [line for line in said if not any(_has(head, line) for head in heads)]
    if rest:
        items = Bullets(items=tuple(say(sentence(line)) for line in rest))
        yield Note(title="As recorded in the bundle", blocks=(items,))
    yield Note(
        title="What no such promise covers",
        blocks=(Bullets(items=tuple(say(line) for line in _NEVER_COVERED)),),
    )


def _has(head: str, line: str) -> bool:
    """Tell whether a sentence of the record begins with a head: "Not covered, …: the rest"."""
    return line.partition(":")[0].partition(",")[0] == head


def _without(head: str, line: str) -> str:
    before, _, after = line.partition(":")
    condition = before.removeprefix(head).strip(" ,")
    return sentence(f"{condition}: {after.strip()}" if condition else after)


_NEVER_COVERED = (
    "What is true of many people at once: the model may still learn that people like you tend to "
    "do so and so.",
    "The scores and reasons that the model gives about a person who is scored later.",
    "Data kept outside the bundle, the evidence of this audit among them.",
    "Further releases from the same rows: each adds to what can be learnt.",
)


def _files(record: Record) -> Section | None:
    files = record.listed("files")
    if not files:
        return None
    rows = tuple(
        Row(
            cells=(
                cell(code(word(item, "name"))),
                cell(str(item.get("shows") or "not recorded")),
                cell(_epsilon(item.get("epsilon"))),
                cell(count(item.get("size"))),
            ),
            source=f"details:/files/{at}",
        )
        for at, item in enumerate(files)
    )
    table = Table(
        id="bundle-files",
        caption="Files of the bundle, whose data each shows, and at which ε",
        columns=columns("File", "Shows", "ε", "#Bytes"),
        rows=rows,
        note="ε 0: the file shows no data of anybody. No limit: the file shows those rows without "
        "differential privacy.",
    )
    return Section(id="files", title="Which files show whose data", blocks=(table,))


def _epsilon(value: object) -> str:
    if value == "infinite":
        return "no limit (∞)"
    return at_most(value) if finite(value) is not None else "not recorded"


def _attack(record: Record, privacy: Json, epsilon: float | None) -> Section | None:
    attack = privacy.get("attack")
    if not attack:
        return None
    place = "/privacy/attack"
    promise = None if epsilon is None else (epsilon, finite(privacy.get("delta")) or 0.0)
    sure = level(record)
    auc = finite(attack.get("auc"))
    told: Spans = say(
        f"As a test, an attack ({attack.get('method') or 'method not recorded'}) tried to tell ",
        plural(int(finite(attack.get("members")) or 0), "row of the training data", _MANY),
        f" from {count(attack.get('others'))} that were held out. ",
    )
    found: Spans = ()
    if auc is not None:
        spread = interval(attack.get("auc_lower"), attack.get("auc_upper"))
        found = say(
            "It ranked a training row above a held-out row in ",
            number(percent(auc), place),
            f" of pairs (AUC {decimal(auc)}, {sure} interval {spread}); guessing gives 50%.",
        )
    blocks: list[Block] = [paragraph(*told, *found), *_power(attack, sure, promise)]
    blocks += _roc(record, promise)
    blocks.append(
        paragraph(
            "One attack that finds little does not show that every attack would: the promise "
            "above, where there is one, is what bounds them all.",
            style="small",
        )
    )
    return Section(id="attack", title="What an attack achieved", blocks=tuple(blocks))


_MANY = "rows of the training data"


def _power(attack: Json, sure: str, promise: tuple[float, float] | None) -> Iterator[Block]:
    power, alarms = finite(attack.get("tpr")), finite(attack.get("fpr"))
    if power is None or alarms is None:
        return
    spread = interval(attack.get("tpr_lower"), attack.get("tpr_upper"), "percent")
    said = (
        f"At {percent(alarms)} false alarms it found ",
        number(percent(power), "/privacy/attack"),
        f" of the training rows ({sure} interval {spread}).",
    )
    yield paragraph(*said, _against(attack, alarms, promise))


def _against(attack: Json, alarms: float, promise: tuple[float, float] | None) -> str:
    """Hold the attack against the promise, at its own share of false alarms."""
    if promise is None:
        return ""
    most = ceiling(alarms, *promise)
    least = finite(attack.get("tpr_lower"))
    told = f" The promise allows at most {percent(most)} there."
    if attack.get("consistent") is False or (least is not None and least > most):
        return (
            f"{told} The attack exceeds it: promise and measurement contradict each other, and a "
            "person must find out why."
        )
    return f"{told} The attack stays within it."


def _roc(record: Record, promise: tuple[float, float] | None) -> Iterator[Block]:
    points = record.detail("membership").get("roc") or ()
    pairs = [
        (x, y)
        for point in points
        if (x := finite(point.get("fpr"))) is not None
        and (y := finite(point.get("tpr"))) is not None
    ]
    if len(pairs) < 2:
        return
    lines = [Line(label="attack", x=tuple(x for x, _ in pairs), y=tuple(y for _, y in pairs))]
    if promise is not None:
        grid = tuple(at / 50 for at in range(51))
        most = tuple(ceiling(x, *promise) for x in grid)
        lines.append(Line(label="ceiling that ε and δ allow", x=grid, y=most))
    chart = LineChart(
        title="Training rows found, by share of false alarms",
        description="The nearer the attack's line lies to guessing, the less it learnt."
        + (" The ceiling is what no attack can exceed." if promise is not None else ""),
        x=Axis(label="held-out rows wrongly accused", low=0, high=1, style="percent"),
        y=Axis(label="training rows found", low=0, high=1, style="percent"),
        lines=tuple(lines),
        diagonal="guessing",
    )
    rows = tuple(
        Row(cells=(cell(percent(x)), cell(percent(y))), source=f"details:/membership/roc/{at}")
        for at, (x, y) in enumerate(pairs)
    )
    table = Table(
        id="attack-roc-numbers",
        caption="Course of the attack",
        columns=columns("#Held-out rows wrongly accused", "#Training rows found"),
        rows=rows,
    )
    yield Figure(
        id="attack-roc",
        caption="The attack against guessing and against the promise",
        charts=(chart,),
        table=table,
    )
