"""One gradient for each unit, and the proof that no unit reaches into another one's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from verticals.errors import PrivacyError, VerticalsError
from verticals.privacy.quiet import quiet_import
from verticals.seeding import reseed, seeded

Blocks = Mapping[str, Tensor]  # block -> (rows, ...)
Loss = Callable[[Tensor, Mapping[str, Tensor]], Tensor]  # raw scores, columns -> (rows,)

_BATCH_NORM = nn.modules.batchnorm._BatchNorm
_RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)
_INSTEAD = (
    (_BATCH_NORM, "torch.nn.GroupNorm or torch.nn.LayerNorm"),
    (nn.modules.instancenorm._InstanceNorm, "the same layer with track_running_stats=False"),
    (nn.LSTM, "opacus.layers.DPLSTM"),
    (nn.GRU, "opacus.layers.DPGRU"),
    (nn.RNN, "opacus.layers.DPRNN"),
    (nn.MultiheadAttention, "opacus.layers.DPMultiheadAttention"),
)
_JITTER = 0.05  # so that a layer that starts at zero cannot hide what lies behind it


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """Return the weights that training changes, in the order in which gradients come."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


class Gradients(Protocol):
    """Give one gradient for each slot, of the weighted sum of its rows' losses.

    A slot holds a few rows of one unit: blocks, columns and weights are (slots, width, ...).
    `pooled` tells whether a slot of many rows costs one gradient only, so that it pays to fill it.
    """

    pooled: bool

    def __call__(
        self, blocks: Blocks, columns: Mapping[str, Tensor], weights: Tensor
    ) -> list[Tensor]:
        """Return the gradients of `trainable(network)`, in that order: (slots, *p.shape) each."""
        ...

    def close(self) -> None:
        """Leave the network as it was found."""
        ...


def refuse_layers(network: nn.Module) -> None:
    """Refuse layers that Opacus refuses or that mix rows; raise `PrivacyError` naming them all."""
    with quiet_import():
        from opacus.validators import ModuleValidator
    found: dict[str, str] = {}
    for name, module in network.named_modules():
        learns = any(p.requires_grad for p in module.parameters(recurse=False))
        validator = ModuleValidator.VALIDATORS.get(type(module)) if learns else None
        if (
            (validator is not None and validator(module))
            or (isinstance(module, _BATCH_NORM) and module.training)  # Opacus misses affine=False
            or (isinstance(module, _RECURRENT) and learns)
        ):
            layer = f"{name or 'the network itself'} ({type(module).__name__})"
            known = (text for kind, text in _INSTEAD if isinstance(module, kind))
            found[layer] = next(known, "a layer that Opacus supports")
    if found:
        raise PrivacyError(
            "private training cannot use these layers, which mix rows or give no gradient for "
            f"each row: {', '.join(found)}",
            hint="; ".join(f"in place of {layer} use {text}" for layer, text in found.items()),
        )


def unit_gradients(
    network: nn.Module, loss: Loss, *, shapes: Mapping[str, Sequence[int]], columns: Sequence[str]
) -> Gradients:
    """Return a way to take gradients per slot that is shown to keep rows apart.

    Gradients come from `torch.func`, which runs the network on one slot at a time in a vectorised
    way; where that cannot follow the network, from Opacus' hooks. Either is tried on made-up
    rows first: a change of one row must leave the gradients of all others as they were, those
    in the same slot too, since scores of a row may not depend on what else is in its batch.

    `shapes` are those of one row of each block, `columns` the names that the loss reads.
    Raises `PrivacyError` if neither way works.
    """
    refuse_layers(network)
    problems = []
    for make in (FunctionalGradients, HookGradients):
        try:
            _check_separate(make, network, loss, shapes, columns)
        except PrivacyError as error:
            problems.append(error.message)
        except VerticalsError:
            raise  # it says what is wrong better than can be said here
        except Exception as error:  # whatever a plugin's network raises under vmap or hooks
            text = str(error).split("\n")[0].split(". ")[0]
            problems.append(f"{make.how} cannot follow it: {type(error).__name__}: {text}")
        else:
            return make(network, loss)
    raise PrivacyError(
        f"no gradient per row can be had from {type(network).__name__}: {'; '.join(problems)}",
        hint="build the network of layers that work on each row by itself, see "
        "https://opacus.ai/api/grad_sample_module.html, and give the loss of each row",
    )


