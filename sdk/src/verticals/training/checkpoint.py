"""Progress that survives a kill: one safetensors file with JSON in its header, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from verticals.errors import TrainingError
from verticals.files import write_file

FILE = "progress.safetensors"
_FORMAT = 1
_KEY = "verticals"


def save_checkpoint(
    folder: str | Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write tensors and JSON facts in one step: a kill leaves the old or the new file."""
    from safetensors.torch import save

    # Clones, as the format refuses tensors that share memory (tied weights).
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {_KEY: json.dumps({"format": _FORMAT, **facts}, allow_nan=False)}
    path = Path(folder)
    what = f"checkpoint {str(path)!r}"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{what} cannot be made ({error}), expected a writable place"
        ) from error
    write_file(path / FILE, save(own, metadata=header), what=what)


def load_checkpoint(folder: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read a checkpoint, or return None if there is none.

    Raises `TrainingError` if the file is damaged or of another version.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise TrainingError(
            f"checkpoint {str(path)!r} is damaged ({error}), expected one that training wrote",
            hint="remove it and start again without --resume",
        ) from error
    if facts.get("format") != _FORMAT:
        raise TrainingError(
            f"checkpoint {str(path)!r} has format {facts.get('format')!r}, expected {_FORMAT}",
            hint="remove it and start again without --resume",
        )
    return tensors, facts


def check_same_run(expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise `TrainingError`, naming what differs, unless a checkpoint belongs to this run."""
    wanted = json.loads(json.dumps(expected))
    for key in sorted(set(wanted) | set(found)):
        if wanted.get(key) != found.get(key):
            raise TrainingError(
                f"the checkpoint is of another run: {key} was {_short(found.get(key))}, "
                f"now it is {_short(wanted.get(key))}",
                hint="repeat the call that was interrupted, or start again without --resume",
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as `PARAMETER/KEY` tensors, parameters counted in order."""
    found: dict[str, Tensor] = {}
    for place, parameter in enumerate(_parameters(optimizer)):
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                found[f"{place}/{key}"] = torch.as_tensor(value)
    return found


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put saved state back, each tensor on the device where torch keeps it."""
    parameters = _parameters(optimizer)
    for name, tensor in tensors.items():
        place, key = name.split("/", 1)
        parameter = parameters[int(place)]
        on_device = tensor if key == "step" else tensor.to(parameter.device)
        optimizer.state[parameter][key] = on_device


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under `prefix/name`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that stand under `prefix/`, without it."""
    start = f"{prefix}/"
    return {name[len(start) :]: item for name, item in tensors.items() if name.startswith(start)}
