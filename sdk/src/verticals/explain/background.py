"""The declared background: what a field is compared with, without reading a row of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from verticals.contract.model import Field
from verticals.errors import ExplanationError
from verticals.plugin import Inputs
from verticals.table import Array


class Encodes(Protocol):
    """What the background needs of an encoder."""

    @property
    def inputs(self) -> Inputs:
        """Return where each field stands."""
        ...

    def encode_field(self, name: str, column: Array) -> Array:
        """Return the encoding of one field's bound column: (rows, *shape)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Background:
    """Hold, for each field, a few encoded values and their weights (which sum to 1).

    Fields are taken as independent of one another: attributions are interventional, over the
    product of these distributions.
    """

    values: Mapping[str, Array]  # field -> (points, *shape)
    weights: Mapping[str, Array]  # field -> (points,)

    def sample(self, count: int, seed: int) -> dict[str, Array]:
        """Draw `count` independent points of every field: {field: (count, *shape)}.

        Systematic draws: each field's weights are met as closely as `count` allows, and the
        fields are shuffled against one another by `seed`.
        """
        drawn: dict[str, Array] = {}
        for position, (name, values) in enumerate(self.values.items()):
            random = np.random.default_rng([seed, position])
            places = (np.arange(count) + random.random()) / count
            index = np.searchsorted(np.cumsum(self.weights[name])[:-1], places)
            drawn[name] = values[random.permutation(index)]
        return drawn


def declared_background(fields: Sequence[Field], encoder: Encodes) -> Background:
    """Build the background from the declarations alone.

    A field's `background` (value: weight) is used where the contract has one. Else a numeric
    field is spread evenly over its bins, a boolean, categorical or ordinal one over its declared
    values, and a block, an image, text or a sequence is compared with its zero encoding.
    """
    values: dict[str, Array] = {}
    weights: dict[str, Array] = {}
    for item in fields:
        if item.name not in encoder.inputs.where:
            continue
        column, weight = _declared_values(item, encoder.inputs.edges.get(item.name, ()))
        if column is None:
            values[item.name] = _zero(encoder.inputs, item.name)
            weights[item.name] = np.ones(1)
            continue
        values[item.name] = encoder.encode_field(item.name, column)
        weights[item.name] = weight / weight.sum()
    return Background(values=values, weights=weights)


def _declared_values(item: Field, edges: Sequence[float]) -> tuple[Array | None, Array]:
    """Return the bound values and weights that a declaration gives, or None for no such kind."""
    if item.columns or item.kind not in ("numeric", "boolean", "categorical", "ordinal"):
        return None, np.ones(1)
    if item.background:
        weight = np.array([float(value) for value in item.background.values()])
        if not np.all(np.isfinite(weight)) or weight.min() < 0 or weight.sum() <= 0:
            raise ExplanationError(
                f"field {item.name!r}: background weights must be finite, not negative and not "
                "all zero",
                hint="verticals contract check CONTRACT --data DATA",
            )
        codes = [_bound_value(item, text) for text in item.background]
        coded = item.kind in ("categorical", "ordinal")
        return np.array(codes, dtype=np.int32 if coded else np.float64), weight
    if item.kind == "numeric":
        points = np.asarray(edges if len(edges) > 1 else (item.bounds or (0.0, 1.0)), dtype=float)
        middles = (points[:-1] + points[1:]) / 2.0
        return middles, np.ones(len(middles))
    count = 2 if item.kind == "boolean" else len(item.values)
    kind = np.float64 if item.kind == "boolean" else np.int32
    return np.arange(count).astype(kind), np.ones(count)


def _bound_value(item: Field, text: str) -> float:
    """Turn a declared background value into its bound form."""
    if item.kind in ("categorical", "ordinal"):
        if text not in item.values:
            raise ExplanationError(
                f"field {item.name!r}: background value {text!r} is not among {list(item.values)}",
                hint="verticals contract check CONTRACT --data DATA",
            )
        return item.values.index(text)
    named = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
    try:
        return named[text] if text in named else float(text)
    except ValueError:
        raise ExplanationError(
            f"field {item.name!r}: background value {text!r} is not a number",
            hint="verticals contract check CONTRACT --data DATA",
        ) from None


def _zero(inputs: Inputs, name: str) -> Array:
    """Return the zero encoding of one row of a field."""
    block, where = inputs.where[name]
    shape = inputs.shapes[block]
    if len(shape) == 1:
        return np.zeros((1, len(range(*where.indices(shape[0])))), dtype=np.float32)
    return np.zeros((1, *shape), dtype=np.float32)
