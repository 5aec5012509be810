"""From decoded values to the declared pixels: colour, window, inversion, range and size."""

from __future__ import annotations

import numpy as np

from verticals.errors import DataError
from verticals.table import Array
from verticals_medical_imaging.reading.facts import Decoded
from verticals_medical_imaging.reading.spec import ImageSpec
from verticals_medical_imaging.reading.voi import window

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601-7, 2.5.1)


def finish(decoded: Decoded, spec: ImageSpec, name: str) -> Array:
    """Return float32 pixels of `spec.shape` within `spec.bounds`.

    Raises `DataError` naming the file: NaN, constant, colour or range or size that is not as
    declared, or no window where the file's own one is declared.
    """
    values = decoded.values
    if not np.isfinite(values).all():
        count = int(np.count_nonzero(~np.isfinite(values)))
        raise DataError(f"'{name}' has {count} values that are not finite, expected none")
    _check_storage(decoded, spec, name)
    values = _inverted(_windowed(decoded, spec, name), decoded, spec)
    values = _coloured(values, spec, name)
    if spec.constant == "refuse" and values.min() == values.max():
        raise DataError(
            f"'{name}' is constant: every pixel is {values.flat[0]:g}, expected an image",
            hint="leave it out; or widen the window, if one is declared",
        )
    _check_range(values, spec, name)
    return _sized(values, spec, name)


def _windows(decoded: Decoded, spec: ImageSpec) -> bool:
    """Tell whether a window is applied: never to colour, nor "voi" to what has none by nature."""
    if spec.window == "none" or decoded.values.ndim == 3:
        return False
    return not isinstance(spec.window, str) or decoded.has_voi_module


def _check_storage(decoded: Decoded, spec: ImageSpec, name: str) -> None:
    """Refuse storage that cannot fill half of the declared range: 8 bits where 12 are declared.

    Its values would all lie within the bounds, and all be dark.
    """
    if decoded.nominal is None or _windows(decoded, spec):
        return
    low, high = decoded.nominal
    if high - low < (spec.bounds[1] - spec.bounds[0]) / 2:
        raise DataError(
            f"'{name}' stores intensities from {low:g} to {high:g}, expected a range like the "
            f"declared {_shown(spec)}",
            hint="declare the bounds of these files, or a window",
        )


def _windowed(decoded: Decoded, spec: ImageSpec, name: str) -> Array:
    if not _windows(decoded, spec):
        return decoded.values
    low, high = spec.bounds
    if not isinstance(spec.window, str):
        return low + (high - low) * window(decoded.values, *spec.window)
    if decoded.voi is None:
        raise DataError(
            f"'{name}' has neither a VOI LUT nor a window, expected one for `window: voi`",
            hint="declare `window: [centre, width]` or `window: none` in the field's settings",
        )
    return low + (high - low) * decoded.voi(decoded.values)


def _inverted(values: Array, decoded: Decoded, spec: ImageSpec) -> Array:
    """Mirror an image whose lowest value is white: in its window, else in its storage's range."""
    if not decoded.mirrored or not spec.invert_monochrome1:
        return values
    around = decoded.nominal
    low, high = spec.bounds if _windows(decoded, spec) or around is None else around
    return low + high - values


def _coloured(values: Array, spec: ImageSpec, name: str) -> Array:
    if values.ndim == 3 and not spec.is_colour:
        if spec.colour != "luminance":
            raise DataError(
                f"'{name}' is in colour, expected one channel",
                hint="declare `colour: luminance`, or three channels in the size",
            )
        return np.asarray(values @ np.array(_LUMA))
    if values.ndim == 2 and spec.is_colour:
        if spec.colour != "repeat":
            raise DataError(
                f"'{name}' is grey, expected three channels",
                hint="declare `colour: repeat`, or one channel in the size",
            )
        return np.repeat(values[..., None], 3, axis=2)
    return values


def _check_range(values: Array, spec: ImageSpec, name: str) -> None:
    low, high = spec.bounds
    slack = 1e-9 * (high - low)  # of the floating point
    if values.min() < low - slack or values.max() > high + slack:
        raise DataError(
            f"'{name}' has intensities from {values.min():g} to {values.max():g}, expected them "
            f"within the declared {_shown(spec)}",
            hint="declare the bounds of these files, or a window; nothing is rescaled in silence",
        )


def _shown(spec: ImageSpec) -> str:
    return f"[{spec.bounds[0]:g}, {spec.bounds[1]:g}]"


def _sized(values: Array, spec: ImageSpec, name: str) -> Array:
    rows, columns = values.shape[:2]
    if (rows, columns) != (spec.height, spec.width):
        if spec.resize != "fit":
            raise DataError(
                f"'{name}' has {rows}×{columns} pixels, expected {spec.height}×{spec.width}",
                hint="declare `resize: fit` in the field's settings, or the size of these files",
            )
        values = _fitted(values, spec)
    low, high = (np.float32(bound) for bound in spec.bounds)
    pixels = np.clip(values.astype(np.float32), low, high)
    return pixels.reshape(spec.shape)


def _fitted(values: Array, spec: ImageSpec) -> Array:
    """Scale to the declared size, keeping the aspect, centred on the lower bound.

    The filter is a triangle whose support grows with the reduction: it averages all pixels that
    fall together and never leaves their range.
    """
    import PIL.Image

    rows, columns = values.shape[:2]
    scale = min(spec.height / rows, spec.width / columns)
    high, wide = (max(1, round(side * scale)) for side in (rows, columns))
    planes = values[..., None] if values.ndim == 2 else values
    canvas = np.full((spec.height, spec.width, planes.shape[2]), spec.bounds[0], dtype=np.float32)
    top, left = (spec.height - high) // 2, (spec.width - wide) // 2
    for plane in range(planes.shape[2]):
        image = PIL.Image.fromarray(np.ascontiguousarray(planes[..., plane], dtype=np.float32))
        scaled = image.resize((wide, high), PIL.Image.Resampling.BILINEAR)
        canvas[top : top + high, left : left + wide, plane] = np.asarray(scaled)
    return canvas[..., 0] if values.ndim == 2 else canvas
