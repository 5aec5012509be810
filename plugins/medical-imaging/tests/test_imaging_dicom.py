"""DICOM images: the chain from stored values to declared pixels, and every test file of pydicom."""

from __future__ import annotations

import dataclasses
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data.data_manager import DATA_ROOT
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from verticals.errors import DataError
from verticals_medical_imaging.reading import ImageSpec, read_image, read_images, scan_folder
from verticals_medical_imaging.reading import dicom_file as dicom_file_module
from verticals_medical_imaging.reading.quiet import quiet_pydicom

DOC = Path(__file__).parents[3] / "docs/reference/dicom.md"
TEST_FILES = Path(DATA_ROOT) / "test_files"
EXPLICIT = "1.2.840.10008.1.2.1"
GREY = ImageSpec(height=4, width=5, bounds=(0, 4095))
RAMP = np.arange(20, dtype=np.uint16).reshape(4, 5) * 200
SECRETS = ("ZORRO", "1.2.3.777")


def dataset(pixels: Any = RAMP, **changes: Any) -> Dataset:
    pixels = np.asarray(pixels)
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.777.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.777.2", "1.2.3.777.3"
    made.PatientID, made.PatientName = "ZORRO-1", "ZORRO^DIEGO"
    made.PatientSex, made.PatientAge, made.Modality = "F", "018M", "DX"
    made.Manufacturer, made.ViewPosition, made.ImageLaterality = "ACME", "PA", "L"
    made.Rows, made.Columns = pixels.shape[:2] if pixels.shape[-1] == 3 else pixels.shape[-2:]
    made.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    made.PhotometricInterpretation = "RGB" if pixels.shape[-1] == 3 else "MONOCHROME2"
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = 8 if made.BitsAllocated == 8 else 12
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OB" if made.BitsAllocated == 8 else "OW"
    with quiet_pydicom():
        for keyword, value in changes.items():
            setattr(made, keyword, value)
    return made


def saved(path: Path, made: Dataset, syntax: str = EXPLICIT) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.get("SOPClassUID", "1.2.3")
    meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID", "1.2.3")
    meta.TransferSyntaxUID = UID(syntax)
    made.file_meta = meta
    if meta.TransferSyntaxUID.is_encapsulated:
        made["PixelData"].is_undefined_length = True
    with quiet_pydicom():
        pydicom.dcmwrite(path, made, enforce_file_format=True)
    return path


def pixels(folder: Path, made: Dataset, spec: ImageSpec = GREY) -> np.ndarray[Any, Any]:
    return read_image(saved(folder / "a.dcm", made), spec).pixels


def refusal(folder: Path, made: Dataset, spec: ImageSpec = GREY, syntax: str = EXPLICIT) -> str:
    return refused(saved(folder / "a.dcm", made, syntax), spec)


def refused(path: Path, spec: ImageSpec = GREY) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path, spec)
    text = caught.value.message + caught.value.hint
    assert str(path) in text
    assert not [secret for secret in SECRETS if secret in text]
    return caught.value.message


def with_(**changes: Any) -> ImageSpec:
    return dataclasses.replace(GREY, **changes)


# ---- the chain -----------------------------------------------------------------------------------


def test_facts_and_identity_are_apart(tmp_path: Path) -> None:
    read = read_image(saved(tmp_path / "a.dcm", dataset()), GREY)
    assert np.array_equal(read.pixels, RAMP)
    facts = read.facts
    assert (facts.format, facts.modality, facts.photometric) == ("dicom", "DX", "MONOCHROME2")
    assert (facts.bits, facts.rows, facts.columns, facts.frames) == (12, 4, 5, 1)
    assert (facts.manufacturer, facts.view, facts.laterality) == ("ACME", "PA", "L")
    assert (facts.sex, facts.age) == ("F", 1.5)
    assert read.identity.patient_id == "ZORRO-1"
    assert read.identity.study_uid == "1.2.3.777.2"
    assert read.identity.series_uid == "1.2.3.777.3"
    assert read.identity.sop_uid == "1.2.3.777.1"
    assert not [secret for secret in SECRETS if secret in repr(read)]


