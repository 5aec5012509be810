"""Seeds for one block of code, which leave the caller's random state as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_CPU = torch.device("cpu")


def derived_seed(seed: int, *words: object) -> int:
    """Return a seed for one purpose, so that no random state needs to be carried or stored."""
    text = ":".join(map(str, (seed, *words)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@contextmanager
def seeded(seed: int, device: torch.device = _CPU) -> Iterator[None]:
    """Seed torch on the CPU and `device` inside the block, and restore both states after it."""
    kept = torch.get_rng_state()
    kept_there = _state(device)
    try:
        reseed(seed, device)
        yield
    finally:
        torch.set_rng_state(kept)
        if kept_there is not None and device.type == "cuda":
            torch.cuda.set_rng_state(kept_there, device)
        elif kept_there is not None:
            torch.mps.set_rng_state(kept_there)


def reseed(seed: int, device: torch.device = _CPU) -> None:
    """Seed torch on the CPU and `device`, not on other devices; use it inside `seeded` only."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def _state(device: torch.device) -> torch.Tensor | None:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None
