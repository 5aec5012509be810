"""Plant identities everywhere in DICOM files, de-identify them, and search all that comes out."""

from __future__ import annotations

import io
import json
import os
import stat
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pydicom
import pytest
from click.testing import CliRunner
from pydicom.data.data_manager import DATA_ROOT
from pydicom.datadict import DicomDictionary
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from verticals.cli.main import run as cli
from verticals.errors import CallError, DataError, VerticalsError
from verticals.registry import commands
from verticals_medical_imaging.deidentify import Pseudonyms, deidentify_folder
from verticals_medical_imaging.deidentify.profile import listed
from verticals_medical_imaging.deidentify.pseudonyms import shifted
from verticals_medical_imaging.deidentify.terms import MAKERS, TERMS, kept_age
from verticals_medical_imaging.deidentify_command import deidentify
from verticals_medical_imaging.reading.markers import stream_size, without_text
from verticals_medical_imaging.reading.quiet import quiet_pydicom

KEY = b"a key of the tests, long enough"
NAME, NUMBER, DATE = "ZORRO", "777666", "17760704"
SECRETS = (b"zorro", b"diego", b"777666", b"17760704", b"133742")
TEST_FILES = Path(DATA_ROOT) / "test_files"

# What is planted under each VR. Numbers hold text, as a careless writer would put it there.
PLANTED = {
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC", "UR", "PN"), b"ZORRO^DIEGO "),
    **dict.fromkeys(("OB", "OW", "UN", "OF", "OD", "OL", "OV"), b"ZORRO^DIEGO DELA"),
    **dict.fromkeys(("AE", "CS", "IS", "DS"), b"ZORRO "),
    "AS": b"ZORR",
    "DA": b"17760704",
    "DT": b"17760704133742.5",
    "TM": b"133742",
    "UI": b"1.2.840.777666.1",
}
LONG = ("OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UC", "UN", "UR", "UT", "SV", "UV")
# What the picture itself is made of; LUT data are numbers, though their VR could hold text.
PICTURE = ("LookupTableData", "LUTData", "PixelData")


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Encode one element in explicit VR little endian, whatever its value."""
    value += b"\0" * (len(value) % 2) if vr in LONG or vr == "UI" else b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    size = struct.pack("<HI", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))
    return head + size + value


def item(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body


def planted() -> dict[int, bytes]:
    """Return an element with an identity for every tag of the dictionary that could hold one."""
    found: dict[int, bytes] = {}
    inner = item(
        element(0x00080104, "LO", b"ZORRO meaning "), element(0x00100010, "PN", b"ZORRO^DIEGO ")
    )
    for tag, (vrs, _, _, _, keyword) in DicomDictionary.items():
        vr = vrs.split(" or ")[-1]
        if tag >> 16 < 8 or any(keyword.endswith(name) for name in PICTURE):
            continue
        if vr == "SQ":
            found[tag] = element(tag, "SQ", inner)
        elif vr in PLANTED:
            found[tag] = element(tag, vr, PLANTED[vr])
    return found


def picture(rows: int, columns: int) -> dict[int, bytes]:
    short = {0x00280002: 1, 0x00280010: rows, 0x00280011: columns, 0x00280100: 16}
    short |= {0x00280101: 12, 0x00280102: 11, 0x00280103: 0}
    found = {tag: element(tag, "US", struct.pack("<H", value)) for tag, value in short.items()}
    found[0x00280004] = element(0x00280004, "CS", b"MONOCHROME2 ")
    found[0x00280008] = element(0x00280008, "IS", b"1 ")
    words = np.arange(rows * columns, dtype="<u2") % 4096
    words[0] |= 0xF000  # an old overlay in the unused bits
    found[0x7FE00010] = element(0x7FE00010, "OW", words.tobytes() + b"ZORRO after the pixels")
    return found


def nested(elements: dict[int, bytes]) -> dict[int, bytes]:
    """Put everything once more into sequences that the profile does not remove."""
    body = b"".join(elements[tag] for tag in sorted(elements))
    inner = element(0x00082218, "SQ", item(body))
    return {0x00082218: element(0x00082218, "SQ", item(inner))}


def dicom_file(elements: dict[int, bytes], *, syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    meta = b"".join(
        [
            element(0x00020002, "UI", b"1.2.840.10008.5.1.4.1.1.1.1"),
            element(0x00020003, "UI", b"1.2.840.777666.1"),
            element(0x00020010, "UI", syntax.encode()),
            element(0x00020012, "UI", b"1.2.840.777666.2"),
            element(0x00020013, "SH", b"ZORRO 1 "),
            element(0x00020016, "AE", b"ZORRO "),
            element(0x00020100, "UI", b"1.2.840.777666.3"),
            element(0x00020102, "OB", b"ZORRO "),
        ]
    )
    head = b"ZORRO DIEGO".ljust(128, b"!") + b"DICM"
    head += element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta
    return head + b"".join(elements[tag] for tag in sorted(elements))


def hostile(*, with_nested: bool = True) -> bytes:
    elements = planted()
    base = {tag: data for tag, data in elements.items() if tag >> 16 != 0x0028}
    elements |= nested(base) if with_nested else {}
    elements |= {
        0x00080016: element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.1.1"),
        0x00090010: element(0x00090010, "LO", b"ZORRO PRIVATE "),
        0x00091001: element(0x00091001, "PN", b"ZORRO^DIEGO "),
        0x00091002: element(0x00091002, "US", b"ZORRO "),
        0x00180052: element(0x00180052, "FD", b"ZORRODIE"),  # no tag of the dictionary
        0x00280006: element(0x00280006, "LT", b"ZORRO "),  # text where a number is due
        0x00280009: element(0x00280009, "LO", b"ZORRO "),
        0x50003000: element(0x50003000, "OW", b"ZORRO "),
        0x60003000: element(0x60003000, "OW", b"ZORRO "),
        0x60004000: element(0x60004000, "LT", b"ZORRO "),
    }
    return dicom_file(elements | picture(8, 10))


def simple(**changes: Any) -> bytes:
    """Return a small radiograph with the header elements that matter here."""
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
        "SOPInstanceUID": "1.2.3.777666.1",
        "StudyInstanceUID": "1.2.3.777666.10",
        "SeriesInstanceUID": "1.2.3.777666.20",
        "StudyDate": "20200301",
        "AcquisitionDateTime": "20200302120000",
        "Modality": "DX",
        "Manufacturer": "SIEMENS",
        "PatientName": "ZORRO^DIEGO",
        "PatientID": "ZORRO-1",
        "PatientSex": "F",
        "PatientAge": "045Y",
        "ViewPosition": "PA",
    } | changes
    with quiet_pydicom():
        file = pydicom.dcmread(io.BytesIO(dicom_file(picture(8, 10))))
        for keyword, value in values.items():
            setattr(file, keyword, value)
        file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, file)
    return buffer.getvalue()


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def run(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return deidentify_folder(source, out, Pseudonyms(key=KEY), **options)


def outputs(out: Path) -> Iterator[pydicom.FileDataset]:
    for path in sorted(out.rglob("*.dcm")):
        yield pydicom.dcmread(path)


def leaks(folder: Path, *texts: str) -> list[str]:
    """Name each output in which a secret occurs: in its path, its bytes, or a text."""
    found = [
        f"{path.relative_to(folder)}: {secret!r}"
        for path in folder.rglob("*")
        for secret in SECRETS
        if secret in str(path.relative_to(folder)).lower().encode()
        or (path.is_file() and secret in path.read_bytes().lower())
    ]
    return found + [
        f"text: {secret!r}" for t in texts for secret in SECRETS if secret in t.lower().encode()
    ]


# ---- nothing identifying comes out ---------------------------------------------------------------


def test_the_planted_file_is_as_hostile_as_it_should_be() -> None:
    data = hostile(with_nested=False)
    assert len(planted()) > 3000
    assert data.count(b"ZORRO") > 2500
    vrs = {entry[0] for entry in DicomDictionary.values()}
    numbers = {"AT", "FL", "FD", "SL", "SS", "SQ", "UL", "US", "SV", "UV"}
    assert {vr for vr in vrs if len(vr) == 2} - set(PLANTED) <= numbers


def test_no_planted_identity_comes_out(tmp_path: Path) -> None:
    files = {
        "ZORRO/DIEGO_777666.dcm": hostile(),
        "ZORRO/damaged_ZORRO.dcm": hostile()[:3000],
        "ZORRO/notes.txt": b"ZORRO DIEGO",
    }
    source = put(tmp_path / "in", files)
    key = put(tmp_path, {"key": KEY}) / "key"
    done = CliRunner().invoke(
        deidentify, [str(source), str(tmp_path / "out"), "--key", str(key), "--json"]
    )
    assert done.exception is None, done.exception
    assert leaks(tmp_path / "out", done.stdout, done.stderr) == []
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "out" / "deidentify-report.json").read_text())
    assert report["files"]["written"] == 1
    assert report["files"]["left_out"] == {
        "no pixels (a report, plan or index)": 1,
        "not DICOM": 1,
    }
    assert sum(report["actions"].values()) > 6000  # all of it was read
    assert report["elements"]["(private)"]["removed"] >= 3
    assert report["elements"]["(overlay)"]["removed"] >= 2
    assert report["elements"]["(curve)"]["removed"] >= 1
    (clean,) = outputs(tmp_path / "out")
    assert clean.preamble == b"\0" * 128
    assert not any(part.tag.is_private for part in clean)
    stored = clean.pixel_array
    assert stored.shape == (8, 10)
    assert stored.ravel().tolist() == list(range(80))
    assert len(clean.PixelData) == 160


def test_nothing_is_said_while_files_are_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    source = put(tmp_path / "ZORRO", {"a.dcm": hostile(with_nested=False)})
    run(source, tmp_path / "out")
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_errors_name_no_value(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"ZORRO.dcm": dicom_file({}), "b.txt": b"ZORRO"})
    with pytest.raises(DataError) as caught:
        run(source, tmp_path / "out")
    assert NAME not in caught.value.message + caught.value.hint
    assert "1 no pixels" in caught.value.message


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
def test_text_in_a_compressed_stream(tmp_path: Path, form: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30), dtype=np.uint8)
    buffer = io.BytesIO()
    options: dict[str, Any] = {"comment": b"ZORRO DIEGO"}
    if form == "JPEG":
        exif = PIL.Image.Exif()
        exif[0x010E] = "ZORRO DIEGO"
        options |= {"exif": exif, "progressive": True}
    else:
        options |= {"no_jp2": False, "tile_size": (16, 16)}  # with boxes, and tile parts
    PIL.Image.fromarray(pixels).save(buffer, form, **options)
    stream = buffer.getvalue() + b"ZORRO"
    assert stream_size(without_text(stream)) == (40, 30)
    syntax = "1.2.840.10008.1.2.4.50" if form == "JPEG" else "1.2.840.10008.1.2.4.90"
    file = pydicom.dcmread(io.BytesIO(simple()))
    file.file_meta.TransferSyntaxUID = UID(syntax)
    for keyword, value in {"Rows": 40, "Columns": 30, "BitsAllocated": 8, "BitsStored": 8}.items():
        setattr(file, keyword, value)
    file.HighBit, file.PixelData = 7, encapsulate([stream])
    file["PixelData"].VR, file["PixelData"].is_undefined_length = "OB", True
    source = tmp_path / "in"
    source.mkdir()
    file.save_as(source / "a.dcm")
    report = run(source, tmp_path / "out")
    assert report["pixels_blanked"] == 1
    assert leaks(tmp_path / "out") == []
    (clean,) = outputs(tmp_path / "out")
    assert np.array_equal(clean.pixel_array, pydicom.dcmread(source / "a.dcm").pixel_array)
    if form == "JPEG2000":
        (frame,) = generate_frames(clean.PixelData, number_of_frames=1)
        assert frame.startswith(b"\xff\x4f")


# ---- the profile ---------------------------------------------------------------------------------


def test_the_table_is_that_of_the_standard() -> None:
    table = listed()
    assert len(table) == 652
    expected = {
        0x00100010: "emptied",
        0x00100020: "replaced",
        0x00100030: "emptied",
        0x00080080: "replaced",
        0x00081030: "removed",
        0x0020000D: "mapped",
        0x00081140: "searched",
        0x0040A730: "replaced",
        0x00104000: "removed",
        0x00200010: "emptied",
    }
    assert {tag: table[tag].value for tag in expected} == expected
    assert set(Counter(action.value for action in table.values())) <= {
        *("removed", "emptied", "replaced", "mapped", "searched")
    }


def test_the_method_is_written(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"a.dcm": simple()})
    for place, keep in ((tmp_path / "a", False), (tmp_path / "b", True)):
        run(source, place, keep_sex_age=keep)
        (clean,) = outputs(place)
        assert clean.PatientIdentityRemoved == "YES"
        assert clean.LongitudinalTemporalInformationModified == "MODIFIED"
        methods = clean.DeidentificationMethodCodeSequence
        codes = [code.CodeValue for code in methods]
        assert codes == ["113100", "113107", *(["113108"] if keep else [])]
        assert {code.CodingSchemeDesignator for code in methods} == {"DCM"}
        assert clean.get("PatientSex") == ("F" if keep else "")
        assert clean.get("PatientAge") == ("045Y" if keep else None)
        assert (clean.Modality, clean.ViewPosition, clean.Manufacturer) == ("DX", "PA", "SIEMENS")
        assert clean.file_meta.MediaStorageSOPInstanceUID == clean.SOPInstanceUID


def test_great_ages_fall_together() -> None:
    ages = ["089Y", "090Y", "104Y", "011M", "104D", "", "ZORR", "45"]
    assert [kept_age(age) for age in ages] == [
        *("089Y", "090Y", "090Y", "011M", "104D", "", "", "")
    ]


def test_kept_words_are_closed_lists() -> None:
    assert NAME not in {term for terms in TERMS.values() for term in terms} | MAKERS
    assert all(len(term) <= 16 for terms in TERMS.values() for term in terms)


def test_an_unknown_maker_becomes_a_code(tmp_path: Path) -> None:
    files = {
        f"{place}.dcm": simple(SOPInstanceUID=f"1.2.3.{place}", Manufacturer=maker)
        for place, maker in enumerate(["Zorro Imaging", "ZORRO IMAGING ", "Diego Ltd"])
    }
    run(put(tmp_path / "in", files), tmp_path / "out")
    makers = Counter(clean.Manufacturer for clean in outputs(tmp_path / "out"))
    assert sorted(makers.values()) == [1, 2]
    assert all(maker.startswith("MAKER-") for maker in makers)


# ---- consistency ---------------------------------------------------------------------------------


def cohort() -> dict[str, bytes]:
    """Return two patients: three images of two studies, and one image."""
    rows = [("1", "10", "20200301"), ("2", "10", "20200301"), ("3", "11", "20200415")]
    files = {
        f"a{sop}.dcm": simple(
            SOPInstanceUID=f"1.2.3.{sop}",
            StudyInstanceUID=f"1.2.3.{study}",
            StudyDate=date,
            FrameOfReferenceUID="1.2.3.99",
        )
        for sop, study, date in rows
    }
    return files | {"b.dcm": simple(SOPInstanceUID="1.2.3.4", PatientID="ZORRO-2")}


def test_uids_dates_and_patients_stay_consistent(tmp_path: Path) -> None:
    source = put(tmp_path / "in", cohort())
    report = run(source, tmp_path / "out", map_file=tmp_path / "map.json")
    assert report["patients"] == 2
    mapped = json.loads((tmp_path / "map.json").read_text())
    by_name = {
        name: pydicom.dcmread(tmp_path / "out" / new) for name, new in mapped["files"].items()
    }
    first, second, third, other = (by_name[name] for name in sorted(by_name))
    assert first.StudyInstanceUID == second.StudyInstanceUID != third.StudyInstanceUID
    assert first.FrameOfReferenceUID == third.FrameOfReferenceUID
    assert len({clean.SOPInstanceUID for clean in by_name.values()}) == 4
    for clean in by_name.values():
        for uid in (clean.StudyInstanceUID, clean.SOPInstanceUID, clean.SeriesInstanceUID):
            assert uid.startswith("2.25.")
            assert UID(uid).is_valid
    assert first.PatientID == third.PatientID != other.PatientID

    def day(clean: Any, keyword: str = "StudyDate") -> np.datetime64:
        text = clean.get(keyword)
        return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:8]}")

    shift = np.datetime64("2020-03-01") - day(first)
    assert np.timedelta64(30, "D") <= shift < np.timedelta64(3650, "D")
    assert day(second) == day(first)
    assert day(third) - day(first) == np.timedelta64(45, "D")
    assert day(first, "AcquisitionDateTime") - day(first) == np.timedelta64(1, "D")
    assert np.datetime64("2020-03-01") - day(other) != shift
    assert mapped["patients"]["ZORRO-1"] == {
        "code": first.PatientID,
        "days": int(shift.astype(int)),
    }


def test_the_same_key_gives_the_same_bytes_and_another_one_gives_others(tmp_path: Path) -> None:
    source = put(tmp_path / "in", cohort())
    for place, key in (("a", KEY), ("b", KEY), ("c", KEY[::-1])):
        deidentify_folder(source, tmp_path / place, Pseudonyms(key=key))
    a, b, c = (
        {path.relative_to(tmp_path / place): path.read_bytes() for path in files}
        for place in "abc"
        for files in [(tmp_path / place).rglob("*.dcm")]
    )
    assert a == b
    assert not set(a) & set(c)
    assert (tmp_path / "a/deidentify-report.json").read_bytes() == (
        tmp_path / "b/deidentify-report.json"
    ).read_bytes()


def test_what_is_de_identified_can_be_so_again(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"a.dcm": hostile(with_nested=False), **cohort()})
    run(source, tmp_path / "once", keep_sex_age=True)
    run(tmp_path / "once", tmp_path / "twice", keep_sex_age=True)
    again = {clean.SOPInstanceUID: clean for clean in outputs(tmp_path / "twice")}
    assert len(again) == 5
    for before in outputs(tmp_path / "once"):
        clean = again[Pseudonyms(key=KEY).uid(before.SOPInstanceUID)]
        assert set(clean.keys()) == set(before.keys())
        moving = ("UI", "DA", "DT", "SQ")
        changed = {e.keyword for e in clean if e.VR not in moving and e != before[e.tag]}
        assert changed == {"PatientID", "PatientName"}
        assert len(clean.DeidentificationMethodCodeSequence) == 3


def test_dates_that_are_none() -> None:
    texts = ["", "2024", "20240230", "2024030", "20240301 ZORRO", "20240301ZORRO", "00010101"]
    assert [shifted(text, 30) for text in texts] == [""] * len(texts)
    assert shifted("20240301", 60) == "20240101"
    assert shifted("20240301235959.999999-0500", 1) == "20240229"


# ---- files ---------------------------------------------------------------------------------------


def test_the_map_is_private_and_kept_apart(tmp_path: Path) -> None:
    source = put(tmp_path / "in", cohort() | {"ZORRO.txt": b"x"})
    out = tmp_path / "out"
    for place in (out / "map.json", source / "map.json"):
        with pytest.raises(DataError, match="kept apart"):
            run(source, out, map_file=place)
    run(source, out, map_file=tmp_path / "map.json")
    assert stat.S_IMODE(os.stat(tmp_path / "map.json").st_mode) == 0o600
    mapped = json.loads((tmp_path / "map.json").read_text())
    assert mapped["uids"]["1.2.3.10"].startswith("2.25.")
    assert mapped["left_out"] == {"ZORRO.txt": "not DICOM"}
    assert KEY.decode() not in (tmp_path / "map.json").read_text()
    with pytest.raises(DataError, match="exists"):
        run(source, tmp_path / "out2", map_file=tmp_path / "map.json")
    assert leaks(out) == []


def test_places_that_are_refused(tmp_path: Path) -> None:
    source = put(tmp_path / "in", cohort())
    (tmp_path / "link").symlink_to(source)
    for out in (source, source / "out", tmp_path, tmp_path / "link" / "out"):
        with pytest.raises(DataError, match="in one another"):
            run(source, out)
    with pytest.raises(DataError, match="no empty folder"):
        run(source, put(tmp_path / "full", {"x": b""}))
    with pytest.raises(DataError, match="no folder"):
        run(tmp_path / "none", tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no files"):
        run(empty, tmp_path / "out")
    with pytest.raises(CallError, match="at least 16"):
        Pseudonyms(key=b"short")
    assert not (tmp_path / "out").exists()


def test_links_and_twins(tmp_path: Path) -> None:
    files = cohort()
    source = put(tmp_path / "in", files | {"twin.dcm": files["b.dcm"]})
    (source / "link.dcm").symlink_to(source / "b.dcm")
    put(source, {"z.dcm": simple(SOPInstanceUID="1.2.3.4", PatientID="ZORRO-2", KVP="9")})
    report = run(source, tmp_path / "out")
    assert report["files"] == {
        "found": 7,
        "written": 4,
        "duplicates": 1,
        "left_out": {"another file has the same SOP instance UID": 1, "symbolic link": 1},
    }


def test_a_patient_without_an_id_is_told_apart_by_study(tmp_path: Path) -> None:
    files = {
        f"{place}.dcm": simple(
            SOPInstanceUID=f"1.2.3.{place}", StudyInstanceUID=f"1.2.4.{study}", PatientID=""
        )
        for place, study in enumerate("112")
    }
    assert run(put(tmp_path / "in", files), tmp_path / "out")["patients"] == 2


def test_likely_burned_in_text_is_told(tmp_path: Path) -> None:
    kinds = [
        {"BurnedInAnnotation": "YES"},
        {"Modality": "US"},
        {"Modality": "US", "BurnedInAnnotation": "NO"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
        {},
    ]
    files = {
        f"{place}.dcm": simple(SOPInstanceUID=f"1.2.3.{place}", **kind)
        for place, kind in enumerate(kinds)
    }
    source, key = put(tmp_path / "in", files), put(tmp_path, {"key": KEY}) / "key"
    done = CliRunner().invoke(deidentify, [str(source), str(tmp_path / "out"), "--key", str(key)])
    assert done.exception is None
    assert "burned into 1 images by their own word and likely into 3 more" in done.stderr
    report = json.loads((tmp_path / "out/deidentify-report.json").read_text())["burned_in"]
    assert (len(report["declared"]), len(report["likely"])) == (1, 3)
    assert all((tmp_path / "out" / name).is_file() for names in report.values() for name in names)


def test_pixels_of_the_test_files_of_pydicom_stay_the_same(tmp_path: Path) -> None:
    names = {  # one of each way to store pixels
        *("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"),
        *("JPGExtended.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_small_odd.dcm"),
        *("liver_1frame.dcm", "rtdose.dcm", "image_dfl.dcm", "examples_palette.dcm"),
        *("SC_rgb_rle_2frame.dcm", "examples_overlay.dcm", "SC_rgb_jls_lossy_line.dcm"),
        *("SC_ybr_full_422_uncompressed.dcm", "examples_ybr_color.dcm"),
    }
    seen = 0
    for name in sorted(names):
        source = put(tmp_path / name / "in", {name: (TEST_FILES / name).read_bytes()})
        run(source, tmp_path / name / "out")
        (clean,) = outputs(tmp_path / name / "out")
        with quiet_pydicom():
            before = pydicom.dcmread(TEST_FILES / name)
            try:
                expected = before.pixel_array
            except (RuntimeError, NotImplementedError):  # no decoder for it is installed
                continue
            assert np.array_equal(clean.pixel_array, expected), name
        seen += 1
    assert seen >= 10


def test_a_short_key_file(tmp_path: Path) -> None:
    source, key = put(tmp_path / "in", cohort()), put(tmp_path, {"key": b"short"}) / "key"
    done = CliRunner().invoke(deidentify, [str(source), str(tmp_path / "out"), "--key", str(key)])
    assert isinstance(done.exception, VerticalsError)
    assert "at least 16" in done.exception.message


def test_the_command_is_registered(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if "deidentify" not in commands():
        pytest.skip("verticals-medical-imaging is not installed")
    source, key = put(tmp_path / "in", cohort()), put(tmp_path, {"key": KEY}) / "key"
    call = ["deidentify", str(source), str(tmp_path / "out"), "--key", str(key)]
    assert cli([*call, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["files"]["written"] == 4
    assert cli(call) == 2
    assert "no empty folder" in capfd.readouterr().err