def test_rescale_slope_and_intercept(tmp_path: Path) -> None:
    made = dataset(RescaleSlope="2", RescaleIntercept="-1024")
    read = pixels(tmp_path, made, with_(bounds=(-1024, 7167)))
    assert np.array_equal(read, RAMP * 2.0 - 1024)
    assert "rescale slope 0" in refusal(tmp_path, dataset(RescaleSlope="0", RescaleIntercept="0"))


def test_signed_values(tmp_path: Path) -> None:
    stored = RAMP.astype(np.int16) - 2000
    read = pixels(tmp_path, dataset(stored), with_(bounds=(-2048, 2047)))
    assert np.array_equal(read, stored)


def test_bits_beyond_those_stored_are_no_values(tmp_path: Path) -> None:
    assert np.array_equal(pixels(tmp_path, dataset(RAMP | 0xF000)), RAMP)


def lut(first: int, values: list[int], bits: int) -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [len(values), first, bits]
    table.LUTData = np.array(values, dtype="<u2").tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    return table


def test_modality_lut(tmp_path: Path) -> None:
    stored = np.arange(20, dtype=np.uint16).reshape(4, 5)
    table = lut(0, list(range(4000, 3980, -1)), 16)
    table.ModalityLUTType = "OD"
    read = pixels(tmp_path, dataset(stored, ModalityLUTSequence=[table]))
    assert np.array_equal(read, 4000 - stored)


