"""Describe the data: the contract, the split, who was audited, and what fell outside."""

from __future__ import annotations

from collections.abc import Iterator

from verticals_compliance.report.finding_text import output_name
from verticals_compliance.report.numerals import count, decimal, finite, percent, significant
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.sections import parts
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Cell,
    Definitions,
    Note,
    Row,
    Section,
    Spans,
    Table,
    below,
    cell,
    columns,
    paragraph,
    say,
)
from verticals_compliance.report.words import (
    KINDS,
    PARTS,
    ROLES,
    joined,
    plain,
    plural,
    sentence,
)


def section(record: Record) -> Section:
    """Return what the contract declares and what was counted."""
    contract = record.detail("contract")
    entries = [
        ("Contract", say(word(contract, "name"))),
        ("Description", say(sentence(word(contract, "description")))),
        ("Source", say(word(contract, "source"))),
        ("Licence", say(word(contract, "licence"))),
        *_keys(contract),
        *_events(contract),
    ]
    blocks: list[Block] = [
        paragraph(
            "A person owns the data contract: every column's role, its bounds or categories, and "
            "why. The software reads it and changes nothing in it."
        ),
        Definitions(entries=tuple((term, spans) for term, spans in entries if spans)),
        *_roles(contract),
        *_fields(contract),
        *_drafted(contract),
    ]
    inner = [parts.section(record), _people(record), _outside(record), _moved(record)]
    kept = tuple(item for item in inner if item is not None)
    return Section(id="data", title="Data", blocks=tuple(blocks), sections=kept)


def _keys(contract: Json) -> Iterator[tuple[str, Spans]]:
    said = {
        "id": "names a person or case; it is stored only as a keyed hash, or not at all",
        "group": "rows that share its value belong together; splits and privacy go by it",
        "time": "the split follows it: the oldest rows train, the newest are audited",
    }
    for key, meaning in said.items():
        if contract.get(key):
            yield f"Column of the {key}", say(f"{contract[key]}: {meaning}.")


def _events(contract: Json) -> Iterator[tuple[str, Spans]]:
    """Say what events are about, in which currency, and when their labels become known."""
    for item in contract.get("entities") or ():
        told = [f"{item.get('label') or item['name']}, column {item['column']}"]
        if item.get("owned"):
            told.append("each belongs to one group")
        if item.get("retired"):
            told.append("leaves the test once a positive label of it is known")
        history = item.get("history")
        if history:
            windows = ", ".join(history["windows"])
            told.append(
                f"its earlier events are summed up over {windows}, at most {count(history['cap'])} "
                "of them"
            )
        yield f"Entity {item['name']}", say("; ".join(told) + ".")
    amount = contract.get("amount")
    if amount:
        yield "Amount", say(f"Column {amount['column']}, in {amount['currency']}.")
    if contract.get("label_time"):
        yield "Labels", say(f"Known at the time in column {contract['label_time']}.")
    if contract.get("label_delay"):
        yield "Labels", say(f"Known {contract['label_delay']} after their event.")


def _roles(contract: Json) -> Iterator[Block]:
    fields = contract.get("fields") or ()
    inputs = sum(bool(item.get("is_input")) for item in fields)
    kept_out = [_title(f) for f in fields if f.get("role") == "protected" and not f.get("is_input")]
    used = [_title(f) for f in fields if f.get("role") == "protected" and f.get("is_input")]
    said = f"The model reads {plural(inputs, 'field')}."
    if kept_out:
        serve = "serves" if len(kept_out) == 1 else "serve"
        said += f" It does not read {joined(kept_out, 'or')}, which {serve} the audit only."
    yield paragraph(said)
    if used:
        told = (
            f"The contract lets the model read {joined(used)} although "
            f"{'it is' if len(used) == 1 else 'they are'} protected. A person must be able to say "
            "why, and on which legal ground."
        )
        yield Note(
            title="A protected field is a model input", blocks=(paragraph(told),), kind="warning"
        )


