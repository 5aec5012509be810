"""The declared pipeline from image files to arrays, as the SDK asks for it."""

from __future__ import annotations

from pathlib import Path

from verticals.contract import Field
from verticals.plugin import FilesRead
from verticals.table import Array, Table


class ImageReader:
    """Read PNG, JPEG, TIFF, NumPy arrays and DICOM by what the image field declares.

    What the files say of themselves (view, manufacturer, patient, UIDs) becomes further columns,
    which count for nothing unless the contract names them.
    """

    def digest(self, field: Field) -> str:
        """Return one hash of the declared pipeline and of its version."""
        from verticals_medical_imaging.reading import pipeline_digest

        return pipeline_digest(field)

    def read(self, field: Field, paths: Array, root: Path, *, skip_bad: bool) -> FilesRead:
        """Read the image of each path; raise `DataError` naming the first that is refused."""
        from verticals_medical_imaging.reading import read_images, spec_of

        names = [None if name is None else str(name) for name in paths.tolist()]
        found = read_images(names, root, spec_of(field), skip_bad=skip_bad)
        return FilesRead(
            values=found.pixels,
            kept=found.rows,
            skipped=tuple((item.row, item.reason) for item in found.skipped),
            facts={**found.facts, **found.identities},
        )

    def table(self, folder: Path) -> Table:
        """Return one row for each DICOM image below a folder, with what its header says."""
        from verticals_medical_imaging.reading import scan_folder

        return scan_folder(folder)
