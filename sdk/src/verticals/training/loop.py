"""The training loop: one step after another, resumable after each, with or without privacy."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from verticals.contract.model import Target
from verticals.errors import PrivacyError, TrainingError
from verticals.privacy.accounting import PrivacyPlan
from verticals.privacy.accounting import plan as plan_privacy
from verticals.privacy.gradients import Loss, trainable
from verticals.privacy.record import PrivacyRecord
from verticals.seeding import derived_seed, reseed, seeded
from verticals.table import Array
from verticals.training import checkpoint as saved
from verticals.training.average import WeightAverage
from verticals.training.device import deterministic, pick_device
from verticals.training.examples import Examples
from verticals.training.options import TrainOptions
from verticals.training.plain import PlainUpdate
from verticals.training.private import PrivateUpdate

Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Hold a trained network, in evaluation mode, and how it came about.

    `facts` are JSON: device, options, steps and, without privacy, `history` with the lists epoch,
    train_loss and validation_loss (null where none was measured). They repeat with the seed.
    `rows_left_out` counts rows beyond a person's limit: a private count, for no bundle.
    """

    network: nn.Module
    privacy: PrivacyRecord | None
    facts: Mapping[str, Any]
    rows_left_out: int = 0


def train_network(
    network: nn.Module,
    blocks: Mapping[str, Array],
    targets: Sequence[Target],
    columns: Mapping[str, Array],
    *,
    validation: tuple[Mapping[str, Array], Mapping[str, Array]] | None = None,
    options: TrainOptions | None = None,
    seed: int = 0,
    device: str = "auto",
    epsilon: float | None = None,
    delta: float | None = None,
    max_grad_norm: float = 1.0,
    units: Array | None = None,
    loss: Loss | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    unsafe_noise_seed: int | None = None,
) -> Trained:
    """Train a network in place, and return it with what was done and spent.

    `blocks` are float32 of (rows, ...); `columns` hold at least the targets, (rows,) each, NaN
    where there is no label. `validation` is (blocks, columns) of another part: its loss is
    recorded, and decides when to stop if `options.patience` is set; the best weights are kept.
    `loss(raw, columns)` gives one number for each row and defaults to the targets' own.

    With `epsilon`, training is DP-SGD that spends at most that: the noise is solved beforehand,
    sampling and noise come from the operating system, and no loss is looked at. `units` says whose
    each row is, where persons are to be protected and not rows. `seed` fixes the order of rows and
    dropout, and never noise or sampling; `unsafe_noise_seed` does, for tests, and voids epsilon.

    `checkpoint` is a folder for progress; training continues from what it holds, to the very same
    weights where it is not private. Without privacy, and on one device and number of threads, the
    same seed gives the same weights. The caller's random state is left as it was.

    Raises `TrainingError` (data, device, checkpoint, a loss that is not finite) or `PrivacyError`.
    """
    options = options or TrainOptions()
    where = pick_device(device)
    examples = Examples(blocks, _needed(columns, targets), device=where, part="training")
    _check_roles(network, epsilon, validation, units)
    plan = None
    if epsilon is None:
        _check_labels(columns, targets)
    else:
        plan = _plan(epsilon, delta, max_grad_norm, examples, options, units, unsafe_noise_seed)
    kept = None
    if validation is not None:
        kept = Examples(
            validation[0], _needed(validation[1], targets), device=where, part="validation"
        )
    network.to(where).train()
    optimizer = _optimizer(network, options)
    loss = loss or _loss_of(targets)
    update: PlainUpdate | PrivateUpdate
    if plan is None:
        update = PlainUpdate(network, examples, loss, optimizer, options, seed=seed, device=where)
    else:
        update = PrivateUpdate(network, examples, loss, optimizer, options, plan=plan, owners=units)
    run = _Run(network, optimizer, update, options, seed, where)
    if checkpoint is not None:
        run.keep_at(Path(checkpoint), _identity(network, examples, kept, options, seed, plan))
    with seeded(seed, where), deterministic():
        run.go(kept, progress)
    return run.result()


@dataclass
class _State:
    """Hold what changes from step to step, apart from tensors; all of it is JSON."""

    step: int = 0
    loss: float = 0.0  # summed over the rows of this epoch
    rows: int = 0
    stopped: bool = False
    best: float | None = None
    stale: int = 0
    history: list[list[float | None]] = field(default_factory=list)


