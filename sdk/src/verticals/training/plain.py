"""One update of a training without privacy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from verticals.errors import TrainingError
from verticals.privacy.gradients import Loss
from verticals.seeding import derived_seed
from verticals.table import Array
from verticals.training.examples import Examples
from verticals.training.options import TrainOptions

_SCORED_ROWS = 4096


class PlainUpdate:
    """Run over the rows once an epoch, in an order that follows from seed and epoch alone."""

    def __init__(
        self,
        network: nn.Module,
        examples: Examples,
        loss: Loss,
        optimizer: Optimizer,
        options: TrainOptions,
        *,
        seed: int,
        device: torch.device,
        validation: Examples | None,
    ) -> None:
        self._network = network
        self._examples = examples
        self._loss = loss
        self._optimizer = optimizer
        self._options = options
        self._seed = seed
        self._device = device
        self._validation = validation
        self._order: tuple[int, list[Array]] = (-1, [])
        self.steps_per_epoch = math.ceil(examples.rows / options.batch_size)
        self.epochs = max(options.epochs, math.ceil(options.least_steps / self.steps_per_epoch))
        self.steps = self.epochs * self.steps_per_epoch
        self.spent: list[tuple[float, float, int]] = []  # nothing: there is no privacy to spend
        self.rows_left_out = 0

    def __call__(self, step: int) -> tuple[float, int]:
        """Make one step; return the mean loss of its rows, and their number.

        Raises `TrainingError` if the loss is not finite.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = self._batches(epoch)[place]
        self._optimizer.zero_grad()
        mean = self._mean_loss(self._examples, rows)
        value = float(mean.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the training loss is {value} in epoch {epoch + 1} of {self.epochs}",
                hint=f"use a smaller learning rate than {self._options.learning_rate:g}, or clip "
                "gradients (option clip=1)",
            )
        torch.autograd.backward(mean)
        if self._options.clip is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._options.clip)
        self._optimizer.step()
        return value, len(rows)

    def resume(self, spent: Sequence[Sequence[float]]) -> None:
        """Do nothing: the order of rows follows from seed and step."""

    def finish(self) -> None:
        """Do nothing: there is no record of privacy."""

    def validate(self) -> float | None:
        """Return the mean loss of the validation part, or None if there is none."""
        examples = self._validation
        if examples is None:
            return None
        self._network.eval()
        total = 0.0
        parts = math.ceil(examples.rows / _SCORED_ROWS)
        with torch.no_grad():
            for rows in np.array_split(np.arange(examples.rows), parts):
                total += float(self._mean_loss(examples, rows)) * len(rows)
        self._network.train()
        return total / examples.rows

    def _mean_loss(self, examples: Examples, rows: Array) -> torch.Tensor:
        blocks, columns = examples.take(rows)
        mixed = self._device.type == "cuda" and self._options.precision == "auto"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=mixed):
            raw = self._network(blocks)
        losses = self._loss(raw.float(), columns)  # (rows,)
        if losses.shape != (len(rows),):
            raise TrainingError(
                f"the loss has shape {tuple(losses.shape)} for {len(rows)} rows, expected one "
                "number for each row"
            )
        return losses.mean()

    def _batches(self, epoch: int) -> list[Array]:
        """Return the rows of each batch of an epoch: nearly equal parts of a shuffled order."""
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(derived_seed(self._seed, "order", epoch))
            order = torch.randperm(self._examples.rows, generator=generator).numpy()
            self._order = (epoch, np.array_split(order, self.steps_per_epoch))
        return self._order[1]
