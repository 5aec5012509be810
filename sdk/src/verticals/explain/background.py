"""The declared background: what a field is compared with, without reading a row of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from verticals.contract.model import Field
from verticals.encode.kinds import TABULAR
from verticals.encode.neutral import declared_values
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
    values (of a block, all columns alike), and an image, text or a sequence is compared with its
    zero encoding.

    Raises `ContractError` where a declared background does not fit its field.
    """
    values: dict[str, Array] = {}
    weights: dict[str, Array] = {}
    for item in fields:
        if item.name not in encoder.inputs.where:
            continue
        if item.kind not in TABULAR:
            values[item.name] = _zero(encoder.inputs, item.name)
            weights[item.name] = np.ones(1)
            continue
        column, weight = declared_values(item, encoder.inputs.edges.get(item.name, ()))
        if item.columns:  # the columns of a block rise together
            column = np.repeat(column[:, None], len(item.columns), axis=1)
        values[item.name] = encoder.encode_field(item.name, column)
        weights[item.name] = weight
    return Background(values=values, weights=weights)


def _zero(inputs: Inputs, name: str) -> Array:
    """Return the zero encoding of one row of a field."""
    block, where = inputs.where[name]
    shape = inputs.shapes[block]
    if len(shape) == 1:
        return np.zeros((1, len(range(*where.indices(shape[0])))), dtype=np.float32)
    return np.zeros((1, *shape), dtype=np.float32)