def _fields(contract: Json) -> Iterator[Table]:
    fields = contract.get("fields") or ()
    if not fields:
        return
    rows = tuple(
        Row(
            cells=(
                cell(_title(item), below(_column(item))),
                cell(_role(item), below(_use(item))),
                cell(_declared(item), below(sentence(word(item, "reason")))),
                cell(_direction(item)),
            ),
            source=f"details:/contract/fields/{at}",
        )
        for at, item in enumerate(fields)
    )
    yield Table(
        id="contract-fields",
        caption="Fields of the contract, with what is declared and why",
        columns=columns("Field", "Role", "Declared values and reason", "Direction"),
        rows=rows,
        note="Direction, as declared: “up” means that a higher value may only raise the score, "
        "“down” that it may only lower it, “free” that either may happen. An additive network "
        "keeps to it by construction.",
    )


def _title(item: Json) -> str:
    return str(item.get("label") or word(item, "name"))


def _column(item: Json) -> str:
    width = item.get("columns") or 1
    name = item.get("column") or word(item, "name")
    if width > 1:
        return f"{name}, {plural(width, 'column')}"
    if item.get("column"):
        return f"column {name}"
    reads = [str(key).lstrip("@") for key in item.get("reads") or ()]
    return f"derived; reads other rows of the {joined(reads)}" if reads else "derived"


def _role(item: Json) -> str:
    role = str(ROLES.get(word(item, "role"), word(item, "role")))
    return f"{role}; also a model input" if item.get("also_feature") else role


def _use(item: Json) -> str:
    return sentence(word(item, "purpose"))


def _direction(item: Json) -> str:
    if not item.get("is_input"):
        return "–"
    return {"increasing": "up", "decreasing": "down"}.get(word(item, "monotone"), "free")


def _declared(item: Json) -> str:
    unit = f" {item['unit']}" if item.get("unit") else ""
    values = item.get("values") or ()
    parts = []
    bounds = item.get("bounds")
    if bounds:
        parts.append(f"{significant(bounds[0])} to {significant(bounds[1])}{unit}")
        if item.get("scale") not in (None, "", "linear"):
            parts.append(f"{item['scale']} scale")
    if values:
        named = [str(value.get("label") or value.get("value")) for value in values]
        more = f" and {count(len(named) - _MOST)} more" if len(named) > _MOST else ""
        parts.append(", ".join(named[:_MOST]) + more)
    if item.get("bands"):
        parts.append("bands cut at " + ", ".join(significant(cut) for cut in item["bands"]))
    if item.get("missing"):
        parts.append("missing when " + ", ".join(map(str, item["missing"])))
    return "; ".join(parts) or KINDS.get(word(item, "kind"), word(item, "kind"))


_MOST = 12  # categories that a cell names one by one


def _drafted(contract: Json) -> Iterator[Note]:
    marked = [_title(f) for f in contract.get("fields") or () if f.get("drafted")]
    if marked:
        told = (
            f"Bounds or categories of {joined(marked)} were read from the data by a draft and are "
            "not yet confirmed by a person."
        )
        yield Note(title="Not yet reviewed", blocks=(paragraph(told),), kind="warning")


def _people(record: Record) -> Section | None:
    groups = record.listed("groups")
    if not groups:
        return None
    first = groups[0].get("output")
    shown = [(at, item) for at, item in enumerate(groups) if item.get("output") == first]
    outcomes, decisions = _declares(record, str(first or ""))
    heads = ["Group", "#Rows"]
    heads += ["#Favourable outcomes"] if outcomes else []
    heads += ["#Favourable decisions"] if decisions else []
    rows = []
    for at, item in shown:
        cells = [
            cell(f"{item.get('label') or item.get('attribute')}: {_group(item)}"),
            cell(count(item.get("rows"))),
        ]
        if outcomes:
            cells.append(cell(_part(item.get("favourable_outcomes"), item.get("labelled"))))
        if decisions:
            cells.append(cell(_part(item.get("favourable_decisions"), item.get("rows"))))
        rows.append(Row(cells=tuple(cells), source=f"details:/groups/{at}"))
    table = Table(
        id="audited-groups",
        caption="Groups in the audited part",
        columns=columns(*heads),
        rows=tuple(rows),
        note="Counts as they are in the audited data; “suppressed” where a small count would be "
        "given away. Whether these people are those that the model will meet is for a person to "
        "judge.",
    )
    return Section(id="audited", title="Who was audited", blocks=(table,))


