"""The training loop: one step after another, resumable after each, with or without privacy."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from verticals.errors import TrainingError
from verticals.privacy.record import PrivacyRecord
from verticals.seeding import derived_seed, reseed
from verticals.training import checkpoint as saved
from verticals.training.average import WeightAverage
from verticals.training.options import TrainOptions

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


class Update(Protocol):
    """Make one step at a time; `PlainUpdate` and `PrivateUpdate` do."""

    steps: int
    steps_per_epoch: int  # 0 under privacy, where there are no epochs

    @property
    def spent(self) -> list[tuple[float, float, int]]:
        """Return the private steps so far: noise multiplier, sampling rate, number."""
        ...

    @property
    def rows_left_out(self) -> int:
        """Return the number of rows that no step uses."""
        ...

    def __call__(self, step: int) -> tuple[float, int] | None:
        """Make a step; return mean loss and number of rows, or nothing under privacy."""
        ...

    def resume(self, spent: Sequence[Sequence[float]]) -> None:
        """Take over what an interrupted run has spent."""
        ...

    def validate(self) -> float | None:
        """Return the validation loss, if there is one to look at."""
        ...

    def finish(self) -> PrivacyRecord | None:
        """Clear up, and return the record of privacy, if there is one."""
        ...


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


class Run:
    """Run the steps, keeping averages, the best weights, and a checkpoint."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        update: Update,
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

    def go(self, progress: Progress | None) -> None:
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
                    self._end_epoch()
            self._save_if_due()
            if progress is not None:
                progress("training", state.step, update.steps)

    def _end_epoch(self) -> None:
        state = self._state
        with self._average.in_place():
            measured = self._update.validate()
            if measured is not None:
                self._judge(measured)
        state.history.append([state.loss / state.rows, measured])
        state.loss, state.rows = 0.0, 0

    def _judge(self, measured: float) -> None:
        """Keep the weights if they are the best so far, and stop after too many that are not."""
        state, patience = self._state, self._options.patience
        if not math.isfinite(measured):
            epoch = len(state.history) + 1
            epochs = self._update.steps // self._update.steps_per_epoch
            raise TrainingError(
                f"the validation loss is {measured} in epoch {epoch} of {epochs}",
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
            "spent": self._update.spent,
        }
        saved.save_checkpoint(self._folder, tensors, facts)
        self._saved_at = time.monotonic()

    def result(self) -> Trained:
        """Put the chosen weights into the network, and say what was done."""
        if self._best:
            self._network.load_state_dict(self._best)
        else:
            self._average.apply()
        record = self._update.finish()
        _check_finite(self._network)
        return Trained(
            network=self._network.eval(),
            privacy=record,
            facts=self._facts(),
            rows_left_out=self._update.rows_left_out,
        )

    def _facts(self) -> dict[str, Any]:
        state, options = self._state, self._options
        facts: dict[str, Any] = {"device": self._device.type, "steps": state.step}
        names = ["batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "warmup"]
        facts |= {name: getattr(options, name) for name in (*names, "ridge", "average", "ema")}
        if self._update.steps_per_epoch:
            facts |= {name: getattr(options, name) for name in ("clip", "patience")}
            facts["epochs"] = len(state.history)
            facts["history"] = {
                "epoch": list(range(1, len(state.history) + 1)),
                "train_loss": [entry[0] for entry in state.history],
                "validation_loss": [entry[1] for entry in state.history],
            }
        return facts


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
