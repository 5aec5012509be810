"""Score one event at a time, with the same derived fields as in batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.contract import bind
from verticals.plugin import State
from verticals.table import Table

if TYPE_CHECKING:
    from verticals.api.scorer import Scorer


class OnlineScorer:
    """Hold a scorer and the running state of its derived fields. Made by `Scorer.online`."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        features = scorer.vertical.features
        self._stream = features.stream() if features is not None else None

    def push(self, event: Mapping[str, Any], *, reasons: int = 0) -> dict[str, Any]:
        """Score one raw event (source column -> value), then take it into the state.

        Returns one plain value for each output, `decision` in the target's own values, and a list
        `reasons` where they are asked for. Raises `ContractError` for an event that does not fit
        the contract; the state is then unchanged.
        """
        scorer = self._scorer
        raw = Table({name: _one(value) for name, value in event.items()})
        table = bind(scorer.bundle.contract, raw, targets=False, audited=False).table
        if self._stream is not None:
            derived = self._stream.push({name: table[name][0] for name in table})
            table = table.with_columns({name: np.asarray([v]) for name, v in derived.items()})
        scored = scorer.scored(table, reasons)
        result = {
            name: _plain(column[0]) for name, column in scored.items() if name[:7] != "reason_"
        }
        if reasons:
            texts = [scored[f"reason_{place + 1}"][0] for place in range(reasons)]
            result["reasons"] = [text for text in texts if text is not None]
        return result

    def save(self) -> State:
        """Return the running state: private data, to be kept apart from the bundle."""
        return self._stream.save() if self._stream is not None else State(tensors={}, settings={})

    def restore(self, state: State) -> None:
        """Take a saved state up again."""
        if self._stream is not None:
            self._stream.restore(state)


def _one(value: Any) -> Any:
    """Return a column of one row; text and None stay objects."""
    if isinstance(value, (str, type(None))):
        return np.array([value], dtype=object)
    return np.asarray([value])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
