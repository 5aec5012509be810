"""The declared pipeline, paths, and images that are no DICOM."""

from __future__ import annotations

import dataclasses
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from verticals.contract import Field
from verticals.errors import ContractError, DataError
from verticals_medical_imaging.reading import (
    ImageSpec,
    pipeline_digest,
    read_image,
    read_images,
    spec_of,
)
from verticals_medical_imaging.reading.voi import window

GREY = ImageSpec(height=8, width=6, bounds=(0, 255))
RAMP = np.arange(48, dtype=np.uint8).reshape(8, 6)


def field(**changes: Any) -> Field:
    base = Field(name="image", kind="image", column="path", size=(8, 6), bounds=(0, 255))
    return dataclasses.replace(base, **changes)


def png(path: Path, pixels: Any = RAMP, **options: Any) -> Path:
    PIL.Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def refused(path: Path, spec: ImageSpec = GREY) -> DataError:
    with pytest.raises(DataError) as caught:
        read_image(path, spec)
    assert str(path) in caught.value.message
    return caught.value


def refusal(path: Path, spec: ImageSpec = GREY) -> str:
    return refused(path, spec).message


# ---- the declaration ---------------------------------------------------------------------------


def test_spec_of_reads_every_setting() -> None:
    settings = {
        "modality": ["DX", "CR"],
        "window": [40, 400],
        "invert_monochrome1": False,
        "resize": "fit",
        "frame": 2,
        "colour": "luminance",
        "constant": "allow",
        "max_pixels": 1000,
    }
    assert spec_of(field(size=(8, 6, 1), settings=settings)) == ImageSpec(
        height=8,
        width=6,
        channels=1,
        bounds=(0.0, 255.0),
        modality=("CR", "DX"),
        window=(40.0, 400.0),
        invert_monochrome1=False,
        resize="fit",
        frame=2,
        colour="luminance",
        constant="allow",
        max_pixels=1000,
    )
    assert spec_of(field()) == ImageSpec(height=8, width=6, bounds=(0.0, 255.0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("modality", []),
        ("modality", ["cr"]),
        ("modality", 3),
        ("window", "auto"),
        ("window", [40]),
        ("window", [40, 0.5]),
        ("window", [float("nan"), 5]),
        ("invert_monochrome1", "yes"),
        ("resize", "stretch"),
        ("frame", -1),
        ("frame", True),
        ("colour", "drop"),
        ("constant", True),
        ("max_pixels", 0),
        ("windw", "voi"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(key: str, value: Any) -> None:
    with pytest.raises(ContractError, match=key) as caught:
        spec_of(field(settings={key: value}))
    assert "expected" in caught.value.message


def test_all_violations_are_listed() -> None:
    wrong = field(kind="numeric", size=(8, 6, 2), bounds=None, settings={"resize": "x"})
    with pytest.raises(ContractError) as caught:
        spec_of(wrong)
    assert len(caught.value.violations) == 4


@pytest.mark.parametrize("bounds", [(5.0, 5.0), (0.0, float("inf"))])
def test_bounds_must_be_a_range(bounds: tuple[float, float]) -> None:
    with pytest.raises(ContractError, match="bounds"):
        spec_of(field(bounds=bounds))


def test_the_digest_is_of_the_pipeline_and_of_nothing_else() -> None:
    digest = pipeline_digest(field())
    assert digest.startswith("sha256:")
    assert len(digest) == 71
    assert pipeline_digest(field(name="other", column="file", label="X")) == digest
    assert pipeline_digest(field(settings={"window": "none"})) == digest
    others = [
        field(size=(6, 8)),
        field(size=(8, 6, 1)),
        field(bounds=(0, 254)),
        *(
            field(settings={key: value})
            for key, value in {
                "modality": ["CR"],
                "window": "voi",
                "invert_monochrome1": False,
                "resize": "fit",
                "frame": 0,
                "colour": "repeat",
                "constant": "allow",
                "max_pixels": 9,
            }.items()
        ),
    ]
    assert len({digest, *map(pipeline_digest, others)}) == len(others) + 1


# ---- formats -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_lossless_formats_keep_every_value(tmp_path: Path, ending: str) -> None:
    read = read_image(png(tmp_path / f"a.{ending}"), GREY)
    assert read.pixels.dtype == np.float32
    assert np.array_equal(read.pixels, RAMP)
    assert (read.facts.rows, read.facts.columns, read.facts.bits) == (8, 6, 8)
    assert read.identity.patient_id == ""


def test_jpeg_is_read_upright(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    path = png(tmp_path / "a.jpg", np.repeat(RAMP.T * 4, 1, axis=0), exif=exif, quality=100)
    read = read_image(path, GREY)
    assert read.pixels.shape == (8, 6)
    assert np.abs(read.pixels - np.rot90(RAMP.T * 4.0, -1)).max() < 4


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, ending: str) -> None:
    deep = RAMP.astype(np.uint16) * 1000
    read = read_image(
        png(tmp_path / f"a.{ending}", deep), dataclasses.replace(GREY, bounds=(0, 65535))
    )
    assert np.array_equal(read.pixels, deep)
    assert read.facts.bits == 16


def test_white_is_zero_in_a_deep_tiff_is_mirrored(tmp_path: Path) -> None:
    deep = RAMP.astype(np.uint16) * 1000
    path = png(tmp_path / "a.tif", deep, tiffinfo={262: 0})
    read = read_image(path, dataclasses.replace(GREY, bounds=(0, 65535)))
    assert np.array_equal(read.pixels, 65535.0 - deep)


def test_colour_must_be_declared(tmp_path: Path) -> None:
    rgb = np.stack([RAMP, RAMP + 50, RAMP + 100], axis=2)
    path = png(tmp_path / "a.png", rgb)
    assert "colour" in refusal(path)
    as_rgb = dataclasses.replace(GREY, channels=3)
    assert np.array_equal(read_image(path, as_rgb).pixels, rgb)
    luminance = read_image(path, dataclasses.replace(GREY, colour="luminance")).pixels
    assert np.allclose(luminance, rgb @ [0.299, 0.587, 0.114], atol=1e-4)
    grey = png(tmp_path / "g.png")
    assert "grey" in refusal(grey, as_rgb)
    three = read_image(grey, dataclasses.replace(as_rgb, colour="repeat")).pixels
    assert np.array_equal(three, np.repeat(RAMP[..., None], 3, axis=2))


def test_alpha_must_hide_nothing(tmp_path: Path) -> None:
    rgba = np.full((8, 6, 4), 255, dtype=np.uint8)
    rgba[..., 0] = RAMP
    spec = dataclasses.replace(GREY, channels=3)
    assert np.array_equal(read_image(png(tmp_path / "a.png", rgba), spec).pixels, rgba[..., :3])
    rgba[0, 0, 3] = 7
    assert "transparent" in refusal(png(tmp_path / "b.png", rgba), spec)


def test_deep_colour_is_refused_rather_than_rounded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(deep_colour_png())
    assert "16 bits" in refusal(path, ImageSpec(height=1, width=1, channels=3, bounds=(0, 65535)))


def deep_colour_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = zlib.compress(b"\0" + bytes(range(6)))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def test_frames_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pages = [PIL.Image.fromarray(RAMP + step) for step in (0, 10, 20)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert "3 frames" in refusal(path)
    assert read_image(path, dataclasses.replace(GREY, frame=2)).pixels[0, 0] == 20
    assert "expected a frame 3" in refusal(path, dataclasses.replace(GREY, frame=3))
    every = read_images(["a.tif"], tmp_path, dataclasses.replace(GREY, frame="all"))
    assert every.pixels[:, 0, 0].tolist() == [0, 10, 20]
    assert every.rows.tolist() == [0, 0, 0]
    assert every.facts["frame"].tolist() == [0, 1, 2]
    assert "3 frames" in refusal(path, dataclasses.replace(GREY, frame="all"))


def test_arrays_and_stacks(tmp_path: Path) -> None:
    stack = np.stack([RAMP, RAMP + 100])
    np.save(tmp_path / "one.npy", RAMP)
    np.save(tmp_path / "stack.npy", stack)
    np.savez_compressed(tmp_path / "only.npz", stack)
    np.savez(tmp_path / "many.npz", first=RAMP, stack=stack)
    names = [
        *("one.npy", "stack.npy#1", "only.npz#1", "only.npz#0"),
        *("many.npz#first", "many.npz#stack/1"),
    ]
    read = read_images(names, tmp_path, GREY)
    assert read.pixels[:, 0, 0].tolist() == [0, 100, 100, 0, 0, 100]
    for name, words in {
        "stack.npy": "two dimensions",
        "stack.npy#2": "image 2",
        "one.npy#0": "expected a stack",
        "many.npz": "name of one",
        "many.npz#third": "name of one",
    }.items():
        with pytest.raises(DataError, match=words):
            read_images([name], tmp_path, GREY)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[object()]]), allow_pickle=True)
    np.savez(tmp_path / "a.npz", np.array([[{"a": 1}]]), allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        assert "objects are not read" in refused(tmp_path / name).hint


# ---- what is refused ---------------------------------------------------------------------------


def test_values_that_are_no_image(tmp_path: Path) -> None:
    holes = RAMP.astype(np.float32)
    holes[2, 3] = np.nan
    np.save(tmp_path / "nan.npy", holes)
    assert "1 values that are not finite" in refusal(tmp_path / "nan.npy")
    assert "constant" in refusal(png(tmp_path / "black.png", np.zeros_like(RAMP)))
    allowed = dataclasses.replace(GREY, constant="allow")
    assert not read_image(tmp_path / "black.png", allowed).pixels.any()
    np.save(tmp_path / "text.npy", np.full((8, 6), "x"))
    assert "expected numbers" in refusal(tmp_path / "text.npy")


def test_a_range_that_is_not_declared_is_never_rescaled(tmp_path: Path) -> None:
    deep = png(tmp_path / "a.png", RAMP.astype(np.uint16) * 1000)
    assert "within the declared [0, 255]" in refusal(deep)
    shallow = png(tmp_path / "b.png")  # its values fit [0, 4095], and would all be dark
    assert "stores intensities" in refusal(shallow, dataclasses.replace(GREY, bounds=(0, 4095)))
    np.save(tmp_path / "low.npy", RAMP - 0.5)
    assert "from -0.5" in refusal(tmp_path / "low.npy")


def test_sizes(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", np.zeros((9, 6), dtype=np.uint8) + np.arange(6, dtype=np.uint8))
    assert "9×6 pixels, expected 8×6" in refusal(path)
    fit = dataclasses.replace(GREY, resize="fit", height=18, width=18, bounds=(0, 255))
    pixels = read_image(path, fit).pixels
    assert pixels.shape == (18, 18)
    assert not pixels[:, :3].any()  # 18 × 12 of picture, centred on the lower bound
    assert not pixels[:, 15:].any()
    assert pixels[:, 14].min() > 4


def test_reduction_averages_what_falls_together(tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    board[:, 32:] //= 2
    spec = ImageSpec(height=8, width=8, bounds=(0, 255), resize="fit")
    pixels = read_image(png(tmp_path / "a.png", board), spec).pixels
    assert np.allclose(pixels[1:-1, 1:3], 127.5, atol=3)  # one pixel in eight would give 0 or 255
    assert np.allclose(pixels[1:-1, 5:7], 63.5, atol=3)


def test_a_window_maps_to_the_bounds(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RAMP.astype(np.float32))
    spec = dataclasses.replace(GREY, window=(20.5, 11.0), bounds=(-1, 1))
    pixels = read_image(tmp_path / "a.npy", spec).pixels
    assert np.allclose(pixels.ravel(), np.clip((RAMP.ravel() - 20.0) / 5, -1, 1), atol=1e-6)


def test_the_edges_of_windows() -> None:
    values = np.array([9.0, 10.0, 11.0])
    assert window(values, 10.5, 1).tolist() == [0, 0, 1]
    assert window(values, 10, 2, "LINEAR_EXACT").tolist() == [0, 0.5, 1]
    assert window(values, 10, 4, "SIGMOID")[1] == 0.5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no image of a known kind"),
        (b"hello, this is text" * 20, "no image of a known kind"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 200, "damaged"),
        (b"\xff\xd8\xff" + b"x" * 200, "damaged"),
        (b"II*\0" + b"x" * 200, "damaged"),
        (b"\x93NUMPY" + b"x" * 200, "damaged"),
        (b"PK\x03\x04" + b"x" * 200, "damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    assert words in refusal(path)


def test_a_truncated_png(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    whole = png(tmp_path / "a.png", noise).read_bytes()
    path = tmp_path / "b.png"
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in refusal(path, ImageSpec(height=64, width=64, bounds=(0, 255)))


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.new("1", (5800, 5800)).save(path)
    assert path.stat().st_size < 10_000
    assert "5800×5800" in refusal(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (50_000).to_bytes(4, "big") * 2  # the width and height of the header
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    assert "more pixels than Pillow opens" in refusal(path)
    small = dataclasses.replace(GREY, max_pixels=47)
    assert "48 pixels, expected at most 47" in refusal(png(tmp_path / "b.png"), small)


def test_an_archive_that_states_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (100000, 100000)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    assert "damaged" in refusal(path)


# ---- tables ------------------------------------------------------------------------------------


def test_a_path_never_leaves_the_data_folder(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    png(tmp_path / "secret.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    png(root / "good.png")
    (root / "inner.png").symlink_to(root / "good.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "a/../../secret.png", "C:\\a.png"):
        with pytest.raises(DataError, match="outside the data folder"):
            read_images([name], root, GREY)
    for name in ("link.png", "up/secret.png"):
        with pytest.raises(DataError, match="leads outside the data folder"):
            read_images([name], root, GREY)
    for name in ("none.png", "loop", "a\0b", "x" * 300):
        with pytest.raises(DataError, match="row 1: "):
            read_images([name], root, GREY)
    with pytest.raises(DataError, match="is a folder"):
        read_images(["."], root, GREY)
    assert len(read_images(["good.png", "inner.png", "./good.png"], root, GREY).pixels) == 3


def test_bad_rows_are_skipped_and_listed(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    png(tmp_path / "black.png", np.zeros_like(RAMP))
    names = ["a.png", "black.png", None, "none.png", "a.png"]
    told: list[tuple[str, int, int]] = []
    read = read_images(
        names, tmp_path, GREY, skip_bad=True, progress=lambda *seen: told.append(seen)
    )
    assert read.rows.tolist() == [0, 4]
    assert read.pixels.shape == (2, 8, 6)
    assert [(item.row, item.path) for item in read.skipped] == [
        (1, "black.png"),
        (2, ""),
        (3, "none.png"),
    ]
    assert "constant" in read.skipped[0].reason
    assert read.facts["format"].tolist() == ["png", "png"]
    assert told[-1] == ("reading images", 5, 5)
    with pytest.raises(DataError, match=r"row 2: 'black.png' is constant"):
        read_images(names, tmp_path, GREY)
    with pytest.raises(DataError, match="none of 2 images"):
        read_images(["black.png", "x"], tmp_path, GREY, skip_bad=True)
    assert read_images([], tmp_path, GREY).pixels.shape == (0, 8, 6)


def test_mixed_sizes(tmp_path: Path) -> None:
    png(tmp_path / "a.png")
    png(tmp_path / "b.png", np.arange(192, dtype=np.uint8).reshape(16, 12))
    with pytest.raises(DataError, match=r"row 2: .*16×12"):
        read_images(["a.png", "b.png"], tmp_path, GREY)
    fit = dataclasses.replace(GREY, resize="fit")
    assert read_images(["a.png", "b.png"], tmp_path, fit).pixels.shape == (2, 8, 6)


def test_reading_is_imported_light() -> None:
    code = (
        "import sys, verticals_medical_imaging.reading as r, verticals_medical_imaging.deidentify;"
        "import verticals_medical_imaging.deidentify_command;"
        "heavy = {'torch', 'pydicom', 'PIL', 'pandas', 'highdicom'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
