"""The demo of essays on the encoder that is shipped, and the command that explains sentences."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import verticals
from verticals.api import train
from verticals.contract import resolve
from verticals.data import Shares
from verticals.errors import CallError
from verticals.evidence import open_evidence
from verticals.testing.conformance import run_checks
from verticals_student_assessment.essays.compose import TRAITS, compose
from verticals_student_assessment.essays.demo import demo
from verticals_student_assessment.essays.demo_texts import TOPICS
from verticals_student_assessment.essays.sentences_command import sentences

LIGHT = (
    "light-import",
    "description-complete",
    "contract-complete",
    "demo-repeats",
    "features-repeat",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return a bundle of the demo's first 150 essays."""
    made, raw = demo()
    folder = tmp_path_factory.mktemp("essays") / "bundle"
    few = raw.take(slice(0, 150))
    train(
        "essay-scoring",
        out=folder,
        contract=resolve(made, list(few)),
        data=few,
        no_privacy=True,
        device="cpu",
        shares=Shares(train=0.5, validate=0.0, calibrate=0.25, test=0.25),
    )
    return folder


@pytest.mark.parametrize("name", LIGHT)
def test_conformance(name):
    result = run_checks("essay-scoring", only=[name])[0]
    assert result.status in ("passed", "not offered"), result.message


def test_composed_essays_have_what_they_are_rated_for():
    table = compose(200, seed=3)
    assert table.rows == 300
    for name in TRAITS:
        agreement = np.corrcoef(table[name], table[f"{name}_second"])[0, 1]
        assert 0.75 < agreement < 0.95
    words = np.array([len(text.split()) for text in table["essay"]])
    long = np.array([np.mean([len(w) for w in text.split()]) for text in table["essay"]])
    assert np.corrcoef(words, table["organisation"])[0, 1] > 0.3
    assert np.corrcoef(long, table["vocabulary"])[0, 1] > 0.5
    assert set(table["topic"]) == set(TOPICS)


def test_prompts_of_the_contract_are_those_of_the_texts():
    made, _ = demo()
    assert made.fields[0].settings["prompts"] == [topic.prompt for topic in TOPICS.values()]


def test_bundle_holds_no_encoder_and_evidence_no_text(bundle):
    assert (bundle / "weights.safetensors").stat().st_size < 200_000
    evidence = open_evidence(f"{bundle}.evidence")
    expected = {
        "essays.declared",
        "essays.scale",
        "essays.second_rater",
        "essays.texts",
        "essays.probes",
        "essays.deletion",
        "essays.plot_agreement",
    }
    assert expected <= set(evidence.tables)
    assert "essay" not in evidence.tables["scores"]
    plot = evidence.tables["essays.plot_agreement"]
    assert set(plot["style"]) == {"line", "points"}
    assert plot["persons"][plot["style"] == "points"].min() >= 10
    checks = evidence.tables["checks"]
    assert not [text for text in checks["method"] if text.startswith("failed")]
    kappa = checks["estimate"][checks["check"] == "essays.qwk"]
    assert len(kappa) == 3
    assert kappa.min() > 0.3


def test_scores_need_the_essay_only(bundle):
    _, raw = demo()
    found = verticals.open(bundle, device="cpu").predict(raw.take(slice(0, 5)).select(["essay"]))
    for name in TRAITS:
        assert (found[f"{name}_lower"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_upper"]).all()


def test_odd_draws_leave_no_file(tmp_path):
    data, out = tmp_path / "essays.csv", tmp_path / "out.jsonl"
    asked = [str(tmp_path), "--data", str(data), "--out", str(out), "--draws", "3"]
    with pytest.raises(CallError, match="draws is 3"):
        CliRunner().invoke(sentences, asked, catch_exceptions=False)
    assert not out.exists()


def test_sentences_command(bundle, tmp_path):
    _, raw = demo()
    data, out = tmp_path / "essays.csv", tmp_path / "out.jsonl"
    essay = raw["essay"][0].replace('"', "'")
    data.write_text(f'essay_id,student,essay\nE1,S1,"{essay}"\nE2,S2,""\n', encoding="utf-8")
    asked = [str(bundle), "--data", str(data), "--out", str(out), "--draws", "2", "--json"]
    done = CliRunner().invoke(sentences, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["row"] for line in lines] == [1, 2]
    assert lines[1]["sentences"] == []
    first = lines[0]
    for trait in TRAITS:
        total = first["base"][trait] + sum(item["values"][trait] for item in first["sentences"])
        assert total == pytest.approx(first["score"][trait], abs=1e-4)
    assert "".join(item["text"] for item in first["sentences"]) == essay
