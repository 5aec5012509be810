"""Conformance checks that need no training: imports, contract, demo data, derived fields."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from verticals.contract import bind, dump_contract, parse_contract, unreviewed
from verticals.contract.model import ROW, TIME
from verticals.data import labels_as_known
from verticals.plugin import OFFERS, LabelledStream
from verticals.registry import HEAVY_PACKAGES
from verticals.table import Array, Table
from verticals.testing.subject import Subject
from verticals.testing.verdicts import NotOffered, require

_STREAMED = 1_500  # events pushed one by one

_DISCOVER = """
import json, sys
from verticals import registry
found = registry.discover()
names = [item.info.name for item in found.solutions]
heavy = [name for name in json.loads(sys.argv[1]) if name in sys.modules]
blamed = {item.distribution: item.message for item in found.problems if item.served}
print(json.dumps({"names": names, "heavy": heavy, "blamed": blamed}))
"""


def check_light_import(subject: Subject) -> None:
    """Discovery in a fresh process imports none of the heavy packages.

    What the plugin of another distribution imports is not held against this one.
    """
    done = subprocess.run(
        [sys.executable, "-c", _DISCOVER, json.dumps(sorted(HEAVY_PACKAGES))],
        capture_output=True,
        text=True,
        check=False,
    )
    require(done.returncode == 0, "discovery in a fresh process failed")
    seen = json.loads(done.stdout.splitlines()[-1])
    require(subject.name in seen["names"], f"{subject.name} is not found in a fresh process")
    own = seen["blamed"].get(subject.vertical.distribution, "")
    require(not own, own)
    unexplained = seen["heavy"] if not seen["blamed"] else []
    require(not unexplained, f"discovery imports {', '.join(unexplained)}, expected none")


def check_description_complete(subject: Subject) -> None:
    """The description says what it is for, what it is not for, and what data it needs."""
    info = subject.vertical.info
    for name in ("summary", "intended_use", "not_for", "requirements"):
        require(bool(getattr(info, name)), f"SolutionInfo.{name} is empty, expected words")
    require(info.offers <= OFFERS, f"offers {sorted(info.offers - OFFERS)} are not known")


def check_contract_complete(subject: Subject) -> None:
    """The demo's contract survives writing and reading, is reviewed, and fits the demo's data."""
    contract, raw = subject.demo
    again = parse_contract(dump_contract(contract))
    require(again == contract, "the contract changes when it is written and read again")
    require(not unreviewed(contract), f"drafted values are left: {unreviewed(contract)}")
    require(
        contract.solution == subject.name,
        f"the contract is for {contract.solution!r}, expected {subject.name!r}",
    )
    require(raw.rows > 0, "the demo has 0 rows, expected some")
    require(len(contract.inputs) > 0, "the contract has no field that the model reads")
    bind(contract, raw)


def check_demo_repeats(subject: Subject) -> None:
    """Two calls of the demo give the same contract and the same rows."""
    first_contract, first = subject.vertical.solution.demo()
    second_contract, second = subject.vertical.solution.demo()
    require(first_contract == second_contract, "two calls of the demo give different contracts")
    require(_same(first, second), "two calls of the demo give different rows")


def check_features_repeat(subject: Subject) -> None:
    """Derived fields are declared, complete, and leave the other columns as they were."""
    features = subject.derived.features
    if features is None:
        raise NotOffered("no derived fields")
    base = subject.plain
    derived = [item.name for item in features.fields]
    again = features.batch(base)
    require(
        set(again) == set(base) | set(derived),
        f"batch gives the columns {sorted(set(again) - set(base))}, expected {sorted(derived)}",
    )
    require(_same(again.select(list(base)), base), "batch changes columns that it did not derive")


def check_batch_equals_stream(subject: Subject) -> None:
    """Events pushed one by one, with a save and restore midway, get what the batch gets."""
    features = subject.derived.features
    if features is None:
        raise NotOffered("no derived fields")
    derived = [item.name for item in features.fields]
    contract, _ = subject.demo
    base = subject.events.take(slice(0, _STREAMED))
    expected = features.batch(base)
    stream = features.stream()
    labels = labels_as_known(contract, base)
    for row in range(base.rows):
        if row == base.rows // 2:
            saved = stream.save()
            stream = features.stream()
            stream.restore(saved)
        if isinstance(stream, LabelledStream):
            while labels and labels[-1][0] < base[TIME][row]:
                known, of, value = labels.pop()
                stream.label({name: base[name][of] for name in base}, value, known)
        seen = stream.push({name: base[name][row] for name in base})
        for name in derived:
            require(
                bool(np.isclose(seen[name], expected[name][row], equal_nan=True).all()),
                f"field {name!r} is {seen[name]!r} in the stream and {expected[name][row]!r} in "
                f"the batch at event {row + 1}",
            )


def check_no_future(subject: Subject) -> None:
    """What comes later changes no derived field of an earlier event."""
    features = subject.derived.features
    if features is None:
        raise NotOffered("no derived fields")
    derived = [item.name for item in features.fields]
    base = subject.events
    half = base.take(slice(0, base.rows // 2))
    whole = features.batch(base).select(derived).take(slice(0, half.rows))
    alone = features.batch(half).select(derived)
    require(_same(whole, alone), "later events change derived fields of earlier ones")


def _same(first: Table, second: Table) -> bool:
    """Tell whether two tables hold the same columns and values (NaN equals NaN)."""
    if list(first) != list(second) or first.rows != second.rows:
        return False
    return all(same_column(first[name], second[name]) for name in first if name != ROW)


def same_column(first: Array, second: Array) -> bool:
    """Tell whether two columns hold the same values (NaN equals NaN)."""
    if first.shape != second.shape:
        return False
    if first.dtype.kind in "fc" and second.dtype.kind in "fc":
        return bool(np.array_equal(first, second, equal_nan=True))
    if first.dtype == object or second.dtype == object:
        pairs = zip(first.reshape(-1), second.reshape(-1), strict=True)
        return all(a is b or _same_value(a, b) for a, b in pairs)
    return bool(np.array_equal(first, second))


def _same_value(first: object, second: object) -> bool:
    """Tell whether two entries of a column are the same: values, or the lists of a sequence."""
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape:
        return False
    return bool(np.all((one == other) | ((one != one) & (other != other))))


DATA_CHECKS = (
    check_light_import,
    check_description_complete,
    check_contract_complete,
    check_demo_repeats,
    check_features_repeat,
    check_batch_equals_stream,
    check_no_future,
)
