"""Read images from NPY and NPZ files; a stack's rows are named 'stack.npz#images/12'."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from verticals.errors import DataError
from verticals.strictjson import shown
from verticals.table import Array
from verticals_medical_imaging.reading.dicom_pixels import check_pixels
from verticals_medical_imaging.reading.facts import Decoded, Facts
from verticals_medical_imaging.reading.spec import ImageSpec

MAX_STACK = 2**32  # bytes of one array, which may be a stack of many images


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenArray:
    """Hold the array that was read last, since the rows of a table mostly share one stack."""

    path: Path
    key: str
    values: Array


def read_array(
    path: Path, member: str, name: str, spec: ImageSpec, last: OpenArray | None
) -> tuple[Decoded, OpenArray]:
    """Decode one image of an NPY or NPZ file, and return the array that it came from.

    `member` is "", a key, an index, or "key/index". Raises `DataError` naming the file: objects
    (a pickle), too large, an unknown key or index, another number of dimensions.
    """
    key, index = _parse(member)
    if last is None or (last.path, last.key) != (path, key):
        last = OpenArray(path=path, key=key, values=_load(path, key, name))
    stack = last.values
    if index is not None:
        if stack.ndim < 3 or index >= len(stack):
            raise DataError(
                f"'{name}' has the shape {stack.shape}, expected a stack with an image {index}"
            )
        stack = stack[index]
    return _decoded(stack, name, spec), last


def _parse(member: str) -> tuple[str, int | None]:
    key, _, last = member.rpartition("/")
    if last.isascii() and last.isdigit() and len(last) < 10:
        return key, int(last)
    return member, None


def _load(path: Path, key: str, name: str) -> Array:
    try:
        if not zipfile.is_zipfile(path):
            if key:
                raise DataError(f"'{name}' is a single array, expected no key {shown(key)}")
            with path.open("rb") as file:
                return _array(file, path.stat().st_size, name)
        with zipfile.ZipFile(path) as archive:
            return _load_member(archive, key, name)
    except DataError:
        raise
    except Exception as error:  # a damaged archive or header
        raise DataError(
            f"'{name}' is a damaged file of arrays: {type(error).__name__} while it is read",
            hint="np.savez_compressed(PATH, images=...) writes one; objects are not read",
        ) from None


def _load_member(archive: zipfile.ZipFile, key: str, name: str) -> Array:
    keys = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
    if (keys.count(key) if key else len(keys)) != 1:
        raise DataError(
            f"'{name}' holds the arrays {', '.join(map(shown, keys[:8]))}, expected the name of "
            "one of them",
            hint="name it in the table: 'stack.npz#KEY' or 'stack.npz#KEY/ROW'",
        )
    entry = archive.infolist()[keys.index(key) if key else 0]
    with archive.open(entry) as file:
        return _array(file, entry.file_size, name)


def _array(file: IO[bytes], size: int, name: str) -> Array:
    if size > MAX_STACK:
        raise DataError(f"'{name}' holds an array of {size} bytes, expected at most {MAX_STACK}")
    return np.asarray(np.lib.format.read_array(_Limited(file, size), allow_pickle=False))


class _Limited:
    """Give the bytes of a file, and never more than its folder or archive states."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._left = file, limit

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; raise `ValueError` past the stated size."""
        if size < 0 or size > self._left:
            raise ValueError("an array that is larger than its file states")
        data = self._file.read(size)
        self._left -= len(data)
        return data


def _decoded(values: Array, name: str, spec: ImageSpec) -> Decoded:
    if values.dtype.kind not in "buif":
        raise DataError(f"'{name}' holds {values.dtype} values, expected numbers")
    colour = values.ndim == 3 and values.shape[2] in (1, 3)
    if values.ndim != 2 and not colour:
        raise DataError(
            f"'{name}' has the shape {values.shape}, expected one image of two dimensions",
            hint="name one row of a stack: 'stack.npz#0', or 'stack.npz#KEY/0'",
        )
    check_pixels(values.shape[0], values.shape[1], 1, spec, name)
    integer = values.dtype.kind in "ui" and values.dtype.itemsize <= 2
    limits = np.iinfo(values.dtype) if integer else None
    return Decoded(
        values=(values[..., 0] if colour and values.shape[2] == 1 else values).astype(np.float64),
        nominal=(float(limits.min), float(limits.max)) if limits else None,
        facts=Facts(
            format="array",
            photometric="RGB" if colour and values.shape[2] == 3 else "grey",
            bits=8 * values.dtype.itemsize,
            rows=values.shape[0],
            columns=values.shape[1],
        ),
    )
