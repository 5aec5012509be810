"""DIF statistics: published output of difR, slow references, and what must hold for any data."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from verticals.errors import DataError
from verticals.table import Table
from verticals_student_assessment.items.dif.cells import (
    MAX_STRATA,
    Cells,
    count_cells,
    from_table,
    read_responses,
    to_columns,
)
from verticals_student_assessment.items.dif.logistic import (
    JODOIN_GIERL,
    effect_class,
    logistic_dif,
)
from verticals_student_assessment.items.dif.mantel import dif_statistics, ets_classes
from verticals_student_assessment.items.dif.purify import (
    CAP,
    CONVERGED,
    LOOP,
    TOO_FEW,
    purify,
    significant,
)

VERBAL = Path(__file__).resolve().parents[4] / "shared/data/edu_verbagg_irt/edu_verbagg_irt.csv"

# difMH(verbal, group = "Gender", focal.name = 1) of the R package difR, as its own tests print it
# (github.com/adelahladka/difR, tests/testthat/_snaps/difMH.md): chi-square with continuity
# correction, without, alphaMH, log odds over its standard error, chi-square after purification.
DIFR = """
S1WantCurse  1.7076  2.2151 1.7005  1.4759  0.0069
S1WantScold  2.1486  2.6579 1.7702  1.6751  0.0376
S1WantShout  0.9926  1.3392 1.4481  1.1404  0.0087
S2WantCurse  1.9302  2.5359 1.9395  1.6327  0.8881
S2WantScold  2.9540  3.5755 1.9799  1.9103  0.1112
S2WantShout  9.6032 10.6034 2.8804  3.1373  4.2680
S3WantCurse  0.0013  0.0356 0.9439 -0.1889  0.0987
S3WantScold  0.6752  0.9709 0.7194 -0.9984  4.3724
S3WantShout  0.8185  1.1630 1.5281  1.1136  0.3454
S4wantCurse  1.6292  2.1003 1.6849  1.4869  0.1406
S4WantScold  0.0152  0.0838 1.0901  0.2735  1.6853
S4WantShout  4.1188  4.8072 2.3458  2.2368  1.0766
S1DoCurse    0.1324  0.3083 0.7967 -0.5675  2.0959
S1DoScold    2.7501  3.3869 0.4995 -1.8434  6.2736
S1DoShout    0.0683  0.1880 1.1765  0.4495  0.0172
S2DoCurse    6.3029  7.2126 0.3209 -2.6614  9.6672
S2DoScold    6.8395  7.7670 0.3746 -2.6876 11.9436
S2DoShout    0.2170  0.4256 0.7931 -0.6396  0.6997
S3DoCurse    5.7817  6.5479 0.4616 -2.4687  9.4644
S3DoScold    3.8880  4.6194 0.4727 -2.1368  6.4356
S3DoShout    0.2989  0.6927 0.6373 -0.8366  1.4190
S4DoCurse    1.1220  1.5020 0.6444 -1.2436  3.9323
S4DoScold    1.4491  1.8592 0.6385 -1.3810  5.7987
S4DoShout    0.8390  1.2302 1.6053  1.1203  0.3223
"""
# difLogistic of the same (…/_snaps/difLogistic.md): likelihood ratios of both terms, uniform and
# non-uniform, and the change in Nagelkerke's R² of both.
DIFR_LOGISTIC = """
 2.0014  1.9998 0.0016 0.0067
 3.3541  1.9065 1.4476 0.0101
 2.4742  2.1606 0.3136 0.0074
 4.7296  4.2639 0.4658 0.0177
 4.1404  2.9036 1.2367 0.0125
11.4111 11.3031 0.1080 0.0343
 1.6061  0.0955 1.5106 0.0056
 1.6331  1.6260 0.0071 0.0050
 2.6989  2.1397 0.5592 0.0106
 2.4547  1.9563 0.4983 0.0085
 2.0997  0.0042 2.0955 0.0060
 3.6877  3.6491 0.0386 0.0133
 1.2196  0.4234 0.7962 0.0039
 4.7304  4.0968 0.6335 0.0122
 1.0456  0.7163 0.3293 0.0033
 7.6935  7.6372 0.0563 0.0243
