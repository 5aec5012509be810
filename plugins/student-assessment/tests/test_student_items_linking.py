"""Two forms on one scale: known transformations, errors against simulation, the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import verticals
from verticals.errors import CallError, TrainingError
from verticals_student_assessment.items.demo import demo
from verticals_student_assessment.items.irt import ItemBank, fit_items, to_responses
from verticals_student_assessment.items.link_command import link_forms as command
from verticals_student_assessment.items.linking import METHODS, link_forms

SLOPES = np.array([0.8, 1.0, 1.3, 1.1, 0.9, 1.4, 1.0, 1.2])
HARD = np.array([-1.5, -1.0, -0.4, 0.0, 0.3, 0.8, 1.2, -0.7])


def make_bank(slopes, hard, **settings):
    count = len(slopes)
    values = np.column_stack([slopes, -slopes * hard, np.full(count, -np.inf)])
    return ItemBank(
        names=tuple(f"i{n}" for n in range(count)),
        model="2PL",
        categories=np.full(count, 2),
        merged=((0, 1),) * count,
        values=values,
        free=np.isfinite(values),
        **settings,
    )


@pytest.mark.parametrize("method", METHODS)
def test_finds_an_exact_transformation(method):
    """θ_A = 1.2 θ_B − 0.3: slopes of B are 1.2 times A's, difficulties (b + 0.3) / 1.2."""
    onto, from_ = make_bank(SLOPES, HARD), make_bank(1.2 * SLOPES, (HARD + 0.3) / 1.2)
    link = link_forms(onto, from_, method)
    assert (link.slope, link.intercept) == pytest.approx((1.2, -0.3), abs=1e-8)
    assert link.displacement == pytest.approx(np.zeros(8), abs=1e-7)
    assert np.isnan(link.errors).all()  # the banks have no covariance
    back = link_forms(from_, onto, method)
    assert (back.slope, back.intercept) == pytest.approx((1 / 1.2, 0.25), abs=1e-8)


def test_an_item_that_drifted_shows():
    hard = HARD.copy()
    hard[3] += 0.8
    link = link_forms(make_bank(SLOPES, HARD), make_bank(SLOPES, hard))
    assert np.abs(link.displacement).argmax() == 3
    assert link.displacement[3] < -0.5


def test_only_common_items_link_in_whatever_order():
    onto, from_ = make_bank(SLOPES, HARD), make_bank(1.2 * SLOPES, (HARD + 0.3) / 1.2)
    names = (*from_.names[:6], "x", "y")
    other = replace(from_, names=names).subset([5, 3, 0, 7, 1, 2])
    link = link_forms(onto, other)
    assert link.items == ("i0", "i1", "i2", "i3", "i5")
    assert (link.slope, link.intercept) == pytest.approx((1.2, -0.3), abs=1e-8)


def answers(random, ability):
    chance = 1 / (1 + np.exp(-SLOPES * (ability[:, None] - HARD)))
    drawn = (random.random(chance.shape) < chance).astype(np.int8)
    return fit_items(to_responses(drawn, [f"i{n}" for n in range(8)], 2)).bank


@pytest.mark.parametrize("method", METHODS)
def test_errors_match_the_spread_over_simulations(method):
    """The second sample has mean 0.4 and deviation 0.8: its scale is θ_A = 0.8 θ_B + 0.4."""
    away = []
    for seed in range(25):
        random = np.random.default_rng(seed)
        onto = answers(random, random.normal(size=900))
        from_ = answers(random, 0.4 + 0.8 * random.normal(size=900))
        link = link_forms(onto, from_, method)
        away.append((np.array([link.slope, link.intercept]) - [0.8, 0.4]) / link.errors)
    away = np.array(away)
    assert (np.abs(away.mean(axis=0)) < 0.6).all()
    assert ((away.std(axis=0) > 0.65) & (away.std(axis=0) < 1.4)).all()


def test_abilities_on_the_other_scale_carry_both_errors():
    bank = make_bank(SLOPES, HARD, covariance=0.01 * np.eye(16))
    link = link_forms(bank, bank)
    assert all(error > 0 for error in link.errors)
    ability, error = link.apply(np.array([0.0, 2.0]), np.array([0.3, 0.3]))
    assert ability == pytest.approx([0.0, 2.0], abs=1e-9)
    assert error[0] == pytest.approx(np.hypot(0.3, link.errors[1]))
    assert error[1] > error[0]


def test_refuses_what_cannot_be_linked():
    bank = make_bank(SLOPES, HARD)
    with pytest.raises(CallError, match="linking by 'haebara'"):
        link_forms(bank, bank, "haebara")
    with pytest.raises(CallError, match="the forms have 1 items in common"):
        link_forms(bank, bank.subset([2]))
    with pytest.raises(CallError, match="item 'i0' has other categories"):
        link_forms(bank, replace(bank, merged=((0, 0, 1), *bank.merged[1:])))
    flat = make_bank(SLOPES, np.zeros(8))
    with pytest.raises(TrainingError, match="do not vary"):
        link_forms(bank, flat)


def test_command_links_two_bundles(tmp_path):
    contract, raw = demo()
    for name, rows in (("a", slice(0, 900)), ("b", slice(900, 1800))):
        verticals.train(
            "item-response",
            out=tmp_path / name,
            contract=contract,
            data=raw.take(rows),
            no_privacy=True,
        )
    out = tmp_path / "link.json"
    arguments = [str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out)]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "40 common items" in done.output
    found = json.loads(out.read_text())["links"]
    assert set(found) == set(METHODS)
    for link in found.values():
        assert abs(link["slope"] - 1) < 4 * link["slope_se"]
        assert abs(link["intercept"]) < 4 * link["intercept_se"]
        assert len(link["items"]) == 40
