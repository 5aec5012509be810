"""The declared pipeline from a file to pixels, read from a field of the contract, and its hash."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from verticals.contract import Field
from verticals.errors import ContractError
from verticals.strictjson import canonical_json, sha256

PIPELINE_VERSION = 1  # raised whenever the same declaration would give other pixels
MAX_PIXELS = 2**25  # of one file: a mammogram has about 2**24
_HINT = "see docs/reference/dicom.md for the settings of an image field"


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """Declare how a file becomes pixels (`height`, `width`[, `channels`]) within `bounds`.

    * `modality`: the DICOM modalities that are accepted; empty accepts all.
    * `window`: "none" keeps the values after the modality LUT, "voi" applies the file's own VOI
      LUT or window, (centre, width) applies one window to every file. A window's output is mapped
      to `bounds`; without one, a value outside `bounds` is refused.
    * `invert_monochrome1`: mirror images in which the lowest value is white.
    * `resize`: "exact" refuses another size; "fit" scales with an antialiasing filter, keeps the
      aspect, and pads with the lower bound.
    * `frame`: "single" refuses a file of several frames, a number picks one (from 0), "all" makes
      a row of each.
    * `colour`: "refuse" accepts only what is declared, "luminance" turns colour to grey (ITU-R
      BT.601), "repeat" gives grey as three equal channels.
    * `constant`: "refuse" or "allow" an image in which every pixel has one value.
    * `findings` is no part of it: that a finding is "brighter" or "darker" than what is around
      it, or "either", decides what maps compare an image with (`saliency.baselines`).
    * `max_pixels`: checked against the sizes in a file's header, before anything is decoded.
    """

    height: int
    width: int
    channels: int = 0  # 0: the pixels are (height, width), without an axis of channels
    bounds: tuple[float, float]
    modality: tuple[str, ...] = ()
    window: str | tuple[float, float] = "none"
    invert_monochrome1: bool = True
    resize: str = "exact"
    frame: int | str = "single"
    colour: str = "refuse"
    constant: str = "refuse"
    max_pixels: int = MAX_PIXELS

    @property
    def is_colour(self) -> bool:
        """Tell whether three channels are declared."""
        return self.channels == 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one image's pixels."""
        size = (self.height, self.width)
        return (*size, self.channels) if self.channels else size

    @property
    def digest(self) -> str:
        """Return the `sha256:…` digest of the declaration and of the pipeline's version."""
        plain = {"pipeline": PIPELINE_VERSION, **dataclasses.asdict(self)}
        return sha256(canonical_json(plain))


def pipeline_digest(field: Field) -> str:
    """Return one digest of a field's size, bounds and settings and of the pipeline's version.

    Defaults are part of it, so that leaving a setting out and writing its default are the same.
    The name of the field is not. Raises `ContractError` as `spec_of` does.
    """
    return spec_of(field).digest


def spec_of(field: Field) -> ImageSpec:
    """Return the pipeline that a field declares by `size`, `bounds` and `settings`.

    Raises `ContractError` that lists every violation.
    """
    violations = list(_shape_violations(field))
    values: dict[str, Any] = {}
    for key, value in field.settings.items():
        rule = _SETTINGS.get(key)
        if rule is None:
            known = ", ".join(_SETTINGS)
            violations.append(f"setting {key!r} is unknown, expected one of {known}")
        elif (read := rule.read(value)) is None:
            violations.append(f"setting {key} is {value!r}, expected {rule.expected}")
        else:
            values[key] = read
    values.pop("findings", None)  # what maps compare with: the pixels do not depend on it
    if violations:
        raise ContractError(
            f"field {field.name!r}: {violations[0]}",
            hint=_HINT,
            violations=[f"field {field.name!r}: {text}" for text in violations],
        )
    height, width, channels = (*field.size, 0)[:3]
    assert field.bounds is not None  # else a violation
    low, high = field.bounds
    return ImageSpec(
        height=int(height),
        width=int(width),
        channels=int(channels),
        bounds=(float(low), float(high)),
        **values,
    )


def _shape_violations(field: Field) -> list[str]:
    found = []
    if field.kind != "image":
        found.append(f"is of the kind {field.kind}, expected image")
    size = field.size
    if len(size) not in (2, 3) or min(size, default=0) < 1:
        found.append(f"size is {list(size)}, expected [height, width] or [height, width, channels]")
    elif len(size) == 3 and size[2] not in (1, 3):
        found.append(f"size declares {size[2]} channels, expected 1 or 3")
    if field.bounds is None:
        found.append("declares no bounds, expected the lowest and highest intensity: [0, 255]")
    elif not (all(map(math.isfinite, field.bounds)) and field.bounds[0] < field.bounds[1]):
        found.append(f"bounds are {list(field.bounds)}, expected [lowest, highest]")
    return found


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """Read one setting; None says that the value is not what is expected."""

    read: Callable[[Any], Any]
    expected: str


def _one_of(*names: str) -> _Setting:
    return _Setting(
        read=lambda value: value if isinstance(value, str) and value in names else None,
        expected=" or ".join(names),
    )


def _modality(value: Any) -> tuple[str, ...] | None:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        return None
    good = all(isinstance(name, str) and name.isalnum() and name == name.upper() for name in names)
    return tuple(sorted(set(names))) if good else None


def _window(value: Any) -> str | tuple[float, float] | None:
    if isinstance(value, str):
        return value if value in ("none", "voi") else None
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if not all(_is_number(number) and math.isfinite(number) for number in value):
        return None
    centre, width = map(float, value)
    return (centre, width) if width >= 1 else None


def _frame(value: Any) -> int | str | None:
    if isinstance(value, str):
        return value if value in ("single", "all") else None
    return value if _is_count(value) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _pixels(value: Any) -> int | None:
    return value if _is_count(value) and value > 0 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_SETTINGS: Mapping[str, _Setting] = MappingProxyType(
    {
        "modality": _Setting(read=_modality, expected="DICOM modalities such as [CR, DX]"),
        "window": _Setting(
            read=_window, expected="none, voi, or [centre, width] with a width of at least 1"
        ),
        "invert_monochrome1": _Setting(read=_flag, expected="true or false"),
        "resize": _one_of("exact", "fit"),
        "frame": _Setting(read=_frame, expected="single, all, or the number of a frame from 0"),
        "colour": _one_of("refuse", "luminance", "repeat"),
        "constant": _one_of("refuse", "allow"),
        "findings": _one_of("brighter", "darker", "either"),
        "max_pixels": _Setting(read=_pixels, expected="a whole number above 0"),
    }
)
