"""Where to train, and how to ask torch for repeatable work."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from verticals.errors import TrainingError

_ORDER = ("cuda", "mps", "cpu")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; `auto` is the first there is of cuda, mps and cpu.

    Raises `TrainingError` if the name is unknown or the device is not there.
    """
    if name == "auto":
        return torch.device(next(kind for kind in _ORDER if _is_there(kind)))
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in _ORDER:
        raise TrainingError(
            f"device {name!r} is not known, expected auto, cpu, cuda, cuda:N or mps",
            hint="--device auto",
        )
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if not _is_there(device.type) or (device.index or 0) >= count:
        there = ", ".join(kind for kind in _ORDER if _is_there(kind))
        raise TrainingError(
            f"device {name!r} is not available here, expected one of: {there}",
            hint="--device auto",
        )
    return device


def _is_there(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()


@contextmanager
def deterministic() -> Iterator[None]:
    """Ask for deterministic algorithms where torch has them, inside the block only."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        with warnings.catch_warnings():
            # Where an accelerator has no such algorithm, the ordinary one runs.
            warnings.filterwarnings("ignore", ".*deterministic", UserWarning)
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
