"""Use an opened bundle: score in batch and online, explain, record evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from verticals.api.evidence_run import measure
from verticals.api.online import OnlineScorer
from verticals.api.raw import Raw, iter_raw, load_raw
from verticals.api.scores import finished_columns
from verticals.api.unseen import missing_unseen, unseen_notes
from verticals.api.vertical import Vertical
from verticals.bundle import Bundle
from verticals.collect import Attributes, output_infos, unit_index
from verticals.contract import DataContract, Note, bind, merged_notes
from verticals.contract.model import ID, ROW
from verticals.data import fingerprint, retired_rows
from verticals.errors import CallError, EvidenceError, ExplanationError
from verticals.evidence import RECOMPUTED
from verticals.explain import (
    Attributions,
    Reasons,
    adverse_sign,
    long_attributions,
    principal_reasons,
    reason_texts,
)
from verticals.plugin import Columns, Finish, Model
from verticals.table import Array, Table

#: Kinds of notes on rows beside others: a part of a file cannot count them.
_ACROSS_ROWS = frozenset({"duplicated-id", "mixed-zones", "out-of-order", "unseen"})


class Scorer:
    """A verified bundle, ready to score. Made by `verticals.open`."""

    def __init__(
        self, *, bundle: Bundle, vertical: Vertical, model: Model, contract: DataContract
    ) -> None:
        self.bundle = bundle
        self.vertical = vertical
        self.model = model
        self.contract = contract  # with the derived fields
        privacy = bundle.privacy or {}
        self.finish: Finish = vertical.finish_for(
            contract, privacy.get("epsilon"), bundle.settings["options"]
        )
        self.finish_settings: Mapping[str, Any] = bundle.settings["finish"]

    @property
    def digest(self) -> str:
        """Return the digest of the bundle."""
        return self.bundle.digest

    def bound(
        self,
        data: Any,
        *,
        targets: bool = False,
        encoding: str | None = None,
        skip_bad: bool = False,
    ) -> Table:
        """Read raw data, hold it against the contract, and derive the solution's fields."""
        return self.bind(self.raw(data, encoding=encoding, skip_bad=skip_bad).table, targets)

    def raw(self, data: Any, *, encoding: str | None = None, skip_bad: bool = False) -> Raw:
        """Read raw data and the files that it names; `skip_bad` leaves bad files' rows out."""
        return load_raw(
            self.bundle.contract,
            data,
            readers=self.vertical.readers,
            encoding=encoding,
            skip_bad=skip_bad,
        )

    def bind(self, raw: Table, targets: bool = False) -> Table:
        """Hold a raw table against the contract, and derive the solution's fields."""
        bound = bind(self.bundle.contract, raw, targets=targets, audited=targets)
        return self.vertical.derive(bound.table)

    def columns(self, table: Table) -> Columns:
        """Score a bound table: one array of (rows,) for each output, in the scale of the finish."""
        return finished_columns(
            self.vertical, self.contract, self.model, self.finish, self.finish_settings, table
        )

    def predict(self, data: Any, *, reasons: int = 0, encoding: str | None = None) -> Table:
        """Score raw data; needs the feature columns only.

        Returns the contract's id column where the data have it, the outputs, `decision` in the
        target's own values, and `reason_1 … reason_k` for adversely decided rows.
        """
        return self.scored(self.bound(data, encoding=encoding), reasons)

    def predict_stream(
        self,
        path: str | Path,
        *,
        reasons: int = 0,
        rows: int = 65_536,
        encoding: str | None = None,
        skip_bad: bool = False,
        notice: Callable[[str], None] | None = None,
    ) -> Iterator[Table]:
        """Score a file in chunks, in bounded memory.

        A solution with derived fields reads whole histories, and so gets the whole file at once.
        With `skip_bad` and without an id, `row` is the number of the row in the file.
        `notice` is told what was skipped, what is odd in the data and, at the end, which values
        do not fit the declarations.
        """
        if self.vertical.features is not None:
            parts = iter((self.raw(path, encoding=encoding, skip_bad=skip_bad),))
        else:
            parts = iter_raw(
                self.bundle.contract,
                path,
                readers=self.vertical.readers,
                rows=rows,
                encoding=encoding,
                skip_bad=skip_bad,
            )
        odd: tuple[Note, ...] = ()
        unseen: Counter[str] = Counter()
        count = 0
        for found in parts:
            count += 1
            bound = bind(self.bundle.contract, found.table, targets=False, audited=False)
            table = self.vertical.derive(bound.table)
            if notice is not None:
                odd = merged_notes((*odd, *bound.notes))
                unseen.update(missing_unseen(self.model, table))
                _, unscored = self.vertical.scored_rows(table, self.contract)
                for note in (*found.notes, *self.vertical.feature_notes(table), *unscored):
                    notice(note)
            scored = self.scored(table, reasons)
            if skip_bad and self.contract.id not in scored:
                # Rows may be missing: without an id nothing else says whose scores these are.
                scored = Table({"row": table[ROW], **scored})
            yield scored
        if notice is not None:
            for item in odd:
                if self._is_read(item.column) and (count == 1 or item.kind not in _ACROSS_ROWS):
                    notice(item.text)
            for text in unseen_notes(self.contract, unseen):
                notice(text)

    def _is_read(self, column: str) -> bool:
        """Tell whether scoring reads a column of the data; those of an audit it does not."""
        contract = self.bundle.contract
        fields = {name for item in contract.inputs for name in (item.column, *item.columns)}
        keys = {contract.id, contract.group, contract.time, *(e.column for e in contract.entities)}
        amount = contract.amount
        money = {amount.column, amount.currency_column} if amount else set()
        return column in (fields | keys | money) - {""}

    def scored(self, table: Table, reasons: int = 0) -> Table:
        """Return the scored columns of a bound table, as `predict` gives them."""
        columns = dict(self.columns(table))
        found: dict[str, Array] = {}
        if self.contract.id and ID in table:
            found[self.contract.id] = table[ID]
        found.update({name: value for name, value in columns.items() if name != "decision"})
        if "decision" in columns:
            found["decision"] = self._decided_values(columns["decision"])
        if reasons:
            texts = self.reasons(table, columns, count=reasons)
            for place in range(reasons):
                found[f"reason_{place + 1}"] = texts[:, place]
        return Table(found, rows=table.rows)

    def _decided_values(self, decision: Array) -> Array:
        decided = self.contract.decision
        target = self.contract.target(decided.target) if decided is not None else None
        if target is None or not target.positive:
            return decision
        other = target.negative or f"not {target.positive}"
        values = np.where(decision == 1.0, target.positive, other).astype(object)
        values[np.isnan(decision)] = None  # not scored, and so not decided
        return values

    def reasons(self, table: Table, columns: Columns, *, count: int) -> Array:
        """Return (rows, count) labels of the principal reasons of adversely decided rows."""
        if "decision" not in columns:
            raise CallError(
                f"bundle of {self.vertical.info.name!r} makes no decision, so there are no reasons",
                hint="leave --reasons out, or declare `decision:` in the contract and train again",
            )
        adverse_value = 1.0 if adverse_sign(self.contract) > 0 else 0.0
        adverse = np.asarray(columns["decision"]) == adverse_value
        texts = np.full((table.rows, count), None, dtype=object)
        if adverse.any():
            declined = table.take(adverse)
            found = self.attributions(declined)
            ranked = principal_reasons(
                found,
                self.contract,
                count=count,
                adverse=np.ones(declined.rows, dtype=bool),
            )
            labels = self._worded(reason_texts(ranked), ranked, declined)
            texts[adverse, : labels.shape[1]] = labels
        return texts

    def _worded(self, texts: Array, ranked: Reasons, table: Table) -> Array:
        """Say reasons in the solution's own words, with the row's values, where it has some."""
        say = self.vertical.wording
        if say is None:
            return texts
        for row in np.flatnonzero(~ranked.refused):
            values = {name: table[name][row] for name in table}
            for place in np.flatnonzero(ranked.fields[row] >= 0):
                field = self.contract.field(ranked.names[ranked.fields[row, place]])
                with self.vertical.running("wording"):
                    texts[row, place] = say(field, values, self.contract) or texts[row, place]
        return texts

    def attributions(self, table: Table) -> Attributions:
        """Return attributions for a bound table; raise `ExplanationError` if there are none."""
        if not isinstance(self.model, Attributes):
            raise ExplanationError(
                f"solution {self.vertical.info.name!r} does not offer attributions",
                hint=f"verticals describe {self.vertical.info.name}",
            )
        with self.vertical.running("attributions"):
            return self.model.attributions(table)

    def explain(self, data: Any, *, encoding: str | None = None, skip_bad: bool = False) -> Table:
        """Return attributions of raw data in long form: id, output, field, part, value.

        `part` is `log-odds` (exact or sampled Shapley values; `base` is the background's own
        score) or `log-odds share of the probability`; sampled methods add `standard_error`.
        """
        table = self.bound(data, encoding=encoding, skip_bad=skip_bad)
        ids = table[ID] if ID in table else np.arange(1, table.rows + 1)
        scored, _ = self.vertical.scored_rows(table, self.contract)
        found, ids = self.attributions(table.take(scored)), ids[scored]
        return long_attributions(found, ids, self._probability_outputs())

    def _probability_outputs(self) -> frozenset[str]:
        infos = output_infos(self.contract, self.finish.outputs)
        return frozenset(
            item.name
            for item in infos
            if item.kind == "probability" and item.target_kind == "binary"
        )

    def evidence(
        self,
        data: Any,
        *,
        out: str | Path,
        key: bytes | None = None,
        encoding: str | None = None,
        min_cell: int | None = None,
        skip_bad: bool = False,
    ) -> str:
        """Score new labelled data and write an evidence folder; return its digest.

        With `min_cell` the evidence is mergeable counts, cells below it suppressed, and no rows.
        Raises `ContractError` if the data lack a target, `EvidenceError` if they are empty.
        """
        raw = self.raw(data, encoding=encoding, skip_bad=skip_bad)
        table = self.bind(raw.table, targets=True)
        notes = (*raw.notes, *self.vertical.feature_notes(table))
        retired = retired_rows(table, self.contract)
        if retired.any():
            notes = (
                *notes,
                f"{int(retired.sum())} of {table.rows} rows are left out: they are of entities "
                "known by then to be compromised",
            )
            table = table.take(~retired)
        scored, unscored = self.vertical.scored_rows(table, self.contract)
        table, notes = table.take(scored), (*notes, *unscored)
        if table.rows == 0:
            raise EvidenceError("the data have 0 rows, expected labelled rows to measure")
        measured = measure(
            bundle_digest=self.bundle.digest,
            vertical=self.vertical,
            contract=self.contract,
            model=self.model,
            parts={"test": table},
            finish=self.finish,
            finish_settings=self.finish_settings,
            state_settings={},
            private=self.bundle.privacy is not None,
            fingerprint=fingerprint(table, key=key) if key else "",
            origin=RECOMPUTED,
            notes=notes,
        )
        if min_cell is not None:
            most = int(np.bincount(unit_index(table)).max())
            measured = measured.counted(min_cell, most)
        return measured.write(out)

    def online(self, **options: Any) -> OnlineScorer:
        """Return a scorer for one event at a time; raise `CallError` if that is not offered.

        `options` go to the solution's actions, where it has any: a policy, rules.
        """
        if "online" not in self.vertical.info.offers:
            raise CallError(
                f"solution {self.vertical.info.name!r} does not offer online scoring",
                hint=f"verticals describe {self.vertical.info.name}",
            )
        make = self.vertical.actions
        if make is None and options:
            raise CallError(
                f"solution {self.vertical.info.name!r} has no actions, so online() takes no "
                f"options, and {', '.join(sorted(options))} is given",
                hint=f"verticals describe {self.vertical.info.name}",
            )
        actions = make(self.contract, options) if make is not None and options else None
        return OnlineScorer(self, actions)
