"""Counts: exact when they are raw, silent about small cells when they are published."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from verticals.errors import EvidenceError
from verticals.evidence import (
    PRODUCER,
    RECOMPUTED,
    AttributeInfo,
    Counts,
    EvidenceInfo,
    OutputInfo,
    merge_counts,
    noise,
    noise_counts,
    open_evidence,
    suppress_counts,
    suppression,
    to_counts,
    write_evidence,
)
from verticals.table import Table

CELLS = ("n", "positive", "negative", "selected", "unselected", "tp", "fp", "fn", "tn")
SEX, SITE = ("f", "m"), ("a", "b", "c", "d")


def make_info(rows, **changes):
    values = {
        "form": "rows",
        "bundle": "sha256:0",
        "origin": RECOMPUTED,
        "part": "test",
        "rows": rows,
        "units": rows,
        "outputs": (
            OutputInfo(name="score", kind="probability", target="left", target_kind="binary"),
            OutputInfo(name="flagged", kind="flag"),
        ),
        "attributes": (
            AttributeInfo(name="sex", role="protected", label="Sex", groups=SEX),
            AttributeInfo(name="site", role="stratum", label="Site", groups=SITE),
        ),
        "decision": {"target": "left", "cut": 0.5},
        "fingerprint": "secret",
    }
    return EvidenceInfo(**{**values, **changes})


def draw_rows(rng, rows, shares=(0.9, 0.1), sites=(0.5, 0.3, 0.15, 0.05), base=0.4, unknown=0.0):
    """Draw a `scores` table; small groups, rare labels and missing values are wanted."""
    label = (rng.random(rows) < base).astype(float)
    score = np.clip(rng.normal(0.35 + 0.3 * label, 0.2), 0.0, 1.0)
    label[rng.random(rows) < unknown] = np.nan
    sex = rng.choice([*SEX, ""], rows, p=[*np.array(shares) * 0.98, 0.02 * sum(shares)])
    return Table(
        {
            "unit": np.arange(rows),
            "score": score,
            "target:left": label,
            "decision": (score >= 0.5).astype(float),
            "attr:sex": sex.astype(object),
            "attr:site": rng.choice(SITE, rows, p=sites).astype(object),
        }
    )


def evidence(table, **changes):
    return Counts(info=make_info(table.rows, **changes), tables={"scores": table})


def random_evidence(seed, rows=None, **changes):
    rng = np.random.default_rng(seed)
    rows = rows or int(rng.integers(20, 400))
    shares = rng.dirichlet([1.0, 0.3])
    sites = rng.dirichlet([1.0, 0.6, 0.3, 0.3])
    base, unknown = rng.uniform(0.05, 0.6), rng.choice([0.0, 0.1])
    return evidence(draw_rows(rng, rows, shares, sites, base, unknown), **changes)


def cell(counts, name, attribute="", group="", output="score"):
    table = counts.tables["group_counts"]
    where = (table["output"] == output) & (table["attribute"] == attribute)
    (place,) = np.flatnonzero(where & (table["group"] == group))
    return table[name][place]


def same(first, second):
    assert set(first.tables) == set(second.tables)
    for name, table in first.tables.items():
        assert list(table) == list(second.tables[name])
        for column in table:
            np.testing.assert_array_equal(table[column], second.tables[name][column], column)


# ---- raw counts ------------------------------------------------------------------------------


def test_cells_are_counts_of_rows():
    table = Table(
        {
            "unit": np.arange(7),
            "score": np.array([0.0, 0.29, 0.5, 0.505, 0.999, 1.0, 0.25]),
            "target:left": np.array([0, 1, 0, 1, 1, 1, np.nan]),
            "decision": np.array([0, 0, 1, 1, 1, np.nan, 0]),
            "attr:sex": np.array(["f", "m", "m", "m", None, "m", "f"], object),
        }
    )
    counts = to_counts(evidence(table), min_cell=None)
    assert [cell(counts, name) for name in CELLS] == [7, 4, 2, 3, 3, 2, 1, 1, 1]
    assert [cell(counts, name, "sex", "m") for name in CELLS] == [4, 3, 1, 2, 1, 1, 1, 1, 0]
    assert [cell(counts, name, "sex", "") for name in CELLS] == [1, 1, 0, 1, 0, 1, 0, 0, 0]
    assert cell(counts, "sum_score") == pytest.approx(0.29 + 0.5 + 0.505 + 0.999 + 1.0, abs=1e-5)
    squares = [0, 0.71**2, 0.25, 0.495**2, 0.001**2, 0]
    assert cell(counts, "sum_sq_residual") == pytest.approx(sum(squares), abs=1e-5)
    scores = counts.tables["score_counts"]
    mine = scores.take((scores["attribute"] == "sex") & (scores["group"] == "m"))
    assert mine.rows == 100
    assert dict(zip(mine["lower"], mine["positive"], strict=True))[0.29] == 1
    assert np.flatnonzero(mine["positive"]).tolist() == [29, 50, 99]
    assert np.flatnonzero(mine["negative"]).tolist() == [50]
    assert counts.info.form == "counts"
    assert counts.info.fingerprint == ""
    assert "site" not in set(counts.tables["group_counts"]["attribute"])


def test_an_output_without_decision_or_labels_has_none():
    table = draw_rows(np.random.default_rng(0), 200)
    bare = evidence(table.without(["decision", "target:left"]))
    for counts in (to_counts(bare, min_cell=None), to_counts(bare)):
        assert cell(counts, "n") == 200
        assert math.isnan(cell(counts, "selected"))
        assert math.isnan(cell(counts, "tp"))
    assert cell(to_counts(bare, min_cell=None), "positive") == 0
    assert math.isnan(cell(to_counts(bare), "positive"))
    other = evidence(table, decision={"target": "stayed"})
    assert math.isnan(cell(to_counts(other, min_cell=None), "selected"))
    without = to_counts(evidence(table.without(["decision"])))
    assert cell(without, "positive") == np.nansum(table["target:left"])
    assert without.tables["score_counts"].rows > 9


def test_each_class_of_a_target_is_an_output():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 300).astype(float)
    outputs = tuple(
        OutputInfo(name=f"why_{v}", kind="probability", target="why", target_kind="categorical")
        for v in "xyz"
    )
    columns = {output.name: rng.random(300) for output in outputs}
    table = Table({"unit": np.arange(300), **columns, "target:why": label})
    counts = to_counts(evidence(table, outputs=outputs, decision={}), min_cell=None)
    for code, output in enumerate(outputs):
        assert cell(counts, "positive", output=output.name) == (label == code).sum()
        assert cell(counts, "negative", output=output.name) == (label != code).sum()
    with pytest.raises(EvidenceError, match="beyond its 2 outputs"):
        to_counts(evidence(table, outputs=outputs[:2], decision={}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": np.full(9, 1.5)}, "9 scores that are no probability"),
        ({"score": np.full(9, np.nan)}, "9 scores that are no probability"),
        ({"score": np.full(9, "x", object)}, "lacks numbers in column 'score' of scores"),
        ({"attr:sex": np.full(9, "x", object)}, "group that is not declared at row 0"),
    ],
)
def test_rows_that_cannot_be_counted_are_refused(change, message):
    table = draw_rows(np.random.default_rng(0), 9).with_columns(change)
    with pytest.raises(EvidenceError, match=message):
        to_counts(evidence(table))


def test_evidence_without_rows_or_probabilities_is_refused():
    table = draw_rows(np.random.default_rng(0), 50)
    with pytest.raises(EvidenceError, match="no scores of rows"):
        to_counts(Counts(info=make_info(50), tables={}))
    with pytest.raises(EvidenceError, match="no scores of rows"):
        to_counts(to_counts(evidence(table)))
    with pytest.raises(EvidenceError, match="no probability"):
        to_counts(evidence(table, outputs=()))


# ---- merging ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 150), min_size=1, max_size=3))
def test_the_counts_of_parts_add_up_to_the_counts_of_all(seed, cuts):
    whole = random_evidence(seed, rows=150)
    edges = [0, *sorted(cuts), 150]
    table = whole.tables["scores"]
    parts = [
        to_counts(evidence(table.take(slice(a, b))), min_cell=None) for a, b in pairwise(edges)
    ]
    merged = merge_counts(parts)
    expected = to_counts(whole, min_cell=None)
    same(merged, expected)
    assert merged.info == expected.info
    same(suppress_counts(merged), suppress_counts(expected))


def test_merged_suppressed_counts_are_sums_or_unknown():
    sites = [to_counts(random_evidence(seed, rows=600)) for seed in (1, 2, 3)]
    merged = merge_counts(sites)
    for name in CELLS:
        column = [site.tables["group_counts"][name] for site in sites]
        np.testing.assert_array_equal(merged.tables["group_counts"][name], sum(column))
    assert np.isnan(merged.tables["group_counts"]["tp"]).any()
    scores = merged.tables["score_counts"]
    total = scores.take(scores["attribute"] == "")
    assert total["positive"].sum() == cell(merged, "positive")
    assert merged.info.min_cell == 10
    assert merged.info.rows == 1800


def test_counts_merge_after_a_way_through_files(tmp_path):
    parts = [to_counts(random_evidence(seed), min_cell=None) for seed in (4, 5)]
    opened = []
    for number, part in enumerate(parts):
        write_evidence(tmp_path / str(number), part.info, part.tables)
        opened.append(open_evidence(tmp_path / str(number)))
    same(merge_counts(opened), merge_counts(parts))
    published = suppress_counts(merge_counts(opened), min_cell=5)
    write_evidence(tmp_path / "all", published.info, published.tables)
    same(open_evidence(tmp_path / "all"), published)


def test_other_tables_merge_or_stay_away():
    text = np.array(["score", "score"], object)
    attributions = Table(
        {
            "output": text,
            "field": np.array(["a", "b"], object),
            "n": np.array([50, 50]),
            "sum_abs": np.array([1.0, 2.0]),
            "sum_sq": np.array([3.0, 4.0]),
        }
    )
    additivity = Table(
        {
            "output": text[:1],
            "method": np.array(["exact"], object),
            "max_error": np.array([1e-9]),
            "n": np.array([50]),
            "standard_error": np.array([np.nan]),
        }
    )
    shapes = Table({"output": text, "x": np.array([0.0, np.nan])})
    rows = random_evidence(1, rows=100)
    tables = {
        **rows.tables,
        "attributions": attributions,
        "additivity": additivity,
        "shapes": shapes,
        "checks": Table({"n": np.ones(1)}),
        "reasons": Table({"count": np.ones(1)}),
    }
    whole = Counts(info=rows.info, tables=tables)
    raw = to_counts(whole, min_cell=None)
    carried = {"attributions", "additivity", "shapes", "group_counts", "score_counts"}
    assert set(raw.tables) == set(suppress_counts(raw).tables) == carried
    assert set(suppress_counts(raw, min_cell=60).tables) == carried - {"attributions", "additivity"}
    assert set(noise_counts(raw, epsilon=1.0).tables) == carried - {"attributions", "additivity"}
    worse = additivity.with_columns({"max_error": np.array([2e-9]), "n": np.array([7])})
    second = Counts(info=raw.info, tables={**raw.tables, "additivity": worse})
    merged = merge_counts([raw, second])
    assert merged.tables["attributions"]["sum_sq"].tolist() == [6.0, 8.0]
    assert merged.tables["attributions"]["n"].tolist() == [100, 100]
    assert merged.tables["additivity"]["max_error"].tolist() == [2e-9]
    assert merged.tables["additivity"]["n"].tolist() == [57]
    assert np.isnan(merged.tables["additivity"]["standard_error"]).all()
    np.testing.assert_array_equal(merged.tables["shapes"]["x"], shapes["x"])
    other = {**raw.tables, "shapes": shapes.with_columns({"x": np.zeros(2)})}
    with pytest.raises(EvidenceError, match="differ in shapes"):
        merge_counts([raw, Counts(info=raw.info, tables=other)])
    lacking = {name: table for name, table in raw.tables.items() if name != "shapes"}
    assert "shapes" not in merge_counts([raw, Counts(info=raw.info, tables=lacking)]).tables


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bundle": "sha256:1"}, "differ in bundle"),
        ({"outputs": ()}, "differ in outputs"),
        ({"attributes": ()}, "differ in attributes"),
        ({"decision": {"target": "left", "cut": 0.4}}, "differ in decision"),
        ({"min_cell": 10}, "some counts have min_cell"),
        ({"noise_epsilon": 1.0}, "some counts have noise_epsilon"),
        ({"form": "rows"}, "is in rows, expected counts"),
    ],
)
def test_counts_of_different_things_do_not_merge(change, message):
    counts = to_counts(random_evidence(0), min_cell=None)
    other = Counts(info=dataclasses.replace(counts.info, **change), tables=counts.tables)
    with pytest.raises(EvidenceError, match=message):
        merge_counts([counts, other])
    with pytest.raises(EvidenceError, match="no counts to merge"):
        merge_counts([])


def test_the_description_of_merged_counts_is_the_weaker_one():
    counts = to_counts(random_evidence(0), min_cell=None)
    other = dataclasses.replace(counts.info, origin=PRODUCER, part="site b", unit_rows=4)
    merged = merge_counts([counts, Counts(info=other, tables=counts.tables)]).info
    assert (merged.origin, merged.part, merged.unit_rows) == (PRODUCER, "test + site b", 4)
    small = [dataclasses.replace(counts.info, min_cell=number) for number in (5, 10)]
    parts = [Counts(info=info, tables=counts.tables) for info in small]
    assert merge_counts(parts).info.min_cell == 5


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("group_counts", None, "lacks text in column 'output' of group_counts"),
        ("group_counts", {"n": "text"}, "lacks numbers in column 'n'"),
        ("group_counts", {"output": "other"}, "do not have each group of each output once"),
        ("group_counts", {"group": "f"}, "do not have each group of each output once"),
        ("score_counts", {"attribute": "x"}, "do not have each group of each output once"),
        ("score_counts", {"lower": np.nan}, "has bins for"),
        ("score_counts", {"lower": 0.5}, "has bins for"),
    ],
)
def test_damaged_counts_are_refused(table, change, message):
    counts = to_counts(random_evidence(0), min_cell=None)
    old = counts.tables[table]
    columns = {
        name: np.full(old.rows, value, dtype=object if isinstance(value, str) else float)
        for name, value in (change or {}).items()
    }
    new = old.with_columns(columns) if change else Table({})
    damaged = Counts(info=counts.info, tables={**counts.tables, table: new})
    with pytest.raises(EvidenceError, match=message):
        merge_counts([damaged, damaged])


# ---- suppression -----------------------------------------------------------------------------


class Attacker:
    """All that is published, as linear facts about how many rows have which group, label, score.

    A variable is a group, a label (1, 0) and a stretch of scores, fine enough that every bin of
    every histogram and the cut of the decision is a union of stretches.
    """

    def __init__(self, published, cut=0.5):
        self.groups = published.tables["group_counts"]
        scores = published.tables["score_counts"]
        self.grid = np.unique([*scores["lower"], 1.0, cut])
        self.stretches = len(self.grid) - 1
        self.above = self.grid[:-1] >= cut
        self.keys = list(zip(self.groups["attribute"], self.groups["group"], strict=True))
        self.known_rows, self.known_values = [], []
        for place in range(len(self.keys)):
            for name in CELLS:
                if not np.isnan(self.groups[name][place]):
                    self._know(self.form(place, name), self.groups[name][place])
            if self.groups["n"][place] == 0:
                self._know(self.form(place, "n"), 0)
        for row in range(scores.rows):
            place = self.keys.index((scores["attribute"][row], scores["group"][row]))
            inside = (self.grid[:-1] >= scores["lower"][row] - 1e-9) & (
                self.grid[1:] <= scores["upper"][row] + 1e-9
            )
            for label, name in enumerate(("negative", "positive")):
                if not np.isnan(scores[name][row]):
                    form = np.zeros((len(self.keys), 2, self.stretches))
                    form[place, label, inside] = 1
                    self._know(form, scores[name][row])
        for attribute in {name for name, _ in self.keys} - {""}:
            for label in (0, 1):
                for stretch in range(self.stretches):
                    form = np.zeros((len(self.keys), 2, self.stretches))
                    form[self.keys.index(("", "")), label, stretch] = -1
                    for place, (of, _) in enumerate(self.keys):
                        form[place, label, stretch] += of == attribute
                    self._know(form, 0)

    def _know(self, form, value):
        self.known_rows.append(form.ravel())
        self.known_values.append(value)

    def form(self, place, name):
        form = np.zeros((len(self.keys), 2, self.stretches))
        labels = {"p": (1,), "n": (0, 1)}[name[0]] if name in ("positive", "n") else (0, 1)
        if name in ("negative", "fp", "tn"):
            labels = (0,)
        if name in ("tp", "fn"):
            labels = (1,)
        where = np.ones(self.stretches, bool)
        if name in ("selected", "tp", "fp"):
            where = self.above
        if name in ("unselected", "fn", "tn"):
            where = ~self.above
        for label in labels:
            form[place, label, where] = 1
        return form

    def range(self, form):
        """Return the smallest and the largest value that fits all that is known."""
        ends = []
        for sign in (1, -1):
            found = linprog(
                sign * form.ravel(),
                A_eq=np.array(self.known_rows),
                b_eq=np.array(self.known_values, dtype=float),
                bounds=(0, None),
            )
            assert found.status == 0, found.message
            ends.append(sign * found.fun)
        return ends


def check_safe(published, least):
    """Assert that no suppressed cell can be told, and that no published one is small."""
    attacker = Attacker(published)
    groups = published.tables["group_counts"]
    for place in range(groups.rows):
        for name in CELLS:
            value = groups[name][place]
            if not np.isnan(value):
                assert value >= least or groups["n"][place] == 0
                continue
            low, high = attacker.range(attacker.form(place, name))
            assert high - low > 0.5, (attacker.keys[place], name, low, high)
    scores = published.tables["score_counts"]
    for name in ("positive", "negative"):
        shown = scores[name][~np.isnan(scores[name])]
        assert ((shown >= least) | (shown == 0)).all()


def coarse(table):
    """Put scores on a few values, so that the attacker's program stays small."""
    score = np.round(np.asarray(table["score"]) * 5) / 5
    return table.with_columns({"score": score, "decision": (score >= 0.5).astype(float)})


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32), least=st.sampled_from([3, 5, 10]))
def test_no_suppressed_cell_can_be_told_from_what_is_published(seed, least):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(40, 300))
    table = draw_rows(
        rng,
        rows,
        rng.dirichlet([1.0, 0.3]),
        rng.dirichlet([1.0, 0.6, 0.3, 0.3]),
        rng.uniform(0.1, 0.6),
    )
    check_safe(to_counts(evidence(coarse(table)), min_cell=least), least)


