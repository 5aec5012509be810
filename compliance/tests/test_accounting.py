"""A bundle whose noise, rate and steps spend more ε than it states is found out."""

from __future__ import annotations

from typing import Any

import pytest

from verticals.bundle import FileEntry
from verticals_compliance.accounting import account_of
from verticals_compliance.audit import run_audit, write_audit
from verticals_compliance.details import describe, write_details
from verticals_compliance.findings import exit_code
from verticals_compliance.policy import default_policy
from verticals_compliance.verify import verify_audit

TRUE = {  # what `verticals train credit-scoring --epsilon 3` records
    "accountant": "analytic gaussian",
    "accountant_version": "opacus 1.6.0",
    "delta": 0.001,
    "epsilon": 2.9999885130673647,
    "max_grad_norm": 1.0,
    "max_rows_per_unit": 1,
    "neighbouring": "add or remove one unit",
    "noise_multiplier": 14.669,
    "sampling_rate": 1.0,
    "steps": 200,
    "statement": ["Covered: the weights.", "Not covered: the evidence."],
    "target_epsilon": 3.0,
    "unit": "row",
    "units": 955,
    "unsafe_noise_seed": None,
}
FORGED = {**TRUE, "noise_multiplier": 1.0}
SAMPLED = {**TRUE, "sampling_rate": 0.01, "steps": 1000, "noise_multiplier": 1.0, "delta": 1e-5}


def _files(weights: float | str, settings: float | str = 0.0, shows: str = "declarations"):
    entry: dict[str, Any] = {"sha256": "0" * 64, "size": 1}
    return (
        FileEntry(name="weights.safetensors", shows="training rows", epsilon=weights, **entry),
        FileEntry(name="settings.json", shows=shows, epsilon=settings, **entry),
    )


def _account(promise, files=(), *, sequential=False):
    return account_of(promise, files, sequential=sequential)


def test_a_true_record_is_confirmed_by_its_own_numbers() -> None:
    found = _account(TRUE)
    assert (found.status, found.lower, found.upper) == ("confirmed", 2.9999, 3.0)
    sampled = _account({**SAMPLED, "epsilon": 1.8383716})  # Opacus' PRV accountant
    assert sampled.status == "confirmed"
    assert sampled.lower < sampled.upper < 1.8384


def test_less_noise_than_the_epsilon_needs_is_a_contradiction() -> None:
    found = _account(FORGED)
    assert found.contradicts
    assert found.lower == pytest.approx(142.79)
    assert "states ε = 3" in found.reason
    assert "noise multiplier 1" in found.reason
    assert _account({**SAMPLED, "epsilon": 1.8}).contradicts
    silent = _account({**TRUE, "noise_multiplier": 0})
    assert silent.contradicts
    assert (silent.lower, silent.upper) == ("infinite", "infinite")


def test_rounding_of_an_accountant_is_no_contradiction() -> None:
    assert _account({**TRUE, "epsilon": 2.999}).status == "confirmed"
    assert _account({**TRUE, "epsilon": 2.98}).contradicts


def test_a_cut_bought_in_parallel_does_not_add_up_and_in_sequence_does() -> None:
    shows = "declarations, calibration rows (finish)"
    trained = TRUE["epsilon"]
    parallel = _account({**TRUE, "epsilon": 3.0}, _files(trained, 3.0, shows))
    assert (parallel.status, parallel.other) == ("confirmed", 3.0)
    total = {**TRUE, "epsilon": trained + 0.3}
    files = _files(trained, 0.3, shows)
    assert _account(total, files, sequential=True).status == "confirmed"
    assert _account(TRUE, files, sequential=True).contradicts
    # What training spends is held against its own part, not against the sum.
    assert _account({**FORGED, "noise_multiplier": 14.0, "epsilon": 3.3}, files).contradicts


def test_settings_of_the_solutions_own_are_not_counted_twice() -> None:
    both = "training rows (settings of the solution's own), calibration rows (finish)"
    trained = TRUE["epsilon"]
    total = {**TRUE, "epsilon": trained + 0.3}
    found = _account(total, _files(trained, trained + 0.3, both), sequential=True)
    assert found.status == "confirmed"
    assert found.other == pytest.approx(0.3)
    raw = _account(TRUE, _files(trained, "infinite", both))
    assert (raw.status, raw.other) == ("confirmed", None)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"noise_multiplier": None}, "does not record noise_multiplier"),
        ({"noise_multiplier": "14"}, "noise_multiplier as '14'"),
        ({"steps": 2.5}, "steps as 2.5"),
        ({"sampling_rate": 1.2}, "sampling_rate as 1.2"),
        ({"delta": 0.0}, "delta as 0.0"),
        ({"neighbouring": "replace one"}, "replace one"),
    ],
)
def test_what_has_no_numbers_is_as_recorded_and_says_why(change, word) -> None:
    found = _account({**TRUE, **change})
    assert found.status == "as recorded"
    assert word in found.reason
    assert found.lower is None


def test_no_promise_is_nothing_to_recompute() -> None:
    assert _account(None).status == "no promise"
    assert _account({**FORGED, "unsafe_noise_seed": 3}).status == "no promise"


def _audited(case, folder):
    done = run_audit(case.evidence, case.bundle, default_policy())
    write_audit(folder, done.record)
    write_details(folder, describe(case.evidence, case.bundle, done))
    return done


def _status(done) -> dict[str, str]:
    return {item.rule: item.status for item in done.record.findings}


def test_no_rule_on_epsilon_passes_on_a_forged_record_and_verify_names_it(credit, tmp_path) -> None:
    case = credit(privacy=FORGED)
    done = _audited(case, tmp_path / "audit")
    found = _status(done)
    assert found["epsilon-ceiling"] == "fail"
    assert found["privacy-record"] == "fail"
    assert found["delta-below-one-person"] == "not-measurable"
    assert exit_code(done.record.findings) == 1
    differ = verify_audit(tmp_path / "audit", case.bundle_path).differences
    assert [item.path for item in differ] == ["audit.json/privacy/epsilon"]
    assert "at least ε = 142.79" in differ[0].recomputed


def test_a_contradiction_below_the_ceiling_does_not_pass_either(credit, tmp_path) -> None:
    done = _audited(credit(privacy={**TRUE, "noise_multiplier": 8.0}), tmp_path / "audit")
    found = _status(done)
    assert (found["epsilon-ceiling"], found["privacy-record"]) == ("not-measurable", "fail")
    assert done.record.privacy.epsilon == TRUE["epsilon"]  # what the bundle states


def test_a_true_record_passes_and_what_cannot_be_recomputed_is_noted(credit, tmp_path) -> None:
    case = credit(privacy=TRUE)
    found = _status(_audited(case, tmp_path / "audit"))
    assert found["epsilon-ceiling"] == "pass"
    assert "privacy-record" not in found
    same = verify_audit(tmp_path / "audit", case.bundle_path)
    assert same.differences == ()
    assert not any("epsilon" in note for note in same.notes)
    bare = credit(name="bare", privacy={k: v for k, v in TRUE.items() if k != "steps"})
    _audited(bare, tmp_path / "other")
    noted = verify_audit(tmp_path / "other", bare.bundle_path)
    assert noted.differences == ()
    assert any("epsilon (the bundle does not record steps)" in note for note in noted.notes)
