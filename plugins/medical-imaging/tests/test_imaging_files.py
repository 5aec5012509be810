"""From files on disk to findings: train, score, skip what is bad, and deliver to a hospital."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import verticals
from verticals.api.raw import iter_raw
from verticals.cli.main import run
from verticals.data import write_table
from verticals.errors import BadFileError, BundleError, CallError, DataError
from verticals.table import Table
from verticals_medical_imaging import reading
from verticals_medical_imaging.demo import demo
from verticals_medical_imaging.reader import ImageReader
from verticals_medical_imaging.synthesize import synthesize
from verticals_medical_imaging.trace import hashed_uid, read_trace

QUICK = {"epochs": 1, "least_steps": 1}
KEY = b"sixteen bytes or more"


@pytest.fixture(scope="module")
def contract():
    found, _ = demo()
    (image,) = [item for item in found.fields if item.kind == "image"]
    others = tuple(item for item in found.fields if item.kind != "image")
    paths = dataclasses.replace(image, column="path", name="image")
    return dataclasses.replace(found, fields=(paths, *others))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, contract):
    """Write 120 synthetic radiographs as PNG beside a table that names them."""
    root = tmp_path_factory.mktemp("images")
    (root / "png").mkdir()
    facts, pixels, _ = synthesize(40, 3, 40, 5)
    names = [f"png/{place:04d}.png" for place in range(len(pixels))]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(root / name)
    columns = {name: facts[name] for name in facts if facts[name].ndim == 1}
    table = Table({**columns, "path": np.array(names, dtype=object)})
    write_table(root / "table.csv", table)
    return root


@pytest.fixture(scope="module")
def bundle(folder, contract, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "b"
    verticals.train(
        "medical-imaging",
        out=out,
        contract=contract,
        data=folder / "table.csv",
        no_privacy=True,
        options=QUICK,
    )
    return out


def test_paths_are_read_below_the_table_s_own_folder(bundle, folder):
    scored = verticals.open(bundle).predict(folder / "table.csv")
    assert scored.rows == 120
    assert {"score", "set", "abstained", "reason"} <= set(scored)
    assert scored["score"].min() >= 0
    assert scored["score"].max() <= 1


def test_pixels_in_memory_give_the_same_scores(bundle, folder):
    scorer = verticals.open(bundle)
    facts, pixels, _ = synthesize(40, 3, 40, 5)
    own = Table({**{n: facts[n] for n in facts if facts[n].ndim == 1}, "path": pixels})
    first, second = scorer.predict(own), scorer.predict(folder / "table.csv")
    np.testing.assert_allclose(first["score"], second["score"], atol=1e-6)


def test_bad_files_stop_the_batch_or_are_listed(bundle, folder, tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes((folder / "png/0000.png").read_bytes())
    (tmp_path / "b.png").write_bytes((folder / "png/0001.png").read_bytes()[:60])
    Image.fromarray(np.zeros((40, 40), dtype=np.uint8)).save(tmp_path / "d.png")
    names = np.array(["a.png", "b.png", "c.png", "d.png", "../x.png", "none.png"], dtype=object)
    write_table(tmp_path / "t.csv", Table({"image_id": np.arange(6), "path": names}))
    scorer = verticals.open(bundle)
    with pytest.raises(DataError, match=r"b\.png"):
        scorer.predict(tmp_path / "t.csv")
    told = []
    (scored,) = scorer.predict_stream(tmp_path / "t.csv", skip_bad=True, notice=told.append)
    assert scored.rows == 2
    assert told[0].startswith("4 of 6 files were skipped")
    for name in ("b.png", "d.png", "../x.png", "none.png"):
        assert name in told[0]


def test_where_rows_are_skipped_and_bear_no_id_scores_bear_the_number_of_their_row(
    bundle, folder, tmp_path
):
    (tmp_path / "a.png").write_bytes((folder / "png/0000.png").read_bytes())
    names = np.array(["a.png", "none.png", "a.png"], dtype=object)
    write_table(tmp_path / "t.csv", Table({"path": names}))
    (scored,) = verticals.open(bundle).predict_stream(tmp_path / "t.csv", skip_bad=True)
    assert scored["row"].tolist() == [1, 3]
    assert next(iter(scored)) == "row"


def test_another_pipeline_is_refused(bundle, monkeypatch):
    from verticals_medical_imaging.reader import ImageReader

    monkeypatch.setattr(ImageReader, "digest", lambda self, field: "sha256:other")
    with pytest.raises(BundleError, match="prepared by the pipeline sha256:"):
        verticals.open(bundle)


def test_the_command_line_goes_on_and_says_what_it_skipped(bundle, folder, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes((folder / "png/0000.png").read_bytes())
    names = np.array(["a.png", "none.png"], dtype=object)
    write_table(tmp_path / "t.csv", Table({"image_id": np.arange(2), "path": names}))
    call = ["predict", str(bundle), "--data", str(tmp_path / "t.csv"), "--out"]
    assert run([*call, str(tmp_path / "s.csv")]) == 2
    told = capsys.readouterr().err
    assert "row 2: 'none.png'" in told  # as with --skip-bad
    assert "--skip-bad" in told.split("hint: ")[1]
    assert not (tmp_path / "s.csv").exists()
    assert run([*call, str(tmp_path / "s.csv"), "--skip-bad"]) == 0
    assert "1 of 2 files were skipped: row 2: 'none.png'" in capsys.readouterr().err


def test_a_bad_file_is_named_by_its_row_of_the_whole_table(bundle, folder, tmp_path):
    (tmp_path / "a.png").write_bytes((folder / "png/0000.png").read_bytes())
    names = np.array(["a.png"] * 5 + ["none.png"], dtype=object)
    write_table(tmp_path / "t.csv", Table({"image_id": np.arange(6), "path": names}))
    contract = verticals.open(bundle).bundle.contract
    chunks = iter_raw(contract, tmp_path / "t.csv", readers={"image": ImageReader()}, rows=2)
    with pytest.raises(BadFileError, match=r"^row 6: 'none\.png'") as caught:
        list(chunks)
    assert caught.value.row == 6


def dicom_folder(root, count=3, lacking=()):
    """Write DICOM files of one study, each with a UID and a name that must not leak.

    The last one lacks what is asked for.
    """
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    _, pixels, _ = synthesize(count, 1, 40, 9)
    root.mkdir()
    study, series = generate_uid(), generate_uid()
    uids = []
    for place in range(count):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        meta.MediaStorageSOPInstanceUID = generate_uid()
        image = Dataset()
        image.file_meta = meta
        image.SOPClassUID = meta.MediaStorageSOPClassUID
        image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID = study, series
        image.PatientName, image.PatientID = "Doe^Jane", "P-77"
        image.PatientBirthDate, image.PatientSex = "19600101", "F"
        image.StudyDate, image.StudyTime, image.AccessionNumber = "20260101", "120000", "A1"
        image.ReferringPhysicianName, image.StudyID = "", "1"
        image.SeriesNumber, image.InstanceNumber = 1, place + 1
        image.Modality, image.ViewPosition, image.Manufacturer = "DX", "PA", "Arca"
        image.Rows = image.Columns = 40
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated = image.BitsStored = 8
        image.HighBit, image.PixelRepresentation = 7, 0
        image.PixelData = pixels[place].tobytes()
        for name in lacking if place == count - 1 else ():
            delattr(image, name)
        pydicom.dcmwrite(root / f"i{place}.dcm", image, enforce_file_format=True)
        uids.append(str(image.SOPInstanceUID))
    return uids


def test_a_folder_of_dicom_becomes_results_a_trace_and_reports(bundle, tmp_path, capsys):
    pytest.importorskip("highdicom")
    uids = dicom_folder(tmp_path / "dicom")
    (tmp_path / "key").write_bytes(KEY)
    call = ["findings", str(bundle), "--data", str(tmp_path / "dicom")]
    call += ["--trace", str(tmp_path / "trace.jsonl"), "--key", str(tmp_path / "key"), "--json"]
    out = tmp_path / "out"
    assert run([*call, "--out", str(out), "--report"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 3
    assert len(told["dicom"]) == 3
    (result,) = told["results"]
    document = json.loads(Path(result).read_text(encoding="utf-8"))
    assert {image["sop_uid"] for image in document["images"]} == set(uids)
    trace = read_trace(tmp_path / "trace.jsonl")
    assert [line.image for line in trace.lines] == [hashed_uid(uid, KEY) for uid in uids]
    assert {line.bundle for line in trace.lines} == {verticals.open(bundle).digest}
    text = (tmp_path / "trace.jsonl").read_text(encoding="utf-8")
    for private in ("Doe", "P-77", *uids):
        assert private not in text
        assert private not in json.dumps(told)
    assert run([*call, "--out", str(out)]) == 2  # never over another's results


EMPTY = ("StudyID", "SeriesNumber", "InstanceNumber", "PatientBirthDate", "AccessionNumber")


def test_what_dicom_lets_a_source_leave_empty_is_empty_in_its_report(bundle, tmp_path):
    pytest.importorskip("highdicom")
    import pydicom

    dicom_folder(tmp_path / "dicom", lacking=(*EMPTY, "ReferringPhysicianName", "StudyTime"))
    call = ["findings", str(bundle), "--data", str(tmp_path / "dicom"), "--report", "--out"]
    assert run([*call, str(tmp_path / "out")]) == 0
    report = pydicom.dcmread(tmp_path / "out" / "report-3.dcm")
    assert (report.PatientID, report.StudyID, report.PatientBirthDate) == ("P-77", "", "")


def test_a_source_that_no_report_can_name_is_named_and_nothing_is_left(bundle, tmp_path, capsys):
    pytest.importorskip("highdicom")
    dicom_folder(tmp_path / "dicom", lacking=("SeriesInstanceUID", "StudyInstanceUID"))
    trace = tmp_path / "trace.jsonl"
    call = ["findings", str(bundle), "--data", str(tmp_path / "dicom"), "--trace", str(trace)]
    call += ["--out", str(tmp_path / "out")]
    assert run([*call, "--report"]) == 2
    told = capsys.readouterr().err
    assert "row 3: 'i2.dcm': the source image lacks StudyInstanceUID, SeriesInstanceUID" in told
    assert "Doe" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dicom"]
    assert run(call) == 0  # the same call without reports: one line for each image
    assert len(read_trace(trace).lines) == 3


def test_a_write_that_fails_leaves_no_folder_and_no_line(bundle, tmp_path, monkeypatch):
    pytest.importorskip("highdicom")
    from verticals_medical_imaging import dicom_output

    dicom_folder(tmp_path / "dicom")
    real, written = dicom_output.write_dicom, []

    def full(path, dataset):
        if written:
            raise DataError("no space left")
        written.append(path)
        real(path, dataset)

    monkeypatch.setattr(dicom_output, "write_dicom", full)
    call = ["findings", str(bundle), "--data", str(tmp_path / "dicom"), "--report"]
    call += ["--trace", str(tmp_path / "trace.jsonl"), "--out", str(tmp_path / "out")]
    assert run(call) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dicom"]


def test_reports_need_dicom(bundle, folder, tmp_path):
    from verticals_medical_imaging.hospital import deliver

    scorer = verticals.open(bundle)
    raw = scorer.raw(folder / "table.csv").table.take(slice(0, 2))
    with pytest.raises(DataError, match=r"^row 1: .*is no DICOM file"):
        deliver(scorer, raw, folder, tmp_path / "o", report=True)
    pixels = Table({"path": np.zeros((1, 40, 40), dtype=np.uint8) + 7})
    with pytest.raises(CallError, match="name no file"):
        deliver(scorer, pixels, folder, tmp_path / "p", report=True)


def test_the_folder_s_table_names_what_the_contract_may_use(tmp_path):
    dicom_folder(tmp_path / "dicom")
    table = reading.scan_folder(tmp_path / "dicom")
    assert {"path", "view", "manufacturer", "sex", "patient_id", "study_uid"} <= set(table)
