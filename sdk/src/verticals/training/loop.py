"""The training loop's call: check what is given, choose the update, run it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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
from verticals.seeding import seeded
from verticals.table import Array
from verticals.training.device import deterministic, pick_device
from verticals.training.examples import Examples
from verticals.training.options import TrainOptions
from verticals.training.plain import PlainUpdate
from verticals.training.run import Progress, Run, Trained, Update


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
    optimizer = _optimizer(network, options, examples.rows if plan is None else plan.units)
    loss = loss or _loss_of(targets)
    update: Update
    if plan is None:
        update = PlainUpdate(
            network, examples, loss, optimizer, options, seed=seed, device=where, validation=kept
        )
    else:
        from verticals.training.private import PrivateUpdate  # imports Opacus, which is slow

        update = PrivateUpdate(network, examples, loss, optimizer, options, plan=plan, owners=units)
    run = Run(network, optimizer, update, options, seed, where)
    if checkpoint is not None:
        run.keep_at(Path(checkpoint), _identity(network, examples, kept, options, seed, plan))
    with seeded(seed, where), deterministic():
        run.go(progress)
    return run.result()


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


def _optimizer(network: nn.Module, options: TrainOptions, units: int) -> Optimizer:
    weights = trainable(network)
    decay = options.weight_decay or options.ridge / units
    groups = [
        {"params": [p for p in weights if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},  # biases, scales
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "adam":
        # Adam adds the decay to the gradient, as a prior does; AdamW keeps them apart.
        kind = torch.optim.Adam if options.ridge else torch.optim.AdamW
        return kind(groups, lr=options.learning_rate)
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