def blocks(*groups):
    """Return evidence with the given tp, fp, fn, tn in each site."""
    site, label, score = [], [], []
    for name, counts in zip(SITE, groups, strict=False):
        for number, (y, s) in zip(counts, [(1, 0.5), (0, 0.5), (1, 0.49), (0, 0.49)], strict=True):
            site += [name] * number
            label += [y] * number
            score += [s] * number
    table = Table(
        {
            "unit": np.arange(len(site)),
            "score": np.array(score),
            "target:left": np.array(label, float),
            "decision": (np.array(score) >= 0.5).astype(float),
            "attr:site": np.array(site, object),
        }
    )
    return evidence(table)


def hidden(counts, name):
    return {site for site in SITE if np.isnan(cell(counts, name, "site", site))}


def test_one_small_cell_takes_a_second_group_with_it():
    counts = to_counts(blocks((3, 20, 20, 20), (30, 30, 30, 30), (90, 90, 90, 90)))
    assert hidden(counts, "tp") == hidden(counts, "tn") == {"a", "b"}
    assert hidden(counts, "n") == hidden(counts, "positive") == hidden(counts, "selected") == set()
    check_safe(counts, 10)


def test_a_small_group_is_hidden_whole_and_so_is_another():
    counts = to_counts(blocks((1, 1, 1, 1), (30, 30, 30, 30), (90, 90, 90, 90)))
    assert hidden(counts, "n") == hidden(counts, "tp") == hidden(counts, "sum_score") == {"a", "b"}
    assert cell(counts, "n", "site", "d") == 0  # nobody: no secret, and no zero in place of one
    check_safe(counts, 10)


