"""Results as JSON and as DICOM: what is written reads back, and says that it abstains."""

from __future__ import annotations

import json
import os
import stat
import sys

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from verticals.errors import DataError, PluginError
from verticals.plugin import Output
from verticals_medical_imaging.results import (
    Algorithm,
    Finding,
    ImageResult,
    findings_of,
    study_document,
    write_results,
)

TIME = "2026-01-31T12:00:00+00:00"
ALGORITHM = Algorithm(
    name="medical-imaging",
    version="0.1.0",
    bundle="sha256:" + "a" * 64,
    pipeline="sha256:" + "b" * 64,
)
OUTPUTS = (
    Output(name="score", kind="probability", target="lesion", value="1"),
    Output(name="decision", kind="flag", target="lesion"),
    Output(name="set", kind="set", target="lesion"),
    Output(name="abstained", kind="flag", target="lesion"),
    Output(name="reason", kind="text", target="lesion"),
)
COLUMNS = {
    "score": np.array([0.9, 0.5, 0.1]),
    "decision": np.array([1.0, 1.0, 0.0]),
    "set": np.array(["1", "0|1", ""], dtype=object),
    "abstained": np.array([0.0, 1.0, 1.0]),
    "reason": np.array(["", "two values are possible", "unlike any"], dtype=object),
}
SURE, UNSURE = (
    Finding(target="lesion", probabilities=(("1", 0.9),), values=("1",), decision=True),
    Finding(
        target="lesion",
        probabilities=(("1", 0.5),),
        values=("0", "1"),
        abstained=True,
        reason="two values are possible",
    ),
)


