"""Human decisions in an audit: counted for the report, told of nobody, and recomputed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from verticals.errors import AuditError, EvidenceError
from verticals.oversight import Subject, appeal, override, read, resolve
from verticals.strictjson import sha256
from verticals_compliance.commands import audit, verify_audit
from verticals_compliance.report import build, read_profile, read_record, render

KEY = b"sixteen bytes or more"
AT = "2026-01-31T12:00:00+00:00"
LATER = "2026-02-10T00:00:00+00:00"
SECRETS = ("Zebedee", "ill in May", "Headmistress")


def run(command, *arguments: object):
    runner = CliRunner()
    with runner.isolation() as (out, _, _):
        code = command.main([str(item) for item in arguments], standalone_mode=False)
        text = out.getvalue().decode()
    return code, text


@pytest.fixture
def case(credit):
    return credit()


@pytest.fixture
def enter(case, tmp_path):
    """Return a function that enters overrides, machine to human, of so many persons each."""
    path, bundle = tmp_path / "decisions.jsonl", case.bundle

    def subject(person):
        return Subject.of(
            bundle=bundle.digest,
            contract=bundle.contract,
            person=f"Zebedee-{person}",
            key=KEY,
        )

    def make(*ways, appeals=0, answered=0):
        people = (
            (machine, human, person)
            for at, (count, machine, human) in enumerate(ways)
            for person in np.arange(count) + 1000 * at
        )
        for machine, human, person in people:
            override(
                path, subject(person), machine=machine, human=human,
                reason="was ill in May", by="Headmistress", at=AT,
            )  # fmt: skip
        for person in range(appeals):
            appeal(path, subject(person), machine="1", reason="x", by="y", at=AT)
        for person in range(answered):
            resolve(path, subject(person), human=None, reason="x", by="y", at=LATER)
        return path

    return make


def report_of(folder, ending="md"):
    return render(build(read_record(folder), [read_profile("gdpr")]), ending).decode()


def test_the_report_counts_them_and_names_nobody(case, enter, tmp_path):
    path = enter((30, "1", "0"), (12, "0", "1"), (3, "1", "1"), appeals=20, answered=20)
    folder = tmp_path / "audit"
    run(audit, case.bundle_path, "--out", folder, "--decisions", path)
    told = report_of(folder)
    for ending in ("md", "html", "json"):
        assert not [word for word in SECRETS if word in report_of(folder, ending)]
    for name in ("audit.json", "details.json"):
        assert not [word for word in SECRETS if word in (folder / name).read_text()]
    part = told.partition(". Human decisions")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in part.splitlines()]
    counts = dict(row for row in rows if len(row) == 2)
    assert counts["to the favourable decision"] == "30"
    assert counts["away from the favourable decision"] == "suppressed"
    assert counts["the machine's decision confirmed"] == "suppressed"
    assert counts["open"] == "0"
    assert "Article 22(3) GDPR asks" in part
    assert "complian" not in part.lower()
    assert read(path)[-1].digest in part
    clause = told.partition("| Art. 22 ")[2].splitlines()[0]
    assert "Human decisions" in clause


def test_few_are_not_shown_at_all(case, enter, tmp_path):
    path = enter((9, "1", "0"), appeals=4)
    run(audit, case.bundle_path, "--out", tmp_path / "audit", "--decisions", path)
    target = json.loads((tmp_path / "audit" / "details.json").read_text())["oversight"]["targets"][
        0
    ]
    assert (target["decided"], target["appealed"], target["median_days"]) == (None, None, None)
    assert {cell["persons"] for cell in target["directions"] + target["appeals"]} == {None}


def test_without_a_record_nothing_is_said(case, tmp_path):
    run(audit, case.bundle_path, "--out", tmp_path / "audit")
    assert json.loads((tmp_path / "audit" / "details.json").read_text())["oversight"] is None
    told = report_of(tmp_path / "audit")
    assert ". Human decisions" not in told
    with pytest.raises(AuditError, match="counted no human decisions"):
        run(
            verify_audit, tmp_path / "audit", "--bundle", case.bundle_path,
            "--decisions", tmp_path / "none",
        )  # fmt: skip


def test_the_public_record_is_the_same_with_it_and_without(case, enter, tmp_path):
    run(audit, case.bundle_path, "--out", tmp_path / "a")
    run(audit, case.bundle_path, "--out", tmp_path / "b", "--decisions", enter((12, "1", "0")))
    first, second = ((tmp_path / name / "audit.json").read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("ways", [(), ((12, "1", "0"),)])
def test_verify_counts_again_up_to_the_line_that_was_read(case, enter, tmp_path, ways):
    path, folder = enter(*ways), tmp_path / "audit"
    path.touch()
    run(audit, case.bundle_path, "--out", folder, "--decisions", path)
    enter((17, "0", "1"))  # what comes later is not in this audit
    call = (verify_audit, folder, "--bundle", case.bundle_path)
    code, text = run(*call)
    assert (code, "not recomputed, since their record is not given" in text) == (0, True)
    code, text = run(*call, "--decisions", path)
    assert (code, "not recomputed" in text) == (0, False)


def test_verify_finds_a_count_that_was_changed_and_a_record_that_was_cut(case, enter, tmp_path):
    path, folder = enter((12, "1", "0")), tmp_path / "audit"
    run(audit, case.bundle_path, "--out", folder, "--decisions", path)
    details = json.loads((folder / "details.json").read_text())
    assert details["oversight"]["targets"][0]["decided"] == 12
    assert details["record"] == sha256((folder / "audit.json").read_bytes())
    details["oversight"]["targets"][0]["decided"] = 13
    (folder / "details.json").write_text(json.dumps(details))
    call = (verify_audit, folder, "--bundle", case.bundle_path, "--decisions", path)
    code, text = run(*call)
    assert code == 1
    assert "details.json/oversight/targets/0/decided: recorded 13, recomputed 12" in text
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(EvidenceError, match="its end was cut off"):
        run(*call)


def test_a_damaged_record_stops_the_audit_and_writes_nothing(case, enter, tmp_path):
    path = enter((2, "1", "0"))
    path.write_bytes(path.read_bytes().replace(b"Headmistress", b"Headmaster00", 1))
    with pytest.raises(EvidenceError, match="line 1 has changed"):
        run(audit, case.bundle_path, "--out", tmp_path / "audit", "--decisions", path)
    assert not (tmp_path / "audit").exists()