10.2622  9.1401 1.1221 0.0277
 1.7016  0.0928 1.6088 0.0058
 7.2379  7.1433 0.0945 0.0232
 5.8680  4.6496 1.2184 0.0211
 1.2763  0.5258 0.7505 0.0078
 2.9521  1.8339 1.1182 0.0092
 2.6956  2.3918 0.3039 0.0083
 1.3524  1.0577 0.2947 0.0057
"""


@pytest.fixture(scope="module")
def verbal():
    """Return the answers of VerbAgg as difR has them (yes or perhaps is 1), and who is male."""
    if not VERBAL.exists():
        pytest.skip(f"{VERBAL} is not there: evaluation data stay outside the repository")
    with VERBAL.open() as file:
        rows = list(csv.DictReader(file))
    names = [line.split()[0] for line in DIFR.split("\n") if line]
    scores = np.full((316, 24), np.nan)
    male = np.zeros(316, dtype=bool)
    for row in rows:
        person = int(row["id"]) - 1
        scores[person, names.index(row["item"])] = row["r2"] == "Y"
        male[person] = row["Gender"] == "M"
    return read_responses(scores, np.ones(24)), male


def golden(text):
    return np.array([[float(x) for x in line.split()[-5:]] for line in text.split("\n") if line])


def everything(responses, focal):
    return count_cells(responses, focal, np.ones(responses.maximum.size, dtype=bool))


def test_mantel_haenszel_equals_published_difr_output(verbal):
    expected = golden(DIFR)
    cells = everything(*verbal)
    found = dif_statistics(cells)
    assert np.round(found.chi2, 4) == pytest.approx(expected[:, 0], abs=1.01e-4)
    plain = dif_statistics(cells, correct=False)
    assert np.round(plain.chi2, 4) == pytest.approx(expected[:, 1], abs=1.01e-4)
    assert np.round(found.alpha, 4) == pytest.approx(expected[:, 2], abs=1.01e-4)
    z = np.log(found.alpha) / (found.error / 2.35)
    assert np.round(z, 4) == pytest.approx(expected[:, 3], abs=1.01e-4)
    assert found.effect == pytest.approx(-2.35 * np.log(found.alpha))


def test_purification_equals_published_difr_output(verbal):
    expected = golden(DIFR)[:, 4]
    found = purify(*verbal, flag=significant)
    assert (found.steps, found.outcome) == (6, CONVERGED)
    same = np.abs(np.round(found.statistics.chi2, 4) - expected) <= 1.01e-4
    # difR takes 0.5 off a difference of less than that, and squares what is then below 0. We stop
    # at 0, as R's mantelhaen.test does: with little variance the square can look significant.
    assert np.flatnonzero(~same).tolist() == [14]
    assert found.statistics.chi2[14] == 0
    assert int((~found.matching).sum()) == 9


def test_purification_that_is_cut_off_says_so(verbal):
    found = purify(*verbal, flag=significant, most_steps=5)
    assert (found.steps, found.outcome) == (5, CAP)
    assert found.statistics.chi2[:2] == pytest.approx([0.0974, 0.0989], abs=1e-4)  # difR, nrIter=5


def test_logistic_regression_equals_published_difr_output(verbal):
    expected = golden(DIFR_LOGISTIC)
    found = logistic_dif(everything(*verbal))
    for column, values in enumerate((found.both, found.uniform, found.non_uniform, found.effect)):
        assert np.round(values, 4) == pytest.approx(expected[:, column], abs=1.01e-4)


def simulated(seed, persons=400, items=8, highest=1, shift=0.0, missing=0.0):
    rng = np.random.default_rng(seed)
    focal = rng.random(persons) < 0.4
    ability = rng.normal(size=persons) - 0.3 * focal
    logit = ability[:, None] - rng.normal(size=items)
    logit[:, 0] -= shift * focal
    scores = rng.binomial(highest, special.expit(logit)).astype(float)
    scores[rng.random(scores.shape) < missing] = np.nan
    return scores, focal


def slow_mantel_haenszel(scores, focal, item):
    """Person by person and stratum by stratum, from the definitions."""
    match = np.nansum(scores, axis=1)
    own = scores[:, item]
    gap = variance = top = bottom = spread = 0.0
    tables = []
    for value in np.unique(match):
        here = (match == value) & ~np.isnan(own)
        a, b = (np.sum(here & ~focal & (own == x)) for x in (1, 0))
        c, d = (np.sum(here & focal & (own == x)) for x in (1, 0))
        total = a + b + c + d
        if total < 2:
            continue
        tables.append((a, b, c, d, total))
        gap += a - (a + b) * (a + c) / total
        variance += (a + b) * (c + d) * (a + c) * (b + d) / (total**2 * (total - 1))
        top, bottom = top + a * d / total, bottom + b * c / total
    alpha = top / bottom
    for a, b, c, d, total in tables:
        spread += (a * d + alpha * b * c) * (a + d + alpha * (b + c)) / total**2
    chi2 = max(abs(gap) - 0.5, 0) ** 2 / variance
    return chi2, alpha, 2.35 * np.sqrt(spread / (2 * top**2))


def slow_mantel(scores, focal, item):
    match, own = np.nansum(scores, axis=1), scores[:, item]
    gap = variance = smd = smd_variance = 0.0
    both = [
        v
        for v in np.unique(match)
        if min(np.sum((match == v) & (focal == g) & ~np.isnan(own)) for g in (True, False)) > 0
    ]
    in_focal = sum(np.sum((match == v) & focal & ~np.isnan(own)) for v in both)
    for value in np.unique(match):
        here = (match == value) & ~np.isnan(own)
        y, g = own[here], focal[here]
        n_f, n_r, n = g.sum(), (~g).sum(), g.size
        if n < 2:
            continue
        of_stratum = n_f * n_r * y.var(ddof=1) / n
        gap += y[g].sum() - n_f * y.mean()
        variance += of_stratum
        if n_f and n_r:
            smd += n_f / in_focal * (y[g].mean() - y[~g].mean())
            smd_variance += (n_f / in_focal * (1 / n_f + 1 / n_r)) ** 2 * of_stratum
    deviation = np.nanstd(own)
    return gap**2 / variance, smd / deviation, np.sqrt(smd_variance) / deviation


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_mantel_haenszel_equals_a_slow_reference(missing):
    scores, focal = simulated(3, shift=1.0, missing=missing)
    found = dif_statistics(everything(read_responses(scores, np.ones(8)), focal))
    for item in range(8):
        expected = slow_mantel_haenszel(scores, focal, item)
        got = (found.chi2[item], found.alpha[item], found.error[item])
        assert got == pytest.approx(expected)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_mantel_equals_a_slow_reference(missing):
    scores, focal = simulated(4, highest=3, shift=0.6, missing=missing)
    found = dif_statistics(everything(read_responses(scores, np.full(8, 3)), focal))
    assert np.isnan(found.alpha).all()
    for item in range(8):
        got = (found.chi2[item], found.effect[item], found.error[item])
        assert got == pytest.approx(slow_mantel(scores, focal, item))


def test_mantel_of_two_categories_is_mantel_haenszel_without_correction():
    cells = everything(read_responses(simulated(5)[0], np.ones(8)), simulated(5)[1])
    as_three = Cells(
        persons=np.pad(cells.persons, ((0, 0), (0, 0), (0, 0), (0, 1))), maximum=cells.maximum + 1
    )
    plain = dif_statistics(cells, correct=False)
    assert dif_statistics(as_three).chi2 == pytest.approx(plain.chi2)


def test_logistic_regression_equals_a_general_optimiser():
    scores, focal = simulated(6, persons=300, shift=1.2, missing=0.05)
    found = logistic_dif(everything(read_responses(scores, np.ones(8)), focal))
    match = np.nansum(scores, axis=1)
    for item in (0, 3):
        kept = ~np.isnan(scores[:, item])
        y, s, g = scores[kept, item], match[kept] / 4 - 1, focal[kept].astype(float)
        columns = np.column_stack([np.ones_like(s), s, g, s * g])
        best = [
            -optimize.minimize(
                lambda beta, x=columns[:, :k], y=y: (
                    np.logaddexp(0, x @ beta).sum() - y @ (x @ beta)
                ),
                np.zeros(k),
                tol=1e-10,
            ).fun
            for k in (2, 3, 4)
        ]
        expected = (2 * (best[1] - best[0]), 2 * (best[2] - best[1]), 2 * (best[2] - best[0]))
        got = (found.uniform[item], found.non_uniform[item], found.both[item])
        assert got == pytest.approx(expected, abs=1e-5)


def test_cumulative_logits_equal_a_general_optimiser():
    scores, focal = simulated(6, persons=300, highest=3, shift=1.2, missing=0.05)
    scores[:, 5] = np.where(scores[:, 5] == 2, 3, scores[:, 5])  # a score that nobody has
    found = logistic_dif(everything(read_responses(scores, np.full(8, 3)), focal))
    match = np.nansum(scores, axis=1)
    for item in (0, 5):
        kept = ~np.isnan(scores[:, item])
        s, g = match[kept] / 12 - 1, focal[kept].astype(float)
        y = np.unique(scores[kept, item], return_inverse=True)[1]
        columns = np.column_stack([s, g, s * g])
        best = []
        for terms in (1, 2, 3):

            def loss(theta, x=columns[:, :terms], y=y):
                cut = y.max()
                steps = np.concatenate([theta[:1], -np.exp(theta[1:cut])])  # falling thresholds
                reach = special.expit(np.cumsum(steps) + (x @ theta[cut:])[:, None])
                edge = np.ones((y.size, 1))
                chance = -np.diff(np.hstack([edge, reach, 0 * edge]))
                return -np.log(chance[np.arange(y.size), y]).sum()

            best.append(-optimize.minimize(loss, np.zeros(y.max() + terms), tol=1e-9).fun)
        expected = (2 * (best[1] - best[0]), 2 * (best[2] - best[1]), 2 * (best[2] - best[0]))
        got = (found.uniform[item], found.non_uniform[item], found.both[item])
        assert got == pytest.approx(expected, abs=1e-4)


def test_logistic_regression_of_separated_answers_is_finite():
    persons = np.zeros((1, 4, 2, 2), dtype=int)
    persons[0, :2, :, 0], persons[0, 2:, :, 1] = 20, 20  # the score decides the answer
    found = logistic_dif(Cells(persons=persons, maximum=np.ones(1, dtype=int)))
    assert found.both == pytest.approx([0.0], abs=1e-6)
    assert found.effect == pytest.approx([0.0], abs=1e-6)


def test_logistic_regression_says_nothing_where_nothing_varies():
    persons = np.full((2, 4, 2, 2), 10)
    persons[0, ..., 0] = 0  # all right
    persons[1, 1:] = 0  # all of one score
    found = logistic_dif(Cells(persons=persons, maximum=np.ones(2, dtype=int)))
    assert np.isnan(found.both).all()
    assert np.isnan(found.effect).all()


def test_effect_classes_begin_at_their_limits():
    shown = [effect_class(x, JODOIN_GIERL) for x in (0.0, 0.0349, 0.035, 0.0699, 0.07, np.nan)]
    assert shown == ["A", "A", "B", "B", "C", ""]


def test_ets_classes_follow_the_rule():
    effect = np.array([-0.9, -1.2, -1.2, 1.6, -1.6, 1.49, -1.5, np.nan])
    error = np.array([0.1, 0.1, 0.1, 0.2, 0.4, 0.1, 0.3, 0.1])
    p_value = np.array([0.0, 0.2, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0])
    # -1.6 with .4 and -1.5 with .31 are not significantly above 1
    error[6] = 0.31
    two = ets_classes(effect, error, p_value, np.zeros(8, dtype=bool))
    assert two.tolist() == ["A", "A", "B", "C", "B", "B", "B", ""]
    effect = np.array([0.17, -0.2, 0.25, -0.26, 0.4])
    p_value = np.array([0.0, 0.0, 0.0, 0.0, 0.05])
    many = ets_classes(effect, np.full(5, 0.01), p_value, np.ones(5, dtype=bool))
    assert many.tolist() == ["A", "B", "B", "C", "A"]


def test_nothing_is_measured_of_fewer_than_ten_persons():
    scores, _ = simulated(7, persons=200)
    nine = np.arange(200) < 9
    found = dif_statistics(everything(read_responses(scores, np.ones(8)), nine))
    assert np.isnan(found.effect).all()
    assert set(found.ets) == {""}
    scores[:3, 0] = np.nan  # twelve in the group, nine of them answered the item
    found = dif_statistics(everything(read_responses(scores, np.ones(8)), np.arange(200) < 12))
    assert np.isnan(found.effect[0])
    assert not np.isnan(found.chi2[1])


def test_an_item_that_all_have_right_is_not_measured():
    scores, focal = simulated(8)
    scores[:, 2] = 1
    found = dif_statistics(everything(read_responses(scores, np.ones(8)), focal))
    assert np.isnan([found.chi2[2], found.effect[2], found.error[2]]).all()
    assert found.ets[2] == ""


any_data = settings(max_examples=25, deadline=None, derandomize=True)


@any_data
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4]), st.sampled_from([0.0, 0.2]))
def test_exchanging_the_groups_flips_the_sign(seed, highest, missing):
    scores, focal = simulated(seed, persons=150, highest=highest, missing=missing)
    responses = read_responses(scores, np.full(8, highest))
    one = dif_statistics(everything(responses, focal))
    other = dif_statistics(everything(responses, ~focal))
    assert other.chi2 == pytest.approx(one.chi2, nan_ok=True)
    if highest == 1:  # the mean difference weights by the focal group: only its sign is exchanged
        assert other.effect == pytest.approx(-one.effect, nan_ok=True)
        assert other.ets.tolist() == one.ets.tolist()
    changed = logistic_dif(everything(responses, ~focal))
    assert changed.both == pytest.approx(
        logistic_dif(everything(responses, focal)).both, abs=1e-6, nan_ok=True
    )


@any_data
@given(st.integers(0, 10_000))
def test_the_order_of_persons_and_items_does_not_matter(seed):
    scores, focal = simulated(seed, persons=150, highest=2, missing=0.1)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(150), rng.permutation(8)
    one = purify(read_responses(scores, np.full(8, 2)), focal)
    other = purify(read_responses(scores[rows][:, columns], np.full(8, 2)), focal[rows])
    assert other.outcome == one.outcome
    assert other.statistics.effect == pytest.approx(one.statistics.effect[columns], nan_ok=True)
    assert other.matching.tolist() == one.matching[columns].tolist()


@any_data
@given(st.integers(0, 10_000))
def test_an_item_answered_by_chance_alike_keeps_its_odds_when_strata_merge(seed):
    """Where answers depend neither on score nor on group in the counts, strata can be merged."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 9, size=(6, 2)) * 5  # (strata, groups)
    persons = np.stack([sizes * 2, sizes * 3], axis=-1)[None]
    merged = persons.sum(axis=1, keepdims=True)
    one, other = (
        dif_statistics(Cells(persons=item, maximum=np.ones(1, dtype=int)))
        for item in (persons, merged)
    )
    for found in (one, other):
        assert found.alpha == pytest.approx([1.0])
        assert found.chi2 == pytest.approx([0.0])


