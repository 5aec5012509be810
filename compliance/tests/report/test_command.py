"""The command `verticals report`."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner

from verticals.errors import AuditError
from verticals.plugin import ReportFormatInfo
from verticals.registry import Found, Registry
from verticals_compliance import report_command


def run(*args):
    return CliRunner().invoke(report_command.report, [str(arg) for arg in args])


@pytest.mark.parametrize(
    ("ending", "start"),
    [("html", b"<!doctype"), ("md", b"# credit"), ("json", b"{"), ("HTM", b"<!")],
)
def test_the_ending_says_the_format(folder, tmp_path, ending, start):
    out = tmp_path / f"report.{ending}"
    done = run(folder, "--out", out)
    assert done.exit_code == 0, done.output
    assert out.read_bytes().startswith(start)
    assert "findings: 1 fail, 4 inconclusive, 1 not-measurable, 9 pass" in done.output
    assert [item.name for item in tmp_path.iterdir()] == [out.name]


def test_json_prints_one_document(folder, tmp_path):
    out = tmp_path / "report.md"
    done = run(folder, "--out", out, "--json", "--profile", "gdpr", "--profile", "gdpr")
    told = json.loads(done.stdout)
    assert told["format"] == "md"
    assert told["digest"] == "sha256:" + hashlib.sha256(out.read_bytes()).hexdigest()
    assert told["findings"] == {"fail": 1, "inconclusive": 4, "not-measurable": 1, "pass": 9}
    assert told["profiles"] == ["gdpr"]
    assert told["record"].startswith("sha256:")


def test_a_profile_adds_its_section(folder, tmp_path):
    out = tmp_path / "report.md"
    run(folder, "--out", out, "--profile", "eu-ai-act")
    assert "## 13. Clauses: EU AI Act" in out.read_text()


def test_a_failed_finding_does_not_fail_the_report(folder, tmp_path):
    assert run(folder, "--out", tmp_path / "r.html").exit_code == 0


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("report.pdf", "no report format 'pdf', expected one of html, md, json"),
        ("report", "no report format '', expected one of"),
        ("absent/report.html", "cannot be written: no such file"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(folder, tmp_path, out, message):
    done = run(folder, "--out", tmp_path / out)
    assert isinstance(done.exception, AuditError)
    assert message in done.exception.message
    assert done.exception.hint
    assert "\n" not in done.exception.message
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(folder, tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("old")

    def broken(document, ending, formats):
        raise AuditError("no")

    monkeypatch.setattr(report_command, "render", broken)
    assert isinstance(run(folder, "--out", out).exception, AuditError)
    assert out.read_text() == "old"


def test_a_write_that_fails_at_the_last_step_leaves_nothing_behind(folder, tmp_path):
    (tmp_path / "report.html" / "full").mkdir(parents=True)
    done = run(folder, "--out", tmp_path / "report.html")
    assert "cannot be written: is a directory" in done.exception.message
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_without_a_record_hints_at_the_audit(tmp_path):
    done = run(tmp_path, "--out", tmp_path / "report.html")
    assert isinstance(done.exception, AuditError)
    assert done.exception.hint == f"verticals audit BUNDLE --out {tmp_path}"


def titles(document):
    """Render the titles of a document, as a plugin would."""
    return "\n".join(section["title"] for section in document["sections"]).encode()


def raises(document):
    """Fail, as a plugin may."""
    raise RuntimeError("broken")


@pytest.fixture
def plugin(monkeypatch):
    """Install two report formats, one that works and one that does not."""
    import verticals.registry

    formats = tuple(
        Found(
            info=ReportFormatInfo(name=name, target=f"tests:{name}", summary=""),
            distribution="acme-reports",
            version="1",
        )
        for name in ("bad", "txt")
    )
    functions = {"txt": titles, "bad": raises}
    monkeypatch.setattr(verticals.registry, "discover", lambda: Registry(report_formats=formats))
    monkeypatch.setattr(
        verticals.registry, "load_report_format", lambda found: functions[found.info.name]
    )


def test_a_plugin_adds_a_format(folder, tmp_path, plugin):
    out = tmp_path / "report.txt"
    assert run(folder, "--out", out).exit_code == 0
    assert out.read_text().startswith("1. Summary\n2. What the model is for")


def test_a_plugin_that_fails_is_named(folder, tmp_path, plugin):
    done = run(folder, "--out", tmp_path / "report.bad")
    assert isinstance(done.exception, AuditError)
    assert "report format 'bad' failed: RuntimeError: broken" in done.exception.message
    assert list(tmp_path.iterdir()) == []


def test_the_formats_of_plugins_are_listed(folder, tmp_path, plugin):
    done = run(folder, "--out", tmp_path / "report.docx")
    assert "expected one of html, md, json, bad, txt" in done.exception.message
