"""The interface on four tiny verticals, each from contract to report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import verticals
from verticals.evidence import open_evidence

HERE = Path(__file__).parent / "solutions"
NAMES = ("table", "stream", "images", "items")


pytestmark = pytest.mark.usefixtures("tiny_solutions")


def command(*arguments):
    from verticals.cli.main import run

    return run([str(argument) for argument in arguments])


@pytest.mark.parametrize("name", NAMES)
def test_each_is_under_eighty_lines(name):
    lines = (HERE / "tiny_solutions" / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 80


@pytest.mark.parametrize("name", NAMES)
def test_each_goes_from_contract_to_report(name, tmp_path, capsys):
    bundle, audit = tmp_path / "bundle", tmp_path / "audit"
    assert command("train", f"tiny-{name}", "--no-privacy", "--out", bundle, "--json") == 0
    capsys.readouterr()
    assert command("audit", bundle, "--out", audit, "--json") in (0, 1, 3)
    record = json.loads(capsys.readouterr().out)
    assert record["bundle"]["solution"] == f"tiny-{name}"
    for ending in ("html", "md", "json"):
        page = tmp_path / f"report.{ending}"
        assert command("report", audit, "--out", page) == 0
        assert f"tiny-{name}" in page.read_text(encoding="utf-8")
    assert command("verify", bundle) == 0
    assert command("verify", audit, "--bundle", bundle) == 0


def test_a_random_split_is_called_so_only_where_there_is_a_time(tmp_path):
    for name, by in (("table", "stratified"), ("stream", "group, although there is a time")):
        out = tmp_path / name
        verticals.train(f"tiny-{name}", out=out, no_privacy=True, random_split=2)
        assert verticals.open(out).bundle.manifest.split["by"] == by


@pytest.mark.parametrize("name", ["table", "images"])
def test_private_training_of_rows_and_groups(name, tmp_path):
    result = verticals.train(f"tiny-{name}", out=tmp_path / "bundle", epsilon=4.0)
    assert result.privacy is not None
    assert result.privacy["epsilon"] <= 4.0
    assert result.privacy["unit"] == ("group" if name == "images" else "row")
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["files"]["weights.safetensors"]["epsilon"] == result.privacy["epsilon"]


def test_a_share_to_decide_is_bought_from_the_budget(tmp_path):
    result = verticals.train("tiny-stream", out=tmp_path / "bundle", epsilon=4.0)
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    cut, weights = (manifest["files"][name] for name in ("settings.json", "weights.safetensors"))
    assert "calibration rows" in cut["shows"]
    assert cut["epsilon"] == pytest.approx(0.4)  # by time, a card may stand in both parts
    assert weights["epsilon"] <= 3.6
    assert result.privacy["epsilon"] == pytest.approx(cut["epsilon"] + weights["epsilon"])
    assert any("sequentially" in line for line in result.privacy["statement"])


def test_a_finish_of_its_own_shows_calibration_rows_without_bound(tmp_path):
    verticals.train("tiny-images", out=tmp_path / "bundle", epsilon=4.0)
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["files"]["settings.json"]["epsilon"] == "infinite"


def test_the_set_covers_and_abstains(tmp_path):
    result = verticals.train("tiny-images", out=tmp_path / "bundle", no_privacy=True)
    scores = open_evidence(result.evidence).tables["scores"]
    truth = scores["target:lesion"].astype(int).astype(str)
    held = [labels.split("|") for labels in scores["labels"]]
    covered = np.mean([label in found for label, found in zip(truth, held, strict=True)])
    assert covered >= 0.8
    assert set(np.unique(scores["abstained"])) <= {0.0, 1.0}


def test_the_stream_scores_online_as_in_batch(tmp_path):
    from tiny_solutions.stream import demo

    verticals.train("tiny-stream", out=tmp_path / "bundle", no_privacy=True)
    scorer = verticals.open(tmp_path / "bundle")
    raw = demo()[1].take(slice(0, 50))
    batch = scorer.predict(raw)
    online = scorer.online()
    for row in range(raw.rows):
        if row == 25:
            state = online.save()
            online = scorer.online()
            online.restore(state)
        seen = online.push({name: raw[name][row] for name in raw})
        assert seen["score"] == pytest.approx(batch["score"][row], abs=1e-6)


def test_items_have_no_target_and_still_a_report(tmp_path):
    result = verticals.train("tiny-items", out=tmp_path / "bundle", no_privacy=True)
    evidence = open_evidence(result.evidence)
    assert evidence.tables["tiny.items"].rows == 12
    assert "ability" in evidence.tables["scores"]
    shutil.rmtree(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["stream", "items"])
def test_conformance_of_the_unusual_ones(name, monkeypatch):
    from verticals.testing.conformance import run_checks

    monkeypatch.setenv("PYTHONPATH", str(HERE))
    results = {result.name: result for result in run_checks(f"tiny-{name}")}
    assert [(r.name, r.message) for r in results.values() if r.status == "failed"] == []
    if name == "stream":
        assert results["batch-equals-stream"].status == "passed"
        assert results["no-future"].status == "passed"
        assert results["online-equals-batch"].status == "passed"
