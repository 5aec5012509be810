"""Read the images that the rows of a table name, or that lie in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verticals.errors import BadFileError, DataError
from verticals.files import system_errors
from verticals.table import Array, Table
from verticals_medical_imaging.reading.arrays import OpenArray, read_array
from verticals_medical_imaging.reading.dicom_file import (
    facts_of,
    identity_of,
    is_dicom,
    open_dicom,
)
from verticals_medical_imaging.reading.dicom_pixels import read_dicom
from verticals_medical_imaging.reading.facts import (
    Decoded,
    Facts,
    Identity,
    facts_table,
    identity_table,
)
from verticals_medical_imaging.reading.finish import finish
from verticals_medical_imaging.reading.paths import inside, split_member
from verticals_medical_imaging.reading.quiet import quiet_pydicom
from verticals_medical_imaging.reading.raster import read_raster
from verticals_medical_imaging.reading.spec import ImageSpec

Progress = Callable[[str, int, int], None]

_RASTER = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_ARRAY = (b"\x93NUMPY", b"PK\x03\x04")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadImage:
    """Hold one image: float32 pixels of the declared size, its facts, and whose it is."""

    pixels: Array
    facts: Facts
    identity: Identity


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Name a row that was left out; the reason is one line and names the file."""

    row: int
    path: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Hold the images of a table.

    `rows` gives the table's row of each image, ascending; a row repeats where each of its frames
    is an image. `identities` (patient id, UIDs) is apart from `facts`, and not to be printed.
    """

    pixels: Array  # (images, height, width[, channels]), float32
    rows: Array  # (images,), int64
    skipped: tuple[Skipped, ...]
    facts: Table
    identities: Table


def read_image(path: str | Path, spec: ImageSpec) -> ReadImage:
    """Read one image from one file, or from a member as in 'stack.npz#images/12'.

    Raises `DataError` naming the file and what is wrong with it.
    """
    name = str(path)
    file, member = split_member(name)
    with system_errors(f"'{name}'", "read"):
        read, _ = _read(Path(file), member, name, spec, None)
    if len(read) != 1:
        raise DataError(
            f"'{name}' has {len(read)} frames, expected one image",
            hint="declare the number of a frame, or read it with read_images",
        )
    return read[0]


def read_images(
    paths: Sequence[str | None],
    root: Path,
    spec: ImageSpec,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Images:
    """Read the image of each row; paths are relative to `root`, and lead nowhere else.

    With `skip_bad` an image that is refused is left out and listed. `progress` is told what is
    done, how many, of how many.

    Raises `BadFileError` naming row (from 1) and file at the first image that is refused (without
    `skip_bad`), `DataError` where none is left.
    """
    read: list[ReadImage] = []
    rows: list[int] = []
    skipped: list[Skipped] = []
    last: OpenArray | None = None
    for row, name in enumerate(paths):
        try:
            found, last = _read_row(name, root, spec, last)
            read += found
            rows += [row] * len(found)
        except DataError as error:
            if not skip_bad:
                raise BadFileError(error.message, row=row + 1, hint=error.hint) from None
            skipped.append(Skipped(row=row, path=name or "", reason=error.message))
        if progress is not None:
            progress("reading images", row + 1, len(paths))
    if skipped and not read:
        raise DataError(
            f"none of {len(paths)} images can be read, the first because: {skipped[0].reason}",
            hint="check size, bounds and settings of the image field",
        )
    return _images(read, rows, skipped, spec)


def scan_folder(root: Path) -> Table:
    """Return a row for each DICOM image below a folder, from the headers alone.

    The columns are `path` (relative to `root`, as `read_images` takes it), the facts, and the
    identifiers, which are private. Files of another kind, reports and indexes are no rows; links
    are not followed. Raises `DataError` where there is no DICOM image.
    """
    names: list[str] = []
    facts: list[Facts] = []
    identities: list[Identity] = []
    with system_errors(f"folder '{root}'", "read"):
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        for path in files:
            name = path.relative_to(root).as_posix()
            if not is_dicom(path):
                continue
            with quiet_pydicom():
                header = open_dicom(path, name, pixels=False)
                if "Rows" in header:  # the pixels themselves are not read
                    names.append(name)
                    facts.append(facts_of(header))
                    identities.append(identity_of(header))
    if not names:
        raise DataError(f"folder '{root}' holds no DICOM image", hint=f"ls -R {root}")
    return (
        Table({"path": np.array(names, dtype=object)})
        .with_columns(facts_table(facts))
        .with_columns(identity_table(identities))
    )


def _images(
    read: Sequence[ReadImage], rows: Sequence[int], skipped: Sequence[Skipped], spec: ImageSpec
) -> Images:
    return Images(
        pixels=np.stack([item.pixels for item in read])
        if read
        else np.zeros((0, *spec.shape), dtype=np.float32),
        rows=np.array(rows, dtype=np.int64),
        skipped=tuple(skipped),
        facts=facts_table([item.facts for item in read]),
        identities=identity_table([item.identity for item in read]),
    )


def _read_row(
    name: str | None, root: Path, spec: ImageSpec, last: OpenArray | None
) -> tuple[tuple[ReadImage, ...], OpenArray | None]:
    if not name:
        raise DataError("names no image, expected a path")
    file, member = split_member(name)
    with system_errors(f"'{name}'", "read"):
        return _read(inside(root, file), member, name, spec, last)


def _read(
    path: Path, member: str, name: str, spec: ImageSpec, last: OpenArray | None
) -> tuple[tuple[ReadImage, ...], OpenArray | None]:
    if path.is_dir():
        raise DataError(
            f"'{name}' is a folder, expected an image",
            hint="list its files in the table: scan_folder gives the rows of a DICOM folder",
        )
    with path.open("rb") as file:
        head = file.read(8)
    frames: tuple[Decoded, ...]
    if is_dicom(path):  # first: its preamble may look like another format
        frames = read_dicom(path, name, spec)
    elif head.startswith(_RASTER):
        frames = read_raster(path, name, spec)
    elif head.startswith(_ARRAY):
        one, last = read_array(path, member, name, spec, last)
        frames = (one,)
    else:
        raise DataError(
            f"'{name}' is no image of a known kind, expected DICOM (with its prefix DICM), PNG, "
            "JPEG, TIFF, NPY or NPZ",
            hint="export the file again",
        )
    read = tuple(
        ReadImage(pixels=finish(frame, spec, name), facts=frame.facts, identity=frame.identity)
        for frame in frames
    )
    return read, last
