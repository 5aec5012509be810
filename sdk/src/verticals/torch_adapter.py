"""A `TorchSolution` as a `Solution`: encode, train, and bring a model back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from verticals.collect import unit_index
from verticals.contract.model import DataContract, Field
from verticals.encode import Encoder, build_encoder, encoder_from_settings, fit_encoder
from verticals.encode.kinds import TABULAR
from verticals.errors import BundleError, ContractError, TrainingError
from verticals.networks import heads
from verticals.plugin import FieldEncoder, Model, Setup, State, TorchSolution
from verticals.seeding import seeded
from verticals.table import Array, Table
from verticals.torch_model import TorchModel, labelled, labels_of
from verticals.training import (
    TrainOptions,
    imbalance,
    pick_device,
    train_network,
    train_options,
)


class TorchAdapter:
    """Make a full `Solution` of a network factory."""

    def __init__(self, declared: TorchSolution) -> None:
        self._declared = declared
        self.demo_shares = declared.demo_shares
        self.training_options = tuple(item.name for item in dataclasses.fields(TrainOptions))

    def demo(self) -> tuple[DataContract, Table]:
        """Return the declared demo."""
        return self._declared.demo()

    def accepts(self, contract: DataContract, options: Mapping[str, Any]) -> None:
        """Raise `ContractError` for a contract that cannot be trained; no data are read.

        What needs outside files, and edges that training may find for itself, is left for `fit`.
        """
        declared = self._declared
        _refuse_targets(contract)
        if declared.encoders_for is None:
            own = declared.encoders or {}
            for field in contract.inputs:
                _refuse_unread(field, own)
            edges = [item.bounds or item.bins for item in contract.inputs if item.kind == "numeric"]
            if all(edges):
                bins = int(options.get("bins", 16))
                build_encoder(contract.inputs, bins=bins, encoders=declared.encoders)
        if declared.accepts is not None:
            declared.accepts(contract, {**declared.options, **options})

    def fit(self, parts: Mapping[str, Table], setup: Setup) -> TorchModel:
        """Encode by declarations (or, where not private, by quantiles) and train the network.

        Raises `ContractError` if the contract has no target or a numeric one without bounds,
        `TrainingError` if no row of the training part has a label.
        """
        contract, declared = setup.contract, self._declared
        _refuse_targets(contract)
        train, validation = parts["train"], parts["validate"]
        train, validation = labelled(train, contract), labelled(validation, contract)
        if train.rows == 0:
            raise TrainingError(
                "the training part has 0 rows with a label, expected some",
                hint="verticals contract check CONTRACT --data DATA",
            )
        options = {**declared.options, **setup.options}
        setup = dataclasses.replace(setup, options=options)
        encoder = self._encoder(train, setup)
        network = self._network(encoder, setup, fresh=True)
        network.to(pick_device(setup.device))
        chosen = train_options(options, network, private=setup.private)
        shift = imbalance.prior_shift(chosen, contract.targets)
        train = _thinned(train, contract, chosen, setup)
        validation = _thinned(validation, contract, chosen, setup)
        trained = train_network(
            network,
            _prepared(network, encoder.encode(train)),
            contract.targets,
            labels_of(train, contract.targets),
            validation=(
                (
                    _prepared(network, encoder.encode(validation)),
                    labels_of(validation, contract.targets),
                )
                if validation.rows
                else None
            ),
            options=chosen,
            seed=setup.seed,
            device=setup.device,
            epsilon=setup.epsilon,
            delta=setup.delta,
            max_grad_norm=setup.max_grad_norm,
            units=unit_index(train) if setup.private and contract.group else None,
            loss=imbalance.weighted_loss(contract.targets, chosen),
            checkpoint=setup.checkpoint,
            progress=setup.progress,
        )
        return TorchModel(
            network=trained.network,
            encoder=encoder,
            contract=contract,
            device=setup.device,
            privacy=trained.privacy.to_json() if trained.privacy is not None else None,
            training={**trained.facts, **_seen(encoder, train, setup)},
            shift=shift,
            resources=self._resources(setup),
        )

    def load(self, state: State, setup: Setup) -> TorchModel:
        """Bring a model back: the network is built from the contract, then filled."""
        settings = state.settings
        setup = dataclasses.replace(setup, options={**self._declared.options, **setup.options})
        resources = self._resources(setup)
        _check_resources(settings.get("resources", {}), resources)
        encoder = encoder_from_settings(
            settings["encoder"], setup.contract.inputs, self._encoders(setup)
        )
        network = self._network(encoder, setup)
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.tensors.items()}
        expected = network.state_dict()
        wrong = [
            name
            for name in {*tensors, *expected}
            if name not in tensors
            or name not in expected
            or tensors[name].shape != expected[name].shape
        ]
        if wrong:
            raise BundleError(
                f"the weights do not fit the network: {', '.join(sorted(wrong)[:5])}",
                hint="install the version of the plugin that the bundle names",
            )
        network.load_state_dict(tensors)
        return TorchModel(
            network=network,
            encoder=encoder,
            contract=setup.contract,
            device=setup.device,
            privacy=None,
            training=settings.get("training", {}),
            shift=np.array(
                settings.get("prior_shift", [0.0] * heads.width(setup.contract.targets))
            ),
            resources=resources,
        )

    def evidence(self, model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
        """Return the solution's own evidence tables, if it declares any."""
        return self._declared.evidence(model, parts) if self._declared.evidence else {}

    def _encoders(self, setup: Setup) -> Mapping[str, FieldEncoder] | None:
        make = self._declared.encoders_for
        return self._declared.encoders if make is None else make(setup)

    def _resources(self, setup: Setup) -> Mapping[str, str]:
        """Return name and digest of each file from outside that the model needs."""
        find = self._declared.resources_for
        return {} if find is None else dict(find(setup))

    def _encoder(self, train: Table, setup: Setup) -> Encoder:
        fields, encoders = setup.contract.inputs, self._encoders(setup)
        bins = int(setup.options.get("bins", 16))
        if setup.private or setup.options.get("encoding") == "declared":
            return build_encoder(fields, bins=bins, encoders=encoders)
        return fit_encoder(fields, train, bins=bins, encoders=encoders)

    def _network(self, encoder: Encoder, setup: Setup, *, fresh: bool = False) -> nn.Module:
        """Build the network, to be trained (`fresh`) or filled; the seed decides its weights."""
        declared, targets = self._declared, setup.contract.targets
        make = declared.network_for if fresh else declared.network_at_load
        with seeded(setup.seed):
            if make is not None:
                return make(encoder.inputs, targets, setup)
            return declared.network(encoder.inputs, targets, setup.options)


