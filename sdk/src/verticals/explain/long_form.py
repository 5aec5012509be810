"""Attributions as the rows of `attributions.parquet`."""

from __future__ import annotations

import numpy as np

from verticals.explain.attributions import (
    LOG_ODDS,
    PROBABILITY_SHARE,
    VALUE,
    Attributions,
    probability_shares,
    sigmoid,
)
from verticals.table import Array, Table


def long_attributions(found: Attributions, ids: Array, probability: frozenset[str]) -> Table:
    """Turn attributions into the long form of `attributions.parquet`; `ids` is (rows,)."""
    names = np.array([*found.fields, "base"], dtype=object)
    rows, players = len(ids), len(names)
    pieces: list[dict[str, Array]] = []
    for place, output in enumerate(found.outputs):
        in_odds = output in probability
        value = np.column_stack(
            [found.values[:, place, :], np.full(rows, found.base[place])]
        )  # (rows, fields + 1)
        error = np.full((rows, players), np.nan)
        if found.standard_error is not None:
            error[:, :-1] = found.standard_error[:, place, :]
        parts = [(LOG_ODDS if in_odds else VALUE, value, error)]
        if in_odds:
            base = np.full(rows, sigmoid(found.base[place]))
            share = np.column_stack([probability_shares(found, place), base])
            parts.append((PROBABILITY_SHARE, share, np.full((rows, players), np.nan)))
        for part, values, errors in parts:
            piece: dict[str, Array] = {
                "id": np.repeat(ids, players),
                "output": np.full(rows * players, output, dtype=object),
                "field": np.tile(names, rows),
                "part": np.full(rows * players, part, dtype=object),
                "value": values.reshape(-1),
            }
            if found.standard_error is not None:
                piece["standard_error"] = errors.reshape(-1)
            pieces.append(piece)
    return Table({name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]})
