"""Maps over images as PNG, and a folder of them that is written only if the maps passed tests."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verticals.errors import ExplanationError
from verticals.files import write_folder
from verticals.strictjson import plain, readable_json
from verticals.table import Array, Table

if TYPE_CHECKING:
    from PIL import Image

    from verticals.api.scorer import Scorer
    from verticals_medical_imaging.saliency_tests import Verdict

FORMAT = 1
RECORD = "overlays.json"
MOST_ROWS = 200

_RAISES, _LOWERS = (214, 39, 40), (31, 90, 200)
_STRENGTH = 0.65  # how opaque the strongest pixel is
_SIDE = 256  # pixels that the shorter side is enlarged to, by a whole factor
_LINE = 16
_BAR = 12


def overlay_pixels(pixels: Array, values: Array, *, method: str, output: str) -> Array:
    """Return (height, width, 3) uint8: the image, the image under its map, and a legend.

    `pixels` is (channels, height, width) from 0 to 1, `values` (height, width). Red raises the
    score, blue lowers it; the colour is full at the map's own strongest pixel.
    """
    return np.asarray(_picture(pixels, values, method, output), dtype=np.uint8)


def overlay_png(pixels: Array, values: Array, *, method: str, output: str) -> bytes:
    """Return `overlay_pixels` as PNG; the same bytes for the same input and version of Pillow."""
    file = io.BytesIO()
    _picture(pixels, values, method, output).save(file, format="PNG")
    return file.getvalue()


def write_overlays(
    scorer: Scorer,
    table: Table,
    out: str | Path,
    *,
    method: str,
    target: str = "",
    rows: int = 16,
    seed: int = 0,
) -> Mapping[str, Any]:
    """Test a method's maps on the images of a bound table and write those of the first rows.

    Returns what `overlays.json` in the folder says: the verdict, and a file for each row. The
    tests look at up to 32 images, spread over the upper half of the scores.

    Raises `ExplanationError` where the maps failed; the folder then holds the verdict alone.
    """
    from verticals_medical_imaging.evidence import test_rows
    from verticals_medical_imaging.saliency import pictured, saliency
    from verticals_medical_imaging.saliency_tests import judge

    explained, output = pictured(scorer.model, table, target)
    tested = explained.take(test_rows(scorer.model, table, explained, output))
    _, verdict = judge(tested, method, seed=seed)
    files: dict[str, bytes] = {}
    if verdict.passed:
        first = explained.take(slice(0, rows))
        maps = saliency(first, method, seed=seed).shown
        pictures = first.pixels.cpu().numpy()
        for row, (picture, values) in enumerate(zip(pictures, maps, strict=True), start=1):
            png = overlay_png(picture, values, method=method, output=output)
            files[f"row-{row:06d}.png"] = png
    record = _record(scorer.digest, output, seed, verdict, list(files))
    folder = Path(out)
    write_folder(
        folder,
        {**files, RECORD: readable_json(record)},
        what=f"overlays '{folder}'",
        ours=lambda names: RECORD in names,
    )
    if not verdict.passed:
        raise ExplanationError(
            f"the maps of {method} failed their test on this bundle, so that none is printed: "
            f"{verdict.reason}",
            hint=f"see {folder / RECORD}; another --method, or more images in --data, may pass",
        )
    return record


def checked_overlays(
    scorer: Scorer, table: Table, *, method: str = "expected-gradients", seed: int = 0
) -> list[Array]:
    """Return the overlay of each row of a bound table as (height, width, 3) uint8.

    Raises `ExplanationError` where the method's maps fail their test on these images.
    """
    from verticals_medical_imaging.evidence import test_rows
    from verticals_medical_imaging.saliency import pictured, saliency
    from verticals_medical_imaging.saliency_tests import judge

    explained, output = pictured(scorer.model, table, "")
    tested = explained.take(test_rows(scorer.model, table, explained, output))
    _, verdict = judge(tested, method, seed=seed)
    if not verdict.passed:
        raise ExplanationError(
            f"the maps of {method} failed their test on this bundle, so that none is shown: "
            f"{verdict.reason}",
            hint="leave --capture out, or give more images in --data",
        )
    maps = saliency(explained, method, seed=seed).shown
    pictures = explained.pixels.cpu().numpy()
    return [
        overlay_pixels(picture, values, method=method, output=output)
        for picture, values in zip(pictures, maps, strict=True)
    ]


def _record(
    bundle: str, output: str, seed: int, verdict: Verdict, files: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = plain(
        {
            "format": FORMAT,
            "bundle": bundle,
            "output": output,
            "method": verdict.method,
            "seed": seed,
            "tests": {
                "images": verdict.images,
                "passed": verdict.passed,
                "reason": verdict.reason or None,
                "randomisation": asdict(verdict.correlation),
                "deletion": {**asdict(verdict.drop), "p_value": verdict.p_value},
            },
            "files": [{"row": row, "file": name} for row, name in enumerate(files, start=1)],
        },
        "overlays",
    )
    return found


def _picture(pixels: Array, values: Array, method: str, output: str) -> Image.Image:
    from PIL import Image

    factor = max(1, -(-_SIDE // min(values.shape)))
    size = (values.shape[1] * factor, values.shape[0] * factor)
    grey = np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8)
    colours = np.repeat(grey, 3, axis=0) if len(grey) == 1 else grey[:3]
    plain_image = Image.fromarray(colours.transpose(1, 2, 0)).resize(size, Image.Resampling.NEAREST)
    strongest = float(np.abs(values).max())
    share = values / strongest if strongest > 0 else np.zeros_like(values)
    smooth = Image.fromarray(share.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    under = np.asarray(plain_image, dtype=np.float64)
    mixed = Image.fromarray(_coloured(under, np.asarray(smooth, dtype=np.float64)))
    width, height = size[0] * 2 + 4, size[1]
    page = Image.new("RGB", (width, height + _BAR + 3 * _LINE + 10), (255, 255, 255))
    page.paste(plain_image, (0, 0))
    page.paste(mixed, (size[0] + 4, 0))
    _legend(page, height + 4, method, output)
    return page


def _coloured(under: Array, share: Array) -> Array:
    """Mix colours into (h, w, 3) by shares of −1 … 1."""
    colour = np.where(share[..., None] > 0, np.array(_RAISES), np.array(_LOWERS))
    opaque = np.abs(share)[..., None] * _STRENGTH
    return np.asarray(under * (1 - opaque) + colour * opaque + 0.5, dtype=np.uint8)


def _legend(page: Image.Image, top: int, method: str, output: str) -> None:
    from PIL import Image, ImageDraw, ImageFont

    width = page.width - 8
    shares = np.broadcast_to(np.linspace(-1, 1, width), (_BAR, width))
    bar = _coloured(np.full((_BAR, width, 3), 225.0), np.asarray(shares))
    page.paste(Image.fromarray(bar), (4, top))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=12)
    black, below = (0, 0, 0), top + _BAR + 1
    draw.text((4, below), "lowers the score", fill=black, font=font)
    draw.text((page.width - 4, below), "raises it", fill=black, font=font, anchor="ra")
    draw.text((4, below + _LINE), f"{method}: {output}", fill=black, font=font)
    told = "full colour: strongest pixel of this image"
    draw.text((4, below + 2 * _LINE), told, fill=black, font=font)