@any_data
@given(st.integers(0, 10_000), st.booleans())
def test_counts_return_from_their_table(seed, purified):
    scores, focal = simulated(seed, persons=80, highest=3, missing=0.3)
    responses = read_responses(scores, np.full(8, 3))
    matching = np.ones(8, dtype=bool)
    matching[:3] = not purified
    cells = count_cells(responses, focal, matching)
    back = from_table(Table(to_columns(cells)), cells.maximum)
    assert dif_statistics(back).chi2 == pytest.approx(dif_statistics(cells).chi2, nan_ok=True)
    assert (back.persons == cells.persons[:, : back.persons.shape[1]]).all()


def test_a_table_with_cells_of_no_item_is_refused():
    scores, focal = simulated(1)
    cells = everything(read_responses(scores, np.ones(8)), focal)
    columns = to_columns(cells)
    for name, value in (("item", 8), ("item", -1), ("score", 2), ("stratum", 99), ("persons", -1)):
        wrong = columns[name].copy()
        wrong[0] = value
        with pytest.raises(DataError, match="a cell that no item has"):
            from_table(Table({**columns, name: wrong}), cells.maximum)


def test_the_studied_item_is_always_part_of_its_own_matching_score():
    scores, focal = simulated(2, items=5)
    responses = read_responses(scores, np.ones(5))
    matching = np.array([False, True, True, True, True])
    cells = count_cells(responses, focal, matching)
    right = cells.persons[0, :, :, 1].sum(axis=1)
    total = scores.sum(axis=1)[scores[:, 0] == 1].astype(int)
    assert right.tolist() == np.bincount(total, minlength=6).tolist()
    rest = scores[:, 1:].sum(axis=1).astype(int)
    assert cells.persons[1].sum(axis=(1, 2)).tolist() == np.bincount(rest, minlength=6).tolist()