def test_monochrome1_is_mirrored_unless_declared_otherwise(tmp_path: Path) -> None:
    made = dataset(PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(pixels(tmp_path, made), 4095 - RAMP)
    assert np.array_equal(pixels(tmp_path, made, with_(invert_monochrome1=False)), RAMP)
    in_window = pixels(tmp_path, made, with_(window=(2048.0, 4096.0), bounds=(0, 1)))
    assert np.allclose(in_window, 1 - RAMP / 4095, atol=1e-3)


def test_the_windows_of_the_file(tmp_path: Path) -> None:
    made = dataset(WindowCenter=["2000", "7"], WindowWidth=["1001", "8"])
    voi = with_(window="voi", bounds=(0, 255))
    expected = np.clip((RAMP - 1999.5) / 1000 + 0.5, 0, 1) * 255
    assert np.allclose(pixels(tmp_path, made, voi), expected, atol=1e-3)
    assert np.array_equal(pixels(tmp_path, made), RAMP)  # nothing is applied that is not declared
    own = pixels(tmp_path, made, with_(window=(1000.0, 1001.0), bounds=(0, 255)))
    assert np.allclose(own, np.clip((RAMP - 999.5) / 1000 + 0.5, 0, 1) * 255, atol=1e-3)
    assert "neither a VOI LUT nor a window" in refusal(tmp_path, dataset(), voi)
    for wrong in ({"WindowWidth": "0"}, {"VOILUTFunction": "ZORRO"}, {"WindowWidth": "-3"}):
        broken = dataset(**({"WindowCenter": "5", "WindowWidth": "9"} | wrong))
        assert "window" in refusal(tmp_path, broken, voi)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_those_of_pydicom(tmp_path: Path, function: str) -> None:
    made = dataset(WindowCenter="1500", WindowWidth="900", VOILUTFunction=function)
    read = pixels(tmp_path, made, with_(window="voi"))
    theirs = pydicom.pixels.processing.apply_windowing(RAMP, made)
    assert np.allclose(read, theirs, atol=0.01)


def test_voi_lut(tmp_path: Path) -> None:
    stored = np.arange(20, dtype=np.uint16).reshape(4, 5)
    made = dataset(stored, VOILUTSequence=[lut(2, [0, 64, 128, 255], 8)])
    read = pixels(tmp_path, made, with_(window="voi", bounds=(0, 1)))
    assert np.allclose(read.ravel()[:7] * 255, [0, 0, 0, 64, 128, 255, 255])
    short = lut(2, [0, 64], 8)
    short.LUTDescriptor = [9, 2, 8]
    broken = dataset(stored, VOILUTSequence=[short])
    assert "cannot be read" in refusal(tmp_path, broken, with_(window="voi"))


def group(keyword: str, **values: Any) -> Dataset:
    inner, outer = Dataset(), Dataset()
    for key, value in values.items():
        setattr(inner, key, value)
    setattr(outer, keyword, [inner])
    return outer


def test_an_enhanced_image_says_it_for_each_frame(tmp_path: Path) -> None:
    frames = np.stack([RAMP, RAMP // 2])
    shared = group("PixelValueTransformationSequence", RescaleSlope="1", RescaleIntercept="100")
    own = [
        group("FrameVOILUTSequence", WindowCenter=str(centre), WindowWidth="1001")
        for centre in (1000, 2000)
    ]
    made = dataset(
        frames,
        NumberOfFrames="2",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=own,
    )
    read = pixels(tmp_path, made, with_(window="voi", frame=1))
    expected = np.clip((RAMP // 2 + 100 - 1999.5) / 1000 + 0.5, 0, 1) * 4095
    assert np.allclose(read, expected, atol=0.01)


def test_frames(tmp_path: Path) -> None:
    made = dataset(np.stack([RAMP, RAMP // 2]), NumberOfFrames="2")
    assert "has 2 frames, expected one image of two dimensions" in refusal(tmp_path, made)
    assert np.array_equal(pixels(tmp_path, made, with_(frame=1)), RAMP // 2)
    assert "expected a frame 2" in refusal(tmp_path, made, with_(frame=2))
    every = read_images(["a.dcm"], tmp_path, with_(frame="all"))
    assert np.array_equal(every.pixels, [RAMP, RAMP // 2])
    assert every.identities["sop_uid"].tolist() == ["1.2.3.777.1"] * 2


def test_colour(tmp_path: Path) -> None:
    rgb = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    spec = with_(channels=3, bounds=(0, 255))
    assert np.array_equal(pixels(tmp_path, dataset(rgb), spec), rgb)
    assert "is in colour" in refusal(tmp_path, dataset(rgb), with_(bounds=(0, 255)))
    grey = pixels(tmp_path, dataset(rgb), with_(bounds=(0, 255), colour="luminance"))
    assert np.allclose(grey, rgb @ [0.299, 0.587, 0.114], atol=1e-4)
    ybr = np.full((4, 5, 3), 128, dtype=np.uint8)
    ybr[..., 0] = np.arange(20).reshape(4, 5)  # no chroma: grey
    read = pixels(tmp_path, dataset(ybr, PhotometricInterpretation="YBR_FULL"), spec)
    assert np.abs(read - ybr[..., :1]).max() <= 1


def test_a_palette_gives_colour(tmp_path: Path) -> None:
    made = dataset(np.arange(20, dtype=np.uint8).reshape(4, 5))
    made.PhotometricInterpretation = "PALETTE COLOR"
    for colour, factor in (("Red", 1), ("Green", 2), ("Blue", 3)):
        name = f"{colour}PaletteColorLookupTable"
        setattr(made, f"{name}Descriptor", [32, 0, 8])
        made[f"{name}Descriptor"].VR = "US"
        setattr(made, f"{name}Data", bytes(np.arange(32, dtype=np.uint8) * factor))
        made[f"{name}Data"].VR = "OW"
    read = pixels(tmp_path, made, with_(channels=3, bounds=(0, 255)))
    assert np.array_equal(read, np.arange(20).reshape(4, 5, 1) * [1, 2, 3])


# ---- what is refused -----------------------------------------------------------------------------


def test_the_modality_is_declared(tmp_path: Path) -> None:
    only = with_(modality=("CR", "MG"))
    assert "modality DX, expected one of CR, MG" in refusal(tmp_path, dataset(), only)
    assert "has no modality" in refusal(tmp_path, dataset(Modality=""), only)
    assert "not of the standard" in refusal(tmp_path, dataset(Modality="ZORRO"), only)
    path = saved(tmp_path / "b.dcm", dataset())
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.3.777.111111111\0"))
    assert "not of the standard" in refused(path)
    assert np.array_equal(pixels(tmp_path, dataset(Modality="MG"), only), RAMP)


def test_ranges_are_never_rescaled_in_silence(tmp_path: Path) -> None:
    assert "within the declared [0, 255]" in refusal(tmp_path, dataset(), with_(bounds=(0, 255)))
    wide = with_(bounds=(0, 65535))
    assert "stores intensities from 0 to 4095" in refusal(tmp_path, dataset(), wide)
    assert "constant" in refusal(tmp_path, dataset(RAMP * 0))
    far = with_(window=(-5000.0, 10.0))
    assert "constant" in refusal(tmp_path, dataset(), far)


def test_damaged_headers(tmp_path: Path) -> None:
    for changes, words in {
        ("PhotometricInterpretation", "ZORRO"): "photometric interpretation",
        ("SamplesPerPixel", 3): "samples a pixel",
        ("NumberOfFrames", "0"): "NumberOfFrames 0",
        ("BitsStored", 17): "BitsStored 17",
        ("Rows", 0): "Rows 0",
        ("Rows", 9): "truncated",
    }.items():
        made = dataset(**dict([changes]))
        assert words in refusal(tmp_path, made)
    for keyword in ("Rows", "BitsAllocated", "PhotometricInterpretation"):
        made = dataset()
        del made[keyword]
        assert "has no" in refusal(tmp_path, made)


def test_a_file_that_is_cut_off_anywhere(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.dcm", dataset()).read_bytes()
    path = tmp_path / "cut.dcm"
    for size in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        refused(path)


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = dataset(Rows=65535, Columns=65535)
    assert "65535×65535, 4294836225 pixels" in refusal(tmp_path, big)
    many = dataset(NumberOfFrames="99999999")
    assert "99999999 frames" in refusal(tmp_path, many, with_(frame="all"))
    # A stream that states another size than the header: the decoder would believe the stream.
    jpeg = b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9"
    small = dataset(np.zeros((4, 5), np.uint8), PixelData=encapsulate([jpeg]))
    told = refusal(tmp_path, small, with_(bounds=(0, 255)), "1.2.840.10008.1.2.4.50")
    assert "stream of 65535×65535" in told
    deflated = saved(tmp_path / "b.dcm", dataset(), "1.2.840.10008.1.2.1.99")
    assert np.array_equal(read_image(deflated, GREY).pixels, RAMP)
    monkeypatch.setattr(dicom_file_module, "MAX_INFLATED", 100)
    assert "inflates to more than" in refused(deflated)


def test_a_deflated_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_file_module, "MAX_INFLATED", 2**22)
    path = saved(tmp_path / "a.dcm", dataset(), "1.2.840.10008.1.2.1.99")
    head = path.read_bytes()
    start = 144 + int.from_bytes(head[140:144], "little")
    packer = zlib.compressobj(9, wbits=-15)
    zeros = bytes(2**20)
    body = b"".join(packer.compress(zeros) for _ in range(64)) + packer.flush()
    path.write_bytes(head[:start] + body)
    assert path.stat().st_size < 80_000
    assert "inflates to more than" in refused(path)


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = TEST_FILES / "MR_small_jp2klossless.dcm"
    spec = ImageSpec(height=64, width=64, bounds=(-32768, 32767))
    decoder = get_decoder(UID("1.2.840.10008.1.2.4.90"))
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg>=2.0",)})
    with pytest.raises(DataError, match=r"JPEG 2000.*no decoder for it is installed") as caught:
        read_image(path, spec)
    assert "pylibjpeg" in caught.value.message
    assert "verticals-medical-imaging[decoders]" in caught.value.hint


# ---- folders -------------------------------------------------------------------------------------


def test_a_folder_becomes_a_table(tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    saved(tmp_path / "b.dcm", dataset())
    saved(tmp_path / "ct" / "a", dataset(Modality="CT", PatientID="ZORRO-2"))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "link.dcm").symlink_to(tmp_path / "b.dcm")
    saved(tmp_path / "report.dcm", group("ContentSequence", TextValue="x"))
    table = scan_folder(tmp_path)
    assert table["path"].tolist() == ["b.dcm", "ct/a"]
    assert table["modality"].tolist() == ["DX", "CT"]
    assert table["patient_id"].tolist() == ["ZORRO-1", "ZORRO-2"]
    assert read_images(table["path"].tolist(), tmp_path, GREY).pixels.shape == (2, 4, 5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no DICOM image"):
        scan_folder(tmp_path / "empty")


# ---- the test files of pydicom -------------------------------------------------------------------


def with_pixels() -> list[tuple[Path, Dataset]]:
    found = []
    for path in sorted(path for path in TEST_FILES.rglob("*") if path.is_file()):
        with quiet_pydicom():
            try:
                header = pydicom.dcmread(path, force=True)
            except Exception:  # no DICOM
                continue
        if any(keyword in header for keyword in dicom_file_module.PIXEL_KEYWORDS):
            found.append((path, header))
    return found


def fitting(header: Dataset) -> ImageSpec:
    """Return what a person would declare for one file: its size, its channels, its range."""
    try:
        bits, palette = int(header.BitsStored), header.PhotometricInterpretation == "PALETTE COLOR"
        limits = [-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1]
        if not header.get("PixelRepresentation"):
            limits = [0.0, 2.0**bits - 1]
        slope = float(header.get("RescaleSlope") or 1)
        intercept = float(header.get("RescaleIntercept") or 0)
        low, high = sorted(value * slope + intercept for value in limits)
        if palette:
            low, high = 0.0, 65535.0
        channels = 3 if palette or header.get("SamplesPerPixel") == 3 else 0
        return ImageSpec(
            height=header.Rows, width=header.Columns, channels=channels, bounds=(low, high), frame=0
        )
    except AttributeError:
        return GREY


def documented() -> tuple[dict[str, str], int, int]:
    """Return the refused files with their reasons, and the two counts that the page states."""
    text = DOC.read_text(encoding="utf-8")
    section = text[text.index("## The test files of pydicom") :]
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \|", section, re.MULTILINE)
    counts = re.search(r"(\d+) files with pixels; (\d+) are read", section)
    assert counts is not None
    return dict(rows), int(counts[1]), int(counts[2])


def test_every_test_file_of_pydicom_is_read_or_listed_as_refused() -> None:
    refusals: dict[str, str] = {}
    missing = 0
    files = with_pixels()
    for path, header in files:
        name = path.relative_to(TEST_FILES).as_posix()
        spec = fitting(header)
        try:
            read = read_image(path, spec)
        except DataError as error:
            if "no decoder" in error.message:
                missing += 1
            else:
                refusals[name] = error.message
            continue
        assert read.pixels.shape == spec.shape, name
        assert read.pixels.dtype == np.float32
    listed, total, read_count = documented()
    unseen = set(listed) - set(refusals) if missing else set()
    assert set(refusals) == set(listed) - unseen
    for name, message in refusals.items():
        assert listed[name] in message, name
    if total == len(files):  # the version of pydicom that the page was written for
        assert len(files) - len(refusals) - missing == read_count - missing + len(unseen)