class _Run:
    """Run the steps, keeping averages, the best weights, and a checkpoint."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        update: PlainUpdate | PrivateUpdate,
        options: TrainOptions,
        seed: int,
        device: torch.device,
    ) -> None:
        self._network = network
        self._optimizer = optimizer
        self._update = update
        self._options = options
        self._seed = seed
        self._device = device
        self._average = WeightAverage(network, options, steps=update.steps)
        self._best: dict[str, Tensor] = {}
        self._state = _State()
        self._folder: Path | None = None
        self._identity: Mapping[str, Any] = {}
        self._saved_at = time.monotonic()

    def go(self, validation: Examples | None, progress: Progress | None) -> None:
        """Take all steps that are left."""
        state, update = self._state, self._update
        while state.step < update.steps and not state.stopped:
            rate = self._options.rate_at(state.step, update.steps)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            reseed(derived_seed(self._seed, "step", state.step), self._device)
            outcome = update(state.step)
            self._average.update(state.step)
            state.step += 1
            if outcome is not None:
                state.loss += outcome[0] * outcome[1]
                state.rows += outcome[1]
                if state.step % update.steps_per_epoch == 0:
                    self._end_epoch(validation)
            self._save_if_due()
            if progress is not None:
                progress("training", state.step, update.steps)

    def _end_epoch(self, validation: Examples | None) -> None:
        state = self._state
        measured = None
        if validation is not None and isinstance(self._update, PlainUpdate):
            with self._average.in_place():
                measured = self._update.evaluate(validation)
                self._judge(measured)
        state.history.append([state.loss / state.rows, measured])
        state.loss, state.rows = 0.0, 0

    def _judge(self, measured: float) -> None:
        """Keep the weights if they are the best so far, and stop after too many that are not."""
        state, patience = self._state, self._options.patience
        if not math.isfinite(measured):
            epoch = len(state.history) + 1
            raise TrainingError(
                f"the validation loss is {measured} in epoch {epoch} of {self._options.epochs}",
                hint=f"use a smaller learning rate than {self._options.learning_rate:g}",
            )
        if patience is None:
            return
        if state.best is None or measured < state.best:
            state.best, state.stale = measured, 0
            self._best = copy.deepcopy(self._network.state_dict())
        else:
            state.stale += 1
            state.stopped = state.stale >= patience

    def keep_at(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Save progress to a folder from now on, and continue from what it holds."""
        self._folder, self._identity = folder, identity
        found = saved.load_checkpoint(folder)
        if found is None:
            return
        tensors, facts = found
        saved.check_same_run(identity, facts["run"])
        self._network.load_state_dict(saved.under_prefix("network", tensors))
        saved.load_optimizer(self._optimizer, saved.under_prefix("optimizer", tensors))
        self._average.load(saved.under_prefix("average", tensors), facts["averaged"])
        self._best = saved.under_prefix("best", tensors)
        self._state = _State(**facts["state"])
        if isinstance(self._update, PrivateUpdate):
            self._update.resume(facts["spent"])

    def _save_if_due(self) -> None:
        """Save progress: weights and counts. No random state, no noise, no row, no sample."""
        last = self._state.step >= self._update.steps or self._state.stopped
        waited = time.monotonic() - self._saved_at
        if self._folder is None or (waited < self._options.checkpoint_seconds and not last):
            return
        tensors = {
            **saved.with_prefix("network", self._network.state_dict()),
            **saved.with_prefix("optimizer", saved.optimizer_tensors(self._optimizer)),
            **saved.with_prefix("average", self._average.tensors),
            **saved.with_prefix("best", self._best),
        }
        facts = {
            "run": self._identity,
            "state": dataclasses.asdict(self._state),
            "averaged": self._average.count,
            "spent": self._update.history if isinstance(self._update, PrivateUpdate) else [],
        }
        saved.save_checkpoint(self._folder, tensors, facts)
        self._saved_at = time.monotonic()

    def result(self) -> Trained:
        """Put the chosen weights into the network, and say what was done."""
        if self._best:
            self._network.load_state_dict(self._best)
        else:
            self._average.apply()
        record, left_out = None, 0
        if isinstance(self._update, PrivateUpdate):
            left_out = self._update.rows_left_out
            record = self._update.finish()
        _check_finite(self._network)
        return Trained(
            network=self._network.eval(),
            privacy=record,
            facts=self._facts(),
            rows_left_out=left_out,
        )

    def _facts(self) -> dict[str, Any]:
        state, options = self._state, self._options
        facts: dict[str, Any] = {"device": self._device.type, "steps": state.step}
        names = ["batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "warmup"]
        facts |= {name: getattr(options, name) for name in (*names, "average", "ema")}
        if isinstance(self._update, PlainUpdate):
            facts |= {name: getattr(options, name) for name in ("epochs", "clip", "patience")}
            facts["history"] = {
                "epoch": list(range(1, len(state.history) + 1)),
                "train_loss": [entry[0] for entry in state.history],
                "validation_loss": [entry[1] for entry in state.history],
            }
        return facts


def _needed(columns: Mapping[str, Array], targets: Sequence[Target]) -> dict[str, Array]:
    lacking = [target.name for target in targets if target.name not in columns]
    if lacking:
        raise TrainingError(f"the targets {lacking} are not among the columns {sorted(columns)}")
    return {name: np.asarray(column) for name, column in columns.items()}


def _check_roles(
    network: nn.Module, epsilon: float | None, validation: object, units: Array | None
) -> None:
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise TrainingError(
            f"network {type(network).__name__} has no trainable weight, expected at least one"
        )
    if epsilon is None and units is not None:
        raise TrainingError("units are given without epsilon, expected both or neither")
    if epsilon is not None and validation is not None:
        raise PrivacyError(
            "a validation part is given to private training, which looks at no validation loss",
            hint="leave `validation` out; the option `steps` fixes the steps beforehand",
        )


def _plan(
    epsilon: float,
    delta: float | None,
    max_grad_norm: float,
    examples: Examples,
    options: TrainOptions,
    units: Array | None,
    unsafe_noise_seed: int | None,
) -> PrivacyPlan:
    count = examples.rows if units is None else len(np.unique(units))
    return plan_privacy(
        epsilon=epsilon,
        delta=delta,
        units=count,
        sampling_rate=min(1.0, options.batch_size / count),
        steps=options.steps,
        max_grad_norm=max_grad_norm,
        unit="row" if units is None else "group",
        max_rows_per_unit=None if units is None else options.max_rows_per_unit,
        unsafe_noise_seed=unsafe_noise_seed,
    )


def _check_labels(columns: Mapping[str, Array], targets: Sequence[Target]) -> None:
    """Refuse targets from which nothing can be learnt.

    Not asked under privacy, where even the answer would tell of single rows.
    """
    for target in targets:
        column = np.asarray(columns[target.name], dtype=np.float64)
        found = np.unique(column[~np.isnan(column)])
        if len(found) == 0:
            raise TrainingError(f"target {target.name!r} has no label in the training part")
        if len(found) == 1:
            raise TrainingError(
                f"target {target.name!r} has only one value in the training part, expected at "
                "least two",
                hint="check `positive:` and `values:` in the contract, or give more data",
            )


def _loss_of(targets: Sequence[Target]) -> Loss:
    from verticals.networks.heads import row_losses

    def loss(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        return row_losses(raw, targets, columns)

    return loss


def _optimizer(network: nn.Module, options: TrainOptions) -> Optimizer:
    weights = trainable(network)
    groups = [
        {"params": [p for p in weights if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},  # biases, scales
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "adam":
        return torch.optim.AdamW(groups, lr=options.learning_rate)
    return torch.optim.SGD(groups, lr=options.learning_rate, momentum=options.momentum)


def _identity(
    network: nn.Module,
    examples: Examples,
    validation: Examples | None,
    options: TrainOptions,
    seed: int,
    plan: PrivacyPlan | None,
) -> dict[str, Any]:
    """Say which run a checkpoint belongs to. Under privacy nothing here is read from rows."""
    settings = dataclasses.asdict(options)
    settings.pop("checkpoint_seconds")
    return {
        "options": settings,
        "seed": seed,
        "network": {name: list(t.shape) for name, t in network.state_dict().items()},
        "blocks": {name: list(shape) for name, shape in examples.shapes.items()},
        "columns": sorted(examples.columns),
        "plan": None if plan is None else dataclasses.asdict(plan),
        "data": None if plan is not None else examples.digest(),
        "validation": None if validation is None else validation.digest(),
    }


def _check_finite(network: nn.Module) -> None:
    broken = [
        name
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    if broken:
        raise TrainingError(
            f"training left weights that are not finite: {', '.join(broken[:5])}",
            hint="use a smaller learning rate",
        )
