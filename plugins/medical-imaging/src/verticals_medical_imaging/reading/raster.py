"""Decode PNG, JPEG and TIFF with Pillow, at the depth in which they are stored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from verticals.errors import DataError
from verticals.table import Array
from verticals_medical_imaging.reading.dicom_pixels import check_pixels, pick_frames
from verticals_medical_imaging.reading.facts import Decoded, Facts
from verticals_medical_imaging.reading.spec import ImageSpec

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "TIFF")
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # a tag of TIFF, and its value for mirrored images
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")


def read_raster(path: Path, name: str, spec: ImageSpec) -> tuple[Decoded, ...]:
    """Decode the frames that the declaration asks for; the orientation of a camera is applied.

    Raises `DataError` naming the file: damaged, truncated, several frames where one is declared,
    too many pixels, transparent, or stored in a way that Pillow would round.
    """
    import PIL.Image
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow quotes the file's metadata
            with PIL.Image.open(path, formats=_FORMATS) as image:
                frames = pick_frames(getattr(image, "n_frames", 1), spec, name)
                check_pixels(image.height, image.width, len(frames), spec, name)
                decoded = []
                for frame in frames:
                    if frame:
                        image.seek(frame)
                        check_pixels(image.height, image.width, len(frames), spec, name)
                    _check_depth(image, name)
                    upright = ImageOps.exif_transpose(image)
                    decoded.append(_decoded(image, upright, frame, name))
    except DataError:
        raise
    except PIL.Image.DecompressionBombError:
        raise DataError(
            f"'{name}' declares more pixels than Pillow opens, expected at most {spec.max_pixels}"
        ) from None
    except Exception as error:  # Pillow raises whatever a damaged file makes it raise
        raise DataError(
            f"'{name}' is a damaged or truncated image: {type(error).__name__} while it is decoded",
            hint="export the file again",
        ) from None
    return tuple(decoded)


def _check_depth(image: Image, name: str) -> None:
    """Refuse colour of 16 bits, which Pillow would round to 8 in silence."""
    raw = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
    if ";16" in raw and image.mode not in (*_SIXTEEN, "I"):
        raise DataError(
            f"'{name}' stores colour in 16 bits, which cannot be read without rounding",
            hint="store it as an array (.npy), or in 8 bits",
        )


def _decoded(stored: Image, image: Image, frame: int, name: str) -> Decoded:
    mode = stored.mode
    values, nominal = _values(image, name)
    mirrored = (
        mode in _SIXTEEN  # of 8 bits Pillow mirrors itself
        and getattr(stored, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    )
    bits = 0 if nominal is None else int(np.log2(nominal[1] + 1))
    return Decoded(
        values=values.astype(np.float64),
        nominal=nominal,
        mirrored=mirrored,
        facts=Facts(
            format=(stored.format or "image").lower(),
            photometric=mode,
            bits=bits,
            rows=values.shape[0],
            columns=values.shape[1],
            frames=getattr(stored, "n_frames", 1),
            frame=frame,
        ),
    )


def _values(image: Image, name: str) -> tuple[Array, tuple[float, float] | None]:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = _opaque(image, name)
    if image.mode in _SIXTEEN:
        return np.asarray(image), (0.0, 65535.0)
    if image.mode in ("I", "F"):
        return np.asarray(image), None
    if image.mode in ("P", "CMYK", "YCbCr"):
        image = image.convert("RGB")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB"):
        raise DataError(f"'{name}' has the mode {image.mode!r}, expected grey or RGB")
    return np.asarray(image), (0.0, 255.0)


def _opaque(image: Image, name: str) -> Image:
    """Drop an alpha channel that hides nothing."""
    full = image.convert("RGBA")
    if np.asarray(full.getchannel("A")).min() < 255:
        raise DataError(
            f"'{name}' has transparent pixels, expected opaque ones",
            hint="flatten it on the background that it should have",
        )
    return image.convert("L" if image.mode in ("LA", "L") else "RGB")
