"""A score without labels: how badly a network that knows the usual events rebuilds this one.

An autoencoder with a narrow middle (Hinton & Salakhutdinov 2006, Science 313, 504-507) learns to
reconstruct the encoded fields of the training part, fraudulent events included, as nobody has
labelled them. What it rebuilds badly is unlike what it has seen: a new pattern, or a rare honest
event. The score ranks; it is no probability and decides nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from verticals.collect import unit_index
from verticals.contract import DataContract
from verticals.encode import Encoder, build_encoder, encoder_from_settings
from verticals.errors import BundleError, ContractError
from verticals.explain import Attributions
from verticals.explain.attributions import checked
from verticals.history import history_features
from verticals.networks.cells import cells, flat_width, flatten
from verticals.networks.sequence import flat_inputs
from verticals.plugin import Columns, Features, Inputs, Output, Setup, State
from verticals.seeding import seeded
from verticals.table import Array, Table
from verticals.training import TrainOptions, pick_device, train_network, train_options
from verticals_fraud_detection import demo as payments

NAME = "novelty"

_ROWS_AT_ONCE = 16_384
_METHOD = "exact: each field's own share of the reconstruction error"


class Reconstruction(nn.Module):
    """Squeeze the encoded fields through a few numbers and rebuild them.

    A value that is missing or undeclared is its flag alone here. The neutral point that stands
    beside the flag elsewhere is a value that hardly an event has: to rebuild it badly would make
    every event with something missing a strange one.

    Returns, for each row and field, the mean squared error over the field's columns divided by the
    number of fields: (rows, fields), whose sum over the fields is the row's score.
    """

    members: Tensor
    unknown: Tensor
    cell: Tensor
    neutral: Tensor

    def __init__(self, inputs: Inputs, *, hidden: int = 64, code: int = 8) -> None:
        super().__init__()
        self.inputs = flat_inputs(inputs)
        columns = flat_width(self.inputs)
        self.rebuild = nn.Sequential(
            nn.Linear(columns, hidden),
            nn.ReLU(),
            nn.Linear(hidden, code),
            nn.Linear(code, hidden),
            nn.ReLU(),
            nn.Linear(hidden, columns),
        )
        self.register_buffer("members", _shares(self.inputs, columns), persistent=False)
        for name, buffer in _beside_flags(self.inputs, columns).items():
            self.register_buffer(name, buffer, persistent=False)
        self.train_options: Mapping[str, Any] = {
            "learning_rate": 2e-3,
            "batch_size": 512,
            "epochs": 8,
            "least_steps": 400,
            # Of a person's events sixteen say what is usual for them; more cost time.
            "private": {
                "steps": 60,
                "batch_size": 64,
                "learning_rate": 2e-2,
                "max_rows_per_unit": 16,
            },
        }

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        """Return what each field adds to the score: (rows, fields)."""
        flat = flatten(self.inputs, blocks)
        flat = flat - (flat @ self.unknown)[:, self.cell] * self.neutral
        errors: Tensor = (self.rebuild(flat) - flat) ** 2 @ self.members
        return errors


class NoveltyModel:
    """A trained autoencoder with its encoder."""

    def __init__(
        self, network: nn.Module, encoder: Encoder, device: str, facts: Mapping[str, Any]
    ) -> None:
        self.encoder = encoder
        self._device = pick_device(device)
        self._network = network.to(self._device).eval()
        self._facts = facts

    def predict(self, table: Table) -> Columns:
        """Return `novelty`, at least 0; higher is stranger."""
        return {NAME: self._errors(table).sum(axis=1)}

    def attributions(self, table: Table) -> Attributions:
        """Return each field's share of the score; they add up, as the score is their sum.

        A field's share depends on the other fields too, through the narrow middle.
        """
        errors = self._errors(table)  # (rows, fields)
        names = tuple(self.encoder.inputs.where)
        read = [names.index(name) for name in flat_inputs(self.encoder.inputs).where]
        values = np.zeros((len(errors), 1, len(names)))
        values[:, 0, read] = errors
        return checked(
            outputs=(NAME,),
            fields=names,
            values=values,
            base=np.zeros(1),
            raw=errors.sum(axis=1)[:, None],
            method=_METHOD,
        )

    def encoding_counts(self, table: Table) -> Table:
        """Count what was missing, clipped or undeclared in each field."""
        return self.encoder.counts(table)

    def state(self) -> State:
        """Return weights, encoder settings, training facts and the privacy record."""
        tensors = {
            name: value.detach().cpu().numpy() for name, value in self._network.state_dict().items()
        }
        return State(tensors=tensors, settings={"encoder": self.encoder.settings(), **self._facts})

    @torch.no_grad()
    def _errors(self, table: Table) -> Array:
        """Return (rows, fields) float64, a bounded number of rows at a time."""
        parts = [np.zeros((0, len(flat_inputs(self.encoder.inputs).where)))]
        for start in range(0, table.rows, _ROWS_AT_ONCE):
            blocks = self.encoder.encode(table.take(slice(start, start + _ROWS_AT_ONCE)))
            tensors = {k: torch.from_numpy(v).to(self._device) for k, v in blocks.items()}
            parts.append(self._network(tensors).double().cpu().numpy())
        return np.concatenate(parts)


class Novelty:
    """The `fraud-novelty` solution. Bins are the declared ones, with and without privacy."""

    training_options = tuple(item.name for item in dataclasses.fields(TrainOptions))

    def outputs(self, contract: DataContract) -> tuple[Output, ...]:
        """Return the one output."""
        return (Output(name=NAME, kind="real"),)

    def features_for(self, contract: DataContract) -> Features | None:
        """Return the same derived fields as the detector's."""
        return history_features(contract)

    def demo(self) -> tuple[DataContract, Table]:
        """Return the detector's demo without its labels, and without what is derived from them."""
        contract, table = payments.demo()
        entities = tuple(
            dataclasses.replace(
                entity,
                retired=False,
                history=dataclasses.replace(
                    entity.history,
                    measures=tuple(name for name in entity.history.measures if name != "risk"),
                ),
            )
            for entity in contract.entities
            if entity.history is not None
        )
        contract = dataclasses.replace(
            contract,
            solution="fraud-novelty",
            entities=entities,
            targets=(),
            decision=None,
            label_delay="",
        )
        return contract, table.without(["fraud"])

    def accepts(self, contract: DataContract, options: Mapping[str, Any]) -> None:
        """Raise `ContractError` for a contract that asks for a decision, or cannot be encoded."""
        if contract.decision is not None:
            raise ContractError(
                f"contract {contract.name!r} declares a decision, and a novelty score decides "
                "nothing",
                hint="leave `decision:` out of the contract",
            )
        build_encoder(contract.inputs, bins=int(options.get("bins", 16)))

    def fit(self, parts: Mapping[str, Table], setup: Setup) -> NoveltyModel:
        """Train the autoencoder on the training part; no label is looked at.

        Raises `ContractError` where the contract asks for a decision.
        """
        contract = setup.contract
        self.accepts(contract, setup.options)
        train = parts["train"]
        encoder = build_encoder(contract.inputs, bins=int(setup.options.get("bins", 16)))
        with seeded(setup.seed):
            network = Reconstruction(encoder.inputs)
        trained = train_network(
            network,
            encoder.encode(train),
            (),
            {},
            options=train_options(setup.options, network, private=setup.private),
            seed=setup.seed,
            device=setup.device,
            epsilon=setup.epsilon,
            delta=setup.delta,
            max_grad_norm=setup.max_grad_norm,
            units=unit_index(train) if setup.private and contract.group else None,
            loss=_loss,
            checkpoint=setup.checkpoint,
            progress=setup.progress,
        )
        privacy = trained.privacy.to_json() if trained.privacy is not None else None
        facts = {"training": dict(trained.facts), "privacy": privacy}
        return NoveltyModel(trained.network, encoder, setup.device, facts)

    def load(self, state: State, setup: Setup) -> NoveltyModel:
        """Bring a model back; raise `BundleError` where the weights do not fit."""
        encoder = encoder_from_settings(state.settings["encoder"], setup.contract.inputs)
        network = Reconstruction(encoder.inputs)
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.tensors.items()}
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise BundleError(
                "the weights do not fit the network of fraud-novelty",
                hint="install the version of the plugin that the bundle names",
            ) from error
        facts = {"training": state.settings.get("training", {}), "privacy": None}
        return NoveltyModel(network, encoder, setup.device, facts)

    def evidence(self, model: NoveltyModel, parts: Mapping[str, Table]) -> Mapping[str, Table]:
        """Return nothing beyond what the SDK measures."""
        return {}


