"""A trained network with its encoder: score, attribute, and hand over the state."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from verticals.contract.model import DataContract, Target
from verticals.encode import Encoder
from verticals.errors import TrainingError
from verticals.explain import (
    Attributions,
    Background,
    additive_means,
    declared_background,
    explain_additive,
    explain_alone,
    explain_game,
    explain_paths,
    make_game,
)
from verticals.networks import AdditiveNetwork, heads
from verticals.plugin import Columns, State
from verticals.table import Array, Table
from verticals.torch_game import (
    Layered,
    LayeredBackground,
    background_points,
    layered_background,
    layered_game,
)
from verticals.torch_units import in_units, raw_outputs, shapes_in_units
from verticals.training import pick_device

ROWS_AT_ONCE = 16_384
SAMPLED_DRAWS = 16
MOST_EXACT, MOST_SAMPLED = 20_000, 1_000  # rows that evidence explains


class TorchModel:
    """A trained network with its encoder: scores, attributions, losses, state."""

    def __init__(
        self,
        *,
        network: nn.Module,
        encoder: Encoder,
        contract: DataContract,
        device: str,
        privacy: Mapping[str, Any] | None,
        training: Mapping[str, Any],
        shift: Array,
        resources: Mapping[str, str],
    ) -> None:
        self.encoder = encoder
        self.contract = contract
        self._shift = shift  # (width,): corrects the log-odds for how rare outcomes were learnt
        self._device = pick_device(device)
        self._network = network.to(self._device).eval()
        self._privacy = privacy
        self._training = training
        self._resources = resources

    @property
    def network(self) -> nn.Module:
        """Return the network, in evaluation mode: what maps of images are made of."""
        return self._network

    def predict(self, table: Table) -> Columns:
        """Return the score columns of the contract's targets.

        Raises `TrainingError` where the network gives NaN, as one does whose training diverged.
        """
        raw = self._raw(table)
        broken = int(np.isnan(raw).any(axis=1).sum())
        if broken:
            raise TrainingError(
                f"the network's scores are not finite in {broken} of {table.rows} rows",
                hint="train with a smaller learning rate, or clip gradients (option clip=1; under "
                "privacy --max-grad-norm)",
            )
        return heads.scores(raw, self.contract.targets)

    def state(self) -> State:
        """Return weights, encoder settings, training facts and the privacy record."""
        tensors = {
            name: value.detach().cpu().numpy() for name, value in self._network.state_dict().items()
        }
        settings = {
            "encoder": self.encoder.settings(),
            "training": dict(self._training),
            "privacy": self._privacy,
        }
        if self._shift.any():
            settings["prior_shift"] = self._shift.tolist()
        if self._resources:
            settings["resources"] = dict(self._resources)
        return State(tensors=tensors, settings=settings)

    def attributions(self, table: Table) -> Attributions:
        """Return Shapley values of the scores: exact for an additive network, else sampled.

        They are in log-odds, and of a numeric target in its own unit, before it is clipped.
        """
        return in_units(self._raw_attributions(table), self.contract.targets)

    def missing_unseen(self, table: Table) -> Mapping[str, int]:
        """Count the missing values of each tabular field that had none in training.

        Of such a value the model knows nothing; it adds what the field's declared values add on
        average. Empty where there is none, and under privacy, where no such fact is recorded.
        """
        never = set(self._training.get("never_missing", ()))
        found = self.encoder.missing(table, never) if never else {}
        return {name: count for name, count in found.items() if count}

    def _raw_attributions(self, table: Table) -> Attributions:
        blocks = self.encoder.encode(table)
        names, inputs = raw_outputs(self.contract.targets), self.encoder.inputs
        if self._additive is not None:
            terms, means = self._additive
            return explain_additive(terms, blocks, self._background, inputs, names, means=means)
        if self._layered is not None:
            layered = layered_game(self._network, blocks, self._layered, names, self._shift)
            return explain_paths(layered, draws=SAMPLED_DRAWS)
        points = background_points(self._background, self.encoder)
        game = make_game(self._score_blocks, blocks, points, inputs, names)
        if len(game.fields) == 1:
            return explain_alone(game)
        return explain_game(game, method="sampled", draws=SAMPLED_DRAWS)

    @property
    def most_explained(self) -> int:
        """Return how many rows evidence should explain: fewer where attributions are sampled."""
        return MOST_EXACT if self._additive is not None else MOST_SAMPLED

    @cached_property
    def _background(self) -> Background:
        return declared_background(self.contract.inputs, self.encoder)

    @cached_property
    def _layered(self) -> LayeredBackground | None:
        """Return what the background points add to the first layer of a layered network."""
        if not isinstance(self._network, Layered):
            return None
        points = background_points(self._background, self.encoder)
        return layered_background(self._network, points, tuple(self.encoder.inputs.where))

    @cached_property
    def _additive(self) -> tuple[_DoubleTerms, Array] | None:
        """Return an additive network's terms and their means over the background."""
        if not isinstance(self._network, AdditiveNetwork):
            return None
        terms = _DoubleTerms(self._network, self._shift)
        return terms, additive_means(terms, self._background, self.encoder.inputs)

    def row_losses(self, table: Table) -> Array:
        """Return (rows,) losses against the labels in the table; unlabelled rows are left out."""
        known = labelled(table, self.contract)
        raw = torch.from_numpy(self._raw(known))
        labels = {
            name: torch.from_numpy(column)
            for name, column in labels_of(known, self.contract.targets).items()
        }
        losses: Array = heads.row_losses(raw, self.contract.targets, labels).numpy()
        return losses

    def encoding_counts(self, table: Table) -> Table:
        """Count what was missing, clipped or undeclared in each field."""
        return self.encoder.counts(table)

    def shapes(self) -> Table:
        """Return the shape functions of an additive network, else an empty table.

        They are in log-odds, and of a numeric target in its own unit.
        """
        if not isinstance(self._network, AdditiveNetwork):
            return Table({})
        return shapes_in_units(self._network, self.contract.targets)

    def _raw(self, table: Table) -> Array:
        return self._score_blocks(self.encoder.encode(table))

    @torch.no_grad()
    def _score_blocks(self, blocks: Mapping[str, Array]) -> Array:
        """Return (rows, width) float64 raw scores, a bounded number of rows at a time."""
        rows = next(iter(blocks.values())).shape[0]
        parts = []
        for start in range(0, rows, ROWS_AT_ONCE):
            part = {
                name: torch.from_numpy(np.ascontiguousarray(block[start : start + ROWS_AT_ONCE]))
                for name, block in blocks.items()
            }
            raw: Tensor = self._network({k: v.to(self._device) for k, v in part.items()})
            parts.append(raw.double().cpu().numpy() + self._shift)
        width = heads.width(self.contract.targets)
        return np.concatenate(parts) if parts else np.zeros((0, width))


