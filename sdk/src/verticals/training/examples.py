"""Rows in memory, handed out as tensors on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from verticals.errors import TrainingError
from verticals.table import Array

_RESIDENT_BYTES = 2**30  # up to here all rows are kept on the device


class Examples:
    """Hold blocks (rows, ...) and target columns (rows,) of one part of the data.

    Raises `TrainingError` if there is no row or no block, or if they differ in their rows.
    """

    def __init__(
        self,
        blocks: Mapping[str, Array],
        columns: Mapping[str, Array],
        *,
        device: torch.device,
        part: str,
    ) -> None:
        self.blocks = {name: np.asarray(value, dtype=np.float32) for name, value in blocks.items()}
        self.columns = {name: np.asarray(value, np.float32) for name, value in columns.items()}
        arrays = {**self.blocks, **self.columns}
        if not self.blocks:
            raise TrainingError(f"the {part} part has no block of inputs, expected at least one")
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise TrainingError(f"the {part} part's arrays differ in their rows: {lengths}")
        self.rows = next(iter(lengths.values()))
        if self.rows == 0:
            raise TrainingError(
                f"the {part} part has 0 rows, expected at least one",
                hint="give more data, or a larger share to this part",
            )
        self._device = device
        self._resident: dict[str, Tensor] | None = None
        if sum(array.nbytes for array in arrays.values()) <= _RESIDENT_BYTES:
            self._resident = {
                name: torch.tensor(array, device=device) for name, array in arrays.items()
            }

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of one row of each block."""
        return {name: block.shape[1:] for name, block in self.blocks.items()}

    def take(self, rows: Array) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return blocks and columns of these rows, on the device."""
        if self._resident is not None:
            index = torch.as_tensor(rows, device=self._device)
            found = {name: tensor[index] for name, tensor in self._resident.items()}
        else:
            arrays = {**self.blocks, **self.columns}
            found = {
                name: torch.from_numpy(array[rows]).to(self._device)
                for name, array in arrays.items()
            }
        return (
            {name: found[name] for name in self.blocks},
            {name: found[name] for name in self.columns},
        )

    def digest(self) -> str:
        """Return a hash of all values, by which a resumed run knows its data again."""
        total = hashlib.blake2b(digest_size=16)
        for name, array in {**self.blocks, **self.columns}.items():
            total.update(f"{name}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()
