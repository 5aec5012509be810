"""The step of DP-SGD: clip what each unit contributes, add noise that no one can repeat, update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import Optimizer

from verticals.privacy.accounting import PrivacyPlan
from verticals.privacy.gradients import in_memory_order
from verticals.privacy.noise import Entropy
from verticals.privacy.quiet import quiet_import

with quiet_import():
    from opacus.optimizers import DPOptimizer

# Lengths are summed in float32 over at most so many numbers, so they err by less than 2**-15;
# clipped gradients end a little more than that below the limit, and so stay inside it.
_NUMBERS = 1024
_SLACK = 1e-4


class UnitOptimizer(DPOptimizer):  # type: ignore[misc]
    """Clip per unit and add the system's noise, where Opacus clips per row and uses torch's.

    It expects `p.grad_sample` of (units, *p.shape) on every trainable parameter: the gradients of
    a person's rows already summed, so that the limit holds for the person.
    """

    def __init__(self, optimizer: Optimizer, *, plan: PrivacyPlan, entropy: Entropy) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=plan.noise_multiplier,
            max_grad_norm=plan.max_grad_norm,
            expected_batch_size=plan.expected_batch,
        )
        self._entropy = entropy

    def clip_and_accumulate(self) -> None:
        """Add the clipped gradients of all units to `p.summed_grad`.

        A unit whose gradient is not finite contributes nothing: an error, or a NaN in the weights,
        would tell the world that the unit took part.
        """
        gradients = [_InMemoryOrder(p.grad_sample) for p in self.params]
        norms = unit_norms([gradient.flat for gradient in gradients])  # (units,)
        finite = torch.isfinite(norms)
        limit = self.max_grad_norm * (1.0 - _SLACK)
        factors = torch.where(finite, limit / norms.clamp(min=self.max_grad_norm), 0.0)
        for parameter, gradient in zip(self.params, gradients, strict=True):
            clipped = gradient.weighted_sum(factors, finite)
            if parameter.summed_grad is None:
                parameter.summed_grad = clipped
            else:
                parameter.summed_grad += clipped

    def add_noise(self) -> None:
        """Put the noised sum into `p.grad`; the sum is made in float64, then rounded.

        Rounding after the noise is post-processing, so it can only hide more.
        """
        deviation = self.noise_multiplier * self.max_grad_norm
        parameters = self.params
        device = parameters[0].device
        sizes = [p.numel() for p in parameters]
        noise = self._entropy.gaussian(sum(sizes), device=device)
        for parameter, part in zip(parameters, torch.split(noise, sizes), strict=True):
            total = parameter.summed_grad.to(part.device).double().flatten() + deviation * part
            parameter.grad = total.to(parameter.dtype).to(device).view_as(parameter)


def unit_norms(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the length of each unit's whole gradient (units,), from (units, numbers) tensors."""
    wide = torch.float32 if gradients[0].device.type == "mps" else torch.float64
    parts = [
        torch.linalg.vector_norm(piece, dim=1).to(wide)
        for gradient in gradients
        for piece in torch.split(gradient, _NUMBERS, dim=1)
    ]
    norms: torch.Tensor = torch.linalg.vector_norm(torch.stack(parts, dim=1), dim=1)
    return norms


class _InMemoryOrder:
    """See a gradient (units, ...) as (units, numbers) in the order in which it lies in memory.

    Gradients often come transposed; to copy them would take longer than everything else.
    """

    def __init__(self, gradient: torch.Tensor) -> None:
        axes = in_memory_order(gradient)
        moved = gradient.permute(axes)
        self._shape = moved.shape[1:]
        self._back = [axes.index(axis) - 1 for axis in range(1, gradient.ndim)]
        self.flat = moved.unsqueeze(-1).flatten(1)  # a single number has no axis to flatten

    def weighted_sum(self, factors: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Return the sum over the units in `keep`, each times its factor."""
        flat = self.flat
        if not bool(keep.all()):  # as 0 * inf is no zero
            flat = torch.where(keep[:, None], flat, 0.0)
        return (factors.to(flat.dtype) @ flat).view(self._shape).permute(self._back).contiguous()