def source():
    """Return the header of a digital radiograph."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    for number, name in enumerate(("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")):
        setattr(image, name, f"1.2.3.{number + 1}")
    image.PatientID, image.PatientName = "p1", "Doe^Jane"
    image.PatientBirthDate, image.PatientSex = "", "F"
    image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "1", "", ""
    image.StudyDate, image.StudyTime, image.Modality = "20240101", "120000", "DX"
    image.Rows = image.Columns = 8
    return image


class TestJson:
    def test_findings_of_a_scorer(self):
        sure, unsure, strange = (item[0] for item in findings_of(COLUMNS, OUTPUTS))
        assert (sure, unsure) == (SURE, UNSURE)
        assert (strange.values, strange.abstained, strange.decision) == ((), True, None)

    def test_every_class_and_every_target(self):
        outputs = (
            Output(name="kind_a", kind="probability", target="kind", value="a"),
            Output(name="kind_b", kind="probability", target="kind", value="b"),
            Output(name="lesion", kind="probability", target="lesion", value="1"),
        )
        columns = {
            name: np.array([value])
            for name, value in zip(("kind_a", "kind_b", "lesion"), (0.2, 0.8, 0.3), strict=True)
        }
        kind, lesion = findings_of(columns, outputs)[0]
        assert kind.probabilities == (("a", 0.2), ("b", 0.8))
        assert (lesion.values, lesion.decision) == ((), None)

    def test_what_is_no_probability_is_refused(self):
        with pytest.raises(DataError, match="a probability is nan, expected 0 to 1"):
            findings_of({"score": np.array([np.nan])}, OUTPUTS[:1])
        with pytest.raises(DataError, match="hold no probability"):
            findings_of(COLUMNS, OUTPUTS[1:])

    def test_one_document_a_study(self, tmp_path):
        results = [
            ImageResult(findings=(SURE,), study_uid="1.2", series_uid="1.2.1", sop_uid="1.2.1.1"),
            ImageResult(findings=(SURE,), study_uid="1.3", sop_uid="1.3.1.1"),
            ImageResult(findings=(UNSURE,), study_uid="1.2", sop_uid="1.2.1.2"),
        ]
        written = write_results(tmp_path, results, ALGORITHM, TIME)
        assert [path.name for path in written] == ["result-1.json", "result-2.json"]
        assert stat.S_IMODE(os.stat(written[0]).st_mode) == 0o600
        found = json.loads(written[0].read_bytes())
        assert found["study_uid"] == "1.2"
        assert [image["sop_uid"] for image in found["images"]] == ["1.2.1.1", "1.2.1.2"]
        assert found["images"][1]["findings"] == [
            {
                "target": "lesion",
                "probability": {"1": 0.5},
                "set": ["0", "1"],
                "abstained": True,
                "reason": "two values are possible",
                "decision": None,
            }
        ]
        assert found["algorithm"]["preprocessing"] == ALGORITHM.pipeline
        assert "person" in found["notice"]
        with pytest.raises(DataError, match="of 2 studies, expected one"):
            study_document(results, ALGORITHM, TIME)

    def test_identifiers_are_not_shown(self):
        assert "1.2.1" not in repr(ImageResult(findings=(), study_uid="1.2.1", sop_uid="1.2.1.9"))


class TestStructuredReport:
    @pytest.fixture(autouse=True)
    def needs_highdicom(self):
        pytest.importorskip("highdicom", reason="highdicom is an optional extra")

    def test_reads_back_with_all_that_was_said(self, tmp_path):
        from verticals_medical_imaging.dicom_output import (
            read_report,
            structured_report,
            write_dicom,
        )

        kind = Finding(target="kind", probabilities=(("a", 0.25), ("b", 0.75)), values=("b",))
        result = ImageResult(findings=(SURE, kind), sop_uid="1.2.3.1", study_uid="1.2.3.2")
        code = ("233604007", "SCT", "Pneumonia")
        report = structured_report(source(), result, ALGORITHM, codes={"lesion": code})
        path = tmp_path / "report.dcm"
        write_dicom(path, report)
        lesion, other = read_report(path)
        assert lesion["finding"] == "Pneumonia"
        assert lesion["probabilities"] == {"Probability": 0.9}
        assert ("Decision of the algorithm", "Present") in lesion["evaluations"]
        assert ("Algorithm abstained", "No") in lesion["evaluations"]
        assert lesion["sources"] == ["1.2.3.1"]
        assert lesion["algorithm"] == {
            "name": "medical-imaging",
            "version": "0.1.0",
            "parameters": [f"bundle {ALGORITHM.bundle}", f"preprocessing {ALGORITHM.pipeline}"],
        }
        assert other["finding"] == "kind"
        assert other["probabilities"] == {"a": 0.25, "b": 0.75}
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

    def test_abstention_is_stated_in_place_of_a_decision(self, tmp_path):
        from verticals_medical_imaging.dicom_output import (
            read_report,
            structured_report,
            write_dicom,
        )

        result = ImageResult(findings=(UNSURE,), sop_uid="1.2.3.1")
        write_dicom(tmp_path / "r.dcm", structured_report(source(), result, ALGORITHM))
        said = read_report(tmp_path / "r.dcm")[0]["evaluations"]
        assert ("Algorithm abstained", "Yes") in said
        assert ("Reason of the algorithm", "two values are possible") in said
        assert [value for name, value in said if name == "Value in the prediction set"] == [
            "0",
            "1",
        ]
        assert "Decision of the algorithm" not in dict(said)

    def test_it_is_in_the_study_and_not_verified(self, tmp_path):
        from verticals_medical_imaging.dicom_output import structured_report, write_dicom

        result = ImageResult(findings=(SURE,), sop_uid="1.2.3.1")
        write_dicom(tmp_path / "r.dcm", structured_report(source(), result, ALGORITHM))
        found = pydicom.dcmread(tmp_path / "r.dcm")
        assert (found.StudyInstanceUID, found.PatientID) == ("1.2.3.2", "p1")
        assert found.SeriesInstanceUID != "1.2.3.3"
        assert (found.VerificationFlag, found.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
        assert found.ContentTemplateSequence[0].TemplateIdentifier == "1500"
        numbers = [item for item in found.iterall() if item.keyword == "MeasuredValueSequence"]
        assert len(numbers) == 1
        assert numbers[0].value[0].MeasurementUnitsCodeSequence[0].CodeValue == "1"

    def test_a_source_without_its_study_is_refused_without_its_values(self):
        from verticals_medical_imaging.dicom_output import structured_report

        broken = source()
        del broken.StudyInstanceUID
        broken.SeriesInstanceUID = ""
        result = ImageResult(findings=(SURE,), sop_uid="1.2.3.1")
        told = "lacks StudyInstanceUID, SeriesInstanceUID, which"
        with pytest.raises(DataError, match=told) as caught:
            structured_report(broken, result, ALGORITHM)
        assert "Doe" not in str(caught.value)
        odd = source()
        odd.PatientSex = "W"
        with pytest.raises(DataError, match="a PatientSex that DICOM does not know") as caught:
            structured_report(odd, result, ALGORITHM)
        assert "W" not in str(caught.value)

    def test_a_source_is_not_changed_by_what_its_report_leaves_empty(self):
        from verticals_medical_imaging.dicom_output import (
            MAY_BE_EMPTY,
            secondary_capture,
            structured_report,
        )

        bare = source()
        for name in MAY_BE_EMPTY:
            delattr(bare, name)
        report = structured_report(bare, ImageResult(findings=(SURE,)), ALGORITHM)
        capture = secondary_capture(bare, np.zeros((4, 5, 3), dtype=np.uint8), ALGORITHM)
        for name in MAY_BE_EMPTY:
            assert name not in bare
            assert name in report
            assert not report[name].value
            assert not capture[name].value

    def test_another_file_is_no_report(self, tmp_path):
        from verticals_medical_imaging.dicom_output import read_report

        (tmp_path / "x.dcm").write_bytes(b"x" * 200)
        with pytest.raises(DataError, match="no structured report of TID 1500"):
            read_report(tmp_path / "x.dcm")


class TestSecondaryCapture:
    def test_reads_back_pixel_by_pixel(self, tmp_path):
        pytest.importorskip("highdicom", reason="highdicom is an optional extra")
        from verticals_medical_imaging.dicom_output import secondary_capture, write_dicom

        pixels = np.random.default_rng(0).integers(0, 255, (30, 41, 3)).astype(np.uint8)
        write_dicom(tmp_path / "c.dcm", secondary_capture(source(), pixels, ALGORITHM))
        found = pydicom.dcmread(tmp_path / "c.dcm")
        assert np.array_equal(found.pixel_array, pixels)
        assert found.SOPClassUID.name == "Secondary Capture Image Storage"
        assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.1"
        assert ALGORITHM.bundle in found.DerivationDescription
        assert not found.PatientOrientation  # the source tells none
        assert list(found.ImageType) == ["DERIVED", "SECONDARY"]

    def test_an_orientation_is_kept_and_odd_pixels_are_refused(self):
        pytest.importorskip("highdicom", reason="highdicom is an optional extra")
        from verticals_medical_imaging.dicom_output import secondary_capture

        image = source()
        image.PatientOrientation = ["R", "F"]
        pixels = np.zeros((4, 5, 3), dtype=np.uint8)
        capture = secondary_capture(image, pixels, ALGORITHM)
        assert list(capture.PatientOrientation) == ["R", "F"]
        with pytest.raises(DataError, match="expected uint8"):
            secondary_capture(image, pixels.astype(float), ALGORITHM)


def test_without_highdicom_the_extra_is_named(monkeypatch):
    from verticals_medical_imaging.dicom_output import structured_report

    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(PluginError, match="needs highdicom") as caught:
        structured_report(source(), ImageResult(findings=(SURE,)), ALGORITHM)
    assert "verticals-medical-imaging[" in caught.value.hint
