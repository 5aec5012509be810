"""One update of a private training: sample units, sum their clipped gradients, add noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from verticals.errors import PrivacyError
from verticals.privacy.accounting import PrivacyPlan
from verticals.privacy.gradients import Loss, sum_by_unit, trainable, unit_gradients
from verticals.privacy.noise import Entropy
from verticals.privacy.optimizer import UnitOptimizer
from verticals.privacy.quiet import quiet_import
from verticals.privacy.record import PrivacyRecord, record_of
from verticals.privacy.units import Units
from verticals.table import Array
from verticals.training.examples import Examples
from verticals.training.options import TrainOptions

with quiet_import():
    from opacus.accountants import PRVAccountant

_NUMBERS = {"cpu": 2**22, "cuda": 2**26, "mps": 2**24}  # of gradients at once: the cache, the GPU
_MOST_NUMBERS = 2**28  # one gibibyte of float32
_FEW, _MOST = 64, 4096  # slots, and so gradients, or rows


class PrivateUpdate:
    """Take the steps of a plan (DP-SGD; Abadi et al. 2016), whole units at a time.

    No loss leaves this class: losses of training rows are private, and no number depends on them
    but the noised sum of clipped gradients.
    """

    steps_per_epoch = 0  # there are no epochs: units are sampled anew in each step

    def __init__(
        self,
        network: nn.Module,
        examples: Examples,
        loss: Loss,
        optimizer: Optimizer,
        options: TrainOptions,
        *,
        plan: PrivacyPlan,
        owners: Array | None,
    ) -> None:
        self.steps = plan.steps
        self._plan = plan
        self._examples = examples
        self._entropy = Entropy(unsafe_seed=plan.unsafe_noise_seed)
        self._units = Units(owners, rows=examples.rows, plan=plan, entropy=self._entropy)
        self._gradients = unit_gradients(
            network, loss, shapes=examples.shapes, columns=tuple(examples.columns)
        )
        self._parameters = trainable(network)
        self._optimizer = UnitOptimizer(optimizer, plan=plan, entropy=self._entropy)
        self._accountant = PRVAccountant()
        self._optimizer.attach_step_hook(self._accountant.get_optimizer_hook_fn(plan.sampling_rate))
        weights = sum(p.numel() for p in self._parameters)
        device = self._parameters[0].device.type
        self._slots = options.batch_rows or _slots_at_once(weights, device)
        self._rows = options.batch_rows or max(self._slots, _rows_at_once(examples.shapes, device))
        self._width = self._units.slot_width() if self._gradients.pooled else 1

    @property
    def rows_left_out(self) -> int:
        """Return the number of rows beyond `max_rows_per_unit`: a private count."""
        return self._units.left_out

    @property
    def spent(self) -> list[tuple[float, float, int]]:
        """Return the steps that were taken so far, as the accountant knows them."""
        return list(self._accountant.history)

    def resume(self, spent: Sequence[Sequence[float]]) -> None:
        """Take over the steps that an interrupted run has spent."""
        self._accountant.history = [
            (float(noise), float(rate), int(steps)) for noise, rate, steps in spent
        ]

    def __call__(self, step: int) -> None:
        """Make one step on a fresh Poisson sample; an empty sample is a step of noise alone."""
        chosen = self._entropy.sample(self._units.count, self._plan.sampling_rate)
        limits = {"slots": self._slots, "rows": self._rows, "width": self._width}
        parts = list(self._units.parts(chosen, **limits))
        self._optimizer.zero_grad()
        for part in parts:
            blocks, columns = self._examples.take(part.rows)
            device = next(iter(blocks.values())).device
            gradients = self._gradients(
                blocks, columns, torch.as_tensor(part.weights, device=device)
            )
            owners = torch.as_tensor(part.owners, device=device)
            self._fill(sum_by_unit(gradients, owners, part.units))
            self._optimizer.signal_skip_step(part is not parts[-1])
            self._optimizer.step()
            self._optimizer.zero_grad()
        if not parts:
            self._fill([p.new_zeros((0, *p.shape)) for p in self._parameters])
            self._optimizer.step()

    def _fill(self, gradients: list[torch.Tensor]) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad_sample = gradient  # type: ignore[attr-defined]

    def validate(self) -> None:
        """Look at no loss."""

    def finish(self) -> PrivacyRecord:
        """Take Opacus' traces off the network; return what was spent, by the steps taken.

        Raises `PrivacyError` if these are not the planned ones.
        """
        self._gradients.close()
        for parameter in self._parameters:
            for name in ("grad_sample", "summed_grad"):
                if hasattr(parameter, name):
                    delattr(parameter, name)
            parameter.grad = None
        plan = self._plan
        planned = [(plan.noise_multiplier, plan.sampling_rate, plan.steps)]
        if self.spent != planned:
            raise PrivacyError(
                f"training took the steps {self.spent} (noise, sampling rate, steps), but "
                f"epsilon was accounted for {planned}"
            )
        return record_of(plan, noise_source=self._entropy.source)


def _slots_at_once(weights: int, device: str) -> int:
    """Return how many gradients to take at once: few enough for memory, and to be fast."""
    fast = max(_NUMBERS[device] // weights, _FEW)
    return max(1, min(fast, _MOST_NUMBERS // weights, _MOST))


def _rows_at_once(shapes: Mapping[str, Sequence[int]], device: str) -> int:
    """Return how many rows to run through the network at once, by how much each of them holds."""
    return min(_NUMBERS[device] // sum(math.prod(shape) for shape in shapes.values()), _MOST)
