"""Attribution problems of torch networks: background points, and games on the first layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from verticals.encode import Encoder
from verticals.explain import Background, LayeredGame
from verticals.table import Array

BACKGROUND_POINTS = 64


@runtime_checkable
class Layered(Protocol):
    """A network whose first layer adds up what each field contributes, as every linear one does.

    Its attributions then cost the layers beyond the first alone.
    """

    def contributions(self, blocks: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return field -> (rows, members, hidden); a field that is not read may be absent."""
        ...

    def beyond(self, first: Tensor) -> Tensor:
        """Return raw scores (rows, width) of sums of contributions (rows, members, hidden)."""
        ...


@dataclass(frozen=True, kw_only=True)
class LayeredBackground:
    """Hold what the background points add to a layered network's first layer, field by field."""

    contributions: Array  # (points, fields, units)
    shape: tuple[int, ...]  # of the units: (members, hidden)
    fields: tuple[str, ...]


def layered_background(
    network: nn.Module, points: Mapping[str, Array], fields: tuple[str, ...]
) -> LayeredBackground:
    """Return the background's part of a layered game; it is the same for every row."""
    found, shape = _contributions(network, points, fields)
    return LayeredBackground(contributions=found, shape=shape, fields=fields)


def layered_game(
    network: nn.Module,
    blocks: Mapping[str, Array],
    background: LayeredBackground,
    outputs: Sequence[str],
    shift: Array,
) -> LayeredGame:
    """Set up the game on the sums of a layered network's first layer.

    `blocks` are the rows to explain; `shift` is added to the scores.
    """
    assert isinstance(network, Layered)
    device = next(network.parameters()).device
    own, _ = _contributions(network, blocks, background.fields)

    @torch.no_grad()
    def beyond(sums: Array) -> Array:
        first = torch.from_numpy(sums).to(device).reshape(-1, *background.shape)
        scores: Array = network.beyond(first).double().cpu().numpy() + shift
        return scores

    return LayeredGame(
        beyond=beyond,
        contributions=own,
        background=background.contributions,
        fields=background.fields,
        outputs=tuple(outputs),
    )


@torch.no_grad()
def _contributions(
    network: nn.Module, blocks: Mapping[str, Array], fields: tuple[str, ...]
) -> tuple[Array, tuple[int, ...]]:
    """Return (rows, fields, units), and the shape of the units; 0 for a field that is not read."""
    assert isinstance(network, Layered)
    device = next(network.parameters()).device
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(block)).to(device)
        for name, block in blocks.items()
    }
    found = network.contributions(tensors)
    some = next(iter(found.values()))
    parts = [found.get(name, torch.zeros_like(some)) for name in fields]
    stacked = torch.stack(parts, dim=1)  # (rows, fields, members, hidden)
    return stacked.flatten(2).cpu().numpy(), tuple(stacked.shape[2:])


def background_points(background: Background, encoder: Encoder) -> dict[str, Array]:
    """Draw background points and lay them out in blocks."""
    drawn = background.sample(BACKGROUND_POINTS, seed=0)
    blocks = {
        name: np.zeros((BACKGROUND_POINTS, *shape), dtype=np.float32)
        for name, shape in encoder.inputs.shapes.items()
    }
    for name, values in drawn.items():
        block, where = encoder.inputs.where[name]
        blocks[block][:, where] = values
    return blocks
