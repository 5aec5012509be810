"""Conformance checks on trained models: scores, saving, privacy, attributions, errors."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np

from verticals.api import open_scorer
from verticals.api.privacy_form import record_problems
from verticals.api.vertical import default_options
from verticals.collect import Attributes
from verticals.contract import bind
from verticals.contract.model import MISSING
from verticals.errors import VerticalsError
from verticals.evidence import open_evidence
from verticals.explain import sigmoid
from verticals.plugin import Columns, Setup
from verticals.table import Array, Table
from verticals.testing.data_checks import same_column
from verticals.testing.subject import Subject
from verticals.testing.verdicts import CheckFailed, NotOffered, require
from verticals.testing.watch import watched

# One row and its batch may differ by the rounding of float32 sums in another order.
ROUNDING = 1e-5

_SCORE = """
import json, sys
import verticals, numpy as np
from verticals.testing.subject import make_subject
from pathlib import Path
subject = make_subject(sys.argv[1], Path(sys.argv[3]))
scorer = verticals.open(sys.argv[2], device="cpu")
columns = scorer.columns(subject.bound)
print(json.dumps({name: [v if isinstance(v, str) else float(v).hex() for v in column.tolist()]
                  for name, column in columns.items()}))
"""


def check_repeats_without_privacy(subject: Subject) -> None:
    """The same seed gives the same bundle, byte for byte, where training is not private."""
    first = subject.train("plain", no_privacy=True)
    second = subject.train("again", no_privacy=True)
    require(
        first.digest == second.digest,
        f"two trainings with one seed have digests {first.digest[:20]}… and {second.digest[:20]}…",
    )


def check_scores_in_range(subject: Subject) -> None:
    """Every declared output is there, finite, and in the range of its kind."""
    scorer = subject.scorer
    columns = scorer.columns(subject.bound)
    declared = {output.name: output for output in scorer.finish.outputs}
    require(
        set(columns) == set(declared),
        f"outputs are {sorted(columns)}, declared are {sorted(declared)}",
    )
    for name, output in declared.items():
        column = np.asarray(columns[name])
        require(column.shape == (subject.bound.rows,), f"{name} has shape {column.shape}")
        if output.kind in ("set", "text"):
            continue
        require(bool(np.isfinite(column).all()), f"{name} has values that are not finite")
        if output.kind == "probability":
            require(
                bool(column.min() >= 0 and column.max() <= 1),
                f"{name} reaches from {column.min():g} to {column.max():g}, expected 0 to 1",
            )
        if output.kind == "flag":
            require(set(np.unique(column)) <= {0.0, 1.0}, f"{name} has values beyond 0 and 1")


def check_input_unchanged(subject: Subject) -> None:
    """Scoring leaves the table as it was, lists inside its columns too."""
    table = subject.bound
    own = Table({name: copy.deepcopy(table[name]) for name in table})  # no other check has it
    before = {name: copy.deepcopy(own[name]) for name in own}
    subject.scorer.columns(own)
    for name, column in before.items():
        require(same_column(column, own[name]), f"scoring changed the column {name!r}")


def check_keeps_to_itself(subject: Subject) -> None:
    """Training and scoring open no connection, print nothing, and leave the working folder alone.

    What a solution prints may be somebody's data, and stdout belongs to the command.
    """
    subject.train("plain", no_privacy=True)
    scorer = subject.scorer
    with watched(subject.seen):
        scorer.columns(subject.bound)
    seen = subject.seen
    require(not seen.calls, f"it opens a connection to {', '.join(sorted({*seen.calls}))}")
    require(not seen.printed, f"it prints {' and '.join(seen.printed)} to stdout")
    require(not seen.files, f"it writes into the working folder: {', '.join(seen.files[:3])}")


def check_row_order_irrelevant(subject: Subject) -> None:
    """Scores go with their rows when the rows are shuffled."""
    table = subject.bound
    order = np.random.default_rng(5).permutation(table.rows)
    _require_close(
        {name: column[order] for name, column in subject.scorer.columns(table).items()},
        subject.scorer.columns(table.take(order)),
        "shuffled rows",
    )


def check_one_row_equals_batch(subject: Subject) -> None:
    """A row gets the same score alone as among others."""
    table = subject.bound
    rows = list(range(0, table.rows, max(1, table.rows // 7)))
    batch = subject.scorer.columns(table)
    for row in rows:
        _require_close(
            {name: column[row : row + 1] for name, column in batch.items()},
            subject.scorer.columns(table.take([row])),
            f"row {row + 1} alone",
        )


def check_protected_fields_unused(subject: Subject) -> None:
    """Changing protected fields and strata changes no score, unless they are declared features."""
    contract, _ = subject.demo
    unused = [item.name for item in contract.audited if not item.is_input]
    present = [name for name in unused if name in subject.bound]
    if not present:
        raise NotOffered("no protected field or stratum in the demo")
    table = subject.bound
    changed = table.with_columns({name: table[name][::-1] for name in present})
    _require_close(
        subject.scorer.columns(table),
        subject.scorer.columns(changed),
        f"changed {', '.join(present)}",
    )


def check_missing_and_unseen(subject: Subject) -> None:
    """Rows with nothing known, and with values never seen, are scored, or flagged instead."""
    contract, _ = subject.demo
    table = subject.bound.take(slice(0, 5))
    blank, unseen = {}, {}
    for item in contract.inputs:
        column = table[item.name]
        if item.kind in ("categorical", "ordinal"):
            blank[item.name] = np.full_like(column, MISSING)
            unseen[item.name] = np.full_like(column, len(item.values))
        elif item.kind in ("numeric", "boolean"):
            blank[item.name] = np.full_like(column, np.nan)
            unseen[item.name] = column if item.kind == "boolean" else np.full_like(column, 1e12)
    for what, columns in (("missing", blank), ("never seen", unseen)):
        scored = subject.scorer.columns(table.with_columns(columns))
        outputs = subject.scorer.finish.outputs
        own = [item.name for item in outputs if item.kind == "flag" and item.name != "decision"]
        flags = [np.asarray(scored[name]) == 1 for name in own]
        flagged = np.any(flags, axis=0) if flags else np.zeros(table.rows, dtype=bool)
        for output in outputs:
            values = scored[output.name]
            if values.dtype.kind == "f":
                sound = np.isfinite(values) | (np.isnan(values) & flagged)
                require(bool(sound.all()), f"{output.name} is not finite where {what}")


def check_reloads_in_fresh_process(subject: Subject) -> None:
    """The bundle gives the very same scores in a fresh process."""
    result = subject.train("plain", no_privacy=True)
    done = subprocess.run(
        [sys.executable, "-c", _SCORE, subject.name, str(result.bundle), str(subject.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    kind = (done.stderr.strip().splitlines() or ["no word"])[-1].partition(":")[0]
    require(done.returncode == 0, f"a fresh process failed: {kind}")  # its text may quote rows
    seen = json.loads(done.stdout.splitlines()[-1])
    for name, column in subject.scorer.columns(subject.bound).items():
        expected = [v if isinstance(v, str) else float(v).hex() for v in column.tolist()]
        require(seen[name] == expected, f"{name} differs in a fresh process")


def check_scores_need_features_only(subject: Subject) -> None:
    """Raw data without targets, protected fields and strata can be scored."""
    contract, raw = subject.demo
    inputs = contract.inputs
    needed = {item.column for item in inputs} | {c for item in inputs for c in item.columns}
    needed |= {contract.id, contract.group, contract.time} & set(raw)
    needed |= {item.column for item in contract.entities}
    if contract.amount is not None:
        needed |= {contract.amount.column, contract.amount.currency_column}
    few = raw.select([name for name in raw if name in needed]).take(slice(0, 20))
    scored = subject.scorer.predict(few)
    require(scored.rows == few.rows, f"{scored.rows} rows scored, expected {few.rows}")


def check_private_training(subject: Subject) -> None:
    """Private training runs, keeps to its epsilon, records it, and differs from run to run."""
    if not subject.offers("private"):
        raise NotOffered("private training")
    first = subject.train("private", epsilon=3.0)
    contract, _ = subject.demo
    problems = record_problems(
        first.privacy,
        epsilon=3.0,
        delta=None,
        unit="group" if contract.group else "row",
        most=first.rows["train"],
    )
    require(not problems, f"the privacy record {'; '.join(problems)}")
    second = subject.train("private-again", epsilon=3.0)
    require(
        first.digest != second.digest,
        "two private trainings with one seed are the same: the noise follows the seed",
    )
    open_scorer(first.bundle, device="cpu").columns(subject.bound)


def check_attributions_add_up(subject: Subject) -> None:
    """Base and attributions add up to the raw score, for every row and output."""
    if not subject.offers("attributions"):
        raise NotOffered("attributions")
    model = subject.scorer.model
    require(isinstance(model, Attributes), "attributions are offered, but the model has none")
    if not isinstance(model, Attributes):
        return
    table = subject.bound.take(slice(0, 200))
    found = model.attributions(table)
    rebuilt = found.base[None, :] + found.values.sum(axis=2)
    error = float(np.abs(rebuilt - found.raw).max())
    scale = max(1.0, float(np.abs(found.raw).max()))
    require(error <= 1e-3 * scale, f"attributions miss the raw score by {error:.3g}")
    score = np.asarray(subject.scorer.model.predict(table).get("score", np.zeros(0)))
    if len(found.outputs) == 1 and score.size:
        gap = float(np.abs(sigmoid(found.raw[:, 0]) - score).max())
        require(gap <= 1e-3, f"the raw score that is explained misses the score by {gap:.3g}")
    require(
        found.values.shape == (table.rows, len(found.outputs), len(found.fields)),
        f"attributions have shape {found.values.shape}",
    )
    require(
        set(found.fields) <= {item.name for item in subject.scorer.contract.inputs},
        "attributions name fields that the contract does not declare as inputs",
    )


def check_reasons_count(subject: Subject) -> None:
    """Adverse decisions have reasons, and favourable ones have none."""
    if not subject.offers("reasons"):
        raise NotOffered("reasons")
    _, raw = subject.demo
    scored = subject.scorer.predict(raw.take(slice(0, 300)), reasons=3)
    contract = subject.scorer.contract
    require(contract.decision is not None, "reasons are offered without a decision")
    if contract.decision is None:
        return
    favourable = contract.target(contract.decision.target).favourable
    given = np.array([text is not None for text in scored["reason_1"]])
    declined = scored["decision"] != favourable
    require(bool((given <= declined).all()), "a favourable decision has an adverse reason")
    if not declined.any():
        raise NotOffered("no adverse decision among the demo's first rows")
    share = float(given[declined].mean())
    require(share >= 0.5, f"only {share:.0%} of the adverse decisions have a reason")


def check_online_equals_batch(subject: Subject) -> None:
    """One event at a time gets the score that the same rows get in batch."""
    if not subject.offers("online"):
        raise NotOffered("online scoring")
    _, raw = subject.demo
    few = raw.take(slice(0, 40))
    batch = subject.scorer.predict(few)
    online = subject.scorer.online()
    for row in range(few.rows):
        seen = online.push({name: few[name][row] for name in few})
        for name, value in seen.items():
            expected = batch[name][row]
            same = value == expected or (
                isinstance(value, float)
                and abs(value - float(expected)) <= ROUNDING * scale_of(batch[name])
            )
            require(same, f"event {row + 1}: {name} is {value} online, {expected} in batch")


def check_errors_are_clear(subject: Subject) -> None:
    """Data that cannot be learnt from are refused as a `VerticalsError`, or learnt from."""
    contract, raw = subject.demo
    table = subject.derived.derive(bind(contract, raw).table)
    full = subject.derived.contract_with_derived(contract)
    setup = Setup(contract=full, options=default_options(subject.vertical.info), device="cpu")
    for rows in (0, 1, 2):
        few = table.take(slice(0, rows))
        nothing = few.take(slice(0, 0))
        parts = {"train": few, "validate": nothing, "calibrate": nothing, "test": nothing}
        try:
            subject.vertical.solution.fit(parts, setup)
        except VerticalsError:
            continue
        except Exception as error:
            kind = type(error).__name__
            raise CheckFailed(f"training on {rows} row(s) raises {kind}") from error


def check_evidence_complete(subject: Subject) -> None:
    """The evidence holds scores, decisions and groups, and no column of raw features."""
    result = subject.train("plain", no_privacy=True)
    evidence = open_evidence(result.evidence)
    scores = evidence.tables["scores"]
    contract, _ = subject.demo
    require(scores.rows > 0, "the evidence has 0 rows")
    for item in contract.audited:
        require(f"attr:{item.name}" in scores, f"the evidence lacks the groups of {item.name!r}")
    leaked = {item.name for item in contract.inputs} & set(scores)
    require(not leaked, f"the evidence holds raw features: {sorted(leaked)}")


def _require_close(expected: Columns, seen: Columns, what: str) -> None:
    for name in expected:
        moved = _moved(np.asarray(expected[name]), np.asarray(seen[name]))
        require(moved <= ROUNDING, f"{what}: {name} moved by {moved:.2g} of its range")


def _moved(first: Array, second: Array) -> float:
    """Return by how much a column moved at most, against its range; what is no number, by 1."""
    if first.dtype.kind not in "fc" or second.dtype.kind not in "fc":
        return 0.0 if same_column(first, second) else 1.0
    if not np.array_equal(np.isnan(first), np.isnan(second)):
        return 1.0
    apart = np.abs(first - second)
    return float(np.nanmax(apart, initial=0.0)) / scale_of(first) if apart.size else 0.0


def scale_of(column: Array) -> float:
    """Return what rounding of a column is held against: its largest number, 1 at least."""
    return max(1.0, float(np.nanmax(np.abs(column), initial=0.0)))


MODEL_CHECKS = (
    check_repeats_without_privacy,
    check_scores_in_range,
    check_input_unchanged,
    check_keeps_to_itself,
    check_row_order_irrelevant,
    check_one_row_equals_batch,
    check_protected_fields_unused,
    check_missing_and_unseen,
    check_reloads_in_fresh_process,
    check_scores_need_features_only,
    check_private_training,
    check_attributions_add_up,
    check_reasons_count,
    check_online_equals_batch,
    check_errors_are_clear,
    check_evidence_complete,
)