def test_long_tests_are_matched_in_bands():
    scores, focal = simulated(9, persons=60, items=150)
    cells = everything(read_responses(scores, np.ones(150)), focal)
    assert cells.width == 2
    assert cells.persons.shape[1] <= MAX_STRATA
    assert (cells.answered.sum(axis=1) == 60).all()


@pytest.mark.parametrize("wrong", [2.0, -1.0, 0.5, np.inf])
def test_a_score_that_the_item_does_not_have_is_refused(wrong):
    scores, _ = simulated(0)
    scores[7, 3] = wrong
    with pytest.raises(DataError, match="person 7 on item 3 is not one of 0 to 1"):
        read_responses(scores, np.ones(8))


def test_shapes_that_do_not_agree_are_refused():
    with pytest.raises(DataError, match="expected"):
        read_responses(np.zeros((5, 3)), np.ones(2))
    with pytest.raises(DataError, match="highest score below 1"):
        read_responses(np.zeros((5, 2)), np.array([1, 0]))


def test_purification_stops_before_too_few_items_are_left():
    scores, focal = simulated(2)
    responses = read_responses(scores, np.ones(8))
    found = purify(responses, focal, flag=lambda _: np.arange(8) > 2)
    assert (found.steps, found.outcome, int(found.matching.sum())) == (0, TOO_FEW, 8)


def test_purification_notices_a_loop():
    scores, focal = simulated(2)
    calls = []

    def flag(_):
        calls.append(1)
        return np.arange(8) == len(calls) % 2

    found = purify(read_responses(scores, np.ones(8)), focal, flag=flag)
    assert (found.steps, found.outcome) == (2, LOOP)


def test_purification_finds_the_item_and_frees_the_others():
    scores, focal = simulated(11, persons=4000, items=12, shift=1.5)
    responses = read_responses(scores, np.ones(12))
    before = dif_statistics(everything(responses, focal))
    after = purify(responses, focal)
    assert after.statistics.ets[0] == "C"
    assert np.flatnonzero(~after.matching).tolist() == [0]
    others = slice(1, None)
    assert np.abs(after.statistics.effect[others]).mean() < np.abs(before.effect[others]).mean()