class FunctionalGradients:
    """Take gradients by running the network on single slots, each with its own copy of weights.

    The copies are views; slots cannot meet inside the network, and what it writes into its
    buffers is dropped.
    """

    how = "torch.func"
    pooled = True

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        self._network = network
        self._loss = loss

    def __call__(
        self, blocks: Blocks, columns: Mapping[str, Tensor], weights: Tensor
    ) -> list[Tensor]:
        """Return the gradients of all trainable parameters, (slots, *p.shape) each."""
        slots = len(weights)
        copies = {
            name: parameter.detach().expand(slots, *parameter.shape).requires_grad_()
            for name, parameter in self._network.named_parameters()
            if parameter.requires_grad
        }
        buffers = {name: buffer.clone() for name, buffer in self._network.named_buffers()}

        def one(weights_of_slot: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
            raw: Tensor = functional_call(self._network, (weights_of_slot, buffers), (rows,))
            return raw

        raw = vmap(one, randomness="different")(copies, dict(blocks))  # (slots, width, outputs)
        losses = _row_losses(self._loss, raw.flatten(0, 1), _flat(columns), weights.numel())
        total = (losses * weights.flatten()).sum()
        found = torch.autograd.grad(total, list(copies.values()), allow_unused=True)
        return [
            torch.zeros_like(held) if gradient is None else gradient
            for gradient, held in zip(found, copies.values(), strict=True)
        ]

    def close(self) -> None:
        """Do nothing: the network was only read."""


class HookGradients:
    """Take gradients by Opacus' hooks on each layer (`GradSampleModule`)."""

    how = "Opacus"
    pooled = False

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        self._parameters = {
            name: parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        with quiet_import():
            from opacus.grad_sample import GradSampleModule
        self._wrapped = GradSampleModule(network, loss_reduction="sum")
        self._loss = loss

    def __call__(
        self, blocks: Blocks, columns: Mapping[str, Tensor], weights: Tensor
    ) -> list[Tensor]:
        """Return the gradients of all trainable parameters, (slots, *p.shape) each."""
        rows = weights.numel()
        for parameter in self._parameters.values():
            parameter.grad_sample = None  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            # The first layer's input, the data, needs no gradient; that is as it should be.
            warnings.filterwarnings("ignore", "Full backward hook is firing", UserWarning)
            raw = self._wrapped(_flat(blocks))
            total = (_row_losses(self._loss, raw, _flat(columns), rows) * weights.flatten()).sum()
            torch.autograd.backward(total)
        found = []
        for name, parameter in self._parameters.items():
            gradient = parameter.grad_sample  # type: ignore[attr-defined]
            if gradient is None:
                gradient = parameter.new_zeros((rows, *parameter.shape))
            if not isinstance(gradient, Tensor) or len(gradient) != rows:
                raise PrivacyError(
                    f"the layer of {name!r} does not see one entry per row, so its gradients "
                    "cannot be told apart by row"
                )
            apart = gradient.view(*weights.shape, *gradient.shape[1:])
            found.append(gradient if weights.shape[1] == 1 else apart.sum(1))
            parameter.grad, parameter.grad_sample = None, None  # type: ignore[attr-defined]
        return found

    def close(self) -> None:
        """Take the hooks away."""
        self._wrapped.to_standard_module()


def sum_by_unit(gradients: Sequence[Tensor], owners: Tensor, units: int) -> list[Tensor]:
    """Sum the gradients of each unit's slots: (slots, ...) to (units, ...).

    Each is added up in the order in which it lies in memory: transposed, as gradients often are,
    it takes several times as long.
    """
    if units == len(owners):  # every unit has one slot, in order
        return list(gradients)
    found = []
    for gradient in gradients:
        axes = in_memory_order(gradient)
        moved = gradient.permute(axes)
        total = moved.new_zeros((units, *moved.shape[1:])).index_add_(0, owners, moved)
        found.append(total.permute([axes.index(axis) for axis in range(len(axes))]))
    return found


def in_memory_order(gradient: Tensor) -> list[int]:
    """Return the axes of a gradient (units, ...) in the order in which it lies in memory."""
    return [0, *sorted(range(1, gradient.ndim), key=gradient.stride, reverse=True)]


def _flat(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the rows of all slots one after the other: (slots, width, ...) to (rows, ...)."""
    return {name: tensor.flatten(0, 1) for name, tensor in tensors.items()}


def _row_losses(loss: Loss, raw: Tensor, columns: Mapping[str, Tensor], rows: int) -> Tensor:
    losses = loss(raw, columns)
    if losses.shape != (rows,):
        raise PrivacyError(
            f"the loss has shape {tuple(losses.shape)} for {rows} rows, expected one number a row"
        )
    return losses


def _check_separate(
    make: Callable[[nn.Module, Loss], Gradients],
    network: nn.Module,
    loss: Loss,
    shapes: Mapping[str, Sequence[int]],
    columns: Sequence[str],
) -> None:
    """Raise `PrivacyError` if a change of the last row is seen by the others, or is kept.

    The rows are ones and zeros, not data: an answer that depended on data would be a leak. Two
    batch sizes tell a batch axis from another axis that has the same length by chance. Rows are
    tried in slots of their own, and all in one slot in which the last one has no weight.
    """
    device = trainable(network)[0].device
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with _jittered(network), seeded(0, device):
        gradients = make(network, loss)
        try:
            for rows, value in ((3, 0.0), (3, 1.0), (5, 0.0), (5, 1.0)):
                apart, together = torch.ones(rows, 1), torch.ones(1, rows)
                together[0, -1] = 0.0
                for weights, others in ((apart, slice(-1)), (together, slice(None))):
                    found = []
                    for last in (value, 1.0 - value):
                        reseed(0, device)  # the same dropout both times
                        made_up = _synthetic(shapes, columns, weights.shape, value, last, device)
                        found.append(gradients(*made_up, weights.to(device)))
                    for one, other in zip(*found, strict=True):
                        _compare(one[others], other[others])
            for name, buffer in network.named_buffers():
                if not torch.equal(buffer, buffers[name]):
                    raise PrivacyError(f"its buffer {name!r} changes with the rows that pass")
        finally:
            gradients.close()


def _compare(before: Tensor, after: Tensor) -> None:
    if before.numel() == 0:
        return
    rounding = 1e-6 * float(before.abs().nan_to_num().amax())
    if not torch.allclose(before, after, rtol=1e-5, atol=rounding, equal_nan=True):
        raise PrivacyError("it mixes rows: a change of one row changes the gradients of others")


def _synthetic(
    shapes: Mapping[str, Sequence[int]],
    columns: Sequence[str],
    slots: Sequence[int],
    value: float,
    last: float,
    device: torch.device,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    def filled(shape: Sequence[int]) -> Tensor:
        block = torch.full((*slots, *shape), value, device=device)
        block[-1, -1] = last
        return block

    return (
        {name: filled(shape) for name, shape in shapes.items()},
        {name: filled(()) for name in columns},
    )


@contextmanager
def _jittered(network: nn.Module) -> Iterator[None]:
    """Move all weights a little inside the block; then put weights and buffers back."""
    with torch.no_grad():
        tensors = [*network.parameters(), *network.buffers()]
        kept = [tensor.detach().clone() for tensor in tensors]
        generator = torch.Generator().manual_seed(0)
        for parameter in trainable(network):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_((_JITTER * noise).to(parameter))
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, kept, strict=True):
                tensor.copy_(value)
