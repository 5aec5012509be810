"""Randomness that no one can repeat: Poisson samples and Gaussian noise from the system's entropy.

Each draw makes a fresh ChaCha20 key from `os.urandom`, uses its key stream once and forgets it.
Nothing here can be seeded from `--seed`, and nothing is stored: a known noise voids epsilon.
"""

from __future__ import annotations

import hashlib
import math
import os

import numpy as np
import torch

from verticals.table import Array

OPERATING_SYSTEM = "operating system entropy (os.urandom), expanded by ChaCha20"
KNOWN_SEED = "a known seed, for a test"

_WORDS = 4  # uniform 64-bit words behind each Gaussian
_CHUNK = {"cpu": 1 << 16, "cuda": 1 << 20}  # Gaussians at a time: the cache, the bus
_MASK_63 = (1 << 63) - 1


class Entropy:
    """Draw uniform words, Poisson samples and Gaussian noise, each draw from a key of its own.

    `unsafe_seed` makes the draws repeatable. It is for tests alone: whoever knows it can subtract
    the noise, so a training that used it has no epsilon (see `PrivacyRecord`).
    """

    __slots__ = ("_draws", "_unsafe_seed")

    def __init__(self, *, unsafe_seed: int | None = None) -> None:
        self._unsafe_seed = unsafe_seed
        self._draws = 0

    @property
    def source(self) -> str:
        """Say in words where the randomness comes from."""
        return OPERATING_SYSTEM if self._unsafe_seed is None else KNOWN_SEED

    def words(self, count: int) -> Array:
        """Return `count` independent uniform 64-bit words (uint64)."""
        stream = _KeyStream(self._key())
        return np.frombuffer(stream.take(8 * count), dtype=np.uint64)

    def sample(self, units: int, rate: float) -> Array:
        """Return the indices of a Poisson sample: each unit by itself with probability `rate`.

        The probability is `rate` rounded down to a multiple of 2**-64, so never above it.
        """
        if rate >= 1.0:
            return np.arange(units)
        threshold = np.uint64(int(rate * 2.0**64))
        return np.flatnonzero(self.words(units) < threshold)

    def gaussian(self, count: int, *, device: torch.device | None = None) -> torch.Tensor:
        """Return `count` independent standard Gaussians in float64, made on `device`.

        Each is the scaled sum of two Gaussians, made of four uniform words of its own, so that no
        one can enumerate which words give a value that was seen: that takes 2**53 tries for two
        words of 53 bits, and 2**159 for four (Holohan and Braghin 2021, arXiv:2107.10138,
        section 5.1).
        """
        where = device if device is not None and device.type == "cuda" else torch.device("cpu")
        noise = torch.empty(count, dtype=torch.float64, device=where)
        stream = _KeyStream(self._key())
        for start in range(0, count, _CHUNK[where.type]):
            part = noise[start : start + _CHUNK[where.type]]
            buffer = stream.take(8 * _WORDS * len(part))
            words = torch.frombuffer(buffer, dtype=torch.int64).to(where)
            torch.mul(_two_gaussians(words.view(_WORDS, -1)), math.sqrt(0.5), out=part)
        return noise

    def _key(self) -> bytes:
        if self._unsafe_seed is None:
            return os.urandom(32)
        self._draws += 1
        return hashlib.sha256(f"{self._unsafe_seed}:{self._draws}".encode()).digest()


class _KeyStream:
    """Read the ChaCha20 key stream of one key, which is never used again."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

        # A fixed nonce is safe because every stream has a fresh key.
        self._encryptor = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def take(self, size: int) -> bytearray:
        """Return the next `size` bytes."""
        buffer = bytearray(size)
        if size:
            self._encryptor.update_into(bytes(size), buffer)
        return buffer


def _two_gaussians(words: torch.Tensor) -> torch.Tensor:
    """Return sums of two standard Gaussians (count,) from uniform words (4, count).

    Box-Muller: r cos(a) is a Gaussian if r = sqrt(-2 ln u) and a is a uniform angle. The uniform
    u = (k + 1/2) / 2**63 keeps its relative precision near zero, so the tail reaches 9.4 standard
    deviations.
    """
    uniform = (words[:2] & _MASK_63).double().add_(0.5).mul_(2.0**-63)  # (2, count), in (0, 1]
    radius = uniform.log_().mul_(-2.0).sqrt_()
    angle = words[2:].double().mul_(math.pi * 2.0**-63)  # (2, count), in [-pi, pi]
    return angle.cos_().mul_(radius).sum(0)