@runtime_checkable
class Prepares(Protocol):
    """A network with a frozen part, whose features can stand for each row in training."""

    def prepare(self, blocks: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return the blocks to train on; each row of theirs follows from that row alone."""
        ...


def _refuse_targets(contract: DataContract) -> None:
    if not contract.targets:
        raise ContractError(
            f"contract {contract.name!r} declares no target, expected what is to be predicted",
            hint="targets: {passed: {column: passed, kind: binary, positive: 1}}",
        )
    heads.raw_scale(contract.targets)  # refuses a target that cannot be learnt


def _refuse_unread(field: Field, encoders: Mapping[str, FieldEncoder]) -> None:
    """Refuse an input of a kind that this solution does not read, with what its user can do."""
    known = (*TABULAR, "image", "sequence")
    if field.kind in known or field.name in encoders or field.kind in encoders:
        return
    hint = f"set role: ignore under {field.name}"
    if field.kind == "time":
        hint += ", or give a number in its place that is known at scoring, such as days since"
    raise ContractError(
        f"field {field.name!r} is an input of kind {field.kind}, which this solution cannot read",
        hint=hint,
    )


def _seen(encoder: Encoder, train: Table, setup: Setup) -> dict[str, Any]:
    """Say which fields were never missing in training: a fact of private rows, under privacy."""
    if setup.private:
        return {}
    counted = encoder.missing(train, encoder.tabular)
    return {"never_missing": sorted(name for name, count in counted.items() if count == 0)}


def _check_resources(trained: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuse files from outside that are not those of the training."""
    for name in sorted({*trained, *found}):
        if trained.get(name) != found.get(name):
            raise BundleError(
                f"resource {name!r} is {found.get(name, 'not there')}, "
                f"expected {trained.get(name, 'none')}, with which the bundle was trained",
                hint=f"--resource {name}=FOLDER names the one of the training",
            )


def _prepared(network: nn.Module, blocks: Mapping[str, Array]) -> Mapping[str, Array]:
    return network.prepare(blocks) if isinstance(network, Prepares) else blocks


def _thinned(table: Table, contract: DataContract, options: TrainOptions, setup: Setup) -> Table:
    """Return the rows to learn from, where most of the negatives are to be left out."""
    if options.keep_negatives == 1 or not table.rows:
        return table
    label = table[contract.targets[0].name]
    return table.take(imbalance.kept_rows(label, options, seed=setup.seed, private=setup.private))