def test_cells_that_their_margins_pin_are_hidden_deeper():
    # Both tp are at the most that their margins allow: their sum alone would tell each.
    counts = to_counts(blocks((20, 20, 0, 20), (20, 0, 20, 20)))
    assert hidden(counts, "tp") == hidden(counts, "positive") == {"a", "b"}
    check_safe(counts, 10)


def test_blocks_hidden_for_different_reasons_do_not_give_each_other_away():
    # Few are selected in a, whose complement is d; few are positive in a, b and c.
    # The histogram of d alone would tell how many are selected in d, and so in a.
    sites = (1, 2, 3, 60), (8, 40, 1, 40), (3, 40, 6, 40), (12, 12, 12, 12)
    counts = to_counts(blocks(*sites))
    check_safe(counts, 10)
    scores = counts.tables["score_counts"]
    for site in hidden(counts, "tp"):
        mine = (scores["attribute"] == "site") & (scores["group"] == site)
        assert np.isnan(scores["positive"][mine]).all()


@pytest.mark.parametrize(
    "sites",
    [
        # c stands in for the few rows of a; the few positive of a and b need no third group.
        [(1, 1, 1, 1), (2, 40, 6, 40), (12, 12, 12, 12)],
        # c stands in for the few positive of a; the few tp of a and b need no third group.
        [(4, 20, 4, 20), (9, 40, 30, 40), (11, 11, 11, 11)],
        # The same with the few selected in place of the few positive.
        [(1, 1, 1, 1), (2, 6, 40, 40), (12, 12, 12, 12)],
        [(4, 4, 20, 20), (9, 40, 30, 40), (11, 11, 11, 11)],
    ],
)
def test_an_outer_block_takes_its_inner_ones_with_it(sites):
    check_safe(to_counts(blocks(*sites)), 10)


