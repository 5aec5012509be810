"""A `TorchSolution` as a `Solution`: encode, train, score, attribute, and hand over the state."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from verticals.contract.model import GROUP, DataContract, Field, Target
from verticals.encode import Encoder, build_encoder, encoder_from_settings, fit_encoder
from verticals.encode.kinds import TABULAR
from verticals.errors import BundleError, ContractError, TrainingError
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
from verticals.plugin import Columns, FieldEncoder, Model, Setup, State, TorchSolution
from verticals.seeding import seeded
from verticals.table import Array, Table
from verticals.torch_game import (
    Layered,
    LayeredBackground,
    background_points,
    layered_background,
    layered_game,
)
from verticals.torch_units import in_units, raw_outputs, shapes_in_units
from verticals.training import (
    TrainOptions,
    imbalance,
    pick_device,
    train_network,
    train_options,
)

ROWS_AT_ONCE = 16_384
SAMPLED_DRAWS = 16
MOST_EXACT, MOST_SAMPLED = 20_000, 1_000  # rows that evidence explains


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
        train, validation = _labelled(train, contract), _labelled(validation, contract)
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
            _labels(train, contract.targets),
            validation=(
                (
                    _prepared(network, encoder.encode(validation)),
                    _labels(validation, contract.targets),
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
            units=_units(train) if setup.private and contract.group else None,
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
        known = _labelled(table, self.contract)
        raw = torch.from_numpy(self._raw(known))
        labels = {
            name: torch.from_numpy(column)
            for name, column in _labels(known, self.contract.targets).items()
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


def _labelled(table: Table, contract: DataContract) -> Table:
    """Return the rows that have a label for at least one target."""
    if not contract.targets:
        return table
    known = [~np.isnan(table[target.name]) for target in contract.targets]
    return table.take(np.any(known, axis=0))


def _labels(table: Table, targets: Sequence[Target]) -> dict[str, Array]:
    return {target.name: np.asarray(table[target.name], dtype=np.float32) for target in targets}


def _prepared(network: nn.Module, blocks: Mapping[str, Array]) -> Mapping[str, Array]:
    return network.prepare(blocks) if isinstance(network, Prepares) else blocks


def _thinned(table: Table, contract: DataContract, options: TrainOptions, setup: Setup) -> Table:
    """Return the rows to learn from, where most of the negatives are to be left out."""
    if options.keep_negatives == 1 or not table.rows:
        return table
    label = table[contract.targets[0].name]
    return table.take(imbalance.kept_rows(label, options, seed=setup.seed, private=setup.private))


def _units(table: Table) -> Array:
    """Return (rows,) person indices from 0."""
    names = np.array([str(value) for value in table[GROUP]])
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)
