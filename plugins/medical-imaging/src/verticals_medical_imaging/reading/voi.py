"""The values of interest: a window by DICOM's formulas, or a VOI LUT, as a map to 0 … 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.errors import DataError
from verticals.table import Array
from verticals_medical_imaging.reading.groups import functional_group

if TYPE_CHECKING:
    from pydicom import Dataset

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def window(values: Array, centre: float, width: float, function: str = "LINEAR") -> Array:
    """Map values to 0 … 1 by a window (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3).

    LINEAR takes a width of at least 1, whose first and last value map to 0 and 1; LINEAR_EXACT
    and SIGMOID one above 0.

    >>> window(np.array([-300.0, 40.0, 240.0]), 40.5, 401).tolist()
    [0.0, 0.5, 1.0]
    """
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - centre) / width)))
    if function == "LINEAR_EXACT":
        return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1))
    if width == 1:
        return np.asarray((values > centre - 0.5).astype(np.float64))
    return np.asarray(np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))


def voi_of(dataset: Dataset, frame: int, name: str) -> Callable[[Array], Array] | None:
    """Return what a file says to show: its first VOI LUT, else its first window; None for neither.

    Raises `DataError` for one that is damaged.
    """
    try:
        tables = dataset.get("VOILUTSequence")
        if tables:
            return _lookup(tables[0])
        holder = functional_group(dataset, frame, "FrameVOILUTSequence")
        centre, width = (_first(holder.get(key)) for key in ("WindowCenter", "WindowWidth"))
        function = str(holder.get("VOILUTFunction") or "LINEAR").upper()
    except Exception as error:
        raise DataError(
            f"'{name}' has a VOI LUT or window that cannot be read: {type(error).__name__}"
        ) from None
    if centre is None or width is None:
        return None
    least = 1 if function == "LINEAR" else 0
    good = np.isfinite([centre, width]).all() and width >= least and width > 0
    if not good or function not in FUNCTIONS:
        raise DataError(
            f"'{name}' has a window of centre {centre:g} and width {width:g}, expected finite "
            f"numbers, a width of at least 1, and one of the functions {', '.join(FUNCTIONS)}",
            hint="declare `window: [centre, width]` in the field's settings",
        )
    return lambda values: window(values, centre, width, function)


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    many = not isinstance(value, str | int | float) and hasattr(value, "__len__")
    if many and not len(value):
        return None
    return float(value[0] if many else value)


def _lookup(item: Dataset) -> Callable[[Array], Array]:
    """Return the map of a VOI LUT, whose entries run from 0 to 2^bits - 1 (PS3.3 C.11.2.1.1)."""
    descriptor: Any = item.LUTDescriptor
    count, first, bits = (int(number) for number in descriptor)
    data: Any = item.LUTData
    if isinstance(data, bytes):  # OW: two bytes an entry, in the byte order of the file
        little = getattr(item, "original_encoding", (None, True))[1] is not False
        data = np.frombuffer(data, dtype="<u2" if little else ">u2")
    table = np.asarray(data, dtype=np.float64)
    if len(table) != (count % 65536 or 65536) or not 1 <= bits <= 16:
        raise ValueError("a LUT of another length than it declares")
    top = 2.0**bits - 1

    def look_up(values: Array) -> Array:
        place = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)
        return np.asarray(np.clip(table[place] / top, 0, 1))

    return look_up