def test_large_cells_are_published_as_they_are():
    raw = to_counts(blocks((30, 30, 30, 30), (90, 90, 90, 90)), min_cell=None)
    counts = suppress_counts(raw)
    for name in (*CELLS, "sum_score", "sum_sq_residual"):
        np.testing.assert_array_equal(
            counts.tables["group_counts"][name], raw.tables["group_counts"][name]
        )
    scores = counts.tables["score_counts"]
    mine = scores.take((scores["attribute"] == "site") & (scores["group"] == "a"))
    assert mine["positive"].tolist() == mine["negative"].tolist() == [30, 30]
    assert mine["upper"].tolist()[-1] == 1.0


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_histograms_have_no_small_bin_not_even_by_difference(seed):
    raw = to_counts(random_evidence(seed, rows=800), min_cell=None)
    counts = suppress_counts(raw)
    scores = counts.tables["score_counts"]
    total = scores.take(scores["attribute"] == "")
    for attribute in ("sex", "site"):
        mine = scores.take(scores["attribute"] == attribute)
        edges = np.unique(mine["lower"])
        assert set(edges) <= set(total["lower"])
        for name in ("positive", "negative"):
            shown = mine[name][~np.isnan(mine[name])]
            assert ((shown >= 10) | (shown == 0)).all()
            if np.isnan(total[name]).any():
                continue
            left = np.array(
                [
                    total[name][(total["lower"] >= low) & (total["upper"] <= high)].sum()
                    - np.nansum(mine[name][mine["lower"] == low])
                    for low, high in zip(edges, [*edges[1:], 1.0], strict=True)
                ]
            )
            gone = np.isnan(mine[name]).any()
            assert (left >= 10).all() if gone and len(edges) > 1 else (left >= 0).all()
    for group in SEX:
        mine = (scores["attribute"] == "sex") & (scores["group"] == group)
        if not np.isnan(scores["positive"][mine]).any():
            assert scores["positive"][mine].sum() == cell(counts, "positive", "sex", group)


