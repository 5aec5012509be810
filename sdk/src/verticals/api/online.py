"""Score one event at a time, with the same derived fields as in batch."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from verticals.api.state_file import read_state, write_state
from verticals.api.unseen import CountsUnseen, missing_unseen
from verticals.contract import DataContract, bind
from verticals.contract.model import ID, LABEL_TIME, ROW, TIME
from verticals.data import labels_as_known
from verticals.errors import CallError
from verticals.plugin import Actions, LabelledStream, State
from verticals.table import Table

if TYPE_CHECKING:
    from verticals.api.scorer import Scorer


class OnlineScorer:
    """Hold a scorer and the running state of its derived fields. Made by `Scorer.online`.

    `row` is the last event as the model saw it, bound and derived values by name: a snapshot from
    which a decision can be examined again. It is private data, as is the state.
    """

    def __init__(self, scorer: Scorer, actions: Actions | None = None) -> None:
        self.row: Mapping[str, Any] = {}
        self._scorer = scorer
        self._actions = actions
        features = scorer.vertical.features
        self._stream = features.stream() if features is not None else None
        self._unseen: Counter[str] = Counter()
        self._counts_unseen = isinstance(scorer.model, CountsUnseen)  # too slow for each event

    def push(self, event: Mapping[str, Any], *, reasons: int = 0) -> dict[str, Any]:
        """Score one raw event (source column -> value), then take it into the state.

        Returns one plain value for each output, `decision` in the target's own values, a list
        `reasons` where they are asked for, and what the solution's actions add. Raises
        `ContractError` for an event that does not fit the contract, and `DataError` for one that
        comes too late, `CallError` for what is no event or no number of reasons; the state is then
        unchanged.
        """
        scorer = self._scorer
        if not isinstance(event, Mapping):
            raise CallError(
                f"an event is a {type(event).__name__}, expected a mapping from column to value"
            )
        if isinstance(reasons, bool) or not isinstance(reasons, int) or reasons < 0:
            raise CallError(f"reasons is {reasons!r}, expected a whole number from 0 up")
        raw = Table({name: _one(value) for name, value in event.items()})
        table = bind(scorer.bundle.contract, raw, targets=False, audited=False).table
        if self._stream is not None:
            derived = self._stream.push({name: table[name][0] for name in table})
            table = table.with_columns({name: np.asarray([v]) for name, v in derived.items()})
        scored = scorer.scored(table, reasons)
        if self._counts_unseen:
            self._unseen.update(missing_unseen(scorer.model, table))
        result = {
            name: _plain(column[0]) for name, column in scored.items() if name[:7] != "reason_"
        }
        if reasons:
            texts = [scored[f"reason_{place + 1}"][0] for place in range(reasons)]
            result["reasons"] = [text for text in texts if text is not None]
        self.row = {name: table[name][0] for name in table}
        if self._actions is not None:
            result.update(self._actions.decide(result, self.row))
        return result

    def label(self, event: Mapping[str, Any], value: Any, time: Any) -> None:
        """Take in a label that became known: of this raw event, at `time` (ISO 8601, or a time).

        `value` is in the target's own values; the event needs its entities and its time only.
        Raises `CallError` if no derived field reads labels, `ContractError` or `DataError` for
        what does not fit.
        """
        if not isinstance(self._stream, LabelledStream):
            raise CallError(
                f"solution {self._scorer.vertical.info.name!r} has no derived field that reads "
                "labels, expected none to be given"
            )
        known, label, bound = bind_label(self._scorer.bundle.contract, event, value, time)
        self._stream.label(bound, label, known)

    def warm_up(self, data: Any, *, encoding: str | None = None) -> int:
        """Take past events into the state without scoring them; return how many there were.

        They are taken in order of time, each label as soon as it was known where the data have
        labels. So a new stream starts with the histories that training saw.
        Raises as `push`, and `CallError` if the solution keeps no state.
        """
        stream, contract = self._stream, self._scorer.bundle.contract
        if stream is None or not contract.time:
            raise CallError(
                f"solution {self._scorer.vertical.info.name!r} keeps no state of past events"
            )
        raw = self._scorer.raw(data, encoding=encoding).table
        table = bind(contract, raw, targets=False, audited=False).table
        table = table.take(np.argsort(table[TIME], kind="stable"))
        labels = labels_as_known(contract, table) if isinstance(stream, LabelledStream) else []
        names = [name for name in table if name not in (ROW, ID)]
        columns = [table[name] for name in names]

        def event(row: int) -> dict[str, Any]:
            return {name: column[row] for name, column in zip(names, columns, strict=True)}

        for row in range(table.rows):
            while labels and labels[-1][0] < table[TIME][row]:
                known, of, value = labels.pop()
                cast(LabelledStream, stream).label(event(of), value, known)
            stream.push(event(row))
        for known, of, value in reversed(labels):  # they count from the time they are known
            cast(LabelledStream, stream).label(event(of), value, known)
        return table.rows

    @property
    def counters(self) -> Mapping[str, int]:
        """Return what the stream counted: late events, unknown entities, caps that bit, ….

        `missing_unseen_FIELD` counts, since this scorer was made, missing values of a field that
        had none in training.
        """
        unseen = {f"missing_unseen_{name}": count for name, count in self._unseen.items()}
        return {**getattr(self._stream, "counters", {}), **unseen}

    def save_to(self, path: str | Path) -> None:
        """Write the running state to a file of its own, in one step (see `api.state_file`)."""
        info = self._scorer.vertical.info
        write_state(
            path,
            self.save(),
            solution=info.name,
            state_version=info.state_version,
            bundle=self._scorer.digest,
        )

    def restore_from(self, path: str | Path) -> None:
        """Take up a state that `save_to` wrote, of this solution and these derived fields.

        Raises `DataError` if the file is damaged or of another version; the state is unchanged.
        """
        info = self._scorer.vertical.info
        self.restore(read_state(path, solution=info.name, state_version=info.state_version))

    def save(self) -> State:
        """Return the running state: private data, to be kept apart from the bundle."""
        return self._stream.save() if self._stream is not None else State(tensors={}, settings={})

    def restore(self, state: State) -> None:
        """Take a saved state up again."""
        if self._stream is not None:
            self._stream.restore(state)


def bind_label(
    contract: DataContract, event: Mapping[str, Any], value: Any, time: Any
) -> tuple[Any, float, dict[str, Any]]:
    """Return when a label became known, its value (1 for the positive one), and bound entities."""
    targets = contract.targets[:1]
    entities = tuple(dataclasses.replace(item, history=None) for item in contract.entities)
    few = dataclasses.replace(
        contract,
        fields=(),
        targets=targets,
        entities=entities,
        amount=None,
        decision=None,
        id="",
        group="",
        label_time="known" if contract.time else "",
        label_delay="",
    )
    columns = [item.column for item in entities] + [contract.time]
    raw = {name: _one(event[name]) for name in columns if name in event}
    known = _one(str(time) if isinstance(time, np.datetime64) else time)
    table = bind(few, Table({**raw, targets[0].column: _one(value), "known": known})).table
    bound = {name: table[name][0] for name in table}
    return table[LABEL_TIME][0], float(table[targets[0].name][0]), bound


def _one(value: Any) -> Any:
    """Return a column of one row; text and None stay objects."""
    if isinstance(value, (str, type(None))):
        return np.array([value], dtype=object)
    return np.asarray([value])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