def _declares(record: Record, output: str) -> tuple[bool, bool]:
    """Tell whether an output's target has a favourable outcome, and whether it is decided on."""
    listed = record.listed("outputs")
    target = next((item.get("target") for item in listed if item.get("name") == output), "")
    contract = record.detail("contract")
    targets = contract.get("targets") or ()
    favourable = any(item.get("favourable") for item in targets if item.get("name") == target)
    decided = (contract.get("decision") or {}).get("target") == target
    return favourable, favourable and decided


def _group(item: Json) -> str:
    return str(item.get("group") or "not recorded")


def _part(value: object, whole: object) -> str:
    known, total = finite(value), finite(whole)
    if known is None:
        return "suppressed"
    return f"{count(known)} ({percent(known / total)})" if total else count(known)


def _outside(record: Record) -> Section | None:
    encoding = record.listed("encoding")
    if not encoding:
        return None
    rows = []
    for at, item in enumerate(encoding):
        counts = [finite(item.get(key)) or 0 for key in ("missing", "below", "above", "other")]
        if any(counts):
            cells = (
                cell(f"{record.label(word(item, 'field'))}, {_place(item)}"),
                cell(count(item.get("rows"))),
                *(_share(item.get(k), item) for k in ("missing", "below", "above", "other")),
            )
            rows.append(Row(cells=cells, source=f"details:/encoding/{at}"))
    said = (
        "Values below or above the declared bounds are moved to the bound, and values outside the "
        "declared categories count as “other”. Missing values are a case of their own. "
    )
    if not rows:
        said += "In this record no value was missing or outside."
        return Section(id="outside", title="What fell outside", blocks=(paragraph(said),))
    table = Table(
        id="outside-counts",
        caption="Values missing or outside the declarations (fields without any are left out)",
        columns=columns("Field and part", "#Rows", "#Missing", "#Below", "#Above", "#Other"),
        rows=tuple(rows),
    )
    return Section(id="outside", title="What fell outside", blocks=(paragraph(said), table))


def _place(item: Json) -> str:
    part = word(item, "part")
    return PARTS.get(part, plain(part))


def _share(value: object, item: Json) -> Cell:
    known, rows = finite(value), finite(item.get("rows"))
    if not known:
        return cell("0" if known == 0 else "–")
    return cell(f"{count(known)} ({percent(known / rows)})" if rows else count(known))


def _moved(record: Record) -> Section | None:
    found = [(at, item) for at, item in enumerate(record.listed("distribution"))]
    found = [pair for pair in found if finite(pair[1].get("psi")) is not None]
    if not found:
        return None
    found.sort(key=lambda pair: (-(finite(pair[1]["psi"]) or 0.0), pair[0]))
    rows = tuple(
        Row(
            cells=(cell(_moved_name(record, item)), cell(decimal(item["psi"]))),
            source=f"details:/distribution/{at}",
        )
        for at, item in found
    )
    table = Table(
        id="population-stability",
        caption="Population stability index, training part against audited part, by field and "
        "output",
        columns=columns("Field or output", "#Index (PSI)"),
        rows=rows,
        folded=len(rows) > _MOST,
    )
    largest = found[0][1]
    said = (
        f"The largest shift is in {_moved_name(record, largest)} "
        f"(PSI {decimal(largest['psi'])}). An index of 0 means the same distribution. Credit "
        "practice often reads less than 0.1 as stable and more than 0.25 as a marked shift; "
        "these are habits, not law."
    )
    items = Bullets(items=(say(said),))
    return Section(id="shift", title="Has the population moved?", blocks=(items, table))


def _moved_name(record: Record, item: Json) -> str:
    """Name a field by its label, and one of the model's outputs as such."""
    name = word(item, "field")
    label = str(item.get("label") or "")
    if any(output.get("name") == name for output in record.listed("outputs")):
        return f"{output_name(record, name)} (output of the model)"
    return label if label and label != name else record.label(name)