def _loss(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
    return raw.sum(dim=1)


def _shares(inputs: Inputs, columns: int) -> Tensor:
    """Return what a squared error in each column adds to each field: (columns, fields)."""
    start, starts = 0, {}
    for block, shape in inputs.shapes.items():
        starts[block] = start
        start += shape[0]
    shares = torch.zeros(columns, len(inputs.where))
    for place, (block, where) in enumerate(inputs.where.values()):
        first, last = starts[block] + where.start, starts[block] + where.stop
        shares[first:last, place] = 1.0 / (last - first) / len(inputs.where)
    return shares


def _beside_flags(inputs: Inputs, columns: int) -> dict[str, Tensor]:
    """Return how to take out what stands beside the flag of a value that is not known.

    `unknown` (columns, cells) adds up a cell's flags, `cell` is the cell of each column, and
    `neutral` what a column has beside a flag.
    """
    found = cells(inputs)
    unknown = torch.zeros(columns, len(found))
    cell = torch.zeros(columns, dtype=torch.long)
    neutral = torch.zeros(columns)
    for place, item in enumerate(found):
        own = [*item.steps, *item.flags]
        cell[own] = place
        if item.apart:
            unknown[list(item.unknown), place] = 1.0
            neutral[own] = torch.tensor(inputs.neutral[item.field], dtype=torch.float32)
    return {"unknown": unknown, "cell": cell, "neutral": neutral}


SOLUTION = Novelty()