class _DoubleTerms:
    """Read an additive network's terms in double precision, so that they add up exactly."""

    def __init__(self, network: AdditiveNetwork, shift: Array) -> None:
        kept = {id(network.inputs): network.inputs}  # shared: declarations never change
        self._network = copy.deepcopy(network, kept).cpu().double().eval()
        self._shift = shift
        self.players = network.players

    @torch.no_grad()
    def terms(self, blocks: Mapping[str, Array]) -> Array:
        """Return (rows, terms, outputs)."""
        tensors = {name: torch.from_numpy(np.array(block)) for name, block in blocks.items()}
        found: Array = self._network.terms({k: v.double() for k, v in tensors.items()}).numpy()
        return found

    def bias(self) -> Array:
        """Return (outputs,)."""
        found: Array = self._network.bias.detach().numpy() + self._shift
        return found


def labelled(table: Table, contract: DataContract) -> Table:
    """Return the rows that have a label for at least one target."""
    if not contract.targets:
        return table
    known = [~np.isnan(table[target.name]) for target in contract.targets]
    return table.take(np.any(known, axis=0))


def labels_of(table: Table, targets: Sequence[Target]) -> dict[str, Array]:
    """Return float32 (rows,) labels by target."""
    return {target.name: np.asarray(table[target.name], dtype=np.float32) for target in targets}