def test_a_person_with_several_rows_counts_once():
    table = blocks((12, 12, 12, 12), (90, 90, 90, 90)).tables["scores"]
    twice = table.with_columns({"unit": np.arange(table.rows) // 2})
    counts = to_counts(evidence(twice))
    assert counts.info.unit_rows == 2
    assert hidden(counts, "tp") == {"a", "b"}
    assert hidden(to_counts(evidence(table)), "tp") == set()


def test_counts_are_suppressed_once_and_not_below_two():
    counts = to_counts(random_evidence(0, rows=300))
    assert counts.info.min_cell == 10
    with pytest.raises(EvidenceError, match="not in raw counts"):
        suppress_counts(counts)
    with pytest.raises(EvidenceError, match="not in raw counts"):
        noise_counts(counts, epsilon=1.0)
    with pytest.raises(EvidenceError, match="min_cell is 1, expected at least 2"):
        to_counts(random_evidence(0), min_cell=1)
    with pytest.raises(EvidenceError, match="has 9 rows, expected at least 10"):
        to_counts(random_evidence(0, rows=9))


def only_small_cells(cells, outer, size, least, room=None):
    return (size > 0) & (outer | ~(cells >= least).all(axis=1))


def boundless_room(cell):
    return np.full_like(cell["tp"], 1e9)


def histograms_wherever_labels_are(groups, outputs, attribute, least, hide=suppression._hide):
    hide(groups, outputs, attribute, least)
    own = [values for (_, of, _), values in groups.items() if of == attribute]
    return np.isnan([values[1] for values in own])


@pytest.mark.parametrize(
    ("name", "mutant", "sites"),
    [
        ("_open", only_small_cells, [(3, 20, 20, 20), (30, 30, 30, 30), (90, 90, 90, 90)]),
        ("_room", boundless_room, [(20, 20, 0, 20), (20, 0, 20, 20)]),
        (
            "_hide",
            histograms_wherever_labels_are,
            [(1, 2, 3, 60), (8, 40, 1, 40), (3, 40, 6, 40), (12, 12, 12, 12)],
        ),
    ],
)
def test_the_attacker_finds_what_a_careless_publisher_leaves(monkeypatch, name, mutant, sites):
    check_safe(to_counts(blocks(*sites)), 10)
    monkeypatch.setattr(suppression, name, mutant)
    with pytest.raises(AssertionError):
        check_safe(to_counts(blocks(*sites)), 10)


# ---- noise -----------------------------------------------------------------------------------


def test_noise_is_stated_and_leaves_sums_consistent():
    counts = to_counts(random_evidence(3, rows=400), noise_epsilon=2.0)
    assert counts.info.noise_epsilon == 2.0
    assert counts.info.min_cell is None
    table = counts.tables["group_counts"]
    assert not np.isnan(table["tp"]).any()
    for name in CELLS:
        assert (table[name] == np.rint(table[name])).all()
    np.testing.assert_array_equal(
        table["n"] - table["selected"] - table["unselected"],
        table["n"] - table["tp"] - table["fp"] - table["fn"] - table["tn"]
        - (table["selected"] - table["tp"] - table["fp"])
        - (table["unselected"] - table["fn"] - table["tn"]),
    )  # fmt: skip
    assert {"", "f", "m"} <= set(table["group"])


def test_noise_differs_each_time_and_vanishes_as_epsilon_grows():
    rows = random_evidence(3, rows=400)
    raw = to_counts(rows, min_cell=None)
    first, second = (to_counts(rows, noise_epsilon=1.0) for _ in range(2))
    assert not np.array_equal(first.tables["group_counts"]["n"], second.tables["group_counts"]["n"])
    exact = noise_counts(raw, epsilon=1e6)
    for name, table in raw.tables.items():
        for column in table:
            if table[column].dtype.kind == "f":
                np.testing.assert_allclose(exact.tables[name][column], table[column], atol=1e-3)


def test_noise_does_not_touch_what_was_not_recorded():
    bare = random_evidence(3, rows=400).tables["scores"].without(["decision"])
    counts = to_counts(evidence(bare), noise_epsilon=1.0)
    assert np.isnan(counts.tables["group_counts"]["tp"]).all()
    assert not np.isnan(counts.tables["group_counts"]["positive"]).any()


@pytest.mark.parametrize("epsilon", [0, -1.0, math.nan, math.inf, 1e-12])
def test_an_epsilon_that_promises_nothing_is_refused(epsilon):
    with pytest.raises(EvidenceError, match="noise_epsilon is"):
        to_counts(random_evidence(0), noise_epsilon=epsilon)


def test_more_rows_of_a_person_than_declared_are_refused():
    table = random_evidence(0, rows=100).tables["scores"]
    pairs = evidence(table.with_columns({"unit": np.arange(100) // 2}))
    with pytest.raises(EvidenceError, match="a person has 2 rows, expected at most unit_rows=1"):
        to_counts(pairs, noise_epsilon=1.0)
    assert to_counts(pairs, noise_epsilon=1.0, unit_rows=3).info.unit_rows == 3


def test_the_scale_of_the_noise_is_that_of_the_promise(monkeypatch):
    scales = []
    monkeypatch.setattr(noise, "_draw", lambda scale: scales.append(scale) or 0)
    raw = to_counts(random_evidence(0), min_cell=None)
    noise_counts(raw, epsilon=0.6, unit_rows=2)
    # One output, three partitions (all rows, sex, site), four releases of each: 12 shares.
    counts, sums = Fraction(4) / Fraction(1, 20), Fraction(2) / Fraction(1, 20)
    for scale in set(scales):
        near = [counts, sums * noise.UNIT]
        assert min(abs(float(scale / one) - 1) for one in near) < 1e-6
        assert scale >= min(near, key=lambda one: abs(scale - one))  # rounded to the safe side


def test_the_sampler_follows_the_discrete_laplace_law():
    for scale in (Fraction(3, 2), Fraction(7, 3)):
        draws = np.array([noise._draw(scale) for _ in range(8_000)])
        ratio = math.exp(-1 / scale)
        for value in range(-4, 5):
            expected = (1 - ratio) / (1 + ratio) * ratio ** abs(value)
            error = 5 * math.sqrt(expected * (1 - expected) / len(draws))  # 5 sigma
            assert abs((draws == value).mean() - expected) < error
